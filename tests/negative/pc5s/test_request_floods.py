"""Rows 29 to 31: requests in such numbers that only bounds hold (PROFILE 13)."""

from dataclasses import replace

import pytest
from attack_bench import (
    assert_genuine_exchange,
    assert_none,
    attack,
    each,
    refusals,
    resigned,
)
from pc5s_bench import L2, A, B, E, Ue, forged_request, pair, plain, reencoded

from prose_link.pc5s.codec import decode
from prose_link.pc5s.credentials import Credentials
from prose_link.pc5s.events import LinkEstablished, LinkProvisional
from prose_link.pc5s.key_exchange import build_request
from prose_link.pc5s.messages import (
    Cause,
    DirectAccept,
    DirectReject,
)
from prose_link.pc5s.replay import REPLAY_ENTRIES_PER_SIGNER
from security.eccsi import SIGNATURE_OCTETS
from security.mikey.payloads import Sakke


@pytest.fixture
def world():
    return pair()


def test_row_29_flood_of_bad_signatures(world, monkeypatch):
    a, b, air = world
    verified = []
    genuine_verify = Credentials.verify
    monkeypatch.setattr(
        Credentials, "verify", lambda self, *args: verified.append(air.mono_s) or genuine_verify(self, *args)
    )
    octets = forged_request(a, b, air).octets
    bad = octets[:-SIGNATURE_OCTETS] + bytes(SIGNATURE_OCTETS)
    for number in range(2000):
        source = 0x100000 + number % 400
        forged = reencoded(bad, link_l2_id=source)
        air.inject(plain(forged, source, L2[B]), after_s=0.001 * number)
    air.run(2.0)
    assert len(verified) == 0
    for number in range(500):
        forged = bytearray(bad)
        forged[-1] = number & 0xFF
        air.inject(plain(bytes(forged), L2[A], L2[B]), after_s=0.002 * number)
    air.run(1.0)
    assert len(verified) <= 10 + 5
    b.events.clear()
    air.connect(a, b)
    air.run(6.5)
    assert a.of(LinkEstablished)


def test_row_30_insider_sends_valid_requests_at_rate(world):
    a, b, air = world
    e = Ue(E)
    for _ in range(9):
        attack(air, forged_request(e, b, air).octets, src=E)
    assert b.states() == ["provisional"]
    causes = [cause for step, cause, _ in refusals(b) if step == 12]
    assert causes and set(causes) == {Cause.LACK_OF_RESOURCES}
    assert_genuine_exchange(a, b, air)
    air.run(7)
    assert b.states() == ["established"]


def test_row_30_insider_with_a_bad_sed(world):
    a, b, air = world
    e = Ue(E)
    draft = forged_request(e, b, air, kd_sess_id_msb=9).asked.message
    built = build_request(replace(draft, i_message=b""), e.credentials, ntp_s=air.now.ntp_s)
    octets = resigned(e, built, air, each(Sakke, data=lambda sed: sed[:-1] + bytes([sed[-1] ^ 1])))
    attack(air, octets, src=E)
    assert refusals(b) == [(13, Cause.AUTHENTICATION_FAILURE, "SSV can't be opened")]
    assert b.holds_nothing()
    attack(air, octets, src=E)
    assert [decode(frame.data).cause for frame in air.sent(DirectReject)] == [2, 2]
    assert not b.of(LinkProvisional) and not air.sent(DirectAccept)
    assert_genuine_exchange(a, b, air)


def test_row_31_insider_fills_the_replay_cache(world):
    a, b, air = world
    e = Ue(E)
    expires = int(air.now.ntp_s) + 300
    for number in range(REPLAY_ENTRIES_PER_SIGNER):
        b.record.remember(number.to_bytes(32), signer=E, expires_ntp_s=expires, now_ntp_s=int(air.now.ntp_s))
    attack(air, forged_request(e, b, air).octets, src=E)
    assert refusals(b) == [(7, Cause.LACK_OF_RESOURCES, "replay cache is full")]
    assert len(b.record) == REPLAY_ENTRIES_PER_SIGNER
    assert_genuine_exchange(a, b, air)


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
    assert 50 <= len(verified) <= 100
    assert_none(b, air)
    assert {step for step, _, _ in refusals(b)} == {9, 10}
    assert_genuine_exchange(a, b, air, within_s=6.0)


def test_row_31_replay_cache_filled_by_sent_requests(world):
    a, b, air = world
    e = Ue(E)
    for _ in range(REPLAY_ENTRIES_PER_SIGNER + 1):
        air.run(1.0)
        attack(air, forged_request(e, b, air).octets, src=E)
        if refusals(b) and refusals(b)[-1][0] == 7:
            break
    assert refusals(b)[-1] == (7, Cause.LACK_OF_RESOURCES, "replay cache is full")
    assert len(b.record) == REPLAY_ENTRIES_PER_SIGNER
    assert_genuine_exchange(a, b, air)
