"""Requests that were verified once and passed over for now, since something of the same peer stands in their way.

A link that is coming up with their signer goes first: a later request of the signer's that waits for its Confirm, or a
request of this UE's own. They leave no replay entry, so that they get their turn when that has come to nothing; until
then a copy costs a look, not a verification (PROFILE 6, step 3; PROFILE 7).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.link import Link, LinkTable

PASSED_OVER: Final = 64
"""Requests remembered so; as many as refused ones (P)."""


class PassedOver:
    """The link that stands in the way of a request, by HR; the oldest makes room."""

    def __init__(self, size: int = PASSED_OVER) -> None:
        self._size = size
        self._in_the_way: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._in_the_way)

    def add(self, request_hash: bytes, link: Link) -> None:
        """Pass a request over for as long as this link stands in its way."""
        self._in_the_way[request_hash] = link.number
        self._in_the_way.move_to_end(request_hash)
        if len(self._in_the_way) > self._size:
            self._in_the_way.popitem(last=False)

    def is_passed_over(self, request_hash: bytes, links: LinkTable) -> bool:
        """Whether what stood in a request's way still does."""
        number = self._in_the_way.get(request_hash)
        link = None if number is None else links.get(number)
        return link is not None and stands_in_the_way(link)


def stands_in_the_way(link: Link) -> bool:
    """Whether other requests of a link's peer have to wait for what becomes of it.

    A request of this UE's own no longer does once a Reject has named it: the peer may not want it at all.
    """
    if link.state is State.WAIT_ACCEPT:
        return link.setup.remembered_cause is None
    return link.state in (State.CONFIRMING, State.PROVISIONAL)
