"""The context of a `ts24334` link: its Security Mode Command has a MAC-I but is not ciphered (TS 24.334 10.4.5)."""

from __future__ import annotations

from prose_link.pc5s.core.transcript import DIRECTION_OF_RESPONDER
from prose_link.pc5s.wire.pdus import LCID_SECURITY_MODE
from security.ciphers.algorithms import Eea
from security.link.context import SecurityContext


class ModeContext(SecurityContext):
    """A context whose responder sends LCID 29 unciphered: these PDUs carry the keys for deciphering."""

    def __init__(self, *, kd_sess_id: int, pek: bytes, pik: bytes, eea: int, eia: int, direction: int) -> None:
        super().__init__(kd_sess_id=kd_sess_id, pek=pek, pik=pik, eea=eea, eia=eia, direction=direction)
        self._command = SecurityContext(
            kd_sess_id=kd_sess_id, pek=pek, pik=pik, eea=Eea.EEA0_NULL, eia=eia, direction=direction
        )

    def next_sn(self, lcid: int) -> int:
        """The next SN of a bearer, as in the base class."""
        if self._sends_command(lcid):
            return self._command.next_sn(lcid)
        return super().next_sn(lcid)

    def seal(self, lcid: int, sn: int, header: bytes, data: bytes) -> tuple[bytes, bytes]:
        """(data as it is sent, MAC-I), as in the base class."""
        if self._sends_command(lcid):
            return self._command.seal(lcid, sn, header, data)
        return super().seal(lcid, sn, header, data)

    def open(self, lcid: int, sn: int, header: bytes, data: bytes, mac_i: bytes) -> bytes:
        """The plain data of the peer's PDU, as in the base class."""
        if lcid == LCID_SECURITY_MODE and self.direction != DIRECTION_OF_RESPONDER:
            return self._command.open(lcid, sn, header, data, mac_i)
        return super().open(lcid, sn, header, data, mac_i)

    def wipe(self) -> None:
        """Drop the keys, as in the base class."""
        super().wipe()
        self._command.wipe()

    def _sends_command(self, lcid: int) -> bool:
        return lcid == LCID_SECURITY_MODE and self.direction == DIRECTION_OF_RESPONDER
