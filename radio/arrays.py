"""Array types that flow between the storeys of the radio."""

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

# What compiled kernels take and give, of any shape; their docstrings say the shapes.
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
