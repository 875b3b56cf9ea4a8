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
