"""Every (state, input) pair of every table: listed ones do as listed, all others change nothing."""

from collections import Counter
from types import SimpleNamespace

import pytest

from prose_link.instant import Instant
from prose_link.pc5s.core.fsm import Action, Input, RekeyInput, RekeyState, Role, State
from prose_link.pc5s.core.policy import Profile
from prose_link.pc5s.core.shared import UNLISTED, LinkMachine, RekeyMachine
from prose_link.pc5s.core.tables import LINK_TABLES, REKEYING, TABLES
from tests.benches.pc5s_bench import linked

NOW = Instant(0.0, 0.0)


class Witness:
    """Notes which actions ran, whether the link was let go, and how many events had no effect."""

    def __init__(self):
        self.ran = []
        self.discarded = 0
        self.unlisted = 0

    def count_unlisted(self):
        self.unlisted += 1

    def discard(self, link):
        self.discarded += 1

    @property
    def actions(self):
        return {action: lambda turn, action=action: self.ran.append(action) for action in Action}


def link_in(state, *, initiator=True, rekey=RekeyState.NONE, profile=Profile.IDENTITY):
    return SimpleNamespace(state=state, initiator=initiator, rekey=SimpleNamespace(state=rekey), profile=profile)


@pytest.mark.parametrize(("profile", "role"), LINK_TABLES)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Input)
def test_every_pair_of_a_link(profile, role, state, event):
    witness = Witness()
    machine = LinkMachine(witness, LINK_TABLES)
    machine.learn(witness.actions)
    link = link_in(state, initiator=role is Role.INITIATOR, profile=profile)
    listed = LINK_TABLES[profile, role].get((state, event))
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
    machine = RekeyMachine(witness, REKEYING)
    machine.learn(witness.actions)
    link = link_in(State.ESTABLISHED, rekey=state)
    listed = REKEYING.get((state, event))
    assert machine.run(link, event, NOW) is (listed is not None)
    assert witness.unlisted == (listed is None)
    expected = (state, ()) if listed is None else (listed.next_state, listed.actions)
    assert (link.rekey.state, tuple(witness.ran)) == expected


def test_the_entitys_own_machines_count_what_has_no_effect():
    """Not only the witness: the counter that an entity shows."""
    a, _b, air = linked()
    (link,) = a.entity.links
    before = a.entity.counters[UNLISTED]
    listed = {event for state, event in LINK_TABLES[link.profile, Role.INITIATOR] if state is link.state}
    for event in set(Input) - listed:
        assert not a.entity._machine.run(link, event, air.now)
    rekey_listed = {event for state, event in REKEYING if state is RekeyState.NONE}
    for event in set(RekeyInput) - rekey_listed:
        assert not a.entity._rekey_machine.run(link, event, air.now)
    unlisted = len(Input) - len(listed) + len(RekeyInput) - len(rekey_listed)
    assert a.entity.counters[UNLISTED] == before + unlisted
    assert link.state is State.ESTABLISHED and link.rekey.state is RekeyState.NONE


def test_every_state_can_be_reached_and_left():
    for table in TABLES.values():
        reached = {transition.next_state for transition in table.values()}
        left = {state for state, _ in table}
        used = reached | left
        assert reached == left == used


def test_every_action_is_used():
    used = Counter(action for table in TABLES.values() for entry in table.values() for action in entry.actions)
    assert set(used) == set(Action)
