"""Each end makes sure that the other hears it, and releases on the air the link that it gives up (PROFILE 9 (L1))."""

from itertools import pairwise

import pytest

from prose_link.pc5s.core.events import LinkReleased
from prose_link.pc5s.core.keepalives import SLOWLY_S
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from tests.benches.pc5s_bench import linked

T4108_S = 30.0
both_profiles = pytest.mark.parametrize("profile", list(Profile))


def link_of(profile, **options):
    return linked(policy=LinkPolicy(profile=profile), **options)


def is_up(a, b):
    return a.states() == b.states() == ["established"]


def reasons(ue):
    return [event.why for event in ue.of(LinkReleased)]


def sent_by(air, ue, since):
    return [frame for frame in air.log[since:] if frame.src_l2 == ue.l2_id]


@both_profiles
@pytest.mark.parametrize("speaker", [0, 1], ids=["initiator", "responder"])
def test_one_way_traffic_keeps_the_link(profile, speaker):
    ues = a, b, air = link_of(profile)
    sender, receiver = ues[speaker], ues[1 - speaker]
    for _ in range(120):
        assert air.send_user_data(sender, receiver, b"one way")
        air.run(1.0)
    assert is_up(a, b)
    assert len(receiver.user_data) == 120


@both_profiles
def test_silence_costs_an_exchange_each_t4102(profile):
    a, b, air = link_of(profile)
    since = len(air.log)
    air.run(4 * a.config.timers.t4102_s + 1)
    assert len(sent_by(air, a, since)) == len(sent_by(air, b, since)) == 4


@both_profiles
@pytest.mark.parametrize("gone_after_s", [0.0, 3.0, 9.0, 9.9])
def test_a_loss_of_five_seconds_ends_no_link(profile, gone_after_s):
    a, b, air = link_of(profile)
    air.run(gone_after_s)
    air.pass_on = lambda _: []
    air.run(5.0)
    air.pass_on = lambda frame: [frame]
    air.run(60.0)
    assert is_up(a, b)


@both_profiles
@pytest.mark.parametrize("deaf", [0, 1], ids=["initiator", "responder"])
def test_an_end_that_hears_nothing_releases_the_link_of_the_one_that_does(profile, deaf):
    """The other end hears the Release and answers, though its answer doesn't come through."""
    ues = a, b, air = link_of(profile)
    quiet, hears = ues[deaf], ues[1 - deaf]
    air.run(1.0)
    air.pass_on = lambda frame: [] if frame.dst_l2 == quiet.l2_id else [frame]
    cut_s = air.mono_s
    for _ in range(100):
        air.send_user_data(hears, quiet, b"is anybody there")
        air.send_user_data(quiet, hears, b"I hear nothing")
        air.run(0.5)
        if hears.of(LinkReleased):
            break
    assert T4108_S - 2 < air.mono_s - cut_s <= T4108_S + 1
    assert reasons(hears) == ["released by the peer"] and not hears.of(LinkReleased)[0].agreed
    air.run(3.0)
    (released,) = quiet.of(LinkReleased)
    assert released.why in ("the peer has acknowledged no Keepalive for 30 s", "the peer has sent nothing for 30 s")
    assert not released.agreed
    assert a.holds_nothing() and b.holds_nothing()


@both_profiles
def test_a_peer_that_is_gone_is_asked_ever_more_seldom_and_given_up_at_t4108(profile):
    a, _b, air = link_of(profile)
    times = []
    up_s = air.mono_s

    def count(frame):
        times.extend([air.mono_s] if frame.src_l2 == a.l2_id else [])
        return []

    air.pass_on = count
    air.run(40.0)
    assert a.holds_nothing()
    timers = a.config.timers
    quick = timers.n4101 + 1
    asked = times[: -timers.n4103]
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps[: quick - 2] == pytest.approx([timers.t4101_s] * (quick - 2))
    assert gaps[quick - 1 :] == pytest.approx([SLOWLY_S] * (len(gaps) - quick + 1))
    assert times[-timers.n4103] - up_s == pytest.approx(T4108_S, abs=1.0)


def test_without_integrity_keepalives_alone_keep_the_link():
    a, b, air = linked(policy=LinkPolicy(integrity=(), allow_null_integrity=True))
    air.run(120.0)
    assert is_up(a, b)
