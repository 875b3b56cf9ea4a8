"""What the two ends hash: the transcript of a set-up and of a rekey (PROFILE 1, 4).

`signed_part` is S(I): an I_MESSAGE without the octets of its signature, which are malleable; b"" where there is none.
"""

from __future__ import annotations

import hashlib
from typing import Final

from prose_link.pc5s.codec import encode_head
from prose_link.pc5s.messages import DirectAccept, DirectRequest, RekeyingRequest, RekeyingResponse

HASH_OCTETS: Final = 32
REJECT_HASH_OCTETS: Final = 8
"""Octets of HR that a Reject carries (PROFILE 3)."""


def sha256(octets: bytes) -> bytes:
    """H of PROFILE 1."""
    return hashlib.sha256(octets).digest()


def label(name: str) -> bytes:
    """L(s) of PROFILE 1."""
    return b"pc5lab identity v1 " + name.encode("ascii")


def _lp(octets: bytes) -> bytes:
    return len(octets).to_bytes(4) + octets


def t1(request: DirectRequest) -> bytes:
    """T1 of a set-up."""
    return label("DCR") + encode_head(request)


def t2(request_hash: bytes, accept: DirectAccept) -> bytes:
    """T2 of a set-up; `request_hash` is HR, 32 octets."""
    return label("DCA") + request_hash + encode_head(accept)


def rekey_t1(previous: bytes, request: RekeyingRequest) -> bytes:
    """T1 of a rekey; `previous` is the TX of the context in use, 32 octets."""
    return label("RKQ") + previous + encode_head(request)


def rekey_t2(request_hash: bytes, response: RekeyingResponse) -> bytes:
    """T2 of a rekey."""
    return label("RKS") + request_hash + encode_head(response)


def request_hash(t1_octets: bytes, signed_part: bytes) -> bytes:
    """HR, 32 octets: which request a message answers."""
    return sha256(label("req") + _lp(t1_octets) + _lp(signed_part))


def link_hash(t1_octets: bytes, signed_part_a: bytes, t2_octets: bytes, signed_part_b: bytes) -> bytes:
    """TX, 32 octets: all that both ends said."""
    return sha256(label("link") + _lp(t1_octets) + _lp(signed_part_a) + _lp(t2_octets) + _lp(signed_part_b))
