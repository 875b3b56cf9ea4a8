"""The XML face (TS 33.180 Annex D), called by a client that shares nothing with the server: http.client and lxml."""

from __future__ import annotations

import asyncio
import base64
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from lxml import etree

from security import sakke
from security.eccsi import eccsi
from security.identifiers import UidScheme
from security.kms import annex_d, xml_signature
from security.kms.operator_orders import add_to_group, revoke_identity, trust_domain
from security.kms.server import KmsServer
from security.kms_wire.errors import KmsProtocolError
from security.kms_wire.tls import client_context

ALICE, BOB, TEAM = "sip:alice@example.org", "sip:bob@example.org", "sip:team@example.org"
ROOT = "/keymanagement/identity/v1"
NAMESPACES = {"k": "urn:3gpp:ns:mcsecKMSInterface:1.0"}
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
MakeKms = Callable[..., Any]


def request_xml(path: str, *, user: str = ALICE, kms: str = "kms.example", more: str = "", time: str = "") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<KmsRequest Id="xmldoc" Version="1.1.0" xmlns="urn:3gpp:ns:mcsecKMSInterface:1.0" '
        'xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'
        f"<UserUri>{user}</UserUri><KmsUri>{kms}</KmsUri><Time>{time or '2026-03-11T12:00:00'}</Time>"
        f"<ClientId>phone</ClientId><ClientReqUrl>https://kms.example{path}</ClientReqUrl>{more}</KmsRequest>"
    ).encode()


@contextmanager
def served(kms: Any) -> Iterator[str]:
    """Serve from a thread, so that a blocking client can ask."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = KmsServer(kms.service, emit=lambda event: None)
    try:
        yield asyncio.run_coroutine_threadsafe(server.start(host="127.0.0.1", port=0), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def post(kms: Any, url: str, path: str, body: bytes, *, user: str | None = "alice") -> tuple[int, Any]:
    context = client_context(kms.service.ca.certificate_pem, kms.users[user] if user else None)
    connection = http.client.HTTPSConnection(urlsplit(url).netloc, context=context, timeout=10)
    connection.request("POST", path, body, {"Content-Type": "application/xml"})
    response = connection.getresponse()
    octets = response.read()
    assert response.getheader("Content-Type", "").startswith("application/xml")
    assert response.getheader("Cache-Control") == "no-store"
    connection.close()
    return response.status, etree.fromstring(octets)


def text(node: Any, path: str) -> str:
    found = node.findtext("/".join(f"k:{step}" for step in path.split("/")), namespaces=NAMESPACES)
    assert found is not None, path
    return str(found)


@pytest.fixture
def kms(make_kms: MakeKms) -> Any:
    made = make_kms(scheme=UidScheme.HASHED_UID, namespace=("sip:*",))
    for user, uri in (("alice", ALICE), ("bob", BOB)):
        made.enrol(user, uri)
    return made


def test_init_gives_the_root_certificate(kms: Any) -> None:
    with served(kms) as url:
        status, root = post(kms, url, f"{ROOT}/init", request_xml(f"{ROOT}/init"))
    assert (status, etree.QName(root).localname, text(root, "UserUri")) == (200, "KmsResponse", ALICE)
    assert text(root, "ClientReqUrl") == f"https://kms.example{ROOT}/init"
    (certificate,) = root.findall("k:KmsMessage/k:KmsInit/k:KmsCertificate", NAMESPACES)
    domain = kms.service.authority.domain
    assert certificate.get("Role") == "Root"
    assert bytes.fromhex(text(certificate, "PubEncKey")) == domain.z
    assert bytes.fromhex(text(certificate, "PubAuthKey")) == domain.kpak
    wanted = {"UserIdFormat": "2", "UserKeyPeriod": "2592000", "UserKeyOffset": "0", "ParameterSet": "1"}
    assert {name: text(certificate, name) for name in wanted} == wanted
    assert text(certificate, "KmsDomainList/KmsDomain") == "sip:*"


def test_keyprov_gives_keys_that_pass_the_users_checks(kms: Any) -> None:
    add_to_group(kms.service, TEAM, (ALICE,))
    with served(kms) as url:
        status, root = post(kms, url, f"{ROOT}/keyprov", request_xml(f"{ROOT}/keyprov"))
    assert status == 200
    own, group = root.findall("k:KmsMessage/k:KmsKeyProv/k:KmsKeySet", NAMESPACES)
    domain = kms.service.authority.domain
    uid = base64.b64decode(text(own, "UserID"))
    assert uid == domain.uid_for_period(ALICE, int(text(own, "KeyPeriodNo")))
    ssk, pvt, rsk = (
        bytes.fromhex(text(own, name)) for name in ("UserSigningKeySSK", "UserPubTokenPVT", "UserDecryptKey")
    )
    eccsi.validate_signing_keys(ssk=ssk, pvt=pvt, uid=uid, kpak=domain.kpak)
    sakke.validate_rsk(rsk, uid, domain.z)
    assert own.find("k:UserDecryptKey", NAMESPACES).get(XSI_TYPE) == "KeyContentType"
    assert text(own, "ValidFrom") < "2026-03-11T12:00:00Z" < text(own, "ValidTo")
    assert text(group, "UserUri") == TEAM
    sakke.validate_rsk(bytes.fromhex(text(group, "UserDecryptKey")), base64.b64decode(text(group, "UserID")), domain.z)
    assert text(group, "UserSigningKeySSK") == text(own, "UserSigningKeySSK")
    assert kms.actions()[-1] == "extract"


def test_keyprov_by_identity_and_time(kms: Any) -> None:
    now = kms.ntp_s()
    path = f"{ROOT}/keyprov/{quote(ALICE, safe='')}"
    with served(kms) as url:
        status, root = post(kms, url, f"{path}/{now << 32:016X}", request_xml(f"{path}/{now << 32:016X}"))
        assert status == 200
        (key_set,) = root.findall(".//k:KmsKeySet", NAMESPACES)
        assert int(text(key_set, "KeyPeriodNo")) == kms.service.authority.domain.period_of(now)
        long_ago = f"{path}/D6B4323200000000"
        status, root = post(kms, url, long_ago, request_xml(long_ago))
        assert (status, text(root, "KmsError/ErrorCode")) == (403, "403")
        assert not root.findall(".//k:KmsKeySet", NAMESPACES)


def test_certcache_gives_trusted_kmss_once(kms: Any, make_kms: MakeKms) -> None:
    other = make_kms("other", uri="kms.other", namespace=("tel:*",), seed=8)
    trust_domain(kms.service, other.home.row.parameters.encode())
    with served(kms) as url:
        _, root = post(kms, url, f"{ROOT}/certcache", request_xml(f"{ROOT}/certcache"))
        cache = root.find("k:KmsMessage/k:KmsCertCache", NAMESPACES)
        roles = [(node.get("Role"), text(node, "KmsUri")) for node in cache]
        assert roles == [("Root", "kms.example"), ("External", "kms.other")]
        held = f"{ROOT}/certcache/{cache.get('CacheNum')}"
        _, root = post(kms, url, held, request_xml(held))
        assert len(root.find("k:KmsMessage/k:KmsCertCache", NAMESPACES)) == 0


def test_a_signed_request_is_read(kms: Any) -> None:
    inner = request_xml(f"{ROOT}/init").split(b"?>", 1)[1]
    signature = b'<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignatureValue>x</SignatureValue></Signature>'
    body = b'<SignedKmsRequest xmlns="urn:3gpp:ns:mcsecKMSInterface:1.0">' + inner + signature + b"</SignedKmsRequest>"
    with served(kms) as url:
        assert post(kms, url, f"{ROOT}/init", body)[0] == 200


def test_nobody_gets_anothers_keys(kms: Any) -> None:
    path = f"{ROOT}/keyprov"
    named = f"{path}/{quote(BOB, safe='')}"
    with served(kms) as url:
        for status, user, asked, body in (
            (401, None, path, request_xml(path)),
            (403, "alice", path, request_xml(path, user=BOB)),
            (403, "alice", named, request_xml(named)),
            (400, "alice", path, request_xml(path, kms="kms.elsewhere")),
            (400, "alice", path, request_xml(f"{ROOT}/init")),
            (400, "alice", f"{path}/{quote(ALICE, safe='')}/123", request_xml(f"{path}/{quote(ALICE, safe='')}/123")),
            (404, "alice", f"{ROOT}/lookup", request_xml(f"{ROOT}/lookup")),
        ):
            got, root = post(kms, url, asked, body, user=user)
            assert (got, text(root, "KmsError/ErrorCode")) == (status, str(status)), (asked, body)
            assert "Traceback" not in text(root, "KmsError/ErrorMsg")
        revoke_identity(kms.service, ALICE)
        assert post(kms, url, path, request_xml(path))[0] == 403
    assert "extract" not in kms.actions()


ENTITIES = b"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<KmsRequest xmlns="urn:3gpp:ns:mcsecKMSInterface:1.0"><UserUri>&b;</UserUri></KmsRequest>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<KmsRequest xmlns="urn:3gpp:ns:mcsecKMSInterface:1.0"><UserUri>&x;</UserUri></KmsRequest>"""
GOOD = request_xml(f"{ROOT}/init")


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"<",
        b"\x00",
        ENTITIES,
        OUTSIDE,
        b'<!DOCTYPE r SYSTEM "http://127.0.0.1:1/x.dtd"><r/>',
        b"<a>" * 5000,
        b"<a>" * 9 + b"</a>" * 9,
        GOOD.replace(b"</KmsRequest>", b"<ClientId/>" * 100 + b"</KmsRequest>"),
        GOOD.replace(b"</KmsRequest>", b"<ClientId>x</ClientId></KmsRequest>"),
        GOOD.replace(b"</KmsRequest>", b"<Surprise/></KmsRequest>"),
        GOOD.replace(b"mcsecKMSInterface:1.0", b"mcsecKMSInterface:2.0"),
        GOOD.replace(b"KmsRequest", b"KmsResponse"),
        GOOD.replace(ALICE.encode(), b""),
        GOOD.replace(ALICE.encode(), b"x" * 3000),
        GOOD.replace(b"2026-03-11T12:00:00", b"noon"),
        GOOD.replace(b"UTF-8", b"no-such-code"),
        b'<SignedKmsRequest xmlns="urn:3gpp:ns:mcsecKMSInterface:1.0"/>',
    ],
)
def test_bad_requests_are_refused(octets: bytes) -> None:
    with pytest.raises(KmsProtocolError):
        annex_d.parse_request(octets)


def test_every_truncation_and_every_flipped_octet_ends_in_a_request_or_a_refusal() -> None:
    for place in range(len(GOOD)):
        with pytest.raises(KmsProtocolError):
            annex_d.parse_request(GOOD[:place])
        for flip in (0x01, 0x80):
            flipped = bytearray(GOOD)
            flipped[place] ^= flip
            with suppress(KmsProtocolError):
                annex_d.parse_request(bytes(flipped))


def test_elements_of_other_namespaces_are_passed_over() -> None:
    assert annex_d.parse_request(request_xml("/x", more="<ds:Signature><ds:X/></ds:Signature>")).user_uri == ALICE


@pytest.mark.parametrize("host", ["kms.example", "127.0.0.1:8443"])
def test_a_kms_may_be_named_by_its_host(host: str) -> None:
    for name in ("kms.example", host, f"https://{host}"):
        request = annex_d.KmsRequest(user_uri=ALICE, kms_uri=name, client_req_url=f"https://{host}/p")
        annex_d.check_request(request, kms_uri="kms.example", host=host, path="/p")


SIGNED = (
    b'<SignedKmsRequest xmlns="urn:3gpp:ns:mcsecKMSInterface:1.0">'
    + GOOD.split(b"?>", 1)[1]
    + b'<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo>'
    b'<CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>'
    b'<SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"/><Reference URI="#xmldoc">'
    b'<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue>AAAA</DigestValue></Reference>'
    b"</SignedInfo><SignatureValue>AAAA</SignatureValue><KeyInfo><KeyName>ink.1.alice</KeyName></KeyInfo></Signature>"
    b"</SignedKmsRequest>"
)


def test_every_truncation_and_every_flipped_octet_of_a_signed_request_is_refused() -> None:
    assert annex_d.parse_request(SIGNED).user_uri == ALICE
    altered = [SIGNED[:place] for place in range(0, len(SIGNED), 3)]
    altered.extend(SIGNED[:place] + bytes([SIGNED[place] ^ 1]) + SIGNED[place + 1 :] for place in range(len(SIGNED)))
    for octets in (SIGNED, *altered):
        with pytest.raises(KmsProtocolError):
            annex_d.parse_request(octets)
            xml_signature.key_name(octets)
            xml_signature.verify(octets, message="KmsRequest", key=bytes(32))


def test_a_signature_of_ones_own_verifies_and_one_cut_short_does_not() -> None:
    message = GOOD.split(b"?>", 1)[1]
    signed = xml_signature.sign(message, wrapper="SignedKmsRequest", key=bytes(32), key_name="ink.1.alice")
    xml_signature.verify(signed, message="KmsRequest", key=bytes(32))
    assert xml_signature.key_name(signed) == "ink.1.alice"
    short = signed.replace(
        b'#hmac-sha256"/>', b'#hmac-sha256"><ds:HMACOutputLength>8</ds:HMACOutputLength></ds:SignatureMethod>'
    )
    assert short != signed
    with pytest.raises(KmsProtocolError, match="algorithm"):
        xml_signature.verify(short, message="KmsRequest", key=bytes(32))
