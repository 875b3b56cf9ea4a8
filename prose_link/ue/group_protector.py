"""Joins PDCP to a UE's group keys: numbers, ciphering and deciphering of one-to-many PDUs (TS 36.323 5.6.1)."""

from __future__ import annotations

from radio.l2.pdcp import ProtectionError
from security.errors import SecurityError
from security.groups import GroupTraffic


class OneToManyProtector:
    """PDCP's `GroupProtector`: it turns errors of keys and numbers into PDCP's."""

    def __init__(self, traffic: GroupTraffic) -> None:
        self._traffic = traffic

    @property
    def sender_l2(self) -> int:
        """The layer-2 id from which the next PDU to a group is sent."""
        return self._traffic.sender_l2

    def give_up_sender(self, src_l2: int) -> bool:
        """Handle a layer-2 id that another UE uses.

        Returns True if it was the sender's, which is another one from now on.
        """
        return self._traffic.give_up_sender(src_l2)

    def next_key(self, group_l2: int, lcid: int) -> tuple[int, int, int]:
        """(PGK index, PTK identity, PDCP SN) for the next PDU. Raises ProtectionError."""
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
        """The plain data. Raises ProtectionError if there is no key of that index, or for a repeat."""
        try:
            return self._traffic.open(src_l2, group_l2, pgk_index, ptk_id, sn, lcid, data)
        except SecurityError as error:
            raise ProtectionError(str(error)) from error
