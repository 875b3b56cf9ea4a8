"""The initiator's checks of a Command: each fault with its step and its cause, and what a good one leaves behind."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.pc5s.core.policy import LinkPolicy
from prose_link.pc5s.core.secret import Answers
from prose_link.pc5s.core.verify_budget import SAME_OCTETS, TOO_MANY, Admission
from prose_link.pc5s.ts24334 import keys
from prose_link.pc5s.ts24334.codec import encode
from prose_link.pc5s.ts24334.command_checks import CommandChecks, CommandFault
from prose_link.pc5s.ts24334.messages import SecurityModeCommand, SecurityModeReject
from prose_link.pc5s.wire.messages import Cause, ChosenAlgorithms, SecurityCapabilities
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError
from tests.benches.pc5s_bench import via_of

PEER = "tel:+447700900002"
NOW = Instant(100.0, 5000.0 - NTP_EPOCH_OFFSET_S)
OFFERED = SecurityCapabilities.of((1, 2), (1, 2))
COMMAND = SecurityModeCommand(
    sequence_number=2,
    capabilities=OFFERED,
    nonce_2=bytes(range(16)),
    algorithms=ChosenAlgorithms(eea=2, eia=1),
    kd_sess_id_lsb=0x77,
    kd_id_msb=0xBEEF,
    user_info=PEER,
    signature=b"\x5a" * 129,
    encrypted_payload=b"\xc3" * 273,
)
TO_SIGN = keys.command_to_sign(b"request", COMMAND)
PAIR = hashlib.sha256(TO_SIGN).digest(), b""


def pdu_of(octets: bytes, kd_sess_id: int = 0x2177) -> ReceivedPdu:
    return ReceivedPdu(
        data=octets, src_l2=0xB, dst_l2=1, lcid=29, kd_sess_id=kd_sess_id, sn=1, via=via_of("direct", 0xB)
    )


PDU = pdu_of(encode(COMMAND))


class Bench:
    """The checks of one link, over a budget and keys that do what a test says and note what they were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.admission = Admission.GRANTED
        self.verified: list[Any] = []
        self.asked: list[Any] = []
        self.signatures: list[Any] = []
        self.opened: list[Any] = []
        self.bad_signature = self.bad_payload = False
        self.holder: Any = None
        self.contexts: list[Any] = []
        self.link: Any = SimpleNamespace(
            peer=PEER,
            peer_l2=0xB,
            capabilities=OFFERED,
            policy=LinkPolicy(ciphering=(2, 3), integrity=(1, 3)),
            setup=SimpleNamespace(request_octets=b"request", answers=Answers()),
        )
        budget = SimpleNamespace(ask=self._ask, verified=lambda *args: self.verified.append(args))
        desk: Any = SimpleNamespace(credentials="credentials", links=SimpleNamespace(of_context=self._of_context))
        limits: Any = SimpleNamespace(verify=budget)
        self.checks = CommandChecks(desk, limits)
        monkeypatch.setattr(keys, "verify", self._verify)
        monkeypatch.setattr(keys, "decapsulate", self._decapsulate)

    def _ask(self, *args: Any) -> Admission:
        self.asked.append(args)
        return self.admission

    def _of_context(self, *args: Any) -> Any:
        self.contexts.append(args)
        return self.holder

    def _verify(self, *args: Any) -> None:
        self.signatures.append(args)
        if self.bad_signature:
            raise SecurityError("forged")

    def _decapsulate(self, *args: Any) -> bytes:
        self.opened.append(args)
        if self.bad_payload:
            raise SecurityError("no point")
        return b"ssv"

    def take(self, command: SecurityModeCommand = COMMAND, now: Instant = NOW) -> bytes:
        return self.checks.verified_and_opened(self.link, command, PDU, now)

    def fault(self, command: SecurityModeCommand = COMMAND) -> tuple[int, str, Cause | None, str]:
        """The fault of a Command after the cheap checks."""
        with pytest.raises(CommandFault) as raised:
            self.take(command)
        return parts_of(raised.value)


def parts_of(fault: CommandFault) -> tuple[int, str, Cause | None, str]:
    assert str(fault) == fault.why
    return fault.step, fault.why, fault.cause, fault.detail


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_a_good_command_passes_the_cheap_checks(bench: Bench) -> None:
    assert bench.checks.checked(bench.link, PDU) == COMMAND


@pytest.mark.parametrize(
    ("octets", "kd_sess_id", "step", "why"),
    [
        (encode(COMMAND), 0x7721, 1, "not a command for this context"),
        (encode(SecurityModeReject(sequence_number=1, cause=Cause.OTHER)), 0x2177, 1, "not a command for this context"),
        (encode(replace(COMMAND, user_info="tel:+447700900003")), 0x2177, 2, "not from the target"),
        (encode(replace(COMMAND, algorithms=ChosenAlgorithms(eea=3, eia=1))), 0x2177, 3, "algorithms were not offered"),
        (encode(replace(COMMAND, algorithms=ChosenAlgorithms(eea=2, eia=3))), 0x2177, 3, "algorithms were not offered"),
        (encode(replace(COMMAND, algorithms=ChosenAlgorithms(eea=1, eia=1))), 0x2177, 3, "algorithms were not offered"),
        (encode(replace(COMMAND, algorithms=ChosenAlgorithms(eea=2, eia=2))), 0x2177, 3, "algorithms were not offered"),
        (encode(replace(COMMAND, signature=None)), 0x2177, 4, "signature or encrypted payload is missing"),
        (encode(replace(COMMAND, encrypted_payload=None)), 0x2177, 4, "signature or encrypted payload is missing"),
    ],
)
def test_a_command_that_a_cheap_check_refuses(
    bench: Bench, octets: bytes, kd_sess_id: int, step: int, why: str
) -> None:
    with pytest.raises(CommandFault) as raised:
        bench.checks.checked(bench.link, pdu_of(octets, kd_sess_id))
    assert parts_of(raised.value) == (step, why, None, "")


def test_malformed_octets_give_the_reason(bench: Bench) -> None:
    with pytest.raises(CommandFault) as raised:
        bench.checks.checked(bench.link, pdu_of(b"\x0c"))
    assert parts_of(raised.value) == (1, "malformed", None, "1 octets are no message")


def test_a_command_is_verified_and_opened_once_and_its_copy_costs_a_compare(bench: Bench) -> None:
    assert bench.take() == b"ssv"
    assert bench.asked == [(PDU, PEER, 100.0)]
    assert bench.signatures == [(TO_SIGN, COMMAND.signature, PEER, "credentials", NOW.ntp_s)]
    assert bench.verified == [(PDU, PEER)]
    assert bench.contexts == [(0xB, 0x2177)]
    assert bench.opened == [(COMMAND.encrypted_payload, "credentials", NOW.ntp_s)]
    assert bench.link.setup.answers.opened(PAIR) == b"ssv"
    assert bench.take() == b"ssv"
    assert len(bench.asked) == len(bench.signatures) == len(bench.opened) == 1


def test_a_command_that_waits_has_no_ssv_yet(bench: Bench) -> None:
    bench.admission = Admission.WAITS
    assert bench.take() == b"" and bench.signatures == []


@pytest.mark.parametrize(
    ("admission", "fault"),
    [
        (Admission.FAILED_BEFORE, (5, "signature does not verify", None, SAME_OCTETS)),
        (Admission.REFUSED, (4, TOO_MANY, None, "")),
    ],
)
def test_a_command_without_a_verification(bench: Bench, admission: Admission, fault: Any) -> None:
    bench.admission = admission
    assert bench.fault() == fault
    assert bench.signatures == []


def test_a_forged_command_is_neither_noted_nor_opened(bench: Bench) -> None:
    bench.bad_signature = True
    assert bench.fault() == (5, "signature does not verify", None, "forged")
    assert bench.verified == bench.opened == []


def test_a_signed_command_with_other_capabilities_is_answered(bench: Bench) -> None:
    altered = replace(COMMAND, capabilities=SecurityCapabilities.of((2,), (1,)))
    assert bench.fault(altered) == (6, "capabilities are not those sent", Cause.ALGORITHMS_MISMATCH, "")
    assert bench.verified == [(PDU, PEER)] and bench.opened == []


def test_a_context_of_another_link_is_a_conflict_and_that_of_this_link_is_none(bench: Bench) -> None:
    bench.holder = "another link"
    assert bench.fault() == (6, "KD-sess ID is in use", Cause.KD_SESS_ID_CONFLICT, "")
    bench.holder = bench.link
    assert bench.take() == b"ssv"


def test_a_payload_that_cannot_be_opened_is_answered_and_not_kept(bench: Bench) -> None:
    bench.bad_payload = True
    assert bench.fault() == (7, "KD can't be opened", Cause.UNSPECIFIED, "no point")
    assert bench.link.setup.answers.opened(PAIR) == b""
    bench.bad_payload = False
    assert bench.take() == b"ssv"


def test_so_many_signed_commands_are_opened_and_no_more(bench: Bench) -> None:
    for number in range(16):
        assert bench.take(replace(COMMAND, sequence_number=number)) == b"ssv"
    again = replace(COMMAND, sequence_number=99)
    assert bench.fault(again) == (6, "too many commands of the peer for this request", None, "")
    assert bench.take(again, Instant(100.25, NOW.utc_s)) == b"ssv"
