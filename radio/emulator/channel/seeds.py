"""Independent 64-bit keys for every random process of a scenario, named by labels."""

from __future__ import annotations

import hashlib


def derive_key(seed: int, *labels: str) -> int:
    """Return the 64-bit key of the random process called `labels` under `seed`."""
    text = "\x1f".join((str(seed), *labels)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def derive_uniform(seed: int, *labels: str) -> float:
    """Return a number of [0, 1) for the label."""
    return (derive_key(seed, *labels) >> 11) * 2.0**-53
