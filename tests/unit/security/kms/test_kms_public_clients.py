"""The XML face as clients of others use it: a client written from the clauses alone gets its keys in every mode.

The client shares nothing with the server: http.client, lxml, AES of `cryptography` (key wrap is spelled out here), and
signxml for signatures. Every answer, errors too, is held against the schema in tests/vectors/security/annex_d.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from lxml import etree
from signxml import SignatureConfiguration, SignatureMethod, XMLVerifier
from signxml.exceptions import InvalidSignature

from security import sakke
from security.eccsi import eccsi
from security.errors import SecurityError
from security.identifiers import UidScheme
from security.kms.access_tokens import AccessTokenPlan, TokenFile, TokenLine
from security.kms.annex_d_keys import KeyWrap, cipher_octets, transport_keys, unwrap_key, wrap_key
from security.kms.annex_d_responses import AnnexDOptions, ContentType, GroupSigning, ResponseSigning
from security.kms.events import KmsFailed
from security.kms.operator_orders import add_to_group, revoke_user, trust_domain
from security.kms.server import KmsServer, ServerOptions
from security.kms_wire.errors import KmsConfigError, KmsProtocolError
from security.kms_wire.protocol import encode
from security.kms_wire.tls import TlsIdentity, client_context

ALICE, BOB, TEAM = "sip:alice@example.org", "sip:bob@example.org", "sip:team@example.org"
ROOT = "/keymanagement/identity/v1"
KMS_NS, DS_NS, XENC_NS = (
    "urn:3gpp:ns:mcsecKMSInterface:1.0",
    "http://www.w3.org/2000/09/xmldsig#",
    "http://www.w3.org/2001/04/xmlenc#",
)
NS = {"k": KMS_NS, "ds": DS_NS, "xenc": XENC_NS}
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
HMAC_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
VECTORS = next(parent for parent in Path(__file__).parents if parent.name == "tests") / "vectors" / "security"
SCHEMA = etree.XMLSchema(etree.parse(str(VECTORS / "annex_d" / "kms.xsd")))
TOKEN = "an-access-token.with-dots_and-more"
MakeKms = Callable[..., Any]


def unwrapped(wrapped: bytes, kek: bytes) -> tuple[bytes, bytes]:
    """The inverse of RFC 3394 2.2.2 by its index form: the integrity value (8 octets) and what was wrapped."""
    aes = Cipher(algorithms.AES(kek), modes.ECB()).decryptor()
    blocks = [wrapped[place : place + 8] for place in range(0, len(wrapped), 8)]
    check, registers = blocks[0], blocks[1:]
    for j in range(5, -1, -1):
        for i in range(len(registers), 0, -1):
            step = (len(registers) * j + i).to_bytes(8)
            plain = aes.update(bytes(a ^ b for a, b in zip(check, step, strict=True)) + registers[i - 1])
            check, registers[i - 1] = plain[:8], plain[8:]
    return check, b"".join(registers)


@dataclass
class PublicClient:
    """What a client of TS 33.180 does; `trk` and `ink` by name, as they were brought to it."""

    url: str
    ca_pem: bytes
    identity: TlsIdentity | None = None
    token: str | None = None
    user_uri: str = ALICE
    body: bool = True
    trk: tuple[str, bytes] | None = None
    sign_with: tuple[str, bytes] | None = None
    integrity: tuple[str, bytes] | None = None
    reading: str | None = None
    content_type: str = ""
    challenge: str | None = None
    newer: dict[str, bytes] = field(default_factory=dict)

    def post(self, path: str, octets: bytes | None = None) -> tuple[int, Any]:
        context = client_context(self.ca_pem, self.identity)
        connection = http.client.HTTPSConnection(urlsplit(self.url).netloc, context=context, timeout=20)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        connection.request("POST", path, self.request(path) if octets is None else octets, headers)
        response = connection.getresponse()
        document = etree.fromstring(response.read())
        self.content_type = response.getheader("Content-Type", "")
        self.challenge = response.getheader("WWW-Authenticate")
        connection.close()
        assert SCHEMA.validate(document), SCHEMA.error_log
        return response.status, self.opened(document)

    def request(self, path: str, **replaced: str) -> bytes:
        if not self.body:
            return b""
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        fields = {"UserUri": self.user_uri, "KmsUri": "kms.example", "Time": now, "ClientId": "phone"}
        fields["ClientReqUrl"] = f"https://kms.example{path}"
        if self.trk is not None:
            fields["TrK-ID"] = self.trk[0]
        if self.sign_with is not None:
            fields["Signature-ID"] = self.sign_with[0]
        inside = "".join(f"<{name}>{text}</{name}>" for name, text in {**fields, **replaced}.items())
        document = f'<KmsRequest xmlns="{KMS_NS}" Id="r1" Version="1.1.0">{inside}</KmsRequest>'
        made = self.signed(document) if self.sign_with is not None else document.encode()
        assert replaced or SCHEMA.validate(etree.fromstring(made)), SCHEMA.error_log
        return made

    def signed(self, document: str) -> bytes:
        """XML Signature by its text: canonical octets of these elements are what is written here."""
        assert self.sign_with is not None
        name, key = self.sign_with
        digest = base64.b64encode(hashlib.sha256(document.encode()).digest()).decode()
        info = (
            f'<SignedInfo xmlns="{DS_NS}"><CanonicalizationMethod Algorithm="{C14N}"></CanonicalizationMethod>'
            f'<SignatureMethod Algorithm="{HMAC_SHA256}"></SignatureMethod><Reference URI="#r1">'
            f'<DigestMethod Algorithm="{XENC_NS}sha256"></DigestMethod><DigestValue>{digest}</DigestValue>'
            f"</Reference></SignedInfo>"
        )
        value = base64.b64encode(hmac.digest(key, info.encode(), "sha256")).decode()
        return (
            f'<SignedKmsRequest xmlns="{KMS_NS}">{document}<Signature xmlns="{DS_NS}">{info}'
            f"<SignatureValue>{value}</SignatureValue><KeyInfo><KeyName>{name}</KeyName></KeyInfo></Signature>"
            f"</SignedKmsRequest>"
        ).encode()

    def opened(self, document: Any) -> Any:
        """The KmsResponse, checked with signxml if it is signed."""
        if self.integrity is None or etree.QName(document).localname == "KmsResponse":
            assert etree.QName(document).localname == "KmsResponse"
            return document
        name, key = self.integrity
        assert document.findtext("ds:Signature/ds:KeyInfo/ds:KeyName", namespaces=NS) == name
        config = SignatureConfiguration(require_x509=False, signature_methods=frozenset({SignatureMethod.HMAC_SHA256}))
        checked = XMLVerifier().verify(etree.tostring(document), hmac_key=key, id_attribute="Id", expect_config=config)
        assert document.findtext("k:KmsResponse/k:Signature-ID", namespaces=NS) == name
        return checked.signed_xml

    def key(self, element: Any) -> bytes:
        if element.get(XSI_TYPE) == "KeyContentType":
            return bytes.fromhex(element.text or "")
        assert element.get(XSI_TYPE) == "EncKeyContentType" and self.trk is not None
        encrypted = element.find("xenc:EncryptedKey", NS)
        assert encrypted.find("xenc:EncryptionMethod", NS).get("Algorithm") == f"{XENC_NS}kw-aes256"
        assert encrypted.findtext("ds:KeyInfo/ds:KeyName", namespaces=NS) == self.trk[0]
        wrapped = base64.b64decode(encrypted.findtext("xenc:CipherData/xenc:CipherValue", namespaces=NS))
        check, key = unwrapped(wrapped, self.trk[1])
        if self.reading == "without-04":
            assert check == bytes.fromhex("A6" * 8)
            return key if len(key) == 32 else b"\x04" + key
        assert check[:4] == bytes.fromhex("A65959A6")
        length = int.from_bytes(check[4:])
        assert not any(key[length:]) and len(key) - length < 8
        return key[:length]

    def all_keys(self, kms: Any) -> list[Any]:
        """The whole of a provisioning: certificate, key sets with the users' checks, cache. The key sets."""
        status, answer = self.post(f"{ROOT}/init")
        assert (status, answer.findtext("k:UserUri", namespaces=NS)) == (200, ALICE)
        certificate = answer.find("k:KmsMessage/k:KmsInit/k:KmsCertificate", NS)
        z, kpak = (
            bytes.fromhex(certificate.findtext(f"k:{name}", namespaces=NS)) for name in ("PubEncKey", "PubAuthKey")
        )
        status, answer = self.post(f"{ROOT}/keyprov")
        assert status == 200
        key_sets = answer.findall("k:KmsMessage/k:KmsKeyProv/k:KmsKeySet", NS)
        own = key_sets[0]
        uid = base64.b64decode(own.findtext("k:UserID", namespaces=NS))
        rsk, ssk, pvt = (
            self.key(own.find(f"k:{name}", NS)) for name in ("UserDecryptKey", "UserSigningKeySSK", "UserPubTokenPVT")
        )
        assert (len(rsk), len(ssk), len(pvt)) == (257, 32, 65)
        eccsi.validate_signing_keys(ssk=ssk, pvt=pvt, uid=uid, kpak=kpak)
        sakke.validate_rsk(rsk, uid, z)
        assert (z, kpak) == (kms.service.authority.domain.z, kms.service.authority.domain.kpak)
        assert self.post(f"{ROOT}/certcache")[0] == 200
        for name in ("NewTransportKey", "NewIntegrityKey"):
            for element in answer.iter(f"{{{KMS_NS}}}{name}"):
                carried = element.findtext("xenc:EncryptedKey/xenc:CarriedKeyName", namespaces=NS)
                self.newer[carried] = self.key(element)
        return list(key_sets)


@contextmanager
def serving(kms: Any, *, annex_d: AnnexDOptions | None = None, tokens: AccessTokenPlan | None = None) -> Iterator[str]:
    """Serve from a thread, so that a blocking client can ask."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    options = ServerOptions(annex_d=annex_d or AnnexDOptions(), access_tokens=tokens)
    server = KmsServer(kms.service, emit=kms.events.append, options=options)
    try:
        yield asyncio.run_coroutine_threadsafe(server.start(host="127.0.0.1", port=0), loop).result(20)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def kms(make_kms: MakeKms) -> Any:
    made = make_kms(scheme=UidScheme.HASHED_UID, namespace=("sip:*",))
    for user, uri in (("alice", ALICE), ("bob", BOB)):
        made.enrol(user, uri)
    made.events = []
    return made


def client(kms: Any, url: str, **more: Any) -> PublicClient:
    return PublicClient(url=url, ca_pem=kms.service.ca.certificate_pem, **more)


def token_file(folder: Path, *lines: tuple[str, str], not_after: dt.datetime | None = None) -> Path:
    file = folder / "tokens.json"
    tokens = tuple(
        TokenLine(sha256=hashlib.sha256(token.encode()).hexdigest(), user=user, not_after=not_after)
        for token, user in lines
    )
    file.write_bytes(encode(TokenFile(tokens=tokens)))
    return file


@pytest.mark.parametrize("body", [True, False], ids=["KmsRequest", "empty body"])
def test_with_a_client_certificate(kms: Any, body: bool) -> None:
    with serving(kms) as url:
        client(kms, url, identity=kms.users["alice"], body=body).all_keys(kms)


@pytest.mark.parametrize("body", [True, False], ids=["KmsRequest", "empty body"])
def test_with_a_token_of_the_file(kms: Any, tmp_path: Path, body: bool) -> None:
    file = token_file(tmp_path, (TOKEN, "alice"))
    with serving(kms, tokens=AccessTokenPlan(token_file=file)) as url:
        mine = client(kms, url, token=TOKEN, body=body)
        mine.all_keys(kms)
        file.write_bytes(encode(TokenFile(tokens=())))
        status, answer = mine.post(f"{ROOT}/keyprov")
        assert (status, answer.findtext("k:KmsError/k:ErrorCode", namespaces=NS)) == (401, "401")
        assert mine.challenge == 'Bearer realm="KMS", error="invalid_token"'
        client(kms, url, identity=kms.users["alice"]).all_keys(kms)
    assert kms.actions().count("extract") == 2
    said = repr(kms.events)
    assert TOKEN not in said and hashlib.sha256(TOKEN.encode()).hexdigest() not in said


@pytest.mark.parametrize("holder", ["alice", ALICE], ids=["user", "identity"])
def test_with_a_token_that_its_issuer_vouches_for(kms: Any, tmp_path: Path, holder: str) -> None:
    (tmp_path / "secret").write_text("kms-secret\n")
    asked: list[dict[str, str]] = []
    verdict: dict[str, Any] = {"active": True, "mcptt_id": holder, "scope": "3gpp:mc:ptt_key_management_service other"}

    async def introspect(request: web.Request) -> web.Response:
        form = await request.post()
        asked.append({**{name: str(value) for name, value in form.items()}, "as": request.headers["Authorization"]})
        return web.json_response(verdict if form["token"] == TOKEN else {"active": False})

    with issuer(introspect) as issuer_url:
        plan = AccessTokenPlan(
            introspection_url=issuer_url,
            client_id="kms",
            client_secret_file=tmp_path / "secret",
            claim="mcptt_id",
            scope="3gpp:mc:ptt_key_management_service",
        )
        with serving(kms, tokens=plan) as url:
            client(kms, url, token=TOKEN, body=False).all_keys(kms)
            assert len(asked) == 1
            credentials = "Basic " + base64.b64encode(b"kms:kms-secret").decode()
            assert asked[0] == {"token": TOKEN, "token_type_hint": "access_token", "as": credentials}
            assert client(kms, url, token="another").post(f"{ROOT}/init")[0] == 401


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        ({"active": False}, 401),
        ({"active": "true", "username": "alice"}, 401),
        ({"active": True}, 401),
        ({"active": True, "username": "alice", "exp": 1}, 401),
        ({"active": True, "username": "alice", "exp": "soon"}, 401),
        ({"active": True, "username": 5}, 401),
        ({"active": True, "username": "alice", "scope": "wanted-not"}, 401),
        ({"active": True, "username": "carol", "scope": "wanted"}, 403),
        ({"active": True, "username": "sip:carol@example.org", "scope": "wanted"}, 403),
        ({"active": True, "username": "alice", "scope": "wanted more", "exp": 4_000_000_000}, 200),
        (["active"], 503),
        (None, 503),
    ],
)
def test_only_a_clear_yes_of_the_issuer_counts(kms: Any, verdict: Any, status: int) -> None:
    async def introspect(request: web.Request) -> web.Response:
        return web.Response(status=500) if verdict is None else web.json_response(verdict)

    with issuer(introspect) as issuer_url:
        plan = AccessTokenPlan(introspection_url=issuer_url, scope="wanted")
        with serving(kms, tokens=plan) as url:
            assert client(kms, url, token=TOKEN).post(f"{ROOT}/keyprov")[0] == status


@contextmanager
def issuer(handler: Any) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> tuple[web.AppRunner, str]:
        application = web.Application()
        application.router.add_post("/introspect", handler)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/introspect"

    runner, url = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    try:
        yield url
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def held(kms: Any, number: int = 1) -> dict[str, Any]:
    keys = transport_keys(kms.service.authority, "alice", number)
    return {"trk": (keys.trk_id, keys.trk), "ink": (keys.ink_id, keys.ink)}


@pytest.mark.parametrize("body", [True, False], ids=["KmsRequest", "empty body"])
@pytest.mark.parametrize("signing", list(ResponseSigning))
@pytest.mark.parametrize("reading", [KeyWrap.WITHOUT_04, KeyWrap.PADDED])
def test_with_keys_under_the_transport_key(kms: Any, reading: KeyWrap, signing: ResponseSigning, body: bool) -> None:
    keys = held(kms)
    integrity = {ResponseSigning.INK: keys["ink"], ResponseSigning.TRK: keys["trk"]}.get(signing)
    with serving(kms, annex_d=AnnexDOptions(key_wrap=reading, signing=signing)) as url:
        mine = client(kms, url, identity=kms.users["alice"], trk=keys["trk"], integrity=integrity, body=body)
        mine.reading = reading.value
        (own,) = mine.all_keys(kms)
        assert own.find("k:UserDecryptKey", NS).get(XSI_TYPE) == "EncKeyContentType"
        assert mine.newer == {}


def test_with_signed_requests_and_answers_in_clear(kms: Any, tmp_path: Path) -> None:
    keys = held(kms)
    options = AnnexDOptions(signing=ResponseSigning.INK, require_signed_requests=True)
    plan = AccessTokenPlan(token_file=token_file(tmp_path, (TOKEN, "alice")))
    with serving(kms, annex_d=options, tokens=plan) as url:
        for name in ("ink", "trk"):
            client(kms, url, token=TOKEN, sign_with=keys[name], integrity=keys["ink"]).all_keys(kms)
        unsigned = client(kms, url, token=TOKEN)
        assert unsigned.post(f"{ROOT}/init")[0] == 403
        assert client(kms, url, token=TOKEN, body=False).post(f"{ROOT}/init")[0] == 403
        forger = client(kms, url, token=TOKEN, sign_with=(keys["ink"][0], bytes(32)))
        assert forger.post(f"{ROOT}/init")[0] == 403
        good = client(kms, url, token=TOKEN, sign_with=keys["ink"]).request(f"{ROOT}/init")
        assert unsigned.post(f"{ROOT}/init", good.replace(b"phone", b"other"))[0] == 403
        moved = good.replace(b'Id="r1"', b'Id="r2"')
        assert unsigned.post(f"{ROOT}/init", moved)[0] == 403
        twice = good.replace(b"</SignedKmsRequest>", b'<x xmlns="urn:x" Id="r1"/></SignedKmsRequest>')
        assert unsigned.post(f"{ROOT}/init", twice)[0] == 403


def test_an_altered_answer_does_not_verify(kms: Any) -> None:
    keys = held(kms)
    with serving(kms, annex_d=AnnexDOptions(signing=ResponseSigning.INK)) as url:
        mine = client(kms, url, identity=kms.users["alice"], integrity=keys["ink"])
        mine.post(f"{ROOT}/init")
        mine.integrity = (keys["ink"][0], bytes(32))
        with pytest.raises(InvalidSignature):
            mine.post(f"{ROOT}/init")


@pytest.mark.parametrize("reading", [KeyWrap.WITHOUT_04, KeyWrap.PADDED])
def test_a_new_transport_key_comes_under_the_old_one(kms: Any, reading: KeyWrap) -> None:
    old, new = held(kms, 6), held(kms, 7)
    with serving(kms, annex_d=AnnexDOptions(key_wrap=reading, transport_key_number=7)) as url:
        mine = client(kms, url, identity=kms.users["alice"], trk=old["trk"], reading=reading.value)
        mine.all_keys(kms)
        assert mine.newer == dict([new["trk"], new["ink"]])
        renewed = client(kms, url, identity=kms.users["alice"], trk=new["trk"], reading=reading.value)
        renewed.all_keys(kms)
        assert renewed.newer == {}
        for other in ("tk.5.alice", "tk.8.alice", "tk.7.bob", "tk.07.alice", "alice"):
            stranger = client(kms, url, identity=kms.users["alice"], trk=(other, bytes(32)))
            assert stranger.post(f"{ROOT}/keyprov")[0] == 400
    assert kms.actions().count("extract") == 2


@pytest.mark.parametrize("reading", list(KeyWrap))
@pytest.mark.parametrize("signing", list(GroupSigning))
def test_key_sets_of_groups_hold_what_the_schema_asks_and_nobody_can_sign_as_the_group_unless_told(
    kms: Any, reading: KeyWrap, signing: GroupSigning
) -> None:
    add_to_group(kms.service, TEAM, (ALICE,))
    keys, domain = held(kms), kms.service.authority.domain
    with serving(kms, annex_d=AnnexDOptions(key_wrap=reading, group_signing=signing)) as url:
        mine = client(kms, url, identity=kms.users["alice"], trk=keys["trk"], reading=reading.value)
        own, group = mine.all_keys(kms)
    assert group.findtext("k:UserUri", namespaces=NS) == TEAM
    uid = base64.b64decode(group.findtext("k:UserID", namespaces=NS))
    sakke.validate_rsk(mine.key(group.find("k:UserDecryptKey", NS)), uid, domain.z)
    ssk, pvt = (mine.key(group.find(f"k:{name}", NS)) for name in ("UserSigningKeySSK", "UserPubTokenPVT"))
    if signing is GroupSigning.EMPTY:
        assert (ssk, pvt) == (b"", b"")
    elif signing is GroupSigning.GROUP:
        eccsi.validate_signing_keys(ssk=ssk, pvt=pvt, uid=uid, kpak=domain.kpak)
        assert "extract-group-signing" in kms.actions()
    else:
        assert ssk == mine.key(own.find("k:UserSigningKeySSK", NS))
        assert pvt == mine.key(own.find("k:UserPubTokenPVT", NS))
        with pytest.raises(SecurityError):
            eccsi.validate_signing_keys(ssk=ssk, pvt=pvt, uid=uid, kpak=domain.kpak)
    if signing is not GroupSigning.GROUP:
        assert "extract-group-signing" not in kms.actions()


@pytest.mark.parametrize(
    "kms_uri",
    [
        "kms.example",
        "KMS.example",
        "https://kms.example",
        "http://kms.example:8080",
        "https://kms.example/",
        "HOST",
        "https://HOST",
        "HOST/",
    ],
)
def test_forms_of_the_kms_uri_that_clients_send(kms: Any, kms_uri: str) -> None:
    with serving(kms) as url:
        mine = client(kms, url, identity=kms.users["alice"])
        named = kms_uri.replace("HOST", urlsplit(url).netloc)
        assert mine.post(f"{ROOT}/init", mine.request(f"{ROOT}/init", KmsUri=named))[0] == 200
        for other in ("kms.elsewhere", "https://kms.example.org", "kms.example@elsewhere", "ftp://kms.example"):
            status, answer = mine.post(f"{ROOT}/init", mine.request(f"{ROOT}/init", KmsUri=other))
            assert (status, "KmsUri" in answer.findtext("k:KmsError/k:ErrorMsg", namespaces=NS)) == (400, True), other


def test_forms_of_the_client_req_url_that_clients_send(kms: Any) -> None:
    named = f"{ROOT}/keyprov/{ALICE}"
    with serving(kms) as url:
        mine = client(kms, url, identity=kms.users["alice"])
        for path, said in (
            (named, f"https://kms.example{ROOT}/keyprov/{quote(ALICE, safe='')}"),
            (named, f"kms.example{ROOT}/keyprov"),
            (named, named),
            (f"{ROOT}/init", f"http://kms.example:8080{ROOT}/init/"),
        ):
            assert mine.post(path, mine.request(path, ClientReqUrl=said))[0] == 200, said
        for said in (f"https://kms.example{ROOT}/init", f"https://kms.example{ROOT}/keyprov/{BOB}", "kms.example"):
            assert mine.post(named, mine.request(named, ClientReqUrl=said))[0] == 400, said


@pytest.mark.parametrize("path", ["cert/kms.example", "cert", "lookup", f"lookup/{ALICE}", "redirect", "other/x/y"])
def test_cert_lookup_and_redirect_are_not_found(kms: Any, path: str) -> None:
    with serving(kms) as url:
        mine = client(kms, url, identity=kms.users["alice"])
        status, answer = mine.post(f"{ROOT}/{path}")
        assert (status, answer.findtext("k:KmsError/k:ErrorCode", namespaces=NS)) == (404, "404")
        assert answer.findtext("k:UserUri", namespaces=NS) == ALICE
        assert answer.findtext("k:ClientReqUrl", namespaces=NS) == f"https://kms.example{ROOT}/{path}"


def test_time_is_checked_against_both_clocks(kms: Any) -> None:
    with serving(kms) as url:
        mine = client(kms, url, identity=kms.users["alice"])

        def asked(moment: dt.datetime, form: str = "%Y-%m-%dT%H:%M:%SZ") -> int:
            return mine.post(f"{ROOT}/init", mine.request(f"{ROOT}/init", Time=moment.strftime(form)))[0]

        now, lab = dt.datetime.now(dt.UTC), kms.at
        assert [asked(clock + dt.timedelta(seconds=off)) for clock in (now, lab) for off in (-20, 20)] == [200] * 4
        assert [asked(clock + dt.timedelta(seconds=off)) for clock in (now, lab) for off in (-60, 90)] == [400] * 4
        assert asked(lab, "%Y-%m-%dT%H:%M:%S") == 200
        assert asked(lab + dt.timedelta(hours=2), "%Y-%m-%dT%H:%M:%S+02:00") == 200
        assert asked(lab + dt.timedelta(hours=2)) == 400
    with serving(kms, annex_d=AnnexDOptions(time_window_s=7200.0)) as url:
        mine.url = url
        assert asked(lab + dt.timedelta(hours=1)) == 200


@pytest.mark.parametrize("path", ["init", "certcache", "keyprov"])
def test_a_foreign_user_uri_is_refused(kms: Any, tmp_path: Path, path: str) -> None:
    add_to_group(kms.service, TEAM, (ALICE,))
    with serving(kms, tokens=AccessTokenPlan(token_file=token_file(tmp_path, (TOKEN, "alice")))) as url:
        for shown in ({"identity": kms.users["alice"]}, {"token": TOKEN}):
            for foreign in (BOB, TEAM, "sip:nobody@example.org"):
                status, answer = client(kms, url, user_uri=foreign, **shown).post(f"{ROOT}/{path}")
                assert (status, answer.findtext("k:UserUri", namespaces=NS)) == (403, foreign)
            assert client(kms, url, user_uri="nonsense", **shown).post(f"{ROOT}/{path}")[0] == 400
        assert client(kms, url, body=False, token=TOKEN).post(f"{ROOT}/keyprov/{BOB}")[0] == 403
    assert "extract" not in kms.actions()


def test_who_shows_nothing_or_something_bad(kms: Any, tmp_path: Path) -> None:
    ended = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    with serving(kms) as url:
        nobody = client(kms, url)
        assert nobody.post(f"{ROOT}/init")[0] == 401 and nobody.challenge is None
        assert client(kms, url, token=TOKEN).post(f"{ROOT}/init")[0] == 401
        assert nobody.post(f"{ROOT}/keyprov/{ALICE}", b"")[1].findtext("k:UserUri", namespaces=NS) == ALICE
    with serving(kms, tokens=AccessTokenPlan(token_file=token_file(tmp_path, (TOKEN, "alice")))) as url:
        for token in ("x", TOKEN + "x", TOKEN[:-1], "a" * 8001):
            assert client(kms, url, token=token).post(f"{ROOT}/init")[0] in (400, 401) or len(token) > 8000
        assert client(kms, url).post(f"{ROOT}/init")[0] == 401
        revoke_user(kms.service, "alice")
        assert client(kms, url, token=TOKEN).post(f"{ROOT}/init")[0] == 403
    file = token_file(tmp_path, (TOKEN, "bob"), not_after=ended)
    with serving(kms, tokens=AccessTokenPlan(token_file=file)) as url:
        assert client(kms, url, token=TOKEN, user_uri=BOB).post(f"{ROOT}/init")[0] == 401


def test_a_user_with_several_identities_names_one(kms: Any) -> None:
    kms.enrol("carol", "sip:carol@example.org", "sip:carol-at-work@example.org")
    with serving(kms) as url:
        mine = client(kms, url, identity=kms.users["carol"], body=False)
        assert mine.post(f"{ROOT}/keyprov")[0] == 400
        for uri in ("sip:carol@example.org", "sip:carol-at-work@example.org"):
            status, answer = mine.post(f"{ROOT}/keyprov/{uri}")
            assert (status, answer.findtext("k:UserUri", namespaces=NS)) == (200, uri)


def test_text_xml_for_clients_that_want_it(kms: Any, make_kms: MakeKms) -> None:
    other = make_kms("other", uri="kms.other", namespace=("tel:*",), seed=8)
    trust_domain(kms.service, other.home.row.parameters.encode())
    with serving(kms, annex_d=AnnexDOptions(content_type=ContentType.TEXT_XML)) as url:
        mine = client(kms, url, identity=kms.users["alice"])
        assert mine.post(f"{ROOT}/certcache")[0] == 200
        assert mine.content_type == "text/xml; charset=utf-8"


def test_both_readings_are_told_apart_on_receipt() -> None:
    kek = bytes(range(32))
    for octets in (32, 65, 257):
        key = b"\x04" + bytes(range(1, 256)) + b"\x01" if octets == 257 else bytes([4, *range(1, octets)])
        wrapped = {reading: wrap_key(key, kek, reading) for reading in (KeyWrap.WITHOUT_04, KeyWrap.PADDED)}
        assert len(set(wrapped.values())) == 2
        for value in wrapped.values():
            assert unwrap_key(value, kek) == key
            for text in (base64.b64encode(value).decode(), value.hex(), value.hex().upper(), f"\n {value.hex()}\n"):
                assert cipher_octets(text) == value
            with pytest.raises(KmsProtocolError):
                unwrap_key(value[:-1] + bytes([value[-1] ^ 1]), kek)
    assert [len(wrap_key(bytes(octets), kek, KeyWrap.WITHOUT_04)) for octets in (32, 65, 257)] == [40, 72, 264]
    assert [len(wrap_key(bytes(octets), kek, KeyWrap.PADDED)) for octets in (32, 65, 257)] == [40, 80, 272]
    for bad in ("", "!", "AAAA", "00" * 7):
        with pytest.raises(KmsProtocolError):
            unwrap_key(cipher_octets(bad), kek)


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (AccessTokenPlan(), "name one"),
        (AccessTokenPlan(token_file=Path("/nowhere/tokens.json")), "No such file"),
        (AccessTokenPlan(introspection_url="http://issuer.example/x"), "https only"),
        (AccessTokenPlan(introspection_url="https://issuer.example/x", client_id="kms"), "secret file"),
        (AccessTokenPlan(introspection_url="https://issuer.example/x", ca_file=Path("/nowhere")), "CA certificates"),
    ],
)
def test_plans_that_can_not_work_are_named_at_the_start(kms: Any, plan: AccessTokenPlan, why: str) -> None:
    with pytest.raises(KmsConfigError, match=why):
        KmsServer(kms.service, emit=kms.events.append, options=ServerOptions(access_tokens=plan))


def test_a_damaged_token_file_is_named_and_lets_nobody_in(kms: Any, tmp_path: Path) -> None:
    file = token_file(tmp_path, (TOKEN, "alice"))
    with serving(kms, tokens=AccessTokenPlan(token_file=file)) as url:
        mine = client(kms, url, token=TOKEN)
        assert mine.post(f"{ROOT}/init")[0] == 200
        file.write_bytes(b'{"tokens":[')
        assert mine.post(f"{ROOT}/init")[0] == 500
        assert str(file) in next(event.message for event in kms.events if isinstance(event, KmsFailed))
        file.unlink()
        assert mine.post(f"{ROOT}/init")[0] == 500
