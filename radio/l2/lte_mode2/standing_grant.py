"""Standing grants: after user data a UE continues to take grants for a short while, for data that may come.

A grant is chosen once an SC period. A packet that finds none waits for the next period, then for its block: half a
period in the mean each way, and a whole one where the answer to a packet comes just after a period has begun. With a
grant at hand a packet goes with the next transport block, some subframes later. What is not used is silent: a standing
grant costs the air its SCI, and others the place that they keep clear of.

So it is a matter of policy. Only user data has it, since an answer is likely to be followed by more; PC5 signalling has
timers of its own. It ends some time after the last block that carried anything. It is given up at once where others
need the place: while much of the pool is claimed (`GrantSelector.is_pool_free`). A UE that serves several peers holds
it for the one it served last.
"""

from __future__ import annotations

from dataclasses import replace

from radio.l2.blocks import AddressPair, Demand

_LEAST_BLOCK_OCTETS, _MOST_BLOCK_OCTETS = 64, 320
"""A block is made for a packet such as was sent lately: from an acknowledgement to a frame of speech with its headers.
What is longer is cut, and goes in several blocks of the same period."""


class StandingGrant:
    """For whom, and for how many octets a block, grants are taken while nothing waits.

    Args:
        n_periods: for how many SC periods after the last one in which something was sent.
    """

    def __init__(self, n_periods: int) -> None:
        self._n_periods = n_periods
        self._demand: Demand | None = None
        self._octets = 0
        self._used_in = 0

    @property
    def pair(self) -> AddressPair | None:
        """Whom it is for."""
        return None if self._demand is None else self._demand.pair

    @property
    def demand(self) -> Demand | None:
        """The pair it is for, as a demand of nothing."""
        return self._demand

    def note_demand(self, demand: Demand, period: int) -> None:
        """Something waits at the start of a period."""
        user_octets = demand.octets - demand.signalling_octets
        if user_octets <= 0:
            return
        octets = min(max(user_octets, _LEAST_BLOCK_OCTETS), _MOST_BLOCK_OCTETS)
        goes_on = demand.pair == self.pair and self.block_octets(period) > 0
        self._octets = max(octets, self._octets) if goes_on else octets
        self._demand = replace(demand, octets=0, signalling_octets=0)
        self._used_in = period

    def note_block(self, pair: AddressPair, period: int) -> None:
        """A block was sent."""
        if pair == self.pair:
            self._used_in = period

    def block_octets(self, period: int) -> int:
        """What each block of a grant should have room for in a period; 0 where none is due."""
        return self._octets if self._demand is not None and 0 <= period - self._used_in < self._n_periods else 0
