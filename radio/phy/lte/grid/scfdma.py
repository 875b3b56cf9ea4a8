"""SC-FDMA signal generation and its inverse for one sidelink subframe (TS 36.211 9.9, 5.6).

s(n) = sum_k X_k exp(j 2 pi (k - 6 N_RB + 1/2) n / N) / sqrt(N), with n = 0 at the start of the useful part of each
symbol and negative in its cyclic prefix: half a subcarrier of shift, no DC hole, phase reset in every symbol.

The sum is an inverse DFT of size N after which each sample is turned by exp(j 2 pi n (1/2 - 6 N_RB) / N): the lowest
subcarrier then stands in bin 0, and the grid is copied into the transform as it is, with no shift of halves. The same
pass puts the cyclic prefix in front, since turning by negative n gives exactly the samples of the prefix. The receiver
turns back and transforms; it needs the useful parts only.

Scale: a grid whose elements have unit power gives samples of mean power n_subcarriers / N, and comes back as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Complexes, Grid, Iq, Places
from radio.errors import RadioError
from radio.phy.dsp.fourier import row_transform
from radio.phy.lte.grid.numerology import Carrier


class SubframeShapeError(RadioError):
    """Samples or a grid that are not one subframe of the carrier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    """What depends on the carrier only: read-only arrays for the passes."""

    phasor: npt.NDArray[np.complex64]
    """exp(j 2 pi n (1/2 - 6 N_RB) / N) / sqrt(N) for n from -longest_cp: the lowest subcarrier becomes bin 0."""
    useful_phasor: npt.NDArray[np.complex64]
    """The same from n = 0."""
    longest_cp: int
    useful_starts: npt.NDArray[np.int64]
    cp_samples: npt.NDArray[np.int64]


@lru_cache(maxsize=32)
def _tables(carrier: Carrier) -> _Tables:
    longest = max(carrier.cp_samples)
    n = np.arange(-longest, carrier.fft_size)
    lowest = 0.5 - carrier.n_subcarriers // 2
    phasor = (np.exp(2j * np.pi * lowest * n / carrier.fft_size) / np.sqrt(carrier.fft_size)).astype(np.complex64)
    cp = np.array(carrier.cp_samples, dtype=np.int64)
    starts = np.array(carrier.symbol_starts, dtype=np.int64) + cp
    for array in (phasor, cp, starts):
        array.setflags(write=False)
    useful = phasor[longest:].copy()
    useful.setflags(write=False)
    return _Tables(phasor=phasor, useful_phasor=useful, longest_cp=longest, useful_starts=starts, cp_samples=cp)


def modulate(carrier: Carrier, grid: Grid) -> Iq:
    """Samples of one subframe, complex64 (samples_per_subframe,) (TS 36.211 9.9).

    `grid` is complex64 (n_symbols, n_subcarriers); the guard symbol is whatever its last row holds. Raises
    SubframeShapeError.
    """
    if grid.shape != (carrier.n_symbols, carrier.n_subcarriers):
        raise SubframeShapeError(f"grid of {grid.shape} is not ({carrier.n_symbols}, {carrier.n_subcarriers})")
    tables = _tables(carrier)
    transform = row_transform(carrier.n_symbols, carrier.fft_size, inverse=True)
    transform.input[:, : carrier.n_subcarriers] = grid
    transform.input[:, carrier.n_subcarriers :] = 0
    iq = np.empty(carrier.samples_per_subframe, dtype=np.complex64)
    _add_prefixes(transform.execute(), tables.phasor, tables.longest_cp, tables.useful_starts, tables.cp_samples, iq)
    return iq


def demodulate(carrier: Carrier, iq: Iq, cfo_hz: float = 0.0, first_sample: int = 0) -> Grid:
    """Resource grid of one subframe, complex64 (n_symbols, n_subcarriers), freed of a carrier offset.

    `iq` is complex64 (samples_per_subframe,), from the first sample of its first cyclic prefix. The phase of the
    offset counts from sample 0 of the clock, on which `iq` begins at `first_sample`: the grid is that of
    `rotate(iq, -cfo_hz, ...)`. Raises SubframeShapeError.
    """
    if iq.shape != (carrier.samples_per_subframe,):
        raise SubframeShapeError(f"{iq.shape} samples are not one subframe of {carrier.samples_per_subframe}")
    tables = _tables(carrier)
    transform = row_transform(carrier.n_symbols, carrier.fft_size)
    samples = np.ascontiguousarray(iq, dtype=np.complex64)
    if not cfo_hz:
        _remove_prefixes(samples, tables.useful_phasor, tables.useful_starts, transform.input)
        return transform.execute()[:, : carrier.n_subcarriers].copy()
    _remove_prefixes(samples, _phasor_with_offset(carrier, cfo_hz), tables.useful_starts, transform.input)
    cycles = cfo_hz / carrier.sample_rate_hz
    turns = np.exp(-2j * np.pi * ((cycles * (first_sample + tables.useful_starts)) % 1.0)).astype(np.complex64)
    return transform.execute()[:, : carrier.n_subcarriers] * turns[:, None]


@lru_cache(maxsize=16)
def _phasor_with_offset(carrier: Carrier, cfo_hz: float) -> npt.NDArray[np.complex64]:
    """The phasor of the useful part turned by a carrier offset within a symbol, complex64 (fft_size,), read-only."""
    n = np.arange(carrier.fft_size)
    result = _tables(carrier).useful_phasor * np.exp(2j * np.pi * cfo_hz / carrier.sample_rate_hz * n)
    result = result.astype(np.complex64)
    result.setflags(write=False)
    return result


@njit(nogil=True, fastmath=True)
def _turn_back(values: Complexes, phasor: Complexes, out: Complexes) -> None:
    for n in range(out.size):
        out[n] = values[n] * np.conj(phasor[n])


@njit(nogil=True, fastmath=True)
def _turn(values: Complexes, phasor: Complexes, out: Complexes) -> None:
    for n in range(out.size):
        out[n] = values[n] * phasor[n]


@njit(cache=True, nogil=True, fastmath=True)
def _remove_prefixes(iq: Complexes, phasor: Complexes, useful_starts: Places, out: Complexes) -> None:
    """out[l, n] = iq[start of l + n] * conj(phasor[n])."""
    size = out.shape[1]
    for symbol in range(out.shape[0]):
        start = useful_starts[symbol]
        _turn_back(iq[start : start + size], phasor, out[symbol])


@njit(cache=True, nogil=True, fastmath=True)
def _add_prefixes(
    symbols: Complexes, phasor: Complexes, longest_cp: int, useful_starts: Places, cp_samples: Places, out: Complexes
) -> None:
    """Each symbol behind its cyclic prefix, turned by the phasor that starts anew in it."""
    size = symbols.shape[1]
    for symbol in range(symbols.shape[0]):
        start = useful_starts[symbol]
        cp = cp_samples[symbol]
        row = symbols[symbol]
        _turn(row[size - cp :], phasor[longest_cp - cp :], out[start - cp : start])
        _turn(row, phasor[longest_cp:], out[start : start + size])
