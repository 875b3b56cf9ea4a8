"""The keyer's plan over a long time: keys are renewed before they expire, and a member that was away is tried again."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from prose_link.config.group import GroupSection
from prose_link.pc5s.core.group_events import GroupKeyReceived, GroupKeysWiped
from prose_link.ue.events import GroupKeyingFailed
from prose_link.ue.group_role import GroupRole
from prose_link.ue.keyer_plan import Stage
from prose_link.userplane.addresses import own_addresses
from prose_link.userplane.events import GroupMessageSent
from prose_link.userplane.group_messages import GroupEndpoint
from security.device.record import RecordError
from security.groups import GroupError
from tests.benches.group_bench import GROUP, GROUP_L2, GroupAir, locate_all, member, newest, opened, sealed
from tests.benches.pc5s_bench import A, B, C

LIFETIME_S = 60


def keyer_role(a, *members, **changed):
    section = GroupSection.model_validate(
        {
            "identity": GROUP,
            "l2_id": GROUP_L2,
            "keyers": [A],
            "lifetime_s": LIFETIME_S,
            "message_octets": 0,
            "members": [{"identity": ue.uri, "l2_id": ue.l2_id} for ue in members],
            **changed,
        }
    )
    own = own_addresses(a.l2_id, ipv4=False).link_local
    endpoint = GroupEndpoint(own, section.multicast, copies=1, every_s=1.0)
    return GroupRole(section, a.entity.groups, endpoint, A, np.random.default_rng(1))


def drive(air, keyer, role, for_s):
    for _ in range(round(for_s * 2)):
        role.step(air.now)
        known = len(keyer.events)
        air.run(0.5)
        for event in keyer.events[known:]:
            role.follow(event, air.now)


@pytest.mark.parametrize("waits_for_a_joiner", [False, True])
def test_the_key_is_renewed_before_it_expires_whatever_the_plan_is_at(waits_for_a_joiner):
    a, b = (member(uri, members=(B,), lifetime_s=LIFETIME_S) for uri in (A, B))
    air = GroupAir(a, b)
    joiners = [{"identity": C, "user_info_id": 3, "joins_late": True}] if waits_for_a_joiner else []
    members = [{"identity": B, "l2_id": b.l2_id}, *joiners]
    role = keyer_role(a, b, members=members)
    drive(air, a, role, 4 * LIFETIME_S)
    assert role.stage is (Stage.AWAITING_JOINERS if waits_for_a_joiner else Stage.DONE)
    epochs = [event.epoch for event in b.events if isinstance(event, GroupKeyReceived)]
    assert len(epochs) == 5 and epochs == sorted(set(epochs))
    assert not [event for event in b.events if isinstance(event, GroupKeysWiped)]
    assert opened(b, sealed(a)) == b"to all"


def test_a_member_that_was_away_at_a_renewal_is_tried_again():
    a, b = (member(uri, members=(B,), lifetime_s=LIFETIME_S) for uri in (A, B))
    air = GroupAir(a, b)
    role = keyer_role(a, b)
    drive(air, a, role, 50)
    air.pass_on = lambda frame: []
    drive(air, a, role, 12)
    air.pass_on = air.spread
    drive(air, a, role, 10)
    epochs = [event.epoch for event in b.events if isinstance(event, GroupKeyReceived)]
    assert len(epochs) == 2 and epochs[0] < epochs[1]


def test_a_record_that_takes_nothing_ends_the_plan_and_says_so():
    a, b = (member(uri, members=(B,), lifetime_s=LIFETIME_S) for uri in (A, B))
    air = GroupAir(a, b)
    role = keyer_role(a, b)
    drive(air, a, role, 10)

    def refuse(_name, _value):
        raise RecordError("disk full")

    a.record.raise_mark = refuse
    drive(air, a, role, LIFETIME_S)
    told = []
    while (event := role.next_event()) is not None:
        told.append(event)
    (failed,) = [event for event in told if isinstance(event, GroupKeyingFailed)]
    assert failed.why == "disk full"
    assert role.stage is Stage.DONE


def test_the_next_keyer_stands_in_where_the_first_one_makes_no_key():
    fields = {"keyers": (C, A), "members": (B,), "lifetime_s": LIFETIME_S}
    a, b = (member(uri, **fields) for uri in (A, B))
    air = GroupAir(a, b)
    role = keyer_role(a, b, keyers=[C, A], set_up_after_s=air.mono_s)
    drive(air, a, role, 4)
    assert not b.entity.groups.holds_key(GROUP), "it waits for the first keyer's"
    drive(air, a, role, 4 * LIFETIME_S)
    epochs = [event.epoch for event in b.events if isinstance(event, GroupKeyReceived)]
    assert len(epochs) >= 4 and epochs == sorted(set(epochs))
    assert not [event for event in b.events if isinstance(event, GroupKeysWiped)]
    assert opened(b, sealed(a)) == b"to all"


def said_by(role):
    """Numbers of the messages that a role has begun to say."""
    return [event.number for event in iter(role.next_event, None) if isinstance(event, GroupMessageSent)]


def test_a_member_whose_place_is_not_known_holds_nobody_up():
    a, b = (member(uri, members=(B, C), lifetime_s=LIFETIME_S) for uri in (A, B))
    air = GroupAir(a, b)
    members = [{"identity": B, "l2_id": b.l2_id}, {"identity": C, "user_info_id": 3}]
    role = keyer_role(a, b, members=members, set_up_after_s=air.mono_s, message_octets=40)
    drive(air, a, role, 5)
    assert role.stage is Stage.DONE and said_by(role) == [1]


def test_a_removal_is_made_when_it_is_due_and_not_before():
    a, b, c = (member(uri, members=(B, C), lifetime_s=LIFETIME_S) for uri in (A, B, C))
    air = GroupAir(a, b, c)
    due_s = air.mono_s + 10
    role = keyer_role(a, b, c, remove=C, remove_after_s=due_s)
    drive(air, a, role, 9)
    stages = [role.stage]
    assert opened(c, sealed(a)) == b"to all"
    drive(air, a, role, 4)
    assert [*stages, role.stage] == [Stage.AWAITING_REMOVAL, Stage.DONE]
    assert opened(b, sealed(a)) == b"to all"
    with pytest.raises(GroupError):
        opened(c, sealed(a))


def test_a_keyer_that_is_asked_in_place_of_a_dead_one_speaks_under_its_own_key_and_is_done():
    fields = {"keyers": (C, A), "members": (B,), "lifetime_s": LIFETIME_S}
    a, b, c = (member(uri, asks=uri == B, **fields) for uri in (A, B, C))
    air = GroupAir(a, b, c)
    locate_all(air)
    air.keyed(c, a, b)
    role = keyer_role(a, b, keyers=[C, A], message_octets=40, stop_when_done=True, delivery_rounds=1)
    drive(air, a, role, 2)
    assert role.stage is Stage.STANDING_BY and not said_by(role) and not role.done
    late = member(B, record=b.record, seed="late", asks=True, **fields)
    air.ues[:] = [a, late]
    locate_all(air)
    while role.stage is Stage.STANDING_BY:
        drive(air, a, role, 1)
        assert air.mono_s < 1060.0, "nobody asked it"
    assert role.stage is Stage.TAKING_OVER and newest(a).keyer == A
    drive(air, a, role, 15)
    assert role.done and said_by(role) == [1] and newest(late).keyer == A


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"keyers": [A, GROUP]}, "neither keyer nor member"),
        ({"keyers": [A, A]}, "an identity twice"),
        ({"remove": A}, "a keyer can't be removed"),
        ({"keyers": [f"tel:+44770090010{n}" for n in range(9)]}, "at most 8"),
    ],
)
def test_groups_that_contradict_themselves_are_refused(changed, why):
    fields = {"identity": GROUP, "l2_id": GROUP_L2, "keyers": [A], **changed}
    with pytest.raises(ValidationError, match=why):
        GroupSection.model_validate(fields)
