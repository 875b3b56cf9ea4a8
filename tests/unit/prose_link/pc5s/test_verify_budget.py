"""Who gets a verification: tokens, the waiting room, and those that come back."""

from itertools import count

import pytest

from prose_link.pc5s.core.verify_budget import (
    LONGEST_WAIT_S,
    SEEN_FOR_S,
    SEEN_KEPT,
    SIGNERS_KEPT,
    WAITING_ROOM,
    Admission,
    VerifyBudget,
    VerifyBudgetError,
)
from prose_link.pc5s.wire.pdus import ReceivedPdu
from tests.benches.pc5s_bench import via_of

SPACING_S = 0.25


def octets(seed=0):
    numbers = count(seed)
    return lambda n: (next(numbers) * 2654435761 % (1 << 32)).to_bytes(4)[:n]


def pdu(data, src_l2=1, carrier="direct"):
    return ReceivedPdu(data=data, src_l2=src_l2, dst_l2=2, lcid=28, via=via_of(carrier, src_l2))


def budget(per_s=20.0, seed=0):
    return VerifyBudget(octets(seed), per_s=per_s, spacing_s=SPACING_S)


def numbered(number):
    return pdu(b"%d" % number)


def exhausted(per_s=20.0, seed=0):
    """A budget without a token at 10.0."""
    made = budget(per_s, seed)
    made._tokens.fill(10.0)
    made._tokens._open = made._tokens._kept = 0.0
    return made


def drawn(made, now_s):
    """All that gets a token now, each verified at once, and found to be forged."""
    got = []
    while (one := made.draw(now_s)) is not None:
        assert made.ask(one, "x", now_s) is Admission.GRANTED
        got.append(one.data)
    return got


def test_the_open_half_goes_to_whoever_comes_and_the_kept_half_does_not():
    made = budget(per_s=20.0)
    asked = [made.ask(numbered(n), "nobody", 1.0) for n in range(30)]
    assert asked == [Admission.GRANTED] * 10 + [Admission.WAITS] * 20
    assert made.draw(1.0) is None


def test_who_was_verified_before_finds_the_kept_half():
    made = budget(per_s=20.0)
    for n in range(30):
        made.ask(numbered(n), "nobody", 1.0)
    made.verified(numbered(0), "known")
    assert made.ask(pdu(b"of a known signer"), "known", 1.0) is Admission.WAITS
    assert drawn(made, 1.0) == [b"of a known signer"]


def test_who_comes_back_with_the_spacing_finds_the_kept_half_and_who_comes_at_once_does_not():
    made = budget(per_s=20.0)
    for n in range(10):
        made.ask(numbered(n), "nobody", 1.0)
    hasty, patient = pdu(b"hasty"), pdu(b"patient")
    for after_s in (0.0, 0.01, 0.02):
        assert made.ask(hasty, "nobody", 1.0 + after_s) is Admission.WAITS
    made.ask(patient, "nobody", 1.02)
    assert drawn(made, 1.02) == []
    made.ask(patient, "nobody", 1.02 + SPACING_S)
    made.ask(hasty, "nobody", 1.02 + SPACING_S - 0.03)
    assert drawn(made, 1.02 + SPACING_S)[0] == b"patient"


def test_of_those_that_come_back_the_one_that_came_oftenest_is_first():
    made = exhausted()
    made._tokens._per_s = 1e-9
    comings = {b"one": 1, b"two": 2, b"five": 5, b"three": 3}
    for data, times in comings.items():
        for again in range(times):
            made.ask(pdu(data), "nobody", 11.0 - (times - 1 - again) * SPACING_S)
    made._tokens._kept = 2.0
    assert drawn(made, 11.0) == [b"five", b"three"]


def test_the_draw_is_at_random_and_not_in_the_order_of_coming():
    firsts = set()
    for seed in range(40):
        made = exhausted(per_s=20.0, seed=seed * 977)
        for n in range(8):
            made.ask(numbered(n), "nobody", 10.0)
        (first,) = drawn(made, 10.11)
        firsts.add(first)
    assert len(firsts) >= 6


def test_over_time_no_more_is_verified_than_the_rate():
    made, done = budget(per_s=20.0), 0
    for n in range(2000):
        now_s = 1.0 + n * 0.005
        done += made.ask(numbered(n), "nobody", now_s) is Admission.GRANTED
        done += len(drawn(made, now_s))
    assert 20 * 10 * 0.95 <= done <= 20 * 10 + 20, "all of the rate serves, since nobody else wants the kept half"


def test_octets_that_failed_get_no_second_token_and_another_signature_does():
    made = budget()
    assert made.ask(pdu(b"bad"), "nobody", 1.0) is Admission.GRANTED
    assert made.ask(pdu(b"bad"), "nobody", 1.1) is Admission.FAILED_BEFORE
    assert made.ask(pdu(b"bad"), "nobody", 2.0) is Admission.FAILED_BEFORE
    assert made.ask(pdu(b"bad."), "nobody", 2.0) is Admission.GRANTED
    assert made.ask(pdu(b"bad", src_l2=9), "nobody", 2.0) is Admission.GRANTED, "another source is another message"
    assert made.ask(pdu(b"bad"), "nobody", 2.1 + SEEN_FOR_S) is Admission.GRANTED, "it isn't remembered for ever"


def test_octets_that_verified_may_come_again():
    made = budget()
    assert made.ask(pdu(b"good"), "signer", 1.0) is Admission.GRANTED
    made.verified(pdu(b"good"), "signer")
    assert made.ask(pdu(b"good"), "signer", 1.1) is Admission.GRANTED


def test_a_grant_that_was_not_asked_for_gives_its_token_back():
    made = exhausted(per_s=20.0)
    made.ask(pdu(b"known by now"), "nobody", 10.0)
    made.ask(pdu(b"other"), "nobody", 10.0)
    first = made.draw(10.11)
    second = made.draw(10.11)
    assert {first.data, second.data} == {b"known by now", b"other"}
    assert made.ask(second, "nobody", 10.11) is Admission.GRANTED
    assert made.draw(10.11) is None


def test_everything_is_bounded():
    made = exhausted(per_s=2.0)
    for n in range(SEEN_KEPT + 500):
        made.ask(numbered(n), "nobody", 10.0)
    assert len(made) == WAITING_ROOM and len(made._seen) == SEEN_KEPT
    assert len(made.take_lapsed()) == SEEN_KEPT + 500 - WAITING_ROOM and not made.take_lapsed()
    for n in range(SIGNERS_KEPT + 9):
        made.verified(pdu(b"s%d" % n), f"signer {n}")
    assert len(made._signers) == SIGNERS_KEPT


def test_whoever_waits_too_long_leaves():
    made = exhausted(per_s=2.0)
    made.ask(pdu(b"one"), "nobody", 10.0)
    made.ask(pdu(b"two"), "nobody", 10.2)
    made._tokens._per_s = 0.001
    assert made.next_timer() == 10.0 + LONGEST_WAIT_S
    assert made.draw(10.0 + LONGEST_WAIT_S) is None
    assert [one.pdu.data for one in made.take_lapsed()] == [b"one"]
    assert made.next_timer() == 10.2 + LONGEST_WAIT_S
    made.wipe()
    assert made.next_timer() is None


@pytest.mark.parametrize("per_s", [2.0, 3.7, 20.0, 400.0])
def test_the_timer_always_leads_somewhere(per_s):
    """At every time that it names, something is drawn or leaves: no caller loops, and no message waits in vain."""
    made, now_s, got = exhausted(per_s), 10.0, 0
    for n in range(60):
        made.ask(numbered(n), "nobody", now_s + n * 1e-4)
    for _ in range(500):
        at_s = made.next_timer()
        if at_s is None:
            break
        now_s = max(now_s, at_s)
        got += len(drawn(made, now_s)) + len(made.take_lapsed())
    assert got == 60 and made.next_timer() is None


@pytest.mark.parametrize("per_s", [0, 1.9, -1, float("nan"), float("inf"), 1e9])
def test_rates_that_can_not_be(per_s):
    with pytest.raises(VerifyBudgetError, match="verify_per_s"):
        budget(per_s)


def test_a_registered_source_has_its_own_bucket():
    made = budget(per_s=400.0)
    asked = [made.ask(pdu(b"%d" % n, src_l2=7, carrier="ims"), "nobody", 1.0) for n in range(12)]
    assert asked == [Admission.GRANTED] * 10 + [Admission.REFUSED] * 2
    assert made.ask(pdu(b"12", src_l2=8, carrier="ims"), "nobody", 1.0) is Admission.GRANTED
    assert all(made.ask(pdu(b"%d" % n, src_l2=7), "nobody", 1.0) is Admission.GRANTED for n in range(50))
