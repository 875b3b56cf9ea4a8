"""Restricted discovery: integrity, message-specific confidentiality and scrambling of one message (TS 33.303 6.1.3).

Which octets of a message are open, which are confidential and which carry the MIC is the layout of TS 24.334 11.2.5.1.
The clauses' titles are confirmed, their numbers and the order of the steps are not: all of that is in `RESTRICTED`.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

from prose_link.discovery.codec import BODY_OCTETS, CONTENT_OCTETS, MIC_OCTETS, PDU_OCTETS, DiscoveryFormatError
from prose_link.discovery.mic import COUNTER_BITS
from security.kdf import kdf

KEY_OCTETS: Final = 32
SCRAMBLED_OCTETS: Final = BODY_OCTETS + MIC_OCTETS
"""Body and MIC: type and counter stay readable, or nobody could find the key and the counter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictedNumbers:
    """FC numbers of TS 33.303 A.2, A.5, A.6 and A.8; `confirmed` tells whether they were checked against its text."""

    fc_mic: int
    fc_scrambling: int
    fc_confidentiality: int
    fc_keys: int
    confirmed: bool


RESTRICTED: Final = RestrictedNumbers(
    fc_mic=0x49, fc_scrambling=0x4C, fc_confidentiality=0x4D, fc_keys=0x4E, confirmed=False
)
"""The MIC's from memory, the others chosen by this lab: none could be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictedKeys:
    """What protects one code: each key has 32 octets or is None; `mask`, 23 octets, has ones where DUCK hides bits.

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

    @classmethod
    def from_psdk(
        cls, psdk: bytes, *, mask: bytes = bytes(BODY_OCTETS), numbers: RestrictedNumbers = RESTRICTED
    ) -> RestrictedKeys:
        """DUIK, DUSK and, where a mask hides something, DUCK from one provisioned key (TS 33.303 A.8 shape)."""
        names = (b"DUIK", b"DUSK", b"DUCK")
        duik, dusk, duck = (kdf(psdk, numbers.fc_keys, name) for name in names)
        return cls(duik=duik, dusk=dusk, duck=duck if any(mask) else None, mask=mask)


def protect(content: bytes, counter: int, keys: RestrictedKeys, numbers: RestrictedNumbers = RESTRICTED) -> bytes:
    """29 octets for the air from type and body (24 octets) and the full counter: MIC, then DUCK, then DUSK.

    Raises DiscoveryFormatError.
    """
    if len(content) != CONTENT_OCTETS or not 0 <= counter < 1 << COUNTER_BITS:
        raise DiscoveryFormatError(f"{len(content)} octets and counter {counter} make no discovery message")
    mic = _mic(content, counter, keys, numbers)
    body = _confidential(content[1:], content[:1], counter, keys, numbers)
    return content[:1] + _scrambled(body + mic, counter, keys, numbers) + bytes([counter & 0xFF])


def unprotect(
    octets: bytes, counter: int, keys: RestrictedKeys, numbers: RestrictedNumbers = RESTRICTED
) -> bytes | None:
    """Type and body in plain, None unless the MIC is that of these keys and this full counter; without DUIK no check.

    Raises DiscoveryFormatError for other than 29 octets.
    """
    if len(octets) != PDU_OCTETS:
        raise DiscoveryFormatError(f"a PC5_DISCOVERY message has {PDU_OCTETS} octets, got {len(octets)}")
    plain = _scrambled(octets[1:-1], counter, keys, numbers)
    body, mic = plain[:BODY_OCTETS], plain[BODY_OCTETS:]
    content = octets[:1] + _confidential(body, octets[:1], counter, keys, numbers)
    return content if hmac.compare_digest(mic, _mic(content, counter, keys, numbers)) else None


def _mic(content: bytes, counter: int, keys: RestrictedKeys, numbers: RestrictedNumbers) -> bytes:
    if keys.duik is None:
        return bytes(MIC_OCTETS)
    return kdf(keys.duik, numbers.fc_mic, content, counter.to_bytes(4))[-MIC_OCTETS:]


def _confidential(body: bytes, kind: bytes, counter: int, keys: RestrictedKeys, numbers: RestrictedNumbers) -> bytes:
    """The body with the bits under the mask exclusive-ored with DUCK's keystream; its own inverse (A.6)."""
    if keys.duck is None:
        return body
    stream = kdf(keys.duck, numbers.fc_confidentiality, kind, counter.to_bytes(4))[:BODY_OCTETS]
    return bytes(octet ^ bits & hidden for octet, bits, hidden in zip(body, stream, keys.mask, strict=True))


def _scrambled(octets: bytes, counter: int, keys: RestrictedKeys, numbers: RestrictedNumbers) -> bytes:
    """Body and MIC exclusive-ored with DUSK's time-hash; its own inverse (A.5)."""
    if keys.dusk is None:
        return octets
    time_hash = kdf(keys.dusk, numbers.fc_scrambling, counter.to_bytes(4))[:SCRAMBLED_OCTETS]
    return bytes(octet ^ bits for octet, bits in zip(octets, time_hash, strict=True))
