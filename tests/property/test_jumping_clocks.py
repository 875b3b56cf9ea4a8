"""A UE whose calendar clock jumps at will, while it runs and while it is off; its record is kept.

Invariants, whatever the clock does: no request is worked on twice; the time floor falls at a contact with the home KMS
and nowhere else; it never leaves the true time behind by more than one wrong start can cost; and once the clock is
right and the home KMS has told the time, a genuine request comes through.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.pc5s.core.clock_watch import COUNTER_ERROR, FLOOR_STEP_S
from prose_link.pc5s.core.events import RequestReceived
from prose_link.pc5s.core.replay import WINDOW_S, MemoryRecord, Record
from prose_link.pc5s.identity.key_exchange import build_request
from security.at_rest.sealing import Seal
from security.device.record import DeviceRecord
from security.errors import SecurityError
from tests.benches.pc5s_bench import UTC_S, A, B, Ue, draft_request, make_kms, plain, received

DAY_S = 86_400
SEAL = Seal.create(b"correct horse battery", log2_n=2)
JUMPS_S = st.sampled_from(
    [s * by for by in (WINDOW_S // 2, WINDOW_S - 20, WINDOW_S + 20, 2 * WINDOW_S + 20, 4 * WINDOW_S) for s in (-1, 1)]
    + [s * by for by in (2 * DAY_S, 30 * DAY_S, 365 * DAY_S) for s in (-1, 1)]
)
STEPS = st.one_of(
    st.tuples(st.just("pass"), st.sampled_from([1, 40, WINDOW_S - 30, 2 * WINDOW_S + 5, DAY_S])),
    st.tuples(st.just("set"), JUMPS_S),
    st.tuples(st.just("right"), st.just(0)),
    st.tuples(st.just("restart"), st.sampled_from([0, *[by * WINDOW_S for by in (-3, -1, 1, 3)], 40 * DAY_S])),
    st.tuples(st.just("contact"), st.just(0)),
    st.tuples(st.just("request"), st.sampled_from([0, 0, 0, WINDOW_S - 10, -WINDOW_S + 10, 2 * WINDOW_S])),
    st.tuples(st.just("repeat"), st.integers(0, 7)),
    st.tuples(st.just("there and back, running"), JUMPS_S),
    st.tuples(st.just("there and back, off"), JUMPS_S),
)


class World:
    """One UE and its clock, the true time, and every request that was ever sent to it."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.ring = make_kms().ring(B, months=(-1, 0, 1))
        self.a = Ue(A, ring=make_kms().ring(A, months=(-2, -1, 0, 1, 2)))
        self.true_s, self.error_s, self.mono_s, self.run_s = UTC_S, 0.0, 0.0, 0.0
        self.sent: list[bytes] = []
        self.worked_on: Counter[bytes] = Counter()
        self.b = Ue(B, record=record, ring=self.ring)
        self.look()

    @property
    def now(self) -> Instant:
        return Instant(self.mono_s, self.true_s + self.error_s)

    @property
    def true_ntp_s(self) -> int:
        return int(self.true_s + NTP_EPOCH_OFFSET_S)

    @property
    def keys_end_ntp_s(self) -> int:
        return self.b.credentials.keys_end_ntp_s

    def look(self) -> None:
        self.b.entity.handle_timer(self.now)

    def passing(self, for_s: float) -> None:
        """Time passes, and the UE looks at its clocks as its owner lets it."""
        step_s = max(for_s / 8, 1.0)
        while for_s > 0:
            took_s = min(step_s, for_s)
            self.true_s, self.mono_s, self.run_s = self.true_s + took_s, self.mono_s + took_s, self.run_s + took_s
            for_s -= took_s
            self.look()

    def restart(self, off_by_s: float) -> None:
        """Off, the clock set meanwhile, on again: what is in memory is lost, the record is kept."""
        self.b.entity.shut_down(self.now)
        self.take_events()
        self.error_s, self.mono_s = off_by_s, 0.0
        self.b = Ue(B, record=self.record, ring=self.ring, seed=f"{self.true_s}")
        self.look()

    def deliver(self, octets: bytes) -> None:
        self.b.entity.receive(received(plain(octets, self.a.l2_id, self.b.l2_id), octets), self.now)
        self.take_events()

    def request(self, dated_s: float) -> bytes:
        """A request that is dated so far from the UE's own clock."""
        self.passing(1.0)
        draft = draft_request(self.a, self.b, nonce_1=hashlib.sha256(bytes([len(self.sent)])).digest()[:16])
        try:
            octets = build_request(draft, self.a.credentials, ntp_s=self.now.ntp_s + dated_s).octets
        except SecurityError:  # no keys of that month are held: it can't have been made
            return b""
        self.sent.append(octets)
        return octets

    def repeat_all(self) -> None:
        """Send everything again that was ever sent, the verifications spaced out."""
        for octets in self.sent:
            self.passing(1.0)
            self.deliver(octets)

    def take_events(self) -> None:
        for event in iter(self.b.entity.next_event, None):
            if isinstance(event, RequestReceived):
                self.worked_on[event.request_hash] += 1

    def do(self, what: str, value: int) -> None:
        floor = self.record.time_floor_ntp_s
        match what:
            case "pass":
                self.passing(value)
            case "set":
                self.error_s += value
            case "right":
                self.error_s = 0.0
            case "restart":
                self.restart(value)
            case "contact":
                self.b.entity.kms_contact(self.true_ntp_s, self.now)
            case "request":
                self.deliver(self.request(value))
            case "repeat" if self.sent:
                self.deliver(self.sent[value % len(self.sent)])
            case "there and back, running":
                self.error_s += value
                self.deliver(self.request(0.0))
                self.error_s -= value
                self.repeat_all()
            case "there and back, off":
                self.restart(self.error_s + value)
                self.deliver(self.request(0.0))
                self.restart(self.error_s - value)
                self.repeat_all()
        self.look()
        self.take_events()
        self.check(what, floor)

    def check(self, what: str, floor_before: int) -> None:
        floor = self.record.time_floor_ntp_s
        if what == "contact":
            assert floor <= max(self.true_ntp_s + WINDOW_S, floor_before)
        else:
            assert floor >= floor_before
        assert floor <= max(self.true_ntp_s, self.keys_end_ntp_s) + self.run_s + 1
        assert max(self.worked_on.values(), default=0) <= 1, "a request was worked on twice"


def play(world: World, steps: list[tuple[str, int]]) -> None:
    for what, value in steps:
        world.do(what, value)
    world.error_s = 0.0
    world.b.entity.kms_contact(world.true_ntp_s, world.now)
    world.passing(2 * WINDOW_S)
    before = sum(world.worked_on.values())
    world.deliver(world.request(0.0))
    period = make_kms().domain.period_of(world.now.ntp_s)
    held = any(keys.key_period_no == period for keys in world.b.credentials.key_ring.users)
    assert sum(world.worked_on.values()) == before + held


@given(steps=st.lists(STEPS, max_size=14))
@settings(max_examples=150, deadline=None)
def test_no_request_is_worked_on_twice_and_the_right_clock_always_comes_through(steps):
    play(World(MemoryRecord()), steps)


@given(steps=st.lists(STEPS, max_size=8))
@settings(max_examples=15, deadline=None)
def test_the_same_with_the_record_on_the_disk(tmp_path_factory, steps):
    path: Path = tmp_path_factory.mktemp("record") / "record.log"
    record = DeviceRecord(path, SEAL, device=B, now_ntp_s=int(UTC_S + NTP_EPOCH_OFFSET_S), new=True)
    play(World(record), steps)


@pytest.mark.parametrize("back_s", [4 * WINDOW_S, 20 * DAY_S])
def test_the_floor_keeps_up_with_true_time_while_the_clock_is_back(back_s):
    world = World(MemoryRecord())
    world.do("set", -back_s)
    for _ in range(12):
        world.do("pass", WINDOW_S)
        behind_s = world.true_ntp_s - world.record.time_floor_ntp_s
        assert 0 <= behind_s <= FLOOR_STEP_S + COUNTER_ERROR * world.run_s + 1
