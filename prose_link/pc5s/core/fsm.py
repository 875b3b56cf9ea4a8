"""What state tables are made of: states, inputs, actions (PROFILE 7, 9).

The tables are data: `tables` has them. An input that a table doesn't list in a link's state is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeAlias, TypeVar


class Role(Enum):
    """Which end of a link a table is for."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


class State(Enum):
    """States of a link; one entry for each end's tables (PROFILE 7)."""

    IDLE = "idle"
    WAIT_ACCEPT = "wait for accept"
    CONFIRMING = "confirming"
    PROVISIONAL = "provisional"
    ESTABLISHED = "established"
    RELEASING = "releasing"
    LINGERING = "released by the peer, its repeated Release still answered"


class RekeyState(Enum):
    """States of a rekey, beside the link's own state (PROFILE 9)."""

    NONE = "none"
    WAIT_RESPONSE = "wait for response"
    CONFIRMING = "rekey confirming"
    AWAIT_CONFIRM = "await confirm"


class Input(Enum):
    """What can happen to a link: local wishes, timers, and PDUs after they were checked."""

    CONNECT = "connect"
    T4100_TRIES_LEFT = "T4100, tries left"
    T4100_NONE_LEFT = "T4100, none left"
    GOOD_ACCEPT = "good DCA"
    SAME_ACCEPT = "the same DCA again"
    BAD_ACCEPT = "bad DCA"
    REJECT = "Reject"
    PEER_REQUEST_MINE_GREATER = "good DCR from the target, mine greater"
    PEER_REQUEST_THEIRS_GREATER = "good DCR from the target, theirs greater"
    GOOD_REQUEST = "good DCR"
    SAME_REQUEST = "same DCR"
    REPLACED = "new good DCR of the same signer"
    GOOD_CONFIRM = "good Confirm"
    BAD_CONFIRM = "bad Confirm"
    GOOD_COMMAND = "good Security Mode Command"
    GOOD_COMPLETE = "good Security Mode Complete"
    MODE_REJECT = "Security Mode Reject"
    PROTECTED_ACCEPT = "Accept under the context"
    ACK = "Ack of the Confirm"
    VERIFIED_PDU = "PDU that verifies"
    T4101_TRIES_LEFT = "T4101, tries left"
    T4101_NONE_LEFT = "T4101, none left"
    T4102 = "T4102"
    T4108 = "T4108"
    T4111 = "T4111"
    KEEPALIVE = "Keepalive"
    KEEPALIVE_ACK = "Keepalive Ack"
    RELEASE_WANTED = "release wanted"
    RELEASE = "Release received"
    RELEASE_ACCEPT = "Release Accept received"
    T4103_TRIES_LEFT = "T4103, tries left"
    T4103_NONE_LEFT = "T4103, none left"
    ENDED = "superseded, denied, keys at their end, or shutdown"


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


class Action(Enum):
    """What a machine does on a transition; the role that owns the machine has a method for each."""

    SEND_REQUEST = "send DCR within 100 ms, start T4100"
    RESEND_REQUEST = "send the same DCR, start T4100"
    SEND_CONFIRM = "send Confirm, start T4101"
    RESEND_CONFIRM = "send Confirm again, start T4101"
    COUNT = "count"
    REMEMBER_CAUSE = "remember the cause"
    FAIL = "wipe, report the failure"
    YIELD = "wipe own request, go on as responder"
    IGNORE = "ignore"
    SEND_COMPLETE = "send Security Mode Complete, start T4101"
    RESEND_COMPLETE = "send Security Mode Complete again, start T4101"
    SEND_COMMAND = "send Security Mode Command, start T4111"
    RESEND_COMMAND = "send the same Security Mode Command, at most once in 500 ms"
    SEND_PROTECTED_ACCEPT = "send Accept under the context"
    SEND_ACCEPT = "send DCA, start T4111"
    RESEND_ACCEPT = "send the same DCA, at most once in 500 ms by each carrier"
    SEND_ACK = "send Ack"
    ESTABLISH = "report the link, drop the older one, start its timers"
    NOTE_PEER_ALIVE = "restart T4108"
    SEND_KEEPALIVE = "send Keepalive, start T4101"
    RESEND_KEEPALIVE = "send the same Keepalive, start T4101"
    ANSWER_KEEPALIVE = "send Keepalive Ack, restart T4108"
    COMPLETE_KEEPALIVE = "count the exchange, start T4102"
    SEND_RELEASE = "send Release, stop user data, start T4103"
    RESEND_RELEASE = "send the same Release, start T4103"
    ANSWER_RELEASE = "report the end, send Release Accept, start T4103"
    ANSWER_RELEASE_AGAIN = "send Release Accept, start T4103"
    END = "wipe, report the end"
    WIPE = "wipe"
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


_S = TypeVar("_S", State, RekeyState)


@dataclass(frozen=True, slots=True)
class Transition(Generic[_S]):
    """Actions in their order, and the state after them."""

    actions: tuple[Action, ...]
    next_state: _S


Table: TypeAlias = Mapping[tuple[State, Input], Transition[State]]
RekeyTable: TypeAlias = Mapping[tuple[RekeyState, RekeyInput], Transition[RekeyState]]
