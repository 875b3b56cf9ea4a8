"""The XML face of a KMS: requests and responses of TS 33.180 Annex D, namespace urn:3gpp:ns:mcsecKMSInterface:1.0.

Requests are POSTed under TLS with a client certificate; keys travel as plain hexBinary inside it. The transport key
(TrK) and XML signatures of Annex D are not used: a SignedKmsRequest is read, its signature proves nothing here.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from xml.etree import ElementTree as Xml

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from security.errors import SecurityError
from security.identifiers import NTP_EPOCH, KmsDomain, canonical_identity
from security.kms.errors import KmsProtocolError
from security.kms.protocol import MAX_REQUEST_OCTETS, DomainForm, GroupKeyForm, KeySetForm, KeysResponse

ROOT: Final = "/keymanagement/identity/v1"
"""Root of the interface (TS 33.180 D.2.1)."""
PATH_INIT: Final = f"{ROOT}/init"
PATH_KEYPROV: Final = f"{ROOT}/keyprov"
PATH_CERTCACHE: Final = f"{ROOT}/certcache"
NAMESPACE: Final = "urn:3gpp:ns:mcsecKMSInterface:1.0"
XSI_NAMESPACE: Final = "http://www.w3.org/2001/XMLSchema-instance"
KEY_CONTENT: Final = {"xsi:type": "KeyContentType"}
PARAMETER_SET: Final = "1"
RESPONSE_VERSION: Final = "1.0.0"
CERTIFICATE_VERSION: Final = "1.1.0"
KEY_SET_VERSION: Final = "1.1.0"
MAX_DEPTH: Final = 8
MAX_ELEMENTS: Final = 64
MAX_TEXT: Final = 2048
REQUEST_FIELDS: Final = frozenset(
    {"UserUri", "KmsUri", "Time", "ClientId", "DeviceId", "ClientReqUrl", "KrrList", "ClientError", "TrK-ID"}
    | {"TrkId", "Signature-ID", "SignatureId"}
)
NEEDED_FIELDS: Final = ("UserUri", "KmsUri", "Time", "ClientReqUrl")

_NTP_HEX = re.compile(r"[0-9A-Fa-f]{16}")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsRequest:
    """What the KMS reads of a KmsRequest (TS 33.180 D.2.2)."""

    user_uri: str
    kms_uri: str
    client_req_url: str


class _BoundedTree(Xml.TreeBuilder):
    """Builds a small tree and nothing else: elements, depth and text are bounded while they come."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._elements = 0
        self._text = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Xml.Element:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise KmsProtocolError(f"KmsRequest: more than {MAX_ELEMENTS} elements, or deeper than {MAX_DEPTH}")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Xml.Element:
        self._depth -= 1
        return super().end(tag)

    def data(self, data: str) -> None:
        self._text += len(data)
        if self._text > MAX_REQUEST_OCTETS:
            raise KmsProtocolError("KmsRequest: too much text")
        super().data(data)


def parse_request(octets: bytes) -> KmsRequest:
    """Read a KmsRequest, or one inside a SignedKmsRequest; raises KmsProtocolError.

    No DTD, no entities, no processing of anything outside; elements of other namespaces are passed over, as the
    schema allows.
    """
    root = _tree(octets)
    if root.tag == _name("SignedKmsRequest"):
        inner = root.find(_name("KmsRequest"))
        if inner is None:
            raise KmsProtocolError("SignedKmsRequest holds no KmsRequest")
        root = inner
    if root.tag != _name("KmsRequest"):
        raise KmsProtocolError(f"not a KmsRequest of namespace {NAMESPACE}")
    fields: dict[str, str] = {}
    for element in root:
        namespace, _, name = element.tag.rpartition("}")
        if namespace != f"{{{NAMESPACE}":
            continue
        if name not in REQUEST_FIELDS or name in fields:
            raise KmsProtocolError(f"KmsRequest: {name[:40]} has no place here, or stands twice")
        fields[name] = (element.text or "").strip()
        if len(fields[name]) > MAX_TEXT:
            raise KmsProtocolError(f"KmsRequest: {name} is too long")
    for name in NEEDED_FIELDS:
        if not fields.get(name):
            raise KmsProtocolError(f"KmsRequest: {name} is missing")
    if not _DATE_TIME.fullmatch(fields["Time"]):
        raise KmsProtocolError("KmsRequest: Time is no xsd:dateTime")
    return KmsRequest(user_uri=fields["UserUri"], kms_uri=fields["KmsUri"], client_req_url=fields["ClientReqUrl"])


def check_request(request: KmsRequest, *, kms_uri: str, host: str, path: str) -> None:
    """The request must be meant for this KMS and this resource; raises KmsProtocolError (TS 33.180 D.2.2).

    `KmsUri` may also be the host it was sent to, with or without a scheme. `path` is as it stood on the request line.
    """
    if request.kms_uri not in {kms_uri, host, host.rsplit(":", 1)[0], f"https://{host}"}:
        raise KmsProtocolError(f"KmsRequest: KmsUri is not {kms_uri}")
    try:
        meant = urlsplit(request.client_req_url).path
    except ValueError as exc:
        raise KmsProtocolError("KmsRequest: ClientReqUrl is no URL") from exc
    if meant != path:
        raise KmsProtocolError("KmsRequest: ClientReqUrl is not the resource the request was sent to")


def identity_and_period(
    request: KmsRequest, named_uri: str | None, ntp_hex: str | None, domain: KmsDomain
) -> tuple[str, int | None]:
    """Whose keys a keyprov request asks for, and of which period if its URL names a time; raises KmsProtocolError.

    `named_uri` is percent-decoded; `ntp_hex` a 64-bit NTP time in hex (TS 33.180 D.2.4).
    """
    try:
        uri = canonical_identity(request.user_uri if named_uri is None else named_uri)
    except SecurityError as exc:
        raise KmsProtocolError(f"keyprov: {exc}") from exc
    if ntp_hex is None:
        return uri, None
    if not _NTP_HEX.fullmatch(ntp_hex):
        raise KmsProtocolError("keyprov: the time is not a 64-bit NTP time in 16 hex digits")
    try:
        return uri, domain.period_of(int(ntp_hex, 16) >> 32)
    except SecurityError as exc:
        raise KmsProtocolError(f"keyprov: {exc}") from exc


def cache_number(text: str | None) -> int | None:
    """The certificate cache a client holds, as its URL says; raises KmsProtocolError."""
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise KmsProtocolError("certcache: a cache number has 1..9 digits")
    return int(text)


def init_response(request: KmsRequest, own: DomainForm, *, now: dt.datetime) -> bytes:
    """KmsInit: this KMS's root certificate (TS 33.180 D.2.3, D.3.2)."""
    root, message = _response(own.uri, request, now)
    init = _child(message, "KmsInit", Version=RESPONSE_VERSION)
    _certificate(init, own, role="Root")
    return _document(root)


def certcache_response(
    request: KmsRequest, domains: Sequence[DomainForm], *, held: int | None, now: dt.datetime
) -> bytes:
    """KmsCertCache: own certificate and those of trusted KMSs; none where the client holds this cache already."""
    root, message = _response(domains[0].uri, request, now)
    cache = _child(message, "KmsCertCache", Version=RESPONSE_VERSION, CacheNum=str(len(domains)))
    if held != len(domains):
        for number, domain in enumerate(domains):
            _certificate(cache, domain, role="External" if number else "Root")
    return _document(root)


def keyprov_response(request: KmsRequest, keys: KeysResponse, domain: KmsDomain, *, now: dt.datetime) -> bytes:
    """KmsKeyProv: key sets of an identity and of the group identities it is a member of (TS 33.180 D.2.4, D.3.3)."""
    root, message = _response(domain.uri, request, now)
    provision = _child(message, "KmsKeyProv", Version=RESPONSE_VERSION)
    for key_set in keys.key_sets:
        element = _key_set(provision, keys.uri, key_set, domain)
        _child(element, "UserDecryptKey", key_set.rsk.upper(), **KEY_CONTENT)
        _child(element, "UserSigningKeySSK", key_set.ssk.upper(), **KEY_CONTENT)
        _child(element, "UserPubTokenPVT", key_set.pvt.upper(), **KEY_CONTENT)
    for group_key in keys.group_keys:
        element = _key_set(provision, group_key.group_uri, group_key, domain)
        _child(element, "UserDecryptKey", group_key.rsk.upper(), **KEY_CONTENT)
    return _document(root)


def error_response(kms_uri: str, code: int, message: str, *, now: dt.datetime) -> bytes:
    """A KmsResponse that says why not (ErrorType of TS 33.180 D.3.5.1)."""
    root = _root()
    _child(root, "KmsUri", kms_uri)
    _child(root, "Time", _date_time(now))
    error = _child(root, "KmsError")
    _child(error, "ErrorCode", str(code))
    _child(error, "ErrorMsg", message)
    return _document(root)


def _tree(octets: bytes) -> Xml.Element:
    parser = DefusedXMLParser(target=_BoundedTree(), forbid_dtd=True)
    try:
        parser.feed(octets)
        root: Xml.Element = parser.close()
    except (Xml.ParseError, DefusedXmlException, ValueError, LookupError) as exc:
        raise KmsProtocolError("KmsRequest: not well-formed XML without a DTD") from exc
    return root


def _response(kms_uri: str, request: KmsRequest, now: dt.datetime) -> tuple[Xml.Element, Xml.Element]:
    """A KmsResponse's root and its KmsMessage, fields in the schema's order (TS 33.180 D.3.1)."""
    root = _root()
    _child(root, "UserUri", request.user_uri)
    _child(root, "KmsUri", kms_uri)
    _child(root, "Time", _date_time(now))
    _child(root, "ClientReqUrl", request.client_req_url)
    return root, _child(root, "KmsMessage")


def _root() -> Xml.Element:
    return Xml.Element("KmsResponse", {"xmlns": NAMESPACE, "xmlns:xsi": XSI_NAMESPACE, "Version": RESPONSE_VERSION})


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


def _key_set(parent: Xml.Element, user_uri: str, keys: KeySetForm | GroupKeyForm, domain: KmsDomain) -> Xml.Element:
    start, end = domain.period_bounds(keys.key_period_no)
    element = _child(parent, "KmsKeySet", Version=KEY_SET_VERSION)
    _child(element, "KmsUri", domain.uri)
    _child(element, "UserUri", user_uri)
    _child(element, "UserID", base64.b64encode(bytes.fromhex(keys.uid)).decode())
    _child(element, "ValidFrom", _date_time(NTP_EPOCH + dt.timedelta(seconds=start)))
    _child(element, "ValidTo", _date_time(NTP_EPOCH + dt.timedelta(seconds=end - 1)))
    _child(element, "KeyPeriodNo", str(keys.key_period_no))
    _child(element, "Revoked", "false")
    return element


def _child(parent: Xml.Element, tag: str, text: str | None = None, **attributes: Any) -> Xml.Element:
    element = Xml.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _document(root: Xml.Element) -> bytes:
    document: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _name(tag: str) -> str:
    return f"{{{NAMESPACE}}}{tag}"


def _date_time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
