"""Sidelink synchronisation signals: PSSS and SSSS (TS 36.211 9.7).

PSSS is one of two Zadoff-Chu sequences, sent in two neighbouring symbols: which of the two tells in coverage or not
(id_net, id_oon), and the repetition gives a receiver carrier offset and symbol timing at once. SSSS, sent twice too,
is one of 168 interleaved pairs of m-sequences; with the PSSS it makes the identity N_ID^SL, 0 to 335, that UEs of one
timing share. Modes 3 and 4 swap the two halves of SSSS, so that a receiver can tell the mode from it.

Both stand on the middle 62 subcarriers, at the power that PSBCH has on 72.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from radio.arrays import Grid
from radio.errors import RadioError
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier, Cp

N_SL_IDS = 336
N_SLSS_SUBCARRIERS = 62
_N_IDS_PER_SET = 168
_PSSS_ROOTS = (26, 37)
"""Root indices of id_net and id_oon (TS 36.211 9.7.1.1)."""
_RE_AMPLITUDE = math.sqrt(72 / 62)
"""PSSS puts on 62 subcarriers what PSBCH puts on 72 (TS 36.211 9.7.1.2); SSSS is sent at the same power."""

PSSS_SYMBOLS = {Cp.NORMAL: (1, 2), Cp.EXTENDED: (0, 1)}
SSSS_SYMBOLS = {Cp.NORMAL: (11, 12), Cp.EXTENDED: (9, 10)}
"""Symbols of the subframe, by cyclic prefix (TS 36.211 9.7.1.2, 9.7.2.2)."""


class SlssIdError(RadioError):
    """An N_ID^SL outside 0..335."""


def split_n_sl_id(n_sl_id: int) -> tuple[int, int]:
    """(N_ID^(1), N_ID^(2)) of an N_ID^SL (TS 36.211 9.7.2.1). Raises SlssIdError."""
    if not 0 <= n_sl_id < N_SL_IDS:
        raise SlssIdError(f"N_ID^SL {n_sl_id} is outside 0..{N_SL_IDS - 1}")
    return n_sl_id % _N_IDS_PER_SET, n_sl_id // _N_IDS_PER_SET


@lru_cache(maxsize=2)
def psss(n_id_2: int) -> npt.NDArray[np.complex64]:
    """PSSS sequence of a set of identities (0: id_net, 1: id_oon), complex64 (62,), read-only (TS 36.211 6.11.1.1)."""
    n = np.arange(N_SLSS_SUBCARRIERS)
    m = np.where(n < N_SLSS_SUBCARRIERS // 2, n * (n + 1), (n + 1) * (n + 2))
    sequence = np.exp(-1j * np.pi * _PSSS_ROOTS[n_id_2] * m / 63).astype(np.complex64)
    sequence.setflags(write=False)
    return sequence


@lru_cache(maxsize=2 * N_SL_IDS)
def ssss(n_sl_id: int, mode: Mode) -> npt.NDArray[np.float32]:
    """SSSS sequence of an identity, +-1, float32 (62,), read-only (TS 36.211 6.11.2.1).

    Modes 1 and 2 use the sequence of subframe 0, modes 3 and 4 that of subframe 5. Raises SlssIdError.
    """
    n_id_1, n_id_2 = split_n_sl_id(n_sl_id)
    q_prime = n_id_1 // 30
    q = (n_id_1 + q_prime * (q_prime + 1) // 2) // 30
    m_prime = n_id_1 + q * (q + 1) // 2
    m0 = m_prime % 31
    m1 = (m0 + m_prime // 31 + 1) % 31
    s, c, z = (_m_sequence(taps) for taps in ((2, 0), (3, 0), (4, 2, 1, 0)))
    c0, c1 = np.roll(c, -n_id_2), np.roll(c, -n_id_2 - 3)
    first, second = (m0, m1) if mode is Mode.TM12 else (m1, m0)
    sequence = np.empty(N_SLSS_SUBCARRIERS, dtype=np.float32)
    sequence[0::2] = np.roll(s, -first) * c0
    sequence[1::2] = np.roll(s, -second) * c1 * np.roll(z, -(first % 8))
    sequence.setflags(write=False)
    return sequence


@lru_cache(maxsize=3)
def _m_sequence(taps: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """1 - 2 x(i) of the length-31 sequence x(i + 5) = sum of x(i + tap) mod 2, started at 0 0 0 0 1."""
    x = [0, 0, 0, 0, 1]
    for i in range(26):
        x.append(sum(x[i + tap] for tap in taps) % 2)
    return np.array([1 - 2 * bit for bit in x], dtype=np.float32)


def slss_subcarriers(carrier: Carrier) -> slice:
    """The 62 subcarriers of both signals: the middle of the carrier, without a hole for DC."""
    first = carrier.n_subcarriers // 2 - N_SLSS_SUBCARRIERS // 2
    return slice(first, first + N_SLSS_SUBCARRIERS)


def map_slss(grid: Grid, carrier: Carrier, n_sl_id: int, mode: Mode) -> None:
    """Write PSSS and SSSS of `n_sl_id` into `grid`, complex64 (n_symbols, 12 * N_RB^SL) (TS 36.211 9.7).

    Raises SlssIdError.
    """
    band = slss_subcarriers(carrier)
    primary = psss(split_n_sl_id(n_sl_id)[1])
    secondary = ssss(n_sl_id, mode)
    for first, second in zip(PSSS_SYMBOLS[carrier.cp], SSSS_SYMBOLS[carrier.cp], strict=True):
        grid[first, band] = primary * _RE_AMPLITUDE
        grid[second, band] = secondary * _RE_AMPLITUDE
