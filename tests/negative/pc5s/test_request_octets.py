"""Rows 1 to 3, 6, 8, 9, 14, 23, 25, 26 and 38: requests that are altered, misbound or not for this UE (PROFILE 13)."""

from dataclasses import replace
from pathlib import Path

import pytest

from prose_link.instant import NTP_EPOCH_OFFSET_S
from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.events import LinkProvisional
from prose_link.pc5s.identity.key_exchange import build_request
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.messages import (
    Cause,
    IpAddressConfig,
    Kdf,
    Mutual,
    ProfileAndFlags,
    SecurityCapabilities,
)
from security.eccsi.eccsi import SIGNATURE_OCTETS
from security.eccsi.p256 import Q
from security.identifiers import KeyRing
from security.mikey import Kind
from security.mikey.payloads import GeneralExtension, Sakke
from tests.benches.attack_bench import (
    assert_genuine_exchange,
    assert_none,
    attack,
    each,
    refusals,
    refused,
    resigned,
)
from tests.benches.pc5s_bench import L2, UTC_S, A, Air, B, C, E, Ue, forged_request, make_kms, pair, plain, reencoded

World = tuple[Ue, Ue, Air]

EXAMPLES = Path(__file__).parents[3] / "docs" / "mikey-examples"


@pytest.fixture
def world():
    return pair()


def test_row_01_each_octet_before_the_i_message_flipped(world: World):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    end = octets.index(b"\x78", 70)
    for position in range(end):
        flipped = bytearray(octets)
        flipped[position] ^= 0x01
        attack(air, bytes(flipped))
    assert {step for step, _, _ in refusals(b)} <= {1, 2, 4}
    assert all(cause is None for _, cause, _ in refusals(b))
    assert len(refusals(b)) + len([1 for event in b.events if type(event).__name__ != "RequestRefused"]) == end
    assert_none(b, air)
    assert_genuine_exchange(a, b, air)


def test_row_02_each_octet_of_the_signed_part_flipped(world: World):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    start = octets.index(b"\x78", 70)
    for position in range(start, len(octets) - SIGNATURE_OCTETS):
        flipped = bytearray(octets)
        flipped[position] ^= 0x80
        attack(air, bytes(flipped))
    assert {step for step, _, _ in refusals(b)} <= set(range(1, 11))
    assert all(cause is None for _, cause, _ in refusals(b))
    assert_none(b, air)
    assert_genuine_exchange(a, b, air, within_s=6.0)


def test_row_03_i_message_of_another_request(world: World):
    a, b, air = world
    one, other = forged_request(a, b, air), forged_request(a, b, air)
    mixed = reencoded(one.octets, i_message=decode(other.octets).i_message)
    assert refused(*world, mixed) == [(4, None, "I_MESSAGE is not bound to this request")]


@pytest.mark.parametrize(
    "signature",
    {
        "s is 0": lambda sig: sig[:32] + bytes(32) + sig[64:],
        "s is q": lambda sig: sig[:32] + int(Q).to_bytes(32) + sig[64:],
        "s is q+1": lambda sig: sig[:32] + int(Q + 1).to_bytes(32) + sig[64:],
        "s is all ones": lambda sig: sig[:32] + b"\xff" * 32 + sig[64:],
        "r is 0": lambda sig: bytes(32) + sig[32:],
        "PVT coordinates of all ones": lambda sig: sig[:65] + b"\xff" * 64,
        "PVT infinity": lambda sig: sig[:64] + bytes(65),
        "PVT off the curve": lambda sig: sig[:-1] + bytes([sig[-1] ^ 1]),
        "PVT compressed": lambda sig: sig[:64] + b"\x02" + sig[65:],
    }.values(),
)
def test_row_06_impossible_signatures(world: World, signature):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    bad = octets[:-SIGNATURE_OCTETS] + signature(octets[-SIGNATURE_OCTETS:])
    assert refused(*world, bad) == [(10, None, "signature does not verify")]


@pytest.mark.parametrize(
    "point",
    [
        lambda sed: sed[:1] + b"\xff" * 128 + sed[129:],
        lambda sed: sed[:129] + b"\xff" * 128 + sed[257:],
        lambda sed: b"\x02" + sed[1:],
        lambda sed: sed[:256] + bytes([sed[256] ^ 1]) + sed[257:],
        lambda sed: b"\x04" + bytes(256) + sed[257:],
    ],
)
def test_row_06_impossible_points_r(world: World, point):
    """The signature is good, so that the sender is told; the request stays on record."""
    a, b, air = world
    attack(air, resigned(a, forged_request(a, b, air), air, each(Sakke, data=point)))
    assert refusals(b) == [(13, Cause.AUTHENTICATION_FAILURE, "SSV can't be opened")]
    assert b.holds_nothing() and not b.of(LinkProvisional) and len(b.record) == 1
    assert_genuine_exchange(a, b, air)


def test_row_08_request_for_b_sent_to_c(world: World):
    a, b, air = world
    c = Ue(C)
    air.ues.append(c)
    attack(air, forged_request(a, b, air).octets, dst=C)
    assert_none(c, air)
    assert refusals(c) == [(2, None, "not for this identity")]
    assert_genuine_exchange(a, c, air)


def test_row_08_request_for_c_sent_to_b(world: World):
    a, _b, air = world
    assert refused(*world, forged_request(a, Ue(C), air).octets) == [(2, None, "not for this identity")]


@pytest.mark.parametrize("asked_for", [B, C])
def test_row_08_request_for_the_other_identity_of_one_device(asked_for):
    """The device holds the keys of both identities and could open the request: only the identity in use answers."""
    kms = make_kms()
    period = kms.domain.period_of(UTC_S + NTP_EPOCH_OFFSET_S)
    ring = KeyRing([kms.domain], [kms.keys(uri, period) for uri in (B, C)])
    in_use, other = (C, B) if asked_for == B else (B, C)
    a, device = Ue(A), Ue(in_use, ring=ring, l2_id=L2[B])
    air = Air(a, device)
    octets = forged_request(a, Ue(other), air).octets
    assert refused(a, device, air, octets) == [(2, None, "not for this identity")]


def test_row_09_request_reflected_to_its_sender(world: World):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    air.inject(plain(octets, L2[A], L2[A]))
    air.run(0.1)
    assert refusals(a) == [(2, None, "not for this identity")]
    assert_none(a, air)
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize(
    "altered",
    [
        {"capabilities": SecurityCapabilities.of((1,), (1,))},
        {"profile": ProfileAndFlags(mutual=Mutual.NOT_WANTED)},
        {"profile": ProfileAndFlags(mutual=Mutual.REQUIRED)},
        {"profile": ProfileAndFlags(mutual=Mutual.WANTED, kdf=Kdf.FC33536)},
        {"ip_address_config": IpAddressConfig.DHCPV4_SERVER_AND_IPV6_ROUTER},
        {"link_local": bytes(15) + b"\1"},
        {"user_info": E},
        {"nonce_1": bytes(16)},
        {"kd_sess_id_msb": 0x77},
        {"maximum_inactivity_period_s": 31},
    ],
)
def test_row_14_fields_altered_under_way(world: World, altered):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    assert refused(*world, reencoded(octets, **altered)) == [(4, None, "I_MESSAGE is not bound to this request")]


def test_row_14_target_altered(world: World):
    a, _b, air = world
    octets = reencoded(forged_request(a, Ue(C), air).octets, target_user_info=B)
    assert refused(*world, octets) == [(4, None, "I_MESSAGE is not bound to this request")]


def test_row_14_layer_2_id_altered_with_its_source_address(world: World):
    a, b, air = world
    octets = reencoded(forged_request(a, b, air).octets, link_l2_id=L2[E])
    assert refused(*world, octets) == [(2, None, "layer-2 id is not the source address")]
    a.entity.release(B, air.now)
    air.run(4)
    b.events.clear()
    attack(air, octets, src=E)
    assert refusals(b) == [(4, None, "I_MESSAGE is not bound to this request")]
    assert b.holds_nothing()
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize("kind", [Kind.ACCEPT, Kind.GROUP, Kind.REKEY_REQUEST, Kind.REKEY_RESPONSE])
def test_row_23_i_message_of_another_kind(world: World, kind):
    a, b, air = world
    draft = decode(forged_request(a, b, air).octets)
    built = build_request(draft, a.credentials, ntp_s=air.now.ntp_s, kind=kind)
    assert refused(*world, built.octets) == [(4, None, "I_MESSAGE of another kind")]


@pytest.mark.parametrize("tag", [0, 1, 2], ids=["GMK", "PCK", "CSK"])
def test_row_23_messages_of_33180_signed_by_a_user(world: World, tag):
    a, b, air = world

    def change(header, payloads):
        bare = [one for one in payloads if not isinstance(one, GeneralExtension)]
        return replace(header, csb_id=tag << 28 | header.csb_id & 0x0FFFFFFF), bare

    reasons = refused(*world, resigned(a, forged_request(a, b, air), air, change))
    assert [(step, cause) for step, cause, _ in reasons] == [(4, None)]
    assert reasons[0][2].startswith("I_MESSAGE form: ")


@pytest.mark.parametrize(
    "name",
    ["mcx-private-call", "mcx-group-dave", "mcx-client-server", "tel-monthly", "profile-accept", "profile-group"],
)
def test_row_23_whole_messages_from_elsewhere(world: World, name):
    """I_MESSAGEs of an IMS call and of 33.180, of a DCA and of a group, as they stand, in a request."""
    a, b, air = world
    foreign = (EXAMPLES / f"{name}.bin").read_bytes()
    reasons = refused(*world, reencoded(forged_request(a, b, air).octets, i_message=foreign))
    assert [(step, cause) for step, cause, _ in reasons] == [(4, None)]


@pytest.fixture
def no_curves(monkeypatch):
    """Any verification or decapsulation is a failure."""

    def never(self, *_args):
        raise AssertionError("a curve operation")

    monkeypatch.setattr(Credentials, "verify", never)
    monkeypatch.setattr(Credentials, "open", never)
    return monkeypatch


def test_row_25_identifier_scheme_of_another_kms(world: World, no_curves):
    a, b, air = world
    attack(air, resigned(a, forged_request(a, b, air), air, each(Sakke, scheme=lambda _: 2)))
    assert_none(b, air)
    assert refusals(b) == [(4, None, "identifier scheme of another KMS")]
    no_curves.undo()
    assert_genuine_exchange(a, b, air)


def test_row_25_kms_of_another_namespace(no_curves):
    rogue = make_kms("rogue", namespace=("tel:+4477009*",))
    a, b, air = pair()
    e = Ue(A, kms=rogue)
    octets = forged_request(e, b, air).octets
    attack(air, octets)
    assert_none(b, air)
    assert refusals(b) == [(5, None, "KMS does not speak for this identity")]
    no_curves.undo()
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize(
    "uri", ["tel:+44770090\x000001", "sip:a@Example.org", "tel:+447700900001;ext=1", "", "tel:+" + "4" * 248]
)
def test_row_26_impossible_identities(world: World, uri):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    value = b"\x01" + uri.encode()
    own = octets[3] + 1
    bad = octets[:3] + bytes([len(value) & 0xFF]) + value + octets[3 + own :]
    assert refused(*world, bad) == [(1, None, "malformed")]


def test_row_26_user_info_differs_from_idri(world: World):
    a, b, air = world
    e = Ue(E)
    draft = decode(forged_request(a, b, air).octets)
    built = build_request(replace(draft, i_message=b""), e.credentials, ntp_s=air.now.ntp_s)
    assert refused(*world, built.octets) == [(4, None, "identities differ from User Info")]


def test_row_38_msb_zero_is_malformed(world: World):
    a, b, air = world
    octets = forged_request(a, b, air, kd_sess_id_msb=0x21).octets
    position = octets.index(b"\x70\x70\x21") + 2
    bad = octets[:position] + b"\0" + octets[position + 1 :]
    assert refused(*world, bad) == [(1, None, "malformed")]
