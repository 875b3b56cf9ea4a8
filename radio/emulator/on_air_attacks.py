"""Attackers between the antennas: they rewrite transport blocks with a good CRC, record and send again, or jam.

They know what any receiver can know: the pools, and the unprotected parts of transmissions. No key, no clock.

An attacker decodes the bursts of one UE with the receiver of a UE. The rewriter changes the octets of a block, encodes
it again and replaces the burst, in time, because an action sees a burst some blocks before it is on the air. The
replayer keeps all bursts of an SC period in which a wanted block was sent, and adds them later while the UE is silent.
The jammer replaces bursts by silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from radio.arrays import Grid, Iq
from radio.emulator.actions import TxPiece
from radio.phy.dsp.bitfields import bits_to_bytes
from radio.phy.lte.channels.pscch import receive_pscch
from radio.phy.lte.channels.pssch import map_pssch, receive_pssch
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer
from radio.phy.lte.channels.transmissions import PsschTx
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.tbs import modulation_order, transport_block_size
from radio.phy.lte.pools.mode2 import CommPool

Rewrite = Callable[[bytes], bytes | None]
"""A transport block -> its replacement (of the same size), None to leave it unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheardBlock:
    """One transmission of a transport block, decoded from the air."""

    tx: PsschTx
    period: int
    tb_index: int


class Eavesdropper:
    """Decodes the transport blocks of one UE, burst by burst; the UE's sample 0 is subframe 0 of its timing."""

    def __init__(self, carrier: Carrier, pool: CommPool) -> None:
        self._carrier = carrier
        self._pool = pool
        self._period = -1
        self._sci: SciFormat0 | None = None
        self._blocks: dict[int, bytes] = {}

    def overhear(self, iq: Iq, first_sample: int) -> OverheardBlock | None:
        """The transport block sent in a burst; None if there is none or it can't be decoded."""
        subframe, offset = divmod(first_sample, self._carrier.samples_per_subframe)
        if offset or len(iq) != self._carrier.samples_per_subframe:
            return None
        period = self._pool.period_of(subframe)
        if period != self._period:
            self._period, self._sci, self._blocks = period, None, {}
        if subframe in self._pool.pscch_subframes(period):
            self._take_control(scfdma.demodulate(self._carrier, iq))
            return None
        if self._sci is None:
            return None
        for at, n_ssf, tb_index, rv in self._pool.pssch_transmissions(period, self._sci.i_trp):
            if at == subframe:
                return self._read_block(iq, self._sci, n_ssf, tb_index, rv)
        return None

    def _take_control(self, grid: Grid) -> None:
        heard = receive_pscch(self._carrier, grid, self._pool.pscch_prbs)
        if heard:
            self._sci = heard[0].sci

    def _read_block(self, iq: Iq, sci: SciFormat0, n_ssf: int, tb_index: int, rv: int) -> OverheardBlock | None:
        first, length = self._pool.allocation(sci)
        prbs = self._pool.prbs(first, length, n_ssf, self._pool.hopping_bits(sci))
        if tb_index not in self._blocks:
            block = self._decode(iq, sci, prbs, n_ssf, rv)
            if block is None:
                return None
            self._blocks[tb_index] = block
        tx = PsschTx(
            prbs=prbs,
            mcs=sci.mcs,
            n_id_sa=sci.group_destination_id,
            n_ssf=n_ssf,
            rv=rv,
            transport_block=self._blocks[tb_index],
        )
        return OverheardBlock(tx=tx, period=self._period, tb_index=tb_index)

    def _decode(self, iq: Iq, sci: SciFormat0, prbs: tuple[int, ...], n_ssf: int, rv: int) -> bytes | None:
        grid = scfdma.demodulate(self._carrier, iq)
        heard = receive_pssch(self._carrier, grid, prbs, sci.mcs, sci.group_destination_id, n_ssf)
        buffer = SlSchSoftBuffer(transport_block_size(sci.mcs, len(prbs)))
        buffer.combine(heard.llrs, modulation_order(sci.mcs), rv)
        decoded = buffer.decode()
        return bits_to_bytes(decoded.bits) if decoded.crc_ok else None


class TransportBlockRewriter:
    """Rewrites one UE's transmissions: a block is decoded, altered, encoded with a good CRC, and sent instead."""

    lookahead_blocks = 0

    def __init__(self, ue: str, carrier: Carrier, pool: CommPool, rewrite: Rewrite) -> None:
        self._ue = ue
        self._carrier = carrier
        self._ear = Eavesdropper(carrier, pool)
        self._rewrite = rewrite
        self.rewritten = 0

    def process(self, piece: TxPiece) -> Iq | None:
        """The piece as it goes on the air."""
        if piece.ue != self._ue or piece.iq is None:
            return piece.iq
        block = self._ear.overhear(piece.iq, piece.first_sample)
        altered = self._rewrite(block.tx.transport_block) if block else None
        if block is None or altered is None:
            return piece.iq
        self.rewritten += 1
        return self._send_instead(block.tx, altered, piece.iq)

    def _send_instead(self, tx: PsschTx, transport_block: bytes, original: Iq) -> Iq:
        grid = np.zeros((self._carrier.n_symbols, self._carrier.n_subcarriers), np.complex64)
        altered = PsschTx(
            prbs=tx.prbs,
            mcs=tx.mcs,
            n_id_sa=tx.n_id_sa,
            n_ssf=tx.n_ssf,
            rv=tx.rv,
            transport_block=transport_block,
        )
        map_pssch(grid, self._carrier, altered)
        iq = scfdma.modulate(self._carrier, grid)
        gain = np.sqrt(np.vdot(original, original).real / np.vdot(iq, iq).real)
        return np.asarray(gain * iq, np.complex64)


@dataclass(slots=True)
class _Recording:
    """Bursts of one SC period, by sample."""

    bursts: list[tuple[int, Iq]] = field(default_factory=list)
    wanted: bool = False


class PeriodReplayer:
    """Records the SC periods of one UE that carry a wanted transport block, and sends them again later.

    Args:
        ue: the UE whose transmissions are recorded.
        carrier, pool: parameters to decode them.
        wanted: decides which transport blocks make their SC period worth recording.
        delay_periods: SC periods between the first sending and the second.
        max_periods: most periods that are kept.
    """

    lookahead_blocks = 0

    def __init__(
        self,
        ue: str,
        carrier: Carrier,
        pool: CommPool,
        wanted: Callable[[bytes], bool],
        *,
        delay_periods: int,
        max_periods: int = 8,
    ) -> None:
        self._ue = ue
        self._pool = pool
        self._samples = carrier.samples_per_subframe
        self._ear = Eavesdropper(carrier, pool)
        self._wanted = wanted
        self._delay_samples = delay_periods * pool.sc_period * self._samples
        self._max_periods = max_periods
        self._recordings: dict[int, _Recording] = {}
        self.replayed = 0

    def process(self, piece: TxPiece) -> Iq | None:
        """The piece as it goes on the air: the UE's own, or a recorded one while the UE is silent."""
        if piece.ue != self._ue:
            return piece.iq
        if piece.iq is not None:
            self._record(piece.iq, piece.first_sample)
            return piece.iq
        return self._play(piece.first_sample, piece.n_samples)

    def _record(self, iq: Iq, first_sample: int) -> None:
        period = self._pool.period_of(first_sample // self._samples)
        block = self._ear.overhear(iq, first_sample)
        recording = self._recordings.setdefault(period, _Recording())
        recording.wanted = recording.wanted or (block is not None and self._wanted(block.tx.transport_block))
        recording.bursts.append((first_sample, iq))
        for old in [p for p, r in self._recordings.items() if p < period and not r.wanted]:
            del self._recordings[old]
        if sum(r.wanted for r in self._recordings.values()) > self._max_periods:
            del self._recordings[period]

    def _play(self, first_sample: int, n_samples: int) -> Iq | None:
        out: Iq | None = None
        for recording in self._recordings.values():
            for recorded_at, iq in recording.bursts if recording.wanted else ():
                start = recorded_at + self._delay_samples - first_sample
                if -len(iq) < start < n_samples:
                    out = np.zeros(n_samples, np.complex64) if out is None else out
                    low, high = max(0, start), min(n_samples, start + len(iq))
                    out[low:high] = iq[low - start : high - start]
                    self.replayed += start >= 0
        return out


class Jammer:
    """Blocks one UE's transmissions for all receivers for a while.

    Args:
        ue: the UE whose transmissions are blocked.
        first_sample, end_sample: begin and end, in that UE's own samples; bursts that begin within are lost.
    """

    lookahead_blocks = 0

    def __init__(self, ue: str, first_sample: int, end_sample: int) -> None:
        self._ue = ue
        self._first_sample = first_sample
        self._end_sample = end_sample
        self.jammed = 0

    def process(self, piece: TxPiece) -> Iq | None:
        """The piece as it goes on the air: silence in place of a burst that begins while the UE is jammed."""
        is_jammed = piece.ue == self._ue and self._first_sample <= piece.first_sample < self._end_sample
        if piece.iq is None or not is_jammed:
            return piece.iq
        self.jammed += 1
        return None
