"""Set-ups while forged requests come at every rate a pool carries, from every kind of source, at the same time."""

import random

import pytest

from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.pc5s.core.verify_budget import VERIFY_PER_S, VerifyBudget
from prose_link.pc5s.wire.messages import DirectRequest
from tests.benches.attack_bench import assert_works
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
from tests.benches.pc5s_bench import B, pair, plain

FEW = 20.0
"""Verifications a second of a processor that can't keep up with the air."""
STANDS = 0.95


def is_up(a, b):
    return bool(a.of(LinkEstablished) and b.of(LinkEstablished))


def set_up(a, b, air, within_s=8.5):
    """Let A ask B, and see whether the link stands before its last transmission has run out."""
    air.connect(a, b)
    end_s = air.mono_s + within_s
    while air.mono_s < end_s and not is_up(a, b):
        air.run(0.1)
    if is_up(a, b):
        assert_works(a, b, air)
    return is_up(a, b)


def under_flood(rate, source, spacing, seed, per_s):
    a, b, air = pair(timers=DEFAULTS, verify_per_s=per_s, seed=f"{spacing} {seed}")
    request_flood(air, RequestForger(a, b, air), source(a), times(rate, 11.0, spacing, seed))
    air.run(1.0 + 0.0137 * seed)
    stood = set_up(a, b, air)
    assert stood is False or air.mono_s < 1011.0, "the flood went on to the end of the set-up"
    return stood


@pytest.mark.parametrize("spacing", ["regular", "poisson"])
@pytest.mark.parametrize("source", [own_source, few_sources, new_sources])
@pytest.mark.parametrize("rate", [12, 50, 200])
def test_set_ups_stand_under_floods(rate, source, spacing):
    runs = 4
    stood = [under_flood(rate, source, spacing, seed, VERIFY_PER_S) for seed in range(runs)]
    assert sum(stood) >= STANDS * runs


@pytest.mark.parametrize("spacing", ["regular", "poisson"])
@pytest.mark.parametrize("source", [own_source, few_sources, new_sources])
@pytest.mark.parametrize("rate", [50, 200])
def test_set_ups_stand_where_the_processor_verifies_few(rate, source, spacing, monkeypatch):
    """Ten times what can be verified: there is no first come, first served, and a UE that comes back is ahead."""
    verified = []
    genuine = Credentials.verify
    monkeypatch.setattr(Credentials, "verify", lambda self, *args: verified.append(self.uri) or genuine(self, *args))
    runs = 6
    stood = [under_flood(rate, source, spacing, seed, FEW) for seed in range(runs)]
    assert sum(stood) >= STANDS * runs
    assert verified.count(B) <= runs * FEW * (10 + 1)


WEAKENED = {
    "a bucket by source (first edition)": {
        "_source_has_token": lambda self, pdu, now_s: self._sources.take(pdu.src_l2, now_s)
    },
    "nobody is favoured": {"_favours": lambda _self, _key, _signer: False},
}
"""Rule of C3 that is taken away -> methods of the budget that do without it."""


@pytest.mark.parametrize("rule", WEAKENED)
def test_without_a_rule_of_the_budget_set_ups_fall(rule, monkeypatch):
    """The same flood as above, from A's own layer-2 id: so the tests above can fail."""
    for method, weak in WEAKENED[rule].items():
        monkeypatch.setattr(VerifyBudget, method, weak)
    runs = 4
    stood = [under_flood(200, own_source, "poisson", seed, FEW) for seed in range(runs)]
    assert sum(stood) < STANDS * runs


@pytest.mark.parametrize("comings", [2, 4])
def test_who_comes_back_oftener_is_ahead_of_an_attacker_who_comes_back_too(comings):
    stood = 0
    for seed in range(6):
        a, b, air = pair(timers=DEFAULTS, verify_per_s=FEW, seed=str(seed))
        forger, draw = RequestForger(a, b, air), random.Random(seed)
        for at_s in times(200 / comings, 14.0, "poisson", seed):
            octets = forger.forge(a.l2_id)
            for again in range(comings):
                after_s = at_s + again * draw.uniform(0.375, 0.625)
                air.inject(plain(octets, a.l2_id, b.l2_id), after_s=after_s)
        air.run(3.0)
        stood += set_up(a, b, air)
    assert stood >= 6 * STANDS


def test_copies_of_the_genuine_request_with_other_signatures():
    """The same source, the same HR: 200 a second of them from the moment that the request is heard."""
    stood = 0
    for seed in range(6):
        a, b, air = pair(timers=DEFAULTS, verify_per_s=FEW, seed=str(seed))
        heard = []

        def pass_on(frame, heard=heard, air=air, seed=seed):
            if frame.data[0] == DirectRequest.TYPE and not frame.kd_sess_id and not heard:
                heard.append(frame)
                for number, after_s in enumerate(times(200, 9.0, "poisson", seed)):
                    copy = with_bad_signature(frame.data, number)
                    air.inject(plain(copy, frame.src_l2, frame.dst_l2), after_s=after_s)
            return [frame]

        air.pass_on = pass_on
        request_flood(air, RequestForger(a, b, air), own_source(a), times(200, 1.5, "regular", seed))
        air.run(1.4)
        stood += set_up(a, b, air)
    assert stood >= 6 * STANDS


def test_flood_in_the_name_of_a_signer_that_was_verified_before():
    stood = 0
    for seed in range(6):
        a, b, air = pair(timers=DEFAULTS, verify_per_s=FEW, seed=str(seed))
        assert set_up(a, b, air)
        a.entity.release(B, air.now)
        air.run(4.0)
        a.events.clear()
        b.events.clear()
        request_flood(air, RequestForger(a, b, air), own_source(a), times(200, 11.0, "regular", seed))
        air.run(2.0)
        stood += set_up(a, b, air)
    assert stood >= 6 * STANDS
