"""The four state machines of transactions as tables (RFC 3261 17.1, 17.2; RFC 6026 7.1, 7.2).

A row says what a cue does in a state: the next state, what is done, which timers stop and which start. A cue that has
no row in a state changes nothing there. `transaction.Transaction` carries the rows out; a timer that the transport does
not have is not started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from prose_link.sip.timers import Timer


class State(Enum):
    """States of all four machines."""

    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class Cue(Enum):
    """What happens to a transaction beside its timers. Responses come in at a client, and are given to a server."""

    PROVISIONAL = auto()
    SUCCESS = auto()
    FAILURE = auto()
    REQUEST = auto()
    """The request has come again."""
    ACK = auto()
    TRANSPORT_ERROR = auto()


class Action(Enum):
    """What a row does."""

    TELL = auto()
    """Hand the message to the user."""
    SEND = auto()
    """Send the response that the user has given, and keep it."""
    REPEAT = auto()
    """Send what was sent last."""
    ACKNOWLEDGE = auto()
    """Send the ACK of a failure."""
    TELL_TIMEOUT = auto()
    TELL_ERROR = auto()


@dataclass(frozen=True, slots=True)
class Row:
    """What a cue does in a state."""

    to: State
    actions: tuple[Action, ...] = ()
    stop: tuple[Timer, ...] = ()
    start: tuple[Timer, ...] = ()


Table = Mapping[tuple[State, Cue | Timer], Row]

_C, _TR, _P, _A = State.CALLING, State.TRYING, State.PROCEEDING, State.ACCEPTED
_CO, _CF, _END = State.COMPLETED, State.CONFIRMED, State.TERMINATED

INVITE_CLIENT: Final[Table] = {
    (_C, Timer.A): Row(_C, (Action.REPEAT,), start=(Timer.A,)),
    (_C, Timer.B): Row(_END, (Action.TELL_TIMEOUT,)),
    (_C, Cue.TRANSPORT_ERROR): Row(_END, (Action.TELL_ERROR,)),
    (_C, Cue.PROVISIONAL): Row(_P, (Action.TELL,), stop=(Timer.A, Timer.B)),
    (_C, Cue.SUCCESS): Row(_A, (Action.TELL,), stop=(Timer.A, Timer.B), start=(Timer.M,)),
    (_C, Cue.FAILURE): Row(_CO, (Action.ACKNOWLEDGE, Action.TELL), stop=(Timer.A, Timer.B), start=(Timer.D,)),
    (_P, Cue.PROVISIONAL): Row(_P, (Action.TELL,)),
    (_P, Cue.SUCCESS): Row(_A, (Action.TELL,), start=(Timer.M,)),
    (_P, Cue.FAILURE): Row(_CO, (Action.ACKNOWLEDGE, Action.TELL), start=(Timer.D,)),
    (_A, Cue.SUCCESS): Row(_A, (Action.TELL,)),
    (_A, Timer.M): Row(_END),
    (_CO, Cue.FAILURE): Row(_CO, (Action.ACKNOWLEDGE,)),
    (_CO, Cue.TRANSPORT_ERROR): Row(_END, (Action.TELL_ERROR,)),
    (_CO, Timer.D): Row(_END),
}
"""RFC 6026 figure 1 in place of RFC 3261 figure 5."""

OTHER_CLIENT: Final[Table] = {
    (_TR, Timer.E): Row(_TR, (Action.REPEAT,), start=(Timer.E,)),
    (_TR, Timer.F): Row(_END, (Action.TELL_TIMEOUT,)),
    (_TR, Cue.TRANSPORT_ERROR): Row(_END, (Action.TELL_ERROR,)),
    (_TR, Cue.PROVISIONAL): Row(_P, (Action.TELL,)),
    (_TR, Cue.SUCCESS): Row(_CO, (Action.TELL,), stop=(Timer.E, Timer.F), start=(Timer.K,)),
    (_TR, Cue.FAILURE): Row(_CO, (Action.TELL,), stop=(Timer.E, Timer.F), start=(Timer.K,)),
    (_P, Timer.E): Row(_P, (Action.REPEAT,), start=(Timer.E,)),
    (_P, Timer.F): Row(_END, (Action.TELL_TIMEOUT,)),
    (_P, Cue.TRANSPORT_ERROR): Row(_END, (Action.TELL_ERROR,)),
    (_P, Cue.PROVISIONAL): Row(_P, (Action.TELL,)),
    (_P, Cue.SUCCESS): Row(_CO, (Action.TELL,), stop=(Timer.E, Timer.F), start=(Timer.K,)),
    (_P, Cue.FAILURE): Row(_CO, (Action.TELL,), stop=(Timer.E, Timer.F), start=(Timer.K,)),
    (_CO, Timer.K): Row(_END),
}
"""RFC 3261 figure 6."""

INVITE_SERVER: Final[Table] = {
    (_P, Cue.REQUEST): Row(_P, (Action.REPEAT,)),
    (_P, Cue.PROVISIONAL): Row(_P, (Action.SEND,)),
    (_P, Cue.SUCCESS): Row(_A, (Action.SEND,), start=(Timer.L,)),
    (_P, Cue.FAILURE): Row(_CO, (Action.SEND,), start=(Timer.G, Timer.H)),
    (_P, Cue.TRANSPORT_ERROR): Row(_P, (Action.TELL_ERROR,)),
    (_A, Cue.SUCCESS): Row(_A, (Action.SEND,)),
    (_A, Cue.ACK): Row(_A, (Action.TELL,)),
    (_A, Cue.TRANSPORT_ERROR): Row(_A, (Action.TELL_ERROR,)),
    (_A, Timer.L): Row(_END),
    (_CO, Cue.REQUEST): Row(_CO, (Action.REPEAT,)),
    (_CO, Timer.G): Row(_CO, (Action.REPEAT,), start=(Timer.G,)),
    (_CO, Cue.ACK): Row(_CF, stop=(Timer.G, Timer.H), start=(Timer.I,)),
    (_CO, Timer.H): Row(_END, (Action.TELL_TIMEOUT,)),
    (_CO, Cue.TRANSPORT_ERROR): Row(_CO, (Action.TELL_ERROR,)),
    (_CF, Timer.I): Row(_END),
}
"""RFC 6026 figure 2 in place of RFC 3261 figure 7; repeated INVITEs in Accepted have no row, so they are absorbed."""

OTHER_SERVER: Final[Table] = {
    (_TR, Cue.PROVISIONAL): Row(_P, (Action.SEND,)),
    (_TR, Cue.SUCCESS): Row(_CO, (Action.SEND,), start=(Timer.J,)),
    (_TR, Cue.FAILURE): Row(_CO, (Action.SEND,), start=(Timer.J,)),
    (_P, Cue.REQUEST): Row(_P, (Action.REPEAT,)),
    (_P, Cue.PROVISIONAL): Row(_P, (Action.SEND,)),
    (_P, Cue.SUCCESS): Row(_CO, (Action.SEND,), start=(Timer.J,)),
    (_P, Cue.FAILURE): Row(_CO, (Action.SEND,), start=(Timer.J,)),
    (_P, Cue.TRANSPORT_ERROR): Row(_END, (Action.TELL_ERROR,)),
    (_CO, Cue.REQUEST): Row(_CO, (Action.REPEAT,)),
    (_CO, Timer.J): Row(_END),
    (_CO, Cue.TRANSPORT_ERROR): Row(_END, (Action.TELL_ERROR,)),
}
"""RFC 3261 figure 8."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine: its table, where it begins, and the timers that start with it."""

    name: str
    table: Table
    initial: State
    start: tuple[Timer, ...] = ()


MACHINES: Final = (
    Machine("INVITE client", INVITE_CLIENT, _C, (Timer.A, Timer.B)),
    Machine("other client", OTHER_CLIENT, _TR, (Timer.E, Timer.F)),
    Machine("INVITE server", INVITE_SERVER, _P),
    Machine("other server", OTHER_SERVER, _TR),
)
INVITE_CLIENT_MACHINE, OTHER_CLIENT_MACHINE, INVITE_SERVER_MACHINE, OTHER_SERVER_MACHINE = MACHINES
