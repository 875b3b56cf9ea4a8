"""Survey of discovery messages: PSDCH with no knowledge of the resource pool."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from radio.phy.bitfields import bits_to_bytes
from radio.phy.blind_blocks import HeardTransmission, decode_run
from radio.phy.dmrs import psdch_dmrs
from radio.phy.dmrs_search import dmrs_coherence
from radio.phy.layout import Mode, communication_layout
from radio.phy.modulation import QPSK
from radio.phy.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.pools import RV_SEQUENCE
from radio.phy.psdch import MESSAGE_BITS, N_PSDCH_PRBS, receive_psdch
from radio.phy.subframe_timeline import RecordedSubframe, Timeline
from radio.phy.survey_findings import FoundDiscovery, Survey

_MIN_COHERENCE = 0.3
_MIN_RELATIVE_ENERGY = 1e-4
_MAX_UNSOLVED = 24
_MIN_COMBINED_SNR_DB = -2.0
"""What seems weaker is some other signal, not a message that wants its repeats."""
_LONGEST_REPEAT = 40
"""Subframes within which the repeats of a message are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Solved:
    finding: FoundDiscovery
    rv: int


class DiscoverySurvey:
    """Goes through the subframes of a recording in order and fills a `Survey`."""

    def __init__(self, carrier: Carrier, timeline: Timeline, survey: Survey) -> None:
        self._carrier = carrier
        self._timeline = timeline
        self._survey = survey
        self._dmrs_symbols = np.array(communication_layout(Mode.TM12, carrier.cp).dmrs)
        self._unsolved: list[HeardTransmission] = []
        self._solved: list[_Solved] = []

    def take(self, subframe: RecordedSubframe) -> None:
        """Try every pair of PRBs of one subframe that carries the reference signal."""
        for prb in self._places(subframe):
            received = receive_psdch(self._carrier, subframe.grid, prb)
            heard = HeardTransmission.of(self._timeline, subframe, (prb, prb + 1), received)
            if not self._solve(heard) and received.snr_db > _MIN_COMBINED_SNR_DB:
                self._unsolved = [*self._unsolved[1 - _MAX_UNSOLVED :], heard]

    def finish(self) -> None:
        """Hand the messages found over, in the order of time."""
        self._survey.discovery += sorted(
            (solved.finding for solved in self._solved), key=lambda finding: finding.subframes
        )

    def _places(self, subframe: RecordedSubframe) -> list[int]:
        prbs = np.arange(self._carrier.n_prb - N_PSDCH_PRBS + 1, dtype=np.int64)
        coherence, energy = dmrs_coherence(subframe.grid, prbs * SUBCARRIERS_PER_PRB, self._dmrs_symbols, psdch_dmrs())
        floor = _MIN_RELATIVE_ENERGY * float(np.max(np.abs(subframe.grid)) ** 2)
        return [int(i) for i in np.flatnonzero((coherence > _MIN_COHERENCE) & (energy > floor))]

    def _solve(self, heard: HeardTransmission) -> bool:
        """Decode a transmission alone, else with an earlier one that failed alone."""
        for rv in RV_SEQUENCE:
            bits = decode_run((heard,), (rv,), MESSAGE_BITS, QPSK)
            if bits is not None:
                self._keep((heard,), rv, bits_to_bytes(bits))
                return True
        if heard.received.snr_db < _MIN_COMBINED_SNR_DB:
            return False
        for earlier in self._unsolved:
            if not 0 < heard.subframe - earlier.subframe <= _LONGEST_REPEAT:
                continue
            for rvs in itertools.pairwise(RV_SEQUENCE):
                bits = decode_run((earlier, heard), rvs, MESSAGE_BITS, QPSK)
                if bits is not None:
                    self._unsolved.remove(earlier)
                    self._keep((earlier, heard), rvs[-1], bits_to_bytes(bits))
                    return True
        return False

    def _keep(self, run: tuple[HeardTransmission, ...], rv: int, message: bytes) -> None:
        """Note a message, or one more transmission of one that is known."""
        last = run[-1]
        for i, known in enumerate(self._solved):
            is_next = RV_SEQUENCE.index(rv) > RV_SEQUENCE.index(known.rv)
            is_near = 0 < last.subframe - known.finding.subframes[-1] <= _LONGEST_REPEAT
            if known.finding.message == message and is_next and is_near:
                subframes = (*known.finding.subframes, *(heard.subframe for heard in run))
                self._solved[i] = _Solved(finding=replace(known.finding, subframes=subframes), rv=rv)
                return
        finding = FoundDiscovery(
            subframes=tuple(heard.subframe for heard in run),
            prb=last.prbs[0],
            message=message,
            crc_ok=True,
            snr_db=last.received.snr_db,
            evm_db=last.received.evm_db,
            cfo_hz=last.cfo_hz,
            timing_samples=last.timing_samples,
        )
        self._solved.append(_Solved(finding=finding, rv=rv))
