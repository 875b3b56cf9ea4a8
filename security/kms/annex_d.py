"""Requests on the XML face of a KMS (TS 33.180 Annex D, namespace urn:3gpp:ns:mcsecKMSInterface:1.0), read and checked.

A request is a POST by a client that showed a certificate or an access token, which identifies the user. Its body may be
empty, as deployed clients send it. A body that is there must agree with the address, the time and the sender.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote
from xml.etree import ElementTree as Xml

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from security.errors import SecurityError
from security.identifiers import KmsDomain, canonical_identity
from security.identity_map.statement import telephone_number
from security.kms_wire.errors import KmsProtocolError
from security.kms_wire.protocol import MAX_NUMBERS, MAX_REQUEST_OCTETS

ROOT: Final = "/keymanagement/identity/v1"
"""Root of the interface (TS 33.180 D.2.1)."""
PATH_INIT: Final = f"{ROOT}/init"
PATH_KEYPROV: Final = f"{ROOT}/keyprov"
PATH_CERTCACHE: Final = f"{ROOT}/certcache"
PATH_MAP: Final = f"{ROOT}/map"
"""This project's own: TS 33.180 has no such request."""
NAMESPACE: Final = "urn:3gpp:ns:mcsecKMSInterface:1.0"
TIME_WINDOW_S: Final = 30.0
"""Largest error of a request's Time. TS 33.180 D.2.2 says "e.g. 5 seconds"; clocks of real fleets are worse."""
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
_URL = re.compile(r"(?:https?://)?[^/]*(?P<path>/.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsRequest:
    """The fields of a KmsRequest that the KMS uses (TS 33.180 D.2.2)."""

    user_uri: str
    kms_uri: str
    client_req_url: str
    time: dt.datetime | None = None
    trk_id: str | None = None


class _BoundedTree(Xml.TreeBuilder):
    """Builds a small tree only: elements, depth and text are bounded while they come."""

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
    return KmsRequest(
        user_uri=fields["UserUri"],
        kms_uri=fields["KmsUri"],
        client_req_url=fields["ClientReqUrl"],
        time=_moment(fields["Time"]),
        trk_id=fields.get("TrK-ID") or fields.get("TrkId") or None,
    )


def empty_request(*, user_uri: str, kms_uri: str, url: str) -> KmsRequest:
    """The content of a request without a body: its user, this KMS, and its URL."""
    return KmsRequest(user_uri=user_uri, kms_uri=kms_uri, client_req_url=url)


def check_request(request: KmsRequest, *, kms_uri: str, host: str, path: str) -> None:
    """Check that the request is meant for this KMS and this resource. Raises KmsProtocolError (TS 33.180 D.2.2).

    `KmsUri` may also be the host to which it was sent. Either may be an http or https URL or have no scheme, as
    deployed clients send it; port, path and case are ignored. `path` is as on the request line. `ClientReqUrl` may end
    before the identity and the time that `path` names, because one deployed client leaves them out.
    """
    if _host_name(request.kms_uri) not in {_host_name(kms_uri), _host_name(host)}:
        raise KmsProtocolError(f"KmsRequest: KmsUri is not {kms_uri}")
    meant = _URL.fullmatch(request.client_req_url)
    if meant is None:
        raise KmsProtocolError("KmsRequest: ClientReqUrl is no URL")
    resource = "/".join(path.split("/")[: ROOT.count("/") + 2])
    if unquote(meant["path"].rstrip("/")) not in {unquote(path.rstrip("/")), resource}:
        raise KmsProtocolError("KmsRequest: ClientReqUrl is not the resource the request was sent to")


def check_time(request: KmsRequest, clocks: Sequence[dt.datetime], *, window_s: float = TIME_WINDOW_S) -> None:
    """`Time` must be near one of the KMS's clocks; raises KmsProtocolError (TS 33.180 D.2.2).

    A KMS of a lab has two: the real one, and the one that chooses key periods. An empty request has no Time.
    """
    if request.time is None:
        return
    off_s = min(abs((request.time - clock).total_seconds()) for clock in clocks)
    if off_s > window_s:
        raise KmsProtocolError(
            f"KmsRequest: Time is {off_s:.0f} s off the KMS's clock, over {window_s:g} s; a time without a zone is UTC"
        )


def identity_and_period(
    request: KmsRequest, named_uri: str | None, ntp_hex: str | None, domain: KmsDomain
) -> tuple[str, int | None]:
    """The identity of a keyprov request, and the period if its URL names a time. Raises KmsProtocolError.

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
    """The number of the certificate cache that a client holds, from its URL. Raises KmsProtocolError."""
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise KmsProtocolError("certcache: a cache number has 1..9 digits")
    return int(text)


def numbers_named(text: str) -> tuple[str, ...]:
    """The telephone numbers in a map request's URL, with commas between them; raises KmsProtocolError."""
    numbers = tuple(dict.fromkeys(text.split(",")))
    if len(numbers) > MAX_NUMBERS:
        raise KmsProtocolError(f"map: at most {MAX_NUMBERS} numbers")
    try:
        return tuple(telephone_number(number) for number in numbers)
    except SecurityError as exc:
        raise KmsProtocolError(f"map: {exc}") from exc


def _tree(octets: bytes) -> Xml.Element:
    parser = DefusedXMLParser(target=_BoundedTree(), forbid_dtd=True)
    try:
        parser.feed(octets)
        root: Xml.Element = parser.close()
    except (Xml.ParseError, DefusedXmlException, ValueError, LookupError) as exc:
        raise KmsProtocolError("KmsRequest: not well-formed XML without a DTD") from exc
    return root


def _host_name(uri: str) -> str:
    """A KMS URI without scheme, port, path and case."""
    authority = re.sub(r"^https?://", "", uri.strip(), flags=re.IGNORECASE).partition("/")[0]
    return re.sub(r":[0-9]{0,5}$", "", authority).rstrip(".").lower()


def _moment(text: str) -> dt.datetime:
    """An xsd:dateTime; without a zone it is UTC. Raises KmsProtocolError."""
    if not _DATE_TIME.fullmatch(text):
        raise KmsProtocolError("KmsRequest: Time is no xsd:dateTime")
    try:
        moment = dt.datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return zoned.astimezone(dt.UTC)
    except (ValueError, OverflowError) as exc:
        raise KmsProtocolError("KmsRequest: Time is no xsd:dateTime") from exc


def _name(tag: str) -> str:
    return f"{{{NAMESPACE}}}{tag}"
