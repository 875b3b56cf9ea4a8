"""Events of a UE's synchronisation, and its orders to the PHY."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from radio.phy.lte.channels.indications import SlssDetected


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRefSelected:
    """This UE follows another one from now on."""

    n_sl_id: int
    in_coverage: bool
    """Whether the source is in coverage, or follows one that is."""
    s_rsrp_dbm: float
    left_n_sl_id: int
    """SLSS ID of the source that it left, -1 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRefTooWeak:
    """The SyncRef fell below the minimum requirement and is given up."""

    n_sl_id: int
    s_rsrp_dbm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlssStarted:
    """This UE transmits SLSS from now on."""

    n_sl_id: int
    offset_subframes: int
    """Place of the SLSS in each synchronisation period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlssStopped:
    """This UE transmits SLSS no longer."""

    n_sl_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BecameSyncRef:
    """This UE is a synchronisation reference from now on."""

    n_sl_id: int


SyncEvent: TypeAlias = SyncRefSelected | SyncRefTooWeak | SlssStarted | SlssStopped | BecameSyncRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """Order to the PHY: follow a source."""

    source: SlssDetected


@dataclass(frozen=True, slots=True, kw_only=True)
class BecomeReference:
    """Order to the PHY: become the reference, on the present timing or on its own."""

    n_sl_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Order to the PHY: search for sources in parallel with its work."""

    n_subframes: int


SyncAction: TypeAlias = Follow | BecomeReference | Scan
