"""PSSCH reception of one communication pool: follows the SCIs heard and combines the transmissions of each block.

An SCI announces every transmission of its grant in the SC period: subframes by the pattern I_TRP, PRBs by allocation
and hopping, four to a transport block. The receiver writes all of them down as expected, with a soft buffer for each
block, and in a subframe receives only what is expected there. All blocks that got something new are decoded together.
A block is reported once: at its first good CRC, or as failed after its last transmission, where there was a signal.

UEs that sense keep their resources for some periods. Where a period brings no SCI for this UE, those of the period
before are expected once more: a sender whose SCI was missed, in a fade or while this UE sent, is heard all the same. A
CRC of 24 bits tells whether it was there; if not, nothing is reported, and nothing is expected again.

Bounds: at most `max_active_sci` SCIs are followed in a period, and what is expected is dropped when its subframe has
passed. A repeated SCI changes nothing, and one whose fields no transmitter of this pool may send is not followed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from dataclasses import dataclass, field

from radio.arrays import Grid, Iq
from radio.errors import RadioError
from radio.phy.dsp.bitfields import bits_to_bytes
from radio.phy.lte.channels.indications import TransportBlockReceived
from radio.phy.lte.channels.pssch import receive_pssch
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer, decode_transport_blocks
from radio.phy.lte.grid.mapping import allocation_subcarriers
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.tbs import modulation_order, transport_block_size
from radio.phy.lte.pools.mode2 import ScPool

_ABSENT_SNR_DB = -6.0
"""Below this in the mean of its transmissions and without a good CRC, nothing was sent: a grant need not be used up."""


@dataclass(slots=True, kw_only=True)
class _Block:
    """A transport block of which some transmissions have been received or are expected."""

    sci: SciFormat0
    last_subframe: int
    is_guess: bool
    buffer: SlSchSoftBuffer
    subframes: list[int] = field(default_factory=list)
    prbs: tuple[int, ...] = ()
    snrs: list[float] = field(default_factory=list)
    evm_db: float = 0.0
    is_done: bool = False

    def indication(self, transport_block: bytes, *, crc_ok: bool) -> TransportBlockReceived:
        return TransportBlockReceived(
            subframes=tuple(self.subframes),
            n_id_sa=self.sci.group_destination_id,
            mcs=self.sci.mcs,
            prbs=self.prbs,
            n_transmissions=len(self.subframes),
            crc_ok=crc_ok,
            crc_ok_at=len(self.subframes) if crc_ok else 0,
            transport_block=transport_block,
            snr_db=10 * math.log10(sum(self.snrs) / len(self.snrs)),
            evm_db=self.evm_db,
        )

    @property
    def was_sent(self) -> bool:
        return not self.is_guess and bool(self.snrs) and sum(self.snrs) / len(self.snrs) > 10 ** (_ABSENT_SNR_DB / 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Transmission:
    """One transmission of a block that an SCI announced."""

    block: _Block
    prbs: tuple[int, ...]
    n_ssf: int
    rv: int


class SharedChannelReceiver:
    """All PSSCH reception of one UE in one pool.

    Every subframe goes through `advance`, then through `receive` or `skip`, in order.
    """

    def __init__(
        self,
        carrier: Carrier,
        pool: ScPool,
        listen_ids: Set[int] | None,
        max_active_sci: int,
        on_symbols: Callable[[Iq], None] | None,
    ) -> None:
        self._carrier = carrier
        self._pool = pool
        self._listen_ids = listen_ids
        self._max_active_sci = max_active_sci
        self._on_symbols = on_symbols
        self._span = range(0)
        self._guess_at = 0
        self._heard: dict[SciFormat0, None] = {}
        self._proven: dict[SciFormat0, None] = {}
        """Of this period: SCIs heard, and guesses that brought a block, in order."""
        self._before: tuple[SciFormat0, ...] = ()
        self._expected: dict[int, list[_Transmission]] = {}

    def advance(self, subframe: int) -> None:
        """Begin the next subframe. After the PSCCH of a period, decide what else to expect in the period."""
        if subframe not in self._span:
            period = self._pool.period_of(subframe)
            is_next = self._pool.period_start(period) == self._span.stop
            self._before = (*self._heard, *self._proven) if is_next else ()
            self._span = range(self._pool.period_start(period), self._pool.period_start(period + 1))
            self._guess_at = self._pool.pscch_subframes(period)[-1] + 1
            self._heard.clear()
            self._proven.clear()
        if subframe == self._guess_at and not self._heard:
            for sci in self._before[: self._max_active_sci]:
                self._expect(subframe, sci, is_guess=True)

    def is_due(self, subframe: int) -> bool:
        """Whether a transmission worth receiving is expected in `subframe`."""
        return any(not transmission.block.is_done for transmission in self._expected.get(subframe, ()))

    def follow(self, subframe: int, sci: SciFormat0) -> None:
        """Expect the transmissions that an SCI received in `subframe` announces.

        An SCI has no effect if it is for other UEs, is known, or exceeds the number that the UE may follow.
        """
        if self._listen_ids is not None and sci.group_destination_id not in self._listen_ids:
            return
        if sci in self._heard or len(self._heard) >= self._max_active_sci:
            return
        if self._expect(subframe, sci, is_guess=False):
            self._heard[sci] = None

    def _expect(self, subframe: int, sci: SciFormat0, *, is_guess: bool) -> bool:
        """Expect the transmissions of a grant from `subframe` on.

        Returns False for fields that no transmitter of this pool may send.
        """
        try:
            announced = self._announced(self._pool.period_of(subframe), sci, is_guess=is_guess)
        except RadioError:
            return False
        for at, transmission in announced:
            if at >= subframe:
                self._expected.setdefault(at, []).append(transmission)
        return True

    def _announced(self, period: int, sci: SciFormat0, *, is_guess: bool) -> list[tuple[int, _Transmission]]:
        first, length = self._pool.allocation(sci)
        hopping_bits = self._pool.hopping_bits(sci)
        size = transport_block_size(sci.mcs, length)
        blocks: dict[int, _Block] = {}
        announced = []
        transmissions = self._pool.pssch_transmissions(period, sci.i_trp)
        last_of = {index: subframe for subframe, _, index, _ in transmissions}
        for subframe, n_ssf, index, rv in transmissions:
            if index not in blocks:
                blocks[index] = _Block(
                    sci=sci,
                    last_subframe=last_of[index],
                    is_guess=is_guess,
                    buffer=SlSchSoftBuffer(size),
                )
            prbs = self._pool.prbs(first, length, n_ssf, hopping_bits)
            allocation_subcarriers(self._carrier, prbs)
            announced.append((subframe, _Transmission(block=blocks[index], prbs=prbs, n_ssf=n_ssf, rv=rv)))
        return announced

    def receive(self, subframe: int, grid: Grid) -> list[TransportBlockReceived]:
        """Receive the transmissions that are expected in `subframe`.

        `grid` is complex64 (n_symbols, 12 * N_RB^SL) of any amplitude. Returns the blocks that are complete, good or
        failed.
        """
        due = self._expected.pop(subframe, [])
        tried = [t.block for t in due if not t.block.is_done and self._combine(subframe, grid, t)]
        indications = []
        decoded = decode_transport_blocks([block.buffer for block in tried])
        for block, result in zip(tried, decoded, strict=True):
            # A decoder that is fed too little falls back to zeros, whose CRC is good; no MAC PDU is all zeros.
            if result.crc_ok and result.bits.any():
                block.is_done = True
                if block.is_guess:
                    self._proven[block.sci] = None
                indications.append(block.indication(bits_to_bytes(result.bits), crc_ok=True))
        return indications + _given_up(subframe, due)

    def _combine(self, subframe: int, grid: Grid, transmission: _Transmission) -> bool:
        """Add a transmission to its block; False where there is nothing at all on the air."""
        block = transmission.block
        mcs, n_id_sa = block.sci.mcs, block.sci.group_destination_id
        received = receive_pssch(self._carrier, grid, transmission.prbs, mcs, n_id_sa, transmission.n_ssf)
        if not received.llrs.any():
            return False
        block.buffer.combine(received.llrs, modulation_order(mcs), transmission.rv)
        block.subframes.append(subframe)
        block.prbs = transmission.prbs
        block.snrs.append(10 ** (received.snr_db / 10))
        block.evm_db = received.evm_db
        if self._on_symbols is not None and received.snr_db > _ABSENT_SNR_DB:
            self._on_symbols(received.symbols.reshape(-1))
        return True

    def skip(self, subframe: int) -> list[TransportBlockReceived]:
        """Let a subframe pass that the UE can't receive, for example because it transmits in it."""
        return _given_up(subframe, self._expected.pop(subframe, []))


def _given_up(subframe: int, due: list[_Transmission]) -> list[TransportBlockReceived]:
    """Blocks whose last transmission has passed without a good CRC."""
    failed = []
    for block in (transmission.block for transmission in due):
        if not block.is_done and subframe >= block.last_subframe:
            block.is_done = True
            if block.was_sent:
                failed.append(block.indication(b"", crc_ok=False))
    return failed
