"""Every (state, input) pair of the delivery tables: listed ones do as listed, all others change nothing."""

from types import SimpleNamespace

import pytest

from prose_link.instant import Instant
from prose_link.pc5s.groups.fsm import TO_GROUP, TO_MEMBER, DeliveryAction, DeliveryInput, DeliveryState
from prose_link.pc5s.groups.keyer import Keyer
from security.groups import KeyingMode

TABLES = {KeyingMode.PER_MEMBER: TO_MEMBER, KeyingMode.GROUP_IDENTITY: TO_GROUP}
NOW = Instant(0.0, 0.0)


class WitnessKeyer(Keyer):
    """A keyer that notes what its table asks for and does nothing."""

    def __init__(self):
        self.ran = []
        self.unlisted = 0
        self._desk = self

    def count_unlisted(self):
        self.unlisted += 1

    def _do(self, action, delivery, now):
        self.ran.append(action)


@pytest.mark.parametrize("mode", TABLES)
@pytest.mark.parametrize("state", DeliveryState)
@pytest.mark.parametrize("event", DeliveryInput)
def test_every_pair(mode, state, event):
    keyer = WitnessKeyer()
    delivery = SimpleNamespace(state=state, info=SimpleNamespace(mode=mode))
    listed = TABLES[mode].get((state, event))
    assert keyer._run(delivery, event, NOW) is (listed is not None)
    assert keyer.unlisted == (listed is None)
    expected = (state, ()) if listed is None else (listed.next_state, listed.actions)
    assert (delivery.state, tuple(keyer.ran)) == expected


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
