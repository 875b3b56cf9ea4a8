"""The state tables of a link: initiator, responder, either end once established, and the rekey beside them.

PROFILE 7 and 9 row by row. (state, input) -> actions and next state; what isn't listed is dropped and counted. One row
more: a release wanted while confirming is sent as one, since the peer may have the Confirm and hold the link for up.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from prose_link.pc5s.core.fsm import Action, Input, RekeyInput, RekeyState, RekeyTable, Role, State, Table, Transition
from prose_link.pc5s.core.policy import Profile


def _to(state: State, *actions: Action) -> Transition[State]:
    return Transition(actions, state)


def _rekey_to(state: RekeyState, *actions: Action) -> Transition[RekeyState]:
    return Transition(actions, state)


_ESTABLISHED: Final[Table] = {
    (State.ESTABLISHED, Input.VERIFIED_PDU): _to(State.ESTABLISHED, Action.NOTE_PEER_ALIVE),
    (State.ESTABLISHED, Input.T4102): _to(State.ESTABLISHED, Action.SEND_KEEPALIVE),
    (State.ESTABLISHED, Input.T4101_TRIES_LEFT): _to(State.ESTABLISHED, Action.RESEND_KEEPALIVE),
    (State.ESTABLISHED, Input.T4101_NONE_LEFT): _to(State.IDLE, Action.END),
    (State.ESTABLISHED, Input.T4108): _to(State.IDLE, Action.END),
    (State.ESTABLISHED, Input.KEEPALIVE): _to(State.ESTABLISHED, Action.ANSWER_KEEPALIVE),
    (State.ESTABLISHED, Input.KEEPALIVE_ACK): _to(State.ESTABLISHED, Action.COMPLETE_KEEPALIVE),
    (State.ESTABLISHED, Input.RELEASE_WANTED): _to(State.RELEASING, Action.SEND_RELEASE),
    (State.ESTABLISHED, Input.RELEASE): _to(State.LINGERING, Action.ANSWER_RELEASE),
    (State.ESTABLISHED, Input.ENDED): _to(State.IDLE, Action.END),
    (State.RELEASING, Input.RELEASE_ACCEPT): _to(State.IDLE, Action.END),
    (State.RELEASING, Input.T4103_TRIES_LEFT): _to(State.RELEASING, Action.RESEND_RELEASE),
    (State.RELEASING, Input.T4103_NONE_LEFT): _to(State.IDLE, Action.END),
    (State.RELEASING, Input.ENDED): _to(State.IDLE, Action.END),
    (State.LINGERING, Input.RELEASE): _to(State.LINGERING, Action.ANSWER_RELEASE_AGAIN),
    (State.LINGERING, Input.T4103_NONE_LEFT): _to(State.IDLE, Action.WIPE),
    (State.LINGERING, Input.ENDED): _to(State.IDLE, Action.WIPE),
}

INITIATOR: Final[Table] = MappingProxyType(
    {
        (State.IDLE, Input.CONNECT): _to(State.WAIT_ACCEPT, Action.SEND_REQUEST),
        (State.WAIT_ACCEPT, Input.T4100_TRIES_LEFT): _to(State.WAIT_ACCEPT, Action.RESEND_REQUEST),
        (State.WAIT_ACCEPT, Input.T4100_NONE_LEFT): _to(State.IDLE, Action.FAIL),
        (State.WAIT_ACCEPT, Input.GOOD_ACCEPT): _to(State.CONFIRMING, Action.SEND_CONFIRM),
        (State.WAIT_ACCEPT, Input.BAD_ACCEPT): _to(State.WAIT_ACCEPT, Action.COUNT),
        (State.WAIT_ACCEPT, Input.REJECT): _to(State.WAIT_ACCEPT, Action.REMEMBER_CAUSE),
        (State.WAIT_ACCEPT, Input.PEER_REQUEST_MINE_GREATER): _to(State.WAIT_ACCEPT, Action.IGNORE),
        (State.WAIT_ACCEPT, Input.PEER_REQUEST_THEIRS_GREATER): _to(State.IDLE, Action.YIELD),
        (State.WAIT_ACCEPT, Input.ENDED): _to(State.IDLE, Action.FAIL),
        (State.CONFIRMING, Input.T4101_TRIES_LEFT): _to(State.CONFIRMING, Action.RESEND_CONFIRM),
        (State.CONFIRMING, Input.T4101_NONE_LEFT): _to(State.IDLE, Action.FAIL),
        (State.CONFIRMING, Input.ACK): _to(State.ESTABLISHED, Action.ESTABLISH),
        (State.CONFIRMING, Input.VERIFIED_PDU): _to(State.ESTABLISHED, Action.ESTABLISH),
        (State.CONFIRMING, Input.SAME_ACCEPT): _to(State.CONFIRMING, Action.IGNORE),
        (State.CONFIRMING, Input.RELEASE_WANTED): _to(State.RELEASING, Action.SEND_RELEASE),
        (State.CONFIRMING, Input.ENDED): _to(State.IDLE, Action.FAIL),
        **_ESTABLISHED,
    }
)
"""The end that sends the DCR."""

RESPONDER: Final[Table] = MappingProxyType(
    {
        (State.IDLE, Input.GOOD_REQUEST): _to(State.PROVISIONAL, Action.SEND_ACCEPT),
        (State.PROVISIONAL, Input.SAME_REQUEST): _to(State.PROVISIONAL, Action.RESEND_ACCEPT),
        (State.PROVISIONAL, Input.REPLACED): _to(State.IDLE, Action.FAIL),
        (State.PROVISIONAL, Input.GOOD_CONFIRM): _to(State.ESTABLISHED, Action.SEND_ACK, Action.ESTABLISH),
        (State.PROVISIONAL, Input.T4111): _to(State.IDLE, Action.FAIL),
        (State.PROVISIONAL, Input.ENDED): _to(State.IDLE, Action.FAIL),
        (State.ESTABLISHED, Input.GOOD_CONFIRM): _to(State.ESTABLISHED, Action.SEND_ACK),
        **_ESTABLISHED,
    }
)
"""The end that sends the DCA. Before a DCR has passed its checks there is no link: steps 1 to 13 keep no state."""

REKEYING: Final[RekeyTable] = MappingProxyType(
    {
        (RekeyState.NONE, RekeyInput.WANTED): _rekey_to(RekeyState.WAIT_RESPONSE, Action.SEND_REKEY_REQUEST),
        (RekeyState.NONE, RekeyInput.GOOD_REQUEST): _rekey_to(RekeyState.AWAIT_CONFIRM, Action.SEND_REKEY_RESPONSE),
        (RekeyState.NONE, RekeyInput.CONFIRM_AGAIN): _rekey_to(RekeyState.NONE, Action.SEND_REKEY_ACK),
        (RekeyState.WAIT_RESPONSE, RekeyInput.TIMER_TRIES_LEFT): _rekey_to(
            RekeyState.WAIT_RESPONSE, Action.RESEND_REKEY_REQUEST
        ),
        (RekeyState.WAIT_RESPONSE, RekeyInput.TIMER_NONE_LEFT): _rekey_to(
            RekeyState.NONE, Action.ABANDON_REKEY, Action.RELEASE_IF_STUCK
        ),
        (RekeyState.WAIT_RESPONSE, RekeyInput.GOOD_RESPONSE): _rekey_to(
            RekeyState.CONFIRMING, Action.SEND_REKEY_CONFIRM
        ),
        (RekeyState.WAIT_RESPONSE, RekeyInput.BAD_RESPONSE): _rekey_to(RekeyState.WAIT_RESPONSE, Action.COUNT),
        (RekeyState.WAIT_RESPONSE, RekeyInput.PEER_REQUEST_MINE_STANDS): _rekey_to(
            RekeyState.WAIT_RESPONSE, Action.IGNORE
        ),
        (RekeyState.WAIT_RESPONSE, RekeyInput.PEER_REQUEST_THEIRS_STANDS): _rekey_to(
            RekeyState.NONE, Action.YIELD_REKEY
        ),
        (RekeyState.WAIT_RESPONSE, RekeyInput.ENDED): _rekey_to(RekeyState.NONE, Action.ABANDON_REKEY),
        (RekeyState.CONFIRMING, RekeyInput.T4101_TRIES_LEFT): _rekey_to(
            RekeyState.CONFIRMING, Action.RESEND_REKEY_CONFIRM
        ),
        (RekeyState.CONFIRMING, RekeyInput.T4101_NONE_LEFT): _rekey_to(RekeyState.NONE, Action.END_LINK),
        (RekeyState.CONFIRMING, RekeyInput.ACK): _rekey_to(RekeyState.NONE, Action.RETIRE_OLD),
        (RekeyState.CONFIRMING, RekeyInput.ENDED): _rekey_to(RekeyState.NONE, Action.ABANDON_REKEY),
        (RekeyState.AWAIT_CONFIRM, RekeyInput.SAME_REQUEST): _rekey_to(
            RekeyState.AWAIT_CONFIRM, Action.RESEND_REKEY_RESPONSE
        ),
        (RekeyState.AWAIT_CONFIRM, RekeyInput.GOOD_CONFIRM): _rekey_to(
            RekeyState.NONE, Action.SWITCH, Action.RETIRE_OLD, Action.SEND_REKEY_ACK
        ),
        (RekeyState.AWAIT_CONFIRM, RekeyInput.T4111): _rekey_to(RekeyState.NONE, Action.ABANDON_REKEY),
        (RekeyState.AWAIT_CONFIRM, RekeyInput.ENDED): _rekey_to(RekeyState.NONE, Action.ABANDON_REKEY),
    }
)
"""A rekey of an established link, at either end. Another Request before the last rekey is through is dropped."""

MODE_INITIATOR: Final[Table] = MappingProxyType(
    {
        (State.IDLE, Input.CONNECT): _to(State.WAIT_ACCEPT, Action.SEND_REQUEST),
        (State.WAIT_ACCEPT, Input.T4100_TRIES_LEFT): _to(State.WAIT_ACCEPT, Action.RESEND_REQUEST),
        (State.WAIT_ACCEPT, Input.T4100_NONE_LEFT): _to(State.IDLE, Action.FAIL),
        (State.WAIT_ACCEPT, Input.GOOD_COMMAND): _to(State.CONFIRMING, Action.SEND_COMPLETE),
        (State.WAIT_ACCEPT, Input.REJECT): _to(State.WAIT_ACCEPT, Action.REMEMBER_CAUSE),
        (State.WAIT_ACCEPT, Input.PEER_REQUEST_THEIRS_GREATER): _to(State.IDLE, Action.YIELD),
        (State.WAIT_ACCEPT, Input.ENDED): _to(State.IDLE, Action.FAIL),
        (State.CONFIRMING, Input.T4101_TRIES_LEFT): _to(State.CONFIRMING, Action.RESEND_COMPLETE),
        (State.CONFIRMING, Input.T4101_NONE_LEFT): _to(State.IDLE, Action.FAIL),
        (State.CONFIRMING, Input.PROTECTED_ACCEPT): _to(State.ESTABLISHED, Action.ESTABLISH),
        (State.CONFIRMING, Input.GOOD_COMMAND): _to(State.CONFIRMING, Action.IGNORE),
        (State.CONFIRMING, Input.RELEASE_WANTED): _to(State.RELEASING, Action.SEND_RELEASE),
        (State.CONFIRMING, Input.ENDED): _to(State.IDLE, Action.FAIL),
        **_ESTABLISHED,
    }
)
"""The end that sends the Request in the `ts24334` profile; it confirms by the Security Mode Complete."""

MODE_RESPONDER: Final[Table] = MappingProxyType(
    {
        (State.IDLE, Input.GOOD_REQUEST): _to(State.PROVISIONAL, Action.SEND_COMMAND),
        (State.PROVISIONAL, Input.SAME_REQUEST): _to(State.PROVISIONAL, Action.RESEND_COMMAND),
        (State.PROVISIONAL, Input.REPLACED): _to(State.IDLE, Action.FAIL),
        (State.PROVISIONAL, Input.MODE_REJECT): _to(State.PROVISIONAL, Action.REMEMBER_CAUSE),
        (State.PROVISIONAL, Input.GOOD_COMPLETE): _to(
            State.ESTABLISHED, Action.SEND_PROTECTED_ACCEPT, Action.ESTABLISH
        ),
        (State.PROVISIONAL, Input.T4111): _to(State.IDLE, Action.FAIL),
        (State.PROVISIONAL, Input.ENDED): _to(State.IDLE, Action.FAIL),
        (State.ESTABLISHED, Input.GOOD_COMPLETE): _to(State.ESTABLISHED, Action.SEND_PROTECTED_ACCEPT),
        **_ESTABLISHED,
    }
)
"""The end that sends the Security Mode Command in the `ts24334` profile."""

LINK_TABLES: Final[Mapping[tuple[Profile, Role], Table]] = MappingProxyType(
    {
        (Profile.IDENTITY, Role.INITIATOR): INITIATOR,
        (Profile.IDENTITY, Role.RESPONDER): RESPONDER,
        (Profile.TS24334, Role.INITIATOR): MODE_INITIATOR,
        (Profile.TS24334, Role.RESPONDER): MODE_RESPONDER,
    }
)
"""Which table a link runs through."""

TABLES: Final[Mapping[str, Table | RekeyTable]] = MappingProxyType(
    {
        "initiator": INITIATOR,
        "responder": RESPONDER,
        "rekeying": REKEYING,
        "ts24334 initiator": MODE_INITIATOR,
        "ts24334 responder": MODE_RESPONDER,
    }
)
"""Every table by name, for diagrams and for tests of every (state, input) pair."""
