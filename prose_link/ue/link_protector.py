"""Joins PDCP to the contexts of a UE's links: PDCP asks for numbers, ciphering and integrity by peer and KD-sess ID."""

from __future__ import annotations

from collections.abc import Callable

from prose_link.pc5s.wire.party import Via
from prose_link.pc5s.wire.pdus import LCID_SECURITY_MODE, ReceivedPdu
from radio.l2.pdcp import ProtectionError
from security.errors import SecurityError
from security.link.context import SecurityContext

ContextLookup = Callable[[int, int], SecurityContext | None]
"""(peer layer-2 id, KD-sess ID) -> the context, None where there is none."""


CommandLookup = Callable[[ReceivedPdu], SecurityContext | None]
"""An unverified PDU of LCID 29 -> the context that it brings; None if it isn't acceptable."""


class LinkProtector:
    """PDCP's `Protector` for one-to-one SLRBs (TS 36.323 5.6.2, 5.7).

    `commands` is called with PDUs of LCID 29 without a context: a Security Mode Command brings its keys.
    """

    def __init__(self, lookup: ContextLookup, commands: CommandLookup | None = None) -> None:
        self._lookup = lookup
        self._commands = commands
        self.arriving: Via | None = None
        """The way of the PDU that PDCP is opening; the owner sets it."""

    def next_sn(self, dst_l2: int, kd_sess_id: int, lcid: int) -> int:
        """The next PDCP SN of a bearer. Raises ProtectionError without a context or without numbers left."""
        context = self._context(dst_l2, kd_sess_id)
        try:
            return context.next_sn(lcid)
        except SecurityError as error:
            raise ProtectionError(str(error)) from error

    def seal(self, dst_l2: int, kd_sess_id: int, sn: int, lcid: int, header: bytes, data: bytes) -> tuple[bytes, bytes]:
        """(ciphered data, MAC-I). Raises ProtectionError."""
        context = self._context(dst_l2, kd_sess_id)
        try:
            return context.seal(lcid, sn, header, data)
        except SecurityError as error:
            raise ProtectionError(str(error)) from error

    def open(
        self,
        src_l2: int,
        dst_l2: int,
        kd_sess_id: int,
        sn: int,
        lcid: int,
        header: bytes,
        data: bytes,
        mac_i: bytes,
    ) -> bytes:
        """The plain data. Raises ProtectionError: no context, a wrong MAC-I, or a number seen before."""
        context = self._lookup(src_l2, kd_sess_id)
        if context is None and lcid == LCID_SECURITY_MODE and self._commands and self.arriving:
            command = ReceivedPdu(
                data=data, src_l2=src_l2, dst_l2=dst_l2, lcid=lcid, kd_sess_id=kd_sess_id, via=self.arriving
            )
            context = self._commands(command)
        if context is None:
            raise ProtectionError(f"no context {kd_sess_id:04x} with {src_l2:06x}")
        try:
            return context.open(lcid, sn, header, data, mac_i)
        except SecurityError as error:
            raise ProtectionError(str(error)) from error

    def _context(self, peer_l2: int, kd_sess_id: int) -> SecurityContext:
        context = self._lookup(peer_l2, kd_sess_id)
        if context is None:
            raise ProtectionError(f"no context {kd_sess_id:04x} with {peer_l2:06x}")
        return context
