"""The numbers of a sender's group PDUs: PTK ID and SN, in one sequence for all groups and keys (PROFILE 11).

COUNT is PTK ID and SN. The sequence continues from key to key and from group to group, and is never reset. So no change
of keys can repeat a pair. PTK IDs start at random and wrap around; a key that has seen all of them is used up. Blocks
of PTK IDs are recorded before their use, under the sender's layer-2 id, so that two processes of one device take
different ones.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from security.errors import SecurityError
from security.groups.errors import GroupExhausted
from security.groups.marks import Marks
from security.random_source import RandomSource, random_scalar

PTK_IDS: Final = 0xFFFF
"""PTK IDs 1..0xFFFF."""
PTK_BLOCK: Final = 16
"""Number of PTK IDs that are recorded at a time, before their use (P)."""
FIRST_SN: Final = 1
LAST_SN: Final = 0xFFFF
_TRIES: Final = 4
"""Attempts to take a block while other processes of the device take theirs."""
_KEYS_KEPT: Final = 64

Number = tuple[int, int]
"""(PTK ID, SN)."""


def block_name(sender_l2: int) -> str:
    """The name in the record of the PTK IDs taken for a layer-2 id."""
    return f"group ptk {sender_l2:06x}"


class SenderNumbers:
    """The sequence of one layer-2 id. `marks` None: the id was drawn for this run, so that nothing is recorded."""

    def __init__(self, sender_l2: int, marks: Marks | None, random: RandomSource) -> None:
        self._name = block_name(sender_l2)
        self._marks = marks
        self._random = random
        self._started = False
        self._position = self._taken = 0
        self._next_sn = LAST_SN + 1
        self._first: OrderedDict[tuple[str, int], int] = OrderedDict()

    def next(self, key: tuple[str, int]) -> Number:
        """The next number, for the key of a (group identity, mark).

        Raises GroupExhausted once the key has seen every PTK ID, RecordError if no block can be recorded.
        """
        if not self._started:
            self._position = self._taken = random_scalar(self._random, PTK_IDS + 1)
            self._started = True
        if self._next_sn > LAST_SN:
            if self._is_used_up(key):
                raise GroupExhausted(f"every PTK ID is used under this key of {key[0]}")
            if self._position == self._taken:
                self._take_block()
            self._position += 1
            self._next_sn = FIRST_SN
        if self._is_used_up(key):
            raise GroupExhausted(f"every PTK ID is used under this key of {key[0]}")
        self._first.setdefault(key, self._position)
        if len(self._first) > _KEYS_KEPT:
            self._first.popitem(last=False)
        sn = self._next_sn
        self._next_sn += 1
        return (self._position - 1) % PTK_IDS + 1, sn

    def spent(self, key: tuple[str, int]) -> int:
        """Number of PTK IDs that a key has seen."""
        return self._position + 1 - self._first.get(key, self._position + 1)

    def _is_used_up(self, key: tuple[str, int]) -> bool:
        full = self._next_sn > LAST_SN
        return self._position + full - self._first.get(key, self._position + full) >= PTK_IDS

    def _take_block(self) -> None:
        if self._marks is None:
            self._taken += PTK_BLOCK
            return
        for attempt in range(1, _TRIES + 1):
            start = max(self._marks.mark(self._name), self._taken)
            try:
                self._marks.raise_mark(self._name, start + PTK_BLOCK)
            except SecurityError:
                if attempt == _TRIES:
                    raise
                continue
            self._position, self._taken = start, start + PTK_BLOCK
            return
