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
    """Inputs of a rekey."""

    WANTED = "rekey wanted or Trigger"
    T4100_TRIES_LEFT = "T4100, tries left"
    T4100_NONCES_UNANSWERED = "T4100, none left, Request without I_MESSAGE"
    T4100_NONE_LEFT = "T4100, none left"
    GOOD_RESPONSE = "good Response"
    BAD_RESPONSE = "bad Response"
    GOOD_REQUEST = "good Request"
    PEER_REQUEST_MINE_STANDS = "Request, mine stands"
    PEER_REQUEST_THEIRS_STANDS = "good Request, theirs stands"
    SAME_REQUEST = "same Request"
    GOOD_CONFIRM = "good Confirm"
    CONFIRM_AGAIN = "Confirm again"
    ACK = "Ack of the Confirm, or another PDU on the new context"
    T4101 = "T4101"
    T4108 = "T4108"
    ENDED = "the link ends"


class RekeyAction(Enum):
    """Actions on a transition of a rekey."""

    COUNT = "count"
    IGNORE = "ignore"
    SEND_REKEY_REQUEST = "send Rekeying Request, start T4100"
    RESEND_REKEY_REQUEST = "send the same Rekeying Request, start T4100"
    GIVE_UP = "wipe own Request; try again later, or release if the link can't go on"
    SEND_REKEY_CONFIRM = "new context beside the old one, send Confirm on it, start T4101 and T4108"
    RESEND_REKEY_CONFIRM = "send Confirm again on the new context, T4101 doubled up to 2 s"
    SEND_REKEY_RESPONSE = "new context for nothing but its Confirm, send Response"
    RESEND_REKEY_RESPONSE = "send the same Response"
    DROP_KEPT = "wipe the context that awaits its Confirm"
    YIELD_REKEY = "wipe own Request, the peer's stands"
    SEND_REKEY_ACK = "send Ack on the context in use"
    TAKE_OWN = "go over to the context asked for, report the rekey, start T_old"
    TAKE_KEPT = "go over to the context answered, wipe own Request, report the rekey, start T_old"
    FORGET = "wipe what the rekey has made"
    KEEP_FOR_RELEASE = "send Release on both contexts"
    END_LINK = "the peer is no longer available: release the link"


INITIATOR: Final[Table[State]] = MappingProxyType(
    {
        (State.IDLE, Input.CONNECT): to(State.WAIT_ACCEPT, Action.SEND_REQUEST),
        (State.WAIT_ACCEPT, Input.T4100_TRIES_LEFT): to(State.WAIT_ACCEPT, Action.RESEND_REQUEST),
        (State.WAIT_ACCEPT, Input.T4100_NONE_LEFT): to(State.IDLE, Action.FAIL),
        (State.WAIT_ACCEPT, Input.GOOD_ACCEPT): to(State.CONFIRMING, Action.SEND_CONFIRM),
        (State.WAIT_ACCEPT, Input.BAD_ACCEPT): to(State.WAIT_ACCEPT, Action.COUNT),
        (State.WAIT_ACCEPT, Input.REJECT): to(State.WAIT_ACCEPT, Action.REMEMBER_CAUSE),
        (State.WAIT_ACCEPT, Input.PEER_REQUEST_MINE_GREATER): to(State.WAIT_ACCEPT, Action.IGNORE),
        (State.WAIT_ACCEPT, Input.PEER_REQUEST_THEIRS_GREATER): to(State.WAIT_ACCEPT, Action.ANSWER_BESIDES),
        (State.WAIT_ACCEPT, Input.PEER_REQUEST_CONFIRMED): to(State.IDLE, Action.YIELD),
        (State.WAIT_ACCEPT, Input.ENDED): to(State.IDLE, Action.FAIL),
        (State.CONFIRMING, Input.T4101_TRIES_LEFT): to(State.CONFIRMING, Action.RESEND_CONFIRM),
        (State.CONFIRMING, Input.T4101_NONE_LEFT): to(State.IDLE, Action.FAIL),
        (State.CONFIRMING, Input.ACK): to(State.ESTABLISHED, Action.ESTABLISH),
        (State.CONFIRMING, Input.VERIFIED_PDU): to(State.ESTABLISHED, Action.ESTABLISH),
        (State.CONFIRMING, Input.SAME_ACCEPT): to(State.CONFIRMING, Action.IGNORE),
        (State.CONFIRMING, Input.PEER_REQUEST_CONFIRMED): to(State.IDLE, Action.YIELD),
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
        (State.PROVISIONAL, Input.REPLACED): to(State.IDLE, Action.DROP_PROVISIONAL),
        (State.PROVISIONAL, Input.GOOD_CONFIRM): to(State.ESTABLISHED, Action.SEND_ACK, Action.ESTABLISH),
        (State.PROVISIONAL, Input.T4111): to(State.IDLE, Action.FAIL),
        (State.PROVISIONAL, Input.ENDED): to(State.IDLE, Action.FAIL),
        (State.ESTABLISHED, Input.GOOD_CONFIRM): to(State.ESTABLISHED, Action.SEND_ACK),
        **ESTABLISHED,
    }
)
"""The end that sends the DCA. Before a DCR has passed its checks there is no link: steps 1 to 13 keep no state."""

_ASKING: Final = (RekeyState.WAIT_RESPONSE, RekeyState.ASK_WHILE_AWAITING)
_KEEPING: Final = (RekeyState.AWAIT_CONFIRM, RekeyState.ASK_WHILE_AWAITING)
_WITHOUT_OWN: Final = {
    RekeyState.WAIT_RESPONSE: RekeyState.NONE,
    RekeyState.ASK_WHILE_AWAITING: RekeyState.AWAIT_CONFIRM,
}
"""The state of a rekey after its own Request is dropped."""

REKEYING: Final[Table[RekeyState]] = MappingProxyType(
    {
        (RekeyState.NONE, RekeyInput.WANTED): to(RekeyState.WAIT_RESPONSE, RekeyAction.SEND_REKEY_REQUEST),
        (RekeyState.NONE, RekeyInput.GOOD_REQUEST): to(RekeyState.AWAIT_CONFIRM, RekeyAction.SEND_REKEY_RESPONSE),
        **{(state, RekeyInput.T4100_TRIES_LEFT): to(state, RekeyAction.RESEND_REKEY_REQUEST) for state in _ASKING},
        **{(state, RekeyInput.T4100_NONCES_UNANSWERED): to(state, RekeyAction.SEND_REKEY_REQUEST) for state in _ASKING},
        **{(state, RekeyInput.T4100_NONE_LEFT): to(_WITHOUT_OWN[state], RekeyAction.GIVE_UP) for state in _ASKING},
        **{(state, RekeyInput.BAD_RESPONSE): to(state, RekeyAction.COUNT) for state in _ASKING},
        **{(state, RekeyInput.PEER_REQUEST_MINE_STANDS): to(state, RekeyAction.IGNORE) for state in _ASKING},
        **{
            (state, RekeyInput.PEER_REQUEST_THEIRS_STANDS): to(_WITHOUT_OWN[state], RekeyAction.YIELD_REKEY)
            for state in _ASKING
        },
        (RekeyState.WAIT_RESPONSE, RekeyInput.GOOD_RESPONSE): to(RekeyState.CONFIRMING, RekeyAction.SEND_REKEY_CONFIRM),
        (RekeyState.ASK_WHILE_AWAITING, RekeyInput.GOOD_RESPONSE): to(
            RekeyState.CONFIRMING, RekeyAction.DROP_KEPT, RekeyAction.SEND_REKEY_CONFIRM
        ),
        (RekeyState.CONFIRMING, RekeyInput.T4101): to(RekeyState.CONFIRMING, RekeyAction.RESEND_REKEY_CONFIRM),
        (RekeyState.CONFIRMING, RekeyInput.T4108): to(
            RekeyState.NONE, RekeyAction.KEEP_FOR_RELEASE, RekeyAction.END_LINK
        ),
        (RekeyState.CONFIRMING, RekeyInput.ACK): to(RekeyState.NONE, RekeyAction.TAKE_OWN),
        (RekeyState.CONFIRMING, RekeyInput.ENDED): to(RekeyState.NONE, RekeyAction.KEEP_FOR_RELEASE),
        (RekeyState.AWAIT_CONFIRM, RekeyInput.WANTED): to(
            RekeyState.ASK_WHILE_AWAITING, RekeyAction.SEND_REKEY_REQUEST
        ),
        (RekeyState.AWAIT_CONFIRM, RekeyInput.GOOD_REQUEST): to(
            RekeyState.AWAIT_CONFIRM, RekeyAction.SEND_REKEY_RESPONSE
        ),
        **{(state, RekeyInput.SAME_REQUEST): to(state, RekeyAction.RESEND_REKEY_RESPONSE) for state in _KEEPING},
        **{
            (state, RekeyInput.GOOD_CONFIRM): to(RekeyState.NONE, RekeyAction.TAKE_KEPT, RekeyAction.SEND_REKEY_ACK)
            for state in _KEEPING
        },
        **{(state, RekeyInput.CONFIRM_AGAIN): to(state, RekeyAction.SEND_REKEY_ACK) for state in RekeyState},
        **{
            (state, RekeyInput.ENDED): to(RekeyState.NONE, RekeyAction.FORGET)
            for state in (*_ASKING, RekeyState.AWAIT_CONFIRM)
        },
    }
)
"""Rekeys of an established link, at either end (PROFILE 9).

The end that asks changes to the new context on the Ack, the end that answers on the Confirm; neither changes back.
"""

LINK_TABLES: Final[Mapping[Role, Table[State]]] = MappingProxyType(
    {Role.INITIATOR: INITIATOR, Role.RESPONDER: RESPONDER}
)
"""Which table a link of this profile runs through."""
