"""Keys and public parameters: conversion between the values in use and the JSON forms of the KMS."""

from __future__ import annotations

from security.errors import SecurityError
from security.held_keys import DiscoveryKeys, GroupKey
from security.identifiers import KmsDomain, UserKeys
from security.kms_wire.errors import KeySetRejected
from security.kms_wire.protocol import (
    DiscoveryKeysForm,
    DomainForm,
    GroupKeyForm,
    KeySetForm,
)


def domain_of_form(form: DomainForm) -> KmsDomain:
    """Public parameters from their form. Raises KeySetRejected."""
    try:
        return KmsDomain(
            uri=form.uri,
            z=bytes.fromhex(form.z),
            kpak=bytes.fromhex(form.kpak),
            uid_scheme=form.uid_scheme,
            key_period_s=form.key_period_s,
            key_period_offset_s=form.key_period_offset_s,
            namespace=form.namespace,
        )
    except SecurityError as exc:
        raise KeySetRejected(f"KMS parameters: {exc}") from exc


def form_of_domain(domain: KmsDomain, *, lab_deterministic: bool) -> DomainForm:
    """The form of public parameters, as sent and stored."""
    return DomainForm(
        uri=domain.uri,
        z=domain.z.hex(),
        kpak=domain.kpak.hex(),
        uid_scheme=domain.uid_scheme,
        key_period_s=domain.key_period_s,
        key_period_offset_s=domain.key_period_offset_s,
        namespace=domain.namespace,
        lab_deterministic=lab_deterministic,
    )


def user_keys_of_form(form: KeySetForm, *, kms_uri: str, uri: str) -> UserKeys:
    """A key set from its form."""
    return UserKeys(
        uri=uri,
        kms_uri=kms_uri,
        uid=bytes.fromhex(form.uid),
        key_period_no=form.key_period_no,
        rsk=bytes.fromhex(form.rsk),
        ssk=bytes.fromhex(form.ssk),
        pvt=bytes.fromhex(form.pvt),
    )


def form_of_user_keys(keys: UserKeys) -> KeySetForm:
    """The form of a key set, as sent and stored."""
    return KeySetForm(
        key_period_no=keys.key_period_no,
        uid=keys.uid.hex(),
        rsk=keys.rsk.hex(),
        ssk=keys.ssk.hex(),
        pvt=keys.pvt.hex(),
    )


def group_key_of_form(form: GroupKeyForm, *, kms_uri: str) -> GroupKey:
    """A group identity's key from its form."""
    return GroupKey(
        group_uri=form.group_uri,
        kms_uri=kms_uri,
        uid=bytes.fromhex(form.uid),
        key_period_no=form.key_period_no,
        rsk=bytes.fromhex(form.rsk),
    )


def form_of_group_key(key: GroupKey) -> GroupKeyForm:
    """The form of a group identity's key, as sent and stored."""
    return GroupKeyForm(group_uri=key.group_uri, key_period_no=key.key_period_no, uid=key.uid.hex(), rsk=key.rsk.hex())


def discovery_keys_of_form(form: DiscoveryKeysForm, *, kms_uri: str) -> DiscoveryKeys:
    """A discovery group's keys from their form."""
    return DiscoveryKeys(
        group=form.group,
        kms_uri=kms_uri,
        key_period_no=form.key_period_no,
        duik=bytes.fromhex(form.duik),
        dusk=bytes.fromhex(form.dusk),
        duck=bytes.fromhex(form.duck),
    )


def form_of_discovery_keys(keys: DiscoveryKeys) -> DiscoveryKeysForm:
    """The form of a discovery group's keys, as sent and stored."""
    return DiscoveryKeysForm(
        group=keys.group,
        key_period_no=keys.key_period_no,
        duik=keys.duik.hex(),
        dusk=keys.dusk.hex(),
        duck=keys.duck.hex(),
    )
