"""Keys on the XML face under a transport key (TrK): AES-256 key wrap, in the two readings of TS 33.180 that are known.

TS 33.180 9.3.4.2 names kw-aes256, which is RFC 3394 and takes whole blocks of 8 octets. SSK (32 octets) fits. RSK (257)
and PVT (65) don't: they begin with the octet 04 of an uncompressed point. The text does not say how to wrap them. There
are two readings:

- `without-04`: leave that octet off; the receiver knows it. RFC 3394 for all (a lab choice as the default);
- `padded`: key wrap with padding, RFC 5649, for all. One published implementation does this.

The length of what arrives, and the check value inside, tell them apart, so a receiver can take both.

TrK and InK (integrity key) of a user are derived from the KMS's root and a number, so that nothing is stored. They
reach a client the first time by other means than this interface. Raising the number makes new ones, which the KMS sends
under the old TrK (NewTransportKey) to a client that still names the old one.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap,
    aes_key_wrap_with_padding,
)

from security.kms.authority import Authority
from security.kms_wire.errors import KmsProtocolError

KW_AES256: Final = "http://www.w3.org/2001/04/xmlenc#kw-aes256"
KEY_OCTETS: Final = 32
BLOCK_OCTETS: Final = 8
MAX_NUMBER: Final = 1_000_000
POINT_OCTETS: Final = frozenset({257, 65})
"""RSK and PVT, with their leading 04."""

_KEY_ID = re.compile(r"(?P<kind>tk|ink)\.(?P<number>[1-9][0-9]{0,6})\.(?P<user>.+)")


class KeyWrap(StrEnum):
    """The form of keys on the XML face."""

    CLEAR = "clear"
    WITHOUT_04 = "without-04"
    PADDED = "padded"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportKeys:
    """A user's TrK and InK of one number, 32 octets each."""

    user: str
    number: int
    trk: bytes = field(repr=False)
    ink: bytes = field(repr=False)

    @property
    def trk_id(self) -> str:
        """Name of the TrK."""
        return f"tk.{self.number}.{self.user}"

    @property
    def ink_id(self) -> str:
        """Name of the InK."""
        return f"ink.{self.number}.{self.user}"


def transport_keys(authority: Authority, user: str, number: int) -> TransportKeys:
    """A user's TrK and InK."""
    trk, ink = authority.transport_keys(user, number)
    return TransportKeys(user=user, number=number, trk=trk, ink=ink)


def number_named(key_id: str | None, *, user: str, present: int) -> int:
    """The number of the TrK or InK that a request names, or the present one. Raises KmsProtocolError.

    The number before the present one is accepted too: its holder gets the present key under it.
    """
    if key_id is None:
        return present
    found = _KEY_ID.fullmatch(key_id)
    if found is None or found["user"] != user or int(found["number"]) not in (present, present - 1):
        raise KmsProtocolError(f"KmsRequest: key {key_id[:80]} is none that this KMS takes from this user")
    return int(found["number"])


def wrap_key(key: bytes, kek: bytes, reading: KeyWrap) -> bytes:
    """Wrap RSK, SSK, PVT, TrK or InK under a TrK in one of the readings."""
    if reading is KeyWrap.PADDED:
        return aes_key_wrap_with_padding(kek, key)
    return aes_key_wrap(kek, key[1:] if len(key) in POINT_OCTETS else key)


def unwrap_key(wrapped: bytes, kek: bytes) -> bytes:
    """Unwrap a key in either reading; a point gets its 04 back. Raises KmsProtocolError."""
    for unwrap in (aes_key_unwrap, aes_key_unwrap_with_padding):
        try:
            key = unwrap(kek, wrapped)
        except (InvalidUnwrap, ValueError):
            continue
        return b"\x04" + key if len(key) + 1 in POINT_OCTETS else key
    raise KmsProtocolError("a wrapped key does not open under this TrK")


def cipher_octets(text: str) -> bytes:
    """The octets of a CipherValue: base64, or hex as one published implementation writes; raises KmsProtocolError.

    Wrapped keys are whole blocks of 8 octets, which tells the two apart.
    """
    compact = "".join(text.split())
    if re.fullmatch(r"([0-9A-Fa-f]{16})+", compact):
        as_hex = bytes.fromhex(compact)
        if len(as_hex) in {8 + (octets + 7) // 8 * 8 for octets in (32, 64, 65, 256, 257)}:
            return as_hex
    try:
        octets = base64.b64decode(compact, validate=True)
    except binascii.Error as exc:
        raise KmsProtocolError("CipherValue is neither base64 nor hex") from exc
    if not octets or len(octets) % BLOCK_OCTETS:
        raise KmsProtocolError("CipherValue is no wrapped key")
    return octets
