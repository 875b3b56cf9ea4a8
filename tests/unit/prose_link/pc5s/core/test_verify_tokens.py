"""The budget of verifications at its edges: the two halves of the tokens, the waiting room, and what is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prose_link.pc5s.core.verify_budget import (
    LONGEST_WAIT_S,
    SEEN_FOR_S,
    SIGNERS_KEPT,
    WAITING_ROOM,
    Admission,
    VerifyBudget,
    VerifyBudgetError,
    _HalvedTokens,
    check_rate,
)
from prose_link.pc5s.wire.pdus import ReceivedPdu
from tests.benches.pc5s_bench import via_of

SPACING_S = 0.25


class Chance:
    """Octets that a test chooses; it counts how often they are drawn."""

    def __init__(self, *values: int) -> None:
        self.values = list(values)
        self.sizes: list[int] = []

    def __call__(self, n: int) -> bytes:
        self.sizes.append(n)
        return self.values.pop(0).to_bytes(n, "big")


def pdu(data: bytes, *, carrier: str = "direct", src_l2: int = 1) -> ReceivedPdu:
    return ReceivedPdu(data=data, src_l2=src_l2, dst_l2=2, lcid=28, via=via_of(carrier, src_l2))


def budget(chance: Any = None, per_s: float = 20.0) -> VerifyBudget:
    return VerifyBudget(chance or Chance(), per_s=per_s, spacing_s=SPACING_S)


def emptied(chance: Any = None, *, opened: float = 0.0, kept: float = 0.0, per_s: float = 20.0) -> VerifyBudget:
    """A budget that was last filled at 10.0, with so many tokens in each half."""
    made = budget(chance, per_s)
    made._tokens.fill(10.0)
    made._tokens._open, made._tokens._kept = opened, kept
    return made


def halves(tokens: _HalvedTokens) -> tuple[float, float]:
    """The open half and the kept half."""
    return tokens._open, tokens._kept


@pytest.mark.parametrize(("per_s", "holds"), [(2.0, 1.0), (2.5, 1.25), (3.0, 1.5), (400.0, 200.0)])
def test_each_half_holds_half_a_second_and_is_full_at_the_start(per_s: float, holds: float) -> None:
    tokens = _HalvedTokens(per_s)
    assert halves(tokens) == (holds, holds)
    tokens.fill(5.0)
    tokens.fill(99.0)
    assert halves(tokens) == (holds, holds)


def test_a_half_holds_one_token_at_least() -> None:
    assert halves(_HalvedTokens(0.5)) == (1.0, 1.0)


def test_time_fills_both_halves_alike() -> None:
    tokens = _HalvedTokens(20.0)
    tokens.fill(5.0)
    tokens._open, tokens._kept = 1.0, 2.0
    tokens.fill(5.1)
    assert halves(tokens) == pytest.approx((2.0, 3.0))
    tokens.fill(4.0)
    assert halves(tokens) == pytest.approx((2.0, 3.0))
    tokens.fill(5.1)
    assert halves(tokens) == pytest.approx((2.0, 3.0)), "a clock that went back brings nothing when it returns"
    tokens.fill(5.2)
    assert halves(tokens) == pytest.approx((3.0, 4.0))


@pytest.mark.parametrize(
    ("before", "after"), [((1.0, 9.5), (2.5, 10.0)), ((9.5, 1.0), (10.0, 2.5)), ((9.9, 9.5), (10.0, 10.0))]
)
def test_what_one_half_cannot_hold_goes_to_the_other(before: tuple[float, float], after: tuple[float, float]) -> None:
    tokens = _HalvedTokens(20.0)
    tokens.fill(5.0)
    tokens._open, tokens._kept = before
    tokens.fill(5.1)
    assert halves(tokens) == pytest.approx(after)


@pytest.mark.parametrize(
    ("favoured", "before", "taken", "after"),
    [
        (True, (2.0, 2.0), True, (2.0, 1.0)),
        (True, (2.0, 0.5), True, (1.0, 0.5)),
        (True, (0.5, 0.5), False, (0.5, 0.5)),
        (False, (2.0, 2.0), True, (1.0, 2.0)),
        (False, (0.5, 2.0), False, (0.5, 2.0)),
        (False, (1.0, 0.0), True, (0.0, 0.0)),
        (True, (0.0, 1.0), True, (0.0, 0.0)),
    ],
)
def test_a_token_is_taken_from_the_half_that_is_allowed(
    favoured: bool, before: tuple[float, float], taken: bool, after: tuple[float, float]
) -> None:
    tokens = _HalvedTokens(20.0)
    tokens._open, tokens._kept = before
    assert tokens.take(favoured=favoured) is taken
    assert halves(tokens) == after


def test_a_token_short_of_a_rounding_error_is_whole() -> None:
    tokens = _HalvedTokens(20.0)
    tokens._open = tokens._kept = 1.0 - 1e-6
    assert tokens.take(favoured=False) and tokens.take_kept()
    tokens._open = tokens._kept = 1.0 - 2e-6
    assert not tokens.take(favoured=True)


def test_a_token_is_given_back_to_its_half() -> None:
    tokens = _HalvedTokens(20.0)
    tokens._open, tokens._kept = 3.0, 5.0
    tokens.give_back(favoured=True)
    assert halves(tokens) == (3.0, 6.0)
    tokens.give_back(favoured=False)
    assert halves(tokens) == (4.0, 6.0)


@pytest.mark.parametrize(
    ("favoured", "opened", "kept", "next_s"),
    [
        (False, 0.0, 0.0, 5.1),
        (False, 0.0, 10.0, 5.05),
        (False, 0.0, 9.9, 5.1),
        (False, 0.5, 0.0, 5.05),
        (False, 3.0, 0.0, 5.0),
        (True, 0.0, 0.0, 5.1),
        (True, 0.0, 0.5, 5.05),
        (True, 0.5, 0.0, 5.05),
        (True, 10.0, 0.0, 5.0),
        (True, 0.0, 3.0, 5.0),
    ],
)
def test_the_time_of_the_next_token(favoured: bool, opened: float, kept: float, next_s: float) -> None:
    tokens = _HalvedTokens(20.0)
    tokens.fill(5.0)
    tokens._open, tokens._kept = opened, kept
    assert tokens.next_token_s(favoured=favoured) == pytest.approx(next_s)


def test_the_kept_half_fills_at_the_whole_rate_while_the_open_one_is_full() -> None:
    tokens = _HalvedTokens(2.0)
    tokens.fill(5.0)
    tokens._open, tokens._kept = 1.0, 0.0
    assert tokens._full_after_s(tokens._kept, tokens._open) == 0.5
    tokens._open = 0.999
    assert tokens._full_after_s(tokens._kept, tokens._open) == 1.0


def test_before_the_first_fill_time_is_counted_from_zero() -> None:
    tokens = _HalvedTokens(20.0)
    tokens._open = 0.0
    assert tokens.next_token_s(favoured=False) == 0.05


@pytest.mark.parametrize("per_s", [2.0, 100_000.0])
def test_the_ends_of_the_rates_are_allowed(per_s: float) -> None:
    check_rate(per_s)


@pytest.mark.parametrize("per_s", [1.999, 100_000.1])
def test_rates_beyond_their_ends_are_refused(per_s: float) -> None:
    with pytest.raises(VerifyBudgetError):
        check_rate(per_s)


def test_at_the_least_rate_there_is_one_token_for_strangers_and_one_is_kept() -> None:
    made = budget(per_s=2.0)
    assert made.ask(pdu(b"1"), "x", 1.0) is Admission.GRANTED
    assert made.ask(pdu(b"2"), "x", 1.0, is_proven=True) is Admission.GRANTED
    assert made.ask(pdu(b"3"), "x", 1.0, is_proven=True) is Admission.WAITS


def test_a_message_that_is_proven_cheaply_may_use_the_kept_half() -> None:
    made = emptied(kept=1.0)
    assert made.ask(pdu(b"1"), "x", 10.0) is Admission.WAITS
    assert made.ask(pdu(b"2"), "x", 10.0, is_proven=True) is Admission.WAITS, "no message overtakes one that waits"
    assert made.draw(10.0).data == b"2"
    assert made.ask(pdu(b"2"), "x", 10.0) is Admission.GRANTED
    assert made.draw(10.0) is None and len(made) == 1


def test_a_single_message_is_drawn_without_chance_and_two_by_four_octets() -> None:
    chance = Chance(3)
    made = emptied(chance, opened=2.0)
    for data in (b"1", b"2"):
        assert made.ask(pdu(data), "x", 10.0) is Admission.GRANTED
    for data in (b"3", b"4"):
        assert made.ask(pdu(data), "x", 10.0) is Admission.WAITS
    made._tokens._open = 2.0
    assert made.draw(10.0).data == b"4", "3 modulo 2 is the second"
    assert made.ask(pdu(b"4"), "x", 10.0) is Admission.GRANTED
    assert made.draw(10.0).data == b"3"
    assert chance.sizes == [4]


def test_the_message_that_came_most_often_is_drawn_before_one_that_is_proven() -> None:
    made = emptied()
    made.ask(pdu(b"proven"), "x", 9.8, is_proven=True)
    for now_s in (9.5, 9.75, 10.0):
        made.ask(pdu(b"often"), "x", now_s)
    made._tokens._kept = 1.0
    assert made.draw(10.0).data == b"often"


def test_among_those_that_came_equally_often_chance_decides() -> None:
    made = emptied(Chance(2))
    for data in (b"0", b"1", b"2"):
        for now_s in (9.75, 10.0):
            made.ask(pdu(data), "x", now_s)
    made.ask(pdu(b"once"), "x", 10.0, is_proven=True)
    made._tokens._kept = 1.0
    assert made.draw(10.0).data == b"2"


@pytest.mark.parametrize(
    ("after_s", "comings", "came_at_s"), [(SPACING_S, 2, 1.25), (SPACING_S - 0.01, 1, 1.0), (SEEN_FOR_S, 2, 31.0)]
)
def test_a_copy_counts_as_a_repetition_from_the_spacing_on(after_s: float, comings: int, came_at_s: float) -> None:
    made = emptied()
    made.ask(pdu(b"1"), "x", 1.0)
    made.ask(pdu(b"1"), "x", 1.0 + after_s)
    (seen,) = made._seen.values()
    assert (seen.comings, seen.came_at_s) == (comings, came_at_s)


def test_after_a_while_a_message_is_new_again() -> None:
    made = budget()
    assert made.ask(pdu(b"1"), "x", 1.0) is Admission.GRANTED
    assert made.ask(pdu(b"1"), "x", 1.0 + SEEN_FOR_S) is Admission.FAILED_BEFORE
    assert made.ask(pdu(b"1"), "x", 1.1 + 2 * SEEN_FOR_S) is Admission.GRANTED
    (seen,) = made._seen.values()
    assert seen.comings == 1


def test_a_full_room_lets_a_stranger_go_before_a_favoured_message() -> None:
    made = emptied(Chance(*[0] * 3))
    made.ask(pdu(b"proven"), "x", 10.0, is_proven=True)
    for n in range(WAITING_ROOM - 1):
        made.ask(pdu(b"%d" % n), "x", 10.0)
    assert len(made) == WAITING_ROOM and made.take_lapsed() == []
    made.ask(pdu(b"one more"), "x", 10.0)
    assert [one.pdu.data for one in made.take_lapsed()] == [b"0"]
    assert len(made) == WAITING_ROOM and len(made._favoured) == 1


def test_a_room_full_of_favoured_messages_lets_one_of_them_go() -> None:
    made = emptied(Chance(5))
    for n in range(WAITING_ROOM + 1):
        made.ask(pdu(b"%d" % n), "x", 10.0, is_proven=True)
    assert [one.pdu.data for one in made.take_lapsed()] == [b"5"]
    assert len(made) == len(made._favoured) == WAITING_ROOM


def test_a_copy_of_a_waiting_message_waits_for_as_long_again_and_takes_no_second_place() -> None:
    made = emptied(per_s=2.0)
    made._tokens._per_s = 1e-6
    made.ask(pdu(b"1"), "signer", 10.0)
    made.ask(pdu(b"2"), "x", 10.1)
    made.ask(pdu(b"1"), "signer", 10.2)
    assert len(made) == 2
    assert made.draw(10.2 + LONGEST_WAIT_S) is None
    lapsed = made.take_lapsed()
    assert [(one.pdu.data, one.signer) for one in lapsed] == [(b"2", "x"), (b"1", "signer")]
    assert [one.until_s for one in lapsed] == [10.1 + LONGEST_WAIT_S, 10.2 + LONGEST_WAIT_S]


def test_a_message_waits_to_its_last_moment_and_no_longer() -> None:
    made = emptied(opened=0.0)
    made.ask(pdu(b"1"), "x", 10.0)
    made._tokens._open = 5.0
    assert made.draw(10.0 + LONGEST_WAIT_S) is None
    assert len(made.take_lapsed()) == 1 and made.next_timer() is None


def test_a_source_that_has_had_its_share_may_repeat_what_waits() -> None:
    made = emptied()
    for n in range(10):
        assert made.ask(pdu(b"%d" % n, carrier="ims"), "x", 10.0) is Admission.WAITS
    assert made.ask(pdu(b"new", carrier="ims"), "x", 10.0) is Admission.REFUSED
    assert made.ask(pdu(b"0", carrier="ims"), "x", 10.0) is Admission.WAITS
    assert len(made) == 10


def test_a_favoured_token_that_was_not_used_goes_back_to_the_kept_half() -> None:
    made = emptied(kept=1.0)
    made.ask(pdu(b"stranger"), "x", 10.0)
    made.ask(pdu(b"1"), "x", 10.0, is_proven=True)
    assert made.draw(10.0).data == b"1"
    assert halves(made._tokens) == (0.0, 0.0)
    assert made.draw(10.0) is None
    assert halves(made._tokens) == (0.0, 1.0)
    assert made.draw(10.0) is None
    assert halves(made._tokens) == (0.0, 1.0), "it is given back once"


def test_a_grant_is_for_its_message_alone_and_used_once() -> None:
    made = emptied()
    made.ask(pdu(b"1"), "x", 10.0)
    made._tokens._open = 1.0
    assert made.draw(10.0).data == b"1"
    assert made.ask(pdu(b"2"), "x", 10.0) is Admission.WAITS
    assert made.ask(pdu(b"1"), "x", 10.0) is Admission.GRANTED
    assert made.ask(pdu(b"1"), "x", 10.0) is Admission.FAILED_BEFORE
    assert halves(made._tokens) == (0.0, 0.0)


def test_what_makes_a_message_another_one() -> None:
    made = budget(per_s=400.0)
    first = pdu(b"1")
    assert made.ask(first, "x", 1.0) is Admission.GRANTED
    others = [
        replace(first, data=b"2"),
        replace(first, src_l2=9),
        replace(first, lcid=29),
        replace(first, via=via_of("direct", 9)),
        replace(first, via=via_of("ims", 1)),
    ]
    assert [made.ask(one, "x", 1.0) for one in others] == [Admission.GRANTED] * 5
    same = replace(first, dst_l2=9, kd_sess_id=5, sn=3)
    assert made.ask(same, "y", 1.0) is Admission.FAILED_BEFORE


def test_a_message_that_verified_is_forgotten_unless_it_waits_again() -> None:
    made = emptied(opened=1.0)
    assert made.ask(pdu(b"1"), "signer", 10.0) is Admission.GRANTED
    made.verified(pdu(b"1"), "signer")
    made.verified(pdu(b"1"), "signer")
    assert len(made._seen) == 0
    made.ask(pdu(b"1"), "x", 10.0)
    made.verified(pdu(b"1"), "signer")
    assert len(made._seen) == len(made) == 1


def test_the_signer_verified_longest_ago_is_forgotten() -> None:
    made = emptied(kept=2.0)
    for n in range(SIGNERS_KEPT):
        made.verified(pdu(b"s"), f"signer {n}")
    made.verified(pdu(b"s"), "signer 0")
    assert len(made._signers) == SIGNERS_KEPT
    made.verified(pdu(b"s"), "signer new")
    assert len(made._signers) == SIGNERS_KEPT
    assert "signer 1" not in made._signers and {"signer 0", "signer new"} <= made._signers.keys()
    assert made.ask(pdu(b"a"), "signer 0", 10.0) is Admission.GRANTED
    assert made.ask(pdu(b"b"), "signer 1", 10.0) is Admission.WAITS


def test_the_timer_of_a_favoured_message_is_that_of_the_kept_half() -> None:
    made = emptied()
    made.ask(pdu(b"1"), "x", 10.0)
    made._tokens._kept = 0.5
    assert made.next_timer() == pytest.approx(10.1)
    made.ask(pdu(b"2"), "x", 10.0, is_proven=True)
    assert made.next_timer() == pytest.approx(10.05)


def test_what_was_wiped_waits_no_more_and_is_granted_nothing() -> None:
    made = emptied(Chance(0), per_s=2.0)
    made.ask(pdu(b"stranger"), "x", 10.0)
    for n in range(WAITING_ROOM):
        made.ask(pdu(b"%d" % n), "x", 10.0, is_proven=True)
    made._tokens._open = made._tokens._kept = 1.0
    assert made.draw(10.0) is not None
    made.wipe()
    assert (len(made), made.next_timer(), made.take_lapsed(), made._favoured) == (0, None, [], {})
    opened = halves(made._tokens)
    assert made.draw(10.0) is None
    assert halves(made._tokens) == opened, "nothing is given back"
