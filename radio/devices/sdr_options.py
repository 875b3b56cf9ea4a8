"""Options that every software-defined radio has in a UE's `[radio]`."""

from __future__ import annotations

from dataclasses import dataclass

from radio.quantities import ChannelFrequencyHz, GainDb


@dataclass(frozen=True, slots=True, kw_only=True)
class SdrOptions:
    """One channel of a software-defined radio."""

    address: str = ""
    """Address by which the driver finds its device."""
    carrier_hz: ChannelFrequencyHz
    """The channel frequency."""
    rx_gain_db: GainDb
    tx_gain_db: GainDb
    rx_antenna: str | None = None
    tx_antenna: str | None = None
    clock_source: str | None = None
    """A name known to the driver: `internal`, `external`, `gpsdo`."""
