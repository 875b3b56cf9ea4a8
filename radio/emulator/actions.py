"""Actions of a third party on a UE's transmission on its way to the air: attacks, replays, jamming; and listeners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from radio.arrays import Iq
from radio.emulator.timeline import SampleTimeline
from radio.errors import RadioError


class ActionError(RadioError):
    """An action returned something that its interface does not allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TxPiece:
    """A stretch of one UE's transmission, in its own clock: a burst as it was written, or silence (`iq` None).

    `ahead` holds the bursts that start within the action's lookahead after the piece's block, as (first_sample, iq).
    """

    ue: str
    first_sample: int
    n_samples: int
    iq: Iq | None
    ahead: tuple[tuple[int, Iq], ...]


class OverTheAirAction(Protocol):
    """A third party between the antennas.

    It gets every piece of every UE's transmission once, in order; pure, seeded.
    """

    lookahead_blocks: int

    def process(self, piece: TxPiece) -> Iq | None:
        """Return what goes on the air instead: `n_samples` of complex64, or None for silence."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AirBlock:
    """The samples of one UE in one block: `iq` from its own sample `first_sample` on."""

    hub_block: int
    ue: str
    first_sample: int
    iq: Iq


class Tap(Protocol):
    """A listener: it gets the samples of each UE, and changes nothing."""

    def block(self, block: AirBlock) -> None:
        """Take one UE's samples of one block; they may not be changed."""
        ...

    def close(self) -> None:
        """Finish, for example a recording."""
        ...


class ActionStage:
    """One action on one UE's transmission: pieces come from one timeline, the results go to another."""

    def __init__(self, action: OverTheAirAction, ue: str, block_samples: int) -> None:
        self._action = action
        self._ue = ue
        self._block = block_samples
        self._next = 0
        self._clear_from = 0
        self.source = SampleTimeline()

    def needs(self, upto: int) -> int:
        """Return up to which sample the source must be complete for the outcome to be complete up to `upto`."""
        return (-(-upto // self._block) + self._action.lookahead_blocks) * self._block

    def advance(self, complete_to: int, sink: SampleTimeline) -> int:
        """Pass on every whole block that is decided and return up to where the sink is complete."""
        lookahead = self._action.lookahead_blocks * self._block
        while self._next + self._block + lookahead <= complete_to:
            first, end = self._next, self._next + self._block
            ahead = tuple(self.source.starting_in(end, end + lookahead))
            position = max(first, self._clear_from)
            for burst_first, iq in self.source.starting_in(first, end):
                if burst_first > position:
                    self._pass_on(sink, position, burst_first - position, None, ahead)
                self._pass_on(sink, burst_first, len(iq), iq, ahead)
                position = burst_first + len(iq)
            if position < end:
                self._pass_on(sink, position, end - position, None, ahead)
            self._clear_from = position
            self._next = end
            self.source.forget_before(end)
        return self._next

    def _pass_on(
        self, sink: SampleTimeline, first: int, n_samples: int, iq: Iq | None, ahead: tuple[tuple[int, Iq], ...]
    ) -> None:
        piece = TxPiece(ue=self._ue, first_sample=first, n_samples=n_samples, iq=iq, ahead=ahead)
        result = self._action.process(piece)
        if result is None:
            return
        if len(result) != n_samples:
            name = type(self._action).__name__
            raise ActionError(f"{name} made {len(result)} samples of a piece of {n_samples}")
        sink.add(first, np.require(result, dtype=np.complex64, requirements=["C", "A", "W"]))
