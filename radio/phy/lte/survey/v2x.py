"""Survey of transmission modes 3 and 4: SCI format 1 and its PSSCH.

How an SCI reads depends on the sub-channels (`v2x_readings`). Where they are not given, every division is read; the
PSSCH is found by its reference signals, whose sequence depends on its width, and settles which reading is right. A
division whose blocks decode is remembered, and so is how n_ssf counts: the next SCIs are first read that way, and where
their reference signals are then there, no other way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import numpy.typing as npt

from radio.arrays import Bits
from radio.phy.lte.channels.coded_block import CodedBlock
from radio.phy.lte.channels.pssch import receive_pssch, receive_pssch_batch
from radio.phy.lte.channels.sci import SciFormat1
from radio.phy.lte.channels.v2x_pscch import MIN_COHERENCE, V2xPscchReception, receive_v2x_pscch
from radio.phy.lte.grid.dmrs import N_SSF, pssch_groups, pssch_groups_of
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.lte.pools.power_control import N_V2X_PSCCH_PRBS
from radio.phy.lte.pools.v2x import V2X_RV_SEQUENCE
from radio.phy.lte.survey.blind_blocks import HeardTransmission, agrees, carries, decode_run, found_block
from radio.phy.lte.survey.control_evidence import MIN_AGREEMENT_FORMAT_1, agreement
from radio.phy.lte.survey.findings import FoundBlock, FoundSci
from radio.phy.lte.survey.order import TimeOrder
from radio.phy.lte.survey.scene import Scene
from radio.phy.lte.survey.subframe_timeline import Anchor, RecordedSubframe, Timeline
from radio.phy.lte.survey.v2x_readings import Reading, SubChannels, divisions, readings

_FALSE_ALARM = 1e-3
_MIN_VOTES = 3
"""Blocks that decode before a division is believed to be that of the pool."""
_LONGEST_SPREAD = 60
"""Subframes within which the repeat of a transport block is looked for."""
PATIENCE = 2 * _LONGEST_SPREAD
_COHERENCES = ((0.5, math.inf), (MIN_COHERENCE, 0.5))
"""Clear SCIs first: on the PRBs of their PSSCH none is then looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a PSSCH was found by its reference signals."""

    first_prb: int
    width: int
    n_ssf: int
    is_adjacent: bool


_Key = tuple[int, int, int, int, int, int]
"""Fields of the SCI that both transmissions of a block share, and their width."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Expected:
    """A PSSCH that stands where it is expected, its possible readings, and what was received (see `_receive`)."""

    place: _Place
    readings: Sequence[Reading]
    received: dict[tuple[int, int, int], HeardTransmission]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Initial:
    """An initial transmission, which a repeat may follow, and the finding it made."""

    heard: HeardTransmission
    key: _Key
    finding: FoundBlock
    coded: CodedBlock | None


@dataclass(slots=True)
class _PoolVotes:
    """What decoded blocks show about the pool: division and adjacency, and the subframe that has counter 0."""

    kinds: Counter[tuple[SubChannels, bool]] = field(default_factory=Counter)
    phases: Counter[int] = field(default_factory=Counter)

    def add(self, division: SubChannels, place: _Place, index: int) -> None:
        self.kinds[division, place.is_adjacent] += 1
        self.phases[(index - place.n_ssf) % N_SSF] += 1

    def believed(self) -> tuple[SubChannels, bool] | None:
        """Division and adjacency, None while too few blocks have decoded."""
        if not self.kinds:
            return None
        kind, votes = self.kinds.most_common(1)[0]
        return kind if votes >= _MIN_VOTES else None

    def n_ssf(self, index: int) -> int | None:
        """The counter that subframe `index` is expected to have."""
        return (index - self.phases.most_common(1)[0][0]) % N_SSF if self.phases else None


class V2xSurvey:
    """Search of the subframes of a recording for SCI format 1 and PSSCH, in order; findings go to `order`.

    The class is longer than most: the search for an SCI, for its PSSCH and for the repeat of both share what they
    learn.
    """

    def __init__(
        self, carrier: Carrier, timeline: Timeline, order: TimeOrder, sub_channels: SubChannels | None = None
    ) -> None:
        self._carrier = carrier
        self._timeline = timeline
        self._order = order
        self._divisions = divisions(carrier.n_prb) if sub_channels is None else [sub_channels]
        self._votes = _PoolVotes()
        self._initial: dict[_Key, list[_Initial]] = {}
        self.latest: Anchor | None = None
        """Timing and carrier offset of the SCI heard last."""

    def take(self, scene: Scene, taken: npt.NDArray[np.bool_]) -> None:
        """Search for SCIs outside the PRBs marked in `taken`, bool (n_prb,), and receive their PSSCH.

        The method marks the PRBs of what it finds.
        """
        self._give_up(scene.index - _LONGEST_SPREAD)
        for low, high in _COHERENCES:
            candidates = scene.free_prbs(N_V2X_PSCCH_PRBS, taken).tolist()
            heard = receive_v2x_pscch(self._carrier, scene.grid, candidates, self._divisions[0].count, low, high)
            shares = [agreement(found.llrs, found.bits) for found in heard]
            self._take_scis(
                scene,
                [(f, share) for f, share in zip(heard, shares, strict=True) if share >= MIN_AGREEMENT_FORMAT_1],
                taken,
            )

    def finish(self) -> None:
        """Hand over the findings that are still held."""
        for waiting in self._initial.values():
            for initial in waiting:
                self._order.take(initial.finding)
        self._initial.clear()

    def _take_scis(
        self, scene: Scene, heard: Sequence[tuple[V2xPscchReception, float]], taken: npt.NDArray[np.bool_]
    ) -> None:
        """List SCIs and receive what they announce, first as the pool believed in has it."""
        expected = self._hear_expected(scene, [found for found, _ in heard])
        for (found, share), known in zip(heard, expected, strict=True):
            taken[found.prb : found.prb + N_V2X_PSCCH_PRBS] = True
            place: _Place | None
            if known is not None:
                sci, place = known.readings[0].sci, known.place
                self._receive(scene.subframe, found, known.place, known.readings, known.received)
            else:
                reading, place = self._read(scene, found)
                if reading is None:
                    continue
                sci = reading.sci
            if place is not None:
                taken[place.first_prb : place.first_prb + place.width] = True
            finding = _finding(self._timeline, scene.subframe, found, sci, place is not None, share)
            self.latest = Anchor(start=finding.timing_samples, cfo_hz=finding.cfo_hz)
            self._order.take(finding)

    def _read(self, scene: Scene, found: V2xPscchReception) -> tuple[Reading | None, _Place | None]:
        """How an SCI reads, None where no reading is possible, and where its PSSCH was received."""
        reading, place = self._believed_reading(scene, found)
        if reading is None:
            possible = readings(found.bits, self._divisions)
            if not possible:
                return None, None
            reading = possible[0]
            place = self._place(scene, found, possible)
            if place is not None:
                fitting = [r for r in possible if r.width(is_adjacent=place.is_adjacent) == place.width]
                reading = self._receive(scene.subframe, found, place, fitting, {})
        return reading, place

    def _hear_expected(self, scene: Scene, heard: Sequence[V2xPscchReception]) -> list[_Expected | None]:
        """The PSSCH of every SCI as the pool believed in has them, received together.

        None where its reference signals do not stand right beside the PSCCH with the counter that is expected.
        """
        result: list[_Expected | None] = [None] * len(heard)
        believed, n_ssf = self._votes.believed(), self._votes.n_ssf(scene.index)
        if believed is None or n_ssf is None or not believed[1]:
            return result
        by_width: dict[int, list[tuple[int, list[Reading]]]] = {}
        for i, found in enumerate(heard):
            possible = readings(found.bits, [believed[0]])
            width = possible[0].width(is_adjacent=True) if possible else 0
            first = found.prb + N_V2X_PSCCH_PRBS
            if width and first + width <= self._carrier.n_prb and scene.occupancy.everywhere(width)[first]:
                by_width.setdefault(width, []).append((i, possible))
        for width, members in by_width.items():
            firsts = np.array([heard[i].prb + N_V2X_PSCCH_PRBS for i, _ in members])
            groups = pssch_groups_of(np.array([heard[i].crc for i, _ in members]), Mode.TM34)[:, n_ssf]
            coherence, _ = scene.products.coherence_each(firsts, width, groups)
            is_there = coherence > _threshold(N_SSF, groups.shape[1], width)
            alike: dict[tuple[int, int], list[tuple[int, list[Reading]]]] = {}
            for member in (members[j] for j in np.flatnonzero(is_there).tolist()):
                alike.setdefault((member[1][0].qm, member[1][0].sci.transmission_format), []).append(member)
            for (qm, transmission_format), some in alike.items():
                batch = receive_pssch_batch(
                    self._carrier,
                    scene.grid,
                    np.array([heard[i].prb + N_V2X_PSCCH_PRBS for i, _ in some]),
                    width,
                    qm,
                    np.array([heard[i].crc for i, _ in some]),
                    np.full(len(some), n_ssf),
                    Mode.TM34,
                    transmission_format,
                )
                for row, (i, possible) in enumerate(some):
                    first = heard[i].prb + N_V2X_PSCCH_PRBS
                    prbs = tuple(range(first, first + width))
                    transmission = HeardTransmission.of(self._timeline, scene.subframe, prbs, batch.reception(row))
                    result[i] = _Expected(
                        place=_Place(first_prb=first, width=width, n_ssf=n_ssf, is_adjacent=True),
                        readings=possible,
                        received={(qm, transmission_format, n_ssf): transmission},
                    )
        return result

    def _believed_reading(self, scene: Scene, found: V2xPscchReception) -> tuple[Reading | None, _Place | None]:
        """Receive the PSSCH as the pool believed in has it; (None, None) where its reference signals are not there."""
        believed = self._votes.believed()
        if believed is None:
            return None, None
        possible = readings(found.bits, [believed[0]])
        place = self._place(scene, found, possible, is_adjacent=believed[1]) if possible else None
        if place is None:
            return None, None
        return self._receive(scene.subframe, found, place, possible, {}), place

    def _place(
        self, scene: Scene, found: V2xPscchReception, possible: Sequence[Reading], is_adjacent: bool | None = None
    ) -> _Place | None:
        """The clearest place of a PSSCH next to the PSCCH, else anywhere; one of both if `is_adjacent` says which."""
        place = None
        if is_adjacent is not False:
            starts = np.array([found.prb + N_V2X_PSCCH_PRBS], dtype=np.int64)
            place = self._clearest(scene, found.crc, possible, starts, is_adjacent=True)
        if place is None and not is_adjacent:
            starts = np.arange(self._carrier.n_prb)
            place = self._clearest(scene, found.crc, possible, starts, is_adjacent=False)
        return place

    def _clearest(
        self,
        scene: Scene,
        n_id_x: int,
        possible: Sequence[Reading],
        starts: npt.NDArray[np.int64],
        *,
        is_adjacent: bool,
    ) -> _Place | None:
        widths = sorted({reading.width(is_adjacent=is_adjacent) for reading in possible} - {0})
        groups = pssch_groups(n_id_x, Mode.TM34)
        expected = self._votes.n_ssf(scene.index)
        best, chosen = 0.0, None
        for width in widths:
            inside = starts[starts + width <= self._carrier.n_prb]
            inside = inside[scene.occupancy.occupied(inside, width)]
            if inside.size == 0:
                continue
            n_tries = len(widths) * N_SSF * starts.size
            threshold = _threshold(n_tries, groups.shape[1], width)
            for counters in ([expected], range(N_SSF)) if expected is not None else (range(N_SSF),):
                coherence, energy = scene.products.coherence(inside, width, groups[list(counters)])
                row, i = np.unravel_index(int(np.argmax(coherence)), coherence.shape)
                if coherence[row, i] > threshold:
                    # Sequences of one group are alike whatever their width (TS 36.211 5.5.1.1): part of a PSSCH is
                    # as coherent as all of it. The correlation over the root of its length tells them apart.
                    score = float(coherence[row, i] * energy[i]) * math.sqrt(width)
                    if score > best:
                        best = score
                        chosen = _Place(
                            first_prb=int(inside[i]), width=width, n_ssf=counters[row], is_adjacent=is_adjacent
                        )
                    break
        return chosen

    def _receive(
        self,
        subframe: RecordedSubframe,
        found: V2xPscchReception,
        place: _Place,
        possible: Sequence[Reading],
        received: dict[tuple[int, int, int], HeardTransmission],
    ) -> Reading:
        """Receive the PSSCH by each reading until one decodes; returns that one, else the first.

        `received` grows: soft bits by Q_m, transmission format and counter.
        """
        prbs = tuple(range(place.first_prb, place.first_prb + place.width))
        for reading, n_ssf in product(possible, _scrambling_counters(place)):
            kind = (reading.qm, reading.sci.transmission_format, n_ssf)
            if kind not in received:
                codeword = receive_pssch(
                    self._carrier,
                    subframe.grid,
                    prbs,
                    reading.sci.mcs,
                    found.crc,
                    n_ssf,
                    Mode.TM34,
                    dmrs_n_ssf=place.n_ssf,
                    transmission_format=reading.sci.transmission_format,
                )
                received[kind] = HeardTransmission.of(self._timeline, subframe, prbs, codeword)
            if self._solve(received[kind], reading, place):
                self._votes.add(reading.sub_channels, place, subframe.index)
                return reading
        self._note(next(iter(received.values())), possible[0].sci, None, len(prbs))
        return possible[0]

    def _solve(self, heard: HeardTransmission, reading: Reading, place: _Place) -> bool:
        """Recognise a transmission as a repeat, or decode it alone, else with the one it repeats; list the block."""
        sci, qm = reading.sci, reading.qm
        repeated = self._repeated_by(heard, sci)
        for initial in repeated:
            coded = initial.coded
            if coded is not None and agrees(heard.received, coded, qm, V2X_RV_SEQUENCE[1]):
                self._join(initial, heard, initial.finding.bits, initial.finding.size_n_prb)
                return True
        for size_n_prb, tb_bits in reading.block_sizes(is_adjacent=place.is_adjacent):
            bits = decode_run((heard,), (V2X_RV_SEQUENCE[sci.retransmission_index],), tb_bits, qm)
            for initial in repeated:
                if bits is None:
                    bits = decode_run((initial.heard, heard), V2X_RV_SEQUENCE, tb_bits, qm)
            if bits is None:
                continue
            for initial in repeated:
                if carries(initial.heard, bits, qm, V2X_RV_SEQUENCE[0]):
                    self._join(initial, heard, bits, size_n_prb)
                    return True
            self._note(heard, sci, bits, size_n_prb)
            return True
        return False

    def _note(self, heard: HeardTransmission, sci: SciFormat1, bits: Bits | None, size_n_prb: int) -> None:
        """List the block of one transmission, or keep it for its repeat; `bits` is None where its CRC failed."""
        rvs = (V2X_RV_SEQUENCE[sci.retransmission_index],)
        finding = found_block((heard,), rvs, sci.mcs, bits, size_n_prb)
        if sci.retransmission_index == 0 and sci.time_gap:
            key = _key(sci, len(heard.prbs))
            coded = None if bits is None else CodedBlock(bits)
            self._initial.setdefault(key, []).append(_Initial(heard=heard, key=key, finding=finding, coded=coded))
        else:
            self._order.take(finding)

    def _join(self, initial: _Initial, heard: HeardTransmission, bits: Bits, size_n_prb: int) -> None:
        """List a repeat with its initial transmission."""
        run = (initial.heard, heard)
        self._order.take(found_block(run, V2X_RV_SEQUENCE, initial.finding.mcs, bits, size_n_prb))
        self._initial[initial.key].remove(initial)

    def _repeated_by(self, heard: HeardTransmission, sci: SciFormat1) -> list[_Initial]:
        """Initial transmissions that `heard` may repeat; the gap between them counts the pool's subframes only."""
        if not sci.retransmission_index:
            return []
        waiting = self._initial.get(_key(sci, len(heard.prbs)), [])
        return [initial for initial in waiting if sci.time_gap <= heard.subframe - initial.heard.subframe]

    def _give_up(self, oldest: int) -> None:
        """List initial transmissions before subframe `oldest` without a repeat."""
        for key, waiting in list(self._initial.items()):
            while waiting and waiting[0].heard.subframe < oldest:
                self._order.take(waiting.pop(0).finding)
            if not waiting:
                del self._initial[key]


def _key(sci: SciFormat1, n_prb: int) -> _Key:
    """What the SCIs of both transmissions of a block have in common, and the width of both."""
    return sci.priority, sci.resource_reservation, sci.time_gap, sci.mcs, sci.transmission_format, n_prb


def _threshold(n_tries: int, n_symbols: int, width: int) -> float:
    """Coherence that noise exceeds once in a thousand times at `n_tries` places."""
    return math.sqrt(math.log(n_tries / _FALSE_ALARM) / (n_symbols * (width * SUBCARRIERS_PER_PRB - 1)))


def _scrambling_counters(place: _Place) -> tuple[int, ...]:
    """n_ssf to descramble with: that of the DMRS; any where a generator counted its DMRS from each subframe anew."""
    return (place.n_ssf,) if place.n_ssf else tuple(range(N_SSF))


def _finding(
    timeline: Timeline,
    subframe: RecordedSubframe,
    found: V2xPscchReception,
    sci: SciFormat1,
    is_confirmed: bool,
    share: float,
) -> FoundSci:
    return FoundSci(
        subframe=subframe.index,
        prb=found.prb,
        sci=sci,
        bits=found.bits,
        crc=found.crc,
        snr_db=found.snr_db,
        evm_db=found.evm_db,
        cfo_hz=subframe.cfo_hz + found.cfo_hz,
        timing_samples=timeline.timing_of(subframe, found.timing_error_samples),
        is_confirmed=is_confirmed,
        agreement=share,
    )
