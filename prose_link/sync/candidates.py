"""The synchronisation sources a UE has heard, with their filtered S-RSRP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prose_link.sync.rules import filtered
from radio.phy.lte.channels.indications import SlssDetected

MAX_CANDIDATES = 16
_SAME_PLACE_S = 0.5e-3
"""Detections of one id whose places in the period differ by less are of one source."""


@dataclass(slots=True, kw_only=True)
class Candidate:
    """One source: the latest detection, and its S-RSRP after layer 3 filtering."""

    source: SlssDetected
    s_rsrp_dbm: float
    heard_at_s: float

    @property
    def n_sl_id(self) -> int:
        """SLSSID of the source."""
        return self.source.n_sl_id

    @property
    def in_coverage(self) -> bool:
        """The inCoverage field of its MIB-SL."""
        return self.source.mib.in_coverage


class CandidateTable:
    """Up to `MAX_CANDIDATES` sources; the one that was heard longest ago is dropped first."""

    def __init__(self, *, rx_reference_dbm: float, filter_coefficient: int, sample_rate_hz: int, period: int) -> None:
        """`rx_reference_dbm` is the input power of full scale, `period` that of SLSS in subframes."""
        self._rx_reference_dbm = rx_reference_dbm
        self._filter_coefficient = filter_coefficient
        self._sample_rate_hz = sample_rate_hz
        self._period_s = period * 1e-3
        self._candidates: list[Candidate] = []

    def note(self, source: SlssDetected, now_s: float) -> None:
        """Add a detection."""
        measured_dbm = source.s_rsrp_dbfs + self._rx_reference_dbm
        known = next((c for c in self._candidates if self._is_same(c.source, source)), None)
        if known is None:
            self._candidates.append(Candidate(source=source, s_rsrp_dbm=measured_dbm, heard_at_s=now_s))
            self._candidates = sorted(self._candidates, key=lambda c: -c.heard_at_s)[:MAX_CANDIDATES]
        else:
            known.source, known.heard_at_s = source, now_s
            known.s_rsrp_dbm = filtered(known.s_rsrp_dbm, measured_dbm, self._filter_coefficient)

    def heard_since(self, since_s: float, is_wanted: Callable[[SlssDetected], bool]) -> list[Candidate]:
        """Candidates heard at `since_s` or later whose latest detection is wanted."""
        return [c for c in self._candidates if c.heard_at_s >= since_s and is_wanted(c.source)]

    def clear(self) -> None:
        """Drop all sources, for example when the own timing changes."""
        self._candidates.clear()

    def forget_before(self, heard_at_s: float) -> None:
        """Drop what has not been heard since."""
        self._candidates = [c for c in self._candidates if c.heard_at_s >= heard_at_s]

    def _is_same(self, one: SlssDetected, other: SlssDetected) -> bool:
        apart_s = abs(one.sample - other.sample) / self._sample_rate_hz % self._period_s
        return one.n_sl_id == other.n_sl_id and min(apart_s, self._period_s - apart_s) < _SAME_PLACE_S
