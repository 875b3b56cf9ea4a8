"""Every (state, input) pair of every table: listed ones do as listed, all others change nothing."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.instant import Instant
from prose_link.pc5s.core.fsm import Action, Input, RekeyState, Role, State, Table
from prose_link.pc5s.core.machine import UNLISTED, Place, StateMachine, StateMachineError
from prose_link.pc5s.core.policy import Profile
from prose_link.pc5s.core.shared import link_machine
from prose_link.pc5s.groups.deliveries import delivery_machine
from prose_link.pc5s.groups.fsm import TO_GROUP, TO_MEMBER, DeliveryAction, DeliveryInput, DeliveryState
from prose_link.pc5s.identity import tables as identity
from prose_link.pc5s.identity.tables import REKEYING, RekeyAction, RekeyInput
from prose_link.pc5s.ts24334 import tables as ts24334
from prose_link.pc5s.ts24334.tables import ModeAction, ModeInput
from security.groups import KeyingMode
from tests.benches.pc5s_bench import linked

NOW = Instant(0.0, 0.0)
LINK_TABLES = {Profile.IDENTITY: identity.LINK_TABLES, Profile.TS24334: ts24334.LINK_TABLES}
OF_LINKS: list[Table[Any]] = [table for tables in LINK_TABLES.values() for table in tables.values()]
LINK_INPUTS = [*Input, *ModeInput]


class Witness:
    """Notes which actions ran, which links were let go, and how many inputs had no effect."""

    def __init__(self):
        self.ran = []
        self.discarded = 0
        self.unlisted = 0

    def count_unlisted(self):
        self.unlisted += 1

    def discard(self, link):
        self.discarded += 1

    def actions_of(self, *tables):
        """A method for each action of these tables."""
        asked = {action for table in tables for entry in table.values() for action in entry.actions}
        return {action: lambda turn, action=action: self.ran.append(action) for action in asked}


@pytest.mark.parametrize(("profile", "role"), [(profile, role) for profile in LINK_TABLES for role in Role])
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", LINK_INPUTS)
def test_every_pair_of_a_link(profile, role, state, event):
    witness, tables = Witness(), LINK_TABLES[profile]
    machine = link_machine(witness, tables, witness.actions_of(*tables.values()))
    link = SimpleNamespace(state=state, initiator=role is Role.INITIATOR)
    listed = tables[role].get((state, event))
    assert machine.run(link, event, NOW) is (listed is not None)
    assert witness.unlisted == (listed is None)
    if listed is None:
        assert (link.state, witness.ran, witness.discarded) == (state, [], 0)
    else:
        assert (link.state, tuple(witness.ran)) == (listed.next_state, listed.actions)
        assert witness.discarded == (listed.next_state is State.IDLE)


@pytest.mark.parametrize("state", RekeyState)
@pytest.mark.parametrize("event", RekeyInput)
def test_every_pair_of_a_rekey(state, event):
    witness = Witness()
    machine = StateMachine(
        {"rekeying": REKEYING},
        witness.actions_of(REKEYING),
        place=lambda link: Place(table="rekeying", holder=link.rekey),
        on_unlisted=witness.count_unlisted,
    )
    link = SimpleNamespace(state=State.ESTABLISHED, rekey=SimpleNamespace(state=state))
    listed = REKEYING.get((state, event))
    assert machine.run(link, event, NOW) is (listed is not None)
    assert witness.unlisted == (listed is None)
    expected = (state, ()) if listed is None else (listed.next_state, listed.actions)
    assert (link.rekey.state, tuple(witness.ran)) == expected
    assert link.state is State.ESTABLISHED


DELIVERY_TABLES = {KeyingMode.PER_MEMBER: TO_MEMBER, KeyingMode.GROUP_IDENTITY: TO_GROUP}


@pytest.mark.parametrize("mode", DELIVERY_TABLES)
@pytest.mark.parametrize("state", DeliveryState)
@pytest.mark.parametrize("event", DeliveryInput)
def test_every_pair_of_a_delivery(mode, state, event):
    witness = Witness()
    machine = delivery_machine(witness, witness.actions_of(TO_MEMBER, TO_GROUP))
    delivery = SimpleNamespace(state=state, info=SimpleNamespace(mode=mode))
    listed = DELIVERY_TABLES[mode].get((state, event))
    assert machine.run(delivery, event, NOW) is (listed is not None)
    assert witness.unlisted == (listed is None)
    expected = (state, ()) if listed is None else (listed.next_state, listed.actions)
    assert (delivery.state, tuple(witness.ran)) == expected


@pytest.mark.parametrize("action", [*Action, *ModeAction])
def test_a_machine_with_an_action_missing_is_not_made(action):
    for tables in LINK_TABLES.values():
        witness = Witness()
        actions = witness.actions_of(*tables.values())
        if action in actions:
            del actions[action]
            with pytest.raises(StateMachineError, match=f"no method for {type(action).__name__}.{action.name}"):
                link_machine(witness, tables, actions)


@pytest.mark.parametrize("action", RekeyAction)
def test_a_rekey_machine_with_an_action_missing_is_not_made(action):
    actions = Witness().actions_of(REKEYING)
    del actions[action]
    with pytest.raises(StateMachineError, match=f"no method for RekeyAction.{action.name}"):
        StateMachine({"rekeying": REKEYING}, actions, place=None, on_unlisted=None)


@pytest.mark.parametrize("action", DeliveryAction)
def test_a_delivery_machine_with_an_action_missing_is_not_made(action):
    witness = Witness()
    actions = witness.actions_of(TO_MEMBER, TO_GROUP)
    del actions[action]
    with pytest.raises(StateMachineError, match=f"no method for DeliveryAction.{action.name}"):
        delivery_machine(witness, actions)


def test_the_entitys_own_machines_count_what_has_no_effect():
    """Not only the witness: the counter that an entity shows."""
    a, _b, air = linked()
    (link,) = a.entity.links
    before = a.entity.counters[UNLISTED]
    listed = {event for state, event in identity.INITIATOR if state is link.state}
    unlisted = set(LINK_INPUTS) - listed
    profile: Any = a.entity._profile_of(link)
    for event in unlisted:
        assert not profile.run(link, event, air.now)
    rekey_unlisted = set(RekeyInput) - {event for state, event in REKEYING if state is RekeyState.NONE}
    for event in rekey_unlisted:
        assert not profile._rekeying.run(link, event, air.now)
    assert a.entity.counters[UNLISTED] == before + len(unlisted) + len(rekey_unlisted)
    assert link.state is State.ESTABLISHED and link.rekey.state is RekeyState.NONE


def test_every_state_can_be_reached_and_left():
    for table in [*OF_LINKS, REKEYING]:
        reached = {transition.next_state for transition in table.values()}
        left = {state for state, _ in table}
        used = reached | left
        assert reached == left == used


def test_every_action_and_input_is_used():
    entries = [(event, entry) for table in [*OF_LINKS, REKEYING] for (_, event), entry in table.items()]
    actions = Counter(action for _, entry in entries for action in entry.actions)
    assert set(actions) == {*Action, *ModeAction, *RekeyAction}
    assert {event for event, _ in entries} == {*Input, *ModeInput, *RekeyInput}
