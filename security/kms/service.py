"""The core of a running KMS, whatever face it shows: who is asking, may they, what do they get; all of it audited."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.identifiers import IdentityError
from security.kms.audit import Detail, next_line
from security.kms.authority import Authority, NotAuthorisedError, next_issue_s, periods_granted
from security.kms.errors import KmsRefusal, TlsIdentityError
from security.kms.protocol import (
    DiscoveryKeyForm,
    DomainForm,
    EnrolRequest,
    EnrolResponse,
    KeysRequest,
    KeysResponse,
    ParametersResponse,
    Refusal,
)
from security.kms.provisioning import form_of_user_keys
from security.kms.records import Database, Records
from security.kms.tls import LabCa, fingerprint_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The two times a KMS knows: `wall` dates certificates, tokens and audit lines; `lab_ntp_s` chooses key periods."""

    wall: Callable[[], dt.datetime]
    lab_ntp_s: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsService:
    """A KMS with its secrets opened. Methods block on the database; refusals are KmsRefusal."""

    database: Database
    authority: Authority
    parameters_form: DomainForm
    ca: LabCa
    audit_key: Ed25519PrivateKey
    clocks: Clocks

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
        with self.database.read() as records:
            self._user(records, fingerprint)
            return ParametersResponse(
                domain=self.parameters_form, time_ntp_s=self.clocks.lab_ntp_s(), deny_list=records.deny_list()
            )

    def keys(self, fingerprint: str, request: KeysRequest) -> KeysResponse:
        """Key sets of one identity for every period open for issue; written to the audit log before they leave."""
        now_ntp_s = self.clocks.lab_ntp_s()
        with self.database.read() as records:
            user = self._user(records, fingerprint)
            periods = self._periods(records, user, request.uri, now_ntp_s)
            groups = records.discovery_groups(user)
            peers = records.peers(request.uri)
            deny_list = records.deny_list()
        response = KeysResponse(
            uri=request.uri,
            time_ntp_s=now_ntp_s,
            key_sets=tuple(form_of_user_keys(self.authority.extract(request.uri, period)) for period in periods),
            next_issue_ntp_s=next_issue_s(self.authority.domain, now_ntp_s),
            discovery_keys=tuple(self._discovery_key(group, period) for group in groups for period in periods),
            peers=peers,
            deny_list=deny_list,
        )
        detail: Detail = {"periods": list(periods), "discovery_groups": list(groups), "lab_time_ntp_s": now_ntp_s}
        with self.database.begin() as records:
            self._user(records, fingerprint)
            self.audit(records, actor=f"ue:{user}", action="extract", subject=request.uri, detail=detail)
        return response

    def audit(self, records: Records, *, actor: str, action: str, subject: str, detail: Detail) -> None:
        """Add a line to the audit log within the caller's transaction."""
        line, head = next_line(
            records.audit_head(),
            at=self.clocks.wall().isoformat(timespec="microseconds"),
            actor=actor,
            action=action,
            subject=subject,
            detail=detail,
            key=self.audit_key,
        )
        records.append_audit(line, head)

    def _discovery_key(self, group: str, period_no: int) -> DiscoveryKeyForm:
        duik = self.authority.discovery_key(group, period_no)
        return DiscoveryKeyForm(group=group, key_period_no=period_no, duik=duik.hex())

    def _user(self, records: Records, fingerprint: str) -> str:
        user = records.certificate_user(fingerprint)
        if user is None:
            raise KmsRefusal(Refusal.CERTIFICATE_UNKNOWN, "this KMS has not issued that certificate")
        if records.user_is_revoked(user):
            raise KmsRefusal(Refusal.USER_REVOKED, f"user {user} is revoked")
        return user

    def _periods(self, records: Records, user: str, uri: str, now_ntp_s: int) -> tuple[int, ...]:
        try:
            periods = periods_granted(self.authority.domain, records.grants(user), uri, now_ntp_s)
        except (NotAuthorisedError, IdentityError) as exc:
            raise KmsRefusal(Refusal.NOT_AUTHORISED, f"user {user}: {exc}") from exc
        if records.is_denied(uri):
            raise KmsRefusal(Refusal.IDENTITY_REVOKED, f"{uri} is revoked; its keys end with their period")
        return periods


def token_digest(token: str) -> str:
    """How an enrolment token is remembered: SHA-256, hex (a token holds 256 random bits)."""
    return hashlib.sha256(token.encode()).hexdigest()
