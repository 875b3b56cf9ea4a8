"""Rows 29 to 31: requests in such numbers that only bounds hold (PROFILE 13)."""

from dataclasses import replace

import pytest

from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.events import LinkEstablished, LinkProvisional
from prose_link.pc5s.core.replay import REPLAY_ENTRIES_PER_SIGNER
from prose_link.pc5s.core.verify_budget import VERIFY_PER_S
from prose_link.pc5s.identity.key_exchange import build_request
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.messages import (
    Cause,
    DirectAccept,
    DirectReject,
)
from security.mikey.payloads import Sakke
from tests.benches.attack_bench import (
    assert_genuine_exchange,
    assert_works,
    attack,
    each,
    refusals,
    resigned,
)
from tests.benches.flood_bench import (
    DEFAULTS,
    RequestForger,
    few_sources,
    new_sources,
    own_source,
    request_flood,
    times,
    with_bad_signature,
)
from tests.benches.pc5s_bench import L2, A, B, E, Ue, forged_request, pair, plain, reencoded


@pytest.fixture
def world():
    return pair()


def counting_verifications(monkeypatch):
    verified = []
    genuine = Credentials.verify
    monkeypatch.setattr(Credentials, "verify", lambda self, *args: verified.append(self.uri) or genuine(self, *args))
    return verified


def test_row_29_the_same_bad_request_costs_one_verification(world, monkeypatch):
    a, b, air = world
    verified = counting_verifications(monkeypatch)
    bad = with_bad_signature(forged_request(a, b, air).octets, 1)
    for number in range(2000):
        source = 0x100000 + number % 400
        air.inject(plain(reencoded(bad, link_l2_id=source), source, L2[B]), after_s=0.001 * number)
    air.run(2.0)
    assert not verified, "another source is another DCR, to which the I_MESSAGE is not bound"
    for number in range(500):
        air.inject(plain(bad, L2[A], L2[B]), after_s=0.01 * number)
    air.run(6.0)
    assert len(verified) == 1
    assert b.entity.counters["signature does not verify"] == 500
    b.events.clear()
    assert_genuine_exchange(a, b, air)


def test_row_29_registered_sources_have_a_bucket_each(world, monkeypatch):
    """IMS and NAS know their sources: one of them can't use up what the others are due."""
    a, b, air = world
    verified = counting_verifications(monkeypatch)
    forger = RequestForger(a, b, air)
    for number in range(500):
        air.inject(plain(forger.forge(0x300003), 0x300003, L2[B], "ims"), after_s=0.002 * number)
    air.run(1.0)
    assert len(verified) in (14, 15)
    assert_genuine_exchange(a, b, air)


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


@pytest.mark.parametrize(
    "source",
    [pytest.param(own_source, marks=pytest.mark.slow), pytest.param(few_sources, marks=pytest.mark.slow), new_sources],
)
def test_row_29_ten_thousand_a_second(source, monkeypatch):
    """CPU bound: no more signatures than the budget; and a genuine set-up stands within its N4100 while it goes on."""
    a, b, air = pair(timers=DEFAULTS)
    verified = counting_verifications(monkeypatch)
    forger = RequestForger(a, b, air)
    sent = request_flood(air, forger, source(a), times(10_000, 1.6, "regular", 1))
    air.run(0.7)
    assert VERIFY_PER_S * 0.5 <= verified.count(B) <= VERIFY_PER_S * 1.7
    assert not b.entity.links and len(b.record) == 0 and not air.log, "no state, no key, no answer"
    assert {step for step, _, _ in refusals(b)} == {9, 10}
    air.connect(a, b)
    air.run(0.88)
    assert sent == 16_000 and verified.count(B) <= VERIFY_PER_S * (1.6 + 1)
    assert a.of(LinkEstablished) and b.of(LinkEstablished)
    assert_works(a, b, air)


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
