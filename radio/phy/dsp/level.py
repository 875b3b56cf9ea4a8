"""Scaling of amplitudes into the range in which float32 can square them.

Nothing a receiver decides depends on the scale of its samples, but its arithmetic does: energies are squares, their
products are fourth powers, and float32 ends at 1e-38 and 3e38. Receivers therefore pass what they work on through
`levelled` first. Values in the usual range are left as they are, not copied; a scale by a power of two loses nothing.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Complexes, Grid, Places

_LARGEST, _SMALLEST = 2.0**20, 2.0**-20
"""Peaks between these are left alone: their squares, and the squares of what is 60 dB below, are far from the ends."""


def levelled(values: Grid, rows: npt.NDArray[np.int64] | None = None) -> tuple[Grid, float]:
    """`values`, complex64 (n_rows, n), scaled to near full scale 1, and the factor used: 1 in the usual range.

    The function looks for the peak in `rows`, or in all rows if that is None. It leaves silent and non-finite input as
    it is.
    """
    peak = float(_peak(values, _all_rows(values.shape[0]) if rows is None else rows))
    if _SMALLEST <= peak <= _LARGEST or peak == 0 or not math.isfinite(peak):
        return values, 1.0
    factor = math.ldexp(1.0, -math.frexp(peak)[1])
    if factor > _LARGEST_FLOAT32_POWER:  # denormal peaks need a factor that float32 does not hold
        return (values * np.float32(_LARGEST_FLOAT32_POWER)) * np.float32(factor / _LARGEST_FLOAT32_POWER), factor
    return values * np.float32(factor), factor


_LARGEST_FLOAT32_POWER = 2.0**127


def _all_rows(n: int) -> npt.NDArray[np.int64]:
    return np.arange(n, dtype=np.int64)


@njit(nogil=True, fastmath=True)
def _peak_of_row(row: Complexes) -> np.float32:
    peak = np.float32(0)
    for n in range(row.size):
        real, imag = abs(row[n].real), abs(row[n].imag)
        larger = real if real > imag else imag
        peak = larger if larger > peak else peak
    return peak


@njit(cache=True, nogil=True)
def _peak(values: Complexes, rows: Places) -> np.float32:
    """The largest real or imaginary part in some rows."""
    peak = np.float32(0)
    for i in range(rows.size):
        peak = max(peak, _peak_of_row(values[rows[i]]))
    return peak
