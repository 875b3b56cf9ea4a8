"""Which widths a PSSCH may have: products of 2, 3 and 5 (TS 36.211 5.3.3)."""

from __future__ import annotations


def is_valid_width(n_prb: int) -> bool:
    """Whether transform precoding has a size for `n_prb` PRBs: 2^a 3^b 5^c (TS 36.211 5.3.3)."""
    for factor in (2, 3, 5):
        while n_prb > 1 and n_prb % factor == 0:
            n_prb //= factor
    return n_prb == 1


def largest_valid_width(n_prb: int) -> int:
    """The largest number of PRBs up to `n_prb` that transform precoding has a size for; 0 if there is none."""
    return next((n for n in range(n_prb, 0, -1) if is_valid_width(n)), 0)
