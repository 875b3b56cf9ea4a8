"""Identities, the identifiers that ECCSI and SAKKE work with, KMS domains, and a user's keys of a period.

An identity is a public URI. The algorithms work with an identifier, octets made of the identity and the key period: a
key is good for one identity in one period, and a KMS revokes an identity by issuing no more keys for it. There are two
ways to make identifiers (`UidScheme`): RFC 6509's, "YYYY-MM" NUL tel-URI NUL, by calendar months; and the hashed UID of
TS 33.180 F.2.1, with a period length and offset that the KMS chooses. Which one is used follows the KMS of each end.

A KMS speaks for a namespace, patterns of URIs. A key ring holds the KMSs that a UE trusts; each identity must have
exactly one, so that no KMS can vouch for the users of another.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from security.errors import SecurityError
from security.identity_spelling import (
    MAX_IDENTITY_OCTETS,
    MIN_IDENTITY_OCTETS,
    VISIBLE,
    IdentityError,
    canonical_identity,
)

__all__ = [
    "DAY_S",
    "MAX_IDENTITY_OCTETS",
    "MIN_IDENTITY_OCTETS",
    "NTP_EPOCH",
    "OVERLAP_S",
    "IdentityError",
    "KeyRing",
    "KmsDomain",
    "NoKeysError",
    "UidScheme",
    "UserKeys",
    "canonical_identity",
    "hashed_uid",
    "identity_octets",
    "is_map_signer",
    "month_of",
    "monthly_identifier",
]

NTP_EPOCH = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
DAY_S = 86_400
OVERLAP_S = 2 * DAY_S
"""Time before and after a change of period in which both periods' keys are good (RFC 6509 3.3: from the last day but
one to day 2).
"""

MAP_SIGNER_USER = "identity-map"
"""User part of the identity that a KMS signs its identity map as (PROFILE 12)."""

_TEL = re.compile(r"tel:\+[0-9]{1,15}")


class NoKeysError(SecurityError):
    """The key ring has no private keys for this identity and key period."""


class UidScheme(IntEnum):
    """How an identifier is made: the ID scheme octet of the SAKKE payload (RFC 6509 4.2)."""

    MONTHLY_TEL = 1
    """RFC 6509 3.2: "YYYY-MM" NUL tel URI NUL."""
    HASHED_UID = 2
    """TS 33.180 F.2.1: SHA-256 over URI, KMS and key period."""


def identity_octets(uri: str) -> bytes:
    """A URI as octets of an identifier or IDR payload.

    Raises IdentityError unless it is visible ASCII, 1..65535 octets. It accepts more than `canonical_identity`:
    identities of other systems (33.180) need not be canonical here. It never accepts a NUL.
    """
    if not VISIBLE.fullmatch(uri) or len(uri) > 0xFFFF:
        raise IdentityError("a URI is made of 1..65535 visible ASCII characters")
    return uri.encode("ascii")


def month_of(ntp_s: float) -> int:
    """Months from 1900-01 to the UTC month of an NTP time (seconds since 1900-01-01); raises IdentityError."""
    try:
        moment = NTP_EPOCH + dt.timedelta(seconds=ntp_s)
    except (OverflowError, ValueError) as exc:
        raise IdentityError("the time is out of the calendar's range") from exc
    return (moment.year - 1900) * 12 + moment.month - 1


def monthly_identifier(uri: str, month: int) -> bytes:
    """The identifier "YYYY-MM" NUL tel-URI NUL of a month counted from 1900-01; raises IdentityError (RFC 6509 3.2)."""
    if not _TEL.fullmatch(uri):
        raise IdentityError(f"{uri}: identifiers of scheme 1 are for tel URIs in global form")
    year, month0 = divmod(month, 12)
    if not 0 <= year <= 8099:
        raise IdentityError("the key period is out of the calendar's range")
    return b"%04d-%02d\0" % (1900 + year, month0 + 1) + uri.encode("ascii") + b"\0"


def hashed_uid(uri: str, kms_uri: str, period_s: int, offset_s: int, period_no: int) -> bytes:
    """The 32-octet UID of TS 33.180 F.2.1; raises IdentityError."""
    if min(period_s, offset_s, period_no) < 0:
        raise IdentityError("key period, offset and number are not negative")
    numbers = (_minimal(period_s), _minimal(offset_s), _minimal(period_no))
    parts = (b"MIKEY-SAKKE-UID", identity_octets(uri), identity_octets(kms_uri), *numbers)
    return hashlib.sha256(b"\0" + b"".join(part + len(part).to_bytes(2, "big") for part in parts)).digest()


def _minimal(number: int) -> bytes:
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsDomain:
    """The public data of a KMS: public keys, identifier scheme, key periods, and the URIs it may speak for.

    `z` 257 octets 04||x||y, `kpak` 65 octets 04||x||y; `namespace`: URI patterns with `*`. Key periods of scheme 1 are
    months.
    """

    uri: str
    z: bytes
    kpak: bytes
    uid_scheme: int
    key_period_s: int = 0
    key_period_offset_s: int = 0
    namespace: tuple[str, ...]

    def __post_init__(self) -> None:
        identity_octets(self.uri)
        if self.uid_scheme not in tuple(UidScheme):
            raise IdentityError(f"KMS {self.uri}: identifier scheme {self.uid_scheme} is neither 1 nor 2")
        if self.uid_scheme == UidScheme.HASHED_UID and self.key_period_s < 1:
            raise IdentityError(f"KMS {self.uri}: scheme 2 needs a key period of at least 1 s")
        if len(self.z) != 257 or len(self.kpak) != 65:
            raise IdentityError(f"KMS {self.uri}: Z has 257 octets and KPAK 65, got {len(self.z)} and {len(self.kpak)}")

    def period_of(self, ntp_s: float) -> int:
        """Number of the key period of an NTP time; for scheme 1 the months since 1900-01."""
        if self.uid_scheme == UidScheme.MONTHLY_TEL:
            return month_of(ntp_s)
        return int((ntp_s - self.key_period_offset_s) // self.key_period_s)

    def period_bounds(self, period_no: int) -> tuple[int, int]:
        """First second of a key period and of the next one, NTP."""
        if self.uid_scheme == UidScheme.MONTHLY_TEL:
            return _month_start(period_no), _month_start(period_no + 1)
        start = period_no * self.key_period_s + self.key_period_offset_s
        return start, start + self.key_period_s

    def overlap_s(self) -> float:
        """Time before and after a change of period in which both periods' keys are good."""
        if self.uid_scheme == UidScheme.MONTHLY_TEL:
            return OVERLAP_S
        return min(OVERLAP_S, self.key_period_s / 10)

    def accepts_period(self, now_ntp_s: float, t_ntp_s: float) -> bool:
        """Whether keys of the period of T may be used now (RFC 6509 3.3, day rules)."""
        period = self.period_of(t_ntp_s)
        overlap = self.overlap_s()
        return period in (
            self.period_of(now_ntp_s - overlap),
            self.period_of(now_ntp_s),
            self.period_of(now_ntp_s + overlap),
        )

    def uid_for_period(self, uri: str, period_no: int) -> bytes:
        """Identifier octets of a URI in a key period; raises IdentityError."""
        if self.uid_scheme == UidScheme.MONTHLY_TEL:
            return monthly_identifier(uri, period_no)
        return hashed_uid(uri, self.uri, self.key_period_s, self.key_period_offset_s, period_no)

    def uid(self, uri: str, ntp_s: float) -> bytes:
        """Identifier octets of a URI in the key period of an NTP time; raises IdentityError."""
        return self.uid_for_period(uri, self.period_of(ntp_s))

    def speaks_for(self, uri: str) -> bool:
        """Whether the URI is in this KMS's namespace. Identities that sign identity maps are in none."""
        return not is_map_signer(uri) and any(_pattern(pattern).fullmatch(uri) for pattern in self.namespace)


def is_map_signer(uri: str) -> bool:
    """Whether a URI is reserved for signing an identity map: no user has it, and no message of it is accepted."""
    scheme, _, rest = uri.partition(":")
    return scheme.lower() in ("sip", "sips") and rest.partition("@")[0] == MAP_SIGNER_USER and "@" in rest


def _month_start(month: int) -> int:
    year, month0 = divmod(month, 12)
    try:
        return int((dt.datetime(1900 + year, month0 + 1, 1, tzinfo=dt.UTC) - NTP_EPOCH).total_seconds())
    except ValueError as exc:
        raise IdentityError("the key period is out of the calendar's range") from exc


def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")))


@dataclass(frozen=True, slots=True, kw_only=True)
class UserKeys:
    """One identity's keys of one key period: RSK 257 octets, SSK 32, PVT 65. Secrets don't show in repr."""

    uri: str
    kms_uri: str
    uid: bytes
    key_period_no: int
    rsk: bytes = field(repr=False)
    ssk: bytes = field(repr=False)
    pvt: bytes


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The KMSs a UE trusts and the keys it holds. Namespaces don't overlap: a URI with two KMSs has none."""

    domains: tuple[KmsDomain, ...]
    users: tuple[UserKeys, ...]

    def __init__(self, domains: Iterable[KmsDomain], users: Iterable[UserKeys]) -> None:
        object.__setattr__(self, "domains", tuple(domains))
        object.__setattr__(self, "users", tuple(users))

    def domain_of(self, uri: str) -> KmsDomain:
        """The one KMS whose namespace holds the URI; raises IdentityError."""
        found = [domain for domain in self.domains if domain.speaks_for(uri)]
        if len(found) != 1:
            raise IdentityError(f"{'no' if not found else 'more than one'} trusted KMS speaks for {uri}")
        return found[0]

    def domain(self, kms_uri: str) -> KmsDomain:
        """The trusted KMS of this URI; raises IdentityError."""
        for domain in self.domains:
            if domain.uri == kms_uri:
                return domain
        raise IdentityError(f"KMS {kms_uri} is not trusted here")

    def keys_for(self, uri: str, period_no: int) -> UserKeys:
        """The keys of an identity in a key period of its KMS; raises NoKeysError."""
        for keys in self.users:
            if keys.uri == uri and keys.key_period_no == period_no:
                return keys
        raise NoKeysError(f"no keys held for {uri} in key period {period_no}")

    def keys_at(self, uri: str, ntp_s: float) -> UserKeys:
        """The keys of an identity in the key period of an NTP time; raises IdentityError, NoKeysError."""
        return self.keys_for(uri, self.domain_of(uri).period_of(ntp_s))
