"""UEs that break the rules, or whose clocks are wrong: the nodes that mount faults of the demo.

Each is the node of every UE with one change. All other parts, from the codec to the radio, are the genuine ones: its
transmissions go on the air like those of any UE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lab_scripts.demo.dishonest import made_up_credentials
from lab_scripts.demo.forged_accepts import AcceptForger
from lab_scripts.demo.insider_plan import INSIDER, VICTIM
from lab_scripts.demo.insiders import DeafMember, InsiderWithReceipts
from lab_scripts.demo.plan import CLOCK_ERROR_S, CLOCK_SET_AT_S, IDENTITY_B, INTRUDER, UES, Fault
from prose_link.pc5s.core import events as link_events
from prose_link.pc5s.wire.codec import encode, message_type
from prose_link.pc5s.wire.messages import MessageType, Release, ReleaseReason
from prose_link.pc5s.wire.party import Party
from prose_link.pc5s.wire.pdus import LCID_PROTECTED, LCID_UNPROTECTED, OutgoingPdu
from prose_link.ue.bearers import Opened
from prose_link.ue.node import Node
from radio.arrays import Iq
from radio.l2.indications import SduReceived

FORGED_EVERY_S: Final = 0.02
"""Two forged Accepts an SC period."""
FORGED_FOR_S: Final = 3.0
_ANY_SEQUENCE_NUMBER: Final = 1


class UeWithClockSetBack(Node):
    """An honest UE whose calendar is set back, while it runs, to the time of the request that will come."""

    _is_set_back = False

    def step(self, iq: Iq, first_sample: int) -> list[tuple[Iq, int]]:
        """Take the next samples, under the calendar as it is by then."""
        if not self._is_set_back and self.now.mono_s >= CLOCK_SET_AT_S:
            self._is_set_back = True
            self.clock.step_own_calendar(CLOCK_ERROR_S[Fault.STALE_CLOCK])
        return super().step(iq, first_sample)


class OldContextOrders(Node):
    """Rekeys its link at once, then orders the link's end under the old context, as an attacker with its keys would."""

    def _follow_link(self, event: link_events.Event) -> None:
        super()._follow_link(event)
        match event:
            case link_events.LinkEstablished(peer=peer):
                self._pc5s.rekey(peer, self.clock.own)
            case link_events.Rekeyed(peer=peer, peer_l2=peer_l2, old_kd_sess_id=old_id):
                order = Release(sequence_number=_ANY_SEQUENCE_NUMBER, reason=ReleaseReason.NO_LONGER_NEEDED)
                to = self._pc5s.by_radio(peer, peer_l2)
                pdu = OutgoingPdu(data=encode(order), to=to, lcid=LCID_PROTECTED, kd_sess_id=old_id)
                self._bearers.send_signalling(pdu)


class AcceptsInAnothersName(Node):
    """Uses the layer-2 id of a Request's target, and answers in its place repeatedly, without its keys."""

    _forger: AcceptForger | None = None
    _to: Party
    _next_at_s = 0.0
    _until_s = 0.0

    def _take_opened(self, opened: Opened) -> None:
        sdu = opened.sdu
        match sdu:
            case SduReceived(lcid=lcid, data=data) if (
                lcid == LCID_UNPROTECTED and message_type(data) is MessageType.REQUEST
            ):
                if self._forger is None:
                    self._begin(sdu, opened)
            case _:
                super()._take_opened(opened)

    def _begin(self, sdu: SduReceived, opened: Opened) -> None:
        now = self.clock.own
        self._forger = AcceptForger(
            sdu.data,
            link_l2_id=self._config.l2_id,
            signer=made_up_credentials(IDENTITY_B, self._config.seed, now),
            ntp_s=now.ntp_s,
        )
        self._to = Party(identity="", l2_id=sdu.src_l2, via=opened.via)
        self._next_at_s, self._until_s = now.mono_s, now.mono_s + FORGED_FOR_S

    def _run_signalling(self) -> None:
        super()._run_signalling()
        now_s = self.clock.own.mono_s
        if self._forger is None or now_s >= self._until_s:
            return
        if now_s >= self._next_at_s and self._bearers.has_room_for_packets(self._to, LCID_UNPROTECTED):
            self._next_at_s = now_s + FORGED_EVERY_S
            forged = OutgoingPdu(data=self._forger.forge(), to=self._to, lcid=LCID_UNPROTECTED)
            self._bearers.send_signalling(forged)


NODES: Final[Mapping[tuple[Fault, str], type[Node]]] = {
    (Fault.STALE_CLOCK, UES[1]): UeWithClockSetBack,
    (Fault.OLD_CONTEXT, UES[0]): OldContextOrders,
    (Fault.FORGED_ACCEPTS, INTRUDER): AcceptsInAnothersName,
    (Fault.FORGED_RECEIPT, INSIDER): InsiderWithReceipts,
    (Fault.FORGED_RECEIPT, VICTIM): DeafMember,
}
"""(fault, UE) -> the node of the UE, instead of the usual one."""
