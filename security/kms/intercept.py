"""Lawful interception: the KMS alone opens the named I_MESSAGEs and gives their session keys to two operators.

An order names a warrant, identities, a key period and the captured I_MESSAGEs. One operator signs the request, another
one the approval, each with an own key. Then the export, with the master secrets opened by the operators' shares, opens
exactly those messages. Receivers' keys never leave the KMS: an RSK would open everything of its period. Every step is a
line of the audit log, refused exports included.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from security import sakke
from security.errors import SecurityError
from security.identifiers import KmsDomain
from security.kms.audit import AuditHead, Detail
from security.kms.audit_checkpoint import countersigned_octets
from security.kms.authority import Authority
from security.kms.intercept_forms import (
    REQUEST_LABEL,
    InterceptBody,
    InterceptOrder,
    InterceptProduct,
    OpenedSession,
)
from security.kms.intercept_records import CountersignatureRow, OrderRow
from security.kms.records import Records
from security.kms.service import KmsService
from security.kms_wire.errors import InterceptError, RowsAlteredError
from security.kms_wire.forms import domain_of_form
from security.kms_wire.protocol import (
    DomainForm,
    decode,
    encode,
    explain,
)
from security.mikey.i_message import IMessage, extract_ssv, parse_i_message, verify_i_message
from security.mikey.numbers import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """An operator with an own signing key."""

    name: str
    key: Ed25519PrivateKey


def add_operator(service: KmsService, name: str, public_key: Ed25519PublicKey) -> None:
    """Register an operator for interception. Raises InterceptError if name or key exists already."""
    key_hex = public_key.public_bytes_raw().hex()
    _check_name(name)
    with service.database.begin() as records:
        known = records.operators()
        if name in known or key_hex in known.values():
            raise InterceptError(f"operator {name}, or another one with that key, is there already")
        records.add_operator(name, key_hex)
        service.audit(records, actor="operator", action="add-operator", subject=name, detail={"public_key": key_hex})


def request_intercept(
    service: KmsService,
    operator: Operator,
    *,
    warrant: str,
    identities: tuple[str, ...],
    key_period_no: int,
    messages: tuple[bytes, ...],
) -> InterceptOrder:
    """Order the session keys of these I_MESSAGEs. Raises InterceptError for a message that the order doesn't cover."""
    try:
        body = InterceptBody(
            kms=service.authority.domain.uri,
            warrant=warrant,
            identities=identities,
            key_period_no=key_period_no,
            messages=tuple(message.hex() for message in messages),
        )
    except ValidationError as exc:
        raise InterceptError(f"interception order: {explain(exc)}") from exc
    for place in range(len(messages)):
        _named_message(body, place, service.authority.domain)
    text = encode(body).decode()
    with service.database.begin() as records:
        check_operator(records, operator)
        order = InterceptOrder(
            number=max(records.orders(), default=0) + 1,
            body_text=text,
            requested_by=operator.name,
            request_signature=operator.key.sign(REQUEST_LABEL + text.encode()).hex(),
            approved_by=None,
            approval_signature=None,
        )
        records.add_order(
            OrderRow(
                number=order.number,
                body=order.body_text,
                requested_by=order.requested_by,
                request_signature=order.request_signature,
                approved_by=None,
                approval_signature=None,
            )
        )
        _countersign(records, operator, order.number, "request")
        _audit(service, records, "request", operator.name, order)
    return order


def approve_intercept(service: KmsService, operator: Operator, number: int) -> InterceptOrder:
    """Approve another operator's order. Raises InterceptError for an own, an approved or an unknown one."""
    with service.database.begin() as records:
        own_key = check_operator(records, operator)
        order = find_order(records, number)
        _check_signature(records, order.requested_by, order.request_signature, REQUEST_LABEL + order.body_text.encode())
        if order.requested_by == operator.name or _public_key(records, order.requested_by) == own_key:
            raise InterceptError(f"interception order {number} is {operator.name}'s own; another operator approves it")
        if order.approved_by is not None:
            raise InterceptError(f"interception order {number} is approved already, by {order.approved_by}")
        signature = operator.key.sign(order.approval_octets).hex()
        records.approve_order(number, operator=operator.name, signature=signature)
        _countersign(records, operator, number, "approve")
        _audit(service, records, "approve", operator.name, order)
        return find_order(records, number)


def export_intercept(service: KmsService, operator: Operator, number: int) -> InterceptProduct:
    """Open the messages of an order that two operators signed. Raises InterceptError; a refusal is audited too."""
    with service.database.begin() as records:
        try:
            check_operator(records, operator)
            order = find_order(records, number)
        except RowsAlteredError as exc:
            detail: Detail = {"order": number, "why": str(exc)[:300]}
            actor = f"operator:{operator.name}"
            service.audit(records, actor=actor, action="intercept-export-refused", subject="", detail=detail)
            refusal = InterceptError(str(exc))
        else:
            try:
                return _exported(service, records, operator, order)
            except InterceptError as exc:
                _audit(service, records, "export-refused", operator.name, order, why=str(exc))
                refusal = exc
    raise refusal


def _exported(service: KmsService, records: Records, operator: Operator, order: InterceptOrder) -> InterceptProduct:
    _check_shares(service)
    approver = _check_both_signatures(records, order)
    trusted = [service.parameters_form, *map(_domain_form, records.trusted_domains())]
    sessions = _open_all(order.body, service.authority, [domain_of_form(form) for form in trusted])
    _audit(service, records, "export", operator.name, order)
    return InterceptProduct(
        kms=service.authority.domain.uri,
        order=order.number,
        warrant=order.body.warrant,
        requested_by=order.requested_by,
        approved_by=approver,
        sessions=sessions,
    )


def find_order(records: Records, number: int) -> InterceptOrder:
    """An order by its number; raises InterceptError."""
    row = records.orders().get(number)
    if row is None:
        raise InterceptError(f"there is no interception order {number}")
    return InterceptOrder(
        number=row.number,
        body_text=row.body,
        requested_by=row.requested_by,
        request_signature=row.request_signature,
        approved_by=row.approved_by,
        approval_signature=row.approval_signature,
    )


def _open_all(body: InterceptBody, authority: Authority, trusted: list[KmsDomain]) -> tuple[OpenedSession, ...]:
    sessions = []
    for place in range(len(body.messages)):
        i_message, responder = _named_message(body, place, authority.domain)
        keys = authority.extract(responder, body.key_period_no)
        try:
            ssv = extract_ssv(i_message, rsk=keys.rsk, uid=keys.uid, z=authority.domain.z)
        except SecurityError as exc:
            raise InterceptError(f"message {place + 1}: can't be opened as {responder}: {exc}") from exc
        finally:
            sakke.forget_receiver_keys()
        sessions.append(
            OpenedSession(
                signed_part_sha256=hashlib.sha256(i_message.signed_part).hexdigest(),
                csb_id=i_message.csb_id,
                time_ntp_s=int(i_message.timestamp.ntp_s),
                initiator=_text(i_message.role(Role.INITIATOR, Role.INITIATOR_UID)),
                responder=responder,
                signature=_signature_verdict(i_message, trusted),
                ssv=ssv.hex(),
            )
        )
    return tuple(sessions)


def _named_message(body: InterceptBody, place: int, domain: KmsDomain) -> tuple[IMessage, str]:
    """A message of the order, and the one of its identities that it is for.

    Raises InterceptError if it is not covered.
    """
    name = f"message {place + 1}"
    try:
        i_message = parse_i_message(bytes.fromhex(body.messages[place]))
        period = domain.period_of(i_message.timestamp.ntp_s)
        uids = {uri: domain.uid_for_period(uri, body.key_period_no) for uri in body.identities}
    except SecurityError as exc:
        raise InterceptError(f"{name}: {exc}") from exc
    if period != body.key_period_no:
        raise InterceptError(f"{name} is of key period {period}, the order of {body.key_period_no}")
    named = i_message.role(Role.RESPONDER), i_message.role(Role.RESPONDER_UID)
    for uri, uid in uids.items():
        if domain.speaks_for(uri) and any(data in (uri.encode(), uid) for data in named if data is not None):
            return i_message, uri
    raise InterceptError(f"{name} is for none of the order's identities ({', '.join(body.identities)})")


def _signature_verdict(
    i_message: IMessage, trusted: list[KmsDomain]
) -> Literal["verified", "does not verify", "signer's KMS is not trusted here"]:
    try:
        signer = _signer(i_message, trusted)
        if signer is None:
            return "signer's KMS is not trusted here"
        domain, uid = signer
        verify_i_message(i_message, uid=uid, kpak=domain.kpak)
    except SecurityError:
        return "does not verify"
    return "verified"


def _signer(i_message: IMessage, trusted: list[KmsDomain]) -> tuple[KmsDomain, bytes] | None:
    """The domain and identifier under which a message's signature is verified, if they can be known."""
    uri, uid = _text(i_message.role(Role.INITIATOR)), i_message.role(Role.INITIATOR_UID)
    kms = _text(i_message.role(Role.INITIATOR_KMS, Role.KMS))
    for domain in trusted:
        if uri is not None and domain.speaks_for(uri):
            return domain, domain.uid(uri, i_message.timestamp.ntp_s)
        if uri is None and uid is not None and domain.uri == kms:
            return domain, uid
    return None


def _check_both_signatures(records: Records, order: InterceptOrder) -> str:
    """Request and approval must verify and be of two operators; returns the approver, raises InterceptError."""
    if order.approved_by is None or order.approval_signature is None:
        raise InterceptError(f"interception order {order.number} is not approved")
    if _public_key(records, order.requested_by) == _public_key(records, order.approved_by):
        raise InterceptError(f"interception order {order.number}: request and approval are of one operator")
    _check_signature(records, order.requested_by, order.request_signature, REQUEST_LABEL + order.body_text.encode())
    _check_signature(records, order.approved_by, order.approval_signature, order.approval_octets)
    return order.approved_by


def _check_shares(service: KmsService) -> None:
    """Check that operators' shares opened the master secrets for interception, not a passphrase of one person."""
    if not service.may_intercept:
        raise InterceptError(
            "an export opens the master secrets with the shares that operators hold for interception, not with a "
            "passphrase, nor with shares that its holder made alone: give each operator's share file with --share"
        )


def check_operator(records: Records, operator: Operator) -> str:
    """The key must be the one registered under the name; returns it in hex, raises InterceptError."""
    key_hex = operator.key.public_key().public_bytes_raw().hex()
    if _public_key(records, operator.name) != key_hex:
        raise InterceptError(f"that is not the key of operator {operator.name}")
    return key_hex


def _check_signature(records: Records, name: str, signature_hex: str, octets: bytes) -> None:
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(_public_key(records, name)))
    try:
        key.verify(bytes.fromhex(signature_hex), octets)
    except (InvalidSignature, ValueError) as exc:
        raise InterceptError(f"the signature of operator {name} does not verify: the order was altered") from exc


def _public_key(records: Records, name: str) -> str:
    key_hex = records.operators().get(name)
    if key_hex is None:
        raise InterceptError(f"there is no operator {name}")
    return key_hex


def _countersign(records: Records, operator: Operator, number: int, step: str) -> None:
    """Make the operator sign the head of the audit log before this step's own line."""
    head = records.audit_head() or AuditHead()
    octets = countersigned_octets(number=number, step=step, lines=head.count, hash_hex=head.hash_hex)
    records.add_countersignature(
        CountersignatureRow(
            number=number,
            step=step,
            operator=operator.name,
            lines=head.count,
            hash=head.hash_hex,
            signature=operator.key.sign(octets).hex(),
        )
    )


def _check_name(name: str) -> None:
    if not name.isascii() or not 1 <= len(name) <= 64 or not name.replace("-", "").replace("_", "").isalnum():
        raise InterceptError("an operator's name is 1..64 ASCII letters, digits, - and _")


def _audit(
    service: KmsService, records: Records, step: str, operator: str, order: InterceptOrder, why: str = ""
) -> None:
    body = order.body
    service.audit(
        records,
        actor=f"operator:{operator}",
        action=f"intercept-{step}",
        subject=body.warrant,
        detail={
            "order": order.number,
            "order_sha256": order.digest,
            "identities": list(body.identities),
            "period": body.key_period_no,
            "messages": len(body.messages),
            **({"why": why[:300]} if why else {}),
        },
    )


def _domain_form(text: str) -> DomainForm:
    return decode(DomainForm, text.encode())


def _text(data: bytes | None) -> str | None:
    """Identity octets as text: a URI as it is, a UID in hex."""
    if data is None:
        return None
    return data.decode("ascii") if data.isascii() and data.decode("ascii").isprintable() else data.hex()
