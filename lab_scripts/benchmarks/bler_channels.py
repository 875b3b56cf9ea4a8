"""The sidelink channels of a block error measurement: what each sends in a trial, and when it counts as received.

A trial is one message with all its transmissions. It is sent at unit power to a resource element; `hear` passes it
through the air. Timing is that of the first path, the carrier offset is zero, except for the synchronisation signal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

import numpy as np

from radio.arrays import Iq, Llrs
from radio.phy.dsp.modulation import QPSK
from radio.phy.dsp.rotation import rotate
from radio.phy.lte.channels.indications import Synchronised
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.psbch import receive_psbch
from radio.phy.lte.channels.pscch import receive_pscch
from radio.phy.lte.channels.psdch import MESSAGE_BITS, receive_psdch
from radio.phy.lte.channels.pssch import pssch_c_init, receive_pssch
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer, decode_transport_blocks
from radio.phy.lte.channels.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.lte.channels.waveform import subframe_waveform
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.dmrs import pssch_dmrs
from radio.phy.lte.grid.estimation import ChannelEstimate
from radio.phy.lte.grid.layout import Mode, communication_layout
from radio.phy.lte.grid.mapping import allocation_subcarriers, demodulate_codeword
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.tbs import modulation_order, transport_block_size
from radio.phy.lte.pools.mode2 import RV_SEQUENCE, SidelinkPools, SyncConfig
from radio.phy.lte.ue_phy import UePhy

Hear: TypeAlias = Callable[[int, int, Iq], Iq]
"""(trial, subframe, samples sent from the start of that subframe on) -> the received samples."""

BATCH: Final = 16
"""Trials worked on side by side: the lanes of the turbo decoder."""
_VARIANTS: Final = 8
"""Different messages, taken in turn."""
_SYNC_VARIANTS: Final = 128
_SEED: Final = 1
_NARROW: Final = Carrier(6)
_WIDER: Final = Carrier(15)
_N_SL_ID: Final = 201
_N_ID_SA: Final = 77
_LARGEST_CFO_HZ: Final = 7500.0


class Subject(Protocol):
    """One channel."""

    @property
    def label(self) -> str:
        """Its name in tables and plots."""
        ...

    @property
    def carrier(self) -> Carrier:
        """The carrier of its transmissions."""
        ...

    @property
    def n_transmissions(self) -> int:
        """Number of transmissions of a message in a trial; the first is at subframe 0."""
        ...

    def arrivals(self, trials: Sequence[int], snr_db: float, hear: Hear) -> list[int]:
        """For each trial the number of transmissions after which its message was received; 0 if it never was."""
        ...


@dataclass(frozen=True, slots=True)
class Broadcast:
    """MIB-SL on PSBCH: one transmission."""

    label: str = "PSBCH"
    carrier: Carrier = _NARROW
    n_transmissions: int = 1

    def arrivals(self, trials: Sequence[int], snr_db: float, hear: Hear) -> list[int]:  # noqa: ARG002
        """See `Subject.arrivals`."""
        return [int(self._is_received(trial, hear)) for trial in trials]

    def _is_received(self, trial: int, hear: Hear) -> bool:
        mib, iq = _broadcast(trial % _VARIANTS)
        return receive_psbch(self.carrier, scfdma.demodulate(self.carrier, hear(trial, 0, iq)), _N_SL_ID).mib == mib


@dataclass(frozen=True, slots=True)
class Control:
    """SCI format 0 on PSCCH: two transmissions, each decoded by itself, one of them is enough."""

    label: str = "PSCCH"
    carrier: Carrier = _NARROW
    n_transmissions: int = 2

    def arrivals(self, trials: Sequence[int], snr_db: float, hear: Hear) -> list[int]:  # noqa: ARG002
        """See `Subject.arrivals`."""
        return [self._arrival(trial, hear) for trial in trials]

    def _arrival(self, trial: int, hear: Hear) -> int:
        for n, prb in enumerate((0, self.carrier.n_prb // 2)):
            sci, iq = _control(trial % _VARIANTS, prb)
            found = receive_pscch(self.carrier, scfdma.demodulate(self.carrier, hear(trial, 2 * n, iq)), (prb,))
            if [reception.sci for reception in found] == [sci]:
                return n + 1
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A transport block on PSSCH, its four transmissions combined.

    `known_channel`: the receiver gets the channel, which must be white noise alone.
    """

    n_prb: int
    mcs: int
    known_channel: bool = False
    carrier: Carrier = _WIDER
    n_transmissions: int = len(RV_SEQUENCE)

    @property
    def label(self) -> str:
        """Its name in results and pictures."""
        modulation = "QPSK" if modulation_order(self.mcs) == QPSK else "16QAM"
        known = ", channel known" if self.known_channel else ""
        return f"PSSCH {modulation} MCS {self.mcs}, {self.n_prb} PRB{known}"

    def arrivals(self, trials: Sequence[int], snr_db: float, hear: Hear) -> list[int]:
        """See `Subject.arrivals`."""

        def soft_bits(trial: int, n: int) -> Llrs:
            tx, iq = _shared(self.carrier, self.n_prb, self.mcs, trial % _VARIANTS, n)
            return self._soft_bits(tx, hear(trial, 2 * n, iq), snr_db)

        return _combined(trials, transport_block_size(self.mcs, self.n_prb), modulation_order(self.mcs), soft_bits)

    def _soft_bits(self, tx: PsschTx, iq: Iq, snr_db: float) -> Llrs:
        grid = scfdma.demodulate(self.carrier, iq)
        if not self.known_channel:
            return receive_pssch(self.carrier, grid, tx.prbs, tx.mcs, tx.n_id_sa, tx.n_ssf).llrs
        layout = communication_layout(Mode.TM12, self.carrier.cp)
        noise = 10 ** (-snr_db / 10)
        dmrs = pssch_dmrs(len(tx.prbs), tx.n_id_sa, tx.n_ssf, Mode.TM12)
        weights = np.zeros((len(layout.sent), len(dmrs)), np.complex64)
        weights[:, 0] = 1
        truth = ChannelEstimate(
            channel=np.ones(dmrs.shape, np.complex64),
            weights=weights,
            disturbance=np.full(len(layout.sent), noise, np.float32),
            signal_power=1.0,
            noise_power=noise,
            cfo_hz=0.0,
            timing_error_samples=0.0,
        )
        subcarriers = allocation_subcarriers(self.carrier, tx.prbs)
        c_init = pssch_c_init(tx.n_id_sa, tx.n_ssf)
        return demodulate_codeword(grid, subcarriers, layout, truth, modulation_order(tx.mcs), c_init).llrs


@dataclass(frozen=True, slots=True)
class Discovery:
    """A discovery message on PSDCH, its four transmissions combined."""

    label: str = "PSDCH"
    carrier: Carrier = _NARROW
    n_transmissions: int = len(RV_SEQUENCE)

    def arrivals(self, trials: Sequence[int], snr_db: float, hear: Hear) -> list[int]:  # noqa: ARG002
        """See `Subject.arrivals`."""

        def soft_bits(trial: int, n: int) -> Llrs:
            iq = _discovery(trial % _VARIANTS, n)
            return receive_psdch(self.carrier, scfdma.demodulate(self.carrier, hear(trial, n, iq)), 0).llrs

        return _combined(trials, MESSAGE_BITS, QPSK, soft_bits)


@dataclass(frozen=True, slots=True)
class Synchronisation:
    """A UE without any knowledge: PSSS, SSSS and PSBCH at any sample and carrier offset, up to three occasions."""

    label: str = "Synchronisation"
    carrier: Carrier = _NARROW
    n_transmissions: int = 3

    def arrivals(self, trials: Sequence[int], snr_db: float, hear: Hear) -> list[int]:  # noqa: ARG002
        """See `Subject.arrivals`."""
        return [self._arrival(trial, hear) for trial in trials]

    def _arrival(self, trial: int, hear: Hear) -> int:
        sync = SyncConfig(offset_indicators=(0,))
        ue = UePhy(self.carrier, SidelinkPools(n_prb=self.carrier.n_prb, sync=sync))
        for n in range(self.n_transmissions):
            mib, iq = _synchronisation(trial % _SYNC_VARIANTS, n)
            first = n * sync.period
            found = ue.receive(hear(trial, first, iq), first * self.carrier.samples_per_subframe)
            if found and isinstance(found[0], Synchronised):
                return n + 1 if (found[0].n_sl_id, found[0].mib) == (_N_SL_ID, mib) else 0
        return 0


def _combined(trials: Sequence[int], n_bits: int, qm: int, soft_bits: Callable[[int, int], Llrs]) -> list[int]:
    """Combine transmission after transmission of all trials until their CRCs hold."""
    arrived = dict.fromkeys(trials, 0)
    buffers = {trial: SlSchSoftBuffer(n_bits) for trial in trials}
    for n, rv in enumerate(RV_SEQUENCE):
        for trial, buffer in buffers.items():
            buffer.combine(soft_bits(trial, n), qm, rv)
        decoded = decode_transport_blocks(list(buffers.values()))
        for trial, block in zip(tuple(buffers), decoded, strict=True):
            if block.crc_ok:
                arrived[trial] = n + 1
                del buffers[trial]
    return list(arrived.values())


@lru_cache(maxsize=_VARIANTS)
def _broadcast(variant: int) -> tuple[MibSl, Iq]:
    mib = MibSl(bandwidth_prb=6, dfn=variant * 100, subframe=0, in_coverage=False)
    return mib, _sent(_NARROW, SlssTx(n_sl_id=_N_SL_ID, mib=mib))


@lru_cache(maxsize=2 * _VARIANTS)
def _control(variant: int, prb: int) -> tuple[SciFormat0, Iq]:
    sci = SciFormat0(riv=variant, i_trp=40 + variant, mcs=variant, group_destination_id=17 * variant)
    return sci, _sent(_NARROW, PscchTx(prb=prb, sci=sci))


@lru_cache(maxsize=16 * _VARIANTS)
def _shared(carrier: Carrier, n_prb: int, mcs: int, variant: int, n: int) -> tuple[PsschTx, Iq]:
    block = np.random.default_rng((_SEED, mcs, variant)).bytes(transport_block_size(mcs, n_prb) // 8)
    tx = PsschTx(
        prbs=tuple(range(n_prb)), mcs=mcs, n_id_sa=_N_ID_SA, n_ssf=2 * n, rv=RV_SEQUENCE[n], transport_block=block
    )
    return tx, _sent(carrier, tx)


@lru_cache(maxsize=len(RV_SEQUENCE) * _VARIANTS)
def _discovery(variant: int, n: int) -> Iq:
    message = np.random.default_rng((_SEED, variant)).bytes(MESSAGE_BITS // 8)
    return _sent(_NARROW, PsdchTx(prb=0, rv=RV_SEQUENCE[n], message=message))


@lru_cache(maxsize=3 * _SYNC_VARIANTS)
def _synchronisation(variant: int, n: int) -> tuple[MibSl, Iq]:
    """A synchronisation subframe somewhere in four subframes' time, off by its trial's carrier offset."""
    rng = np.random.default_rng((_SEED, variant))
    start = int(rng.integers(_NARROW.samples_per_subframe, 2 * _NARROW.samples_per_subframe))
    cfo_hz = float(rng.uniform(-_LARGEST_CFO_HZ, _LARGEST_CFO_HZ))
    mib = MibSl(bandwidth_prb=6, dfn=variant + 4 * n, subframe=0, in_coverage=False)
    iq = np.zeros(4 * _NARROW.samples_per_subframe, np.complex64)
    iq[start : start + _NARROW.samples_per_subframe] = _sent(_NARROW, SlssTx(n_sl_id=_N_SL_ID, mib=mib))
    return mib, rotate(iq, cfo_hz, _NARROW.sample_rate_hz)


def _sent(carrier: Carrier, transmission: Transmission) -> Iq:
    iq = subframe_waveform(carrier, [transmission])
    iq.setflags(write=False)
    return iq
