"""The groups of a UE: its keys of each, its part as keyer or member, and what its traffic is protected with."""

from __future__ import annotations

from prose_link.instant import Instant
from prose_link.pc5s.core.group_events import GroupKeysWiped
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.profile import Claim
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.groups.keyer import Keyer
from prose_link.pc5s.groups.member import GroupMember
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import DirectAccept, DirectReject, DirectRequest, Message, Purpose
from prose_link.pc5s.wire.party import Party
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED, ReceivedPdu
from security.groups import GroupError, GroupMembership, GroupTraffic


class Groups:
    """Keys of the configured groups: taken from keyers or, where this UE is one, given to members.

    `traffic` is what PDCP asks about one-to-many PDUs.
    """

    def __init__(self, desk: Desk, limits: Limits) -> None:
        config = desk.config
        self._desk = desk
        self._configs = {group.identity: group for group in config.groups}
        self._membership = GroupMembership(
            marks=desk.record, marks_lost_at_ntp_s=config.marks_lost_at_ntp_s, t_old_s=config.timers.t_old_s
        )
        self.traffic = GroupTraffic(
            self._membership,
            sender_l2=config.l2_id,
            marks=desk.record,
            random=desk.random_bytes,
            record_lost=config.marks_lost_at_ntp_s is not None,
        )
        self._member = GroupMember(desk, limits, self._configs, self._membership)
        self._keyers = {
            group.identity: Keyer(desk, group, self._membership)
            for group in config.groups
            if desk.credentials.uri in group.keyers
        }
        self._ntp_at_mono_zero_s: float | None = None

    def keyer(self, group: str) -> Keyer:
        """This UE's part as keyer; raises GroupError where it is none."""
        try:
            return self._keyers[group]
        except KeyError:
            raise GroupError(f"this UE is no keyer of {group}") from None

    def by_radio(self, member: str, l2_id: int) -> Party:
        """A member at a layer-2 id of the sidelink."""
        return self._desk.by_radio(member, l2_id)

    def holds_key(self, group: str) -> bool:
        """Whether there is a key to send under."""
        config = self._configs.get(group)
        if config is None:
            return False
        try:
            self._membership.sending_key(config.l2_id)
        except GroupError:
            return False
        return True

    def leave(self, group: str) -> None:
        """Have no more to do with a group: its keys are wiped."""
        config = self._configs[group]
        self.traffic.leave(config.l2_id)
        if group in self._keyers:
            self._keyers[group].wipe()
        self._desk.outbox.emit(GroupKeysWiped(group=group, why="this UE left"))

    def shut_down(self) -> None:
        """Wipe all."""
        for config in self._configs.values():
            self.traffic.leave(config.l2_id)
        for keyer in self._keyers.values():
            keyer.wipe()

    def claims(self, pdu: ReceivedPdu) -> Claim:
        """Keying messages, where this UE has groups, and answers to its own keying messages."""
        match self._decoded(pdu):
            case DirectRequest(profile=profile) if profile.purpose is Purpose.GROUP:
                return Claim.BY_FORM
            case DirectAccept() | DirectReject() as answer if self._keyer_of(answer) is not None:
                return Claim.BY_FORM
        return Claim.NONE

    def receive(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Take a keying message or an answer to one."""
        match self._decoded(pdu):
            case DirectRequest():
                self._member.on_request(pdu, now)
            case DirectAccept() | DirectReject() as answer if (keyer := self._keyer_of(answer)) is not None:
                keyer.receive(pdu, answer, now)

    def _decoded(self, pdu: ReceivedPdu) -> Message | None:
        """The message in an unprotected PDU; None where this UE has no groups, so that nothing is for them."""
        if not self._configs or pdu.lcid != LCID_UNPROTECTED or pdu.kd_sess_id:
            return None
        try:
            return decode(pdu.data)
        except MalformedMessage:
            return None

    def _keyer_of(self, answer: DirectAccept | DirectReject) -> Keyer | None:
        return next((keyer for keyer in self._keyers.values() if keyer.answers_it(answer)), None)

    def next_timer(self) -> float | None:
        """The next deadline of a delivery or a key on the monotonic clock."""
        deadlines = [keyer.next_timer() for keyer in self._keyers.values()]
        key_ends_ntp_s = self._membership.next_deadline_ntp_s
        if key_ends_ntp_s is not None and self._ntp_at_mono_zero_s is not None:
            deadlines.append(key_ends_ntp_s - self._ntp_at_mono_zero_s)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Do what is due: repetitions, and keys whose time is over."""
        for keyer in self._keyers.values():
            keyer.handle_timer(now)
        self.expire(now)

    def note_time(self, now: Instant) -> None:
        """It is this late, by the calendar that keys end by and by the counter that timers run by."""
        self._ntp_at_mono_zero_s = now.ntp_s - now.mono_s

    def expire(self, now: Instant) -> None:
        """Wipe the keys whose time is over: expired ones, and those of an old epoch T_old after the new one came."""
        self.note_time(now)
        deadline_ntp_s = self._membership.next_deadline_ntp_s
        if deadline_ntp_s is None or deadline_ntp_s > now.ntp_s:
            return
        held = {group for group in self._configs if self.holds_key(group)}
        self.traffic.expire(now.ntp_s)
        for group in sorted(held):
            if not self.holds_key(group):
                self._desk.outbox.emit(GroupKeysWiped(group=group, why="its key has expired"))
