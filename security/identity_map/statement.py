"""The statement of an identity map: the identity of a telephone number, in octets (PROFILE 12).

If a carrier decided which identity a number belongs to, the core network could choose who gets a call. So a KMS decides
it: one statement for each number, signed, short-lived, with a serial that rises. The layout is fixed, and there is one
encoding for each statement:

```
L("map") || version 1 || lp(KMS URI) || serial (8) || issued (8) || not before (8) || not after (8)
|| lp(number) || lp(identity) || scheme (1) || uses (1) || state (1)
```

`L(s)` is ASCII "pc5lab identity v1 " || s, `lp(x)` a length of 4 octets and x, times are 64-bit NTP timestamps, the
number is E.164 digits after a `+`. A signed statement is the statement followed by an ECCSI signature of 129 octets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar, Final, Self

from security.errors import USAGE, SecurityError
from security.identifiers import IdentityError, canonical_identity, identity_octets

LABEL: Final = b"pc5lab identity v1 map"
VERSION: Final = 1
MAX_STATEMENT_OCTETS: Final = 1024
"""More octets than a statement with the longest URIs has."""
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{0,14}")
"""E.164: up to 15 digits, the country code first."""
_LENGTH_OCTETS: Final = 4
_LONG: Final = 8


class StatementError(SecurityError):
    """Octets that are no statement of an identity map, or values that have no encoding."""


class NumberError(SecurityError):
    """A text is no telephone number."""

    exit_code: ClassVar[int] = USAGE


class MapUse(IntFlag):
    """Allowed uses of a number, one bit each; other bits are zero."""

    CALL = 1
    """The identity may be called by this number."""
    ASSERTED = 2
    """The number may stand in P-Asserted-Identity where the identity signs."""
    NAS = 4
    """The number may be the identity of NAS."""


ALL_MAP_USES: Final = MapUse.CALL | MapUse.ASSERTED | MapUse.NAS


class MapState(IntEnum):
    """Whether the number has a holder."""

    VALID = 0
    NOBODY = 1


def telephone_number(text: str) -> str:
    """The text, if it is a number as the map holds it; raises NumberError."""
    if not _NUMBER.fullmatch(text):
        raise NumberError(f"{text[:40]!r} is no telephone number: + and 1 to 15 digits, the first not 0")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStatement:
    """One number's statement. Times are whole NTP seconds; `scheme` is the identifier scheme of the identity's KMS."""

    kms_uri: str
    serial: int
    issued_ntp_s: int
    not_before_ntp_s: int
    not_after_ntp_s: int
    number: str
    identity: str
    scheme: int
    uses: MapUse
    state: MapState = MapState.VALID

    def encode(self) -> bytes:
        """The octets that are signed. Raises StatementError for values that have no encoding."""
        try:
            telephone_number(self.number)
            canonical_identity(self.identity)
            return b"".join(
                (
                    LABEL,
                    VERSION.to_bytes(1),
                    _lp(identity_octets(self.kms_uri)),
                    self.serial.to_bytes(_LONG),
                    *(_timestamp(ntp_s) for ntp_s in (self.issued_ntp_s, self.not_before_ntp_s, self.not_after_ntp_s)),
                    _lp(self.number.encode("ascii")),
                    _lp(self.identity.encode("ascii")),
                    bytes([self.scheme, self.uses, self.state]),
                )
            )
        except (NumberError, IdentityError, OverflowError, ValueError) as exc:
            raise StatementError(f"statement of {self.number}: {exc}") from exc

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a statement without its signature; raises StatementError unless it is the one encoding of one."""
        reader = _Reader(octets)
        if reader.take(len(LABEL)) != LABEL or reader.number(1) != VERSION:
            raise StatementError("not a statement of an identity map, version 1")
        try:
            statement = cls(
                kms_uri=reader.text(),
                serial=reader.number(_LONG),
                issued_ntp_s=reader.number(_LONG) >> 32,
                not_before_ntp_s=reader.number(_LONG) >> 32,
                not_after_ntp_s=reader.number(_LONG) >> 32,
                number=reader.text(),
                identity=reader.text(),
                scheme=reader.number(1),
                uses=_uses(reader.number(1)),
                state=MapState(reader.number(1)),
            )
        except ValueError as exc:
            raise StatementError(f"statement of an identity map: {exc}") from exc
        if statement.encode() != octets:
            raise StatementError("statement of an identity map: not in its one encoding")
        return statement


def _uses(octet: int) -> MapUse:
    if octet & ~int(ALL_MAP_USES):
        raise ValueError(f"uses {octet:#04x} are not known")
    return MapUse(octet)


def _lp(octets: bytes) -> bytes:
    return len(octets).to_bytes(_LENGTH_OCTETS) + octets


def _timestamp(ntp_s: int) -> bytes:
    """A whole second as a 64-bit NTP timestamp (RFC 5905 section 6)."""
    return ntp_s.to_bytes(4) + bytes(4)


class _Reader:
    """Takes fields off the front of octets; raises StatementError where they end too soon."""

    def __init__(self, octets: bytes) -> None:
        if len(octets) > MAX_STATEMENT_OCTETS:
            raise StatementError(f"a statement of {len(octets)} octets; at most {MAX_STATEMENT_OCTETS}")
        self._octets = octets
        self._at = 0

    def take(self, n: int) -> bytes:
        taken = self._octets[self._at : self._at + n]
        if len(taken) < n:
            raise StatementError("a statement of an identity map is cut short")
        self._at += n
        return taken

    def number(self, n_octets: int) -> int:
        return int.from_bytes(self.take(n_octets))

    def text(self) -> str:
        return self.take(self.number(_LENGTH_OCTETS)).decode("ascii")
