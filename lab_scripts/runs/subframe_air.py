"""An air of whole subframes: says which SCI, block and message each UE hears, without samples.

Everything from the scheduler up runs as it is; only the PHY is a model (`SubframePhy`). It stands for `UePhy` over the
emulator where many UEs, long times or many seeds are wanted, at a hundredth of the cost. Where both can be run they
are held against each other.

The model. UEs share one timing. A UE that sends in a subframe hears nothing in it. Signals have the same density
whatever their width (`transmit_amplitude`), so a signal's SNR is that of its path. A transmission of PSCCH or PSDCH
that meets others on its PRBs counts where it is stronger than all of them together by `_CAPTURE_DB`, and is lost
otherwise: reference signals are the same for all. The SNRs of the repeats that count add up. A transmission of PSSCH
fills its part of the code's circular buffer (`_SoftBits`) with what log2(1 + SINR) carries; where it meets others of
like strength its soft bits are wrong with confidence, and take away as much. The block is heard once the buffer carries
it.

A link's `loss` is that of the emulator: in stretches of `loss_ms` nothing comes from one UE to the other. `cut` stops
more, as whoever drives the air wants.

What is not modelled: fading, timing and frequency errors, loss of the reference, noise's chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from radio.arrays import Iq
from radio.emulator.channel.erasures import Erasures
from radio.emulator.scenario import Scenario
from radio.phy.lte.channels.indications import (
    DiscoveryReceived,
    Indication,
    MibReceived,
    SciReceived,
    SlssDetected,
    Synchronised,
    TransportBlockReceived,
)
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.lte.grid.tbs import modulation_order, transport_block_size
from radio.phy.lte.pools.mode2 import CommPool, SidelinkPools
from radio.phy.lte.ue_phy import UePhyError

_CAPTURE_DB: Final = 4.0
_SCI_SNR_DB: Final = -1.5
"""Of the sum of both transmissions of an SCI: 9 of 10 are heard at -4 dB each."""
_MESSAGE_SNR_DB: Final = 0.0
_SYNC_SNR_DB: Final = -3.0
_LOSS_DB: Final = 2.0
"""What the decoder falls short of capacity."""
_PARTS: Final = 64
_RATE: Final = 3
"""Coded bits of the circular buffer for each bit of the block."""
_DATA_SYMBOLS: Final = 11
"""SC-FDMA symbols of a PSSCH subframe that carry data (TS 36.211 9.3, 9.8)."""
_ABSENT_SNR: Final = 10 ** (-6.0 / 10)
_MOST_SCIS: Final = 16


def _prbs(tx: Transmission) -> frozenset[int]:
    match tx:
        case PscchTx(prb=prb):
            return frozenset((prb,))
        case PsdchTx(prb=prb):
            return frozenset((prb, prb + 1))
        case PsschTx(prbs=prbs):
            return frozenset(prbs)
        case SlssTx():
            return frozenset()


@dataclass(frozen=True, slots=True)
class _Signal:
    """One transmission as a receiver finds it: SNR and, by PRB, the sum of the SNRs of what it meets there."""

    sender: str
    tx: Transmission
    snr: float
    others: Mapping[int, float]

    @property
    def worst(self) -> float:
        return max(self.others.values(), default=0.0)

    @property
    def captured_snr(self) -> float:
        """SNR where the signal stands clear of all that it meets, 0 otherwise."""
        is_clear = not self.worst or self.snr >= self.worst * 10 ** (_CAPTURE_DB / 10)
        return self.snr / (1 + self.worst) if is_clear else 0.0


class _SoftBits:
    """What has come of one block: for each part of the circular buffer of its code the soft bits, 1 being whole ones.

    A redundancy version fills as much of the buffer as its resource elements hold, from a quarter of the buffer on for
    each number (TS 36.212 5.1.4.1.2). What a collision brings is wrong with confidence: it takes away as much.
    """

    def __init__(self) -> None:
        self._parts = np.zeros(_PARTS)

    def combine(self, signal: _Signal, tx: PsschTx) -> None:
        """Take one transmission."""
        order = modulation_order(tx.mcs)
        brought = 0.0
        for prb in tx.prbs:
            other = signal.others.get(prb, 0.0)
            if other and signal.snr < other * 10 ** (_CAPTURE_DB / 10):
                brought -= 1.0
            else:
                sinr = signal.snr / (1 + other) / 10 ** (_LOSS_DB / 10)
                brought += min(1.0, math.log2(1 + sinr) / order)
        n_bits = order * len(tx.prbs) * SUBCARRIERS_PER_PRB * _DATA_SYMBOLS
        whole, rest = divmod(n_bits / (_RATE * transport_block_size(tx.mcs, len(tx.prbs))), 1.0)
        filled = np.full(_PARTS, whole)
        filled[: round(rest * _PARTS)] += 1.0
        self._parts += brought / len(tx.prbs) * np.roll(filled, tx.rv * _PARTS // 4)

    @property
    def is_decodable(self) -> bool:
        """Whether the right soft bits carry the block in spite of the wrong ones."""
        useful = np.where(self._parts > 0, np.minimum(self._parts, 1.0), np.maximum(0.5 * self._parts, -0.5))
        return bool(useful.mean() * _RATE >= 1.0)


@dataclass(slots=True)
class _Block:
    """A transport block on its way in."""

    sci: SciFormat0
    octets: bytes
    prbs: tuple[int, ...]
    last_subframe: int
    buffer: _SoftBits = field(default_factory=_SoftBits)
    subframes: list[int] = field(default_factory=list)
    snrs: list[float] = field(default_factory=list)
    is_done: bool = False

    def indication(self, *, crc_ok: bool) -> TransportBlockReceived:
        return TransportBlockReceived(
            subframes=tuple(self.subframes),
            n_id_sa=self.sci.group_destination_id,
            mcs=self.sci.mcs,
            prbs=self.prbs,
            n_transmissions=len(self.subframes),
            crc_ok=crc_ok,
            crc_ok_at=len(self.subframes) if crc_ok else 0,
            transport_block=self.octets if crc_ok else b"",
            snr_db=10 * math.log10(max(self.snrs)),
            evm_db=0.0,
        )


class SubframeAir:
    """What each UE sends in a subframe, and what the others make of it.

    Args:
        scenario: places, powers and loss. Delay, fading and interference must be absent.
        first_subframe_of: UE -> the subframe of the air in which its first sample falls.
    """

    def __init__(self, scenario: Scenario, first_subframe_of: Mapping[str, int]) -> None:
        self.first_subframe_of = dict(first_subframe_of)
        self._sent: dict[int, dict[str, Sequence[Transmission]]] = {}
        self._snr: dict[tuple[str, str], float] = {}
        self._erasures: dict[tuple[str, str], Erasures] = {}
        self.cut: Callable[[str, str, int], bool] = lambda _to, _of, _subframe: False
        """(receiver, sender, subframe) -> whether nothing comes through, whatever the link loses by itself."""
        for link in scenario.links:
            for to, of in (link.between, link.between[::-1]):
                received_dbm = scenario.ue(of).tx_power_dbm - link.path_loss_db
                self._snr[to, of] = 10 ** ((received_dbm - scenario.noise_floor_dbm(scenario.ue(to))) / 10)
                if link.loss:
                    self._erasures[to, of] = Erasures(
                        seed=scenario.seed, transmitter=of, receiver=to, share=link.loss, stretch_blocks=link.loss_ms
                    )

    def send(self, name: str, subframe: int, transmissions: Sequence[Transmission]) -> None:
        """A UE sends in a subframe that is still to come."""
        self._sent.setdefault(subframe, {})[name] = transmissions

    def forget_before(self, subframe: int) -> None:
        """All UEs have heard what was sent before."""
        for old in [known for known in self._sent if known < subframe]:
            del self._sent[old]

    def sends(self, name: str, subframe: int) -> bool:
        """Whether a UE is deaf in a subframe since it sends."""
        return name in self._sent.get(subframe, {})

    def heard(self, name: str, subframe: int) -> list[_Signal]:
        """What comes to a UE's antenna in a subframe."""
        present = [
            (other, tx, snr, _prbs(tx))
            for other, transmissions in self._sent.get(subframe, {}).items()
            if (snr := self._snr.get((name, other), 0.0)) > 0 and not self._is_lost(name, other, subframe)
            for tx in transmissions
        ]
        power: dict[int, float] = {}
        for _, _, snr, prbs in present:
            for prb in prbs:
                power[prb] = power.get(prb, 0.0) + snr
        return [
            _Signal(sender, tx, snr, {prb: other for prb in prbs if (other := power[prb] - snr) > 1e-9 * snr})
            for sender, tx, snr, prbs in present
        ]

    def _is_lost(self, to: str, of: str, subframe: int) -> bool:
        erasures = self._erasures.get((to, of))
        return (erasures is not None and erasures.hit(subframe)) or self.cut(to, of, subframe)

    def phy_of(self, name: str) -> Callable[[SidelinkPools, frozenset[int]], SubframePhy]:
        """Makes the PHY of a UE."""
        return lambda pools, listen_ids: SubframePhy(self, name, pools, listen_ids)


class SubframePhy:
    """The PHY of one UE on a `SubframeAir`; it takes one subframe of samples at a time, and looks at their count alone.

    It follows the first source it hears.
    """

    def __init__(self, air: SubframeAir, name: str, pools: SidelinkPools, listen_ids: frozenset[int]) -> None:
        self.carrier = Carrier(pools.n_prb, pools.comm[0].cp)
        self._air = air
        self._name = name
        self._pools = pools
        self._listen_ids = listen_ids
        self._is_synchronised = False
        self._next_subframe = 0
        self._shared = _SharedChannel(pools.comm[0], listen_ids)
        self._messages: dict[tuple[int, bytes], list[tuple[int, int, float]]] = {}

    @property
    def subframe(self) -> int | None:
        """The next subframe to be received; None while there is no timing."""
        return self._next_subframe if self._is_synchronised else None

    def become_sync_ref(self, n_sl_id: int, first_sample: int | None = None) -> None:  # noqa: ARG002
        """Be the reference; the timing is that of the air. Raises UePhyError."""
        if first_sample and not self._is_synchronised:
            raise UePhyError("a modelled PHY has the air's own timing")
        self._is_synchronised = True

    def follow(self, source: SlssDetected) -> Synchronised:
        """Not modelled. Raises UePhyError."""
        raise UePhyError(f"a modelled PHY follows the first source it hears, not {source.n_sl_id}")

    def scan(self, n_subframes: int) -> None:
        """Not modelled. Raises UePhyError."""
        raise UePhyError(f"a modelled PHY does not scan, not for {n_subframes} subframes")

    def transmit(self, subframe: int, transmissions: Sequence[Transmission]) -> tuple[Iq, int]:
        """Put transmissions on the air; the burst is empty."""
        self._air.send(self._name, subframe, transmissions)
        return np.zeros(0, dtype=np.complex64), 0

    def receive(self, iq: Iq, first_sample: int) -> Iterable[Indication]:
        """One subframe goes by. Raises UePhyError for any other number of samples."""
        per_subframe = self.carrier.samples_per_subframe
        if iq.size != per_subframe or first_sample % per_subframe:
            raise UePhyError(f"{iq.size} samples from {first_sample} are not one subframe")
        subframe = self._air.first_subframe_of[self._name] + first_sample // per_subframe
        self._next_subframe = subframe + 1
        signals = [] if self._air.sends(self._name, subframe) else self._air.heard(self._name, subframe)
        indications: list[Indication] = [
            self._synchronise(subframe, first_sample, signal.tx, signal.snr)
            for signal in signals
            if isinstance(signal.tx, SlssTx) and signal.snr >= 10 ** (_SYNC_SNR_DB / 10)
        ]
        if not self._is_synchronised:
            return []
        indications += self._shared.receive(subframe, signals)
        for signal in signals:
            if isinstance(signal.tx, PsdchTx):
                indications += self._take_message(subframe, signal.tx, signal.captured_snr)
        return indications

    def _synchronise(self, subframe: int, first_sample: int, tx: SlssTx, snr: float) -> Synchronised | MibReceived:
        snr_db = 10 * math.log10(snr)
        if not self._is_synchronised:
            self._is_synchronised = True
            return Synchronised(
                subframe=subframe, sample=first_sample, n_sl_id=tx.n_sl_id, mib=tx.mib, cfo_hz=0.0, snr_db=snr_db
            )
        return MibReceived(
            subframe=subframe,
            n_sl_id=tx.n_sl_id,
            mib=tx.mib,
            snr_db=snr_db,
            s_rsrp_dbfs=snr_db - 100.0,
            cfo_hz=0.0,
            timing_error_samples=0.0,
        )

    def _take_message(self, subframe: int, tx: PsdchTx, snr: float) -> Iterable[DiscoveryReceived]:
        period = self._pools.disc[0].period_of(subframe)
        for old in [key for key in self._messages if key[0] < period]:
            del self._messages[old]
        heard = self._messages.setdefault((period, tx.message), [])
        before = sum(known for _, _, known in heard)
        heard.append((subframe, tx.prb, snr))
        needed = 10 ** (_MESSAGE_SNR_DB / 10)
        if before < needed <= before + snr:
            yield DiscoveryReceived(
                subframes=tuple(at for at, _, _ in heard),
                prb=tx.prb,
                message=tx.message,
                n_transmissions=len(heard),
                snr_db=10 * math.log10(max(known for _, _, known in heard)),
            )


_Announced: TypeAlias = tuple[str, SciFormat0]
"""A sender and its SCI: a model may tell apart what two senders announce in the same words."""


class _SharedChannel:
    """PSCCH and PSSCH of one UE: which SCIs are known, and how far each block has come."""

    def __init__(self, pool: CommPool, listen_ids: frozenset[int]) -> None:
        self._pool = pool
        self._listen_ids = listen_ids
        self._period = -1
        self._sums: dict[_Announced, float] = {}
        self._followed: dict[_Announced, bool] = {}
        """Whether the SCI was heard, or a block of its grant was."""
        self._expected: tuple[_Announced, ...] = ()
        self._blocks: dict[tuple[_Announced, int], _Block] = {}

    def receive(self, subframe: int, signals: Sequence[_Signal]) -> Iterable[Indication]:
        period = self._pool.period_of(subframe)
        if period != self._period:
            self._expected = tuple(one for one, is_proven in self._followed.items() if is_proven)
            self._period = period
            self._sums.clear()
            self._followed.clear()
            self._blocks.clear()
        for signal in signals:
            if isinstance(signal.tx, PscchTx):
                yield from self._take_sci(subframe, signal.tx, signal)
        if subframe == self._pool.pscch_subframes(period)[-1] + 1 and not self._followed:
            self._followed = dict.fromkeys(self._expected, False)
        for signal in signals:
            if isinstance(signal.tx, PsschTx):
                yield from self._take_block(subframe, signal.tx, signal)
        for (announced, _), block in list(self._blocks.items()):
            if not block.is_done and subframe >= block.last_subframe:
                block.is_done = True
                if max(block.snrs) > _ABSENT_SNR and self._followed[announced]:
                    yield block.indication(crc_ok=False)

    def _take_sci(self, subframe: int, tx: PscchTx, signal: _Signal) -> Iterable[SciReceived]:
        announced = (signal.sender, tx.sci)
        before = self._sums.get(announced, 0.0)
        snr = self._sums[announced] = before + signal.captured_snr
        if snr < 10 ** (_SCI_SNR_DB / 10):
            return
        if tx.sci.group_destination_id in self._listen_ids and len(self._followed) < _MOST_SCIS:
            self._followed[announced] = True
        yield SciReceived(subframe=subframe, prb=tx.prb, sci=tx.sci, snr_db=10 * math.log10(snr))

    def _take_block(self, subframe: int, tx: PsschTx, signal: _Signal) -> Iterable[TransportBlockReceived]:
        found = self._announcement_of(subframe, tx, signal.sender)
        if found is None:
            return
        announced, index, last = found
        block = self._blocks.get(found[:2])
        if block is None:
            block = self._blocks[announced, index] = _Block(announced[1], tx.transport_block, tx.prbs, last)
        if block.is_done:
            return
        block.subframes.append(subframe)
        block.snrs.append(signal.snr)
        block.buffer.combine(signal, tx)
        if block.buffer.is_decodable:
            block.is_done = True
            self._followed[announced] = True
            yield block.indication(crc_ok=True)

    def _announcement_of(self, subframe: int, tx: PsschTx, sender: str) -> tuple[_Announced, int, int] | None:
        """The SCI followed that announced a transmission, the index of its block, and that block's last subframe."""
        for announced in self._followed:
            of, sci = announced
            if of != sender or sci.group_destination_id != tx.n_id_sa or sci.mcs != tx.mcs:
                continue
            if self._pool.prbs(*self._pool.allocation(sci)) != tx.prbs:
                continue
            transmissions = self._pool.pssch_transmissions(self._period, sci.i_trp)
            index = next((i for at, _, i, _ in transmissions if at == subframe), None)
            if index is not None:
                return announced, index, max(at for at, _, i, _ in transmissions if i == index)
        return None
