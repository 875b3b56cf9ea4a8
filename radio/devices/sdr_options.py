"""What every software-defined radio is told in a UE's `[radio]`."""

from __future__ import annotations

from dataclasses import dataclass

from radio.quantities import ChannelFrequencyHz, GainDb


@dataclass(frozen=True, slots=True, kw_only=True)
class SdrOptions:
    """One channel of a software-defined radio."""

    address: str = ""
    """What the driver finds its device by."""
    carrier_hz: ChannelFrequencyHz
    """The channel frequency."""
    rx_gain_db: GainDb
    tx_gain_db: GainDb
    rx_antenna: str | None = None
    tx_antenna: str | None = None
    clock_source: str | None = None
    """A name that the driver knows: `internal`, `external`, `gpsdo`."""
