"""The KD-sess IDs that a link has used: none comes again, since PDCP's COUNT is made of ID and SN (PROFILE 9 (R3))."""

from __future__ import annotations

LSBS = 256
"""LSBs to an MSB (PROFILE 3, IE 0x49)."""


class UsedIds:
    """A set of KD-sess IDs in bounded memory: a mask of 256 bits for each MSB, of which there are 255.

    However long a link lives and however often it is rekeyed, that is some 20 KiB at most.
    """

    def __init__(self) -> None:
        self._lsbs: dict[int, int] = {}

    def __contains__(self, kd_sess_id: int) -> bool:
        return bool(self._lsbs.get(kd_sess_id >> 8, 0) >> kd_sess_id % LSBS & 1)

    def add(self, kd_sess_id: int) -> None:
        """Take in an ID, used before or not."""
        msb = kd_sess_id >> 8
        self._lsbs[msb] = self._lsbs.get(msb, 0) | 1 << kd_sess_id % LSBS

    @property
    def msbs(self) -> frozenset[int]:
        """The MSBs of all IDs used."""
        return frozenset(self._lsbs)
