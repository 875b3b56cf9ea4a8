"""Types of the arrays that pass between the packages of `radio`: each name fixes a dtype and a meaning."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Iq: TypeAlias = npt.NDArray[np.complex64]
"""Baseband samples, shape (n_samples,)."""

Grid: TypeAlias = npt.NDArray[np.complex64]
"""Resource grid of one subframe, shape (n_symbols, 12 * n_prb)."""

Bits: TypeAlias = npt.NDArray[np.uint8]
"""Bits, one per element (0 or 1), most significant first."""

Llrs: TypeAlias = npt.NDArray[np.float32]
"""Log-likelihood ratios ln P(0)/P(1): positive means bit 0; 0 is an erasure."""

# Arguments and results of compiled kernels. They have any shape; the docstring of each kernel says which.
Complexes: TypeAlias = npt.NDArray[np.complex64]
DoubleComplexes: TypeAlias = npt.NDArray[np.complex128]
Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Octets: TypeAlias = npt.NDArray[np.uint8]
Int16s: TypeAlias = npt.NDArray[np.int16]
Int32s: TypeAlias = npt.NDArray[np.int32]
Words64: TypeAlias = npt.NDArray[np.uint64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Places: TypeAlias = npt.NDArray[np.int64]
"""Indices into another array, or sizes."""
