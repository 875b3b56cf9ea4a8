"""A client of the XML face that is written from the clauses alone, and a server in a thread for it.

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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from lxml import etree
from signxml import SignatureConfiguration, SignatureMethod, XMLVerifier

from security import sakke
from security.eccsi import eccsi
from security.kms.access_tokens import AccessTokenPlan, TokenFile, TokenLine
from security.kms.annex_d_responses import AnnexDOptions
from security.kms.server import KmsServer, ServerOptions
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
