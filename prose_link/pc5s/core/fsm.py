"""What state tables are made of: states, inputs, actions (PROFILE 7, 9).

The tables are data: `tables` has the rows that all links share, and each profile's folder has its own tables. Inputs
and actions are enums; a profile that needs more of them defines its own enum. `machine` runs the tables. An input that
a table doesn't list in a state is dropped and counted.
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
    """States of a rekey, in parallel with the link's own state (PROFILE 9).

    An end that has answered keeps the new context until its Confirm comes, and may send a Request itself meanwhile.
    """

    NONE = "none"
    WAIT_RESPONSE = "wait for response"
    CONFIRMING = "rekey confirming"
    AWAIT_CONFIRM = "await confirm"
    ASK_WHILE_AWAITING = "wait for response, await confirm"


class Input(Enum):
    """Inputs of a link of any profile: requests of the owner, timers, and PDUs after they were checked."""

    CONNECT = "connect"
    T4100_TRIES_LEFT = "T4100, tries left"
    T4100_NONE_LEFT = "T4100, none left"
    GOOD_ACCEPT = "good DCA"
    SAME_ACCEPT = "the same DCA again"
    BAD_ACCEPT = "bad DCA"
    REJECT = "Reject"
    PEER_REQUEST_MINE_GREATER = "good DCR from the target, mine greater"
    PEER_REQUEST_THEIRS_GREATER = "good DCR from the target, theirs greater"
    PEER_REQUEST_CONFIRMED = "good Confirm of the target's own request"
    GOOD_REQUEST = "good DCR"
    SAME_REQUEST = "same DCR"
    REPLACED = "later good DCR of the same signer, or the link of own request with it"
    GOOD_CONFIRM = "good Confirm"
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


class Action(Enum):
    """Actions on a transition of a link of any profile. A profile may define more actions of its own."""

    SEND_REQUEST = "send DCR within 100 ms, start T4100"
    RESEND_REQUEST = "send the same DCR, start T4100"
    SEND_CONFIRM = "send Confirm, start T4101"
    RESEND_CONFIRM = "send Confirm again, start T4101"
    COUNT = "count"
    REMEMBER_CAUSE = "remember the cause"
    FAIL = "wipe, report the failure"
    DROP_PROVISIONAL = "wipe; another link with the peer goes on"
    YIELD = "wipe own request, go on as responder"
    IGNORE = "ignore"
    ANSWER_BESIDES = "keep own request as it is, answer theirs besides"
    SEND_ACCEPT = "send DCA, start T4111"
    RESEND_ACCEPT = "send the same DCA, at most once in 500 ms by each carrier"
    SEND_ACK = "send Ack"
    ESTABLISH = "report the link, drop the older one, start its timers"
    NOTE_PEER_ALIVE = "at the responder: restart T4108"
    SEND_KEEPALIVE = "send Keepalive, start T4101"
    RESEND_KEEPALIVE = "send the same Keepalive, start T4101"
    RESEND_KEEPALIVE_SLOWLY = "send the same Keepalive, start T4101 for 2 s or more"
    ANSWER_KEEPALIVE = "send Keepalive Ack, restart T4108"
    COMPLETE_KEEPALIVE = "count the exchange, start T4102 and T4108"
    BLAME_SILENCE = "the peer is no longer available"
    SEND_RELEASE = "send Release, stop user data, start T4103"
    RESEND_RELEASE = "send the same Release, start T4103"
    ANSWER_RELEASE = "report the end, send Release Accept, start T4103"
    ANSWER_RELEASE_AGAIN = "send Release Accept, start T4103"
    END = "wipe, report the end"
    WIPE = "wipe"


_S = TypeVar("_S", bound=Enum)


@dataclass(frozen=True, slots=True)
class Transition(Generic[_S]):
    """Actions in their order, and the state after them."""

    actions: tuple[Enum, ...]
    next_state: _S


Table: TypeAlias = Mapping[tuple[_S, Enum], Transition[_S]]
"""(state, input) -> transition."""


def to(state: _S, *actions: Enum) -> Transition[_S]:
    """A row of a table: the state after the actions, and the actions in their order."""
    return Transition(actions, state)
