"""Survey of discovery messages: PSDCH with no knowledge of the resource pool.

Transmissions that fail alone are kept. Which of them are repeats of one message, and in which redundancy versions,
shows in their soft bits: those of one coded bit agree. Only runs that agree are decoded together. The soft bits of all
that are kept stand in one array, so that a new transmission is compared with all of them in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Bits, Floats
from radio.phy.dsp.bitfields import bits_to_bytes
from radio.phy.dsp.modulation import QPSK
from radio.phy.fec.turbo_layout import N_LANES
from radio.phy.lte.channels.coded_block import CodedBlock
from radio.phy.lte.channels.psdch import MESSAGE_BITS, N_PSDCH_PRBS, receive_psdch_batch
from radio.phy.lte.channels.sl_sch import decode_short_blocks, soft_bits_of
from radio.phy.lte.grid.mapping import CodewordReception
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import RV_SEQUENCE
from radio.phy.lte.survey.blind_blocks import MIN_AGREEMENT_SIGMAS, HeardTransmission, agrees, carries, decode_run
from radio.phy.lte.survey.findings import FoundDiscovery
from radio.phy.lte.survey.order import TimeOrder
from radio.phy.lte.survey.scene import Scene
from radio.phy.lte.survey.subframe_timeline import Anchor, Timeline

_MIN_COHERENCE = 0.3
_MIN_RELATIVE_ENERGY = 1e-4
_MAX_UNSOLVED = 64
_MIN_REPEAT_SIGMAS = 4.0
_LONGEST_REPEAT = 40
"""Subframes within which the repeats of a message are looked for."""
_DECODED_AT_ONCE = N_LANES // len(RV_SEQUENCE)
"""Transmissions that fill the lanes of the turbo decoder, each in every redundancy version."""
PATIENCE = (len(RV_SEQUENCE) + 1) * _LONGEST_REPEAT
_GROUPS = np.zeros((1, 2), dtype=np.int64)
"""Sequence group of both reference symbols (TS 36.211 9.8)."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Solved:
    """A message that decoded, the subframes it was heard in, and the place in the rv sequence heard last.

    `signs` float32 (4, e) are the signs of its codeword in every redundancy version, in the order of the sequence.
    """

    finding: FoundDiscovery
    subframes: list[int]
    signs: npt.NDArray[np.float32]
    place: int

    def whole(self) -> FoundDiscovery:
        """The finding with every subframe."""
        return replace(self.finding, subframes=tuple(self.subframes))


class DiscoverySurvey:
    """Search of the subframes of a recording for discovery messages, in order; every finding goes to `order`."""

    def __init__(self, carrier: Carrier, timeline: Timeline, order: TimeOrder) -> None:
        self._carrier = carrier
        self._timeline = timeline
        self._order = order
        self._unsolved: dict[int, HeardTransmission] = {}
        """Transmissions that failed, by their slot in `_soft_bits`."""
        self._soft_bits = np.zeros((_MAX_UNSOLVED, len(RV_SEQUENCE), 0), dtype=np.float32)
        """Soft bits of these where each redundancy version puts them, zero in empty slots."""
        self._solved: list[_Solved] = []
        self._signs: npt.NDArray[np.float32] | None = None
        """Signs of all messages in `_solved`, made when they are asked for."""
        self.latest: Anchor | None = None
        """Timing and carrier offset of the message heard last."""

    def take(self, scene: Scene, taken: npt.NDArray[np.bool_]) -> None:
        """Try every pair of PRBs of one subframe that carries the reference signal.

        `taken` is bool (n_prb,): marked PRBs are not tried, and the method marks the PRBs of what decodes.
        """
        unknown = []
        for heard, scores in self._hear(scene, taken):
            if not _is_taken(heard, taken):
                if self._continues(heard, scores):
                    taken[heard.prbs[0] : heard.prbs[-1] + 1] = True
                else:
                    unknown.append(heard)
        while unknown := [heard for heard in unknown if not _is_taken(heard, taken)]:
            batch, unknown = unknown[:_DECODED_AT_ONCE], unknown[_DECODED_AT_ONCE:]
            for heard, alone in zip(batch, _decode_alone([heard.received for heard in batch]), strict=True):
                if not _is_taken(heard, taken) and self._solve(heard, alone):
                    taken[heard.prbs[0] : heard.prbs[-1] + 1] = True
        oldest = scene.index - _LONGEST_REPEAT
        for slot in [slot for slot, heard in self._unsolved.items() if heard.subframe < oldest]:
            self._forget(slot)
        self._settle(oldest)

    def finish(self) -> None:
        """Hand over the findings that are still held."""
        for solved in self._solved:
            self._order.take(solved.whole())
        self._solved.clear()

    def _settle(self, oldest: int) -> None:
        """Hand over messages that no further transmission can join."""
        if any(solved.subframes[-1] < oldest for solved in self._solved):
            kept = []
            for solved in self._solved:
                if solved.subframes[-1] < oldest:
                    self._order.take(solved.whole())
                else:
                    kept.append(solved)
            self._solved, self._signs = kept, None

    def _hear(
        self, scene: Scene, taken: npt.NDArray[np.bool_]
    ) -> list[tuple[HeardTransmission, npt.NDArray[np.bool_]]]:
        """Receive where the reference signals are, and compare each reception with the known messages."""
        prbs = self._places(scene, taken)
        if not prbs.size:
            return []
        batch = receive_psdch_batch(self._carrier, scene.grid, prbs)
        if self._signs is None and self._solved:
            self._signs = np.array([solved.signs for solved in self._solved])
        if self._signs is None or not self._solved:
            alike = np.zeros((len(batch), 0, len(RV_SEQUENCE)), dtype=np.bool_)
        else:
            alike = _scores(self._signs, batch.llrs) > MIN_AGREEMENT_SIGMAS
        return [
            (
                HeardTransmission.of(self._timeline, scene.subframe, (prb, prb + 1), batch.reception(i)),
                alike[i],
            )
            for i, prb in enumerate(prbs.tolist())
        ]

    def _places(self, scene: Scene, taken: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        prbs = scene.free_prbs(N_PSDCH_PRBS, taken)
        if not prbs.size:
            return prbs
        coherence, energy = scene.products.coherence(prbs, N_PSDCH_PRBS, _GROUPS)
        floor = _MIN_RELATIVE_ENERGY * scene.products.peak
        return prbs[(coherence[0] > _MIN_COHERENCE) & (energy > floor)]

    def _continues(self, heard: HeardTransmission, alike: npt.NDArray[np.bool_]) -> bool:
        """Whether a transmission is one more of a known message; if so, add it to the message.

        `alike` (n_known, 4) says with which messages and redundancy versions its soft bits agree.
        """
        which, places = alike.nonzero()
        for i, place in zip(which.tolist(), places.tolist(), strict=True):
            known = self._solved[i]
            if 0 < heard.subframe - known.subframes[-1] <= _LONGEST_REPEAT and place > known.place:
                known.subframes.append(heard.subframe)
                known.place = place
                return True
        return False

    def _solve(self, heard: HeardTransmission, alone: tuple[int, Bits] | None) -> bool:
        """Decode a transmission alone, else together with earlier ones, else keep it for later ones."""
        if alone is not None:
            place, bits = alone
            self._keep([heard], place, place, bits)
            return True
        soft_bits = soft_bits_of(heard.received.llrs[None], MESSAGE_BITS, RV_SEQUENCE)[0]
        for last in range(1, len(RV_SEQUENCE)):
            slots, first = self._run_to(heard.subframe, soft_bits, last)
            if not slots:
                continue
            run = [*(self._unsolved[slot] for slot in slots), heard]
            together = decode_run(run, RV_SEQUENCE[first : last + 1], MESSAGE_BITS, QPSK)
            if together is not None:
                for slot in slots:
                    self._forget(slot)
                self._keep(run, first, last, together)
                return True
        self._remember(heard, soft_bits)
        return False

    def _remember(self, heard: HeardTransmission, soft_bits: npt.NDArray[np.float32]) -> None:
        """Keep a transmission that failed, in place of the oldest where there is no room."""
        if self._soft_bits.shape[1:] != soft_bits.shape:
            self._soft_bits = np.zeros((_MAX_UNSOLVED, *soft_bits.shape), dtype=np.float32)
        free = set(range(_MAX_UNSOLVED)) - self._unsolved.keys()
        slot = min(free) if free else min(self._unsolved, key=lambda i: self._unsolved[i].subframe)
        self._unsolved[slot] = heard
        self._soft_bits[slot] = soft_bits

    def _forget(self, slot: int) -> None:
        del self._unsolved[slot]
        self._soft_bits[slot] = 0

    def _run_to(self, subframe: int, soft_bits: npt.NDArray[np.float32], last: int) -> tuple[list[int], int]:
        """Slots of transmissions before `subframe` that agree with one in place `last` of the rv sequence, in order.

        The second value is the place of the first of them.
        """
        slots: list[int] = []
        following, place = soft_bits[last], last
        while self._unsolved and place > 0:
            shares = agreements(self._soft_bits, place - 1, following)
            for slot, heard in self._unsolved.items():
                if heard.subframe >= subframe:
                    shares[slot] = 0
            best = int(np.argmax(shares))
            place -= 1
            if shares[best] > _MIN_REPEAT_SIGMAS:
                slots.insert(0, best)
                following, subframe, first = self._soft_bits[best, place], self._unsolved[best].subframe, place
            else:
                break
        return slots, first if slots else last

    def _keep(self, run: list[HeardTransmission], first: int, last: int, bits: Bits) -> None:
        """Note a message heard in places `first` to `last` of the rv sequence, and earlier failures that carry it."""
        for rv in reversed(RV_SEQUENCE[:first]):
            for slot, unsolved in list(self._unsolved.items()):
                is_near = 0 < run[0].subframe - unsolved.subframe <= _LONGEST_REPEAT
                if is_near and carries(unsolved, bits, QPSK, rv):
                    run.insert(0, unsolved)
                    self._forget(slot)
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
        n_coded = latest.received.llrs.size
        coded = CodedBlock(bits)
        signs = np.array([coded.signs(n_coded, QPSK, rv) for rv in RV_SEQUENCE])
        self._solved.append(
            _Solved(finding=finding, subframes=[heard.subframe for heard in run], signs=signs, place=last)
        )
        self._signs = None
        self.latest = Anchor(start=finding.timing_samples, cfo_hz=finding.cfo_hz)


def solve_discovery(received: CodewordReception) -> Bits | None:
    """The bits, uint8 (232,), of the discovery message that one transmission carries.

    All redundancy versions are tried. Returns None if none decodes.
    """
    (solved,) = _decode_alone([received])
    return None if solved is None else solved[1]


def _is_taken(heard: HeardTransmission, taken: npt.NDArray[np.bool_]) -> bool:
    return bool(taken[heard.prbs[0]] or taken[heard.prbs[-1]])


def _decode_alone(received: Sequence[CodewordReception]) -> list[tuple[int, Bits] | None]:
    """Decode each in every place of the rv sequence, all at once: place and bits of the one whose CRC holds."""
    soft_bits = soft_bits_of(np.array([one.llrs for one in received]), MESSAGE_BITS, RV_SEQUENCE)
    decoded = decode_short_blocks(soft_bits.reshape(-1, soft_bits.shape[2]), MESSAGE_BITS)
    return [
        _likeliest(one, decoded[len(RV_SEQUENCE) * i : len(RV_SEQUENCE) * (i + 1)]) for i, one in enumerate(received)
    ]


def _likeliest(received: CodewordReception, decoded: Sequence[Bits | None]) -> tuple[int, Bits] | None:
    for place, bits in enumerate(decoded):
        # A decoder that is fed too little falls back to zeros, whose CRC is good.
        if bits is not None and (bits.any() or agrees(received, CodedBlock(bits), QPSK, RV_SEQUENCE[place])):
            return place, bits
    return None


@njit(nogil=True, fastmath=True)
def _product_sums(a: Floats, b: Floats) -> tuple[np.float32, np.float32]:
    """Sum of the products and of their squares."""
    total = np.float32(0)
    squares = np.float32(0)
    for n in range(b.size):
        product = a[n] * b[n]
        total += product
        squares += product * product
    return total, squares


@njit(cache=True, nogil=True, fastmath=True)
def agreements(many: Floats, place: int, one: Floats) -> Floats:
    """How far each of many[:, place] agrees with `one` where both hold soft bits, in deviations beyond chance.

    The sum of the products over the root of the sum of their squares; float32 (n, 4, e) and (e,), float32 (n,).
    """
    result = np.zeros(many.shape[0], dtype=np.float32)
    for i in range(many.shape[0]):
        total, squares = _product_sums(many[i, place], one)
        if squares > 0:
            result[i] = total / np.sqrt(squares)
    return result


@njit(cache=True, nogil=True, fastmath=True)
def _scores(signs: Floats, llrs: Floats) -> Floats:
    """How far each row of `llrs` (n, e) agrees with every codeword, in deviations of chance: float32 (n, n_known, 4).

    `signs` is float32 (n_known, 4, e).
    """
    n_known, n_versions, _ = signs.shape
    result = np.zeros((llrs.shape[0], n_known, n_versions), dtype=np.float32)
    for n in range(llrs.shape[0]):
        norm = np.sqrt(_product_sum(llrs[n], llrs[n]))
        if norm > 0:
            for i in range(n_known):
                for j in range(n_versions):
                    result[n, i, j] = _product_sum(signs[i, j], llrs[n]) / norm
    return result


@njit(nogil=True, fastmath=True)
def _product_sum(a: Floats, b: Floats) -> np.float32:
    total = np.float32(0)
    for n in range(b.size):
        total += a[n] * b[n]
    return total
