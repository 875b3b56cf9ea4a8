"""What every attack of the profile's test matrix must leave: nothing but a reason, and a link that works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from prose_link.pc5s.core.events import AcceptRefused, LinkEstablished, LinkFailed, LinkProvisional, RequestRefused
from prose_link.pc5s.identity.key_exchange import BuiltRequest
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import Cause, DirectAccept, DirectReject
from security.mikey.codec import Header, MikeyMessage
from security.mikey.codec import decode as decode_mikey
from security.mikey.i_message import sign_message
from security.mikey.payloads import Payload
from tests.benches.pc5s_bench import L2, A, Air, B, Ue, make_kms, plain

Refusals = list[tuple[int, Cause | None, str]]
Change = Callable[[Header, Sequence[Payload]], tuple[Header, list[Payload]]]
"""Header and payloads of an I_MESSAGE, without the signature, made other ones."""


def refusals(ue: Ue) -> Refusals:
    """(step, cause, why) of each request this UE has refused."""
    return [(event.step, event.cause, event.why) for event in ue.of(RequestRefused)]


def accept_refusals(ue: Ue) -> list[tuple[int, str]]:
    """(step, why) of each answer this UE has refused."""
    return [(event.step, event.why) for event in ue.of(AcceptRefused)]


def attack(air: Air, octets: bytes, src: str = A, dst: str = B, carrier: str = "direct") -> None:
    """Put an unprotected PDU on the air and see what comes of it."""
    air.inject(plain(octets, L2[src], L2[dst], carrier))
    air.run(0.1)


def assert_none(ue: Ue, air: Air, *, entries: int = 0) -> None:
    """No state, no key, no answer; `entries` is how many requests the replay cache may hold."""
    assert ue.holds_nothing()
    assert len(ue.record) == entries
    assert not air.sent(DirectAccept, by=ue) and not air.sent(DirectReject, by=ue)
    assert not ue.of(LinkProvisional)


def refused(a: Ue, b: Ue, air: Air, octets: bytes, *, entries: int = 0, **how: str) -> Refusals:
    """What `b` says of a request of which nothing may come; a genuine exchange right after it succeeds."""
    attack(air, octets, **how)
    assert_none(b, air, entries=entries)
    reasons = refusals(b)
    assert_genuine_exchange(a, b, air)
    return reasons


def assert_works(a: Ue, b: Ue, air: Air) -> None:
    """User data passes both ways over the link there is, under one key."""
    heard = len(a.user_data), len(b.user_data)
    assert air.send_user_data(a, b, b"ping") and air.send_user_data(b, a, b"pong")
    air.run(0.1)
    assert (a.user_data[heard[0] :], b.user_data[heard[1] :]) == ([b"pong"], [b"ping"])


def assert_genuine_exchange(a: Ue, b: Ue, air: Air, *, within_s: float = 0.5) -> None:
    """A genuine exchange comes through at once over an air without attackers."""
    air.pass_on = lambda frame: [frame]
    for ue in (a, b):
        ue.events.clear()
    air.connect(a, b)
    air.run(within_s)
    (at_a,), (at_b,) = a.of(LinkEstablished), b.of(LinkEstablished)
    assert (at_a.peer, at_b.peer, at_a.kd_sess_id) == (b.uri, a.uri, at_b.kd_sess_id)
    assert at_a.initiator and not at_b.initiator
    assert_works(a, b, air)


def assert_request_fails(a: Ue, air: Air, cause: Cause | None = None) -> None:
    """An open request comes to its end after the last T4100, with that cause, and leaves nothing."""
    air.run(9)
    (failed,) = a.of(LinkFailed)
    assert (failed.cause, failed.why) == (cause, "T4100, none left")
    assert a.holds_nothing()


def resigned(sender: Ue, built: BuiltRequest, air: Air, change: Change) -> bytes:
    """The request with header and payloads of its I_MESSAGE changed before its sender signs it again."""
    message = decode_mikey(built.asked.message.i_message)
    header, payloads = change(message.header, message.payloads[:-1])
    kms = make_kms()
    i_message = sign_message(
        MikeyMessage(header=header, payloads=tuple(payloads)),
        keys=kms.keys(sender.uri, kms.domain.period_of(air.now.ntp_s)),
        kpak=kms.domain.kpak,
        entropy=bytes(32),
    )
    return encode(replace(built.asked.message, i_message=i_message))


def each(kind: type, /, **altered: Callable[[Any], object]) -> Change:
    """A change for `resigned`: each payload of a kind with fields made anew from their old values."""

    def change(header: Header, payloads: Sequence[Payload]) -> tuple[Header, list[Payload]]:
        return header, [
            replace(one, **{name: value(getattr(one, name)) for name, value in altered.items()})
            if isinstance(one, kind)
            else one
            for one in payloads
        ]

    return change
