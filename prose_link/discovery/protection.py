"""Integrity, message-specific confidentiality and scrambling of one discovery message (TS 33.303 6.1.3).

Which octets of a message are open, which are confidential and which carry the MIC is the layout of TS 24.334 11.2.5.1.
The clauses' titles are confirmed, their numbers and the order of the steps are not: see `numbers`.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

from prose_link.discovery.codec import BODY_OCTETS, CONTENT_OCTETS, MIC_OCTETS, PDU_OCTETS, DiscoveryFormatError
from prose_link.discovery.mic import COUNTER_BITS, calculate_mic
from prose_link.discovery.numbers import NUMBERS
from security.link.kdf import kdf

KEY_OCTETS: Final = 32
SCRAMBLED_OCTETS: Final = BODY_OCTETS + MIC_OCTETS
"""Body and MIC: type and counter stay readable, since a receiver finds the key and the counter by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageKeys:
    """What protects one message: each key has 32 octets or is None; `mask`, 23 octets, has ones where DUCK hides bits.

    A MIC needs DUIK, scrambling DUSK, confidentiality DUCK and a mask that is not all zeros.
    """

    duik: bytes | None = field(default=None, repr=False)
    dusk: bytes | None = field(default=None, repr=False)
    duck: bytes | None = field(default=None, repr=False)
    mask: bytes = bytes(BODY_OCTETS)

    def __post_init__(self) -> None:
        for name in ("duik", "dusk", "duck"):
            key = getattr(self, name)
            if key is not None and len(key) != KEY_OCTETS:
                raise DiscoveryFormatError(f"{name.upper()} has {KEY_OCTETS} octets, got {len(key)}")
        if len(self.mask) != BODY_OCTETS:
            raise DiscoveryFormatError(f"the confidentiality mask has {BODY_OCTETS} octets, got {len(self.mask)}")
        if (self.duck is not None) != any(self.mask):
            raise DiscoveryFormatError("DUCK goes with a mask that hides something, and only with it")

    @property
    def readable(self) -> bool:
        """Whether a message under these keys can be read without them."""
        return self.dusk is None and self.duck is None


def protect(content: bytes, counter: int, keys: MessageKeys) -> bytes:
    """29 octets for the air from type and body (24 octets) and the full counter: MIC, then DUCK, then DUSK.

    Raises DiscoveryFormatError.
    """
    if len(content) != CONTENT_OCTETS or not 0 <= counter < 1 << COUNTER_BITS:
        raise DiscoveryFormatError(f"{len(content)} octets and counter {counter} make no discovery message")
    mic = calculate_mic(keys.duik, content, counter)
    body = _confidential(content[1:], content[:1], counter, mic, keys)
    return content[:1] + _scrambled(body + mic, counter, keys) + bytes([counter & 0xFF])


def unprotect(octets: bytes, counter: int, keys: MessageKeys) -> bytes | None:
    """Type and body in plain, None unless the MIC is that of these keys and this full counter; without DUIK no check.

    Raises DiscoveryFormatError for other than 29 octets.
    """
    if len(octets) != PDU_OCTETS:
        raise DiscoveryFormatError(f"a PC5_DISCOVERY message has {PDU_OCTETS} octets, got {len(octets)}")
    plain = _scrambled(octets[1:-1], counter, keys)
    body, mic = plain[:BODY_OCTETS], plain[BODY_OCTETS:]
    content = octets[:1] + _confidential(body, octets[:1], counter, mic, keys)
    if keys.duik is None:
        return content
    return content if hmac.compare_digest(mic, calculate_mic(keys.duik, content, counter)) else None


def _confidential(body: bytes, kind: bytes, counter: int, mic: bytes, keys: MessageKeys) -> bytes:
    """The body with the bits under the mask exclusive-ored with DUCK's keystream; its own inverse (A.6).

    The MIC makes the keystream the message's own: two codes of one second share none.
    """
    if keys.duck is None:
        return body
    stream = kdf(keys.duck, NUMBERS.fc_confidentiality, kind, counter.to_bytes(4), mic)[:BODY_OCTETS]
    return bytes(octet ^ bits & hidden for octet, bits, hidden in zip(body, stream, keys.mask, strict=True))


def _scrambled(octets: bytes, counter: int, keys: MessageKeys) -> bytes:
    """Body and MIC exclusive-ored with DUSK's time-hash; its own inverse (A.5)."""
    if keys.dusk is None:
        return octets
    time_hash = kdf(keys.dusk, NUMBERS.fc_scrambling, counter.to_bytes(4))[:SCRAMBLED_OCTETS]
    return bytes(octet ^ bits for octet, bits in zip(octets, time_hash, strict=True))
