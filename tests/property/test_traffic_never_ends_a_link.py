"""Whatever is sent over a link, in either direction and with whatever pauses, it stays: ten minutes at 10 % loss."""

import random

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from prose_link.pc5s.core.events import LinkReleased
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from tests.benches.pc5s_bench import linked

MINUTES_10_S = 600.0
LOSS = 0.1
LONGEST_PAUSE_S = 200.0
SHORTEST_PAUSE_S = 0.5

pauses = st.floats(min_value=SHORTEST_PAUSE_S, max_value=LONGEST_PAUSE_S)
patterns = st.lists(st.tuples(st.booleans(), pauses), min_size=1, max_size=12)
"""Packets over and over: whether the initiator sends it, and how long neither end sends anything after it."""
FROM_THE_RESPONDER = [(False, 1.0)]
FROM_THE_INITIATOR = [(True, 1.0)]
JUST_BEFORE_T4102 = [(True, 9.9)]


def lossy(seed, air):
    """Loses one PDU in ten, and delays each by a time of its own, so that they overtake each other."""
    draw = random.Random(seed)

    def pass_on(frame):
        if draw.random() >= LOSS:
            air.inject(frame, after_s=draw.uniform(0.02, 0.15))
        return []

    return pass_on


@given(pattern=patterns, profile=st.sampled_from(list(Profile)), seed=st.integers(0, 1 << 32))
@example(pattern=FROM_THE_RESPONDER, profile=Profile.IDENTITY, seed=1)
@example(pattern=FROM_THE_RESPONDER, profile=Profile.TS24334, seed=2)
@example(pattern=FROM_THE_INITIATOR, profile=Profile.IDENTITY, seed=3)
@example(pattern=FROM_THE_INITIATOR, profile=Profile.TS24334, seed=4)
@example(pattern=JUST_BEFORE_T4102, profile=Profile.IDENTITY, seed=5)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_any_pattern_of_traffic_keeps_the_link(pattern, profile, seed):
    a, b, air = linked(policy=LinkPolicy(profile=profile))
    air.pass_on = lossy(seed, air)
    until_s, n = air.mono_s + MINUTES_10_S, 0
    while air.mono_s < until_s:
        by_initiator, pause_s = pattern[n % len(pattern)]
        sender, receiver = (a, b) if by_initiator else (b, a)
        assert air.send_user_data(sender, receiver, n.to_bytes(4)), (sender.uri, air.mono_s)
        air.run(min(pause_s, until_s - air.mono_s))
        n += 1
    assert a.states() == b.states() == ["established"]
    assert not a.of(LinkReleased) and not b.of(LinkReleased)
