"""The identity of a UE: its key store, its enrolment with the KMS, and its keys.

At its start a UE opens its key store, or makes one if it has a ticket. It enrols if the store has no client
certificate, then contacts the KMS and stores the keys of all open periods. If the KMS can't be reached, the UE uses the
keys in the store. `Identity` collects the result in plain values: keys, trusted KMSs, deny list, allowed peers, entries
of the identity map, the device's record, and the time that the home KMS gave. A dishonest UE of the lab uses the same
values from another source, so that all later code is the same. Tables for the keys are computed before power-on, so
that the first request does not wait for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prose_link.config.ue import ConfigError, UeConfig
from prose_link.pc5s.core.replay import Record
from radio.text_file import TextError, read_text
from security import sakke
from security.at_rest.sealing import make_passphrase_file, passphrase_from_file
from security.device.kms_client import KmsClient, provision
from security.device.number_store import RefusedStatement
from security.device.provisioning import Provisioning
from security.device.store import KEYS_FILE, KeyStore
from security.held_keys import DiscoveryKeys, GroupKey
from security.identifiers import KeyRing, KmsDomain, UserKeys
from security.identity_map.checks import HeldNumber
from security.kms_wire.protocol import Ticket, decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The identity of a UE with its keys: from its key store, or made up by a dishonest UE."""

    uri: str
    key_ring: KeyRing
    record: Record
    denied: frozenset[str]
    discovery_keys: tuple[DiscoveryKeys, ...]
    peers: frozenset[str] | None = None
    """Identities that its KMS lets it link with; None if the KMS has no such list."""
    marks_lost_at_ntp_s: float | None = None
    """Time at which the device's record was found lost; None while it is complete."""
    kms_ntp_s: int | None = None
    """Time that the home KMS gave in the contact before; None if there was no contact."""
    numbers: Mapping[str, HeldNumber] = field(default_factory=dict)
    """Entries of the KMSs' identity maps, by number."""
    refused_statements: tuple[RefusedStatement, ...] = ()
    """Statements that were refused in that contact."""


def open_store(config: UeConfig, now_ntp_s: float) -> KeyStore:
    """The UE's key store; it is made if there is none yet and there is a ticket.

    Raises:
        ConfigError: there is no store, and the ticket cannot be read.
        security.errors.SecurityError: it is another identity's, or cannot be used.
    """
    folder = config.kms.store
    passphrase_file = config.kms.passphrase_file or folder.with_name(folder.name + ".key")
    if (folder / KEYS_FILE).exists():
        passphrase = passphrase_from_file(passphrase_file)
        return KeyStore.open(folder, identity=config.identity, passphrase=passphrase, now_ntp_s=int(now_ntp_s))
    ticket_of(config)
    folder.parent.mkdir(parents=True, exist_ok=True)
    exists = passphrase_file.exists()
    passphrase = passphrase_from_file(passphrase_file) if exists else make_passphrase_file(passphrase_file)
    return KeyStore.create(folder, identity=config.identity, passphrase=passphrase, now_ntp_s=int(now_ntp_s))


def fetch_keys(config: UeConfig, store: KeyStore) -> Provisioning:
    """Enrol if that has not been done, and get the keys of the open periods over TLS.

    Raises:
        ConfigError: the ticket cannot be read.
        security.errors.SecurityError: the KMS is out of reach, refuses, or sent keys that fail the checks.
    """
    ticket = ticket_of(config)
    return asyncio.run(
        provision(
            store,
            url=config.kms.url,
            ca_pem=ticket.ca_pem.encode(),
            token=ticket.token,
            numbers=config.numbers_to_ask,
        )
    )


def fetch_numbers(config: UeConfig, store: KeyStore, numbers: tuple[str, ...]) -> tuple[RefusedStatement, ...]:
    """Ask the KMS for the identities of telephone numbers, and store its statements; return the refused ones.

    Raises:
        ConfigError: the ticket cannot be read.
        security.errors.SecurityError: the KMS is out of reach, refuses, or the UE is not enrolled there.
    """
    client = KmsClient(url=config.kms.url, ca_pem=ticket_of(config).ca_pem.encode(), identity=store.tls_identity)
    time_ntp_s, fetched = asyncio.run(client.fetch_numbers(numbers))
    store.keep_statements(fetched.statements, asked=fetched.asked, now_ntp_s=time_ntp_s)
    return store.refused_statements


def identity_of(store: KeyStore, *, contact: Provisioning | None = None) -> Identity:
    """The identity of an honest UE: the contents of its store, and the time of a contact with its home KMS just now."""
    at_home = contact is not None and contact.domain.uri == store.home_kms_uri
    return Identity(
        uri=store.identity,
        key_ring=_with_group_keys(store),
        record=store.record,
        denied=store.deny_list,
        discovery_keys=store.discovery_keys(),
        peers=store.peers,
        marks_lost_at_ntp_s=store.record.accept_after_ntp_s or None,
        kms_ntp_s=contact.time_ntp_s if contact is not None and at_home else None,
        numbers=store.numbers(),
        refused_statements=_refused(store, contact),
    )


def _refused(store: KeyStore, contact: Provisioning | None) -> tuple[RefusedStatement, ...]:
    """Statements that were refused in a contact, and numbers for which the KMS has no statement."""
    if contact is None or contact.numbers is None:
        return ()
    if contact.numbers.why:
        return tuple(RefusedStatement(number=number, why=contact.numbers.why) for number in contact.numbers.asked)
    return store.refused_statements


def prepare_tables(domains: Iterable[KmsDomain], users: Iterable[UserKeys]) -> None:
    """Compute the tables of all keys and KMSs, so that the first request under them does not wait for them."""
    held = tuple(users)
    for domain in domains:
        sakke.prepare_tables(domain.z)
        for keys in held:
            if keys.kms_uri == domain.uri:
                sakke.prepare_tables(domain.z, keys.rsk, keys.uid if keys.ssk else None)


def _with_group_keys(store: KeyStore) -> KeyRing:
    """The store's keys, with those of its group identities, which open and sign nothing."""
    own = store.key_ring()
    return KeyRing(own.domains, (*own.users, *(keys_of_member(key) for key in store.group_keys())))


def keys_of_member(key: GroupKey) -> UserKeys:
    """A member's keys of a group identity, in a key ring: they open, and can't sign as the group."""
    return UserKeys(
        uri=key.group_uri,
        kms_uri=key.kms_uri,
        uid=key.uid,
        key_period_no=key.key_period_no,
        rsk=key.rsk,
        ssk=b"",
        pvt=b"",
    )


def ticket_of(config: UeConfig) -> Ticket:
    """The ticket that the KMS's operator made for this UE. Raises ConfigError."""
    path = config.kms.ticket
    try:
        return decode(Ticket, read_text(path).encode())
    except OSError as error:
        raise ConfigError(f"enrolment ticket {path}: {error.strerror}") from error
    except TextError as error:
        raise ConfigError(f"enrolment ticket {error}") from error
