"""Randomness as it is passed in: a callable from a number of octets to that many octets."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from security.errors import FAILED, SecurityError

RandomSource = Callable[[int], bytes]
"""n -> n octets. The edge of the program passes `os.urandom`; tests pass a seeded one."""


MAX_DRAWS = 128
"""Tries before a source counts as faulty: a sound one fails so often in a row with a probability below 2^-127."""


class RandomSourceError(SecurityError):
    """A source of randomness gives nothing usable."""

    exit_code: ClassVar[int] = FAILED


def random_scalar(random: RandomSource, upper: int) -> int:
    """Draw an integer uniformly from 1 .. upper-1 by rejection; raises RandomSourceError for a source that is stuck."""
    n_bits = (upper - 1).bit_length()
    n_octets = (n_bits + 7) // 8
    for _ in range(MAX_DRAWS):
        candidate = int.from_bytes(random(n_octets), "big") >> (8 * n_octets - n_bits)
        if 1 <= candidate < upper:
            return candidate
    raise RandomSourceError("the source of randomness is stuck")
