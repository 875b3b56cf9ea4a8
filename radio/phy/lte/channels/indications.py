"""Indications of the PHY to the layers above it: plain values, one class for each thing that the PHY can find.

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
    """The MIB-SL that the PSBCH carried."""
    cfo_hz: float
    snr_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlssDetected:
    """The PHY heard a synchronisation source in a search; a layer above it decides what to do with the source.

    `sample` is where the source's subframe started on the UE's sample clock. `off_own_timing_s` is how much later that
    was than the UE's own subframe of the same number; None if the numbers differ or the UE has no timing. `s_rsrp_dbfs`
    is the power of one resource element of the PSBCH's reference signals (TS 36.214 5.1.22), relative to full scale 1.
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
    """The PHY decoded a PSBCH while it tracked its reference; `s_rsrp_dbfs` is as in `SlssDetected`."""

    subframe: int
    n_sl_id: int
    mib: MibSl
    snr_db: float
    s_rsrp_dbfs: float
    cfo_hz: float
    timing_error_samples: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SciReceived:
    """The PHY received an SCI format 0 with a good CRC on this PRB of the PSCCH."""

    subframe: int
    prb: int
    sci: SciFormat0
    snr_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportBlockReceived:
    """One SL-SCH transport block after soft combining.

    The PHY reports a block at its first good CRC, or as failed after its last transmission.
    """

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
