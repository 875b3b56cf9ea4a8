"""Scale of the LLRs in the fixed-point decoders: how many integer steps one unit of LLR gets.

The decoders work in 16-bit integers, so LLRs have to be scaled. The scale follows the mean magnitude of the LLRs that
are not erased: the steps are then small against the noise, and sums over a path stay in range.

LLRs can be very large where the noise estimate is nearly zero, and a few of those would dominate the mean. So each LLR
counts up to a limit only. If nearly all LLRs are above the limit, the scale of the LLRs itself is not plausible; the
mean is then taken without the limit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

_CERTAIN_LLR = 32.0  # LLRs above count as this much in the mean, so that a few large ones do not drown the rest
_NEARLY_ALL = 0.9  # share of certain LLRs from which on the scale of the LLRs is not believed
_LARGEST_LLR = 1e30
"""Value that replaces an infinite LLR; the sum over a code block stays inside float32."""


@njit(nogil=True, fastmath={"nsz", "reassoc"})
def quantiser_scale(llrs: npt.NDArray[np.float32], mean_level: np.float32) -> np.float32:
    """Kernel: factor that brings the mean |LLR| of the LLRs that are not erased to `mean_level`.

    `llrs` is float32 of any shape. Each LLR counts as _CERTAIN_LLR at most, unless nearly all are above it. The factor
    is 0 if all LLRs are erased.
    """
    certain = np.float32(_CERTAIN_LLR)
    zero, one = np.float32(0.0), np.float32(1.0)
    counted, n_received, n_certain = zero, zero, zero
    for i in range(llrs.size):
        size = abs(llrs[i])
        counted += size if size < certain else certain
        n_received += one if size > zero else zero
        n_certain += one if size > certain else zero
    if n_certain > np.float32(_NEARLY_ALL) * n_received:
        counted = zero
        for i in range(llrs.size):
            size = abs(llrs[i])
            counted += size if size < np.float32(_LARGEST_LLR) else np.float32(_LARGEST_LLR)
    if not counted > zero:
        return zero
    return mean_level * n_received / counted


@njit(nogil=True)
def quantise(
    llrs: npt.NDArray[np.float32], scale: np.float32, clip: np.float32, quantised: npt.NDArray[np.int16]
) -> None:
    """Kernel: write `llrs`, float32 (n,), times `scale`, rounded and clipped to +-`clip`, into `quantised`, int16 (n,).

    `clip` is below 512.
    """
    for i in range(llrs.size):
        value = llrs[i] * scale
        value = value if value > -clip else -clip
        value = value if value < clip else clip
        quantised[i] = np.int16(np.int32(value + np.float32(512.5)) - np.int32(512))
