"""The PC5-S entity of a UE: all its links, without sockets and clocks (PROFILE 3, 6, 7, 9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from prose_link.instant import Instant
from prose_link.pc5s.core.credentials import Credentials, RandomBytes
from prose_link.pc5s.core.events import Event, RequestRefused
from prose_link.pc5s.core.fsm import Input, RekeyState, State
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.link import UP, Link
from prose_link.pc5s.core.policy import Profile
from prose_link.pc5s.core.replay import Record
from prose_link.pc5s.core.shared import Desk, LinkMachine, Pc5sConfig, RekeyMachine
from prose_link.pc5s.core.tables import LINK_TABLES, REKEYING
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.upkeep import Upkeep
from prose_link.pc5s.core.verify_budget import VerifyBudget, Waiting
from prose_link.pc5s.groups.groups import Groups
from prose_link.pc5s.identity.initiator import Initiator
from prose_link.pc5s.identity.rekeying import Rekeying
from prose_link.pc5s.identity.responder import Responder
from prose_link.pc5s.identity.responder_checks import TOO_MANY
from prose_link.pc5s.ts24334.roles import ModeRoles
from prose_link.pc5s.wire.codec import decode, message_type
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import (
    DirectReject,
    Keepalive,
    KeepaliveAck,
    Message,
    MessageType,
    RekeyingRequest,
    RekeyingResponse,
    RekeyingTrigger,
    Release,
    ReleaseAccept,
    ReleaseReason,
)
from prose_link.pc5s.wire.pdus import (
    DIRECT,
    LCID_PROTECTED,
    LCID_SECURITY_MODE,
    LCID_UNPROTECTED,
    OutgoingPdu,
    ReceivedPdu,
)
from security.device.record import RecordError
from security.link.context import SecurityContext

FLOOR_STEP_S: Final = 150
"""How far the clock runs before the time floor is raised on record."""
LEAST_SPACING: Final = 0.5
"""The part of T4100 that must lie between two copies for the second to be a repetition: T4100 at its shortest, less
what the air may have held the first one up."""

_REKEY_TIMERS: Final = frozenset({Timer.REKEY_T4100, Timer.REKEY_T4101, Timer.REKEY_T4111, Timer.T_OLD, Timer.KEYS_END})


class Pc5sEntity:
    """Connects to peers, answers them, and keeps the contexts of all links of one UE.

    Sans-IO: PDUs go in by `receive` and come out of `pdus_to_send`; the owner calls `handle_timer` when `next_timer` is
    due and takes events with `next_event`. Nothing a peer sends raises.
    """

    def __init__(
        self,
        config: Pc5sConfig,
        credentials: Credentials,
        record: Record,
        random_bytes: RandomBytes,
        *,
        chance: RandomBytes | None = None,
    ) -> None:
        """`random_bytes` is for what protects something, `chance` for what needs to be out of step only: timers."""
        self._desk = Desk(
            config=config,
            credentials=credentials,
            record=record,
            random_bytes=random_bytes,
            chance=chance or random_bytes,
        )
        self._floor_ntp_s = 0
        self._looked_ntp_s = 0.0
        self._machine = LinkMachine(self._desk, LINK_TABLES)
        self._rekey_machine = RekeyMachine(self._desk, REKEYING)
        self._upkeep = Upkeep(self._desk, self._machine, self._rekey_machine)
        limits = Limits(
            verify=VerifyBudget(
                random_bytes, per_s=config.verify_per_s, spacing_s=config.timers.t4100_s * LEAST_SPACING
            )
        )
        self._verify = limits.verify
        self._initiator = Initiator(self._desk, self._machine, limits)
        self._responder = Responder(self._desk, self._machine, limits)
        self.groups = Groups(self._desk, limits)
        self._rekeying = Rekeying(self._desk, self._rekey_machine, self._upkeep)
        self._mode = ModeRoles(self._desk, self._machine, limits)
        for actions in (self._upkeep.actions, self._initiator.actions, self._responder.actions, self._mode.actions):
            self._machine.learn(actions)
        self._rekey_machine.learn(self._rekeying.actions)

    @property
    def links(self) -> tuple[Link, ...]:
        """The links there are, in any state; to look at, not to change."""
        return tuple(self._desk.links)

    @property
    def counters(self) -> Mapping[str, int]:
        """How often each reason to drop or refuse has come up."""
        return Counter(self._desk.outbox.counters)

    def connect(self, peer: str, peer_l2: int, now: Instant, *, carrier: str = DIRECT) -> None:
        """Ask a peer for a link; what comes of it is told by events."""
        self._mind_the_clock(now)
        if self._desk.config.policy.towards(peer).profile is Profile.TS24334:
            self._mode.connect(peer, peer_l2, carrier, now)
        else:
            self._initiator.connect(peer, peer_l2, carrier, now)

    def release(self, peer: str, now: Instant, *, reason: ReleaseReason = ReleaseReason.NO_LONGER_NEEDED) -> None:
        """Release the link with a peer, or give up the attempt at one."""
        for link in self._desk.links:
            if link.peer == peer:
                self._upkeep.release(link, reason, now)

    def rekey(self, peer: str, now: Instant, *, new_kd: bool = False) -> None:
        """Ask for a new context of the link with a peer, with new I_MESSAGEs if `new_kd` or policy says so."""
        link = self._desk.links.with_peer(peer, State.ESTABLISHED)
        if link is not None:
            self._renew(link, now, new_kd=new_kd)

    def trigger_rekey(self, peer: str) -> None:
        """Ask the peer to start a rekey."""
        link = self._desk.links.with_peer(peer, State.ESTABLISHED)
        if link is not None:
            self._rekeying.trigger(link)

    def deny(self, denied: Iterable[str], now: Instant) -> None:
        """Go on with this deny list: links with those on it end at once."""
        self._desk.credentials.replace_denied(denied)
        for link in self._desk.links:
            if self._desk.credentials.denies(link.peer):
                self._upkeep.end(link, now, "the peer is on the deny list")

    def kms_contact(self, kms_ntp_s: int, now: Instant) -> None:
        """Take the time that the home KMS told just now; an event where it is more than W from the own clock's."""
        event = self._desk.clock.kms_contact(kms_ntp_s, now)
        if event is not None:
            self._desk.outbox.emit(event)
        try:
            self._desk.record.kms_contact(kms_ntp_s, keys_end_ntp_s=self._desk.credentials.keys_end_ntp_s)
        except RecordError:
            self._desk.outbox.counters["record can't be used"] += 1
        self._floor_ntp_s = 0

    def trust_clock(self, now: Instant) -> None:
        """Take the own clock to be right after a jump: the operator says so."""
        self._desk.clock.trust(now)

    def shut_down(self, now: Instant) -> None:
        """End every link at once, without a word to the peers; nothing of the RSKs stays in memory but the keys."""
        for link in self._desk.links:
            self._upkeep.end(link, now, "shut down")
        self.groups.shut_down()
        self._desk.credentials.forget_receiver_keys()
        self._verify.wipe()

    def receive(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Take one PDU; whatever is wrong with it becomes an event."""
        self._mind_the_clock(now)
        self._desk.outbox.go_to(now.mono_s)
        if pdu.lcid == LCID_UNPROTECTED and pdu.kd_sess_id == 0:
            self._receive_unprotected(pdu, now)
            self._work_off(now)
        elif pdu.lcid == LCID_PROTECTED and pdu.kd_sess_id != 0:
            self._receive_protected(pdu, now)
        elif pdu.lcid == LCID_SECURITY_MODE and pdu.kd_sess_id != 0:
            self._mode.receive_security_mode(pdu, now)
        else:
            self._desk.drop(pdu, _name(pdu.data), "no place for this logical channel and protection")

    def pdus_to_send(self, now: Instant) -> list[OutgoingPdu]:
        """PDUs to hand to PDCP, in order; starts the rekeys that SNs ask for."""
        for link in self._desk.links.in_state(State.ESTABLISHED):
            if link.context.wants_rekey:
                self._renew(link, now)
        self.groups.expire(now)
        return self._desk.outbox.take_pdus()

    def next_timer(self) -> float | None:
        """The monotonic time of the next deadline, None if no timer runs."""
        deadlines = (self._desk.timers.next_deadline_s(), self.groups.next_timer(), self._verify.next_timer())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Do what is due."""
        self._mind_the_clock(now)
        self._desk.outbox.go_to(now.mono_s)
        for number, timer in self._desk.timers.due(now.mono_s):
            link = self._desk.links.get(number)
            if link is None:
                continue
            if timer is Timer.REKEY_DUE:
                self._renew(link, now, new_kd=True)
            elif timer in _REKEY_TIMERS:
                self._rekeying.on_timer(link, timer, now)
            elif not self._initiator.on_timer(link, timer, now):
                self._upkeep.on_timer(link, timer, now)
        self.groups.handle_timer(now)
        self._work_off(now)

    def next_event(self) -> Event | None:
        """The oldest event not yet taken, None if there is none."""
        return self._desk.outbox.next_event()

    def context(self, peer_l2: int, kd_sess_id: int) -> SecurityContext | None:
        """The context of (own, peer layer-2 id, KD-sess ID), None where there is none."""
        link = self._desk.links.of_context(peer_l2, kd_sess_id)
        return link.contexts[kd_sess_id] if link else None

    def context_of_command(self, pdu: ReceivedPdu, now: Instant) -> SecurityContext | None:
        """The context by which PDCP verifies a PDU of LCID 29 for which `context` knows none; `pdu` is unverified yet.

        In the `ts24334` profile the Security Mode Command brings its own keys, encapsulated and signed.
        """
        return self._mode.context_of_command(pdu, now)

    def user_data_id(self, peer_l2: int) -> int | None:
        """The KD-sess ID to send user data on, None while no user data may go to this peer."""
        link = self._desk.links.established_with_l2(peer_l2)
        return link.current_id if link else None

    def admits_user_data(self, peer_l2: int, kd_sess_id: int, now: Instant) -> bool:
        """Whether user data that PDCP has verified under a context may go up; it also shows that the peer is alive."""
        link = self._desk.links.of_context(peer_l2, kd_sess_id)
        if link is None or not self._note_verified(link, kd_sess_id, now):
            return False
        return link.state is State.ESTABLISHED

    def peer_of(self, peer_l2: int) -> str | None:
        """The identity of the peer that has an established link with this layer-2 id."""
        found = [link.peer for link in self._desk.links.in_state(*UP) if link.peer_l2 == peer_l2]
        return found[0] if found else None

    def _renew(self, link: Link, now: Instant, *, new_kd: bool = False) -> None:
        """Get new keys for a link: by a rekey, in the `ts24334` profile by a new link that takes this one's place."""
        if link.profile is Profile.TS24334:
            self._mode.connect(link.peer, link.peer_l2, link.carrier, now)
        else:
            self._rekeying.start(link, now, new_kd=new_kd)

    def _work_off(self, now: Instant) -> None:
        """Take in again what has waited for its verification and may be verified now."""
        while (pdu := self._verify.draw(now.mono_s)) is not None:
            if pdu.lcid == LCID_SECURITY_MODE:
                self._mode.context_of_command(pdu, now)
            else:
                self._receive_unprotected(pdu, now)
        for lapsed in self._verify.take_lapsed():
            self._report_lapsed(lapsed)

    def _report_lapsed(self, lapsed: Waiting) -> None:
        """A message had no token in time; a request is refused as at its step of the checks."""
        pdu, why = lapsed.pdu, TOO_MANY
        if message_type(pdu.data) is not MessageType.REQUEST:
            self._desk.drop(pdu, _name(pdu.data), why)
            return
        self._desk.outbox.counters[why] += 1
        refused = RequestRefused(step=9, cause=None, why=why, detail="", peer=lapsed.signer, peer_l2=pdu.src_l2)
        self._desk.outbox.emit(refused)

    def _receive_unprotected(self, pdu: ReceivedPdu, now: Instant) -> None:
        if self._mode.receive_unprotected(pdu, now):
            return
        match message_type(pdu.data):
            case MessageType.REQUEST if self.groups.concerns(pdu):
                self.groups.on_request(pdu, now)
            case MessageType.REQUEST:
                self._responder.on_request(pdu, now)
            case MessageType.ACCEPT:
                if not self.groups.on_accept(pdu, now):
                    self._initiator.on_accept(pdu, now)
            case MessageType.REJECT:
                message = self._decoded(pdu)
                if isinstance(message, DirectReject) and not self.groups.on_reject(message, now):
                    self._initiator.on_reject(pdu, message, now)
            case _:
                self._desk.drop(pdu, _name(pdu.data), "not allowed without protection")

    def _receive_protected(self, pdu: ReceivedPdu, now: Instant) -> None:
        link = self._desk.links.of_context(pdu.src_l2, pdu.kd_sess_id)
        if link is None:
            self._desk.drop(pdu, _name(pdu.data), "no context")
            return
        if self._mode.receive_accept(link, pdu, now):
            return
        message = self._decoded(pdu)
        if message is None:
            return
        if isinstance(message, Keepalive) and message.confirmation is not None:
            self._receive_confirm(link, pdu, message, now)
        elif not self._note_verified(link, pdu.kd_sess_id, now, acknowledged=_acknowledges(message)):
            self._desk.drop(pdu, _name(pdu.data), "the context waits for its Confirm")
        else:
            self._receive_on_link(link, pdu, message, now)

    def _receive_confirm(self, link: Link, pdu: ReceivedPdu, message: Keepalive, now: Instant) -> None:
        if link.rekeyed or (link.rekey.state is RekeyState.AWAIT_CONFIRM and pdu.kd_sess_id == link.rekey.pending_id):
            self._rekeying.on_confirm(link, pdu, message, now)
        else:
            self._responder.on_confirm(link, pdu, message, now)

    def _receive_on_link(self, link: Link, pdu: ReceivedPdu, message: Message, now: Instant) -> None:
        match message:
            case Keepalive():
                self._upkeep.on_keepalive(link, pdu, message, now)
            case KeepaliveAck() if not _acknowledges(message):
                self._upkeep.on_keepalive_ack(link, pdu, message, now)
            case KeepaliveAck():
                """The Confirm's Ack has done its work in `_note_verified`."""
            case Release():
                self._upkeep.on_release(link, pdu, now)
            case ReleaseAccept():
                self._upkeep.on_release_accept(link, pdu, now)
            case RekeyingRequest() if link.rekeys:
                self._rekeying.on_request(link, pdu, message, now)
            case RekeyingResponse() if link.rekeys:
                self._rekeying.on_response(link, pdu, message, now)
            case RekeyingTrigger() if link.state is State.ESTABLISHED:
                self._renew(link, now)
            case _:
                self._desk.drop(pdu, _name(pdu.data), f"not expected when {link.state.value}")

    def _note_verified(self, link: Link, kd_sess_id: int, now: Instant, *, acknowledged: bool = False) -> bool:
        """Note a PDU that PDCP verified; False if nothing but a Confirm may come on this context yet.

        A context that a rekey has made is received on before its Confirm, unless its MAC-I proves nothing.
        """
        proven = not link.contexts[kd_sess_id].null_integrity
        awaited = link.rekey.state is RekeyState.AWAIT_CONFIRM and kd_sess_id == link.rekey.pending_id
        if link.state is State.PROVISIONAL or (awaited and not proven):
            return False
        proves = acknowledged or proven
        if link.rekey.state is RekeyState.CONFIRMING and kd_sess_id == link.current_id and proves:
            self._rekeying.on_acknowledged(link, now)
        if acknowledged and link.state is State.CONFIRMING:
            self._machine.run(link, Input.ACK, now)
        elif proves:
            self._machine.run(link, Input.VERIFIED_PDU, now)
        return True

    def _decoded(self, pdu: ReceivedPdu) -> Message | None:
        try:
            return decode(pdu.data)
        except MalformedMessage as error:
            self._desk.drop(pdu, _name(pdu.data), "malformed", str(error))
            return None

    def _mind_the_clock(self, now: Instant) -> None:
        """Hold the clock against the monotonic counter; keep on record how late it is, and let old RSKs go.

        The floor rises no further than the end of the newest key period held, so that one wrong time can't spoil it.
        """
        event = self._desk.clock.observe(now)
        if event is not None:
            self._desk.outbox.emit(event)
        if not self._desk.clock.may_raise_floor:
            return
        if now.ntp_s >= self._looked_ntp_s + FLOOR_STEP_S:
            self._looked_ntp_s = now.ntp_s
            self._desk.credentials.forget_ended(now.ntp_s)
        floor_ntp_s = min(int(now.ntp_s), self._desk.credentials.keys_end_ntp_s)
        if floor_ntp_s < self._floor_ntp_s + FLOOR_STEP_S:
            return
        try:
            self._desk.record.raise_floor(floor_ntp_s)
            self._floor_ntp_s = floor_ntp_s
        except RecordError:
            self._desk.outbox.counters["record can't be used"] += 1


def _acknowledges(message: Message) -> bool:
    """Whether this is the Ack of a Confirm."""
    return isinstance(message, KeepaliveAck) and message.counter == 0


def _name(octets: bytes) -> str:
    """The type of a message in words."""
    kind = message_type(octets)
    return kind.name.lower().replace("_", " ") if kind else "unknown"
