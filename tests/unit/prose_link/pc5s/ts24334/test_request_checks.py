"""The responder's checks of a signed Request: each refusal with its step and cause, and in which order they come."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from prose_link.pc5s.core.replay import WINDOW_S, MemoryRecord
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.core.verify_budget import SAME_OCTETS, TOO_MANY, Admission, Waits
from prose_link.pc5s.ts24334 import keys
from prose_link.pc5s.ts24334.messages import SignedRequest
from prose_link.pc5s.ts24334.request_checks import Asking, Refused, RequestChecks
from prose_link.pc5s.wire.messages import Cause, ChosenAlgorithms, IpAddressConfig, SecurityCapabilities
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.device.record import RecordError
from security.errors import SecurityError
from tests.benches.pc5s_bench import via_of

ME, PEER = "tel:+447700900001", "tel:+447700900002"
NOW = Instant(100.0, 5000.9 - NTP_EPOCH_OFFSET_S)
REQUEST = SignedRequest(
    sequence_number=1,
    user_info=PEER,
    ip_address_config=IpAddressConfig.NOT_SUPPORTED,
    maximum_inactivity_period_s=30,
    nonce_1=bytes(16),
    capabilities=SecurityCapabilities.of((1, 2), (1, 2)),
    kd_sess_id_msb=0x21,
    kd_id=0x01020304,
    relay_service_code=0x0A0B0C,
    signature=b"\x5a" * 129,
    link_local=bytes(16),
)
POLICY = LinkPolicy(profile=Profile.TS24334, allow_null_integrity=True)
PDU = ReceivedPdu(data=b"octets", src_l2=0xB, dst_l2=1, lcid=28, via=via_of("direct", 0xB))


class Record(MemoryRecord):
    """A record that notes its entries and may be full or unusable."""

    broken = False
    roomy = True
    knows_all = False

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Any] = []
        self.room_asked: list[Any] = []

    def contains(self, digest: bytes) -> bool:
        if self.broken:
            raise RecordError("torn")
        return super().contains(digest)

    def has_room(self, signer: str, *, now_ntp_s: int) -> bool:
        self.room_asked.append((signer, now_ntp_s))
        return self.roomy

    def remember(self, digest: bytes, **named: Any) -> bool:
        self.entries.append((digest, named))
        return not self.knows_all and super().remember(digest, **named)


class Bench:
    """The checks of one responder; every part that they ask does what a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.record = Record()
        self.admission = Admission.GRANTED
        self.asked: list[Any] = []
        self.verified: list[Any] = []
        self.signatures: list[Any] = []
        self.bad_signature = False
        self.clock_fault: str | None = None
        self.denied: set[str] = set()
        self.authorised = {PEER}
        self.taken: set[int] = set()
        self.room = self.provisional_room = True
        self.tokens = True
        self.own: Any = None
        self.looked_for: list[Any] = []
        links = SimpleNamespace(
            peer_with_l2=lambda l2_id, *, other_than: l2_id in self.taken and other_than == PEER,
            has_room=lambda peer: self.room and peer == PEER,
            has_provisional_room=lambda peer, via: self.provisional_room and (peer, via) == (PEER, PDU.via),
            with_peer=self._with_peer,
        )
        desk: Any = SimpleNamespace(
            record=self.record,
            links=links,
            config=SimpleNamespace(l2_id=0xA, ip_address_config=IpAddressConfig.IPV6_ROUTER),
            credentials=SimpleNamespace(uri=ME, denies=lambda peer: peer in self.denied),
            authorises=lambda peer: peer in self.authorised,
            clock_fault=lambda now: self.clock_fault if now == NOW else "another time",
        )
        limits: Any = SimpleNamespace(
            verify=SimpleNamespace(ask=self._ask, verified=lambda *args: self.verified.append(args)),
            pair=SimpleNamespace(take=lambda peer, now_s: self.tokens and (peer, now_s) == (PEER, 100.0)),
        )
        self.credentials = desk.credentials
        self.checks = RequestChecks(desk, limits)
        monkeypatch.setattr(keys, "verify", self._verify)

    def _with_peer(self, *args: Any) -> Any:
        self.looked_for.append(args)
        return self.own

    def _ask(self, *args: Any) -> Admission:
        self.asked.append(args)
        return self.admission

    def _verify(self, *args: Any) -> None:
        self.signatures.append(args)
        if self.bad_signature:
            raise SecurityError("forged")

    def asking(self, *, policy: LinkPolicy = POLICY, pdu: ReceivedPdu = PDU, **changes: Any) -> Asking:
        request = replace(REQUEST, **changes)
        asked = Asked(message=request, t1=b"signed", signed_part=b"", request_hash=b"m")
        return Asking(pdu=pdu, request=request, now=NOW, policy=policy, asked=asked)

    def examine(self, **changes: Any) -> Refused | Waits | None:
        return self.checks.examine(self.asking(**changes))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_a_good_request_passes_and_is_on_record(bench: Bench) -> None:
    asking = bench.asking()
    assert bench.checks.examine(asking) is None
    assert asking.algorithms == ChosenAlgorithms(eea=2, eia=2) and asking.yields is None
    assert bench.asked == [(PDU, PEER, 100.0)] and bench.verified == [(PDU, PEER)]
    assert bench.signatures == [(b"signed", REQUEST.signature, PEER, bench.credentials, NOW.ntp_s)]
    assert bench.record.entries == [(b"m", {"signer": PEER, "expires_ntp_s": 5001 + WINDOW_S, "now_ntp_s": 5000})]
    assert bench.record.room_asked[0] == (PEER, 5000)
    assert bench.looked_for == [(PEER, State.WAIT_ACCEPT, State.CONFIRMING)]


@pytest.mark.parametrize(
    ("changes", "step", "why"),
    [
        ({"policy": LinkPolicy()}, 1, "profile not accepted"),
        ({"user_info": ME}, 2, "sender is this identity"),
        (
            {"pdu": replace(PDU, via=via_of("ims", 0xB))},
            2,
            "the carrier's layer-2 ids do not count, and the request names none",
        ),
        ({"signature": None}, 2, "signature is missing"),
    ],
)
def test_a_form_that_is_refused_without_an_answer(bench: Bench, changes: dict[str, Any], step: int, why: str) -> None:
    assert bench.examine(**changes) == Refused(step=step, why=why)
    assert bench.asked == []


def test_an_unusable_record_lets_no_request_pass(bench: Bench) -> None:
    bench.record.broken = True
    assert bench.examine() == Refused(step=5, why="record can't be used", detail="torn")


def test_a_request_on_record_and_a_clock_that_is_wrong(bench: Bench) -> None:
    bench.clock_fault = "clock below the time floor"
    assert bench.examine() == Refused(step=5, why="clock below the time floor")
    bench.record.remember(b"m", signer=PEER, expires_ntp_s=6000, now_ntp_s=5000)
    assert bench.examine() == Refused(step=5, why="replay")
    assert bench.asked == []


@pytest.mark.parametrize(
    ("admission", "verdict"),
    [
        (Admission.WAITS, Waits.WAITS),
        (Admission.FAILED_BEFORE, Refused(step=8, why="signature does not verify", detail=SAME_OCTETS)),
        (Admission.REFUSED, Refused(step=7, why=TOO_MANY)),
    ],
)
def test_a_request_without_a_verification(bench: Bench, admission: Admission, verdict: Any) -> None:
    bench.admission = admission
    assert bench.examine() == verdict
    assert bench.signatures == bench.record.entries == []


def test_a_forged_request_gets_no_verdict_of_the_policy(bench: Bench) -> None:
    bench.bad_signature, bench.authorised = True, set()
    assert bench.examine() == Refused(step=8, why="signature does not verify", detail="forged")
    assert bench.verified == bench.record.entries == []


NOT_ALLOWED = Refused(step=6, why="not authorised", cause=Cause.NOT_ALLOWED)
TAKEN = Refused(step=6, why="layer-2 id is taken", cause=Cause.L2_ID_CONFLICT)
NO_ROOM = Refused(step=6, why="no room for a link", cause=Cause.LACK_OF_RESOURCES)
NO_ALGORITHMS = Refused(step=6, why="no algorithms in common", cause=Cause.OTHER)


@pytest.mark.parametrize(
    ("parts", "changes", "verdict"),
    [
        ({"denied": {PEER}}, {}, NOT_ALLOWED),
        ({"authorised": set()}, {}, NOT_ALLOWED),
        (
            {},
            {"ip_address_config": IpAddressConfig.DHCPV4_SERVER},
            Refused(step=6, why="no IP version in common", cause=Cause.IP_VERSION_MISMATCH),
        ),
        ({}, {"capabilities": SecurityCapabilities.of((7,), (2,))}, NO_ALGORITHMS),
        ({}, {"capabilities": SecurityCapabilities.of((2,), (0,))}, NO_ALGORITHMS),
        ({}, {"pdu": replace(PDU, src_l2=0xA)}, TAKEN),
        ({"taken": {0xB}}, {}, TAKEN),
        ({"room": False}, {}, NO_ROOM),
        ({"provisional_room": False}, {}, NO_ROOM),
    ],
)
def test_the_verdict_of_the_policy_comes_after_the_signature(
    bench: Bench, parts: dict[str, Any], changes: dict[str, Any], verdict: Refused
) -> None:
    for name, value in parts.items():
        setattr(bench, name, value)
    asking = bench.asking(**changes)
    assert bench.checks.examine(asking) == verdict
    assert len(bench.verified) == 1 and bench.record.entries == [] and asking.algorithms is None


def test_a_full_record_is_no_room(bench: Bench) -> None:
    bench.record.roomy = False
    assert bench.examine() == NO_ROOM


def test_a_request_that_came_on_record_meanwhile_is_a_replay(bench: Bench) -> None:
    bench.record.knows_all = True
    assert bench.examine() == Refused(step=9, why="replay")


def test_a_signer_with_too_many_requests(bench: Bench) -> None:
    bench.tokens = False
    too_many = Refused(step=10, why="too many requests to answer", cause=Cause.LACK_OF_RESOURCES)
    assert bench.examine() == too_many
    assert len(bench.record.entries) == 1


@pytest.mark.parametrize(
    ("initiator", "state", "own_hash", "why", "yields"),
    [
        (True, State.WAIT_ACCEPT, b"n", "collision: own request stands", False),
        (True, State.WAIT_ACCEPT, b"m", "collision: own request stands", False),
        (True, State.WAIT_ACCEPT, b"l", None, True),
        (True, State.CONFIRMING, b"l", "a link with this peer is being confirmed", False),
        (False, State.CONFIRMING, b"n", None, False),
    ],
)
def test_of_two_open_requests_the_one_with_the_greater_hash_stands(
    bench: Bench, initiator: bool, state: State, own_hash: bytes, why: str | None, yields: bool
) -> None:
    bench.own = SimpleNamespace(initiator=initiator, state=state, asked=SimpleNamespace(request_hash=own_hash))
    asking = bench.asking()
    assert bench.checks.examine(asking) == (None if why is None else Refused(step=9, why=why))
    assert asking.yields is (bench.own if yields else None)
    assert len(bench.record.entries) == (why is None)
