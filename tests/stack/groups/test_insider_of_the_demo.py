"""The demo's fault `forged-receipt`, whole UEs over emulated radio in one process: with G6, and without it."""

from pathlib import Path

from lab_scripts.demo.insider_outcome import insider_outcome
from lab_scripts.demo.insider_plan import INSIDER, KEYER, VICTIM, insider_plan
from lab_scripts.demo.plan import Fault
from lab_scripts.demo.rule_breakers import NODES
from lab_scripts.events.selection import events_of
from lab_scripts.runs.cell import Cell
from prose_link.pc5s.core.group_events import GroupKeyDelivered, GroupKeyReceived
from prose_link.pc5s.groups.receipts import ReceiptJudge
from prose_link.userplane.events import GroupMessageReceived, GroupMessageSent

PLAN = insider_plan(5, Path())


def run(until):
    nodes = {ue: node for (fault, ue), node in NODES.items() if fault is Fault.FORGED_RECEIPT}
    cell = Cell(PLAN, {}, node_types=nodes)
    cell.run(8.0, until=until)
    return cell.events


def hearers(events):
    return {one.source for one in events_of(events, GroupMessageReceived)}


def shown(events):
    """The member's receipts that the keyer has taken for good."""
    victim = PLAN.granted[VICTIM]
    return [one for one in events_of(events, GroupKeyDelivered, KEYER) if one.event.recipient == victim]


def test_the_keyer_goes_by_the_members_own_receipt_alone():
    events = run(lambda events: hearers(events) == {INSIDER, VICTIM})
    outcome = insider_outcome(PLAN, events, wall_s=1.0)
    assert outcome.ok and int(outcome.exit_code) == 5
    assert outcome.document["rejected"]["by"] == KEYER and outcome.document["rejected"]["times"] >= 2
    assert outcome.sentence.endswith("when ue-c had the key and had said so itself.")
    (held,) = events_of(events, GroupKeyReceived, VICTIM)
    assert shown(events)[0].utc_ns > held.utc_ns


def test_a_keyer_that_took_unsigned_receipts_would_speak_to_a_member_without_the_key(monkeypatch):
    genuine = ReceiptJudge.judge

    def trusting(self, expected, accept, pdu, link_peer, now):
        return genuine(self, expected, accept, pdu, link_peer or expected.member, now)

    monkeypatch.setattr(ReceiptJudge, "judge", trusting)
    events = run(lambda events: bool(events_of(events, GroupMessageSent, KEYER)))
    assert shown(events) and not events_of(events, GroupKeyReceived, VICTIM)
    outcome = insider_outcome(PLAN, events, wall_s=1.0)
    assert not outcome.ok and int(outcome.exit_code) == 1
    assert outcome.sentence.endswith("nothing stopped it.")
