"""The demo's faults that take rule breakers, with whole UEs over emulated radio in one process; and without rules."""

from pathlib import Path

from lab_scripts.demo.attacks import attack_actions
from lab_scripts.demo.plan import ON_THE_AIR, DemoPlan, Fault
from lab_scripts.demo.rule_breakers import NODES
from lab_scripts.demo.verdict import ENOUGH_ACCEPTS, rejected_of
from lab_scripts.events.selection import events_of
from lab_scripts.runs.cell import Cell
from prose_link.pc5s.core.events import (
    AcceptRefused,
    ClockJumped,
    Dropped,
    LinkEstablished,
    LinkReleased,
    Rekeyed,
    RequestRefused,
)
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.identity.profile import IdentityProfile
from prose_link.pc5s.wire.codec import decode
from prose_link.userplane.events import TrafficDone

BEFORE = "the context before takes user data only"


def run(fault, for_s, until=lambda events: False):
    """What the UEs of a run with this fault say in `for_s` of air time."""
    plan = DemoPlan(seed=5, fault=fault, folder=Path())
    nodes = {ue: node for (of, ue), node in NODES.items() if of is fault}
    cell = Cell(plan, {}, node_types=nodes, actions=attack_actions(fault) if fault in ON_THE_AIR else ())
    cell.run(for_s, until=until)
    return cell.events


def linked(events):
    return sorted(one.source for one in events_of(events, LinkEstablished))


def refused(events):
    return bool(events_of(events, RequestRefused))


def test_a_clock_that_is_set_back_takes_no_request_of_then():
    events = run(Fault.STALE_CLOCK, 1.5, until=refused)
    (refusal, *_) = events_of(events, RequestRefused, "ue-b")
    assert (refusal.event.step, refusal.event.cause, refusal.event.why) == (6, 0x80, "clock below the time floor")
    assert [one.event.step_s for one in events_of(events, ClockJumped, "ue-b")] == [-600]
    assert not linked(events)


def test_a_clock_that_is_believed_would_take_it(monkeypatch):
    monkeypatch.setattr(Desk, "clock_fault", lambda self, now: None)
    assert linked(run(Fault.STALE_CLOCK, 1.5, until=lambda events: len(linked(events)) == 2)) == ["ue-a", "ue-b"]


def traffic_done(events):
    return len(events_of(events, TrafficDone)) == 2


def released(events):
    return bool(events_of(events, LinkReleased))


def test_an_order_under_the_context_before_a_rekey_ends_nothing():
    events = run(Fault.OLD_CONTEXT, 4.0, until=traffic_done)
    (drop,) = [one for one in events_of(events, Dropped) if one.event.message == "release"]
    assert (drop.source, drop.event.why) == ("ue-b", BEFORE)
    assert {one.source for one in events_of(events, Rekeyed)} == {"ue-a", "ue-b"}
    assert drop.utc_ns < min(one.utc_ns for one in events_of(events, TrafficDone))
    assert traffic_done(events) and not released(events)


def test_a_context_that_still_gave_orders_would_end_the_link(monkeypatch):
    genuine = IdentityProfile.receive_on_link

    def obedient(self, link, pdu, now):
        if pdu.kd_sess_id == link.keys.old_id:
            self._take(link, pdu, decode(pdu.data), now)
        else:
            genuine(self, link, pdu, now)

    monkeypatch.setattr(IdentityProfile, "receive_on_link", obedient)
    events = run(Fault.OLD_CONTEXT, 2.0, until=released)
    assert [one.event.why for one in events_of(events, LinkReleased, "ue-b")] == ["released by the peer"]
    assert not traffic_done(events)


def test_the_genuine_accept_wins_among_those_forged_in_its_name():
    events = run(Fault.FORGED_ACCEPTS, 5.0, until=traffic_done)
    up_ns = min(one.utc_ns for one in events_of(events, LinkEstablished, "ue-a"))
    refusals = [one for one in events_of(events, AcceptRefused, "ue-a") if one.utc_ns < up_ns]
    rejected = rejected_of(events, Fault.FORGED_ACCEPTS)
    assert rejected is not None and len(refusals) >= rejected.times >= ENOUGH_ACCEPTS
    assert {(one.event.step, one.event.why) for one in refusals} - {(2, "request is answered already")} == {
        (5, "I_MESSAGE does not verify"),
        (5, "key proof differs"),
        (6, "key confirmation differs"),
    }
    assert linked(events) == ["ue-a", "ue-b"] and traffic_done(events)
    assert all(one.event.mutual for one in events_of(events, LinkEstablished))
