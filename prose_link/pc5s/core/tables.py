"""The rows of the state tables that all links share: keepalives, release, and the end (PROFILE 7).

A row is (state, input) -> actions and next state. An input that isn't listed is dropped and counted.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from prose_link.pc5s.core.fsm import Action, Input, State, Table, to

ESTABLISHED: Final[Table[State]] = MappingProxyType(
    {
        (State.ESTABLISHED, Input.VERIFIED_PDU): to(State.ESTABLISHED, Action.NOTE_PEER_ALIVE),
        (State.ESTABLISHED, Input.T4102): to(State.ESTABLISHED, Action.SEND_KEEPALIVE),
        (State.ESTABLISHED, Input.T4101_TRIES_LEFT): to(State.ESTABLISHED, Action.RESEND_KEEPALIVE),
        (State.ESTABLISHED, Input.T4101_NONE_LEFT): to(State.ESTABLISHED, Action.RESEND_KEEPALIVE_SLOWLY),
        (State.ESTABLISHED, Input.T4108): to(State.RELEASING, Action.BLAME_SILENCE, Action.SEND_RELEASE),
        (State.ESTABLISHED, Input.KEEPALIVE): to(State.ESTABLISHED, Action.ANSWER_KEEPALIVE),
        (State.ESTABLISHED, Input.KEEPALIVE_ACK): to(State.ESTABLISHED, Action.COMPLETE_KEEPALIVE),
        (State.ESTABLISHED, Input.RELEASE_WANTED): to(State.RELEASING, Action.SEND_RELEASE),
        (State.ESTABLISHED, Input.RELEASE): to(State.LINGERING, Action.ANSWER_RELEASE),
        (State.ESTABLISHED, Input.ENDED): to(State.IDLE, Action.END),
        (State.RELEASING, Input.RELEASE_ACCEPT): to(State.IDLE, Action.END),
        (State.RELEASING, Input.T4103_TRIES_LEFT): to(State.RELEASING, Action.RESEND_RELEASE),
        (State.RELEASING, Input.T4103_NONE_LEFT): to(State.IDLE, Action.END),
        (State.RELEASING, Input.ENDED): to(State.IDLE, Action.END),
        (State.LINGERING, Input.RELEASE): to(State.LINGERING, Action.ANSWER_RELEASE_AGAIN),
        (State.LINGERING, Input.T4103_NONE_LEFT): to(State.IDLE, Action.WIPE),
        (State.LINGERING, Input.ENDED): to(State.IDLE, Action.WIPE),
    }
)
"""The rows of every established link, at either end and in every profile; the tables of all profiles include them."""
