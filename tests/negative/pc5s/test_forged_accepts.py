"""Rows 18 and 52: answers forged from an overheard request, in any number, during the set-up (PROFILE 13)."""

from dataclasses import replace

import pytest

from prose_link.pc5s.core.buckets import ANSWERS
from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.events import EventsHeldBack, LinkEstablished
from prose_link.pc5s.core.policy import LinkPolicy
from prose_link.pc5s.core.verify_budget import VERIFY_PER_S
from prose_link.pc5s.identity.key_exchange import build_accept
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.messages import DirectAccept, DirectRequest, Mutual
from tests.benches.attack_bench import accept_refusals, assert_works
from tests.benches.flood_bench import ACCEPT_KINDS, DEFAULTS, accept_forger, altered_copies, flood, times
from tests.benches.pc5s_bench import L2, A, B, E, Ue, pair, plain, reencoded

MANY = 10_000


def counting(monkeypatch, name):
    """Which identity has done a costly thing, once for each time."""
    done = []
    genuine = getattr(Credentials, name)
    monkeypatch.setattr(Credentials, name, lambda self, *args: done.append(self.uri) or genuine(self, *args))
    return done


def under_forged_answers(kind, *, number=MANY, for_s=4.0, deaf_s=1.5, seed=0, ask=Mutual.WANTED, per_s=VERIFY_PER_S):
    """A asks B. From the first DCR on, forged answers come; what B itself answers is lost for `deaf_s`."""
    of_a = {"policy": LinkPolicy(mutual_ask=ask), "verify_per_s": per_s}
    a, b, air = pair(timers=DEFAULTS, seed=str(seed), a=of_a)
    started = []

    def pass_on(frame):
        if not started and frame.data[0] == DirectRequest.TYPE:
            started.append(air.mono_s)
            forger = accept_forger(b, frame.data, air)
            kinds = ACCEPT_KINDS if kind == "all" else (kind,)
            at = times(number / for_s, for_s, "poisson", seed)
            flood(air, lambda n: plain(forger.forge(kinds[n % len(kinds)]), b.l2_id, a.l2_id), at)
        if frame.src_l2 == b.l2_id and not frame.kd_sess_id and air.mono_s < started[0] + deaf_s:
            return []
        return [frame]

    air.pass_on = pass_on
    air.connect(a, b)
    air.run(8)
    return a, b, air


@pytest.mark.parametrize(("kind", "ask"), [*((kind, Mutual.WANTED) for kind in ACCEPT_KINDS), ("all", Mutual.REQUIRED)])
def test_row_52_good_accept_wins_among_ten_thousand_forged_ones(kind, ask, monkeypatch):
    verified = counting(monkeypatch, "verify")
    a, b, air = under_forged_answers(kind, ask=ask)
    assert a.of(LinkEstablished) and b.of(LinkEstablished)
    assert a.of(LinkEstablished)[0].mutual
    assert verified.count(A) <= VERIFY_PER_S * 5
    assert_works(a, b, air)


def test_one_way_request_under_forged_answers_costs_no_verification(monkeypatch):
    verified = counting(monkeypatch, "verify")
    a, b, air = under_forged_answers("no I_MESSAGE", ask=Mutual.NOT_WANTED)
    assert a.of(LinkEstablished) and b.of(LinkEstablished)
    assert A not in verified
    assert_works(a, b, air)


@pytest.mark.parametrize("per_s", [5.0, 20.0])
@pytest.mark.parametrize("rate", [20, 200])
def test_good_accept_wins_where_the_processor_verifies_few(per_s, rate, monkeypatch):
    """A tenth of what arrives, and less: what B repeats is ahead of what never came before."""
    verified = counting(monkeypatch, "verify")
    stood = 0
    for seed in range(10):
        a, b, _ = under_forged_answers(
            "bad signature", number=rate * 8, for_s=8.0, deaf_s=0.3, seed=seed, per_s=per_s, ask=Mutual.REQUIRED
        )
        stood += bool(a.of(LinkEstablished) and b.of(LinkEstablished))
    assert stood >= 10 * 0.95
    assert verified.count(A) <= 10 * (per_s * 10 + per_s)


def test_altered_copies_of_the_genuine_accept_come_first(monkeypatch):
    """Another signature, another conf_R, the other signature, no I_MESSAGE: none of them shuts the genuine one out."""
    a, b, air = pair(timers=DEFAULTS)
    opened = counting(monkeypatch, "open")

    def pass_on(frame):
        if frame.data[0] == DirectAccept.TYPE and not frame.kd_sess_id:
            for number, copy in enumerate(altered_copies(frame.data)):
                air.inject(replace(frame, data=copy), after_s=0.001 * number)
        return [frame]

    air.pass_on = pass_on
    air.connect(a, b)
    air.run(0.4)
    assert [step for step, _ in accept_refusals(a)] == [5, 6, 6, 6, 5]
    assert len(air.sent(DirectRequest)) == len(air.sent(DirectAccept)) == 1, "it came up at the first attempt"
    assert a.of(LinkEstablished) and b.of(LinkEstablished)
    assert opened.count(A) == 1, "the copies of the genuine signed part cost a compare"
    assert_works(a, b, air)


def test_answers_that_the_target_signs_are_bounded_and_come_back(monkeypatch):
    """Only B itself can make A open SSVs; even so no more than a few a second."""
    a, b, air = pair(timers=DEFAULTS)
    opened = counting(monkeypatch, "open")
    air.pass_on = lambda frame: []
    air.connect(a, b)
    air.run(0.2)
    forger = accept_forger(b, air.sent(DirectRequest)[0].data, air)
    half = forger.half
    for number in range(ANSWERS.burst + 10):
        draft = decode(forger.forge("no I_MESSAGE"))
        built = build_accept(draft, half, ssv_a=bytes(16), signer=b.credentials, ntp_s=air.now.ntp_s)
        air.inject(plain(reencoded(built.octets, key_proof=None), L2[B], L2[A]), after_s=0.001 * number)
    air.run(0.1)
    assert opened.count(A) == ANSWERS.burst
    assert accept_refusals(a)[-1] == (5, "too many answers of the peer to this request")
    ssv = b.credentials.open(_i_message_of(air))
    air.run(1.0)
    genuine = build_accept(draft, half, ssv_a=ssv, signer=b.credentials, ntp_s=air.now.ntp_s)
    air.inject(plain(genuine.octets, L2[B], L2[A]))
    air.run(0.1)
    assert a.states() == ["confirming"]


def _i_message_of(air):
    from security.mikey import parse_profile_i_message

    return parse_profile_i_message(decode(air.sent(DirectRequest)[0].data).i_message)


def test_a_flood_on_the_air_is_no_flood_of_events():
    a, b, _ = under_forged_answers("no I_MESSAGE", deaf_s=4.0)
    held_back = sum(event.number for event in a.of(EventsHeldBack))
    told = len(accept_refusals(a))
    assert told <= 1000 + 50 * 8.1
    assert held_back + told <= MANY + 400
    assert held_back > MANY // 2
    assert a.entity.counters["events held back"] >= held_back
    assert a.of(LinkEstablished) and b.of(LinkEstablished)


def test_a_bad_key_proof_costs_no_verification(monkeypatch):
    verified = counting(monkeypatch, "verify")
    a, b, air = under_forged_answers("bad key proof")
    assert a.of(LinkEstablished) and b.of(LinkEstablished) and verified.count(A) == 1
    assert (5, "key proof differs") in accept_refusals(a)
    assert_works(a, b, air)


def test_a_key_proof_takes_the_genuine_answer_past_those_that_have_none():
    """The processor verifies five a second, and 200 bad ones come each second: few answers of B are enough."""
    for seed in range(5):
        a, b, air = under_forged_answers("bad signature", number=1600, for_s=8.0, deaf_s=0.3, seed=seed, per_s=5.0)
        assert a.of(LinkEstablished) and b.of(LinkEstablished)
        assert len(air.sent(DirectAccept, by=b)) <= 3


def test_an_answer_without_key_proof_is_taken():
    """It is for the budget alone: a peer may leave it out."""
    a, b, air = pair()

    def strip(frame):
        is_accept = frame.data[0] == DirectAccept.TYPE and not frame.kd_sess_id
        return [replace(frame, data=reencoded(frame.data, key_proof=None)) if is_accept else frame]

    air.pass_on = strip
    air.connect(a, b)
    air.run(0.5)
    assert a.of(LinkEstablished)[0].mutual and b.of(LinkEstablished)
    assert_works(a, b, air)


def test_an_attack_repeats_from_its_seed():
    def run():
        a, _, air = under_forged_answers("all", number=400, for_s=2.0, deaf_s=0.3, per_s=20.0)
        return [frame.data for frame in air.log], accept_refusals(a)

    assert run() == run()


def test_insiders_answer_is_not_the_targets():
    a, b, air = pair(timers=DEFAULTS)
    e = Ue(E)
    air.pass_on = lambda frame: [frame] if frame.src_l2 != L2[B] else []
    air.connect(a, b)
    air.run(0.2)
    forger = accept_forger(b, air.sent(DirectRequest)[0].data, air)
    draft = decode(forger.forge("no I_MESSAGE"))
    built = build_accept(draft, forger.half, ssv_a=bytes(16), signer=e.credentials, ntp_s=air.now.ntp_s)
    air.inject(plain(built.octets, L2[B], L2[A]))
    air.inject(plain(reencoded(built.octets, key_proof=None), L2[B], L2[A]))
    air.run(0.1)
    assert accept_refusals(a) == [(5, "key proof differs"), (5, "I_MESSAGE form: identities")]
    assert a.states() == ["wait for accept"]
