"""Buckets, replay memory, timers and policy."""

import pytest

from prose_link.pc5s.core.buckets import Buckets, Rate
from prose_link.pc5s.core.policy import LinkPolicy, MutualGive, Policy, PolicyError, matches, patterns_meet
from prose_link.pc5s.core.replay import REFUSED_RING, MemoryRecord, RefusedRing
from prose_link.pc5s.core.timers import Timer, TimerSet
from prose_link.pc5s.wire.messages import ChosenAlgorithms, Kdf, Mutual, SecurityCapabilities
from security.device.record import REPLAY_ENTRIES, REPLAY_ENTRIES_PER_SIGNER, WINDOW_S, RecordFullError


def test_bucket_gives_its_burst_and_then_its_rate():
    buckets = Buckets(Rate(per_s=100, burst=100), Rate(per_s=5, burst=10))
    assert sum(buckets.take("x", 1.0) for _ in range(50)) == 10
    assert sum(buckets.take("x", 1.0 + n / 1000) for n in range(2000)) in (9, 10)
    assert buckets.take("y", 3.0)


def test_common_bucket_holds_many_sources_back_and_the_table_stays_bounded():
    buckets = Buckets(Rate(per_s=50, burst=50), Rate(per_s=5, burst=10), max_sources=16)
    assert sum(buckets.take(n, 1.0) for n in range(1000)) == 50
    assert len(buckets._each) == 16


def test_a_clock_that_stands_or_goes_back_fills_no_bucket():
    buckets = Buckets(Rate(per_s=5, burst=2), Rate(per_s=5, burst=2))
    assert [buckets.take("x", at) for at in (9.0, 8.0, 7.0, 8.9, 9.0)] == [True, True, False, False, False]


def test_record_keeps_its_bounds_and_never_evicts():
    record = MemoryRecord()
    for number in range(REPLAY_ENTRIES_PER_SIGNER):
        assert record.remember(number.to_bytes(32), signer="e", expires_ntp_s=100, now_ntp_s=0)
    assert not record.has_room("e", now_ntp_s=0)
    with pytest.raises(RecordFullError):
        record.remember(b"one more", signer="e", expires_ntp_s=100, now_ntp_s=0)
    assert not record.remember(bytes(32), signer="f", expires_ntp_s=100, now_ntp_s=0)
    for number in range(REPLAY_ENTRIES_PER_SIGNER, REPLAY_ENTRIES):
        record.remember(number.to_bytes(32), signer=str(number), expires_ntp_s=100, now_ntp_s=0)
    assert not record.has_room("new", now_ntp_s=100 + WINDOW_S + 1)
    record.raise_floor(100 + WINDOW_S)
    assert not record.has_room("new", now_ntp_s=100 + WINDOW_S + 1)
    record.raise_floor(100 + WINDOW_S + 1)
    assert not record.has_room("new", now_ntp_s=100 + WINDOW_S), "a clock below the floor drops nothing"
    assert record.has_room("new", now_ntp_s=100 + WINDOW_S + 1)


def test_refused_ring_forgets_the_oldest():
    ring = RefusedRing()
    for number in range(REFUSED_RING + 1):
        ring.add(bytes([number]), b"reject")
    assert ring.reject_for(b"\0") is None
    assert ring.reject_for(b"\1") == b"reject"


def test_timers_fall_due_in_order():
    timers = TimerSet()
    timers.start(1, Timer.T4100, 5.0)
    timers.start(2, Timer.T4108, 3.0)
    timers.start(1, Timer.T4101, 3.0)
    timers.start(3, Timer.T4108, 4.0)
    timers.stop(3, Timer.T4108)
    assert timers.next_deadline_s() == 3.0
    assert list(timers.take_due(4.5)) == [(2, Timer.T4108), (1, Timer.T4101)]
    timers.stop_all(1)
    assert timers.next_deadline_s() is None


@pytest.mark.parametrize(
    ("pattern", "uri", "expected"),
    [
        ("*", "tel:+1", True),
        ("tel:+44*", "tel:+447", True),
        ("tel:+44*", "tel:+337", False),
        ("sip:*@a.org", "sip:x@a.org", True),
        ("sip:*@a.org", "sip:x@axorg", False),
    ],
)
def test_patterns(pattern, uri, expected):
    assert matches(pattern, uri) is expected


def test_strictest_rule_wins_key_by_key():
    policy = Policy(
        rules=(
            ("tel:*", LinkPolicy(mutual_ask=Mutual.NOT_WANTED, ciphering=(1, 2), allow_null_integrity=True)),
            ("tel:+44*", LinkPolicy(mutual_ask=Mutual.REQUIRED, ciphering=(2, 3), kdfs=(Kdf.FC33536,))),
        )
    )
    both = policy.towards("tel:+447")
    assert (both.mutual_ask, both.ciphering, both.allow_null_integrity, both.kdfs) == (
        Mutual.REQUIRED,
        (2,),
        False,
        (Kdf.FC33536,),
    )
    assert policy.towards("tel:+33").mutual_ask is Mutual.NOT_WANTED
    assert policy.towards("sip:a@b.org") == LinkPolicy()


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("*", "", True),
        ("tel:+4477*", "tel:+44770*1", True),
        ("tel:+4477*", "tel:+4478*", False),
        ("*1", "tel:*2", False),
        ("tel:*", "*@b.org", True),
        ("sip:a@b.org", "sip:a@b.org", True),
        ("sip:a@b.org", "sip:a@b.or", False),
        ("*a*b*", "*b*a*", True),
        ("*a" * 40, "*b" * 40, False),
    ],
)
def test_patterns_that_can_match_one_uri(one, other, meet):
    assert patterns_meet(one, other) is patterns_meet(other, one) is meet


def test_null_algorithms_are_last_and_only_where_allowed():
    offered = SecurityCapabilities.of((0, 3), (0, 1))
    assert LinkPolicy().choose(offered) == ChosenAlgorithms(eea=3, eia=1)
    assert LinkPolicy(ciphering=(2,)).choose(offered) is None
    allowing = LinkPolicy(ciphering=(2,), allow_null_ciphering=True)
    assert allowing.choose(offered) == ChosenAlgorithms(eea=0, eia=1)
    assert allowing.offer().eea == {0, 2}


def test_contradictions_are_refused():
    with pytest.raises(PolicyError):
        LinkPolicy(both_needed=True, mutual_give=MutualGive.NEVER)
    with pytest.raises(PolicyError):
        LinkPolicy(ciphering=(0,))
