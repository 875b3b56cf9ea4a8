"""Every event that is not silent is told in words, whatever texts it holds."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, get_type_hints

import pytest
from rich.text import Text

from lab_scripts.console.live_console import LiveConsole
from lab_scripts.console.sentences import SILENT, plain_sentence_of, sentence_of, told_classes
from lab_scripts.console.timeline import told
from lab_scripts.events.catalogue import CATALOGUE
from prose_link.pc5s.core.events import AcceptRefused, ClockJumped, Dropped, LinkReleased, Rekeyed, RequestRefused
from prose_link.sync.events import SyncRefSelected
from prose_link.ue.events import L2Dropped, WeakLinksAllowed
from prose_link.userplane.events import TransferReceived
from radio.emulator.events import RfServing, UeLeft, WaitingFor
from tests.samples.events import an_event, at

BRACKETS = "[/]x[b]"
TOLD = sorted(told_classes(), key=lambda kind: kind.__name__)


def sample(kind: type) -> object:
    times = {"started_s": 1.0, "finished_s": 2.0} if kind is TransferReceived else {}
    return an_event(kind, **times)


@pytest.mark.parametrize("kind", TOLD, ids=lambda kind: kind.__name__)
def test_a_sentence_is_words(kind: type) -> None:
    sentence = sentence_of(sample(kind))
    assert sentence and re.search(r"[a-z]{2}", Text.from_markup(sentence).plain)
    assert not re.search(r"\w+\(\w+=|<\w+\.|None\b", sentence), "a Python value is no word"


def with_brackets(event: Any) -> Any:
    """The same event, brackets in every text of it."""
    values = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    hints = get_type_hints(type(event))
    texts = {name: BRACKETS for name, value in values.items() if isinstance(value, str)}
    lists = {name: (BRACKETS,) for name in values if hints[name] == tuple[str, ...]}
    return dataclasses.replace(event, **texts, **lists)


@pytest.mark.parametrize("kind", TOLD, ids=lambda kind: kind.__name__)
def test_brackets_in_the_texts_of_an_event_stay_brackets(kind: type) -> None:
    plain = plain_sentence_of(with_brackets(sample(kind)))
    assert plain is not None
    assert plain.replace(BRACKETS, "").isprintable() and "\\" not in plain
    assert plain.count("[/]") == plain.count("[b]") == plain.count(BRACKETS)


def test_silent_events_have_no_sentence() -> None:
    assert all(sentence_of(sample(kind)) is None for kind in SILENT)
    assert told_classes() | SILENT.keys() == set(CATALOGUE.values())


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (an_event(RequestRefused, step=6, cause=0x80, why="window"), "refused with cause 0x80 at check 6: window"),
        (an_event(RequestRefused, step=9, why="collision: x"), "the peer has asked too: own request stands"),
        (an_event(AcceptRefused, step=3, why="hash"), "refused silently at check 3: hash"),
        (an_event(LinkReleased, why="no [bold] reason"), "link released: no [bold] reason; keys wiped"),
        (an_event(Rekeyed, peer="b", kd_sess_id=0x1234, old_kd_sess_id=1, new_kd=True),
         "link with b rekeyed, KD-sess ID 1234 after 0001, with a new KD"),
        (an_event(ClockJumped, step_s=-90), "clock has jumped by -90 s: no set-up until it is back in step"),
        (an_event(SyncRefSelected, n_sl_id=30, s_rsrp_dbm=-80.2, left_n_sl_id=-1), "follows SLSS 30, S-RSRP -80 dBm"),
        (an_event(SyncRefSelected, n_sl_id=30, s_rsrp_dbm=-80.2, left_n_sl_id=7),
         "follows SLSS 30, S-RSRP -80 dBm, leaves 7"),
        (an_event(WeakLinksAllowed, keys=("a.b", "c.d")), "weak links allowed by a.b, c.d"),
        (an_event(UeLeft, ue="ue-a", hub_block=1500), "ue-a left, 1.5 s of air time after the start"),
        (an_event(WaitingFor, ues=("ue-a", "ue-b"), waited_s=4.0),
         "virtual time stands still for 4 s: waiting for ue-a, ue-b"),
        (RfServing(endpoint="ipc://x", scenario="s", seed=7, sample_rate_hz=1, ues=("ue-a", "ue-b"), come_and_go=True),
         "air 's' at ipc://x, seed 7: ue-a, ue-b may come and go"),
    ],
)  # fmt: skip
def test_what_is_said(event: object, words: str) -> None:
    assert plain_sentence_of(event) == words


def test_a_line_says_when_and_who() -> None:
    line = told(at(an_event(LinkReleased, why="done"), "ue-a", 12.34))
    assert line is not None and Text.from_markup(line).plain == "     12.3 ms  ue-a  link released: done; keys wiped"
    assert told(at(an_event(L2Dropped))) is None


def test_the_live_console_tells_the_first_drop_of_each_reason(capsys: pytest.CaptureFixture[str]) -> None:
    console = LiveConsole()
    for event in (
        an_event(L2Dropped, why="too late: 1"),
        an_event(L2Dropped, why="too late: 2"),
        an_event(Dropped, why="too late"),
        an_event(L2Dropped, why="[bad]"),
    ):
        console.tell(at(event))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("dropped ")[2] for line in lines] == [
        "a PDU: too late: 1 (first)",
        "a PC5-S message: too late (first)",
        "a PDU: [bad] (first)",
    ]
