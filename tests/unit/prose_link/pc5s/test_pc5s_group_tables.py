"""The delivery tables as a whole; every (state, input) pair is tried in `test_pc5s_tables`."""

import pytest

from prose_link.pc5s.groups.fsm import TO_GROUP, TO_MEMBER, DeliveryAction, DeliveryInput, DeliveryState
from security.groups import KeyingMode

TABLES = {KeyingMode.PER_MEMBER: TO_MEMBER, KeyingMode.GROUP_IDENTITY: TO_GROUP}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_nothing_follows_delivery_and_every_other_state_is_left_again(table):
    left = {state for (state, _), transition in table.items() if transition.next_state is not state}
    reached = {transition.next_state for transition in table.values()}
    assert DeliveryState.DELIVERED in reached - {state for state, _ in table}
    assert left - {DeliveryState.QUEUED} <= reached and DeliveryState.QUEUED in left


def test_every_action_and_input_is_used():
    entries = [entry for table in TABLES.values() for entry in table.items()]
    assert {action for _, transition in entries for action in transition.actions} == set(DeliveryAction)
    assert {event for (_, event), _ in entries} == set(DeliveryInput)


def test_nobody_answers_a_message_to_the_group():
    assert not any(event is DeliveryInput.GOOD_RECEIPT for _, event in TO_GROUP)
