"""Admission of connections to the KMS: shares by what a client has shown, and deadlines. No I/O.

Connections cost an attacker nothing, and an attacker may have the address of an enrolled client. So neither a limit for
all connections nor one for each address is enough. A connection goes through stages, each with a share of its own:

silent -> handshaking -> anonymous or certified

*Silent* ones have sent nothing that begins a TLS handshake, or wait to begin it; they cost a socket. *Handshaking* ones
hold TLS buffers. *Anonymous* ones finished TLS without a client certificate. *Certified* ones showed a certificate of
the lab CA, or later a good access token. A connection gets into a share only by what it has shown. So a thousand
connections of the first three kinds take nothing from the fourth.

Invariants:

* A full share never refuses a new connection. It closes one that waits, the oldest of the address (of the certificate,
  for certified ones) that holds most: a flood closes its own connections, and a new client gets through.
* Of silent connections, those that have sent nothing at all are closed first.
* A connection whose request is being worked on is never closed to make room. Only if all of a share are such, the new
  one is closed.
* A handshake has the time that an honest client needs (`grace_s`) before it may be closed to make room. If all are
  younger, new connections wait without TLS state; the newest is served first.
* Every stage, and every wait for the client inside a request, has a deadline; octets that come slowly don't move it.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Final


class Stage(StrEnum):
    """What a connection has shown so far."""

    SILENT = "silent"
    HANDSHAKING = "handshaking"
    ANONYMOUS = "anonymous"
    CERTIFIED = "certified"


class Wait(StrEnum):
    """The input for which the KMS waits on a connection; none while it works on a request."""

    HELLO = "hello"
    TURN = "turn"
    HANDSHAKE = "handshake"
    HEADER = "header"
    BODY = "body"
    NOTHING = "nothing"
    READING = "reading"
    NEXT_REQUEST = "next-request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The number of connections of a stage, in all and for one address or certificate."""

    in_all: int
    of_one: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """Shares of the stages, and the longest duration of each wait (seconds)."""

    silent: Share = Share(in_all=256, of_one=192)
    handshaking: Share = Share(in_all=96, of_one=80)
    anonymous: Share = Share(in_all=64, of_one=48)
    certified: Share = Share(in_all=256, of_one=8)
    hello_s: float = 5.0
    handshake_s: float = 5.0
    grace_s: float = 0.25
    header_s: float = 5.0
    body_s: float = 5.0
    answer_s: float = 12.0
    reading_s: float = 10.0
    next_request_s: float = 15.0

    def share(self, stage: Stage) -> Share:
        """The share of a stage."""
        share: Share = getattr(self, stage.value)
        return share

    def lasts_s(self, wait: Wait) -> float:
        """The longest duration of a wait."""
        limits = {
            Wait.HELLO: self.hello_s,
            Wait.TURN: self.hello_s,
            Wait.HANDSHAKE: self.handshake_s,
            Wait.HEADER: self.header_s,
            Wait.BODY: self.body_s,
            Wait.NOTHING: self.answer_s,
            Wait.READING: self.reading_s,
            Wait.NEXT_REQUEST: self.next_request_s,
        }
        return limits[wait]


DEFAULT_LIMITS: Final = DoorLimits()


@dataclass(slots=True, kw_only=True, eq=False)
class Guest:
    """One connection. `holder` is the unit of its share: the address, or the certificate once there is one."""

    address: str
    holder: str
    stage: Stage = Stage.SILENT
    wait: Wait = Wait.HELLO
    deadline_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A connection that must be closed, and the reason."""

    guest: Guest
    why: str


class Door:
    """Counts connections and chooses those to close. Times are seconds of any clock that only goes forward."""

    def __init__(self, limits: DoorLimits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self._stages: dict[Stage, dict[Guest, None]] = {stage: {} for stage in Stage}
        self._held: dict[Stage, Counter[str]] = {stage: Counter() for stage in Stage}

    def __len__(self) -> int:
        return sum(len(guests) for guests in self._stages.values())

    def count(self, stage: Stage) -> int:
        """How many connections are in a stage."""
        return len(self._stages[stage])

    def guests(self) -> Iterator[Guest]:
        """All connections, oldest first in each stage."""
        return chain.from_iterable(tuple(guests) for guests in self._stages.values())

    def enter(self, host: str, *, now_s: float) -> tuple[Guest, tuple[Closing, ...]]:
        """Add a new connection. Returns the connections to close for it."""
        address = address_block(host)
        guest = Guest(address=address, holder=address)
        self._put(guest)
        self.waits_for(guest, Wait.HELLO, now_s=now_s)
        return guest, self._room(guest)

    def advance(self, guest: Guest, stage: Stage, *, now_s: float, holder: str | None = None) -> tuple[Closing, ...]:
        """Move a connection to a later stage; `holder` counts it from now on.

        Returns the connections to close for it.
        """
        if guest not in self._stages[guest.stage]:
            return ()
        self.leave(guest)
        before, guest.stage, guest.holder = guest.stage, stage, holder or guest.address
        self._put(guest)
        if stage is Stage.HANDSHAKING:
            self.waits_for(guest, Wait.HANDSHAKE, now_s=now_s)
        elif before is Stage.HANDSHAKING:
            self.waits_for(guest, Wait.HEADER, now_s=now_s)
        return self._room(guest)

    def waits_for(self, guest: Guest, wait: Wait, *, now_s: float) -> None:
        """Set the input for which a connection waits from now on."""
        guest.wait = wait
        guest.deadline_s = now_s + self.limits.lasts_s(wait)

    def leave(self, guest: Guest) -> None:
        """Remove a connection. A second call changes nothing."""
        if self._stages[guest.stage].pop(guest, 0) is None:
            held = self._held[guest.stage]
            held[guest.holder] -= 1
            if not held[guest.holder]:
                del held[guest.holder]

    def handshake_in(self, guest: Guest, *, now_s: float) -> float:
        """Seconds until a handshake of this connection may begin: there is room, or one that may be closed for it."""
        guests, limits = self._stages[Stage.HANDSHAKING], self.limits
        of_one = self._held[Stage.HANDSHAKING][guest.address] >= limits.handshaking.of_one
        if not of_one and len(guests) < limits.handshaking.in_all:
            return 0.0
        if of_one:
            oldest = next(other for other in guests if other.address == guest.address)
        else:
            oldest = next(iter(guests))
        began_s = oldest.deadline_s - limits.handshake_s
        return max(0.0, began_s + limits.grace_s - now_s)

    def overdue(self, now_s: float) -> tuple[Closing, ...]:
        """The connections whose deadline has passed."""
        return tuple(
            Closing(guest=guest, why=f"{guest.wait}-timeout") for guest in self.guests() if guest.deadline_s <= now_s
        )

    def oldest_silent(self) -> Closing | None:
        """The connection to close when the system has no room for another one."""
        for guest in chain(self._stages[Stage.SILENT], self._stages[Stage.HANDSHAKING]):
            return Closing(guest=guest, why="no-descriptors")
        return None

    def _put(self, guest: Guest) -> None:
        self._stages[guest.stage][guest] = None
        self._held[guest.stage][guest.holder] += 1

    def _room(self, newcomer: Guest) -> tuple[Closing, ...]:
        stage = newcomer.stage
        share, held = self.limits.share(stage), self._held[stage]
        if held[newcomer.holder] > share.of_one:
            leaves = self._oldest_waiting((newcomer.holder,), stage, newcomer)
        elif len(self._stages[stage]) > share.in_all:
            greedy = (holder for holder, _ in held.most_common())
            leaves = self._oldest_waiting(greedy, stage, newcomer)
        else:
            return ()
        self.leave(leaves)
        return (Closing(guest=leaves, why=f"{stage}-share-full"),)

    def _oldest_waiting(self, holders: Iterable[str], stage: Stage, newcomer: Guest) -> Guest:
        for holder in holders:
            waiting = [
                guest
                for guest in self._stages[stage]
                if guest.holder == holder and guest is not newcomer and guest.wait is not Wait.NOTHING
            ]
            if waiting:
                return next((guest for guest in waiting if guest.wait is Wait.HELLO), waiting[0])
        return newcomer


def address_block(host: str) -> str:
    """The unit of one address: an IPv4 address, or the /64 of an IPv6 one, which belongs to one subscriber."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
