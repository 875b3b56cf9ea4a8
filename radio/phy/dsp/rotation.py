"""Frequency shift of a run of samples.

A carrier offset is taken out by turning each sample a little further than the one before. Sines and cosines of every
sample would cost more than the transform that follows, and turning by repeated multiplication would drift. So a block
of 64 phasors is computed once, and each block of samples is turned by it and by one exact phase at its head: the error
does not grow with the length of the run.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from radio.arrays import Complexes, Iq

_BLOCK = 64


def rotate(iq: Iq, frequency_hz: float, sample_rate_hz: float, first_sample: int = 0) -> Iq:
    """x(n) exp(j 2 pi f (first_sample + n) / rate), complex64 (n,).

    The phase counts from sample 0 of the clock, so runs shifted by the same frequency join without a step.
    """
    cycles = frequency_hz / sample_rate_hz
    return _rotate(iq, 2 * math.pi * cycles, 2 * math.pi * math.fmod(cycles * first_sample, 1.0))


@njit(cache=True, nogil=True, fastmath=True)
def _rotate(iq: Complexes, step: float, start: float) -> Complexes:
    """Blocks of phasors computed once, turned by an exact phase at the head of each block."""
    out = np.empty(iq.size, dtype=np.complex64)
    phasors = np.empty(_BLOCK, dtype=np.complex64)
    for n in range(_BLOCK):
        phasors[n] = complex(np.cos(step * n), np.sin(step * n))
    for head in range(0, iq.size, _BLOCK):
        angle = start + step * head
        turn = np.complex64(complex(np.cos(angle), np.sin(angle)))
        for n in range(min(_BLOCK, iq.size - head)):
            out[head + n] = iq[head + n] * (phasors[n] * turn)
    return out
