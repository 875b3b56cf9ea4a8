"""What the operator of a KMS orders: enrol a user, revoke a user or an identity. Every order is audited."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from security.errors import SecurityError
from security.identifiers import KmsDomain, UidScheme, canonical_identity
from security.kms.authority import Grant
from security.kms.errors import KmsConfigError
from security.kms.protocol import EnrolmentNames, Ticket, explain
from security.kms.service import KmsService, token_digest

TOKEN_OCTETS: Final = 32
DEFAULT_TOKEN_LIFE_S: Final = 24 * 3600
OPERATOR: Final = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentOrder:
    """This user may have keys for these identities, from and to these times (NTP s; None: open).

    `peers`: the identities each of them may link with; where no list is kept for an identity, all authorised ones.
    """

    user: str
    identities: tuple[str, ...]
    peers: tuple[str, ...] = ()
    discovery_groups: tuple[str, ...] = ()
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
                Grant(uri=uri, not_before_ntp_s=order.not_before_ntp_s, not_after_ntp_s=order.not_after_ntp_s),
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
                "peers": list(order.peers),
                "discovery_groups": list(order.discovery_groups),
            },
        )
    return Ticket(user=order.user, token=token, ca_pem=service.ca.certificate_pem.decode(), identities=order.identities)


def revoke_identity(service: KmsService, uri: str) -> None:
    """No more keys for an identity, at once, and its name on the deny list; raises KmsConfigError for a bad URI."""
    _check_identity(uri, service.authority.domain)
    with service.database.begin() as records:
        records.deny(uri)
        service.audit(records, actor=OPERATOR, action="revoke-identity", subject=uri, detail={})


def revoke_user(service: KmsService, user: str) -> tuple[str, ...]:
    """Close a user's certificate and tokens, and revoke its identities; returns them, raises KmsConfigError."""
    with service.database.begin() as records:
        if records.user_is_revoked(user) is None:
            raise KmsConfigError(f"no user {user} here")
        identities = tuple(grant.uri for grant in records.grants(user))
        records.revoke_user(user)
        for uri in identities:
            records.deny(uri)
        service.audit(
            records, actor=OPERATOR, action="revoke-user", subject=user, detail={"identities": list(identities)}
        )
    return identities


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
    if order.token_life_s <= 0:
        raise KmsConfigError("a token's life is longer than nothing")
    for uri in order.identities:
        _check_identity(uri, domain)
    for peer in order.peers:
        _canonical(peer)


def _check_identity(uri: str, domain: KmsDomain) -> None:
    if not domain.speaks_for(_canonical(uri)):
        raise KmsConfigError(f"{uri} is outside this KMS's namespace ({', '.join(domain.namespace)})")
    if domain.uid_scheme == UidScheme.MONTHLY_TEL and not uri.startswith("tel:"):
        raise KmsConfigError(f"{uri}: this KMS makes identifiers of scheme 1, for tel URIs only")


def _canonical(uri: str) -> str:
    try:
        return canonical_identity(uri)
    except SecurityError as exc:
        raise KmsConfigError(str(exc)) from exc
