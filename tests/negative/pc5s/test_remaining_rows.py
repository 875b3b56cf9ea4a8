"""Further rows of the profile's test matrix, collisions, and many links at once (PROFILE 13)."""

from dataclasses import replace

import pytest
from pc5s_bench import L2, A, Air, B, C, E, Ue, forged_request, linked, make_kms, pair, plain

from prose_link.pc5s.codec import decode, encode
from prose_link.pc5s.credentials import Credentials
from prose_link.pc5s.events import LinkEstablished, LinkFailed, RequestRefused
from prose_link.pc5s.messages import DirectReject, DirectRequest
from security.eccsi import SIGNATURE_OCTETS
from security.mikey.codec import MikeyMessage
from security.mikey.codec import decode as decode_mikey
from security.mikey.i_message import sign_message
from security.mikey.payloads import GeneralExtension, Sakke, Timestamp
from security.record import REPLAY_ENTRIES_PER_SIGNER


def refusals(ue):
    return [(event.step, event.cause) for event in ue.of(RequestRefused)]


def attack(air, octets, src=A):
    air.inject(plain(octets, L2[src], L2[B]))
    air.run(0.1)


def resigned(sender, built, air, change):
    """The request with payloads of its I_MESSAGE changed before it is signed again by its sender."""
    message = decode_mikey(built.asked.message.i_message)
    header, payloads = change(message.header, message.payloads[:-1])
    kms = make_kms()
    i_message = sign_message(
        MikeyMessage(header=header, payloads=tuple(payloads)),
        keys=kms.keys(sender.uri, kms.domain.period_of(air.now.ntp_s)),
        kpak=kms.domain.kpak,
        entropy=bytes(32),
    )
    return encode(replace(built.asked.message, i_message=i_message))


def with_sakke(**altered):
    def change(header, payloads):
        return header, [
            replace(one, **{name: value(one) for name, value in altered.items()}) if isinstance(one, Sakke) else one
            for one in payloads
        ]

    return change


@pytest.mark.parametrize(
    "point",
    [
        lambda sed: sed[:1] + b"\xff" * 128 + sed[129:],
        lambda sed: sed[:129] + b"\xff" * 128 + sed[257:],
        lambda sed: sed[:256] + bytes([sed[256] ^ 1]) + sed[257:],
        lambda sed: b"\x04" + bytes(256) + sed[257:],
    ],
)
def test_row_06_impossible_points_r(point):
    a, b, air = pair()
    bad = resigned(a, forged_request(a, b, air), air, with_sakke(data=lambda one: point(one.data)))
    attack(air, bad)
    assert refusals(b) in ([(13, 2)], [(4, None)], [(1, None)]) and b.holds_nothing()
    works_after(a, b, air)


def works_after(a, b, air):
    air.run(8)
    air.connect(a, b)
    air.run(1)
    assert a.of(LinkEstablished) and b.of(LinkEstablished)


def test_row_08_request_to_another_identity():
    a, b, air = pair()
    attack(air, forged_request(a, Ue(C), air).octets)
    assert refusals(b) == [(2, None)] and b.holds_nothing()
    works_after(a, b, air)


@pytest.mark.parametrize("tag", [0, 1, 2])
def test_row_23_messages_of_33180(tag):
    a, b, air = pair()

    def change(header, payloads):
        bare = [one for one in payloads if not isinstance(one, GeneralExtension)]
        return replace(header, csb_id=tag << 28 | header.csb_id & 0x0FFFFFFF), bare

    attack(air, resigned(a, forged_request(a, b, air), air, change))
    assert refusals(b) == [(4, None)] and b.holds_nothing() and len(b.record) == 0
    works_after(a, b, air)


def test_row_25_identifier_scheme_of_another_kms():
    a, b, air = pair()
    attack(air, resigned(a, forged_request(a, b, air), air, with_sakke(scheme=lambda one: 2)))
    assert refusals(b) == [(4, None)] and b.holds_nothing()
    works_after(a, b, air)


def test_row_27_timestamp_of_another_type():
    a, b, air = pair()

    def change(header, payloads):
        return header, [replace(one, kind=1) if isinstance(one, Timestamp) else one for one in payloads]

    attack(air, resigned(a, forged_request(a, b, air), air, change))
    assert refusals(b) == [(4, None)] and b.holds_nothing()
    works_after(a, b, air)


def test_row_29_ten_thousand_a_second(monkeypatch):
    """In virtual time; CPU bound: at most the verify bucket's 100 signatures in that second, all else hash and form."""
    a, b, air = pair()
    verified = []
    genuine = Credentials.verify
    monkeypatch.setattr(Credentials, "verify", lambda self, *args: verified.append(1) or genuine(self, *args))
    good = forged_request(a, b, air).octets
    bad = [good[:-SIGNATURE_OCTETS] + n.to_bytes(SIGNATURE_OCTETS) for n in range(10_000)]
    for n, octets in enumerate(bad):
        air.inject(plain(octets, L2[A], L2[B], f"carrier {n}"), after_s=n / 10_000)
    air.run(1.0)
    assert len(verified) <= 100
    air.connect(a, b)
    air.run(6)
    assert a.of(LinkEstablished)


def test_row_31_replay_cache_filled_by_sent_requests():
    a, b, air = pair()
    e = Ue(E)
    for _ in range(REPLAY_ENTRIES_PER_SIGNER + 1):
        air.run(1.0)
        attack(air, forged_request(e, b, air).octets, src=E)
        if refusals(b) and refusals(b)[-1] == (7, 4):
            break
    assert refusals(b)[-1] == (7, 4) and len(b.record) == REPLAY_ENTRIES_PER_SIGNER
    works_after(a, b, air)


def test_contexts_of_two_peers_are_apart():
    a, b, c = Ue(A), Ue(B), Ue(C)
    air = Air(a, b, c)
    for ue in (b, c):
        air.connect(a, ue)
    air.run(1)
    assert len({id(link.context) for link in a.entity.links}) == 2
    ids = [link.current_id for link in a.entity.links]
    assert a.entity.context(L2[B], ids[0]) is not a.entity.context(L2[C], ids[1])


def test_thirty_two_links_at_once_each_with_its_own_context():
    hub = Ue(A)
    others = [Ue(f"tel:+4477009000{n:02d}", l2_id=0x100000 + n) for n in range(10, 42)]
    air = Air(hub, *others)
    for other in others:
        hub.entity.connect(other.uri, other.l2_id, air.now)
        air.run(0.2)
    assert len([link for link in hub.entity.links if link.state.value == "established"]) == 32
    assert len({bytes(link.kd) for link in hub.entity.links}) == 32
    for number, other in enumerate(others):
        assert air.send_user_data(hub, other, bytes([number])) and air.send_user_data(other, hub, bytes([number]))
    air.run(0.2)
    assert [other.user_data for other in others] == [[bytes([n])] for n in range(32)]
    assert sorted(hub.user_data) == [bytes([n]) for n in range(32)]
    hub.entity.connect(B, L2[B], air.now)
    air.run(0.1)
    assert hub.of(LinkFailed)[-1].why == "no room for a link"


def test_both_release_and_rekey_at_once():
    a, b, air = linked()
    a.entity.rekey(B, air.now)
    b.entity.rekey(A, air.now)
    air.run(0.01)
    a.entity.release(B, air.now)
    b.entity.release(A, air.now)
    air.run(5)
    assert a.holds_nothing() and b.holds_nothing()


def test_layer_2_id_of_another_peer_is_a_conflict():
    _a, b, air = linked()
    c = Ue(C, l2_id=L2[A])
    air.ues = [c, b]
    air.connect(c, b)
    air.run(20)
    assert c.of(LinkFailed)[0].cause == 3 and len(air.sent(DirectReject)) > 0
    assert isinstance(decode(air.sent(DirectRequest)[0].data), DirectRequest)
