"""HashToIntegerRange of RFC 6508 5.1 over SHA-256."""

from __future__ import annotations

import hashlib

HASH_BITS = 256


def hash_to_integer_range(s: bytes, n: int) -> int:
    """Hash octets s to an integer of 0..n-1 (RFC 6508 5.1)."""
    a = hashlib.sha256(s).digest()
    h = bytes(HASH_BITS // 8)
    v = bytearray()
    for _ in range(-(-(n - 1).bit_length() // HASH_BITS)):
        h = hashlib.sha256(h).digest()
        v += hashlib.sha256(h + a).digest()
    return int.from_bytes(v, "big") % n
