"""The delivery of a group key to one recipient: states, inputs and tables (PROFILE 11).

A row is (state, input) -> actions and next state. An input that isn't listed is dropped and counted. There are two
tables: one for keys that each member gets in a message of its own, one for keys sent to a group identity, which get no
answer.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Final

from prose_link.pc5s.core.fsm import Table, to


class DeliveryState(Enum):
    """State of the delivery to one recipient."""

    QUEUED = "waits for its turn"
    WAIT_RECEIPT = "sent, waits for the receipt"
    DELIVERED = "delivered"
    UNDELIVERED = "no receipt came"


class DeliveryInput(Enum):
    """Inputs of a delivery."""

    TURN = "its turn"
    T4100_TRIES_LEFT = "T4100, tries left"
    T4100_NONE_LEFT = "T4100, none left"
    GOOD_RECEIPT = "good DCA"
    BAD_RECEIPT = "bad DCA"
    REJECT = "Reject"
    AGAIN = "to be tried again"
    NOT_MADE = "the message can't be made"


class DeliveryAction(Enum):
    """Actions on a transition of a delivery."""

    SEND = "send DCR, start T4100"
    RESEND = "send the same DCR, start T4100"
    COUNT = "count"
    REMEMBER_CAUSE = "remember the cause"
    REPORT_RECEIPT = "wipe, report the receipt"
    REPORT_SENT = "wipe, report that it was sent as often as planned"
    REPORT_FAILURE = "report the failure"


_SENDING: Final[Table[DeliveryState]] = {
    (DeliveryState.QUEUED, DeliveryInput.TURN): to(DeliveryState.WAIT_RECEIPT, DeliveryAction.SEND),
    (DeliveryState.WAIT_RECEIPT, DeliveryInput.NOT_MADE): to(DeliveryState.UNDELIVERED, DeliveryAction.REPORT_FAILURE),
    (DeliveryState.WAIT_RECEIPT, DeliveryInput.T4100_TRIES_LEFT): to(DeliveryState.WAIT_RECEIPT, DeliveryAction.RESEND),
}

TO_MEMBER: Final[Table[DeliveryState]] = MappingProxyType(
    {
        **_SENDING,
        (DeliveryState.WAIT_RECEIPT, DeliveryInput.T4100_NONE_LEFT): to(
            DeliveryState.UNDELIVERED, DeliveryAction.REPORT_FAILURE
        ),
        (DeliveryState.WAIT_RECEIPT, DeliveryInput.GOOD_RECEIPT): to(
            DeliveryState.DELIVERED, DeliveryAction.REPORT_RECEIPT
        ),
        (DeliveryState.WAIT_RECEIPT, DeliveryInput.BAD_RECEIPT): to(DeliveryState.WAIT_RECEIPT, DeliveryAction.COUNT),
        (DeliveryState.WAIT_RECEIPT, DeliveryInput.REJECT): to(
            DeliveryState.WAIT_RECEIPT, DeliveryAction.REMEMBER_CAUSE
        ),
        (DeliveryState.UNDELIVERED, DeliveryInput.GOOD_RECEIPT): to(
            DeliveryState.DELIVERED, DeliveryAction.REPORT_RECEIPT
        ),
        (DeliveryState.UNDELIVERED, DeliveryInput.AGAIN): to(DeliveryState.QUEUED),
    }
)
"""Mode 1: the same octets until the member's receipt comes; a late receipt still counts."""

TO_GROUP: Final[Table[DeliveryState]] = MappingProxyType(
    {
        **_SENDING,
        (DeliveryState.WAIT_RECEIPT, DeliveryInput.T4100_NONE_LEFT): to(
            DeliveryState.DELIVERED, DeliveryAction.REPORT_SENT
        ),
    }
)
"""Mode 0: the same octets as often as a request is sent; no answer is expected or accepted."""
