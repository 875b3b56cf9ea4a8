"""The KD-sess IDs that a link has used: none may come again (PROFILE 9 (R3)).

PDCP's COUNT consists of the KD-sess ID and the SN, so a second use of an ID could repeat a COUNT.
"""

from __future__ import annotations

LSBS = 256
"""Number of LSBs for each MSB (PROFILE 3, IE 0x49)."""


class UsedIds:
    """A set of KD-sess IDs in bounded memory: a mask of 256 bits for each of the 255 MSBs.

    It takes about 20 KiB at most, however long a link exists and however often it is rekeyed.
    """

    def __init__(self) -> None:
        self._lsbs: dict[int, int] = {}

    def __contains__(self, kd_sess_id: int) -> bool:
        return bool(self._lsbs.get(kd_sess_id >> 8, 0) >> kd_sess_id % LSBS & 1)

    def add(self, kd_sess_id: int) -> None:
        """Add an ID, used before or not."""
        msb = kd_sess_id >> 8
        self._lsbs[msb] = self._lsbs.get(msb, 0) | 1 << kd_sess_id % LSBS

    @property
    def msbs(self) -> frozenset[int]:
        """The MSBs of all IDs used."""
        return frozenset(self._lsbs)
