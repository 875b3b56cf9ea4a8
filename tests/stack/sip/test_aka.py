"""Registration by AKAv1-MD5 (RFC 3310): vectors of a home network, answers of a USIM, numbers out of step."""

from __future__ import annotations

import base64
import hashlib
import re

from prose_link.carriers.ims.usim import Usim
from prose_link.sip.digest import Credentials
from prose_link.sip.message import Request
from prose_link.sip.reports import Registered, RegistrationFailed
from prose_link.sip.responses import response_to
from prose_link.sip.transport import Hop, Transport
from security.ciphers.milenage import Milenage
from tests.benches.sip_bench import Registrar, Wire, events_of

A, P = "10.0.0.1", "10.0.0.9"
K, OPC = bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"), bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf")


class AkaRegistrar(Registrar):
    """Challenges by AKAv1-MD5, and takes AUTS."""

    def __init__(self, hop: Hop, first_sqn: int) -> None:
        super().__init__(hop, {})
        self.sqn = first_sqn
        self.resynchronised = 0
        self.nonce = ""
        self.res = b""

    def _register(self, request: Request):
        line = request.headers.first("Authorization") or ""
        value = {name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', line)}
        if "auts" in value:
            self._resynchronise(base64.b64decode(value["auts"]))
        elif value.get("nonce") == self.nonce and self._answers(value):
            return self._granted(request)
        return response_to(request, 401, to_tag="r", headers=[("WWW-Authenticate", self._challenge())])

    def _challenge(self) -> str:
        self.sqn += 1
        rand, functions = hashlib.sha256(b"%d" % self.sqn).digest()[:16], Milenage(K, OPC)
        made, sqn, amf = functions.f2345(rand), self.sqn.to_bytes(6), b"\x80\x00"
        autn = bytes(a ^ b for a, b in zip(sqn, made.ak, strict=True)) + amf + functions.f1(rand, sqn, amf).mac_a
        self.rand, self.res = rand, made.res
        self.nonce = base64.b64encode(rand + autn).decode()
        return f'Digest realm="ims.test", nonce="{self.nonce}", algorithm=AKAv1-MD5, qop="auth"'

    def _resynchronise(self, auts: bytes) -> None:
        functions = Milenage(K, OPC)
        sqn = bytes(a ^ b for a, b in zip(auts[:6], functions.f5_star(self.rand), strict=True))
        assert functions.f1(self.rand, sqn, bytes(2)).mac_s == auts[6:]
        self.sqn = int.from_bytes(sqn)
        self.resynchronised += 1

    def _answers(self, value: dict[str, str]) -> bool:
        h = lambda octets: hashlib.md5(octets).hexdigest()  # noqa: E731
        a1 = h(f"{value['username']}:ims.test:".encode() + self.res)
        tail = f"{value['nonce']}:{value['nc']}:{value['cnonce']}:auth:{h(b'REGISTER:' + value['uri'].encode())}"
        return h(f"{a1}:{tail}".encode()) == value["response"]

    def _granted(self, request: Request):
        contact = f"{request.headers.first('Contact')};expires=600"
        return response_to(request, 200, to_tag="r", headers=[("Contact", contact)])


class Home:
    """A UE with a USIM and its home network."""

    def __init__(self, first_sqn: int, opc: bytes = OPC) -> None:
        self.wire = Wire()
        proxy = Hop(Transport.UDP, P, 5060)
        self.registrar = AkaRegistrar(proxy, first_sqn)
        self.wire.ends[proxy] = self.registrar
        credentials = Credentials(user_name="01@ims.test", usim=Usim(K, opc))
        self.a = self.wire.agent("01", A, proxy=proxy, registers=True, credentials=credentials)

    def register(self):
        self.a.register(self.wire.now)
        self.wire.run(self.wire.now_s + 1.0)
        return events_of(self.a)


def test_registration_by_aka() -> None:
    home = Home(0)
    assert [type(one) for one in home.register()] == [Registered] and home.registrar.resynchronised == 0


def test_a_network_whose_numbers_are_behind_is_resynchronised() -> None:
    home = Home(1000)
    home.register()
    home.registrar.sqn = 5
    home.a.register(home.wire.now)
    home.wire.run(2.0)
    assert [type(one) for one in events_of(home.a)] == [Registered]
    assert home.registrar.resynchronised == 1 and home.registrar.sqn == 1002


def test_a_network_that_does_not_know_the_key_is_not_answered() -> None:
    home = Home(0, opc=bytes(16))
    (failed,) = home.register()
    assert isinstance(failed, RegistrationFailed) and "home network" in failed.why
    assert all("Authorization" not in dict(one.headers) for _, one in home.wire.sent("REGISTER"))
