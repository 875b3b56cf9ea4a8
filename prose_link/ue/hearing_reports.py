"""Hearing reports between the ends of a link (PROFILE 9, H1): accesses write and read them, the link vouches for them.

A report steers where a peer sends. So it goes out under the link's current context alone, with integrity, and is
believed under the same terms: no outsider can make one, and with EIA0 there are none.
"""

from __future__ import annotations

from prose_link.pc5s.entity import Pc5sEntity
from prose_link.pc5s.wire.pdus import LCID_PROTECTED
from prose_link.ue.bearers import Bearers
from radio.access.protocol import ReportDue, SidelinkAccess
from radio.errors import RadioError
from radio.l2.indications import SduReceived


class HearingReports:
    """Carries reports from the access to a link, and from a link to the access."""

    def __init__(self, access: SidelinkAccess, pc5s: Pc5sEntity, bearers: Bearers) -> None:
        self._access = access
        self._pc5s = pc5s
        self._bearers = bearers

    def send(self, due: ReportDue) -> None:
        """Tell a peer; nothing where there is no link with it by radio that has integrity."""
        party, kd_sess_id = self._pc5s.user_data_party(due.peer_l2), self._pc5s.user_data_id(due.peer_l2)
        if party is None or kd_sess_id is None or not party.via.is_direct:
            return
        if self._has_integrity(due.peer_l2, kd_sess_id):
            self._bearers.send_report(due.octets, party, kd_sess_id)

    def receive(self, sdu: SduReceived) -> str:
        """Hand a peer's report to the access; returns why it is not believed, empty where it is."""
        if sdu.lcid != LCID_PROTECTED or not sdu.protected or not self._has_integrity(sdu.src_l2, sdu.kd_sess_id):
            return "a hearing report without integrity"
        if not self._pc5s.admits_user_data(sdu.src_l2, sdu.kd_sess_id):
            return "a hearing report before the link stands"
        try:
            self._access.take_report(sdu.src_l2, sdu.data)
        except RadioError as error:
            return str(error)
        return ""

    def _has_integrity(self, peer_l2: int, kd_sess_id: int) -> bool:
        context = self._pc5s.context(peer_l2, kd_sess_id)
        return context is not None and not context.null_integrity
