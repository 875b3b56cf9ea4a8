"""What other UEs have announced lately: a UE that sends is deaf, and the pool is shared."""

from __future__ import annotations

from radio.phy.sci import SciFormat0

_REMEMBERED_PERIODS = 2
_MAX_SCIS = 32


class Neighbours:
    """SCIs heard in the last SC periods; bounded."""

    def __init__(self) -> None:
        self._heard: dict[int, set[SciFormat0]] = {}

    def note(self, sci: SciFormat0, period: int) -> None:
        """Take an SCI heard in `period`."""
        scis = self._heard.setdefault(period, set())
        if len(scis) < _MAX_SCIS:
            scis.add(sci)
        for other in [heard_in for heard_in in self._heard if abs(period - heard_in) > _REMEMBERED_PERIODS]:
            del self._heard[other]

    def i_trps(self, period: int) -> tuple[int, ...]:
        """I_TRP values in use lately, ascending."""
        return tuple(sorted({sci.i_trp for scis in self._recent(period) for sci in scis}))

    def n_others(self, period: int, own_group_destination_id: int) -> int:
        """The greatest number of grants heard in one period that were not meant for this UE."""
        counts = [
            sum(1 for sci in scis if sci.group_destination_id != own_group_destination_id)
            for scis in self._recent(period)
        ]
        return max(counts, default=0)

    def _recent(self, period: int) -> list[set[SciFormat0]]:
        return [scis for heard_in, scis in self._heard.items() if 0 <= period - heard_in <= _REMEMBERED_PERIODS]
