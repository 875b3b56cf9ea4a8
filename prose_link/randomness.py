"""Sources of randomness of a UE: the system, or a seed if the lab's configuration asks for it explicitly."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import numpy as np

RandomBytes = Callable[[int], bytes]
"""n -> n random octets: for keys, nonces, SSVs and the hedge of ECCSI's j."""


def generator(seed: int, *purpose: str) -> np.random.Generator:
    """A generator for choices that protect nothing (resources, back-off), one for each purpose.

    Args:
        seed: the run's seed.
        purpose: names that distinguish this generator from others of the run, such as the UE's and the layer's.
    """
    return np.random.default_rng(_digest_words(seed, purpose))


def random_bytes(seed: int, *purpose: str, lab_deterministic: bool) -> RandomBytes:
    """The source of secrets: the system's, or a seeded one with `lab_deterministic`, fit for demo keys only."""
    if not lab_deterministic:
        return os.urandom
    source = generator(seed, *purpose, "secrets")
    return source.bytes


def _digest_words(seed: int, purpose: tuple[str, ...]) -> list[int]:
    digest = hashlib.sha256(repr((seed, purpose)).encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 32, 4)]
