"""The IMS carrier through two stock Kamailios: registration, set-up, refusal, and a core that forgets or is gone."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from lab_scripts.runs.ims_core import TLS_PORT, ImsCore, Subscriber
from prose_link.carriers.ims.events import ImsCallRefused, ImsRegistered, ImsRegistrationFailed, SipMessageSeen
from prose_link.pc5s.wire.party import CarrierError
from prose_link.sip.message import parse
from tests.benches.ims_bench import ACCEPT, KAMAILIO, ONE_WAY_ACCEPT, REJECT, REQUEST, A, B, Ue, run, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.skipif(KAMAILIO is None, reason="Kamailio is not installed")]

SUBSCRIBERS = [Subscriber(number=A, password="secret-a"), Subscriber(number=B, password="secret-b")]
BLOCK = 61


@contextmanager
def core_and_ues(tmp_path: Path, transport: str = "udp", passwords=("secret-a", "secret-b"), **core_options):
    with ImsCore(tmp_path, tmp_path / "logs", SUBSCRIBERS, block=BLOCK, **core_options) as core:
        ues = [
            Ue(number, proxy=core.proxy, host=core.ue_address(n), port=5060, password=password, transport=transport)
            for n, (number, password) in enumerate(zip((A, B), passwords, strict=True))
        ]
        try:
            yield core, ues[0], ues[1]
        finally:
            for ue in ues:
                ue.carrier.close()


def registered(*ues: Ue) -> None:
    wait_until(lambda: all(ue.carrier.is_registered for ue in ues), ues)


def set_up(a: Ue, b: Ue, accept: bytes = ACCEPT, request: bytes = REQUEST) -> None:
    """A Request and its Accept, octet for octet."""
    a.call(B, request)
    wait_until(lambda: b.brought, (a, b))
    message, carried = b.take()
    assert message == request and carried.named_sender == f"tel:{A}"
    b.send(accept, carried.via)
    wait_until(lambda: a.brought, (a, b))
    answer, came = a.take()
    assert answer == accept and came.named_sender == f"tel:{B}" and came.via.address == f"tel:{B}"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "both"])
def test_a_set_up_by_every_digest_and_transport(tmp_path: Path, algorithm, transport) -> None:
    with core_and_ues(tmp_path, transport, algorithm=algorithm) as (_, a, b):
        registered(a, b)
        set_up(a, b)
        (told,) = a.told_of(ImsRegistered)
        assert told.associated == (f"tel:{A}", f"sip:{A}@ims.test") and told.expires_s == 300
        invites = [parse(one.data) for one in a.told_of(SipMessageSeen) if one.data.startswith(b"INVITE")]
        assert invites[0].headers.lines("Route")[1].startswith("<sip:orig@127.53.61.30"), "its Service-Route"
        came = [parse(one.data) for one in b.told_of(SipMessageSeen) if one.data.startswith(b"INVITE")]
        assert came[0].headers.lines("P-Asserted-Identity") == [f"<tel:{A}>"]
        assert not came[0].headers.lines("P-Preferred-Identity")


def test_without_tcp_between_proxies_a_long_invite_goes_by_udp(tmp_path: Path) -> None:
    with core_and_ues(tmp_path, big_over_tcp=False) as (_, a, b):
        registered(a, b)
        set_up(a, b)
        assert {one.transport for one in b.told_of(SipMessageSeen) if one.data.startswith(b"INVITE")} == {"udp"}


def test_an_accept_without_an_i_message_and_a_long_request(tmp_path: Path) -> None:
    with core_and_ues(tmp_path) as (_, a, b):
        registered(a, b)
        set_up(a, b, accept=ONE_WAY_ACCEPT)
        from prose_link.carriers.ims.envelope import cut, join

        set_up(a, b, request=join(cut(REQUEST)[0], bytes(6000)))
        invites = [one for one in a.told_of(SipMessageSeen) if one.direction == "tx" and one.data.startswith(b"INVITE")]
        assert b";tag=" in invites[-1].data.partition(b"\r\nTo: ")[2].partition(b"\r\n")[0], "a re-INVITE"


def test_a_reject_comes_back_as_488_with_its_octets(tmp_path: Path) -> None:
    with core_and_ues(tmp_path) as (_, a, b):
        registered(a, b)
        a.call(B)
        wait_until(lambda: b.brought, (a, b))
        _, carried = b.take()
        b.send(REJECT, carried.via)
        wait_until(lambda: a.brought, (a, b))
        assert a.take()[0] == REJECT and a.told_of(ImsCallRefused)[0].status == 488


def test_a_wrong_password_is_told_and_nobody_is_reached(tmp_path: Path) -> None:
    with core_and_ues(tmp_path, passwords=("wrong", "secret-b")) as (_, a, b):
        wait_until(lambda: a.told_of(ImsRegistrationFailed), (a, b))
        assert a.carrier.reaches(f"tel:{B}", None) is None and b.carrier.is_registered


def test_a_peer_that_is_not_registered_is_told_after_one_new_registration(tmp_path: Path) -> None:
    with core_and_ues(tmp_path, passwords=("secret-a", "wrong")) as (_, a, b):
        registered(a)
        a.call(B)
        wait_until(lambda: a.told_of(ImsCallRefused), (a, b), 10.0)
        assert a.told_of(ImsCallRefused)[0].status == 404 and len(a.told_of(ImsRegistered)) == 2


def test_an_s_cscf_that_has_forgotten_both_ues_is_noticed_by_the_first_call(tmp_path: Path) -> None:
    with core_and_ues(tmp_path) as (core, a, b):
        registered(a, b)
        core.stop("scscf")
        core.start("scscf")
        b.carrier._agent.register(b.carrier._now())  # its own next refresh
        wait_until(lambda: len(b.told_of(ImsRegistered)) == 2, (a, b))
        set_up(a, b)
        assert len(a.told_of(ImsRegistered)) == 2, "403, a new registration, and the call once more"


def test_a_p_cscf_that_was_restarted_is_registered_with_anew(tmp_path: Path) -> None:
    with core_and_ues(tmp_path) as (core, a, b):
        registered(a, b)
        core.stop("pcscf")
        core.start("pcscf")
        a.call(B)
        wait_until(lambda: b.brought, (a, b), 10.0)
        assert b.take()[0] == REQUEST and len(a.told_of(ImsRegistered)) == 2


def test_a_dead_s_cscf_is_told_by_the_p_cscf(tmp_path: Path) -> None:
    with core_and_ues(tmp_path) as (core, a, b):
        registered(a, b)
        core.stop("scscf")
        a.call(B)
        wait_until(lambda: a.told_of(ImsCallRefused), (a, b), 20.0)
        assert a.told_of(ImsCallRefused)[0].status in (408, 477)


def test_a_tcp_connection_that_the_p_cscf_closes_makes_the_ue_register_anew(tmp_path: Path) -> None:
    with core_and_ues(tmp_path, "tcp") as (core, a, b):
        registered(a, b)
        core.stop("pcscf")
        run((a, b), 0.2)
        core.start("pcscf")
        wait_until(lambda: len(a.told_of(ImsRegistered)) == 2 and len(b.told_of(ImsRegistered)) == 2, (a, b), 10.0)
        set_up(a, b)


def test_registrations_are_given_up_at_the_end(tmp_path: Path) -> None:
    with core_and_ues(tmp_path) as (_, a, b):
        registered(a, b)
        b.carrier.close()
        run((a,), 0.3)
        a.call(B)
        wait_until(lambda: a.told_of(ImsCallRefused), (a,), 10.0)
        assert a.told_of(ImsCallRefused)[0].status == 404
        with pytest.raises(CarrierError):
            b.send(REQUEST, None)


def test_twenty_set_ups_in_a_row(tmp_path: Path) -> None:
    with core_and_ues(tmp_path) as (_, a, b):
        registered(a, b)
        for _ in range(20):
            set_up(a, b)


def certificates(folder: Path, address: str) -> Path:
    """A CA and the P-CSCF's certificate, where the core looks for them; gives the CA's file."""
    now = datetime.now(UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "p")}
    names = {name: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in keys}
    for name, extension in (
        ("ca", x509.BasicConstraints(ca=True, path_length=None)),
        ("p", x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])),
    ):
        made = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["ca"])
            .public_key(keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(extension, critical=name == "ca")
            .sign(keys["ca"], hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
    key = keys["p"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "p.key").write_bytes(key)
    return folder / "ca.pem"


def test_a_set_up_by_tls_on_the_connections_that_the_ues_opened(tmp_path: Path) -> None:
    ca_file = certificates(tmp_path, f"127.53.{BLOCK}.20")
    with ImsCore(tmp_path, tmp_path / "logs", SUBSCRIBERS, block=BLOCK, tls=True) as core:
        ues = [
            Ue(
                number,
                proxy=core.proxy,
                proxy_port=TLS_PORT,
                transport="tls",
                ca_file=str(ca_file),
                host=core.ue_address(n),
                port=5060,
                password=SUBSCRIBERS[n].password,
            )
            for n, number in enumerate((A, B))
        ]
        try:
            registered(*ues)
            set_up(*ues)
            assert {one.transport for ue in ues for one in ue.told_of(SipMessageSeen)} == {"tls"}
        finally:
            for ue in ues:
                ue.carrier.close()


def test_a_certificate_of_another_authority_is_no_registration(tmp_path: Path) -> None:
    certificates(tmp_path, f"127.53.{BLOCK}.20")
    (tmp_path / "other").mkdir()
    other = certificates(tmp_path / "other", f"127.53.{BLOCK}.20")
    with ImsCore(tmp_path, tmp_path / "logs", SUBSCRIBERS, block=BLOCK, tls=True) as core:
        options = {"proxy": core.proxy, "proxy_port": TLS_PORT, "transport": "tls", "ca_file": str(other)}
        ue = Ue(A, host=core.ue_address(0), port=5060, password="secret-a", **options)
        try:
            wait_until(lambda: ue.told_of(ImsRegistrationFailed), [ue])
            assert ue.told_of(ImsRegistrationFailed)[0].status == 503 and not ue.carrier.is_registered
        finally:
            ue.carrier.close()
