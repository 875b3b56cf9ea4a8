"""MIKEY's PRF and the keys it derives (RFC 3830 4.1, RFC 6043 for SHA-256), and the group key ids of TS 33.180.

The key that a message brings, the TGK, protects nothing itself: the keys of each crypto session come from it by the PRF
with a label of constant, CS ID, CSB ID and RAND. The PRF cuts its input key into parts of 256 bits and joins the
HMAC-based streams of all parts by exclusive or.
"""

from __future__ import annotations

import hmac
from enum import IntEnum

from security.link.kdf import kdf
from security.mikey.codec import Prf
from security.mikey.errors import ErrorNumber, MikeyError

PART_OCTETS = 32
"""The PRF's input key is cut into parts of 256 bits (RFC 3830 4.1.2)."""
FC_GUK_SALT = 0x50
"""TS 33.180 F.1.3."""
NO_CS_ID = 0xFF
"""CS ID of keys that belong to no crypto session (RFC 3830 4.1.4)."""


class KeyConstant(IntEnum):
    """Constants that tell derived keys apart (RFC 3830 4.1.3 and 4.1.4)."""

    TEK = 0x2AD01C64
    AUTHENTICATION = 0x1B5C7973
    ENCRYPTION = 0x15798CEF
    SALT = 0x39A2C14B
    PSK_ENCRYPTION = 0x150533E1
    PSK_AUTHENTICATION = 0x2D22AC75
    PSK_SALT = 0x29B88916


_DIGESTS: dict[int, str] = {Prf.HMAC_SHA_1: "sha1", Prf.HMAC_SHA_256: "sha256"}


def prf(input_key: bytes, label: bytes, length: int, function: int) -> bytes:
    """`length` octets of PRF(input key, label) with HMAC-SHA-1 or HMAC-SHA-256; raises MikeyError (RFC 3830 4.1.2)."""
    digest = _DIGESTS.get(function)
    if digest is None:
        raise MikeyError(f"PRF function {function} is not known", ErrorNumber.INVALID_PRF)
    total = 0
    for start in range(0, len(input_key), PART_OCTETS):
        total ^= int.from_bytes(_p(input_key[start : start + PART_OCTETS], label, length, digest), "big")
    return total.to_bytes(length, "big")


def _p(part: bytes, label: bytes, length: int, digest: str) -> bytes:
    octets = b""
    a = label
    while len(octets) < length:
        a = hmac.digest(part, a, digest)
        octets += hmac.digest(part, a + label, digest)
    return octets[:length]


def derive_key(
    input_key: bytes, *, constant: KeyConstant, cs_id: int, csb_id: int, rand: bytes, length: int, function: int
) -> bytes:
    """A key of `length` octets from a TGK (or TEK), label = constant || CS ID || CSB ID || RAND (RFC 3830 4.1.3)."""
    label = int(constant).to_bytes(4, "big") + bytes([cs_id]) + csb_id.to_bytes(4, "big") + rand
    return prf(input_key, label, length, function)


def guk_id(gmk: bytes, gmk_id: int, user_uri: str) -> int:
    """GUK-ID: the GMK-ID with its low 28 bits masked by a salt of the user's (TS 33.180 F.1.3)."""
    salt = int.from_bytes(kdf(gmk, FC_GUK_SALT, user_uri.encode("ascii"))[-4:], "big") & 0x0FFFFFFF
    return gmk_id ^ salt
