"""Survey of discovery messages: PSDCH with no knowledge of the resource pool.

Transmissions that fail alone are kept. Which of them are repeats of one message, and in which redundancy versions,
shows in their soft bits: those of one coded bit agree. Only runs that agree are decoded together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from radio.arrays import Bits
from radio.phy.bitfields import bits_to_bytes
from radio.phy.blind_blocks import HeardTransmission, carries, decode_run
from radio.phy.dmrs import psdch_dmrs
from radio.phy.dmrs_search import dmrs_coherence
from radio.phy.fec.sl_sch import SlSchSoftBuffer
from radio.phy.layout import Mode, communication_layout
from radio.phy.modulation import QPSK
from radio.phy.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.pools import RV_SEQUENCE
from radio.phy.psdch import MESSAGE_BITS, N_PSDCH_PRBS, receive_psdch
from radio.phy.subframe_timeline import RecordedSubframe, Timeline
from radio.phy.survey_findings import FoundDiscovery, Survey

_MIN_COHERENCE = 0.3
_MIN_RELATIVE_ENERGY = 1e-4
_MAX_UNSOLVED = 64
_MIN_AGREEMENT_SIGMAS = 4.0
_LONGEST_REPEAT = 40
"""Subframes within which the repeats of a message are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Solved:
    """A message that decoded, and the redundancy version heard last."""

    finding: FoundDiscovery
    bits: Bits
    rv: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Unsolved:
    """A transmission that failed alone, and its soft bits in the place of each redundancy version."""

    heard: HeardTransmission
    versions: tuple[SlSchSoftBuffer, ...]

    @classmethod
    def of(cls, heard: HeardTransmission) -> _Unsolved:
        versions = tuple(SlSchSoftBuffer(MESSAGE_BITS) for _ in RV_SEQUENCE)
        for buffer, rv in zip(versions, RV_SEQUENCE, strict=True):
            buffer.combine(heard.received.llrs, QPSK, rv)
        return cls(heard=heard, versions=versions)


class DiscoverySurvey:
    """Goes through the subframes of a recording in order and fills a `Survey`."""

    def __init__(self, carrier: Carrier, timeline: Timeline, survey: Survey) -> None:
        self._carrier = carrier
        self._timeline = timeline
        self._survey = survey
        self._dmrs_symbols = np.array(communication_layout(Mode.TM12, carrier.cp).dmrs)
        self._unsolved: list[_Unsolved] = []
        self._solved: list[_Solved] = []

    def take(self, subframe: RecordedSubframe) -> None:
        """Try every pair of PRBs of one subframe that carries the reference signal."""
        for prb in self._places(subframe):
            received = receive_psdch(self._carrier, subframe.grid, prb)
            heard = HeardTransmission.of(self._timeline, subframe, (prb, prb + 1), received)
            if not self._continues(heard) and not self._solve_alone(heard):
                self._solve_with_earlier(_Unsolved.of(heard))

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

    def _continues(self, heard: HeardTransmission) -> bool:
        """Whether a transmission is one more of a message that is known; if so it is added to it."""
        for i, known in enumerate(self._solved):
            if not 0 < heard.subframe - known.finding.subframes[-1] <= _LONGEST_REPEAT:
                continue
            for rv in RV_SEQUENCE[RV_SEQUENCE.index(known.rv) + 1 :]:
                if carries(heard, known.bits, QPSK, rv):
                    finding = replace(known.finding, subframes=(*known.finding.subframes, heard.subframe))
                    self._solved[i] = replace(known, finding=finding, rv=rv)
                    return True
        return False

    def _solve_alone(self, heard: HeardTransmission) -> bool:
        for place, rv in enumerate(RV_SEQUENCE):
            bits = decode_run((heard,), (rv,), MESSAGE_BITS, QPSK)
            if bits is not None:
                self._keep([heard], place, place, bits)
                return True
        return False

    def _solve_with_earlier(self, latest: _Unsolved) -> None:
        """Decode a transmission with those before it that agree, or keep it for later ones."""
        for last in range(1, len(RV_SEQUENCE)):
            run = self._run_to(latest, last)
            if len(run) == 1:
                continue
            transmissions = [unsolved.heard for unsolved, _ in run]
            bits = decode_run(transmissions, [RV_SEQUENCE[place] for _, place in run], MESSAGE_BITS, QPSK)
            if bits is not None:
                members = [member for member, _ in run]
                self._unsolved = [unsolved for unsolved in self._unsolved if unsolved not in members]
                self._keep(transmissions, run[0][1], last, bits)
                return
        self._unsolved = [*self._unsolved[1 - _MAX_UNSOLVED :], latest]

    def _run_to(self, latest: _Unsolved, last: int) -> list[tuple[_Unsolved, int]]:
        """Transmissions that agree with `latest` in place `last` of the rv sequence, each with its place, in order."""
        run = [(latest, last)]
        for place in reversed(range(last)):
            following, its_place = run[0]
            candidates = [
                (unsolved.versions[place].agreement(following.versions[its_place]), unsolved)
                for unsolved in self._unsolved
                if latest.heard.subframe - _LONGEST_REPEAT <= unsolved.heard.subframe < following.heard.subframe
            ]
            agreement, earlier = max(candidates, key=lambda item: item[0], default=(0.0, latest))
            if agreement > _MIN_AGREEMENT_SIGMAS:
                run.insert(0, (earlier, place))
        return run

    def _keep(self, run: list[HeardTransmission], first: int, last: int, bits: Bits) -> None:
        """Note a message heard in places `first` to `last` of the rv sequence, and earlier failures that carry it."""
        for rv in reversed(RV_SEQUENCE[:first]):
            for unsolved in self._unsolved:
                is_near = 0 < run[0].subframe - unsolved.heard.subframe <= _LONGEST_REPEAT
                if is_near and carries(unsolved.heard, bits, QPSK, rv):
                    run.insert(0, unsolved.heard)
                    self._unsolved.remove(unsolved)
                    break
        latest = run[-1]
        finding = FoundDiscovery(
            subframes=tuple(heard.subframe for heard in run),
            prb=latest.prbs[0],
            message=bits_to_bytes(bits),
            crc_ok=True,
            snr_db=latest.received.snr_db,
            evm_db=latest.received.evm_db,
            cfo_hz=latest.cfo_hz,
            timing_samples=latest.timing_samples,
        )
        self._solved.append(_Solved(finding=finding, bits=bits, rv=RV_SEQUENCE[last]))
