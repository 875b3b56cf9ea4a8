"""Base sequences of the reference signals, of any length 12 * L (TS 36.211 5.5.1).

A base sequence has constant amplitude over the subcarriers and a nearly flat spectrum of its own, so that it costs a
transmitter no peaks and lets a receiver estimate all subcarriers equally well. Long ones are Zadoff-Chu sequences of
prime length, repeated cyclically to the length that is needed; for 12 and 24 subcarriers, where there are too few
primes, the standard has tables. There are 30 groups u, chosen to correlate little with each other; the sidelink uses
only the first sequence of each group (v = 0, TS 36.211 9.8).

Sequences are cached and read-only, since every caller gets the same array.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB

N_GROUPS = 30

_PHI_12 = """
-1 1 3 -3 3 3 1 1 3 1 -3 3
1 1 3 3 3 -1 1 -3 -3 1 -3 3
1 1 -3 -3 -3 -1 -3 -3 1 -3 1 -1
-1 1 1 1 1 -1 -3 -3 1 -3 3 -1
-1 3 1 -1 1 -1 -3 -1 1 -1 1 3
1 -3 3 -1 -1 1 1 -1 -1 3 -3 1
-1 3 -3 -3 -3 3 1 -1 3 3 -3 1
-3 -1 -1 -1 1 -3 3 -1 1 -3 3 1
1 -3 3 1 -1 -1 -1 1 1 3 -1 1
1 -3 -1 3 3 -1 -3 1 1 1 1 1
-1 3 -1 1 1 -3 -3 -1 -3 -3 3 -1
3 1 -1 -1 3 3 -3 1 3 1 3 3
1 -3 1 1 -3 1 1 1 -3 -3 -3 1
3 3 -3 3 -3 1 1 3 -1 -3 3 3
-3 1 -1 -3 -1 3 1 3 3 3 -1 1
3 -1 1 -3 -1 -1 1 1 3 1 -1 -3
1 3 1 -1 1 3 3 3 -1 -1 3 -1
-3 1 1 3 -3 3 -3 -3 3 1 3 -1
-3 3 1 1 -3 1 -3 -3 -1 -1 1 -3
-1 3 1 3 1 -1 -1 3 -3 -1 -3 -1
-1 -3 1 1 1 1 3 1 -1 1 -3 -1
-1 3 -1 1 -3 -3 -3 -3 -3 1 -1 -3
1 1 -3 -3 -3 -3 -1 3 -3 1 -3 3
1 1 -1 -3 -1 -3 1 -1 1 3 -1 1
1 1 3 1 3 3 -1 1 -1 -3 -3 1
1 -3 3 3 1 3 3 1 -3 -1 -1 3
1 3 -3 -3 3 -3 1 -1 -1 3 -1 -3
-3 -1 -3 -1 -3 3 1 -1 1 3 -3 -3
-1 3 -3 3 -1 3 3 -3 3 3 -1 -1
3 -3 -3 -1 -1 -3 -1 3 -3 3 1 -1
"""
_PHI_24 = """
-1 3 1 -3 3 -1 1 3 -3 3 1 3 -3 3 1 1 -1 1 3 -3 3 -3 -1 -3
-3 3 -3 -3 -3 1 -3 -3 3 -1 1 1 1 3 1 -1 3 -3 -3 1 3 1 1 -3
3 -1 3 3 1 1 -3 3 3 3 3 1 -1 3 -1 1 1 -1 -3 -1 -1 1 3 3
-1 -3 1 1 3 -3 1 1 -3 -1 -1 1 3 1 3 1 -1 3 1 1 -3 -1 -3 -1
-1 -1 -1 -3 -3 -1 1 1 3 3 -1 3 -1 1 -1 -3 1 -1 -3 -3 1 -3 -1 -1
-3 1 1 3 -1 1 3 1 -3 1 -3 1 1 -1 -1 3 -1 -3 3 -3 -3 -3 1 1
1 1 -1 -1 3 -3 -3 3 -3 1 -1 -1 1 -1 1 1 -1 -3 -1 1 -1 3 -1 -3
-3 3 3 -1 -1 -3 -1 3 1 3 1 3 1 1 -1 3 1 -1 1 3 -3 -1 -1 1
-3 1 3 -3 1 -1 -3 3 -3 3 -1 -1 -1 -1 1 -3 -3 -3 1 -3 -3 -3 1 -3
1 1 -3 3 3 -1 -3 -1 3 -3 3 3 3 -1 1 1 -3 1 -1 1 1 -3 1 1
-1 1 -3 -3 3 -1 3 -1 -1 -3 -3 -3 -1 -3 -3 1 -1 1 3 3 -1 1 -1 3
1 3 3 -3 -3 1 3 1 -1 -3 -3 -3 3 3 -3 3 3 -1 -3 3 -1 1 -3 1
1 3 3 1 1 1 -1 -1 1 -3 3 -1 1 1 -3 3 3 -1 -3 3 -3 -1 -3 -1
3 -1 -1 -1 -1 -3 -1 3 3 1 -1 1 3 3 3 -1 1 1 -3 1 3 -1 -3 3
-3 -3 3 1 3 1 -3 3 1 3 1 1 3 3 -1 -1 -3 1 -3 -1 3 1 1 3
-1 -1 1 -3 1 3 -3 1 -1 -3 -1 3 1 3 1 -1 -3 -3 -1 -1 -3 -3 -3 -1
-1 -3 3 -1 -1 -1 -1 1 1 -3 3 1 3 3 1 -1 1 -3 1 -3 1 1 -3 -1
1 3 -1 3 3 -1 -3 1 -1 -3 3 3 3 -1 1 1 3 -1 -3 -1 3 -1 -1 -1
1 1 1 1 1 -1 3 -1 -3 1 1 3 -3 1 -3 -1 1 1 -3 -3 3 1 1 -3
1 3 3 1 -1 -3 3 -1 3 3 3 -3 1 -1 1 -1 -3 -1 1 3 -1 3 -3 -3
-1 -3 3 -3 -3 -3 -1 -1 -3 -1 -3 3 1 3 -3 -1 3 -1 1 -1 3 -3 1 -1
-3 -3 1 1 -1 1 -1 1 -1 3 1 -3 -1 1 -1 1 -1 -1 3 3 -3 -1 1 -3
-3 -1 -3 3 1 -1 -3 -1 -3 -3 3 -3 3 -3 -1 1 3 1 -3 1 3 3 -1 -3
-1 -1 -1 -1 3 3 3 1 3 3 -3 1 3 -1 3 -1 3 3 -3 3 1 -1 3 3
1 -1 3 3 -1 -3 3 -3 -1 -1 3 -1 3 -1 -1 1 1 1 1 -1 -1 -3 -1 3
1 -1 1 -1 3 -1 3 1 1 -1 -1 -3 1 1 -3 1 3 -3 1 1 -3 -3 -1 -1
-3 -1 1 3 1 1 -3 -1 -1 -3 3 -3 3 1 -3 3 -3 1 -1 1 -3 1 1 1
-1 -3 3 3 1 1 3 -1 -3 -1 -1 -1 3 1 -3 -3 -1 3 -3 -1 -3 -1 -3 -1
-1 -3 -1 -1 1 -3 -1 -1 1 -1 -3 1 1 -3 1 -3 -3 3 1 1 -1 3 -1 -1
1 1 -1 -1 -3 -1 3 -1 3 -1 1 3 1 -1 3 1 3 -3 -3 1 -1 -1 1 3
"""
"""phi(n) for the 30 groups (TS 36.211 Tables 5.5.1.2-1 and 5.5.1.2-2), one group to a line."""


def _phase_table(text: str) -> npt.NDArray[np.int8]:
    return np.array([[int(word) for word in row.split()] for row in text.strip().splitlines()], np.int8)


_PHI = {12: _phase_table(_PHI_12), 24: _phase_table(_PHI_24)}


@lru_cache(maxsize=512)
def base_sequence(u: int, n_prb: int) -> npt.NDArray[np.complex64]:
    """r_(u,0)(n) over `n_prb` PRBs, complex64, unit modulus, read-only; v is 0 on the sidelink (TS 36.211 9.8)."""
    length = n_prb * SUBCARRIERS_PER_PRB
    if length in _PHI:
        sequence = np.exp(0.25j * np.pi * _PHI[length][u])
    else:
        n_zc = _largest_prime_below(length)
        q = int(n_zc * (u + 1) / 31 + 0.5)
        m = np.arange(length, dtype=np.int64) % n_zc
        sequence = np.exp(-1j * np.pi * (q * m * (m + 1) % (2 * n_zc)) / n_zc)
    result = sequence.astype(np.complex64)
    result.setflags(write=False)
    return result


def _largest_prime_below(limit: int) -> int:
    return next(n for n in range(limit - 1, 1, -1) if all(n % d for d in range(2, int(n**0.5) + 1)))
