"""Ask, repeat, give up: each question goes out as often as its number says, with its own wait between."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from prose_link.instant import Instant
from prose_link.pc5s.core.asking import CONFIRM_OR_KEEPALIVE, RELEASE
from prose_link.pc5s.core.fsm import Input
from prose_link.pc5s.core.timers import Timer, TimerValues
from prose_link.pc5s.identity.rekeying import REKEY_REQUEST
from prose_link.pc5s.identity.tables import RekeyInput

VALUES = TimerValues(t4100_s=0.7, n4100=5, t4101_s=0.2, n4101=4, t4103_s=0.4, n4103=2)
NOW = Instant(10.0, 1_790_000_000.0)


class Desk:
    def __init__(self):
        self.config = SimpleNamespace(timers=VALUES)
        self.started = []

    def start(self, _link, timer, after_s, now):
        self.started.append((timer, after_s, now))

    def spread(self, wait_s):
        return 2 * wait_s


@pytest.mark.parametrize(
    ("question", "timer", "wait_s", "transmissions", "tries_left", "none_left"),
    [
        (CONFIRM_OR_KEEPALIVE, Timer.T4101, 0.2, 4, Input.T4101_TRIES_LEFT, Input.T4101_NONE_LEFT),
        (RELEASE, Timer.T4103, 0.4, 2, Input.T4103_TRIES_LEFT, Input.T4103_NONE_LEFT),
        (REKEY_REQUEST, Timer.REKEY_T4100, 1.4, 5, RekeyInput.T4100_TRIES_LEFT, RekeyInput.T4100_NONE_LEFT),
    ],
)
def test_a_question_is_asked_again_until_its_tries_are_over(
    question, timer, wait_s, transmissions, tries_left, none_left
):
    desk, link, sent = Desk(), SimpleNamespace(sent={}), []
    for _ in range(2):
        del desk.started[:], sent[:]
        question.ask(desk, link, lambda: sent.append(len(desk.started)), NOW)
        while question.run_out(desk, link) is tries_left:
            question.ask_again(desk, link, lambda: sent.append(len(desk.started)), NOW)
        assert question.run_out(desk, link) is none_left
        assert sent == list(range(transmissions))
        assert desk.started == [(timer, wait_s, NOW)] * transmissions


def test_a_question_never_asked_has_its_tries_left():
    assert RELEASE.run_out(Desk(), SimpleNamespace(sent={})) is Input.T4103_TRIES_LEFT
    once = replace(RELEASE, transmissions=lambda _: 1)
    assert once.run_out(Desk(), SimpleNamespace(sent={})) is Input.T4103_TRIES_LEFT
