"""Channel interleaver of the sidelink channels (TS 36.212 5.4.1.4, 5.4.2.5, 5.2.2.7, 5.2.2.8).

The bits of a codeword are grouped to modulation symbols of Q_m bits, written row by row into a matrix with one column
for each SC-FDMA symbol, and read column by column. Neighbouring coded bits so stand in different SC-FDMA symbols, and a
symbol that is lost or disturbed costs bits that lie apart. The functions here are the readable definition;
`grid.mapping` has it folded into its kernels, and a test holds the two equal.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from radio.phy.fec.errors import CodingError

Scalar = TypeVar("Scalar", bound=np.generic)


def _n_rows(g: int, n_columns: int, qm: int) -> int:
    if n_columns < 1 or qm < 1 or g % (n_columns * qm):
        raise CodingError(f"{g} bits do not fill {n_columns} columns of {qm}-bit symbols")
    return g // (n_columns * qm)


def interleave(
    bits: np.ndarray[tuple[int, ...], np.dtype[Scalar]], n_columns: int, qm: int
) -> np.ndarray[tuple[int, ...], np.dtype[Scalar]]:
    """Write symbols of `qm` bits row by row over `n_columns` columns, read them column by column.

    `bits` (..., g) of any type; `n_columns` is the number of SC-FDMA symbols that carry data. Returns (..., g).
    Raises CodingError when g is no multiple of n_columns * qm.
    """
    n_rows = _n_rows(bits.shape[-1], n_columns, qm)
    matrix = bits.reshape(*bits.shape[:-1], n_rows, n_columns, qm)
    return np.ascontiguousarray(matrix.swapaxes(-3, -2)).reshape(bits.shape)


def deinterleave(
    llrs: np.ndarray[tuple[int, ...], np.dtype[Scalar]], n_columns: int, qm: int
) -> np.ndarray[tuple[int, ...], np.dtype[Scalar]]:
    """Undo `interleave`: (..., g) of any type to (..., g).

    Raises CodingError when g is no multiple of n_columns * qm.
    """
    n_rows = _n_rows(llrs.shape[-1], n_columns, qm)
    matrix = llrs.reshape(*llrs.shape[:-1], n_columns, n_rows, qm)
    return np.ascontiguousarray(matrix.swapaxes(-3, -2)).reshape(llrs.shape)
