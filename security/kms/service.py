"""The core of a running KMS, whatever face it shows: it knows the caller, decides, answers, and audits all of it.

A request has a caller, proved by a client certificate or by an access token. The grants of operators
(`operator_orders`) decide which keys the caller may have: identities, uses, times, groups. Keys are extracted for the
periods that are open for issue, and every extraction is a signed line of the audit log, which is committed before the
keys leave. A refusal has a code of the protocol and a reason, and causes one event.

There are two clocks: the wall clock dates certificates, tokens and audit lines; the other chooses key periods, and may
be a fixed one in a lab. Several processes may serve one database; each has an audit stream of its own, which the main
stream ties in at intervals (`CHECKPOINT_LINES`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.errors import SecurityError
from security.held_keys import Grant, Use
from security.identifiers import canonical_identity
from security.kms.audit import CHECKPOINT, MAIN_STREAM, OPEN_STREAM, AuditEntry, AuditHead, Detail, next_line
from security.kms.authority import Authority, NotAuthorisedError, next_issue_s, periods_granted
from security.kms.database import Database
from security.kms.records import Records
from security.kms.row_guard import RootLock
from security.kms.tables import certificate_table, grant_table
from security.kms_wire.errors import KmsRefusal, TlsIdentityError
from security.kms_wire.forms import form_of_discovery_keys, form_of_group_key, form_of_user_keys
from security.kms_wire.protocol import (
    DomainForm,
    EnrolRequest,
    EnrolResponse,
    KeysRequest,
    KeysResponse,
    ParametersResponse,
    Refusal,
)
from security.kms_wire.tls import LabCa, fingerprint_of

CHECKPOINT_LINES = 1000
"""Number of lines of a worker's audit stream after which the main stream gets its head again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The two times a KMS knows: `wall` dates certificates, tokens and audit lines; `lab_ntp_s` chooses key periods."""

    wall: Callable[[], dt.datetime]
    lab_ntp_s: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUser:
    """A user identified by an access token, on the XML face."""

    name: str


Caller = str | TokenUser
"""The caller of a request: the fingerprint of its client certificate, or the user of its access token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOrder:
    """One request for keys: its caller, the identity, and the period if it names one."""

    fingerprint: Caller
    uri: str
    period_no: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Allowance:
    """The keys that an order may get."""

    order: KeyOrder
    user: str
    grant: Grant
    periods: tuple[int, ...]
    groups: tuple[str, ...]
    discovery_groups: tuple[str, ...]
    peers: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsService:
    """A KMS with its secrets opened. Methods block on the database; refusals are KmsRefusal.

    Several services may share one database; those that serve have an audit `stream` of their own. `may_intercept`:
    whether the operators' shares for interception opened the secrets.
    """

    database: Database
    authority: Authority
    parameters_form: DomainForm
    ca: LabCa
    audit_key: Ed25519PrivateKey = field(repr=False)
    clocks: Clocks
    stream: str = MAIN_STREAM
    may_intercept: bool = False

    def enrol(self, request: EnrolRequest) -> EnrolResponse:
        """Turn a one-time token and a signing request into a client certificate. Bad requests leave the token good."""
        now = self.clocks.wall()
        now_unix_s = int(now.timestamp())
        digest = token_digest(request.token)
        with self.database.begin() as records:
            user = records.token_user(digest, now_unix_s=now_unix_s)
            if user is None or records.user_is_revoked(user):
                raise KmsRefusal(Refusal.TOKEN_INVALID, "the enrolment token is unknown, used, expired or revoked")
            try:
                certificate_pem = self.ca.issue_client(request.csr_pem.encode(), user=user, now=now)
            except TlsIdentityError as exc:
                raise KmsRefusal(Refusal.BAD_REQUEST, str(exc)) from exc
            fingerprint = fingerprint_of(x509.load_pem_x509_certificate(certificate_pem))
            if not records.use_token(digest, now_unix_s=now_unix_s):
                raise KmsRefusal(Refusal.TOKEN_INVALID, "the enrolment token has been used")
            records.add_certificate(fingerprint, user=user)
            self.audit(records, actor=f"ue:{user}", action="enrol", subject=user, detail={"certificate": fingerprint})
        return EnrolResponse(user=user, certificate_pem=certificate_pem.decode())

    def parameters(self, fingerprint: str) -> ParametersResponse:
        """Public parameters and the deny list."""
        now_ntp_s = self.clocks.lab_ntp_s()
        with self.database.read() as records:
            _user_of(_users(records, (fingerprint,)), fingerprint)
            deny_list = records.deny_list(now_ntp_s)
        return ParametersResponse(domain=self.parameters_form, time_ntp_s=now_ntp_s, deny_list=deny_list)

    def identities(self, caller: Caller) -> tuple[str, tuple[str, ...]]:
        """The name of a caller's user, and the identities that it is granted."""
        with self.database.read() as records:
            user = _user_of(_users(records, (caller,)), caller)
            return user, tuple(grant.uri for grant in records.grants(user))

    def token_user(self, holder: str) -> TokenUser:
        """The user that an access token names, by name or by one of its identities."""
        if ":" not in holder:
            return TokenUser(name=holder)
        try:
            uri = canonical_identity(holder)
        except SecurityError as exc:
            raise KmsRefusal(Refusal.NOT_AUTHORISED, "the access token names no identity of this KMS") from exc
        with self.database.read() as records:
            owner, _ = records.owned_grants((uri,)).get(uri, (None, None))
        if owner is None:
            raise KmsRefusal(Refusal.NOT_AUTHORISED, "the access token names no identity of this KMS")
        return TokenUser(name=owner)

    def trusted_domains(self, caller: Caller) -> tuple[DomainForm, ...]:
        """Public parameters of this KMS and, behind it, of every other that its operator trusts."""
        with self.database.read() as records:
            _user_of(_users(records, (caller,)), caller)
            others = records.trusted_domains()
        return (self.parameters_form, *(DomainForm.model_validate_json(other) for other in others))

    def keys(self, fingerprint: str, request: KeysRequest) -> KeysResponse:
        """Key sets of one identity for every period open for issue; written to the audit log before they leave."""
        (answer,) = self.issue((KeyOrder(fingerprint=fingerprint, uri=request.uri),))
        if isinstance(answer, KmsRefusal):
            raise answer
        return answer

    def issue(self, orders: Sequence[KeyOrder]) -> list[KeysResponse | KmsRefusal]:
        """Answer many requests for keys with one query of the database and one commit of the audit log.

        An answer leaves only when its audit line is on the disk and its user and identity are still not revoked.
        """
        now_ntp_s = self.clocks.lab_ntp_s()
        with self.database.read() as records:
            allowances = self._allowances(records, orders, now_ntp_s)
            deny_list = records.deny_list(now_ntp_s)
        answers: list[KeysResponse | KmsRefusal] = [
            allowance if isinstance(allowance, KmsRefusal) else self._answer(allowance, deny_list, now_ntp_s)
            for allowance in allowances
        ]
        granted = [allowance for allowance in allowances if isinstance(allowance, _Allowance)]
        if granted:
            with self.database.begin(RootLock.SHARED) as records:
                withdrawn = _withdrawn(records, granted)
                at = self._now()
                entries = [_extraction(one, at, now_ntp_s) for one in granted if one.order not in withdrawn]
                self._append(records, entries)
            answers = [withdrawn.get(order, answer) for order, answer in zip(orders, answers, strict=True)]
        return answers

    def audit(self, records: Records, *, actor: str, action: str, subject: str, detail: Detail) -> None:
        """Add a line to the audit log within the caller's transaction."""
        entry = AuditEntry(at=self._now(), actor=actor, action=action, subject=subject, detail=detail)
        self._append(records, (entry,))

    def checkpoint(self) -> None:
        """Write the head of this service's own audit stream into the main one."""
        if self.stream == MAIN_STREAM:
            return
        with self.database.begin() as records:
            head = records.audit_head(self.stream)
            if head is not None and head.count:
                self._note_in_main(records, CHECKPOINT, {"lines": head.count, "hash": head.hash_hex})

    def _append(self, records: Records, entries: Sequence[AuditEntry]) -> None:
        if not entries:
            return
        before = records.audit_head(self.stream) or self._open_stream(records)
        head, lines = before, []
        for entry in entries:
            line, head = next_line(head, entry, key=self.audit_key)
            lines.append(line)
        records.append_audit(lines, head)
        if self.stream != MAIN_STREAM and before.count // CHECKPOINT_LINES != head.count // CHECKPOINT_LINES:
            self._note_in_main(records, CHECKPOINT, {"lines": head.count, "hash": head.hash_hex})

    def _open_stream(self, records: Records) -> AuditHead:
        head = records.open_audit_stream(self.stream)
        self._note_in_main(records, OPEN_STREAM, {})
        return head

    def _note_in_main(self, records: Records, action: str, detail: Detail) -> None:
        head = records.audit_head(MAIN_STREAM) or AuditHead()
        entry = AuditEntry(at=self._now(), actor="kms", action=action, subject=self.stream, detail=detail)
        line, head = next_line(head, entry, key=self.audit_key)
        records.append_audit((line,), head)

    def _now(self) -> str:
        return self.clocks.wall().isoformat(timespec="microseconds")

    def _allowances(
        self, records: Records, orders: Sequence[KeyOrder], now_ntp_s: int
    ) -> list[_Allowance | KmsRefusal]:
        """For each order the keys that it may get, or the refusal; one query of each kind for all of them."""
        uris = {order.uri for order in orders}
        callers = {order.fingerprint for order in orders}
        fingerprints = {caller for caller in callers if isinstance(caller, str)}
        records.prefetch((certificate_table, "fingerprint", fingerprints), (grant_table, "uri", uris))
        users = _users(records, callers)
        grants, denied = records.owned_grants(uris), records.denied_among(uris)
        peers, groups = records.peers_of(uris), records.groups_of(uris)
        denied_groups = records.denied_among({group for joined in groups.values() for group in joined})
        discovery = records.discovery_groups_of({name for name, _ in users.values()})

        def allowance(order: KeyOrder) -> _Allowance:
            user = _user_of(users, order.fingerprint)
            grant = _grant_of(grants, order.uri, user)
            periods = self._periods(grant, order, user, now_ntp_s)
            _check_not_denied(order.uri, denied)
            joined = groups.get(order.uri, ()) if Use.GROUP in grant.uses else ()
            return _Allowance(
                order=order,
                user=user,
                grant=grant,
                periods=periods,
                groups=tuple(group for group in joined if group not in denied_groups),
                discovery_groups=discovery.get(user, ()),
                peers=peers.get(order.uri),
            )

        return [_or_refusal(allowance, order) for order in orders]

    def _periods(self, grant: Grant, order: KeyOrder, user: str, now_ntp_s: int) -> tuple[int, ...]:
        try:
            periods = periods_granted(self.authority.domain, grant, now_ntp_s)
        except NotAuthorisedError as exc:
            raise KmsRefusal(Refusal.NOT_AUTHORISED, f"user {user}: {exc}") from exc
        if order.period_no is None:
            return periods
        if order.period_no not in periods:
            raise KmsRefusal(Refusal.NOT_AUTHORISED, f"key period {order.period_no} is not handed out now")
        return (order.period_no,)

    def _answer(self, allowance: _Allowance, deny_list: tuple[str, ...], now_ntp_s: int) -> KeysResponse:
        uri, periods = allowance.order.uri, allowance.periods
        return KeysResponse(
            uri=uri,
            time_ntp_s=now_ntp_s,
            key_sets=tuple(form_of_user_keys(self.authority.extract(uri, period)) for period in periods),
            next_issue_ntp_s=next_issue_s(self.authority.domain, now_ntp_s),
            uses=tuple(use.value for use in sorted(allowance.grant.uses)),
            not_after_ntp_s=allowance.grant.not_after_ntp_s,
            group_keys=tuple(
                form_of_group_key(self.authority.group_key(group, period))
                for group in allowance.groups
                for period in periods
            ),
            discovery_keys=tuple(
                form_of_discovery_keys(self.authority.discovery_keys(group, period))
                for group in allowance.discovery_groups
                for period in periods
            ),
            peers=allowance.peers,
            deny_list=deny_list,
        )


def token_digest(token: str) -> str:
    """The stored form of an enrolment token: SHA-256, hex (a token holds 256 random bits)."""
    return hashlib.sha256(token.encode()).hexdigest()


def _or_refusal(allowance: Callable[[KeyOrder], _Allowance], order: KeyOrder) -> _Allowance | KmsRefusal:
    try:
        return allowance(order)
    except KmsRefusal as refusal:
        return refusal


def _users(records: Records, callers: Collection[Caller]) -> dict[Caller, tuple[str, bool]]:
    """For each caller that is known: the user's name, and whether the user is revoked."""
    users: dict[Caller, tuple[str, bool]] = {}
    fingerprints = [caller for caller in callers if isinstance(caller, str)]
    if fingerprints:
        users.update(records.certificate_users(fingerprints))
    for caller in callers:
        if isinstance(caller, TokenUser):
            revoked = records.user_is_revoked(caller.name)
            if revoked is not None:
                users[caller] = (caller.name, revoked)
    return users


def _user_of(users: Mapping[Caller, tuple[str, bool]], caller: Caller) -> str:
    if caller not in users:
        if isinstance(caller, TokenUser):
            raise KmsRefusal(Refusal.NOT_AUTHORISED, "the access token names no user of this KMS")
        raise KmsRefusal(Refusal.CERTIFICATE_UNKNOWN, "this KMS has not issued that certificate")
    user, revoked = users[caller]
    if revoked:
        raise KmsRefusal(Refusal.USER_REVOKED, f"user {user} is revoked")
    return user


def _grant_of(grants: dict[str, tuple[str, Grant]], uri: str, user: str) -> Grant:
    owner, grant = grants.get(uri, (None, None))
    if grant is None or owner != user:
        raise KmsRefusal(Refusal.NOT_AUTHORISED, f"user {user}: not authorised for {uri}")
    return grant


def _check_not_denied(uri: str, denied: frozenset[str]) -> None:
    if uri in denied:
        raise KmsRefusal(Refusal.IDENTITY_REVOKED, f"{uri} is revoked; its keys end with their period")


def _withdrawn(records: Records, granted: Sequence[_Allowance]) -> dict[KeyOrder, KeysResponse | KmsRefusal]:
    """The orders whose user or identity was revoked while their keys were made, each with its refusal."""
    users = _users(records, {one.order.fingerprint for one in granted})
    denied = records.denied_among({one.order.uri for one in granted})
    withdrawn: dict[KeyOrder, KeysResponse | KmsRefusal] = {}
    for one in granted:
        try:
            _user_of(users, one.order.fingerprint)
            _check_not_denied(one.order.uri, denied)
        except KmsRefusal as refusal:
            withdrawn[one.order] = refusal
    return withdrawn


def _extraction(allowance: _Allowance, at: str, now_ntp_s: int) -> AuditEntry:
    detail: Detail = {
        "periods": list(allowance.periods),
        "groups": list(allowance.groups),
        "discovery_groups": list(allowance.discovery_groups),
        "lab_time_ntp_s": now_ntp_s,
    }
    if isinstance(allowance.order.fingerprint, TokenUser):
        detail = {**detail, "shown": "access-token"}
    return AuditEntry(at=at, actor=f"ue:{allowance.user}", action="extract", subject=allowance.order.uri, detail=detail)
