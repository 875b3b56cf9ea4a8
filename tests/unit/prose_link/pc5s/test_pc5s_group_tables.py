"""Every (state, input) pair of the delivery tables: listed ones lead where they say, and all end somewhere."""

import pytest

from prose_link.pc5s.group_fsm import TO_GROUP, TO_MEMBER, DeliveryAction, DeliveryInput, DeliveryState

TABLES = {"to a member": TO_MEMBER, "to the group": TO_GROUP}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("state", DeliveryState)
@pytest.mark.parametrize("event", DeliveryInput)
def test_every_pair(table, state, event):
    transition = table.get((state, event))
    if transition is None:
        return
    assert isinstance(transition.next_state, DeliveryState)
    assert all(action in DeliveryAction for action in transition.actions)
    if state is DeliveryState.DELIVERED:
        pytest.fail("nothing follows delivery")


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_state_but_the_last_is_left_again(table):
    for state in {state for state, _ in table}:
        assert any(transition.next_state is not state for (one, _), transition in table.items() if one is state)


def test_nobody_answers_a_message_to_the_group():
    assert not any(event is DeliveryInput.GOOD_RECEIPT for _, event in TO_GROUP)
