"""Windowed-sinc interpolation between samples, as a table over the fraction of a sample.

A delay and a drifting clock ask for the waveform between its samples. The ideal interpolator is a sinc over all
samples; cut to 20 taps and shaped by a Kaiser window it has 60 dB of image rejection over the band that LTE uses. The
weights depend on the fraction of a sample only, so they are tabulated at 512 fractions, and between two of them drawn
straight.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

HALF_TAPS = 10
"""Samples used on either side of the wanted instant."""

KAISER_BETA = 5.65
"""60 dB of image rejection up to 0.4 of the sample rate, which holds every LTE grid, the 3/4-rate ones included."""

PHASES = 512
"""Steps of the table in one sample; between them weights are interpolated linearly."""


def interpolation_weight(distance: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the weight of a sample `distance` samples away from the wanted instant."""
    x = np.asarray(distance, dtype=np.float64)
    inside = np.abs(x) < HALF_TAPS
    shape = np.sqrt(np.where(inside, 1.0 - (x / HALF_TAPS) ** 2, 0.0))
    return np.where(inside, np.sinc(x) * np.i0(KAISER_BETA * shape) / np.i0(KAISER_BETA), 0.0)


@cache
def weight_table() -> npt.NDArray[np.float32]:
    """Return weights, shape (PHASES + 2, 2 * HALF_TAPS), read-only.

    Row f holds an instant f / PHASES after a sample; column j weighs the sample HALF_TAPS - 1 - j before that one.
    """
    fraction = np.arange(PHASES + 2)[:, None] / PHASES
    table = interpolation_weight(fraction + HALF_TAPS - 1 - np.arange(2 * HALF_TAPS)[None, :]).astype(np.float32)
    table.setflags(write=False)
    return table
