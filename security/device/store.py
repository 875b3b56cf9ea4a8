"""A UE's key store: one sealed file with its keys and certificate, and the device's record beside it.

The file holds, for each KMS, the public parameters, the key sets of the two newest periods, keys of groups and of
discovery, and the lists of peers; and the client certificate. It is sealed under a key made from the passphrase. A
change reads the file again under the lock of the record, because another process of the device may have written it, and
replaces the file atomically. The first KMS that speaks for the identity is the home KMS: its time moves the time floor,
and keys of periods that are over by its time are removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field

from security.at_rest.atomic_file import replace_file
from security.at_rest.sealing import DEFAULT_LOG2_N, Seal
from security.device.number_store import (
    MAX_HELD_NUMBERS,
    HeldNumberForm,
    RefusedStatement,
    forms_of_held,
    held_of_forms,
    take_statements,
)
from security.device.provisioning import Provisioning
from security.device.record import WINDOW_S, DeviceRecord
from security.device.time_floor import KmsContact
from security.errors import USAGE, SecurityError
from security.held_keys import DiscoveryKeys, GroupKey, Use
from security.identifiers import KeyRing
from security.identity_map.checks import HeldNumber
from security.kms_wire.errors import KmsProtocolError
from security.kms_wire.forms import (
    discovery_keys_of_form,
    domain_of_form,
    form_of_discovery_keys,
    form_of_domain,
    form_of_group_key,
    form_of_user_keys,
    group_key_of_form,
    user_keys_of_form,
)
from security.kms_wire.protocol import (
    MAX_DENIED,
    MAX_PEERS,
    DiscoveryKeysForm,
    DomainForm,
    GroupKeyForm,
    KeySetForm,
    Message,
    NtpSeconds,
    Pem,
    Uri,
    UseName,
    decode,
    encode,
)
from security.kms_wire.tls import TlsIdentity

KEYS_FILE: Final = "keys.sealed"
RECORD_FILE: Final = "record.log"
PURPOSE: Final = "UE key store"
PERIODS_KEPT: Final = 2
STORE_VERSION: Final = 2
"""Version 1 held only DUIK of each discovery group; the next contact with the KMS brings all three keys."""


class StoreError(SecurityError):
    """The key store is missing, unreadable, or another identity's, or the requested change is refused."""

    exit_code: ClassVar[int] = USAGE


class KmsEntry(Message):
    """What the store holds from one KMS."""

    domain: DomainForm
    key_sets: Annotated[tuple[KeySetForm, ...], Field(max_length=PERIODS_KEPT)]
    discovery_keys: tuple[DiscoveryKeysForm, ...]
    peers: Annotated[tuple[Uri, ...], Field(max_length=MAX_PEERS)] | None
    deny_list: Annotated[tuple[Uri, ...], Field(max_length=MAX_DENIED)]
    next_issue_ntp_s: int
    group_keys: tuple[GroupKeyForm, ...]
    uses: tuple[UseName, ...]
    not_after_ntp_s: NtpSeconds | None


class ClientCertificate(Message):
    """The UE's certificate for its KMS, with its key."""

    certificate_pem: Pem
    key_pem: Annotated[str, Field(repr=False)]


class StoreContent(Message):
    """Everything in the sealed file."""

    version: Annotated[int, Field(ge=STORE_VERSION, le=STORE_VERSION)] = STORE_VERSION
    identity: Uri
    certificate: ClientCertificate | None = None
    kms: Annotated[tuple[KmsEntry, ...], Field(max_length=16)] = ()
    numbers: Annotated[tuple[HeldNumberForm, ...], Field(max_length=MAX_HELD_NUMBERS)] = ()


class KeyStore:
    """The keys of one identity on one device: sealed, mode 0600, replaced atomically.

    Contexts, KD and SSVs are never stored. `record` holds the data that must be on disk before an action.
    """

    def __init__(self, folder: Path, seal: Seal, content: StoreContent, record: DeviceRecord) -> None:
        self._folder = folder
        self._seal = seal
        self._content = content
        self.record = record
        self.refused_statements: tuple[RefusedStatement, ...] = ()
        """Statements of the identity map that were refused in the last contact."""

    @classmethod
    def create(
        cls, folder: Path, *, identity: str, passphrase: bytes, now_ntp_s: int, log2_n: int = DEFAULT_LOG2_N
    ) -> Self:
        """Make an empty store; raises StoreError if there is one already or the folder can't be used."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (folder / KEYS_FILE).exists():
                raise StoreError(f"{folder} holds a key store already")
            seal = Seal.create(passphrase, log2_n=log2_n)
            content = StoreContent(identity=identity)
            record = DeviceRecord(folder / RECORD_FILE, seal, device=identity, now_ntp_s=now_ntp_s, new=True)
            store = cls(folder, seal, content, record)
            with store._locked():
                store._write(content)
        except OSError as exc:
            raise StoreError(f"{folder}: {exc.strerror}") from exc
        return store

    @classmethod
    def open(cls, folder: Path, *, identity: str, passphrase: bytes, now_ntp_s: int) -> Self:
        """Open a store; raises StoreError if it is missing or another identity's, SealError for a wrong passphrase."""
        sealed = _read(folder / KEYS_FILE)
        seal = Seal.of(sealed, passphrase)
        content = _content(seal, sealed, folder)
        if content.identity != identity:
            raise StoreError(f"{folder} is the key store of {content.identity}, not of {identity}")
        record = DeviceRecord(folder / RECORD_FILE, seal, device=identity, now_ntp_s=now_ntp_s)
        return cls(folder, seal, content, record)

    @property
    def identity(self) -> str:
        """The identity whose store this is."""
        return self._content.identity

    @property
    def tls_identity(self) -> TlsIdentity | None:
        """The client certificate for the KMS, once enrolled."""
        held = self._content.certificate
        if held is None:
            return None
        return TlsIdentity(certificate_pem=held.certificate_pem.encode(), key_pem=held.key_pem.encode())

    @property
    def lab_deterministic(self) -> bool:
        """Whether any trusted KMS has demo master keys."""
        return any(entry.domain.lab_deterministic for entry in self._content.kms)

    @property
    def deny_list(self) -> frozenset[str]:
        """Every identity that a trusted KMS denies."""
        return frozenset(uri for entry in self._content.kms for uri in entry.deny_list)

    @property
    def peers(self) -> frozenset[str] | None:
        """The identities with which this one may link; None: all that are authorised."""
        lists = [entry.peers for entry in self._content.kms if entry.peers is not None]
        return frozenset(uri for peers in lists for uri in peers) if lists else None

    def key_ring(self) -> KeyRing:
        """Trusted KMSs and the keys of every period held."""
        domains = [domain_of_form(entry.domain) for entry in self._content.kms]
        users = [
            user_keys_of_form(form, kms_uri=entry.domain.uri, uri=self.identity)
            for entry in self._content.kms
            for form in entry.key_sets
        ]
        return KeyRing(domains, users)

    def group_keys(self) -> tuple[GroupKey, ...]:
        """Keys of the group identities of which this one is a member, of every period held."""
        return tuple(
            group_key_of_form(form, kms_uri=entry.domain.uri)
            for entry in self._content.kms
            for form in entry.group_keys
        )

    def may_use(self, use: Use, *, now_ntp_s: int) -> bool:
        """Whether some KMS's grant allows this use of the identity's keys now."""
        return any(
            use in entry.uses and (entry.not_after_ntp_s is None or now_ntp_s < entry.not_after_ntp_s)
            for entry in self._content.kms
        )

    @property
    def next_issue_ntp_s(self) -> int | None:
        """The time from which some KMS has further keys; None before the first contact."""
        return min((entry.next_issue_ntp_s for entry in self._content.kms), default=None)

    def discovery_keys(self) -> tuple[DiscoveryKeys, ...]:
        """Keys of discovery groups, of every period held."""
        return tuple(
            discovery_keys_of_form(form, kms_uri=entry.domain.uri)
            for entry in self._content.kms
            for form in entry.discovery_keys
        )

    def keep_certificate(self, identity: TlsIdentity) -> None:
        """Write the client certificate to the disk."""
        held = ClientCertificate(certificate_pem=identity.certificate_pem.decode(), key_pem=identity.key_pem.decode())
        with self._locked():
            self._write(self._reread().model_copy(update={"certificate": held}))

    def numbers(self) -> dict[str, HeldNumber]:
        """The entries of the KMSs' identity maps, by number."""
        return held_of_forms(self._content.numbers)

    def keep_statements(self, statements: Sequence[bytes], *, asked: Collection[str], now_ntp_s: int) -> None:
        """Check statements of an identity map, and write the valid ones to the disk, with the highest serials."""
        with self._locked():
            content = self._reread()
            held, self.refused_statements = take_statements(
                held_of_forms(content.numbers), statements, asked=asked, ring=self.key_ring(), now_ntp_s=now_ntp_s
            )
            forms = forms_of_held(held)
            if forms != content.numbers:
                self._write(content.model_copy(update={"numbers": forms}))

    def wipe_period(self, kms_uri: str, key_period_no: int) -> None:
        """Remove every key of a KMS's key period from the disk: RSK, SSK, PVT, keys of groups and of discovery."""
        with self._locked():
            content = self._reread()
            kept = tuple(
                _without_period(entry, key_period_no) if entry.domain.uri == kms_uri else entry for entry in content.kms
            )
            if kept != content.kms:
                self._write(content.model_copy(update={"kms": kept}))

    def keep(self, provisioning: Provisioning) -> KmsContact | None:
        """Write a KMS's keys to the disk, beside the keys of the period before.

        The time of the home KMS moves the time floor, and keys of periods that are over by it are removed (PROFILE 10).
        The home KMS is the first one in the store that speaks for the identity; another KMS's time moves nothing, and
        the method returns None. Raises StoreError if the keys are for another identity, or the KMS's public keys have
        changed.
        """
        if provisioning.uri != self.identity:
            raise StoreError(f"keys of {provisioning.uri} offered to the key store of {self.identity}")
        with self._locked():
            content = self._reread()
            old = next((entry for entry in content.kms if entry.domain.uri == provisioning.domain.uri), None)
            merged = _merged(old, provisioning)
            kept = tuple(merged if entry is old else entry for entry in content.kms) + (merged,) * (old is None)
            at_home = _home_of(self.identity, kept) == provisioning.domain.uri
            if at_home:
                kept = tuple(_without_ended(entry, provisioning.time_ntp_s - WINDOW_S) for entry in kept)
            self._write(content.model_copy(update={"kms": kept}))
        if not at_home:
            return None
        return self.record.kms_contact(provisioning.time_ntp_s, keys_end_ntp_s=_keys_end(merged))

    @property
    def home_kms_uri(self) -> str | None:
        """The KMS whose time counts: the first one in the store that speaks for the identity."""
        return _home_of(self.identity, self._content.kms)

    def _reread(self) -> StoreContent:
        """The present content of the disk: another process of the device may have written since."""
        return _content(self._seal, _read(self._folder / KEYS_FILE), self._folder)

    def _write(self, content: StoreContent) -> None:
        try:
            replace_file(self._folder / KEYS_FILE, self._seal.seal(encode(content), purpose=PURPOSE))
        except OSError as exc:
            raise StoreError(f"{self._folder / KEYS_FILE}: {exc.strerror}") from exc
        self._content = content

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            handle = os.open(self._folder / f".{KEYS_FILE}.lock", os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StoreError(f"{self._folder}: {exc.strerror}") from exc
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _merged(old: KmsEntry | None, new: Provisioning) -> KmsEntry:
    """New keys beside the old ones, the newest periods kept; raises StoreError if the KMS changed its public keys."""
    domain = form_of_domain(new.domain, lab_deterministic=new.lab_deterministic)
    if old is not None and old.domain != domain:
        raise StoreError(f"KMS {domain.uri} shows other parameters than before; not accepted into this key store")
    key_sets = {form.key_period_no: form for form in (old.key_sets if old else ())}
    key_sets |= {keys.key_period_no: form_of_user_keys(keys) for keys in new.key_sets}
    kept = sorted(key_sets)[-PERIODS_KEPT:]
    discovery = {(form.group, form.key_period_no): form for form in (old.discovery_keys if old else ())}
    discovery |= {(keys.group, keys.key_period_no): form_of_discovery_keys(keys) for keys in new.discovery_keys}
    groups = {(form.group_uri, form.key_period_no): form for form in (old.group_keys if old else ())}
    groups |= {(key.group_uri, key.key_period_no): form_of_group_key(key) for key in new.group_keys}
    return KmsEntry(
        domain=domain,
        key_sets=tuple(key_sets[period] for period in kept),
        discovery_keys=tuple(form for (_, period), form in sorted(discovery.items()) if period in kept),
        peers=new.peers,
        deny_list=new.deny_list,
        next_issue_ntp_s=new.next_issue_ntp_s,
        group_keys=tuple(form for (_, period), form in sorted(groups.items()) if period in kept),
        uses=tuple(sorted(use.value for use in new.uses)),
        not_after_ntp_s=new.not_after_ntp_s,
    )


def _home_of(identity: str, entries: Iterable[KmsEntry]) -> str | None:
    """The first KMS that speaks for an identity."""
    domains = (domain_of_form(entry.domain) for entry in entries)
    return next((domain.uri for domain in domains if domain.speaks_for(identity)), None)


def _without_ended(entry: KmsEntry, ntp_s: int) -> KmsEntry:
    """A KMS's entry without the keys of periods whose overlap is over at a time that is known to be past."""
    domain = domain_of_form(entry.domain)
    for form in entry.key_sets:
        if domain.period_bounds(form.key_period_no)[1] + domain.overlap_s() <= ntp_s:
            entry = _without_period(entry, form.key_period_no)
    return entry


def _without_period(entry: KmsEntry, key_period_no: int) -> KmsEntry:
    """An entry without the keys of a period."""
    return entry.model_copy(
        update={
            "key_sets": tuple(form for form in entry.key_sets if form.key_period_no != key_period_no),
            "group_keys": tuple(form for form in entry.group_keys if form.key_period_no != key_period_no),
            "discovery_keys": tuple(form for form in entry.discovery_keys if form.key_period_no != key_period_no),
        }
    )


def _keys_end(entry: KmsEntry) -> int:
    """The end of the newest key period held for a KMS, NTP; 0 without keys."""
    domain = domain_of_form(entry.domain)
    return max((domain.period_bounds(form.key_period_no)[1] for form in entry.key_sets), default=0)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise StoreError(f"no key store: {path}: {exc.strerror}") from exc


def _content(seal: Seal, sealed: bytes, folder: Path) -> StoreContent:
    try:
        return decode(StoreContent, _of_this_version(seal.open(sealed, purpose=PURPOSE)))
    except KmsProtocolError as exc:
        raise StoreError(f"{folder / KEYS_FILE}: {exc}") from exc


def _of_this_version(octets: bytes) -> bytes:
    """The content in the present version: version 1 loses its discovery keys, others stay as they are."""
    try:
        content = json.loads(octets)
        if content.get("version", 1) != 1:
            return octets
        entries = [{**entry, "discovery_keys": []} for entry in content.get("kms", ())]
    except (ValueError, AttributeError, TypeError):
        return octets
    return json.dumps({**content, "version": STORE_VERSION, "kms": entries}).encode()
