"""Key files in JSON: the KMSs and users that `pc5lab mikey` works with. Checked field by field at this border.

A KMS speaks for the identities that are listed under it, and for those of its `namespace` (patterns with `*`) where its
entry has one. The only KMS of a file, if its entry has no namespace, speaks for every identity that the file doesn't
list. An identity that two KMSs speak for has none, because there is no rule which KMS to believe. Identities are
compared as SIP and TEL do, so that another spelling of a name is the same name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from security.errors import USAGE, SecurityError
from security.identifiers import MAX_IDENTITY_OCTETS, IdentityError, KeyRing, KmsDomain, UserKeys, identity_octets
from security.identity_spelling import VISIBLE, comparison_key

MAX_FILE_OCTETS = 1 << 24
MAX_PATTERNS = 64
KMS_FIELDS = {"uri", "z", "kpak", "uid_format", "key_period_s", "key_period_offset_s", "namespace"}
ANY_IDENTITY = ("*",)
"""The namespace of a KMS whose entry names none."""
USER_FIELDS = {"uri", "kms", "uid", "key_period_no", "rsk", "ssk", "pvt"}
KEY_OCTETS = {"rsk": 257, "ssk": 32, "pvt": 65, "z": 257, "kpak": 65}


class KeyFileError(SecurityError):
    """A key file with a fault; the message says where."""

    exit_code: ClassVar[int] = USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFileUser:
    """A user of a key file, with as many keys as the file has."""

    uri: str
    kms_uri: str
    uid: bytes | None = None
    key_period_no: int | None = None
    rsk: bytes | None = field(default=None, repr=False)
    ssk: bytes | None = field(default=None, repr=False)
    pvt: bytes | None = None

    def uid_at(self, domain: KmsDomain, period_no: int) -> bytes:
        """The identifier in a key period: the file's own for its period, else computed; raises IdentityError."""
        if self.uid is not None and self.key_period_no == period_no:
            return self.uid
        return domain.uid_for_period(self.uri, period_no)

    def holds_period(self, domain: KmsDomain, period_no: int) -> bool:
        """Whether the entry's keys are of a key period, by its number or by its UID; raises IdentityError."""
        if self.key_period_no in (None, period_no):
            return True
        return self.uid == domain.uid_for_period(self.uri, period_no)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """KMSs and users of a key file, in the file's order."""

    domains: tuple[KmsDomain, ...]
    users: tuple[KeyFileUser, ...]

    def domain(self, kms_uri: str) -> KmsDomain:
        """A KMS by its URI; raises KeyFileError."""
        for domain in self.domains:
            if domain.uri == kms_uri:
                return domain
        raise KeyFileError(f"the key file has no KMS {kms_uri}")

    def speaker_of(self, uri: str) -> KmsDomain:
        """The one KMS that speaks for an identity; raises KeyFileError."""
        key = comparison_key(uri)
        listed = {user.kms_uri for user in self.users if comparison_key(user.uri) == key}
        named = {domain.uri for domain in self.domains if _is_named(domain) and domain.speaks_for(uri)}
        if len(listed | named) > 1:
            raise KeyFileError(f"more than one KMS of the file speaks for {uri}: {', '.join(sorted(listed | named))}")
        if listed | named:
            domain = self.domain(*(listed | named))
            if _is_named(domain) and not named:
                raise KeyFileError(f"{uri} is listed under KMS {domain.uri} and lies out of its namespace")
            return domain
        if len(self.domains) == 1 and not _is_named(self.domains[0]):
            return self.domains[0]
        raise KeyFileError(
            f"no KMS of the key file speaks for {uri}: list it in users under its KMS, or give that KMS a namespace"
        )

    def users_of(self, uri: str) -> list[KeyFileUser]:
        """All entries of a URI (one for each key period); raises KeyFileError where there is none."""
        found = [user for user in self.users if user.uri == uri]
        if not found:
            raise KeyFileError(f"the key file has no user {uri}")
        return found

    def signing_keys(self, uri: str, ntp_s: float) -> tuple[UserKeys, KmsDomain]:
        """A user's keys of the period of a time, and its KMS; raises KeyFileError, IdentityError."""
        users = self.users_of(uri)
        domain = self.speaker_of(uri)
        for user in users:
            period = domain.period_of(ntp_s)
            if user.ssk and user.pvt and user.holds_period(domain, period):
                keys = UserKeys(
                    uri=uri,
                    kms_uri=domain.uri,
                    uid=user.uid_at(domain, period),
                    key_period_no=period,
                    rsk=user.rsk or b"",
                    ssk=user.ssk,
                    pvt=user.pvt,
                )
                return keys, domain
        raise KeyFileError(f"the key file has no signing keys of {uri} for that time")

    def ring(self) -> KeyRing:
        """A key ring of the users that have all their keys."""
        return KeyRing(self.domains, [keys for keys in map(self._complete, self.users) if keys is not None])

    def _complete(self, user: KeyFileUser) -> UserKeys | None:
        if user.key_period_no is None or user.rsk is None or user.ssk is None or user.pvt is None:
            return None
        return UserKeys(
            uri=user.uri,
            kms_uri=user.kms_uri,
            uid=user.uid_at(self.domain(user.kms_uri), user.key_period_no),
            key_period_no=user.key_period_no,
            rsk=user.rsk,
            ssk=user.ssk,
            pvt=user.pvt,
        )


def _is_named(domain: KmsDomain) -> bool:
    return domain.namespace != ANY_IDENTITY


def parse_key_file(content: bytes) -> KeyFile:
    """A key file's octets to its values; raises KeyFileError."""
    if len(content) > MAX_FILE_OCTETS:
        raise KeyFileError(f"the key file has more than {MAX_FILE_OCTETS} octets")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise KeyFileError(f"the key file is no JSON: {exc}") from exc
    if not isinstance(document, dict) or set(document) - {"kms", "users", "source"}:
        raise KeyFileError('a key file is {"kms": [...], "users": [...]}')
    domains = tuple(_domain(entry, place) for entry, place in _entries(document, "kms", KMS_FIELDS))
    users = tuple(_user(entry, place) for entry, place in _entries(document, "users", USER_FIELDS))
    file = KeyFile(domains=_each_once(domains), users=users)
    for number, user in enumerate(users):
        try:
            file.domain(user.kms_uri)
        except KeyFileError as exc:
            raise KeyFileError(f"users[{number}]: {exc}") from exc
    return file


def _each_once(domains: tuple[KmsDomain, ...]) -> tuple[KmsDomain, ...]:
    """The KMSs without repeated entries; raises KeyFileError where two entries give one KMS different values."""
    kept: dict[str, KmsDomain] = {}
    for number, domain in enumerate(domains):
        if kept.setdefault(domain.uri.lower(), domain) != domain:
            raise KeyFileError(f"kms[{number}]: KMS {domain.uri} is listed twice, with different values")
    return tuple(kept.values())


def _entries(document: Mapping[str, object], name: str, fields: set[str]) -> list[tuple[dict[str, object], str]]:
    entries = document.get(name, [])
    if not isinstance(entries, list):
        raise KeyFileError(f"{name} is not a list")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise KeyFileError(f"{name}[{number}] is not an object")
        unknown = set(entry) - fields
        if unknown:
            raise KeyFileError(f"{name}[{number}]: unknown field {sorted(unknown)[0]!r}")
    return [(entry, f"{name}[{number}]") for number, entry in enumerate(entries)]


def _domain(entry: Mapping[str, object], place: str) -> KmsDomain:
    z, kpak = _octets(entry, "z", place), _octets(entry, "kpak", place)
    if z is None or kpak is None:
        raise KeyFileError(f"{place}: z and kpak are needed")
    scheme = _integer(entry, "uid_format", place)
    if scheme is None:
        raise KeyFileError(f"{place}.uid_format is missing")
    try:
        return KmsDomain(
            uri=_text(entry, "uri", place),
            z=z,
            kpak=kpak,
            uid_scheme=scheme,
            key_period_s=_integer(entry, "key_period_s", place) or 0,
            key_period_offset_s=_integer(entry, "key_period_offset_s", place) or 0,
            namespace=_namespace(entry, place),
        )
    except IdentityError as exc:
        raise KeyFileError(f"{place}: {exc}") from exc


def _user(entry: Mapping[str, object], place: str) -> KeyFileUser:
    return KeyFileUser(
        uri=_text(entry, "uri", place),
        kms_uri=_text(entry, "kms", place),
        uid=_octets(entry, "uid", place),
        key_period_no=_integer(entry, "key_period_no", place),
        rsk=_octets(entry, "rsk", place),
        ssk=_octets(entry, "ssk", place),
        pvt=_octets(entry, "pvt", place),
    )


def _namespace(entry: Mapping[str, object], place: str) -> tuple[str, ...]:
    value = entry.get("namespace")
    if value is None:
        return ANY_IDENTITY
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_PATTERNS:
        raise KeyFileError(f"{place}.namespace is not a list of 1..{MAX_PATTERNS} patterns")
    for pattern in value:
        if not isinstance(pattern, str) or not VISIBLE.fullmatch(pattern) or len(pattern) > MAX_IDENTITY_OCTETS:
            raise KeyFileError(f"{place}.namespace: {pattern!r} is no pattern of identities")
    return tuple(value)


def _text(entry: Mapping[str, object], name: str, place: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise KeyFileError(f"{place}.{name} is missing or not a string")
    try:
        identity_octets(value)
    except IdentityError as exc:
        raise KeyFileError(f"{place}.{name}: {exc}") from exc
    return value


def _octets(entry: Mapping[str, object], name: str, place: str) -> bytes | None:
    value = entry.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise KeyFileError(f"{place}.{name} is not a string of hex digits")
    try:
        octets = bytes.fromhex(value)
    except ValueError as exc:
        raise KeyFileError(f"{place}.{name} is not a string of hex digits") from exc
    expected = KEY_OCTETS.get(name)
    if expected is not None and len(octets) != expected:
        raise KeyFileError(f"{place}.{name} has {len(octets)} octets, not {expected}")
    return octets


def _integer(entry: Mapping[str, object], name: str, place: str) -> int | None:
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise KeyFileError(f"{place}.{name} is not an integer of 0 or more")
    return value
