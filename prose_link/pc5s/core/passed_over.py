"""Verified requests that have to wait, because another link or request of the same peer takes precedence.

A link that is coming up with the signer has precedence: over a later request of the same signer while the link waits
for its Confirm, and over a request of the signer while this UE's own request stands. Such requests leave no replay
entry, so that the UE can serve them if the link with precedence fails. Until then a copy costs one look-up, not a
verification (PROFILE 6, step 3; PROFILE 7).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.link import Link, LinkTable

PASSED_OVER: Final = 64
"""Most requests remembered; the same number as refused ones (P)."""


class PassedOver:
    """For each waiting request, by HR, the link that has precedence; the oldest entry is dropped when it is full."""

    def __init__(self, size: int = PASSED_OVER) -> None:
        self._size = size
        self._in_the_way: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._in_the_way)

    def add(self, request_hash: bytes, link: Link) -> None:
        """Let a request wait for as long as this link has precedence."""
        self._in_the_way[request_hash] = link.number
        self._in_the_way.move_to_end(request_hash)
        if len(self._in_the_way) > self._size:
            self._in_the_way.popitem(last=False)

    def is_passed_over(self, request_hash: bytes, links: LinkTable) -> bool:
        """Whether the link that had precedence over a request still has it."""
        number = self._in_the_way.get(request_hash)
        link = None if number is None else links.get(number)
        return link is not None and stands_in_the_way(link)


def stands_in_the_way(link: Link) -> bool:
    """Whether other requests of a link's peer have to wait for the end of its set-up.

    An own request has no precedence any more once a Reject has named it: the peer may refuse it.
    """
    if link.state is State.WAIT_ACCEPT:
        return link.setup.remembered_cause is None
    return link.state in (State.CONFIRMING, State.PROVISIONAL)
