"""Responses on the XML face of a KMS (TS 33.180 D.3): every type is a sequence, so the order of elements matters.

Keys travel as hexBinary (KeyContentType), or wrapped under the user's transport key (EncKeyContentType). A response may
be signed (SignedKmsResponse). Both are options, see `AnnexDOptions`.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from xml.etree import ElementTree as Xml

from security.identifiers import NTP_EPOCH, KmsDomain
from security.kms import xml_signature
from security.kms.annex_d import NAMESPACE, TIME_WINDOW_S, KmsRequest
from security.kms.annex_d_keys import KW_AES256, KeyWrap, TransportKeys, wrap_key
from security.kms_wire.protocol import DomainForm, GroupKeyForm, KeySetForm, KeysResponse

XSI_NAMESPACE: Final = "http://www.w3.org/2001/XMLSchema-instance"
XENC_NAMESPACE: Final = "http://www.w3.org/2001/04/xmlenc#"
PARAMETER_SET: Final = "1"
RESPONSE_VERSION: Final = "1.0.0"
CERTIFICATE_VERSION: Final = "1.1.0"
KEY_SET_VERSION: Final = "1.1.0"
MAP_NAMESPACE: Final = "urn:pc5lab:identity-map:1"
MAP_VERSION: Final = "1.0.0"
MESSAGE_ID: Final = "xmldoc"
"""Id of the element that a signature covers."""


class ResponseSigning(StrEnum):
    """Whether responses are signed, and with which key."""

    NONE = "none"
    INK = "ink"
    TRK = "trk"


class GroupSigning(StrEnum):
    """The contents of SSK and PVT in the key sets of group identities; the schema requires both.

    No SSK is issued for a group identity: every holder could sign as the group (PROFILE 11, G10).
    """

    MEMBERS_OWN = "members-own"
    """The SSK and PVT of the member itself: no new key leaves, and nothing signed with them verifies as the group's."""
    EMPTY = "empty"


class ContentType(StrEnum):
    """The content type of a response; one published client accepts text/xml only."""

    APPLICATION_XML = "application/xml"
    TEXT_XML = "text/xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnexDOptions:
    """Options of the XML face's answers."""

    key_wrap: KeyWrap = KeyWrap.CLEAR
    signing: ResponseSigning = ResponseSigning.NONE
    group_signing: GroupSigning = GroupSigning.MEMBERS_OWN
    content_type: ContentType = ContentType.APPLICATION_XML
    transport_key_number: int = 1
    require_signed_requests: bool = False
    time_window_s: float = TIME_WINDOW_S

    @property
    def uses_transport_keys(self) -> bool:
        """Whether clients need a TrK or InK."""
        signs = self.signing is not ResponseSigning.NONE
        return self.key_wrap is not KeyWrap.CLEAR or signs or self.require_signed_requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """The keys of one response: those that its client holds, and newer ones for it."""

    options: AnnexDOptions
    held: TransportKeys | None = None
    newer: TransportKeys | None = None


PLAIN: Final = Protection(options=AnnexDOptions())


def init_response(request: KmsRequest, own: DomainForm, *, now: dt.datetime, protection: Protection = PLAIN) -> bytes:
    """KmsInit: this KMS's root certificate (TS 33.180 D.2.3, D.3.2)."""
    root, message = _response(own.uri, request, now, protection)
    init = _child(message, "KmsInit", Version=RESPONSE_VERSION)
    _certificate(init, own, role="Root")
    _new_keys(init, protection)
    return _finished(root, protection)


def certcache_response(
    request: KmsRequest,
    domains: Sequence[DomainForm],
    *,
    held: int | None,
    now: dt.datetime,
    protection: Protection = PLAIN,
) -> bytes:
    """KmsCertCache: own certificate and those of trusted KMSs; none if the client holds this cache already."""
    root, message = _response(domains[0].uri, request, now, protection)
    cache = _child(message, "KmsCertCache", Version=RESPONSE_VERSION, CacheNum=str(len(domains)))
    if held != len(domains):
        for number, domain in enumerate(domains):
            _certificate(cache, domain, role="External" if number else "Root")
    return _finished(root, protection)


def keyprov_response(
    request: KmsRequest,
    keys: KeysResponse,
    domain: KmsDomain,
    *,
    now: dt.datetime,
    protection: Protection = PLAIN,
) -> bytes:
    """KmsKeyProv: key sets of an identity and of the group identities it is a member of (TS 33.180 D.2.4, D.3.3)."""
    root, message = _response(domain.uri, request, now, protection)
    provision = _child(message, "KmsKeyProv", Version=RESPONSE_VERSION)
    for key_set in keys.key_sets:
        _key_set(provision, keys.uri, key_set, domain, (key_set.rsk, key_set.ssk, key_set.pvt), protection)
    own = {key_set.key_period_no: (key_set.ssk, key_set.pvt) for key_set in keys.key_sets}
    fills = protection.options.group_signing is GroupSigning.MEMBERS_OWN
    for group_key in keys.group_keys:
        ssk, pvt = own[group_key.key_period_no] if fills else ("", "")
        _key_set(provision, group_key.group_uri, group_key, domain, (group_key.rsk, ssk, pvt), protection)
    _new_keys(provision, protection)
    return _finished(root, protection)


def map_response(
    request: KmsRequest,
    statements: Sequence[bytes],
    *,
    kms_uri: str,
    now: dt.datetime,
    protection: Protection = PLAIN,
) -> bytes:
    """An identity map: signed statements in hex, in an element of this project's own namespace (PROFILE 12)."""
    root, message = _response(kms_uri, request, now, protection)
    numbers = _child(message, "IdentityMap", xmlns=MAP_NAMESPACE, Version=MAP_VERSION)
    for statement in statements:
        _child(numbers, "Statement", statement.hex().upper())
    return _finished(root, protection)


def error_response(
    kms_uri: str, code: int, message: str, *, now: dt.datetime, user_uri: str = "", client_req_url: str = ""
) -> bytes:
    """A KmsResponse with a reason (ErrorType of TS 33.180 D.3.5.1); never signed, since its caller may be unknown."""
    root = _root()
    _child(root, "UserUri", user_uri)
    _child(root, "KmsUri", kms_uri)
    _child(root, "Time", _date_time(now))
    _child(root, "ClientReqUrl", client_req_url)
    error = _child(root, "KmsError")
    _child(error, "ErrorCode", str(code))
    _child(error, "ErrorMsg", message)
    return _document(root)


def _response(
    kms_uri: str, request: KmsRequest, now: dt.datetime, protection: Protection
) -> tuple[Xml.Element, Xml.Element]:
    """A KmsResponse's root and its KmsMessage, fields in the schema's order (TS 33.180 D.3.1)."""
    root = _root()
    _child(root, "UserUri", request.user_uri)
    _child(root, "KmsUri", kms_uri)
    _child(root, "Time", _date_time(now))
    _child(root, "ClientReqUrl", request.client_req_url)
    message = _child(root, "KmsMessage")
    keys, options = protection.held, protection.options
    if keys is not None and options.key_wrap is not KeyWrap.CLEAR:
        _child(root, "TrK-ID", keys.trk_id)
    if keys is not None and options.signing is not ResponseSigning.NONE:
        _child(root, "Signature-ID", keys.ink_id if options.signing is ResponseSigning.INK else keys.trk_id)
    return root, message


def _finished(root: Xml.Element, protection: Protection) -> bytes:
    keys, signing = protection.held, protection.options.signing
    if keys is None or signing is ResponseSigning.NONE:
        return _document(root)
    key, name = (keys.ink, keys.ink_id) if signing is ResponseSigning.INK else (keys.trk, keys.trk_id)
    root.set("Id", MESSAGE_ID)
    return xml_signature.sign(_document(root), wrapper="SignedKmsResponse", key=key, key_name=name)


def _root() -> Xml.Element:
    attributes = {
        "xmlns": NAMESPACE,
        "xmlns:xsi": XSI_NAMESPACE,
        "xmlns:ds": xml_signature.DS,
        "xmlns:xenc": XENC_NAMESPACE,
        "Version": RESPONSE_VERSION,
    }
    return Xml.Element("KmsResponse", attributes)


def _certificate(parent: Xml.Element, domain: DomainForm, *, role: str) -> None:
    certificate = _child(parent, "KmsCertificate", Version=CERTIFICATE_VERSION, Role=role)
    _child(certificate, "KmsUri", domain.uri)
    _child(certificate, "Revoked", "false")
    _child(certificate, "UserIdFormat", str(domain.uid_scheme))
    _child(certificate, "UserKeyPeriod", str(domain.key_period_s))
    _child(certificate, "UserKeyOffset", str(domain.key_period_offset_s))
    _child(certificate, "PubEncKey", domain.z.upper())
    _child(certificate, "PubAuthKey", domain.kpak.upper())
    _child(certificate, "ParameterSet", PARAMETER_SET)
    names = _child(certificate, "KmsDomainList")
    for pattern in domain.namespace:
        _child(names, "KmsDomain", pattern)


def _key_set(
    parent: Xml.Element,
    user_uri: str,
    keys: KeySetForm | GroupKeyForm,
    domain: KmsDomain,
    secrets: tuple[str, str, str],
    protection: Protection,
) -> None:
    """One KmsKeySet; `secrets` are RSK, SSK and PVT in hex."""
    start, end = domain.period_bounds(keys.key_period_no)
    element = _child(parent, "KmsKeySet", Version=KEY_SET_VERSION)
    _child(element, "KmsUri", domain.uri)
    _child(element, "UserUri", user_uri)
    _child(element, "UserID", base64.b64encode(bytes.fromhex(keys.uid)).decode())
    _child(element, "ValidFrom", _date_time(NTP_EPOCH + dt.timedelta(seconds=start)))
    _child(element, "ValidTo", _date_time(NTP_EPOCH + dt.timedelta(seconds=end - 1)))
    _child(element, "KeyPeriodNo", str(keys.key_period_no))
    _child(element, "Revoked", "false")
    for name, secret in zip(("UserDecryptKey", "UserSigningKeySSK", "UserPubTokenPVT"), secrets, strict=True):
        _key(element, name, bytes.fromhex(secret), protection)


def _key(parent: Xml.Element, name: str, key: bytes, protection: Protection) -> None:
    """A key as KeyContentType, or as EncKeyContentType under the TrK the client holds."""
    if protection.held is None or protection.options.key_wrap is KeyWrap.CLEAR or not key:
        _child(parent, name, key.hex().upper(), **{"xsi:type": "KeyContentType"})
        return
    _encrypted_key(_child(parent, name, **{"xsi:type": "EncKeyContentType"}), key, protection.held, protection)


def _encrypted_key(
    parent: Xml.Element, key: bytes, kek: TransportKeys, protection: Protection, *, named: str | None = None
) -> None:
    encrypted = _child(parent, "xenc:EncryptedKey")
    _child(encrypted, "xenc:EncryptionMethod", Algorithm=KW_AES256)
    _child(_child(encrypted, "ds:KeyInfo"), "ds:KeyName", kek.trk_id)
    wrapped = wrap_key(key, kek.trk, protection.options.key_wrap)
    _child(_child(encrypted, "xenc:CipherData"), "xenc:CipherValue", base64.b64encode(wrapped).decode())
    if named is not None:
        _child(encrypted, "xenc:CarriedKeyName", named)


def _new_keys(parent: Xml.Element, protection: Protection) -> None:
    """NewTransportKey and NewIntegrityKey, under the TrK the client holds."""
    held, newer = protection.held, protection.newer
    if held is None or newer is None:
        return
    for name, key, identifier in (
        ("NewTransportKey", newer.trk, newer.trk_id),
        ("NewIntegrityKey", newer.ink, newer.ink_id),
    ):
        element = _child(parent, name, **{"xsi:type": "EncKeyContentType"})
        _encrypted_key(element, key, held, protection, named=identifier)


def _child(parent: Xml.Element, tag: str, text: str | None = None, **attributes: str) -> Xml.Element:
    element = Xml.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _document(root: Xml.Element) -> bytes:
    document: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _date_time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
