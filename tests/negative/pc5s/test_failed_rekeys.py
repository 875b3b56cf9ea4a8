"""What a rekey that fails or comes late leads to: another kind, longer waits, or the end of the link."""

from __future__ import annotations

from prose_link.pc5s.core.events import LinkEstablished, LinkReleased, Rekeyed, RekeyFailed, RekeyStarted
from prose_link.pc5s.core.timers import Timer
from tests.benches.attack_bench import assert_genuine_exchange, assert_works
from tests.benches.pc5s_bench import B, linked
from tests.benches.rekey_bench import NONCES, assert_rekeys, drops, link_of


def test_nonces_that_nobody_answers_are_followed_by_an_i_message():
    """The ends count differently by one: that must not end the link."""
    a, b, air = linked(policy=NONCES)
    link_of(b).keys.nonce_only_rekeys = 16
    a.entity.rekey(B, air.now)
    air.run(10)
    assert set(drops(b, "rekeying request")) == {"an I_MESSAGE is due"}
    assert [event.new_kd for event in a.of(RekeyStarted)] == [False, True]
    assert [event.new_kd for event in a.of(Rekeyed)] == [event.new_kd for event in b.of(Rekeyed)] == [True]
    assert not a.of(RekeyFailed) and not a.of(LinkReleased)
    assert_works(a, b, air)


def test_a_failed_rekey_is_tried_again_after_longer_and_longer_waits():
    a, b, air = linked()
    requests = lambda frame: frame.lcid == 30 and frame.src_l2 == a.l2_id and len(frame.data) > 100  # noqa: E731
    air.pass_on = lambda frame: [] if requests(frame) else [frame]
    started, failed = [], []
    a.entity.rekey(B, air.now)
    for _ in range(3000):
        before = len(a.of(RekeyStarted)), len(a.of(RekeyFailed))
        air.run(0.1)
        if len(a.of(RekeyStarted)) > before[0]:
            started.append(air.mono_s)
        if len(a.of(RekeyFailed)) > before[1]:
            failed.append(air.mono_s)
    waits = [later - earlier for earlier, later in zip(failed, started[1:], strict=False)]
    assert len(waits) >= 6
    for wait_s, nominal_s in zip(waits, [2, 4, 8, 16, 32, 60, 60], strict=False):
        assert 0.74 * nominal_s <= wait_s <= 1.26 * nominal_s + 0.2
    assert a.states() == ["established"]
    assert_rekeys(a, b, air)


def test_a_link_whose_kd_is_too_old_to_go_on_is_released_and_can_be_set_up_anew():
    a, b, air = linked(policy=NONCES, kd_age_s=100.0)
    requests = lambda frame: frame.lcid == 30 and len(frame.data) > 100  # noqa: E731
    air.pass_on = lambda frame: [] if requests(frame) else [frame]
    air.run(240)
    assert a.of(RekeyFailed) and b.of(RekeyFailed)
    assert a.holds_nothing() and b.holds_nothing()
    assert [event.agreed for ue in (a, b) for event in ue.of(LinkReleased)] == [False, False]
    assert_genuine_exchange(a, b, air)


def test_the_age_of_a_kd_is_jittered_by_up_to_a_tenth():
    ages = []
    for number in range(12):
        a, _b, air = linked(policy=NONCES, kd_age_s=1000.0, seed=f"{number}")
        while not a.of(RekeyStarted):
            air.run(5)
        ages.append(air.mono_s - 1000.0)
    assert all(895 <= age <= 1006 for age in ages) and max(ages) - min(ages) > 10


def test_a_new_kd_that_was_due_while_the_peer_rekeyed_by_nonces_is_still_due():
    a, b, air = linked(policy=NONCES, kd_age_s=1000.0)
    air.run(850)
    a.entity._desk.timers.stop(link_of(a).number, Timer.REKEY_DUE)
    b.entity._desk.timers.stop(link_of(b).number, Timer.REKEY_DUE)
    a.entity.rekey(B, air.now)
    air.run(0.5)
    assert not a.of(Rekeyed)[0].new_kd
    air.run(60)
    assert a.of(Rekeyed)[-1].new_kd and b.of(Rekeyed)[-1].new_kd
    assert len(a.of(LinkEstablished)) == 1
