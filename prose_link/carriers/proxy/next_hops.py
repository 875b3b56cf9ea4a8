"""Where frames for a UE go next: learnt from the frames that come from it, as a bridge learns its ports."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MAX_KNOWN: Final = 256
"""UEs whose next hop is remembered; the one heard longest ago makes room."""
REMEMBERED_S: Final = 60.0
"""How long a hop is good for without a frame that confirms it (P)."""
SILENCE_S: Final = 3.0
"""An end behind proxies that sends and hears nothing back for so long tries its next proxy (P)."""


@dataclass(slots=True)
class _Hop:
    l2_id: int
    heard_s: float
    tried_s: float


class NextHops:
    """The next hop to each UE, by layer-2 id. Frames can be forged, so it is a guess, and nothing rests on it.

    Args:
        proxies: those of the configuration, by preference.
    """

    def __init__(self, proxies: tuple[int, ...]) -> None:
        self._proxies = proxies
        self._hops: OrderedDict[int, _Hop] = OrderedDict()

    def learn(self, origin_l2: int, came_from_l2: int, now_s: float) -> None:
        """A frame of a UE came from a neighbour: that is the way back."""
        self._put(origin_l2, _Hop(came_from_l2, heard_s=now_s, tried_s=now_s))

    def known(self, destination_l2: int, now_s: float) -> int | None:
        """The neighbour that frames of a UE came from last, None where that is too long ago."""
        hop = self._hops.get(destination_l2)
        return hop.l2_id if hop is not None and now_s - hop.heard_s <= REMEMBERED_S else None

    def guess(self, destination_l2: int) -> int | None:
        """The neighbour that `choose` would take if nothing was wrong with it. Changes nothing."""
        hop = self._hops.get(destination_l2)
        return hop.l2_id if hop is not None else next(iter(self._proxies), None)

    def choose(self, destination_l2: int, now_s: float) -> int | None:
        """The neighbour to send through: the last one that brought a frame, or the next proxy after a silence."""
        hop = self._hops.get(destination_l2)
        if hop is None:
            if not self._proxies:
                return None
            hop = _Hop(self._proxies[0], heard_s=now_s, tried_s=now_s)
            self._put(destination_l2, hop)
        elif self._proxies and now_s - max(hop.heard_s, hop.tried_s) >= SILENCE_S:
            hop.l2_id, hop.tried_s = self._after(hop.l2_id), now_s
        return hop.l2_id

    def _after(self, l2_id: int) -> int:
        place = self._proxies.index(l2_id) + 1 if l2_id in self._proxies else 0
        return self._proxies[place % len(self._proxies)]

    def _put(self, l2_id: int, hop: _Hop) -> None:
        self._hops[l2_id] = hop
        self._hops.move_to_end(l2_id)
        if len(self._hops) > MAX_KNOWN:
            self._hops.popitem(last=False)
