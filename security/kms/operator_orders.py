"""Orders of a KMS's operator: enrol and revoke users, identities, groups; trust other KMSs. Every order is audited.

Each order has the same steps. What it brings is checked first: the form of names, and whether this KMS may have users
with such identities (its namespace, and what its UID scheme can make identifiers of). Then one transaction makes all
changes and writes the order's line in the audit log. So there is neither a change without its line nor half an order:
whatever is raised rolls both back. What the order returns is returned after the commit.

* Enrolment grants a user identities, uses and times, and makes a one-time ticket. The database keeps the digest of the
  ticket's token only, so a copy of the database enrols no UE.
* Revocation can't recall keys that a UE holds. It stops further keys at once, and puts the identity on the deny list
  that UEs fetch, until the last keys issued for it are dead everywhere. The identity is never granted again, and
  telephone numbers that the identity map gives to it lead to no identity any more.
* Leaving a group, or a discovery group, only ends further keys; keys that are held stay good until their period ends.
  To exclude a member at once, the group must change its keys.
* Trust of another KMS stores its public parameters as given by the operator; there is no other way in. Once stored they
  don't change, because a KMS never changes its keys: other parameters for its name are an error or an attack.
"""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from security.errors import SecurityError
from security.held_keys import ALL_USES, Grant, Use
from security.identifiers import KmsDomain, UidScheme, canonical_identity, is_map_signer
from security.identity_map.statement import MapState
from security.kms.authority import last_keys_dead_s
from security.kms.records import Records
from security.kms.service import KmsService, token_digest
from security.kms_wire.errors import KmsConfigError, KmsProtocolError
from security.kms_wire.forms import domain_of_form
from security.kms_wire.protocol import (
    DomainForm,
    EnrolmentNames,
    NamedDiscoveryGroup,
    NamedGroup,
    Ticket,
    decode,
    encode,
    explain,
)

TOKEN_OCTETS: Final = 32
DEFAULT_TOKEN_LIFE_S: Final = 24 * 3600
OPERATOR: Final = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentOrder:
    """An order: this user may have keys for these identities, uses and times (NTP s; None: open).

    `peers`: the identities with which each of them may link; without a list for an identity, all authorised ones.
    """

    user: str
    identities: tuple[str, ...]
    peers: tuple[str, ...] = ()
    discovery_groups: tuple[str, ...] = ()
    uses: frozenset[Use] = ALL_USES
    not_before_ntp_s: int | None = None
    not_after_ntp_s: int | None = None
    token_life_s: int = DEFAULT_TOKEN_LIFE_S


def enrol(service: KmsService, order: EnrolmentOrder) -> Ticket:
    """Grant a user its identities and make a one-time ticket; raises KmsConfigError for an impossible order."""
    _check(order, service.authority.domain)
    token = secrets.token_urlsafe(TOKEN_OCTETS)
    expires_unix_s = int(service.clocks.wall().timestamp()) + order.token_life_s
    with service.database.begin() as records:
        records.add_user(order.user)
        for uri in order.identities:
            if records.is_denied(uri):
                raise KmsConfigError(f"{uri} is revoked; it can't be granted again")
            records.put_grant(
                order.user,
                Grant(
                    uri=uri,
                    uses=order.uses,
                    not_before_ntp_s=order.not_before_ntp_s,
                    not_after_ntp_s=order.not_after_ntp_s,
                ),
            )
            for peer in order.peers:
                records.allow_pair(uri, peer)
        for group in order.discovery_groups:
            records.join_discovery(order.user, group)
        records.add_token(token_digest(token), user=order.user, expires_unix_s=expires_unix_s)
        service.audit(
            records,
            actor=OPERATOR,
            action="grant",
            subject=order.user,
            detail={
                "identities": list(order.identities),
                "uses": sorted(use.value for use in order.uses),
                "peers": list(order.peers),
                "discovery_groups": list(order.discovery_groups),
            },
        )
    return Ticket(user=order.user, token=token, ca_pem=service.ca.certificate_pem.decode(), identities=order.identities)


def revoke_identity(service: KmsService, uri: str) -> None:
    """Issue no more keys for an identity, at once, and put it on the deny list. Raises KmsConfigError for a bad URI."""
    check_identity(uri, service.authority.domain)
    with service.database.begin() as records:
        _deny(service, records, uri)
        service.audit(records, actor=OPERATOR, action="revoke-identity", subject=uri, detail={})


def revoke_user(service: KmsService, user: str) -> tuple[str, ...]:
    """Close a user's certificate and tokens, and revoke its identities; returns them, raises KmsConfigError."""
    with service.database.begin() as records:
        if records.user_is_revoked(user) is None:
            raise KmsConfigError(f"no user {user} here")
        identities = tuple(grant.uri for grant in records.grants(user))
        records.revoke_user(user)
        for uri in identities:
            _deny(service, records, uri)
        service.audit(
            records, actor=OPERATOR, action="revoke-user", subject=user, detail={"identities": list(identities)}
        )
    return identities


def add_to_group(service: KmsService, group_uri: str, members: tuple[str, ...]) -> None:
    """Give members the keys of a group identity from their next contact on; raises KmsConfigError."""
    domain = service.authority.domain
    _check_group(group_uri, members, domain)
    with service.database.begin() as records:
        if records.is_denied(group_uri):
            raise KmsConfigError(f"{group_uri} is revoked; it can't have members again")
        for member in members:
            records.join_group(group_uri, member)
        service.audit(
            records, actor=OPERATOR, action="join-group", subject=group_uri, detail={"members": list(members)}
        )


def remove_from_group(service: KmsService, group_uri: str, members: tuple[str, ...]) -> None:
    """Give members no further keys of a group identity; those they hold stay good until their period ends.

    So a group that must exclude a member at once changes to keys per member, or to another identity. Raises
    KmsConfigError for an identity that is no member.
    """
    _check_group(group_uri, members, service.authority.domain)
    with service.database.begin() as records:
        for member in members:
            if not records.leave_group(group_uri, member):
                raise KmsConfigError(f"{member} is no member of {group_uri}")
        service.audit(
            records, actor=OPERATOR, action="leave-group", subject=group_uri, detail={"members": list(members)}
        )


def add_to_discovery_group(service: KmsService, group: str, users: tuple[str, ...]) -> None:
    """Give users the keys of a discovery group from their next contact on; raises KmsConfigError."""
    _check_discovery_group(group, users)
    with service.database.begin() as records:
        for user in users:
            revoked = records.user_is_revoked(user)
            if revoked is not False:
                raise KmsConfigError(f"user {user} is revoked" if revoked else f"no user {user} here")
            records.join_discovery(user, group)
        service.audit(records, actor=OPERATOR, action="join-discovery", subject=group, detail={"users": list(users)})


def remove_from_discovery_group(service: KmsService, group: str, users: tuple[str, ...]) -> None:
    """Give users no further keys of a discovery group; those they hold stay good until their period ends.

    Raises KmsConfigError for a user that is no member.
    """
    _check_discovery_group(group, users)
    with service.database.begin() as records:
        for user in users:
            if not records.leave_discovery(user, group):
                raise KmsConfigError(f"user {user} is not in discovery group {group}")
        service.audit(records, actor=OPERATOR, action="leave-discovery", subject=group, detail={"users": list(users)})


def trust_domain(service: KmsService, parameters: bytes) -> DomainForm:
    """Store another KMS's public parameters (JSON), for users that ask. Raises KmsConfigError."""
    try:
        form = decode(DomainForm, parameters)
        domain_of_form(form)
    except (KmsProtocolError, SecurityError) as exc:
        raise KmsConfigError(f"parameters of a KMS: {exc}") from exc
    if form.uri == service.authority.domain.uri:
        raise KmsConfigError(f"{form.uri} is this KMS itself")
    with service.database.begin() as records:
        records.trust_domain(form.uri, encode(form).decode())
        service.audit(
            records, actor=OPERATOR, action="trust-domain", subject=form.uri, detail={"namespace": list(form.namespace)}
        )
    return form


def _deny(service: KmsService, records: Records, uri: str) -> None:
    """Issue no more keys for an identity; list it until its last keys are dead, and take its numbers from it."""
    dead_s = last_keys_dead_s(service.authority.domain, service.clocks.lab_ntp_s())
    records.deny(uri, listed_until_ntp_s=dead_s)
    for number in records.numbers_of(uri):
        records.put_number(dataclasses.replace(number, state=MapState.NOBODY, change=number.change + 1))
        service.audit(
            records,
            actor=OPERATOR,
            action="unmap-number",
            subject=number.number,
            detail={"identity": uri, "why": "revoked"},
        )


def _check_group(group_uri: str, members: tuple[str, ...], domain: KmsDomain) -> None:
    try:
        NamedGroup(group_uri=group_uri, members=members)
    except ValidationError as exc:
        raise KmsConfigError(f"group order: {explain(exc)}") from exc
    for uri in (group_uri, *members):
        check_identity(uri, domain)


def _check_discovery_group(group: str, users: tuple[str, ...]) -> None:
    try:
        NamedDiscoveryGroup(group=group, users=users)
    except ValidationError as exc:
        raise KmsConfigError(f"discovery group order: {explain(exc)}") from exc


def _check(order: EnrolmentOrder, domain: KmsDomain) -> None:
    try:
        EnrolmentNames(
            user=order.user,
            identities=order.identities,
            peers=order.peers,
            discovery_groups=order.discovery_groups,
        )
    except ValidationError as exc:
        raise KmsConfigError(f"enrolment order: {explain(exc)}") from exc
    if not order.uses:
        raise KmsConfigError("an identity is granted for at least one use")
    if order.token_life_s <= 0:
        raise KmsConfigError("a token's life is longer than nothing")
    for uri in order.identities:
        check_identity(uri, domain)
    for peer in order.peers:
        _canonical(peer)


def check_identity(uri: str, domain: KmsDomain) -> None:
    """Raise KmsConfigError unless this KMS may have users with that identity."""
    if is_map_signer(uri):
        raise KmsConfigError(f"{uri} is reserved: KMSs sign identity maps as such an identity; it gets no keys")
    if not domain.speaks_for(_canonical(uri)):
        raise KmsConfigError(f"{uri} is outside this KMS's namespace ({', '.join(domain.namespace)})")
    if domain.uid_scheme == UidScheme.MONTHLY_TEL and not uri.startswith("tel:"):
        raise KmsConfigError(f"{uri}: this KMS makes identifiers of scheme 1, for tel URIs only")


def _canonical(uri: str) -> str:
    try:
        return canonical_identity(uri)
    except SecurityError as exc:
        raise KmsConfigError(str(exc)) from exc
