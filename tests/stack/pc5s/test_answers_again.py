"""How often the same request is answered, by which carrier, and how long its provisional link lives."""

from itertools import pairwise

import pytest

from prose_link.pc5s.core.events import LinkEstablished, LinkFailed, LinkProvisional, RequestSent
from prose_link.pc5s.core.link import MAX_PROVISIONAL
from prose_link.pc5s.core.policy import LinkPolicy, Policy, Profile
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.pc5s.core.timers import ANSWER_AGAIN_AFTER_S, T4100_SPREAD
from prose_link.pc5s.entity import Pc5sEntity
from prose_link.pc5s.wire.messages import Cause, DirectAccept, DirectReject, DirectRequest
from tests.benches.attack_bench import assert_works, refusals
from tests.benches.flood_bench import DEFAULTS, with_bad_signature
from tests.benches.group_bench import GROUP, GroupAir, member
from tests.benches.pc5s_bench import A, B, C, E, Ue, at, forged_request, pair, plain, seeded

MODE = LinkPolicy(profile=Profile.TS24334)


def gaps(times_s):
    return [later - earlier for earlier, later in pairwise(times_s)]


def sending_times(air, kind):
    """When frames of a type go out from now on."""
    at_s = []
    pass_on = air.pass_on

    def watch(frame):
        if frame.data[0] == kind.TYPE and not frame.kd_sess_id:
            at_s.append(air.mono_s)
        return pass_on(frame)

    air.pass_on = watch
    return at_s


def test_first_transmission_and_repetitions_are_at_random_within_their_bounds():
    firsts, again = [], []
    for seed in range(30):
        a, b, air = pair(timers=DEFAULTS, seed=str(seed))
        air.pass_on = lambda frame: []
        at_s = sending_times(air, DirectRequest)
        asked_s = air.mono_s
        air.connect(a, b)
        air.run(9.0)
        assert len(at_s) == DEFAULTS.n4100 and len(a.of(RequestSent)) == 1
        firsts.append(at_s[0] - asked_s)
        again += gaps(at_s)
    assert 0.0 <= min(firsts) < 0.02 and 0.08 < max(firsts) <= 0.1
    low, high = DEFAULTS.t4100_s * (1 - T4100_SPREAD), DEFAULTS.t4100_s * (1 + T4100_SPREAD)
    assert low <= min(again) < low * 1.05 and high * 0.95 < max(again) <= high
    assert abs(sum(again) / len(again) / DEFAULTS.t4100_s - 1) < 0.05


def test_two_that_ask_at_once_do_not_keep_step():
    a, b, air = pair(timers=DEFAULTS)
    c = Ue(C, timers=DEFAULTS)
    air.ues.append(c)
    air.pass_on = lambda frame: []
    air.connect(a, b)
    air.connect(c, b)
    air.run(9.0)
    sent = [frame.src_l2 for frame in air.sent(DirectRequest)]
    assert sent.count(a.l2_id) == sent.count(c.l2_id) == DEFAULTS.n4100


@pytest.mark.parametrize("every_s", [0.02, 0.2, 0.7])
def test_copies_of_a_request_do_not_use_up_its_answers(every_s):
    """X repeats A's DCR; B's answers are lost for as long as it takes to send as many as A sends requests."""
    a, b, air = pair(timers=DEFAULTS)
    deaf_s = 3.0
    started = []

    def pass_on(frame):
        if frame.data[0] == DirectRequest.TYPE and not frame.kd_sess_id and not started:
            started.append(air.mono_s)
            for n in range(int(6.0 / every_s)):
                air.inject(frame, after_s=n * every_s)
        lost = frame.src_l2 == b.l2_id and air.mono_s < started[0] + deaf_s
        return [] if lost and not frame.kd_sess_id else [frame]

    air.pass_on = pass_on
    at_s = sending_times(air, DirectAccept)
    air.connect(a, b)
    air.run(5.0)
    assert a.of(LinkEstablished) and b.of(LinkEstablished)
    assert min(gaps(at_s)) >= ANSWER_AGAIN_AFTER_S - 1e-9
    assert_works(a, b, air)


def test_a_provisional_link_answers_on_after_as_many_copies_as_there_are_requests():
    a, b, air = pair()
    octets = forged_request(a, b, air).octets
    for n in range(11):
        air.inject(plain(octets, a.l2_id, b.l2_id), after_s=0.5 * n)
    at_s = sending_times(air, DirectAccept)
    air.run(5.5)
    assert len(at_s) == 11


def test_each_carrier_has_its_answer_and_t4111_is_the_longest():
    a, b, air = pair()
    octets = forged_request(a, b, air).octets
    air.inject(plain(octets, a.l2_id, b.l2_id), after_s=0.0)
    for n in range(5):
        air.inject(plain(octets, a.l2_id, b.l2_id, "ims"), after_s=0.01 + 0.1 * n)
    air.run(1.0)
    assert [frame.carrier for frame in air.sent(DirectAccept)] == ["direct", "ims"]
    air.run(20.0)
    assert b.states() == ["provisional"], "T4111 of the direct carrier alone is over"
    air.run(9.5)
    assert b.holds_nothing() and b.of(LinkFailed)[0].why == "T4111"


def test_a_copy_by_a_carrier_of_short_t4111_shortens_nothing():
    a, b, air = pair()
    octets = forged_request(a, b, air).octets
    air.inject(plain(octets, a.l2_id, b.l2_id, "ims"), after_s=0.0)
    air.inject(plain(octets, a.l2_id, b.l2_id), after_s=0.5)
    air.run(20.0)
    assert b.states() == ["provisional"]
    air.run(11.0)
    assert b.holds_nothing()


def test_copies_of_a_refused_request_fill_no_air():
    a, b, air = pair(b={"policy": Policy(deny=(A,))})
    octets = forged_request(a, b, air).octets
    for n in range(1000):
        air.inject(plain(octets, a.l2_id, b.l2_id), after_s=0.005 * n)
    air.run(6.0)
    assert refusals(b) == [(8, Cause.NOT_ALLOWED, "not authorised")]
    assert 10 <= len(air.sent(DirectReject)) <= 1 + 4 + 2 * 5 + 1


def test_copies_of_a_keying_message_draw_no_flood_of_receipts():
    a, b = member(A, members=(B,)), member(B)
    air = GroupAir(a, b)
    air.pass_on = lambda frame: [] if frame.src_l2 == b.l2_id else air.spread(frame)
    at_s = sending_times(air, DirectAccept)
    air.keyed(a, b)
    (keying,) = {frame.data for frame in air.sent(DirectRequest)}
    for n in range(300):
        air.inject(plain(keying, a.l2_id, b.l2_id), after_s=0.01 * n)
    air.run(3.1)
    assert min(gaps(at_s)) >= ANSWER_AGAIN_AFTER_S - 1e-9
    air.pass_on = air.spread
    air.run(3.0)
    assert a.entity.groups.keyer(GROUP).waiting == frozenset(), "the receipts were not used up"


def test_mode_copies_do_not_use_up_the_commands():
    a, b, air = pair(policy=MODE, timers=DEFAULTS)
    started = []

    def pass_on(frame):
        if frame.lcid == 28 and not started:
            started.append(air.mono_s)
            for n in range(300):
                air.inject(frame, after_s=n * 0.02)
        lost = frame.lcid == 29 and frame.src_l2 == b.l2_id and air.mono_s < started[0] + 3.0
        return [] if lost else [frame]

    air.pass_on = pass_on
    air.connect(a, b)
    air.run(5.0)
    assert a.of(LinkEstablished) and b.of(LinkEstablished)
    assert len([frame for frame in air.log if frame.lcid == 29 and frame.src_l2 == b.l2_id]) <= 1 + 5.0 / 0.5


def insiders(number):
    return [Ue(f"tel:+4477009001{n:02d}", l2_id=0x400000 + n) for n in range(number)]


def test_other_carriers_fill_half_of_the_provisional_room():
    """What a core has held back comes all at once: direct set-ups still have their room."""
    a, b, air = pair()
    for ue in insiders(MAX_PROVISIONAL):
        air.inject(plain(forged_request(ue, b, air).octets, ue.l2_id, b.l2_id, "eps"))
    air.run(0.1)
    assert len(b.of(LinkProvisional)) == MAX_PROVISIONAL // 2
    assert set(refusals(b)) == {(8, Cause.LACK_OF_RESOURCES, "no room for a link")}
    air.connect(a, b)
    air.run(0.5)
    assert a.of(LinkEstablished) and b.of(LinkEstablished)


def test_unauthenticated_senders_take_no_provisional_room():
    a, b, air = pair(timers=DEFAULTS)
    for number, ue in enumerate(insiders(MAX_PROVISIONAL + 4)):
        octets = with_bad_signature(forged_request(ue, b, air).octets, number)
        for again in range(3):
            air.inject(plain(octets, ue.l2_id, b.l2_id), after_s=0.5 * again)
    air.run(1.2)
    assert not b.entity.links and len(b.record) == 0
    air.connect(a, b)
    air.run(0.5)
    assert a.of(LinkEstablished) and b.of(LinkEstablished)


def test_a_stranger_with_e_is_no_help():
    """An insider's own good request takes its own place and no other."""
    a, b, air = pair(timers=DEFAULTS)
    e = Ue(E)
    air.inject(plain(forged_request(e, b, air).octets, e.l2_id, b.l2_id))
    air.run(0.1)
    air.connect(a, b)
    air.run(0.5)
    assert sorted(b.states()) == ["established", "provisional"]


def test_when_to_send_takes_nothing_from_what_makes_keys():
    """Two runs with other chance make the same octets at other times."""
    made, at_s = [], []
    for chance in ("one", "two"):
        a, b, air = pair(timers=DEFAULTS)
        entity = Pc5sEntity(a.config, Ue(A).credentials, MemoryRecord(), seeded("secrets"), chance=seeded(chance))
        entity.connect(at(B, b.l2_id), air.now)
        made.append(entity.links[0].setup.request_octets)
        at_s.append(entity.next_timer())
    assert made[0] == made[1] and at_s[0] != at_s[1]
