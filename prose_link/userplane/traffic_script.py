"""The script of a link's traffic: pings, a push, the peer's push, then voice in both directions.

Both ends of a link run a script, and neither tells the other where it is: each sees it by what arrives. The plan says
which end begins, since one end has pings to send and the other has none.

| stage | the end that pings | the other end |
|---|---|---|
| PINGING | until each ping is answered or lost | - |
| PUSHING | until its content has arrived | until its content has arrived |
| AWAITING_PUSH | then, until the peer's has come | first, until the peer's has come whole |
| SPEAKING | when it has sent and received | when it has sent and received |
| DONE | both streams are over | both streams are over |

The pushes follow each other and don't cross, because the air is half-duplex: one at a time shows what its direction can
carry. Voice comes last and in both directions at once, as a call is. A part with nothing to do is passed over. An end
whose plan has only voice speaks at once.

A transfer that fails ends the script with a bad result. Lost pings don't: the result is good if one was answered, and
if any voice was heard where voice was planned. After the summary, `TrafficDone`, the UE may release the link.

The script has no timer. Pings, transfers and voice end by those of the endpoint; an end that waits for a push which
never begins waits as long as the link stands.
"""

from __future__ import annotations

import enum

from prose_link.instant import Instant
from prose_link.userplane.endpoint import IpEndpoint
from prose_link.userplane.events import (
    PingLost,
    PingReply,
    TrafficDone,
    TransferFailed,
    TransferReceived,
    TransferSent,
    VoiceReceived,
    VoiceSent,
)
from prose_link.userplane.traffic_plan import TrafficPlan


class Stage(enum.Enum):
    """Stage of the script."""

    IDLE = enum.auto()
    PINGING = enum.auto()
    PUSHING = enum.auto()
    AWAITING_PUSH = enum.auto()
    SPEAKING = enum.auto()
    DONE = enum.auto()


class TrafficScript:
    """Drives an `IpEndpoint` through the stages of a `TrafficPlan`.

    The UE that pings pushes first; the other one pushes back after it has received the whole of the first push. Each
    side sends its voice stream, if planned, once it has both sent and received the transfers, and is done when both
    streams are over.

    Args:
        plan: the traffic.
        endpoint: the UE's end of the IP link.
        content: the octets to push.
    """

    def __init__(self, plan: TrafficPlan, endpoint: IpEndpoint, content: bytes, transfer_id: int) -> None:
        self.stage = Stage.IDLE
        self._plan = plan
        self._endpoint = endpoint
        self._content = content
        self._transfer_id = transfer_id
        self._answered = 0
        self._lost = 0
        self._pushed = 0
        self._taken = 0
        self._said = False
        self._heard: VoiceReceived | None = None
        self._failed = False

    def start(self, now: Instant) -> None:
        """The link stands: the UE with pings to send begins, the other waits for the first push."""
        if self._plan.pings:
            self.stage = Stage.PINGING
            self._endpoint.ping(self._plan.pings, now)
        elif self._plan.push_octets:
            self.stage = Stage.AWAITING_PUSH
        elif self._plan.voice_s:
            self._speak(now)
        else:
            self.stage = Stage.DONE

    def take(self, event: object, now: Instant) -> TrafficDone | None:
        """Continue after an event of the endpoint. Returns the summary once, when all is done."""
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
            case VoiceSent():
                self._said = True
            case VoiceReceived():
                self._heard = event
            case _:
                return None
        return self._advance(now)

    def _advance(self, now: Instant) -> TrafficDone | None:
        if self._my_push_is_due():
            self._push(now)
        elif self.stage is Stage.PUSHING and self._plan.pings and self._pushed:
            self.stage = Stage.AWAITING_PUSH
        if self._moved_all() and self.stage in (Stage.PUSHING, Stage.AWAITING_PUSH):
            self._speak(now)
        spoken = self._said and self._heard is not None
        if self._failed or (self.stage is Stage.SPEAKING and (spoken or not self._plan.voice_s)):
            return self._finish()
        return None

    def _moved_all(self) -> bool:
        return self._pushed >= self._plan.push_octets and (self._taken > 0 or not self._plan.push_octets)

    def _speak(self, now: Instant) -> None:
        self.stage = Stage.SPEAKING
        if self._plan.voice_s:
            self._endpoint.speak(self._plan.voice_s, now)

    def _my_push_is_due(self) -> bool:
        if self._plan.pings:
            return self.stage is Stage.PINGING and self._answered + self._lost == self._plan.pings
        return self.stage is Stage.AWAITING_PUSH and self._taken > 0 and not self._pushed

    def _push(self, now: Instant) -> None:
        self.stage = Stage.PUSHING
        if self._plan.push_octets:
            self._endpoint.push(self._transfer_id, self._content, now)

    def _finish(self) -> TrafficDone:
        self.stage = Stage.DONE
        heard = self._heard.received if self._heard else 0
        return TrafficDone(
            pings_answered=self._answered,
            pings_lost=self._lost,
            pushed_octets=self._pushed,
            taken_octets=self._taken,
            ok=not self._failed
            and (self._answered > 0 or not self._plan.pings)
            and (heard > 0 or not self._plan.voice_s),
        )
