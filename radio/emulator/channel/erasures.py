"""Erasures: stretches of time in which no signal passes from one antenna to another."""

from __future__ import annotations

from dataclasses import dataclass

from radio.emulator.channel.seeds import derive_uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasures:
    """Which blocks of 1 ms one direction of a link loses: `share` of all, in stretches of `stretch_blocks`.

    A pure function of seed, direction and block: it does not matter when it is asked, nor by which part.
    """

    seed: int
    transmitter: str
    receiver: str
    share: float
    stretch_blocks: int

    def hit(self, block: int) -> bool:
        """Whether a block is lost."""
        if self.share == 0:
            return False
        stretch = str(block // self.stretch_blocks)
        return derive_uniform(self.seed, "erasures", self.transmitter, self.receiver, stretch) < self.share
