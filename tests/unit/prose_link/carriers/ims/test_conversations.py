"""Calls of the IMS carrier between two UEs without a core: what is one call, what another, and when each ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prose_link.carriers.ims.envelope import cut, join
from prose_link.carriers.ims.events import ImsCallRefused, SipMessageSeen
from prose_link.pc5s.wire.party import CarrierError
from tests.benches.ims_bench import ACCEPT, REJECT, REQUEST, A, B, Ue, run, wait_until

OTHER = join(cut(REQUEST)[0], b"another I_MESSAGE")
HOLD_S = 20.0


@pytest.fixture
def ues() -> Iterator[tuple[Ue, Ue]]:
    b = Ue(B, peers={f"tel:{A}": "sip:127.0.0.1:9"}, hold_s=HOLD_S)
    a = Ue(A, peers={f"tel:{B}": f"sip:127.0.0.1:{b.carrier.port}"}, hold_s=HOLD_S)
    yield a, b
    a.carrier.close()
    b.carrier.close()


def sent(ue: Ue, method: bytes) -> list[bytes]:
    return [one.data for one in ue.told_of(SipMessageSeen) if one.direction == "tx" and one.data.startswith(method)]


def ask(a: Ue, b: Ue, request: bytes = REQUEST) -> object:
    """A Request that arrives; gives where its answer goes."""
    a.call(B, request)
    wait_until(lambda: b.brought, (a, b))
    message, carried = b.take()
    assert message == request
    return carried.via


def answer(a: Ue, b: Ue, via: object, message: bytes = ACCEPT) -> None:
    b.send(message, via)
    wait_until(lambda: a.brought, (a, b))
    assert a.take()[0] == message


def test_a_request_that_goes_out_again_is_one_invite(ues) -> None:
    a, b = ues
    ask(a, b)
    a.call(B)
    run(ues, 0.1)
    assert len(sent(a, b"INVITE")) == 1 and b.brought == []


def test_a_new_request_in_a_standing_session_is_a_reinvite_and_its_answer_comes_back(ues) -> None:
    a, b = ues
    answer(a, b, ask(a, b))
    run(ues, 0.05)
    answer(a, b, ask(a, b, OTHER), cut(ACCEPT)[0])
    first, second = sent(a, b"INVITE")
    assert b";tag=" not in _to(first) and b";tag=" in _to(second)
    assert _call_id(first) == _call_id(second)


def test_a_session_that_the_peer_has_lost_is_replaced_by_a_new_one(ues) -> None:
    a, b = ues
    answer(a, b, ask(a, b))
    run(ues, 0.05)
    b.carrier._agent._calls._incoming.clear()
    answer(a, b, ask(a, b, OTHER))
    assert len({_call_id(one) for one in sent(a, b"INVITE")}) == 2


def test_a_reject_to_a_reinvite_ends_the_session(ues) -> None:
    a, b = ues
    answer(a, b, ask(a, b))
    run(ues, 0.05)
    answer(a, b, ask(a, b, OTHER), REJECT)
    wait_until(lambda: sent(a, b"BYE"), ues)
    assert a.told_of(ImsCallRefused)[0].status == 488


def test_a_session_is_ended_some_time_after_its_answer(ues) -> None:
    a, b = ues
    answer(a, b, ask(a, b))
    run(ues, 0.1)
    assert sent(a, b"BYE") == []
    a.ahead_s = HOLD_S + 1
    wait_until(lambda: sent(a, b"BYE"), ues)
    wait_until(lambda: not b.carrier._conversations._offered, ues)


def test_what_the_ue_is_silent_about_is_answered_by_480(ues) -> None:
    a, b = ues
    ask(a, b)
    b.ahead_s = 61.0
    wait_until(lambda: a.told_of(ImsCallRefused), ues)
    assert a.told_of(ImsCallRefused)[0].status == 480


def test_an_answer_goes_once_and_only_where_something_waits(ues) -> None:
    a, b = ues
    via = ask(a, b)
    with pytest.raises(CarrierError, match="Accept or a Reject"):
        b.send(REQUEST, via)
    answer(a, b, via)
    for message in (ACCEPT, REJECT):
        with pytest.raises(CarrierError, match="waits for no answer"):
            b.send(message, via)
    with pytest.raises(CarrierError, match="Request"):
        a.send(ACCEPT, a.carrier.reaches(f"tel:{B}", None).via)


def test_closing_hangs_up(ues) -> None:
    a, b = ues
    answer(a, b, ask(a, b))
    run(ues, 0.05)
    a.carrier.close()
    wait_until(lambda: not b.carrier._conversations._offered, (b,))


def _to(octets: bytes) -> bytes:
    return octets.partition(b"\r\nTo: ")[2].partition(b"\r\n")[0]


def _call_id(octets: bytes) -> bytes:
    return octets.partition(b"\r\nCall-ID: ")[2].partition(b"\r\n")[0]
