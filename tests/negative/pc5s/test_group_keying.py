"""The group rows of the profile's test matrix over whole entities: 23, 39 to 42."""

from dataclasses import replace
from typing import cast

import pytest

from prose_link.pc5s.core.events import RequestRefused
from prose_link.pc5s.core.group_events import GroupKeyReceived
from prose_link.pc5s.core.replay import WINDOW_S, MemoryRecord
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.messages import (
    Cause,
    DirectReject,
    DirectRequest,
)
from security.groups import GroupError, GroupReplay
from security.groups.keying import MAX_EPOCH, TAG_BITS, epoch_at, mark_name
from security.mikey import Kind
from tests.benches.group_bench import GROUP, group_config, keying, keying_request, member, opened, sealed, world
from tests.benches.pc5s_bench import A, B, C, E, plain


def known_epoch(ue):
    """The epoch of the greatest mark on record."""
    return ue.record.mark(mark_name(GROUP)) >> TAG_BITS


def held(ue):
    return ue.entity.groups.holds_key(GROUP), dict(ue.record._marks)


def refused(air, sender, target, octets):
    """What a member makes of a message that it must refuse: nothing held changes, and a good one passes afterwards."""
    before = held(target)
    air.inject(plain(octets, sender.l2_id, target.l2_id))
    air.run(0.3)
    assert held(target) == before
    refusals = [(event.step, event.cause, event.why) for event in target.of(RequestRefused)]
    air.ues[0].entity.groups.keyer(GROUP).new_epoch(air.now)
    air.run(1.1)
    assert opened(target, sealed(air.ues[0])) == b"to all"
    return refusals


def test_row_39_a_member_that_is_no_keyer():
    _, b, c, air = world()
    octets = keying_request(b, c, air)
    assert refused(air, b, c, octets) == [(8, Cause.NOT_ALLOWED, "not a keyer of the group")]
    (reject,) = [frame for frame in air.sent(DirectReject) if frame.dst_l2 == b.l2_id]
    assert decode(reject.data).cause == Cause.NOT_ALLOWED


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"epoch": -1, "pgk_id": 1}, "the group has a newer key"),
        ({"epoch": -1}, "the group has a newer key"),
        ({"epoch": -WINDOW_S}, "the group has a newer key"),
        ({"expiry_ntp_s": 1}, "group key has expired or is of another group"),
        ({"pgk_id": 10}, "PGK ID is not the keyer's"),
        ({"group_l2": 0x00BEEE}, "not the group's layer-2 id"),
    ],
)
def test_row_39_lower_epoch_other_ssv_expired_other_index_other_address(changed, why):
    """Epochs as seen from the one that is held."""
    a, _, c, air = world()
    if "epoch" in changed:
        changed = {**changed, "epoch": known_epoch(c) + changed["epoch"]}
    octets = keying_request(a, c, air, key=keying(air, **changed))
    assert refused(air, a, c, octets) == [(8, Cause.NOT_ALLOWED, why)]


@pytest.mark.parametrize("ahead", [WINDOW_S + 2, 0x10000000, MAX_EPOCH])
def test_row_54_a_keyer_can_not_jump_ahead_of_the_clock(ahead):
    """Else one bad message would be the group's last."""
    a, _, c, air = world()
    epoch = min(epoch_at(air.now.ntp_s) + ahead, MAX_EPOCH)
    octets = keying_request(a, c, air, key=keying(air, epoch=epoch))
    assert refused(air, a, c, octets) == [(8, Cause.TIME_OR_KEY_PERIOD, "epoch ahead of the clock")]
    (reject,) = air.sent(DirectReject, by=c)
    assert decode(reject.data).cause == Cause.TIME_OR_KEY_PERIOD


def test_row_54_a_step_within_the_window_is_taken_and_the_next_one_follows():
    a, _, c, air = world()
    ahead = epoch_at(air.now.ntp_s) + WINDOW_S - 1
    air.inject(plain(keying_request(a, c, air, key=keying(air, epoch=ahead)), a.l2_id, c.l2_id))
    air.run(0.3)
    assert c.of(GroupKeyReceived)[-1].epoch == ahead
    a.record.raise_mark(mark_name(GROUP), ahead << TAG_BITS)
    a.entity.groups.keyer(GROUP).new_epoch(air.now)
    air.run(1.1)
    assert c.of(GroupKeyReceived)[-1].epoch == ahead + 1
    assert opened(c, sealed(a)) == b"to all"


def test_row_54_a_keyer_without_its_record_is_heard_again_at_once():
    a, b, c, air = world()
    for _ in range(3):
        a.entity.groups.keyer(GROUP).new_epoch(air.now)
        air.run(1.1)
    forgetful = member(A, record=MemoryRecord(), seed="record lost")
    air.ues[0] = forgetful
    air.run(1.1)
    air.keyed(forgetful, b, c)
    assert forgetful.entity.groups.keyer(GROUP).waiting == frozenset()
    assert opened(b, sealed(forgetful)) == opened(c, sealed(forgetful)) == b"to all"


def test_row_53_a_keyer_whose_clock_is_behind_is_heard_as_long_as_its_mark_is_greater():
    """One keyer's clock ahead by up to W must not lock the others out: marks order keys, T does not."""
    a, _, c, air = world()
    air.inject(plain(keying_request(a, c, air, at=-WINDOW_S + 10.0), a.l2_id, c.l2_id))
    air.run(0.3)
    assert not c.of(RequestRefused)
    assert c.of(GroupKeyReceived)[-1].pgk_id == 9


def test_row_39_equal_epoch_greater_tag_wins_and_lower_tag_loses():
    """Two keys of one epoch: both ends of the order are tried, whatever the tags happen to be."""
    a, _, c, air = world()
    epoch = known_epoch(c) + 1
    low, high = sorted((bytes([n] * 16) for n in (1, 2)), key=lambda ssv: keying(air, epoch=epoch, ssv=ssv).mark)
    for ssv in (high, low):
        request = keying_request(a, c, air, key=keying(air, epoch=epoch, ssv=ssv), ssv=ssv)
        air.inject(plain(request, a.l2_id, c.l2_id))
        air.run(0.3)
    assert [event.why for event in c.of(RequestRefused)] == ["the group has a newer key"]
    assert c.record.mark(mark_name(GROUP)) == keying(air, epoch=epoch, ssv=high).mark


def test_row_39_a_tag_of_another_ssv_is_refused_and_leaves_no_key():
    a, _, c, air = world()
    octets = keying_request(a, c, air, key=keying(air, ssv=bytes(16)))
    expected = [(14, Cause.AUTHENTICATION_FAILURE, "tag of the group key belongs to another")]
    assert refused(air, a, c, octets) == expected


def test_row_39_other_algorithms_than_the_one():
    a, _, c, air = world()
    octets = keying_request(a, c, air, key=keying(air, eea=1))
    assert refused(air, a, c, octets) == [(8, Cause.ALGORITHMS_MISMATCH, "not the group's algorithm")]


def test_row_39_replay_after_restart_changes_nothing():
    a, _, c, air = world()
    (taken,) = [frame for frame in air.sent(DirectRequest) if frame.dst_l2 == c.l2_id]
    marks = dict(cast(MemoryRecord, c.record)._marks)
    again = member(C, record=c.record, seed="restarted")
    air.ues[2] = again
    assert refused(air, a, again, taken.data) == [(7, None, "replay")]
    assert marks.items() <= {**cast(MemoryRecord, again.record)._marks, **marks}.items()


def test_row_39_replay_resets_no_counter():
    a, _, c, air = world()
    (taken,) = [frame for frame in air.sent(DirectRequest) if frame.dst_l2 == c.l2_id]
    pdu = sealed(a)
    opened(c, pdu)
    air.inject(replace(taken))
    air.run(0.3)
    with pytest.raises(GroupReplay):
        opened(c, pdu)
    assert len(c.of(GroupKeyReceived)) == 1


def test_row_39_marks_lost_refuses_what_may_have_been_taken():
    _a, _, c, air = world()
    (taken,) = [frame for frame in air.sent(DirectRequest) if frame.dst_l2 == c.l2_id]
    forgetful = member(C, record=MemoryRecord(accept_after_ntp_s=int(air.now.ntp_s)), seed="lost")
    air.ues[2] = forgetful
    air.inject(taken)
    air.run(0.3)
    assert [event.why for event in forgetful.of(RequestRefused)] == ["time not after the record's start"]
    air.run(WINDOW_S)
    _a.entity.groups.keyer(GROUP).new_epoch(air.now)
    air.run(1.1)
    assert opened(forgetful, sealed(_a)) == b"to all"


@pytest.mark.parametrize("kind", [Kind.REQUEST, Kind.ACCEPT, Kind.REKEY_REQUEST, Kind.REKEY_RESPONSE])
def test_row_23_i_message_of_another_kind_in_a_keying_message(kind):
    a, _, c, air = world()
    octets = keying_request(a, c, air, kind=kind)
    assert refused(air, a, c, octets) == [(4, None, "I_MESSAGE of another kind")]


def test_row_23_keying_message_altered_in_any_octet_of_its_group_info():
    a, _, c, air = world()
    (world_epoch,) = [event.epoch for event in c.of(GroupKeyReceived)]
    forged = keying(air)
    octets = keying_request(a, c, air, key=forged)
    start = octets.index(forged.group_identity.encode()) - 24
    before = held(c)
    for at in range(start, start + 24 + len(GROUP)):
        bad = octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]
        air.inject(plain(bad, a.l2_id, c.l2_id))
    air.run(0.5)
    assert held(c) == before
    assert {event.step for event in c.of(RequestRefused)} <= {1, 2, 4}
    air.inject(plain(octets, a.l2_id, c.l2_id))
    air.run(0.3)
    assert [event.epoch for event in c.of(GroupKeyReceived)] == sorted({world_epoch, forged.epoch})


def test_keying_message_for_another_member_or_group_or_encapsulated_elsewhere():
    a, b, c, air = world()
    for_b = keying_request(a, b, air)
    assert refused(air, a, c, for_b) == [(2, None, "not for this identity")]
    a, b, c, air = world()
    elsewhere = keying_request(a, c, air, key=keying(air, group_identity="tel:+447700900098"))
    assert refused(air, a, c, elsewhere) == [(2, None, "not for a group of this UE")]
    a, b, c, air = world()
    wrong_receiver = keying_request(a, c, air, to=B)
    assert [(step, cause) for step, cause, _ in refused(air, a, c, wrong_receiver)] == [(4, None)]


def test_row_40_no_key_and_count_twice_when_a_sender_restarts():
    a, b, _c, air = world()
    seen = set()
    for restart in range(3):
        for _ in range(5):
            _, _, index, ptk_id, sn, _, _ = sealed(b)
            assert (index, ptk_id, sn) not in seen
            seen.add((index, ptk_id, sn))
        b = member(B, record=b.record, seed=f"start {restart}")
        air.ues[1] = b
        a.entity.groups.keyer(GROUP).new_epoch(air.now)
        air.run(1.1)


def test_row_42_an_outsiders_numbers_stop_nobody():
    a, _, c, _air = world()
    source, group, index, ptk_id, _, lcid, _ = sealed(a)
    for sn in (0xFFFF, 0xFFFE, 9):
        c.entity.groups.traffic.open(source, group, index, ptk_id, sn, lcid, b"garbage")
    assert opened(c, sealed(a)) == b"to all"


def test_who_is_in_no_group_has_no_key():
    a, _, _, air = world()
    stranger = member(E, keyers=(A,))
    with pytest.raises(GroupError):
        opened(stranger, sealed(a))
    assert group_config().members == (B, C)
    assert air.ues[0] is a
