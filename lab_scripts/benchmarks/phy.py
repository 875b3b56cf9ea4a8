"""Speed of the physical layer: steps of a receiver and a transmitter at 50 PRB, turbo code, whole subframes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from lab_scripts.benchmarks import fec, pipeline, survey
from lab_scripts.benchmarks.measure import Case, Result, run_cases
from lab_scripts.exit_codes import ExitCode, LabError
from radio.arrays import Grid, Iq
from radio.emulator.channel.noise import noise_block
from radio.phy.dsp.bitfields import bytes_to_bits
from radio.phy.dsp.rotation import rotate
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.psbch import map_psbch, receive_psbch
from radio.phy.lte.channels.pscch import map_pscch, receive_pscch
from radio.phy.lte.channels.pssch import map_pssch, receive_pssch
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.sl_sch import DecodedTb, SlSchSoftBuffer
from radio.phy.lte.channels.slss import map_slss
from radio.phy.lte.channels.transmissions import PsschTx
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.tbs import modulation_order, transport_block_size
from radio.phy.lte.sync.acquisition import identify
from radio.phy.lte.sync.psss_search import PsssSearch

_SEED: Final = 1
_CARRIER: Final = Carrier(50)
_N_SL_ID: Final = 201
_CFO_HZ: Final = 1000.0
_CONTROL_SNR_DB: Final = 15.0
_SYNC_SNR_DB: Final = 10.0
_SHARED_SNR_DB: Final = 25.0
_N_SSF: Final = 3
_N_ID_SA: Final = 77
_TYPICAL_SCIS: Final = 2


def run(*, quick: bool) -> Iterator[Result]:
    """Time every case, then the whole pipeline."""
    yield from run_cases(cases(), quick=quick)
    yield from pipeline.run(quick=quick)


def cases() -> list[Case]:
    """The timed cases, with the aims of the project."""
    all_prbs = tuple(range(_CARRIER.n_prb))
    some_prbs = all_prbs[:: len(all_prbs) // _TYPICAL_SCIS]
    return [
        Case(name="FFT of a 50-PRB subframe", unit="us", aim=30, prepare=_demodulate),
        Case(name="PSSS search of 1 ms at 15.36 MS/s", unit="ms", aim=0.25, prepare=_search_psss),
        Case(name="SSSS identification", unit="ms", aim=1.0, prepare=_identify_ssss),
        Case(name="PSBCH", unit="ms", aim=0.1, prepare=_receive_psbch),
        Case(
            name=f"PSCCH, 50 candidates, {_TYPICAL_SCIS} SCIs in noise",
            unit="ms",
            aim=0.5,
            prepare=lambda: _search_pscch(some_prbs),
        ),
        Case(name="PSCCH, 50 candidates, an SCI on each", unit="ms", aim=0.5, prepare=lambda: _search_pscch(all_prbs)),
        Case(name="PSSCH receive, 50 PRB, MCS 20, 25 dB", unit="ms", aim=0.6, prepare=lambda: _receive_pssch(50, 20)),
        Case(name="PSSCH receive, 20 PRB, MCS 14, 25 dB", unit="ms", prepare=lambda: _receive_pssch(20, 14)),
        Case(name="PSSCH transmit, 50 PRB, MCS 20, to samples", unit="ms", aim=0.3, prepare=lambda: _transmit(50, 20)),
        *fec.cases(),
        *survey.cases(),
    ]


def _demodulate() -> Callable[[], object]:
    iq = _noisy(np.zeros(_CARRIER.samples_per_subframe, np.complex64), 0.0)
    return lambda: scfdma.demodulate(_CARRIER, iq)


def _search_psss() -> Callable[[], object]:
    """The worst millisecond: it holds a synchronisation signal."""
    iq = _noisy(_synchronisation_subframe(), _SYNC_SNR_DB)
    search = PsssSearch(_CARRIER)
    _make_sure(any(search.push(iq) for _ in range(2)), "the PSSS search")
    return lambda: search.push(iq)


def _identify_ssss() -> Callable[[], object]:
    quiet = np.zeros(_CARRIER.samples_per_subframe, np.complex64)
    iq = np.concatenate((quiet, _synchronisation_subframe(), quiet))
    iq = _noisy(rotate(iq, _CFO_HZ, _CARRIER.sample_rate_hz, 0), _SYNC_SNR_DB)
    search = PsssSearch(_CARRIER)
    per_ms = _CARRIER.samples_per_subframe
    found = [
        (first + peak.subframe_offset, peak)
        for first in range(0, iq.size, per_ms)
        for peak in search.push(iq[first : first + per_ms])
    ]
    _make_sure(bool(found), "the PSSS search")
    offset, peak = found[0]
    here = replace(peak, subframe_offset=offset)
    slss = identify(_CARRIER, iq, here)
    _make_sure(slss is not None and slss.n_sl_id == _N_SL_ID, "the SSSS identification")
    return lambda: identify(_CARRIER, iq, here)


def _receive_psbch() -> Callable[[], object]:
    grid = scfdma.demodulate(_CARRIER, _noisy(_synchronisation_subframe(), _SYNC_SNR_DB))
    _make_sure(receive_psbch(_CARRIER, grid, _N_SL_ID).mib is not None, "the PSBCH receiver")
    return lambda: receive_psbch(_CARRIER, grid, _N_SL_ID)


def _search_pscch(prbs_used: tuple[int, ...]) -> Callable[[], object]:
    grid = _empty_grid()
    for prb in prbs_used:
        sci = SciFormat0(riv=prb, i_trp=40, mcs=9, group_destination_id=prb)
        map_pscch(grid, _CARRIER, sci, prb)
    grid = _through_noise(grid, _CONTROL_SNR_DB)
    candidates = range(_CARRIER.n_prb)
    found = receive_pscch(_CARRIER, grid, candidates)
    _make_sure([reception.prb for reception in found] == list(prbs_used), "the PSCCH receiver")
    return lambda: receive_pscch(_CARRIER, grid, candidates)


def _receive_pssch(n_prb: int, mcs: int) -> Callable[[], object]:
    tx = _shared_block(n_prb, mcs)
    grid = _empty_grid()
    map_pssch(grid, _CARRIER, tx)
    grid = _through_noise(grid, _SHARED_SNR_DB)
    n_bits, qm = transport_block_size(mcs, n_prb), modulation_order(mcs)

    def receive() -> DecodedTb:
        received = receive_pssch(_CARRIER, grid, tx.prbs, mcs, tx.n_id_sa, tx.n_ssf)
        buffer = SlSchSoftBuffer(n_bits)
        buffer.combine(received.llrs, qm, tx.rv)
        return buffer.decode()

    decoded = receive()
    sent = bytes_to_bits(tx.transport_block)
    _make_sure(decoded.crc_ok and np.array_equal(decoded.bits, sent), "the PSSCH receiver")
    return receive


def _transmit(n_prb: int, mcs: int) -> Callable[[], object]:
    tx = _shared_block(n_prb, mcs)

    def transmit() -> Iq:
        grid = _empty_grid()
        map_pssch(grid, _CARRIER, tx)
        return scfdma.modulate(_CARRIER, grid)

    return transmit


def _shared_block(n_prb: int, mcs: int) -> PsschTx:
    octets = np.random.default_rng(_SEED).bytes(transport_block_size(mcs, n_prb) // 8)
    return PsschTx(prbs=tuple(range(n_prb)), mcs=mcs, n_id_sa=_N_ID_SA, n_ssf=_N_SSF, rv=0, transport_block=octets)


def _synchronisation_subframe() -> Iq:
    grid = _empty_grid()
    mib = MibSl(bandwidth_prb=_CARRIER.n_prb, dfn=500, subframe=0, in_coverage=False)
    map_slss(grid, _CARRIER, _N_SL_ID, Mode.TM12)
    map_psbch(grid, _CARRIER, mib, _N_SL_ID)
    return scfdma.modulate(_CARRIER, grid)


def _empty_grid() -> Grid:
    return np.zeros((_CARRIER.n_symbols, _CARRIER.n_subcarriers), np.complex64)


def _through_noise(grid: Grid, snr_db: float) -> Grid:
    return scfdma.demodulate(_CARRIER, _noisy(scfdma.modulate(_CARRIER, grid), snr_db))


def _noisy(iq: Iq, snr_db: float) -> Iq:
    """The samples with white noise, `snr_db` below a resource element of unit power."""
    return iq + noise_block(iq.size, 10 ** (-snr_db / 20), _SEED, 0)


def _make_sure(works: bool, what: str) -> None:
    if not works:
        raise LabError(f"{what} does not work: its speed would say nothing", code=ExitCode.FAILED)
