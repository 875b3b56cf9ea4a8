"""Transport blocks from soft bits whose redundancy versions are unknown: tries the orders a transmitter may use.

A survey hears transmissions of one sender in order, but does not know where a block begins: some transmissions may be
missing. A transmitter sends the versions of a block in a fixed sequence. So a run of successive transmissions is a
stretch of that sequence, and there are few stretches to try.

The combiner first tries each new transmission alone, in every version. If none decodes, it joins it with the failed
ones right before it, in runs of growing length, and tries every stretch of that length. A CRC of 24 bits decides. When
a block is found, earlier failed transmissions are compared with its codeword: those that agree in the version before
belong to it too. So a block is reported with all its transmissions, and the next one starts with an empty list.

A decoder with too little input falls back to all zeros, whose CRC is good. An all-zero block therefore counts only if
its codeword also agrees with the soft bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from radio.arrays import Bits, Llrs
from radio.phy.fec.segmentation import segment
from radio.phy.lte.channels.coded_block import CodedBlock
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer, decode_short_blocks, soft_bits_of
from radio.phy.lte.grid.mapping import CodewordReception
from radio.phy.lte.survey.findings import FoundBlock
from radio.phy.lte.survey.subframe_timeline import RecordedSubframe, Timeline

MIN_AGREEMENT_SIGMAS = 6.0
"""How far soft bits must agree with a codeword beyond chance."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeardTransmission:
    """One transmission of some block; carrier offset and timing as measured in the recording."""

    subframe: int
    prbs: tuple[int, ...]
    cfo_hz: float
    timing_samples: float
    received: CodewordReception

    @classmethod
    def of(
        cls, timeline: Timeline, subframe: RecordedSubframe, prbs: tuple[int, ...], received: CodewordReception
    ) -> HeardTransmission:
        """A reception with its carrier offset and timing counted in the recording."""
        return cls(
            subframe=subframe.index,
            prbs=prbs,
            cfo_hz=subframe.cfo_hz + received.cfo_hz,
            timing_samples=timeline.timing_of(subframe, received.timing_error_samples),
            received=received,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SolvedBlock:
    """A block whose CRC held: its bits, transmissions and their redundancy versions."""

    bits: Bits
    transmissions: tuple[HeardTransmission, ...]
    rvs: tuple[int, ...]


@dataclass(slots=True)
class BlindCombiner:
    """Decodes one sender's transmissions of blocks of `tb_bits` bits, in the order they are heard.

    Every run of successive transmissions is tried with every stretch of `rv_sequence` of its length.
    """

    tb_bits: int
    qm: int
    rv_sequence: Sequence[int]
    unsolved: list[HeardTransmission] = field(default_factory=list)
    """The latest transmissions that belong to no block so far."""

    def take(self, alternatives: Sequence[HeardTransmission]) -> SolvedBlock | None:
        """Add the alternatives of one transmission, the likeliest first.

        Returns the block that the transmission completes, None if it completes none.
        """
        for heard in alternatives:
            solved = self._solve((heard,))
            if solved is not None:
                return self._with_earlier(solved, self.unsolved)
        self.unsolved = [*self.unsolved[1 - len(self.rv_sequence) :], alternatives[0]]
        for length in range(2, len(self.unsolved) + 1):
            solved = self._solve(tuple(self.unsolved[-length:]))
            if solved is not None:
                return self._with_earlier(solved, self.unsolved[:-length])
        return None

    def _with_earlier(self, solved: SolvedBlock, unsolved: Sequence[HeardTransmission]) -> SolvedBlock:
        """A block together with the failed transmissions right before it that carry it too.

        No unsolved transmission remains afterwards.
        """
        self.unsolved = []
        for heard in reversed(unsolved):
            place = self.rv_sequence.index(solved.rvs[0])
            if place == 0 or not carries(heard, solved.bits, self.qm, self.rv_sequence[place - 1]):
                break
            solved = SolvedBlock(
                bits=solved.bits,
                transmissions=(heard, *solved.transmissions),
                rvs=(self.rv_sequence[place - 1], *solved.rvs),
            )
        return solved

    def _solve(self, run: tuple[HeardTransmission, ...]) -> SolvedBlock | None:
        for first in range(len(self.rv_sequence) - len(run) + 1):
            rvs = tuple(self.rv_sequence[first : first + len(run)])
            bits = decode_run(run, rvs, self.tb_bits, self.qm)
            if bits is not None:
                return SolvedBlock(bits=bits, transmissions=run, rvs=rvs)
        return None


def decode_run(run: Sequence[HeardTransmission], rvs: Sequence[int], tb_bits: int, qm: int) -> Bits | None:
    """Bits, uint8 (tb_bits,), of the block that `run` carries in the redundancy versions `rvs`.

    Returns None if the CRC fails.
    """
    bits = _decode_together([transmission.received.llrs for transmission in run], rvs, tb_bits, qm)
    if bits is None:
        return None
    # A decoder that is fed too little falls back to zeros, whose CRC is good: then the codeword has to agree as well.
    if not bits.any() and not all(carries(t, bits, qm, rv) for t, rv in zip(run, rvs, strict=True)):
        return None
    return bits


def _decode_together(llrs: Sequence[Llrs], rvs: Sequence[int], tb_bits: int, qm: int) -> Bits | None:
    if segment(tb_bits).n_blocks == 1:
        soft_bits = soft_bits_of(llrs[0][None], tb_bits, rvs[:1])[0]
        for more, rv in zip(llrs[1:], rvs[1:], strict=True):
            soft_bits += soft_bits_of(more[None], tb_bits, (rv,))[0]
        return decode_short_blocks(soft_bits, tb_bits)[0]
    buffer = SlSchSoftBuffer(tb_bits)
    for transmission, rv in zip(llrs, rvs, strict=True):
        buffer.combine(transmission, qm, rv)
    decoded = buffer.decode()
    return decoded.bits if decoded.crc_ok else None


def carries(heard: HeardTransmission, bits: Bits, qm: int, rv: int) -> bool:
    """Whether a transmission is the redundancy version `rv` of a known block; `bits` is uint8 (tb_bits,)."""
    return agrees(heard.received, CodedBlock(bits), qm, rv)


def agrees(received: CodewordReception, coded: CodedBlock, qm: int, rv: int) -> bool:
    """Whether a received codeword is the redundancy version `rv` of a block that is coded already."""
    return coded.agreement(received.llrs, qm, rv) > MIN_AGREEMENT_SIGMAS


def found_block(
    run: Sequence[HeardTransmission], rvs: Sequence[int], mcs: int, bits: Bits | None, size_n_prb: int | None = None
) -> FoundBlock:
    """The finding that `run` makes.

    `bits` is uint8 (tb_bits,), None if no CRC held; `size_n_prb` is None if the PRBs of the run give the block's size.
    """
    last = run[-1]
    return FoundBlock(
        subframes=tuple(transmission.subframe for transmission in run),
        rvs=tuple(rvs),
        prbs=last.prbs,
        mcs=mcs,
        bits=np.empty(0, dtype=np.uint8) if bits is None else bits,
        crc_ok=bits is not None,
        snr_db=last.received.snr_db,
        evm_db=last.received.evm_db,
        cfo_hz=last.cfo_hz,
        timing_samples=last.timing_samples,
        symbols=last.received.symbols.reshape(-1),
        size_n_prb=len(last.prbs) if size_n_prb is None else size_n_prb,
    )
