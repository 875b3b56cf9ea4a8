"""Joins PDCP to a UE's group keys: numbers, ciphering and deciphering of one-to-many PDUs (TS 36.323 5.6.1)."""

from __future__ import annotations

from radio.l2.pdcp import ProtectionError
from security.errors import SecurityError
from security.groups import GroupTraffic


class OneToManyProtector:
    """The `GroupProtector` that PDCP is given.

    Sending stops, rather than that a key and COUNT could come twice, once `traffic` wants another layer-2 id than the
    radio has: the record of used numbers was lost, or somebody else sends from this one.
    """

    def __init__(self, traffic: GroupTraffic, own_l2: int) -> None:
        self._traffic = traffic
        self._own_l2 = own_l2
        self._in_conflict = False

    def note_conflict(self) -> None:
        """Somebody else sends from this UE's layer-2 id."""
        self._in_conflict = True

    def next_key(self, group_l2: int, lcid: int) -> tuple[int, int, int]:
        """(PGK index, PTK identity, PDCP SN) for the next PDU. Raises ProtectionError."""
        if self._in_conflict or self._traffic.sender_l2 != self._own_l2:
            raise ProtectionError(f"layer-2 id {self._own_l2:06x} may not send to groups: it is not this UE's alone")
        try:
            return self._traffic.next_key(group_l2, lcid)
        except SecurityError as error:
            raise ProtectionError(str(error)) from error

    def seal(self, group_l2: int, pgk_index: int, ptk_id: int, sn: int, lcid: int, data: bytes) -> bytes:
        """The ciphered data. Raises ProtectionError."""
        try:
            return self._traffic.seal(group_l2, pgk_index, ptk_id, sn, lcid, data)
        except SecurityError as error:
            raise ProtectionError(str(error)) from error

    def open(self, src_l2: int, group_l2: int, pgk_index: int, ptk_id: int, sn: int, lcid: int, data: bytes) -> bytes:
        """The plain data. Raises ProtectionError: no key of that index, or a repeat."""
        try:
            return self._traffic.open(src_l2, group_l2, pgk_index, ptk_id, sn, lcid, data)
        except SecurityError as error:
            raise ProtectionError(str(error)) from error
