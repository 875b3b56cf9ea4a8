"""The rules of sidelink synchronisation as pure functions (TS 36.331 5.10.7, 5.10.8).

Which source wins: one in coverage, then one whose identity is of the set for in coverage (it follows a UE in coverage),
then any other; within a group the strongest, and a UE leaves its SyncRef only for one that is stronger by a hysteresis.
Which identity a UE transmits: a UE that follows a UE in coverage keeps its identity; one that follows such a relay adds
168, which moves the identity to the other set; further ones keep it. So the set tells how far from coverage a source
is, up to two hops. Which subframe it transmits in: not the one of its SyncRef, so that it hears the SyncRef still.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeVar

N_NETWORK_IDS = 168
"""SLSSIDs below this are the set for in coverage, those from it on the set for out of coverage (TS 36.211 9.7)."""
N_SLSS_IDS = 2 * N_NETWORK_IDS


class PriorityGroup(IntEnum):
    """Order in which candidates are taken, the most wanted first (TS 36.331 5.10.8.2)."""

    IN_COVERAGE = 1
    NETWORK_ID = 2
    OTHER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncParameters:
    """SL-PreconfigSync as values (TS 36.331 9.3).

    `tx_thresh_ooc_dbm` is +inf where SLSS are transmitted however strong the reference; `ref_diff_hyst_db` is +inf
    where no strength makes a UE move within a priority group. `min_s_rsrp_dbm` stands for the minimum requirement of
    TS 36.133, which depends on band and receiver.

    With `lowest_id_wins` strength decides only between sources of one id where coverage plays no part: of two islands
    that touch, the one with the higher SLSSID moves as a whole. The standard leaves such islands apart for as long as
    every UE between them hears its own SyncRef well.
    """

    offset_indicators: tuple[int, ...]
    tx_thresh_ooc_dbm: float = math.inf
    filter_coefficient: int = 4
    ref_min_hyst_db: float = 0.0
    ref_diff_hyst_db: float = 3.0
    min_s_rsrp_dbm: float = -126.0
    lowest_id_wins: bool = False
    period: int = 40


class Heard(Protocol):
    """The properties of a source that the selection uses."""

    @property
    def n_sl_id(self) -> int:
        """Its SLSS ID."""
        ...

    @property
    def in_coverage(self) -> bool:
        """Whether it claims to be in coverage, or to be synchronised to a UE in coverage."""
        ...

    @property
    def s_rsrp_dbm(self) -> float:
        """Received power of its reference signals."""
        ...


HeardT = TypeVar("HeardT", bound=Heard)


def priority_group(source: Heard) -> PriorityGroup:
    """The group of a source: by inCoverage of its MIB-SL, then by the set its SLSSID is in."""
    if source.in_coverage:
        return PriorityGroup.IN_COVERAGE
    return PriorityGroup.NETWORK_ID if source.n_sl_id < N_NETWORK_IDS else PriorityGroup.OTHER


def rank(source: Heard, parameters: SyncParameters) -> tuple[int, int]:
    """The criteria that precede strength, lower values first."""
    group = priority_group(source)
    return group, source.n_sl_id if parameters.lowest_id_wins and group is PriorityGroup.OTHER else 0


def relayed_slss_id(sync_ref: Heard) -> int:
    """SLSSID of an out-of-coverage UE that follows `sync_ref` (TS 36.331 5.10.7.3)."""
    if sync_ref.in_coverage or sync_ref.n_sl_id >= N_NETWORK_IDS:
        return sync_ref.n_sl_id
    return sync_ref.n_sl_id + N_NETWORK_IDS


def own_slss_id(chance: float) -> int:
    """SLSSID of an out-of-coverage UE without SyncRef, uniform over its set for `chance` in [0, 1)."""
    return N_NETWORK_IDS + int(chance * N_NETWORK_IDS)


def own_offset(offsets: Sequence[int], chance: float) -> int:
    """Subframe offset of a UE without SyncRef: either of the configured ones (TS 36.331 5.10.7.3)."""
    return offsets[int(chance * len(offsets))]


def relay_offset(offsets: Sequence[int], sync_ref_offset: int) -> int | None:
    """Subframe offset of a UE with SyncRef: not the SyncRef's own; None where no other is configured."""
    return next((offset for offset in offsets if offset != sync_ref_offset), None)


def filtered(previous_dbm: float | None, measured_dbm: float, filter_coefficient: int) -> float:
    """S-RSRP after layer 3 filtering, a = 2^(-k/4) (TS 36.331 5.5.3.2)."""
    if previous_dbm is None:
        return measured_dbm
    a = math.pow(2, -filter_coefficient / 4)
    return (1 - a) * previous_dbm + a * measured_dbm


def is_detected(source: Heard, parameters: SyncParameters) -> bool:
    """Whether a candidate exceeds the minimum requirement by syncRefMinHyst."""
    return source.s_rsrp_dbm > parameters.min_s_rsrp_dbm + parameters.ref_min_hyst_db


def is_too_weak(sync_ref: Heard, parameters: SyncParameters) -> bool:
    """Whether a selected SyncRef has fallen below the minimum requirement."""
    return sync_ref.s_rsrp_dbm < parameters.min_s_rsrp_dbm


def select(candidates: Sequence[HeardT], parameters: SyncParameters) -> HeardT | None:
    """The candidate a UE without SyncRef takes: best rank first, highest S-RSRP within it (TS 36.331 5.10.8.2)."""
    detected = [candidate for candidate in candidates if is_detected(candidate, parameters)]
    return min(detected, key=lambda c: (rank(c, parameters), -c.s_rsrp_dbm), default=None)


def reselect(sync_ref: Heard, candidates: Sequence[HeardT], parameters: SyncParameters) -> HeardT | None:
    """The candidate for which a UE leaves its SyncRef; None if it stays (TS 36.331 5.10.8.2).

    A better rank always wins, the same rank wins by more than syncRefDiffHyst, a worse one never.
    """
    best = select(candidates, parameters)
    if best is None:
        return None
    own_rank, best_rank = rank(sync_ref, parameters), rank(best, parameters)
    if best_rank == own_rank:
        return best if best.s_rsrp_dbm > sync_ref.s_rsrp_dbm + parameters.ref_diff_hyst_db else None
    return best if best_rank < own_rank else None


def give_way(own_id: int, candidates: Sequence[HeardT], parameters: SyncParameters) -> HeardT | None:
    """The candidate for which a reference stops being one; None where it stays."""
    best = select(candidates, parameters)
    if best is None or (parameters.lowest_id_wins and rank(best, parameters) > (PriorityGroup.OTHER, own_id)):
        return None
    return best


def transmits_slss(sync_ref: Heard | None, parameters: SyncParameters) -> bool:
    """Whether an out-of-coverage UE transmits SLSS: without SyncRef, or with one below syncTxThreshOoC (5.10.7.2)."""
    return sync_ref is None or sync_ref.s_rsrp_dbm < parameters.tx_thresh_ooc_dbm
