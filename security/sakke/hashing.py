"""HashToIntegerRange of RFC 6508 5.1 over SHA-256.

An integer below n from octets: A = H(s), then h_i = H(h_(i-1)) from a zero octet string, v_i = H(h_i || A), as many as
cover the bits of n, joined and reduced modulo n. What is hashed in SAKKE are field elements at their full length of 128
octets: leading zeros that are dropped give another number for one value in 256.
"""

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
