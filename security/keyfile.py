"""Key files in JSON: the KMSs and users that `pc5lab mikey` works with. Checked field by field at this border."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from security.errors import SecurityError
from security.identifiers import IdentityError, KeyRing, KmsDomain, UserKeys, identity_octets

MAX_FILE_OCTETS = 1 << 24
KMS_FIELDS = {"uri", "z", "kpak", "uid_format", "key_period_s", "key_period_offset_s"}
USER_FIELDS = {"uri", "kms", "uid", "key_period_no", "rsk", "ssk", "pvt"}
KEY_OCTETS = {"rsk": 257, "ssk": 32, "pvt": 65, "z": 257, "kpak": 65}


class KeyFileError(SecurityError):
    """A key file is not what it should be; the message says where."""


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

    def users_of(self, uri: str) -> list[KeyFileUser]:
        """All entries of a URI (one for each key period); raises KeyFileError where there is none."""
        found = [user for user in self.users if user.uri == uri]
        if not found:
            raise KeyFileError(f"the key file has no user {uri}")
        return found

    def signing_keys(self, uri: str, ntp_s: float) -> tuple[UserKeys, KmsDomain]:
        """A user's keys of the period of a time, and its KMS; raises KeyFileError, IdentityError."""
        for user in self.users_of(uri):
            domain = self.domain(user.kms_uri)
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
    file = KeyFile(domains=domains, users=users)
    for number, user in enumerate(users):
        try:
            file.domain(user.kms_uri)
        except KeyFileError as exc:
            raise KeyFileError(f"users[{number}]: {exc}") from exc
    return file


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
            namespace=("*",),
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
