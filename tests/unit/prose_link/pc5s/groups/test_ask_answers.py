"""A keyer's answers to asks: with the current key or with a new one, and no more than the rates allow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.instant import Instant
from prose_link.pc5s.core.group_config import info_of
from prose_link.pc5s.core.group_events import GroupAskAnswered, GroupEpochFailed
from prose_link.pc5s.core.shared import Outbox
from prose_link.pc5s.groups.answers import AskAnswers
from security.errors import SecurityError
from security.groups import GroupKeying

GROUP, MEMBER, KEYER = "tel:+4499", "tel:+441", "tel:+442"


def order_of(epoch: int, tag: bytes = bytes(8)) -> Any:
    keying = GroupKeying(
        group_identity=GROUP, group_l2=5, pgk_id=1, epoch=epoch, expiry_ntp_s=9, eea=2, mode=1, tag=tag
    )
    return SimpleNamespace(keying=keying, removals=f"removals {epoch}", ssv=b"ssv %d" % epoch)


class Bench:
    """The answers of one keyer, which holds the key of epoch 7 that it has made."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.keyer: Any = SimpleNamespace(current=order_of(7))
        self.held: Any = order_of(7)
        self.asked_l2: list[int] = []
        self.sent: list[Any] = []
        self.again: list[bytes] = []
        self.made: list[Any] = []
        self.error: Exception | None = None
        deliveries: Any = SimpleNamespace(answer=lambda *args: self.sent.append(args), answer_again=self._again)
        config: Any = SimpleNamespace(identity=GROUP, l2_id=5, keyers=(KEYER,))
        membership: Any = SimpleNamespace(newest=lambda l2_id: self.asked_l2.append(l2_id) or self.held)
        desk: Any = SimpleNamespace(outbox=self.outbox)
        self.answers = AskAnswers(desk, config, membership, self.keyer, deliveries, self._new_epoch)

    def _again(self, ask_hash: bytes) -> bool:
        self.again.append(ask_hash)
        return ask_hash == b"known"

    def _new_epoch(self, *args: Any) -> None:
        if self.error is not None:
            raise self.error
        self.made.append(args)
        self.keyer.current = self.held = order_of(8 + len(self.made))

    def answer(self, mark: int, at_s: float = 100.0, member: str = MEMBER) -> str:
        party: Any = SimpleNamespace(identity=member)
        return self.answers.answer(party, b"hash", mark, Instant(at_s, 0.0))

    def events(self) -> list[Any]:
        events = []
        while (event := self.outbox.next_event()) is not None:
            events.append(event)
        return events


def test_a_member_that_knows_no_greater_mark_gets_the_current_key() -> None:
    bench = Bench()
    for mark in (0, order_of(7).keying.mark):
        assert bench.answer(mark) == ""
    order = order_of(7)
    now = Instant(100.0, 0.0)
    assert (
        bench.sent
        == [(SimpleNamespace(identity=MEMBER), b"hash", info_of(order.keying), order.removals, order.ssv, now)] * 2
    )
    assert bench.events() == [GroupAskAnswered(group=GROUP, member=MEMBER, epoch=7, new_epoch=False)] * 2
    assert bench.made == [] and bench.asked_l2 == [5, 5]


def test_a_member_that_knows_a_greater_mark_gets_a_new_key() -> None:
    bench = Bench()
    mark = order_of(7).keying.mark + 1
    assert bench.answer(mark) == ""
    assert bench.made == [(Instant(100.0, 0.0), f"{MEMBER} asks", mark)]
    assert bench.events() == [GroupAskAnswered(group=GROUP, member=MEMBER, epoch=9, new_epoch=True)]
    assert bench.sent[0][2] == info_of(order_of(9).keying)


@pytest.mark.parametrize(
    ("current", "held"),
    [(None, order_of(7)), (order_of(7), None), (order_of(7), order_of(8)), (order_of(7), order_of(6))],
)
def test_a_keyer_that_has_not_made_the_key_in_use_makes_one(current: Any, held: Any) -> None:
    bench = Bench()
    bench.keyer.current, bench.held = current, held
    assert bench.answer(0) == ""
    assert len(bench.made) == 1 and len(bench.sent) == 1


def test_new_keys_for_members_and_for_keyers_are_half_a_minute_apart_each() -> None:
    bench = Bench()
    refused = "a new key was made for an ask a moment ago"
    high = 1 << 100
    assert bench.answer(high, 100.0) == ""
    assert bench.answer(high, 129.9) == refused
    assert bench.answer(high, 129.9, KEYER) == ""
    assert bench.answer(high, 130.0) == ""
    assert bench.answer(high, 159.8, KEYER) == refused
    assert bench.answer(high, 159.9, KEYER) == ""
    assert len(bench.made) == len(bench.sent) == 4
    assert bench.answer(0, 159.9) == "", "the current key needs no new one"


def test_a_new_key_that_cannot_be_made_is_reported_and_counts_for_nothing() -> None:
    bench = Bench()
    bench.error = SecurityError("no keys")
    assert bench.answer(1 << 100) == "no new key can be made"
    assert bench.events() == [GroupEpochFailed(group=GROUP, why="no keys")]
    bench.error = None
    assert bench.answer(1 << 100) == ""


def test_without_a_key_there_is_no_answer() -> None:
    bench = Bench()
    bench.answers._new_epoch = lambda *_: None
    bench.keyer.current = None
    assert bench.answer(0) == "no key is held"
    assert bench.sent == [] and bench.events() == []


def test_answers_to_one_member_and_to_all_have_their_rates() -> None:
    bench = Bench()
    now = Instant(100.0, 0.0)
    assert [bench.answers.take_right("a", now) for _ in range(3)] == [True, True, False]
    assert [bench.answers.take_right(member, now) for member in "bbccdd"] == [True, True, True, False, False, False]
    assert bench.answers.take_right("a", Instant(102.0, 0.0))
    assert not bench.answers.take_right("a", Instant(102.0, 0.0))


def test_the_same_answer_goes_out_again_at_its_rate_and_only_where_it_is_known() -> None:
    bench = Bench()
    now = Instant(100.0, 0.0)
    assert bench.answers.answer_again(b"known", now)
    assert not bench.answers.answer_again(b"unknown", now)
    assert not bench.answers.answer_again(b"known", now), "both tokens are spent"
    assert bench.answers.answer_again(b"known", Instant(100.5, 0.0))
    assert bench.again == [b"known", b"unknown", b"known"]
