"""The check of an answer's I_MESSAGE: what costs hashes comes first, good results are kept, and each fault is named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.instant import Instant
from prose_link.pc5s.core.secret import Answers
from prose_link.pc5s.core.verify_budget import SAME_OCTETS, TOO_MANY, Admission, Waits
from prose_link.pc5s.identity.answer_proof import NOT_THE_PEERS, AnswerProof, ProofFault
from security.errors import SecurityError
from security.link.key_ladder import binding_hash
from security.mikey import Kind, ProfileFormError

PEER = "tel:+447700900002"
NOW = Instant(100.0, 50.0)
PAIR = binding_hash(b"t2"), binding_hash(b"signed")
I_MESSAGE = SimpleNamespace(signed_part=b"signed")


class Bench:
    """Credentials and a budget that do what a test says, and note in order what they were asked."""

    def __init__(self) -> None:
        self.admission = Admission.GRANTED
        self.calls: list[Any] = []
        self.errors: dict[str, Exception] = {}
        self.period_is_good = True
        self.answers = Answers()

    def _note(self, name: str, result: Any, *args: Any) -> Any:
        self.calls.append((name, *args))
        if name in self.errors:
            raise self.errors[name]
        return result

    def check(self, octets: bytes, kind: Kind, binding: bytes, *, sender: str) -> Any:
        return self._note("check", I_MESSAGE, octets, kind, binding, sender)

    def accepts_period(self, *args: Any) -> bool:
        return self._note("period", self.period_is_good, *args)

    def verify(self, *args: Any) -> None:
        self._note("verify", None, *args)

    def open(self, *args: Any) -> bytes:
        return self._note("open", b"ssv", *args)

    def ask(self, *args: Any, is_proven: bool) -> Admission:
        return self._note("ask", self.admission, *args, is_proven)

    def verified(self, *args: Any) -> None:
        self._note("verified", None, *args)

    def examine(self, now: Instant = NOW, *, is_proven: bool = False, t2: bytes = b"t2") -> Any:
        parts: Any = {"desk": SimpleNamespace(credentials=self), "limits": SimpleNamespace(verify=self), "pdu": "pdu"}
        proof = AnswerProof(
            **parts, now=now, peer=PEER, kind=Kind.ACCEPT, t2=t2, answers=self.answers, is_proven=is_proven
        )
        return proof.open(b"octets")


CHEAP: list[Any] = [("check", b"octets", Kind.ACCEPT, binding_hash(b"t2"), PEER), ("period", I_MESSAGE, NOW.ntp_s)]


@pytest.mark.parametrize("is_proven", [True, False])
def test_a_good_answer_is_verified_opened_and_kept(is_proven: bool) -> None:
    bench = Bench()
    assert bench.examine(is_proven=is_proven) == (b"ssv", b"signed")
    costly = [
        ("ask", "pdu", PEER, 100.0, is_proven),
        ("verify", I_MESSAGE),
        ("verified", "pdu", PEER),
        ("open", I_MESSAGE),
    ]
    assert bench.calls == CHEAP + costly
    assert bench.answers.opened(PAIR) == b"ssv"
    assert bench.examine() == (b"ssv", b"signed")
    assert bench.calls == CHEAP + costly + CHEAP


def test_the_same_signed_part_under_another_t2_is_another_answer() -> None:
    bench = Bench()
    bench.examine()
    bench.examine(t2=b"other")
    assert [name for name, *_ in bench.calls].count("verify") == 2


@pytest.mark.parametrize(
    ("admission", "result"),
    [
        (Admission.WAITS, Waits.WAITS),
        (Admission.FAILED_BEFORE, ProofFault(why=NOT_THE_PEERS, detail=SAME_OCTETS)),
        (Admission.REFUSED, ProofFault(why=TOO_MANY)),
    ],
)
def test_an_answer_without_a_verification_is_not_opened(admission: Admission, result: Any) -> None:
    bench = Bench()
    bench.admission = admission
    assert bench.examine() == result
    assert [name for name, *_ in bench.calls] == ["check", "period", "ask"]


def test_a_key_period_that_is_not_acceptable_costs_no_verification() -> None:
    bench = Bench()
    bench.period_is_good = False
    assert bench.examine() == ProofFault(why="key period not acceptable now")
    assert bench.calls == CHEAP


@pytest.mark.parametrize("step", ["check", "period", "verify", "open"])
def test_a_fault_of_security_is_named_and_nothing_is_kept(step: str) -> None:
    bench = Bench()
    bench.errors[step] = SecurityError("because")
    assert bench.examine() == ProofFault(why="I_MESSAGE does not verify", detail="because")
    assert bench.calls[-1][0] == step and bench.answers.opened(PAIR) == b""


def test_a_fault_of_form_names_its_check() -> None:
    bench = Bench()
    error = ProfileFormError("payloads", "another payload")
    bench.errors["check"] = error
    assert bench.examine() == ProofFault(why=f"I_MESSAGE form: {error.check}", detail=str(error))


def test_only_signed_answers_count_and_only_so_many_are_opened() -> None:
    bench = Bench()
    bench.errors["verify"] = SecurityError("forged")
    for number in range(30):
        assert isinstance(bench.examine(t2=b"forged %d" % number), ProofFault)
    del bench.errors["verify"]
    for number in range(16):
        assert bench.examine(t2=b"%d" % number) == (b"ssv", b"signed")
    assert bench.examine(t2=b"more") == ProofFault(why="too many answers of the peer to this request")
    assert bench.calls[-1] == ("verified", "pdu", PEER)
    assert bench.examine(Instant(100.25, 50.25), t2=b"more") == (b"ssv", b"signed")
