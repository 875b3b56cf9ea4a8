"""What the PHY of a UE tells the layers above it: plain values, one for each thing found on the air.

`subframe` is the UE's unwrapped subframe counter; modulo 10240 it is 10 * DFN + subframe number on the air.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.sci import SciFormat0


@dataclass(frozen=True, slots=True, kw_only=True)
class Synchronised:
    """A synchronisation reference was acquired: SLSS found and its PSBCH decoded."""

    subframe: int
    sample: int
    """Where that subframe starts on the UE's sample clock."""
    n_sl_id: int
    mib: MibSl
    """What the PSBCH said."""
    cfo_hz: float
    snr_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlssDetected:
    """A synchronisation source heard in a search whose findings are judged above the PHY.

    `sample` is where its subframe started on the UE's sample clock; `off_own_timing_s` how much later that was than
    the UE's own subframe of the same number, None where the numbers differ or the UE has no timing. `s_rsrp_dbfs` is
    the power of one resource element of the PSBCH's reference signals (TS 36.214 5.1.22), full scale being 1.
    """

    sample: float
    n_sl_id: int
    mib: MibSl
    cfo_hz: float
    snr_db: float
    s_rsrp_dbfs: float
    off_own_timing_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncLost:
    """The synchronisation reference has not been heard for too long."""

    subframe: int
    n_sl_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MibReceived:
    """A PSBCH decoded while tracking; `s_rsrp_dbfs` as in `SlssDetected`."""

    subframe: int
    n_sl_id: int
    mib: MibSl
    snr_db: float
    s_rsrp_dbfs: float
    cfo_hz: float
    timing_error_samples: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SciReceived:
    """An SCI format 0 with a good CRC, and the PRB of PSCCH that it was heard on."""

    subframe: int
    prb: int
    sci: SciFormat0
    snr_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportBlockReceived:
    """One SL-SCH transport block after soft combining; sent up at its first good CRC or after its last transmission."""

    subframes: tuple[int, ...]
    n_id_sa: int
    mcs: int
    prbs: tuple[int, ...]
    n_transmissions: int
    crc_ok: bool
    crc_ok_at: int
    """Number of combined transmissions at which the CRC held; 0 where it never did."""
    transport_block: bytes
    snr_db: float
    evm_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryReceived:
    """A discovery message with a good CRC: `message` is its 29 octets, `prb` the first PRB of its last transmission."""

    subframes: tuple[int, ...]
    prb: int
    message: bytes
    n_transmissions: int
    snr_db: float


Indication: TypeAlias = (
    Synchronised | SlssDetected | SyncLost | MibReceived | SciReceived | TransportBlockReceived | DiscoveryReceived
)
