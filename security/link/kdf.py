"""The key derivation function of TS 33.220 Annex B.

One function makes all keys of 3GPP systems: HMAC-SHA-256 over FC || P0 || L0 || P1 || L1 ..., where FC is a number that
tells the derivations apart, and each parameter is followed by its length in two octets, so that no two lists of
parameters give the same string.
"""

from __future__ import annotations

import hmac

from security.errors import SecurityError


class KdfError(SecurityError):
    """A parameter doesn't fit the KDF's input string."""


def kdf(key: bytes, fc: int, *parameters: bytes) -> bytes:
    """HMAC-SHA-256(key, FC || P0 || L0 || P1 || L1 ...) (32 octets); raises KdfError (TS 33.220 B.2)."""
    if not 0 <= fc <= 0xFF:
        raise KdfError(f"FC {fc} is no octet")
    text = bytearray([fc])
    for number, parameter in enumerate(parameters):
        if len(parameter) > 0xFFFF:
            raise KdfError(f"P{number} has {len(parameter)} octets; its length field holds 16 bits")
        text += parameter + len(parameter).to_bytes(2, "big")
    return hmac.digest(key, bytes(text), "sha256")
