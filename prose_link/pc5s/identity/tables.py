"""The state tables of the `identity` profile: initiator, responder, and the rekey beside an established link.

PROFILE 7 and 9 row by row. (state, input) -> actions and next state; what isn't listed is dropped and counted. One row
more: a release wanted while confirming is sent as one, since the peer may have the Confirm and hold the link for up.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from prose_link.pc5s.core.fsm import Action, Input, RekeyState, Role, State, Table, to
from prose_link.pc5s.core.tables import ESTABLISHED


class RekeyInput(Enum):
    """What can happen to a rekey."""

    WANTED = "rekey wanted or Trigger"
    TIMER_TRIES_LEFT = "T4100, tries left"
    TIMER_NONE_LEFT = "T4100, none left"
    GOOD_RESPONSE = "good Response"
    BAD_RESPONSE = "bad Response"
    GOOD_REQUEST = "good Request"
    PEER_REQUEST_MINE_STANDS = "good Request, mine stands"
    PEER_REQUEST_THEIRS_STANDS = "good Request, theirs stands"
    SAME_REQUEST = "same Request"
    GOOD_CONFIRM = "good Confirm"
    CONFIRM_AGAIN = "Confirm again"
    ACK = "Ack of the Confirm, or another PDU on the new context"
    T4101_TRIES_LEFT = "T4101, tries left"
    T4101_NONE_LEFT = "T4101, none left"
    T4111 = "T4111"
    ENDED = "the link ends"


class RekeyAction(Enum):
    """What is done on a transition of a rekey."""

    COUNT = "count"
    IGNORE = "ignore"
    SEND_REKEY_REQUEST = "send Rekeying Request, start T4100"
    RESEND_REKEY_REQUEST = "send the same Rekeying Request, start T4100"
    ABANDON_REKEY = "wipe what the rekey has made"
    SEND_REKEY_CONFIRM = "send Confirm on the new context, send on it from now on, start T4101"
    RESEND_REKEY_CONFIRM = "send Confirm again on the new context, start T4101"
    SEND_REKEY_RESPONSE = "new context receive-only, send Response, start T4111"
    RESEND_REKEY_RESPONSE = "send the same Response"
    YIELD_REKEY = "wipe own Request, the peer's stands"
    SEND_REKEY_ACK = "send Ack on the new context"
    SWITCH = "send on the new context"
    RETIRE_OLD = "start T_old, report the rekey"
    RELEASE_IF_STUCK = "release, if the link can't go on without the rekey"
    END_LINK = "release locally"


INITIATOR: Final[Table[State]] = MappingProxyType(
    {
        (State.IDLE, Input.CONNECT): to(State.WAIT_ACCEPT, Action.SEND_REQUEST),
        (State.WAIT_ACCEPT, Input.T4100_TRIES_LEFT): to(State.WAIT_ACCEPT, Action.RESEND_REQUEST),
        (State.WAIT_ACCEPT, Input.T4100_NONE_LEFT): to(State.IDLE, Action.FAIL),
        (State.WAIT_ACCEPT, Input.GOOD_ACCEPT): to(State.CONFIRMING, Action.SEND_CONFIRM),
        (State.WAIT_ACCEPT, Input.BAD_ACCEPT): to(State.WAIT_ACCEPT, Action.COUNT),
        (State.WAIT_ACCEPT, Input.REJECT): to(State.WAIT_ACCEPT, Action.REMEMBER_CAUSE),
        (State.WAIT_ACCEPT, Input.PEER_REQUEST_MINE_GREATER): to(State.WAIT_ACCEPT, Action.IGNORE),
        (State.WAIT_ACCEPT, Input.PEER_REQUEST_THEIRS_GREATER): to(State.IDLE, Action.YIELD),
        (State.WAIT_ACCEPT, Input.ENDED): to(State.IDLE, Action.FAIL),
        (State.CONFIRMING, Input.T4101_TRIES_LEFT): to(State.CONFIRMING, Action.RESEND_CONFIRM),
        (State.CONFIRMING, Input.T4101_NONE_LEFT): to(State.IDLE, Action.FAIL),
        (State.CONFIRMING, Input.ACK): to(State.ESTABLISHED, Action.ESTABLISH),
        (State.CONFIRMING, Input.VERIFIED_PDU): to(State.ESTABLISHED, Action.ESTABLISH),
        (State.CONFIRMING, Input.SAME_ACCEPT): to(State.CONFIRMING, Action.IGNORE),
        (State.CONFIRMING, Input.RELEASE_WANTED): to(State.RELEASING, Action.SEND_RELEASE),
        (State.CONFIRMING, Input.ENDED): to(State.IDLE, Action.FAIL),
        **ESTABLISHED,
    }
)
"""The end that sends the DCR."""

RESPONDER: Final[Table[State]] = MappingProxyType(
    {
        (State.IDLE, Input.GOOD_REQUEST): to(State.PROVISIONAL, Action.SEND_ACCEPT),
        (State.PROVISIONAL, Input.SAME_REQUEST): to(State.PROVISIONAL, Action.RESEND_ACCEPT),
        (State.PROVISIONAL, Input.REPLACED): to(State.IDLE, Action.FAIL),
        (State.PROVISIONAL, Input.GOOD_CONFIRM): to(State.ESTABLISHED, Action.SEND_ACK, Action.ESTABLISH),
        (State.PROVISIONAL, Input.T4111): to(State.IDLE, Action.FAIL),
        (State.PROVISIONAL, Input.ENDED): to(State.IDLE, Action.FAIL),
        (State.ESTABLISHED, Input.GOOD_CONFIRM): to(State.ESTABLISHED, Action.SEND_ACK),
        **ESTABLISHED,
    }
)
"""The end that sends the DCA. Before a DCR has passed its checks there is no link: steps 1 to 13 keep no state."""

REKEYING: Final[Table[RekeyState]] = MappingProxyType(
    {
        (RekeyState.NONE, RekeyInput.WANTED): to(RekeyState.WAIT_RESPONSE, RekeyAction.SEND_REKEY_REQUEST),
        (RekeyState.NONE, RekeyInput.GOOD_REQUEST): to(RekeyState.AWAIT_CONFIRM, RekeyAction.SEND_REKEY_RESPONSE),
        (RekeyState.NONE, RekeyInput.CONFIRM_AGAIN): to(RekeyState.NONE, RekeyAction.SEND_REKEY_ACK),
        (RekeyState.WAIT_RESPONSE, RekeyInput.TIMER_TRIES_LEFT): to(
            RekeyState.WAIT_RESPONSE, RekeyAction.RESEND_REKEY_REQUEST
        ),
        (RekeyState.WAIT_RESPONSE, RekeyInput.TIMER_NONE_LEFT): to(
            RekeyState.NONE, RekeyAction.ABANDON_REKEY, RekeyAction.RELEASE_IF_STUCK
        ),
        (RekeyState.WAIT_RESPONSE, RekeyInput.GOOD_RESPONSE): to(RekeyState.CONFIRMING, RekeyAction.SEND_REKEY_CONFIRM),
        (RekeyState.WAIT_RESPONSE, RekeyInput.BAD_RESPONSE): to(RekeyState.WAIT_RESPONSE, RekeyAction.COUNT),
        (RekeyState.WAIT_RESPONSE, RekeyInput.PEER_REQUEST_MINE_STANDS): to(
            RekeyState.WAIT_RESPONSE, RekeyAction.IGNORE
        ),
        (RekeyState.WAIT_RESPONSE, RekeyInput.PEER_REQUEST_THEIRS_STANDS): to(RekeyState.NONE, RekeyAction.YIELD_REKEY),
        (RekeyState.WAIT_RESPONSE, RekeyInput.ENDED): to(RekeyState.NONE, RekeyAction.ABANDON_REKEY),
        (RekeyState.CONFIRMING, RekeyInput.T4101_TRIES_LEFT): to(
            RekeyState.CONFIRMING, RekeyAction.RESEND_REKEY_CONFIRM
        ),
        (RekeyState.CONFIRMING, RekeyInput.T4101_NONE_LEFT): to(RekeyState.NONE, RekeyAction.END_LINK),
        (RekeyState.CONFIRMING, RekeyInput.ACK): to(RekeyState.NONE, RekeyAction.RETIRE_OLD),
        (RekeyState.CONFIRMING, RekeyInput.ENDED): to(RekeyState.NONE, RekeyAction.ABANDON_REKEY),
        (RekeyState.AWAIT_CONFIRM, RekeyInput.SAME_REQUEST): to(
            RekeyState.AWAIT_CONFIRM, RekeyAction.RESEND_REKEY_RESPONSE
        ),
        (RekeyState.AWAIT_CONFIRM, RekeyInput.GOOD_CONFIRM): to(
            RekeyState.NONE, RekeyAction.SWITCH, RekeyAction.RETIRE_OLD, RekeyAction.SEND_REKEY_ACK
        ),
        (RekeyState.AWAIT_CONFIRM, RekeyInput.T4111): to(RekeyState.NONE, RekeyAction.ABANDON_REKEY),
        (RekeyState.AWAIT_CONFIRM, RekeyInput.ENDED): to(RekeyState.NONE, RekeyAction.ABANDON_REKEY),
    }
)
"""A rekey of an established link, at either end. Another Request before the last rekey is through is dropped."""

LINK_TABLES: Final[Mapping[Role, Table[State]]] = MappingProxyType(
    {Role.INITIATOR: INITIATOR, Role.RESPONDER: RESPONDER}
)
"""Which table a link of this profile runs through."""
