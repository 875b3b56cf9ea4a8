"""The keyer of a group: its epochs, its orders to members, and the members that are out."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from security.groups import (
    EpochAheadError,
    GroupError,
    KeyingMode,
    member_hash,
)
from security.groups.keying import EPOCHS_BEGIN_NTP_S, TAG_BITS, epoch_at, mark_name
from tests.benches.group_keys_bench import BOB_L2, GROUP, GROUP_L2, KEYER, NOW, Marks, Member, install, keyer

NTP_OF_UNIX_EPOCH = 2_208_988_800


def test_keyer_orders_one_message_a_member_or_one_for_all():
    assert keyer().new_epoch(expiry_ntp_s=9).recipients == ("tel:+1", "tel:+2")
    assert keyer(KeyingMode.GROUP_IDENTITY).new_epoch(expiry_ntp_s=9).recipients == (GROUP,)


def made(marks, **given):
    """A keyer's next key, its mark on record as its membership puts it there."""
    order = keyer(marks=marks).new_epoch(expiry_ntp_s=9, **given)
    marks.raise_mark(mark_name(GROUP), order.keying.mark)
    return order


def test_epochs_rise_over_restarts_and_keys_differ():
    marks = Marks()
    orders = [made(marks) for _ in range(40)]
    assert [order.keying.epoch for order in orders] == list(range(1, 41))
    assert all(order.keying.pgk_index for order in orders)
    assert all(a.keying.pgk_index != b.keying.pgk_index for a, b in pairwise(orders))


def test_an_epoch_is_at_least_the_seconds_since_2020():
    marks, known = Marks(), epoch_at(NOW)
    assert datetime(2020, 1, 1, tzinfo=UTC).timestamp() + NTP_OF_UNIX_EPOCH == EPOCHS_BEGIN_NTP_S
    orders = [made(marks, now_ntp_s=now) for now in (NOW, NOW, NOW - 99, NOW + 31)]
    assert [order.keying.epoch for order in orders] == [known, known + 1, known + 2, known + 31]
    assert all(a.keying.pgk_index != b.keying.pgk_index for a, b in pairwise(orders))
    lost = keyer(marks=Marks()).new_epoch(expiry_ntp_s=9, now_ntp_s=NOW + 32)
    assert lost.keying.epoch == known + 32, "a lost record does not throw a keyer back"


def test_a_keyer_goes_above_what_another_one_gave():
    marks = Marks({mark_name(GROUP): (epoch_at(NOW) + 7) << TAG_BITS})
    assert keyer(marks=marks).new_epoch(expiry_ntp_s=9, now_ntp_s=NOW).keying.epoch == epoch_at(NOW) + 8


@pytest.mark.parametrize(("ahead", "taken"), [(0, True), (300, True), (301, False), (0xFFFFFFFF, False)])
def test_an_epoch_may_lead_the_clock_by_a_window(ahead, taken):
    bob, epoch = Member(BOB_L2), min(epoch_at(NOW) + ahead, 0xFFFFFFFF)
    if taken:
        install(bob.membership, epoch=epoch)
        assert bob.membership.sending_key(GROUP_L2).keying.epoch == epoch
        return
    with pytest.raises(EpochAheadError):
        install(bob.membership, epoch=epoch)
    install(bob.membership, epoch=1)


def test_joiner_gets_a_new_epoch_or_the_current_key():
    group = keyer()
    first = group.new_epoch(expiry_ntp_s=9)
    group._marks.raise_mark(mark_name(GROUP), first.keying.mark)
    second = group.add("tel:+3", expiry_ntp_s=9)
    assert (second.keying.epoch, second.recipients) == (2, ("tel:+1", "tel:+2", "tel:+3"))
    assert first.ssv != second.ssv
    group = keyer(backward_secrecy=False)
    first = group.new_epoch(expiry_ntp_s=9)
    joined = group.add("tel:+3", expiry_ntp_s=9)
    assert (joined.keying, joined.ssv, joined.recipients) == (first.keying, first.ssv, ("tel:+3",))


def test_leaver_is_left_out_and_the_group_keyed_per_member_from_then_on():
    group = keyer(KeyingMode.GROUP_IDENTITY)
    group.new_epoch(expiry_ntp_s=9)
    order = group.remove("tel:+2", expiry_ntp_s=9)
    assert (order.keying.mode, order.recipients) == (KeyingMode.PER_MEMBER, ("tel:+1",))
    assert [entry.member for entry in order.removals] == [member_hash("tel:+2")]
    restarted = keyer(KeyingMode.GROUP_IDENTITY, marks=group._marks)
    assert restarted.new_epoch(expiry_ntp_s=9).recipients == ("tel:+1",), "who is out stays out over a restart"
    assert restarted.add("tel:+2", expiry_ntp_s=9).recipients == (GROUP,), "until it is let in again"
    group = keyer(KeyingMode.GROUP_IDENTITY, marks=Marks())
    group.remove("tel:+2", expiry_ntp_s=9)
    assert group.new_epoch(expiry_ntp_s=9).recipients == ("tel:+1",)
    with pytest.raises(GroupError):
        group.remove("tel:+2", expiry_ntp_s=9)


def test_epochs_end():
    with pytest.raises(GroupError):
        keyer(marks=Marks({mark_name(GROUP): 0xFFFFFFFF << TAG_BITS})).new_epoch(expiry_ntp_s=9)
    with pytest.raises(GroupError, match="keyer"):
        keyer(keyers=(KEYER, "tel:+1")).remove("tel:+1", expiry_ntp_s=9)
