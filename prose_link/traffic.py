"""The traffic a UE was told to make once its link stands: pings, then a push, then the peer's push, then release."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from prose_link.config import TrafficSection
from prose_link.userplane.endpoint import EndpointEvent, IpEndpoint, PingLost, PingReply
from prose_link.userplane.transfer import TransferFailed, TransferReceived, TransferSent


class Stage(enum.Enum):
    IDLE = enum.auto()
    PINGING = enum.auto()
    PUSHING = enum.auto()
    AWAITING_PUSH = enum.auto()
    DONE = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficDone:
    """All this UE was told to do with the link has been done, well or not."""

    pings_answered: int
    pings_lost: int
    pushed_octets: int
    taken_octets: int
    ok: bool


TrafficEvent: TypeAlias = EndpointEvent | TrafficDone


class TrafficScript:
    """Drives an `IpEndpoint` through the stages of a `TrafficSection`.

    The UE that pings is the one that pushes first; the other pushes back after it has taken the whole of the first
    push. Each side is done when it has both sent and taken what was planned.

    Args:
        plan: what to do.
        endpoint: the UE's end of the IP link.
        content: the octets to push.
    """

    def __init__(self, plan: TrafficSection, endpoint: IpEndpoint, content: bytes, transfer_id: int) -> None:
        self.stage = Stage.IDLE
        self._plan = plan
        self._endpoint = endpoint
        self._content = content
        self._transfer_id = transfer_id
        self._answered = 0
        self._lost = 0
        self._pushed = 0
        self._taken = 0
        self._failed = False

    def start(self, now_s: float) -> None:
        """The link stands: the UE with pings to send begins, the other waits for the first push."""
        if self._plan.pings:
            self.stage = Stage.PINGING
            self._endpoint.ping(self._plan.pings, now_s)
        elif self._plan.push_octets:
            self.stage = Stage.AWAITING_PUSH
        else:
            self.stage = Stage.DONE

    def take(self, event: EndpointEvent, now_s: float) -> TrafficDone | None:
        """Go on from what the endpoint reports; returns the summary once, when all is done."""
        match event:
            case PingReply():
                self._answered += 1
            case PingLost():
                self._lost += 1
            case TransferSent(octets=octets):
                self._pushed += octets
            case TransferReceived(octets=octets):
                self._taken += octets
            case TransferFailed():
                self._failed = True
            case _:
                return None
        return self._advance(now_s)

    def _advance(self, now_s: float) -> TrafficDone | None:
        if self._my_push_is_due():
            self._push(now_s)
        elif self.stage is Stage.PUSHING and self._plan.pings and self._pushed:
            self.stage = Stage.AWAITING_PUSH
        finished = self._pushed >= self._plan.push_octets and (self._taken or not self._plan.push_octets)
        if self._failed or (finished and self.stage in (Stage.PUSHING, Stage.AWAITING_PUSH)):
            return self._finish()
        return None

    def _my_push_is_due(self) -> bool:
        if self._plan.pings:
            return self.stage is Stage.PINGING and self._answered + self._lost == self._plan.pings
        return self.stage is Stage.AWAITING_PUSH and self._taken > 0 and not self._pushed

    def _push(self, now_s: float) -> None:
        self.stage = Stage.PUSHING
        if self._plan.push_octets:
            self._endpoint.push(self._transfer_id, self._content, now_s)

    def _finish(self) -> TrafficDone:
        self.stage = Stage.DONE
        return TrafficDone(
            pings_answered=self._answered,
            pings_lost=self._lost,
            pushed_octets=self._pushed,
            taken_octets=self._taken,
            ok=not self._failed and (self._answered > 0 or not self._plan.pings),
        )
