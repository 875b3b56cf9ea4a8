"""What the parts of an entity share: the way out, chance, the clock's faults, and its settings."""

from __future__ import annotations

import re
from typing import Any

import pytest

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.buckets import Rate
from prose_link.pc5s.core.events import (
    CarrierMismatch,
    Dropped,
    EventsHeldBack,
    RekeyFailed,
)
from prose_link.pc5s.core.machine import UNLISTED
from prose_link.pc5s.core.own_clock import RequireKms
from prose_link.pc5s.core.policy import Policy
from prose_link.pc5s.core.replay import WINDOW_S
from prose_link.pc5s.core.shared import (
    ANYBODYS_EVENTS,
    MAX_QUEUED_EVENTS,
    MAX_QUEUED_PDUS,
    Outbox,
)
from prose_link.pc5s.core.timers import Timer, TimerValues
from prose_link.pc5s.core.transcript import Agreed
from prose_link.pc5s.wire.messages import ChosenAlgorithms, KeepaliveAck
from prose_link.pc5s.wire.party import Via
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.link.key_ladder import SessionKeys
from tests.benches.desk_bench import CORE, NOW, PEER, TIMERS, Record, desk_of, events_of, link_of

KEYS = SessionKeys(kd_sess=bytes(32), pek=bytes(16), pik=bytes(16), conf_r=bytes(16), conf_i=bytes(16))


def pdu_of(**changes: Any) -> ReceivedPdu:
    fields = {"data": b"", "src_l2": 0xB, "dst_l2": 1, "lcid": 28, "kd_sess_id": 0, "sn": 0}
    return ReceivedPdu(**{**fields, "via": Via(traits=TIMERS.direct, address=0xB), **changes})


def test_sequence_numbers_come_round() -> None:
    outbox = Outbox()
    numbers = [outbox.next_sequence_number() for _ in range((1 << 16) + 1)]
    assert numbers[:2] == [1, 2] and numbers[-3:] == [0xFFFF, 0, 1]


def test_queues_keep_the_newest_and_count_what_they_lose() -> None:
    outbox = Outbox()
    pdus: list[Any] = list(range(MAX_QUEUED_PDUS + 2))
    for pdu in pdus[:-2]:
        outbox.put(pdu)
    assert outbox.counters["PDUs lost in the queue"] == 0
    for pdu in pdus[-2:]:
        outbox.put(pdu)
    assert outbox.take_pdus() == pdus[2:] and outbox.take_pdus() == []
    assert outbox.counters["PDUs lost in the queue"] == 2
    told = [RekeyFailed(peer=PEER, peer_l2=n, why="") for n in range(MAX_QUEUED_EVENTS + 2)]
    for event in told:
        outbox.emit(event)
    assert events_of(outbox) == told[2:]
    assert outbox.counters["events lost in the queue"] == 2


def test_events_that_anybody_can_cause_are_told_at_a_rate_and_the_rest_are_counted() -> None:
    outbox = Outbox()
    outbox.go_to(50.0)
    assert outbox.now_s == 50.0 and Rate(per_s=50, burst=1000) == ANYBODYS_EVENTS
    dropped = Dropped(src_l2=1, lcid=28, message="", why="", detail="")
    own = RekeyFailed(peer=PEER, peer_l2=1, why="")
    for _ in range(1003):
        outbox.emit(dropped)
    outbox.emit(own)
    assert events_of(outbox) == [dropped] * 1000 + [own]
    assert outbox.counters["events held back"] == 3
    outbox.go_to(50.02)
    outbox.emit(dropped)
    outbox.emit(dropped)
    assert events_of(outbox) == [EventsHeldBack(number=3), dropped]
    outbox.go_to(51.0)
    outbox.emit(dropped)
    outbox.emit(dropped)
    assert events_of(outbox) == [EventsHeldBack(number=1), dropped, dropped]


@pytest.mark.parametrize(("chance", "fraction"), [(0, 0.0), (1 << 31, 0.5), (3 << 30, 0.75)])
def test_chance_is_drawn_evenly(chance: int, fraction: float) -> None:
    desk = desk_of(chance=chance, timers=TimerValues(first_within_s=0.1))
    assert desk.part_of(8.0) == 8.0 * fraction
    assert desk.first_wait_s() == pytest.approx(0.1 * fraction)
    least, most = desk_of(chance=0).spread(10.0), desk_of(chance=(1 << 32) - 1).spread(10.0)
    assert desk.spread(10.0) == pytest.approx(least + (most - least) * fraction, abs=1e-6)
    assert least + most == pytest.approx(20.0, abs=1e-6) and least < 10.0


def test_a_fault_of_the_clock() -> None:
    desk = desk_of(record=Record(floor_ntp_s=int(5000 + WINDOW_S)))
    assert desk.clock_fault(NOW) is None
    assert desk.clock_fault(Instant(100.0, NOW.utc_s - 1)) == "clock below the time floor"
    desk.clock.observe(NOW)
    desk.clock.observe(Instant(100.0, NOW.utc_s + WINDOW_S + 1))
    assert desk.clock_fault(NOW) == "clock out of step with the monotonic counter"


@pytest.mark.parametrize(
    ("require", "lost", "awaited"),
    [
        (RequireKms.NEVER, True, False),
        (RequireKms.AFTER_START, False, True),
        (RequireKms.AFTER_LOSS, True, True),
        (RequireKms.AFTER_LOSS, False, False),
    ],
)
def test_the_home_kms_is_awaited(require: RequireKms, lost: bool, awaited: bool) -> None:
    desk = desk_of(require_kms=require, record=Record(accept_after_ntp_s=1 if lost else 0))
    assert desk.kms_is_awaited is awaited
    assert desk.clock_fault(NOW) == ("the home KMS has not told the time" if awaited else None)
    desk.clock.kms_contact(5000, NOW)
    assert not desk.kms_is_awaited


@pytest.mark.parametrize("refuses", [True, False])
def test_a_carrier_that_names_another_sender(refuses: bool) -> None:
    desk = desk_of(refuses_mismatch=refuses)
    for named in ("", "alice"):
        assert desk.refuses_named_sender(pdu_of(named_sender=named), "alice") is False
    assert desk.outbox.next_event() is None
    assert desk.refuses_named_sender(pdu_of(named_sender="mallory"), "alice") is refuses
    mismatch = CarrierMismatch(carrier="direct", peer="alice", named="mallory", peer_l2=0xB, refused=refuses)
    assert events_of(desk.outbox) == [mismatch]


def test_who_is_authorised_and_who_is_a_group() -> None:
    desk = desk_of(policy=Policy(deny=("tel:no",)))
    credentials: Any = desk.credentials
    assert desk.authorises(PEER) and not desk.authorises("tel:no")
    credentials.granted = False
    assert not desk.authorises(PEER)
    assert desk.is_group("tel:group") and not desk.is_group(PEER)


def test_what_is_dropped_is_counted_and_told() -> None:
    desk = desk_of()
    desk.drop(pdu_of(), "release", "no context", "more")
    assert desk.outbox.counters == {"no context": 1}
    assert events_of(desk.outbox) == [Dropped(src_l2=0xB, lcid=28, message="release", why="no context", detail="more")]
    desk.count_unlisted()
    assert desk.outbox.counters[UNLISTED] == 1


def test_timers_and_pdus_of_a_link() -> None:
    desk = desk_of()
    link = link_of(desk)
    desk.start(link, Timer.T4101, 2.0, NOW)
    assert desk.timers.next_deadline_s() == 102.0
    desk.stop(link, Timer.T4101)
    assert desk.timers.next_deadline_s() is None
    desk.send_protected(link, b"one")
    desk.send_protected(link, b"two", kd_sess_id=0x0206, lcid=29)
    octets = desk.send_message(link, KeepaliveAck(sequence_number=1, counter=2), kd_sess_id=0x0206)
    desk.send_plain(b"plain", link.party)
    sent = [(pdu.data, pdu.lcid, pdu.kd_sess_id) for pdu in desk.outbox.take_pdus()]
    assert sent == [(b"one", 30, 0x0107), (b"two", 29, 0x0206), (octets, 30, 0x0206), (b"plain", 28, 0)]


def test_a_link_whose_carrier_bears_none_goes_by_radio() -> None:
    desk = desk_of()
    by_core, by_radio = link_of(desk, via=Via(traits=CORE, address="sip:bob")), link_of(desk)
    assert desk.bearer(by_radio) is by_radio.via
    borne = desk.bearer(by_core)
    assert (borne.carrier, borne.address) == ("direct", 0xB)


def test_contexts_go_to_the_key_log_that_was_asked_for() -> None:
    logged: list[Any] = []
    desk = desk_of(key_log=lambda *entry: logged.append(entry))
    link = link_of(desk)
    desk.make_context(link, 0x0107, ChosenAlgorithms(eea=2, eia=2), Agreed(kd_next=b"", tx=b"", keys=KEYS))
    assert logged == [(0xB, link.keys.contexts[0x0107], KEYS)]


def test_a_link_that_is_let_go_has_no_timer_and_no_context() -> None:
    desk = desk_of()
    link = link_of(desk)
    desk.links.add(link)
    desk.make_context(link, 0x0107, ChosenAlgorithms(eea=2, eia=2), Agreed(kd_next=b"", tx=b"", keys=KEYS))
    desk.start(link, Timer.T4101, 2.0, NOW)
    desk.discard(link)
    assert len(desk.links) == 0 and desk.timers.next_deadline_s() is None and link.keys.contexts == {}


def test_settings_of_an_entity_out_of_range() -> None:
    with pytest.raises(ProseLinkError, match=re.escape("maximum inactivity period 5 s is shorter")):
        desk_of(maximum_inactivity_period_s=5)
