"""The check of state tables finds what it is for, in tables made for it; those of the code are cases of the model."""

from __future__ import annotations

from enum import Enum

from docs.formal.state_tables import AnyTable, check
from prose_link.pc5s.core.fsm import to


class Places(Enum):
    IDLE = "idle"
    ASKING = "asking"
    WAITING = "waiting"


class Does(Enum):
    ASK = "send it, start T4100"
    WAIT = "start T4101 and T4108"
    AGAIN = "send it again, T4101 doubled"
    NOTHING = "nothing"


class Hears(Enum):
    WANTED = "wanted"
    ANSWER = "answer"
    TRIES_LEFT = "T4100, tries left"
    NONE_LEFT = "T4100, none left"
    NONE_LEFT_IF = "T4100, none left, once more"
    T4101 = "T4101"
    T4108 = "T4108"


IDLE, ASKING, WAITING = Places
START: AnyTable = {(IDLE, Hears.WANTED): to(ASKING, Does.ASK)}
ASKS: AnyTable = {
    **START,
    (ASKING, Hears.TRIES_LEFT): to(ASKING, Does.ASK),
    (ASKING, Hears.NONE_LEFT): to(IDLE),
}


def test_question_that_is_repeated_and_given_up() -> None:
    assert check(ASKS).holds


def test_state_without_a_timer_is_a_deadlock() -> None:
    result = check({**START, (ASKING, Hears.ANSWER): to(IDLE)})
    assert result.broken.startswith("deadlock in ASKING")
    assert result.trace == ("wanted",)


def test_timer_that_no_action_starts_is_not_counted_on() -> None:
    result = check({**ASKS, (ASKING, Hears.ANSWER): to(WAITING, Does.NOTHING), (WAITING, Hears.T4108): to(IDLE)})
    assert result.broken.startswith("deadlock in WAITING")


def test_question_that_starts_anew_is_a_livelock() -> None:
    assert check({**ASKS, (ASKING, Hears.NONE_LEFT): to(ASKING, Does.ASK)}).broken.startswith("livelock in ASKING")


def test_a_condition_is_met_once() -> None:
    assert check({**ASKS, (ASKING, Hears.NONE_LEFT_IF): to(ASKING, Does.ASK)}).holds


def test_repetition_without_end_needs_another_timer_to_end_it() -> None:
    waits: AnyTable = {
        **ASKS,
        (ASKING, Hears.ANSWER): to(WAITING, Does.WAIT),
        (WAITING, Hears.T4101): to(WAITING, Does.AGAIN),
    }
    assert check(waits).broken.startswith("livelock in WAITING")
    assert check({**waits, (WAITING, Hears.T4108): to(IDLE)}).holds
    started_again = {**waits, (WAITING, Hears.T4101): to(WAITING, Does.WAIT), (WAITING, Hears.T4108): to(IDLE)}
    assert check(started_again).broken.startswith("livelock in WAITING")
