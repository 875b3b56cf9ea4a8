"""Checks of a KMS's answer: its forms become keys only after the checks of RFC 6507 5.1.2 and RFC 6508 6.1.2."""

from __future__ import annotations

from dataclasses import dataclass

from security import sakke
from security.eccsi import eccsi
from security.errors import SecurityError
from security.held_keys import ALL_USES, DiscoveryKeys, GroupKey, Use
from security.identifiers import KmsDomain, UserKeys
from security.kms_wire.errors import KeySetRejected
from security.kms_wire.forms import (
    discovery_keys_of_form,
    domain_of_form,
    group_key_of_form,
    user_keys_of_form,
)
from security.kms_wire.protocol import (
    GroupKeyForm,
    KeySetForm,
    KeysResponse,
    ParametersResponse,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioning:
    """The checked result of one contact with a KMS, for one identity.

    `numbers`: statements of the identity map, if any were asked for; the key store checks them. `uses` and
    `not_after_ntp_s` (None: open) bound the use of the keys. `peers` None: every identity is authorised.
    """

    uri: str
    domain: KmsDomain
    lab_deterministic: bool
    time_ntp_s: int
    next_issue_ntp_s: int
    key_sets: tuple[UserKeys, ...]
    discovery_keys: tuple[DiscoveryKeys, ...]
    peers: tuple[str, ...] | None
    deny_list: tuple[str, ...]
    group_keys: tuple[GroupKey, ...] = ()
    uses: frozenset[Use] = ALL_USES
    not_after_ntp_s: int | None = None
    numbers: NumbersFetched | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NumbersFetched:
    """The numbers that a KMS was asked for, and its statements, unchecked; or `why` there are none."""

    asked: tuple[str, ...]
    statements: tuple[bytes, ...] = ()
    why: str = ""


def check_provisioning(parameters: ParametersResponse, keys: KeysResponse, *, uri: str) -> Provisioning:
    """Check a KMS's whole answer about `uri`. Raises KeySetRejected, which names the fault."""
    domain = domain_of_form(parameters.domain)
    if keys.uri != uri:
        raise KeySetRejected(f"asked for keys of {uri}, the KMS sent keys of {keys.uri}")
    if not domain.speaks_for(uri):
        raise KeySetRejected(f"KMS {domain.uri} does not speak for {uri}")
    if not keys.key_sets:
        raise KeySetRejected(f"the KMS sent no keys for {uri}")
    periods = [form.key_period_no for form in keys.key_sets]
    if len(set(periods)) != len(periods):
        raise KeySetRejected("the KMS sent two key sets for one period")
    if domain.period_of(keys.time_ntp_s) not in periods:
        raise KeySetRejected(f"the KMS sent no keys for {uri} for the present key period")
    return Provisioning(
        uri=uri,
        domain=domain,
        lab_deterministic=parameters.domain.lab_deterministic,
        time_ntp_s=keys.time_ntp_s,
        next_issue_ntp_s=keys.next_issue_ntp_s,
        key_sets=tuple(check_key_set(form, domain=domain, uri=uri) for form in keys.key_sets),
        discovery_keys=tuple(discovery_keys_of_form(form, kms_uri=domain.uri) for form in keys.discovery_keys),
        peers=keys.peers,
        deny_list=keys.deny_list,
        group_keys=tuple(check_group_key(form, domain=domain) for form in keys.group_keys),
        uses=frozenset(Use(use) for use in keys.uses),
        not_after_ntp_s=keys.not_after_ntp_s,
    )


def check_key_set(form: KeySetForm, *, domain: KmsDomain, uri: str) -> UserKeys:
    """Check identifier, signing keys and RSK of one key set; raises KeySetRejected."""
    keys = user_keys_of_form(form, kms_uri=domain.uri, uri=uri)
    if keys.uid != domain.uid_for_period(uri, keys.key_period_no):
        raise KeySetRejected(f"key period {keys.key_period_no}: the identifier is not that of {uri}")
    try:
        eccsi.validate_signing_keys(ssk=keys.ssk, pvt=keys.pvt, uid=keys.uid, kpak=domain.kpak)
        sakke.validate_rsk(keys.rsk, uid=keys.uid, z=domain.z)
    except SecurityError as exc:
        raise KeySetRejected(f"key period {keys.key_period_no} of {uri}: {exc}") from exc
    return keys


def check_group_key(form: GroupKeyForm, *, domain: KmsDomain) -> GroupKey:
    """Check identifier and RSK of a group identity; raises KeySetRejected."""
    key = group_key_of_form(form, kms_uri=domain.uri)
    place = f"key period {key.key_period_no} of group {key.group_uri}"
    if not domain.speaks_for(key.group_uri):
        raise KeySetRejected(f"KMS {domain.uri} does not speak for group {key.group_uri}")
    try:
        uid = domain.uid_for_period(key.group_uri, key.key_period_no)
    except SecurityError as exc:
        raise KeySetRejected(f"{place}: {exc}") from exc
    if key.uid != uid:
        raise KeySetRejected(f"{place}: the identifier is not the group's")
    try:
        sakke.validate_rsk(key.rsk, uid=key.uid, z=domain.z)
    except SecurityError as exc:
        raise KeySetRejected(f"{place}: {exc}") from exc
    return key
