"""Compiles every kernel of a UE's pipeline by sending one subframe of each channel and receiving it again."""

from __future__ import annotations

import numpy as np

from radio.arrays import Iq
from radio.phy import pscch, psdch, pssch, scfdma
from radio.phy.acquisition import acquire, acquisition_span
from radio.phy.fec.compilation import compile_kernels as compile_coding_kernels
from radio.phy.mib import MibSl
from radio.phy.numerology import Carrier
from radio.phy.psbch import receive_psbch
from radio.phy.psss_search import PsssSearch
from radio.phy.rotation import rotate
from radio.phy.sci import SciFormat0
from radio.phy.tbs import transport_block_size
from radio.phy.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.waveform import subframe_waveform

_MCS_OF_EACH_MODULATION = (5, 14)
_PRBS = tuple(range(2, 12))


def compile_kernels() -> None:
    """Compile, or load from the cache, what a UE at 50 PRB runs."""
    compile_coding_kernels()
    carrier = Carrier(50)
    mib = MibSl(bandwidth_prb=50, tdd_config=0, dfn=0, subframe=0, in_coverage=False)
    _receive_sync(carrier, subframe_waveform(carrier, [SlssTx(n_sl_id=168, mib=mib)]))
    sci = SciFormat0(riv=0, i_trp=40, mcs=5, group_destination_id=1)
    pscch.receive_pscch(carrier, _grid(carrier, PscchTx(prb=3, sci=sci)), range(carrier.n_prb))
    psdch.receive_psdch(carrier, _grid(carrier, PsdchTx(prb=4, rv=0, message=bytes(29))), 4)
    for mcs in _MCS_OF_EACH_MODULATION:
        block = bytes(transport_block_size(mcs, len(_PRBS)) // 8)
        tx = PsschTx(prbs=_PRBS, mcs=mcs, n_id_sa=1, n_ssf=0, rv=0, transport_block=block)
        pssch.receive_pssch(carrier, _grid(carrier, tx), _PRBS, mcs, 1, 0)


def _receive_sync(carrier: Carrier, iq: Iq) -> None:
    samples = np.concatenate((np.zeros_like(iq), iq, np.zeros_like(iq), np.zeros_like(iq)))
    samples = rotate(samples, 100.0, carrier.sample_rate_hz, 0)
    search = PsssSearch(carrier)
    step = carrier.samples_per_subframe
    peaks = [peak for begin in range(0, samples.size, step) for peak in search.push(samples[begin : begin + step])]
    for peak in peaks:
        begin, end = acquisition_span(carrier, peak)
        if begin >= 0 and end <= samples.size:
            acquire(carrier, samples, peak)
            break
    receive_psbch(carrier, scfdma.demodulate(carrier, iq), 168)


def _grid(carrier: Carrier, transmission: Transmission) -> np.ndarray[tuple[int, int], np.dtype[np.complex64]]:
    return scfdma.demodulate(carrier, subframe_waveform(carrier, [transmission]))
