"""The state tables of the `ts24334` profile: initiator and responder of the security mode procedure (TS 24.334 10.4).

(state, input) -> actions and next state; what isn't listed is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from prose_link.pc5s.core.fsm import Action, Input, Role, State, Table, to
from prose_link.pc5s.core.tables import ESTABLISHED


class ModeInput(Enum):
    """Inputs of a link of this profile, besides those of all profiles."""

    GOOD_COMMAND = "good Security Mode Command"
    GOOD_COMPLETE = "good Security Mode Complete"
    MODE_REJECT = "Security Mode Reject"
    PROTECTED_ACCEPT = "Accept under the context"


class ModeAction(Enum):
    """Actions of this profile, besides those of all profiles."""

    SEND_COMPLETE = "send Security Mode Complete, start T4101"
    RESEND_COMPLETE = "send Security Mode Complete again, start T4101"
    SEND_COMMAND = "send Security Mode Command, start T4111"
    RESEND_COMMAND = "send the same Security Mode Command, at most once in 500 ms"
    SEND_PROTECTED_ACCEPT = "send Accept under the context"


INITIATOR: Final[Table[State]] = MappingProxyType(
    {
        (State.IDLE, Input.CONNECT): to(State.WAIT_ACCEPT, Action.SEND_REQUEST),
        (State.WAIT_ACCEPT, Input.T4100_TRIES_LEFT): to(State.WAIT_ACCEPT, Action.RESEND_REQUEST),
        (State.WAIT_ACCEPT, Input.T4100_NONE_LEFT): to(State.IDLE, Action.FAIL),
        (State.WAIT_ACCEPT, ModeInput.GOOD_COMMAND): to(State.CONFIRMING, ModeAction.SEND_COMPLETE),
        (State.WAIT_ACCEPT, Input.REJECT): to(State.WAIT_ACCEPT, Action.REMEMBER_CAUSE),
        (State.WAIT_ACCEPT, Input.PEER_REQUEST_THEIRS_GREATER): to(State.IDLE, Action.YIELD),
        (State.WAIT_ACCEPT, Input.ENDED): to(State.IDLE, Action.FAIL),
        (State.CONFIRMING, Input.T4101_TRIES_LEFT): to(State.CONFIRMING, ModeAction.RESEND_COMPLETE),
        (State.CONFIRMING, Input.T4101_NONE_LEFT): to(State.IDLE, Action.FAIL),
        (State.CONFIRMING, ModeInput.PROTECTED_ACCEPT): to(State.ESTABLISHED, Action.ESTABLISH),
        (State.CONFIRMING, ModeInput.GOOD_COMMAND): to(State.CONFIRMING, Action.IGNORE),
        (State.CONFIRMING, Input.RELEASE_WANTED): to(State.RELEASING, Action.SEND_RELEASE),
        (State.CONFIRMING, Input.ENDED): to(State.IDLE, Action.FAIL),
        **ESTABLISHED,
    }
)
"""The end that sends the Request in the `ts24334` profile; it confirms by the Security Mode Complete."""

RESPONDER: Final[Table[State]] = MappingProxyType(
    {
        (State.IDLE, Input.GOOD_REQUEST): to(State.PROVISIONAL, ModeAction.SEND_COMMAND),
        (State.PROVISIONAL, Input.SAME_REQUEST): to(State.PROVISIONAL, ModeAction.RESEND_COMMAND),
        (State.PROVISIONAL, Input.REPLACED): to(State.IDLE, Action.FAIL),
        (State.PROVISIONAL, ModeInput.MODE_REJECT): to(State.PROVISIONAL, Action.REMEMBER_CAUSE),
        (State.PROVISIONAL, ModeInput.GOOD_COMPLETE): to(
            State.ESTABLISHED, ModeAction.SEND_PROTECTED_ACCEPT, Action.ESTABLISH
        ),
        (State.PROVISIONAL, Input.T4111): to(State.IDLE, Action.FAIL),
        (State.PROVISIONAL, Input.ENDED): to(State.IDLE, Action.FAIL),
        (State.ESTABLISHED, ModeInput.GOOD_COMPLETE): to(State.ESTABLISHED, ModeAction.SEND_PROTECTED_ACCEPT),
        **ESTABLISHED,
    }
)
"""The end that sends the Security Mode Command in the `ts24334` profile."""

LINK_TABLES: Final[Mapping[Role, Table[State]]] = MappingProxyType(
    {Role.INITIATOR: INITIATOR, Role.RESPONDER: RESPONDER}
)
"""Which table a link of this profile runs through."""
