"""The report of a refused request and the Reject to its sender: when there is one, and when it is remembered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.pc5s.core.events import RequestRefused
from prose_link.pc5s.core.replay import RefusedRing
from prose_link.pc5s.core.shared import Outbox
from prose_link.pc5s.identity.examination import Refusal
from prose_link.pc5s.identity.refusals import refuse
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.messages import Cause, DirectReject

HASH = bytes(range(32))
PEER = "tel:+447700900002"


class Bench:
    """One request under examination, and what its refusal sends and leaves behind."""

    def __init__(self, *, answers_unverified: bool = False, request_hash: bytes = HASH) -> None:
        self.outbox, self.refused = Outbox(), RefusedRing()
        self.sent: list[Any] = []
        self.desk: Any = SimpleNamespace(
            config=SimpleNamespace(reject_unverified=answers_unverified),
            outbox=self.outbox,
            send_plain=lambda octets, to: self.sent.append((octets, to)),
        )
        self.exam: Any = SimpleNamespace(
            desk=self.desk,
            request_hash=request_hash,
            peer=PEER,
            pdu=SimpleNamespace(src_l2=0xB, sender="its sender"),
            limits=SimpleNamespace(refused=self.refused),
        )

    def refuse(self, step: int, cause: Cause | None) -> None:
        refuse(self.exam, Refusal(step=step, why="because", cause=cause, detail="of this"))

    def reported(self) -> int | None:
        """The cause in the one event, whose other fields are those of the refusal."""
        event = self.outbox.next_event()
        assert isinstance(event, RequestRefused)
        assert (event.why, event.detail, event.peer, event.peer_l2) == ("because", "of this", PEER, 0xB)
        assert self.outbox.next_event() is None and self.outbox.counters == {"because": 1}
        return event.cause


@pytest.mark.parametrize("answers_unverified", [True, False])
def test_a_verified_sender_gets_its_cause_and_the_reject_is_remembered(answers_unverified: bool) -> None:
    bench = Bench(answers_unverified=answers_unverified)
    bench.refuse(10, Cause.NOT_ALLOWED)
    assert bench.reported() is Cause.NOT_ALLOWED
    ((octets, to),) = bench.sent
    assert decode(octets) == DirectReject(sequence_number=1, cause=Cause.NOT_ALLOWED, request_hash=HASH[:8])
    assert to == "its sender" and bench.refused.reject_for(HASH) == octets


@pytest.mark.parametrize("step", range(1, 12))
def test_without_a_cause_nothing_is_sent(step: int) -> None:
    bench = Bench()
    bench.refuse(step, None)
    assert bench.reported() is None
    assert bench.sent == [] and bench.refused.reject_for(HASH) is None


@pytest.mark.parametrize("step", range(1, 12))
def test_a_lab_may_answer_what_did_not_verify_and_does_not_remember_it(step: int) -> None:
    bench = Bench(answers_unverified=True)
    bench.refuse(step, None)
    if step in (4, 5, 10):
        assert bench.reported() is Cause.AUTHENTICATION_FAILURE
        ((octets, _),) = bench.sent
        assert decode(octets).cause == Cause.AUTHENTICATION_FAILURE
    else:
        assert bench.reported() is None and bench.sent == []
    assert bench.refused.reject_for(HASH) is None


def test_a_request_whose_hash_is_not_known_gets_no_reject() -> None:
    bench = Bench(request_hash=b"")
    bench.refuse(10, Cause.NOT_ALLOWED)
    assert bench.reported() is Cause.NOT_ALLOWED and bench.sent == []
