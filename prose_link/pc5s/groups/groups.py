"""The groups of a UE: their keys, the UE's role as keyer or member, and the protection of their traffic.

For each configured group the UE is a member, and it is also a keyer if it is in the group's list of keyers. The roles
are separate: `member` checks keying messages and installs keys, `keyer` makes and delivers them, `asks` requests a
missing key, `answers` serves such requests. `Groups` takes PDUs from the entity, passes each to its role, and tells the
other roles about the result: an accepted key settles an open ask, may defeat the own key of a keyer, and may bring
removals.

After every change `Groups` compares the key held with the recorded removals. If the key leaves one out, nothing is sent
under it; a member then asks for another key, and a keyer makes one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from prose_link.instant import Instant
from prose_link.pc5s.core.group_events import GroupKeysWiped, GroupRemovalsLearnt, GroupUnsure
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.profile import Claim
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.verify_budget import Waits
from prose_link.pc5s.groups.ask_checks import ASK_STEPS, AskExamination
from prose_link.pc5s.groups.asks import LEAVES_OUT, Asks
from prose_link.pc5s.groups.checks import GroupExamination
from prose_link.pc5s.groups.keyer import Keyer
from prose_link.pc5s.groups.member import GroupMember, MemberParts
from prose_link.pc5s.identity.examination import Examination, Known, Refusal
from prose_link.pc5s.identity.refusals import refuse
from prose_link.pc5s.identity.responder_checks import examine
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import Cause, DirectAccept, DirectReject, DirectRequest, Message, Purpose
from prose_link.pc5s.wire.party import Party
from prose_link.pc5s.wire.pdus import LCID_PROTECTED, LCID_UNPROTECTED, ReceivedPdu
from security.groups import GroupError, GroupMembership, GroupTraffic, RemovalList, Taken, member_hash


class Groups:
    """Keys of the configured groups: accepted from keyers or, if this UE is a keyer, sent to members.

    `traffic` protects one-to-many PDUs for PDCP. The class is longer than most: it joins several roles, and each has to
    learn from the others.
    """

    def __init__(self, desk: Desk, limits: Limits) -> None:
        config = desk.config
        self._desk = desk
        self._limits = limits
        self._configs = {group.identity: group for group in config.groups}
        self._membership = GroupMembership(marks=desk.record, t_old_s=config.timers.t_old_s)
        self.traffic = GroupTraffic(
            self._membership,
            sender_l2=config.l2_id,
            marks=desk.record,
            random=desk.random_bytes,
            record_lost=config.marks_lost_at_ntp_s is not None,
        )
        self._keyers = {
            group.identity: Keyer(desk, limits, group, self._membership)
            for group in config.groups
            if desk.credentials.uri in group.keyers
        }
        self._asks = Asks(desk, self._configs, self._membership)
        parts = MemberParts(
            groups=self._configs,
            membership=self._membership,
            open_asks=self._asks.open_asks,
            removal_taker=self,
            keyed_groups=frozenset(self._keyers),
        )
        self._member = GroupMember(desk, limits, parts, self._note_taken, self._asks.refused_unproven)
        self._silenced: set[str] = set()
        """Groups for which an event has reported that the key leaves out a removal."""
        self._now: Instant | None = None
        self._ntp_at_mono_zero_s: float | None = None
        self.traffic.on_heard = self._note_heard
        self.traffic.on_unheld = self._note_unheld

    def keyer(self, group: str) -> Keyer:
        """This UE's keyer role; raises GroupError if it has none."""
        try:
            return self._keyers[group]
        except KeyError:
            raise GroupError(f"this UE is no keyer of {group}") from None

    def by_radio(self, member: str, l2_id: int) -> Party:
        """A member at a layer-2 id of the sidelink."""
        return self._desk.by_radio(member, l2_id)

    def holds_key(self, group: str) -> bool:
        """Whether there is a key of a group, at least to read with."""
        config = self._configs.get(group)
        return config is not None and self._membership.newest(config.l2_id) is not None

    def may_send(self, group: str) -> bool:
        """Whether there is a key to send under."""
        config = self._configs.get(group)
        if config is None:
            return False
        try:
            self._membership.sending_key(config.l2_id)
        except GroupError:
            return False
        return True

    def sends_newest(self, group: str) -> bool:
        """Whether what is sent now goes under the key with the greatest mark; it may be held to read only at first."""
        config = self._configs.get(group)
        if config is None or not self.may_send(group):
            return False
        return self._membership.sending_key(config.l2_id) is self._membership.newest(config.l2_id)

    def locate(self, somebody: Party) -> None:
        """Note where a possible keyer is, from discovery or configuration."""
        self._asks.locate(somebody)

    def heard_reference(self, now: Instant) -> None:
        """Note that a synchronisation reference is heard, so that this UE isn't deaf."""
        self._asks.heard_reference(now)

    def heard(self, l2_id: int, now: Instant) -> None:
        """A UE announces its layer-2 id, so it is in reach: keyers send it the key that it may lack."""
        for keyer in self._keyers.values():
            keyer.heard(l2_id, now)

    def learn(self, group: str, removals: RemovalList, keyer: str) -> None:
        """Record a keyer's list of removed members. Raises RecordError, GroupError.

        From then on nothing is sent under a key that leaves out one of them.
        """
        config = self._configs[group]
        if not self._membership.learn(group, config.l2_id, removals, keyers=config.keyers):
            return
        names = {member_hash(identity): identity for identity in config.members}
        out = tuple(names.get(entry.member, entry.member.hex()) for entry in removals if entry.is_out)
        self._desk.outbox.emit(GroupRemovalsLearnt(group=group, keyer=keyer, members_out=out))
        if group in self._keyers:
            self._keyers[group].removals_learnt()

    def _look_at_removals(self, now: Instant) -> None:
        """If the key held leaves out a removal, a member asks for another key, and a keyer makes one."""
        for keyer in self._keyers.values():
            keyer.look_at_removals(now)
        for group, config in self._configs.items():
            held = self._membership.newest(config.l2_id)
            if held is None or not held.leaves_out:
                self._silenced.discard(group)
            elif group not in self._silenced:
                self._silenced.add(group)
                self._desk.outbox.emit(GroupUnsure(group=group, speaks=False, why=LEAVES_OUT))
                if group not in self._keyers:
                    self._asks.for_removal(group, now)

    def leave(self, group: str) -> None:
        """Leave a group: its keys are wiped."""
        config = self._configs[group]
        self._asks.stop(group)
        self.traffic.leave(config.l2_id)
        if group in self._keyers:
            self._keyers[group].wipe()
        self._desk.outbox.emit(GroupKeysWiped(group=group, why="this UE left"))

    def shut_down(self) -> None:
        """Wipe all keys."""
        self._asks.stop()
        for config in self._configs.values():
            self.traffic.leave(config.l2_id)
        for keyer in self._keyers.values():
            keyer.wipe()

    def claims(self, pdu: ReceivedPdu) -> Claim:
        """Claim keying messages and asks if this UE has groups, and answers to its own keying messages."""
        if pdu.lcid != LCID_UNPROTECTED or pdu.kd_sess_id:
            return Claim.NONE
        return Claim.BY_FORM if self._is_for_groups(self._decoded(pdu)) else Claim.NONE

    def claims_on_link(self, pdu: ReceivedPdu) -> bool:
        """Whether a PDU that came under a link is a group message."""
        return pdu.lcid == LCID_PROTECTED and self._is_for_groups(self._decoded(pdu))

    def receive(self, pdu: ReceivedPdu, now: Instant, *, link_peer: str = "") -> None:
        """Process a group message. `link_peer`: the peer of the established link under which it came, else empty."""
        self.note_time(now)
        bare = replace(pdu, lcid=LCID_UNPROTECTED, kd_sess_id=0)
        match self._decoded(pdu):
            case DirectRequest(profile=profile) as request if profile.purpose is Purpose.GROUP_ASK:
                if request.target_user_info == self._desk.credentials.uri:
                    self._receive_ask(bare, now)
                else:
                    self._desk.outbox.counters["ask for a keyer that is another UE"] += 1
            case DirectRequest():
                self._member.on_request(bare, link_peer, now)
            case DirectAccept() | DirectReject() as answer if (keyer := self._keyer_of(answer)) is not None:
                keyer.receive(bare, answer, link_peer, now)
        self._look_at_removals(now)

    def _is_for_groups(self, message: Message | None) -> bool:
        match message:
            case DirectRequest(profile=profile):
                return profile.purpose is not Purpose.ONE_TO_ONE
            case DirectAccept() | DirectReject() as answer:
                return self._keyer_of(answer) is not None
        return False

    def _decoded(self, pdu: ReceivedPdu) -> Message | None:
        """The message in a PDU; None if this UE has no groups and the message is not for it."""
        if not self._configs:
            return None
        try:
            return decode(pdu.data)
        except MalformedMessage:
            return None

    def _keyer_of(self, answer: DirectAccept | DirectReject) -> Keyer | None:
        return next((keyer for keyer in self._keyers.values() if keyer.answers_it(answer)), None)

    def _receive_ask(self, pdu: ReceivedPdu, now: Instant) -> None:
        exam = AskExamination(
            desk=self._desk,
            limits=self._limits,
            pdu=pdu,
            now=now,
            keyers=self._keyers,
            group_l2s={group: config.l2_id for group, config in self._configs.items()},
        )
        match examine(exam, ASK_STEPS):
            case None:
                why = exam.keyer.answers.answer(_signer_of(exam), exam.request_hash, exam.mark, now)
                if why:
                    refuse(exam, Refusal(step=12, why=why, cause=Cause.LACK_OF_RESOURCES))
            case Refusal() as refusal:
                refuse(exam, refusal)
            case Known(reject=bytes() as answer) if answer:
                self._desk.drop(pdu, "request", "same request, refused before")
                if self._limits.refused.take_repeat(exam.request_hash, now.mono_s):
                    self._desk.send_plain(answer, pdu.sender)
            case Known() | Waits():
                pass
            case _ as never:
                assert_never(never)

    def _note_taken(self, exam: GroupExamination, taken: Taken) -> None:
        """Pass the news of an accepted keying message to the other roles."""
        keying, now = exam.keying, exam.now
        self._asks.locate(_signer_of(exam))
        held = self._membership.newest(keying.group_l2)
        self._asks.took(
            keying.group_identity,
            keying.mark,
            is_new=taken in (Taken.NEW, Taken.AGAIN),
            reads_only=held is not None and held.reads_only,
            answered=exam.answered is not None,
            now=now,
        )
        keyer = self._keyers.get(keying.group_identity)
        if keyer is not None and taken is not Taken.HELD:
            keyer.yield_to(keying.epoch, exam.peer)

    def _note_heard(self, group_l2: int) -> None:
        if self._now is not None:
            self._asks.heard_group(group_l2, self._now)

    def _note_unheld(self, group_l2: int, index: int) -> None:
        if self._now is not None:
            self._asks.heard_unheld(group_l2, index, self._now)

    def next_timer(self) -> float | None:
        """The next deadline of a delivery, an ask or a key on the monotonic clock."""
        deadlines = [keyer.next_timer() for keyer in self._keyers.values()]
        deadlines.append(self._asks.next_timer())
        key_ends_ntp_s = self._membership.next_deadline_ntp_s
        if key_ends_ntp_s is not None and self._ntp_at_mono_zero_s is not None:
            deadlines.append(key_ends_ntp_s - self._ntp_at_mono_zero_s)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Do all work that is due: repetitions, asks, and expired keys."""
        self.note_time(now)
        for keyer in self._keyers.values():
            keyer.handle_timer(now)
        self.expire(now)
        self._asks.handle_timer(now)

    def note_time(self, now: Instant) -> None:
        """Set the present time: the calendar by which keys expire, and the counter by which timers run."""
        self._now = now
        self._ntp_at_mono_zero_s = now.ntp_s - now.mono_s
        self.traffic.note_time(now.mono_s)
        self._asks.start(now)

    def expire(self, now: Instant) -> None:
        """Wipe expired keys, and start to send under keys whose time has come."""
        self.note_time(now)
        deadline_ntp_s = self._membership.next_deadline_ntp_s
        if deadline_ntp_s is None or deadline_ntp_s > now.ntp_s:
            return
        held = {group for group in self._configs if self.holds_key(group)}
        self.traffic.expire(now.ntp_s)
        for group in sorted(held):
            if not self.holds_key(group):
                self._desk.outbox.emit(GroupKeysWiped(group=group, why="its key has expired"))
                self._asks.lost_key(group, now)


def _signer_of(exam: Examination) -> Party:
    """The party that signed a message, at the end of the way by which it came, with the signed layer-2 id."""
    return Party(identity=exam.peer, l2_id=exam.request.link_l2_id, via=exam.pdu.via)
