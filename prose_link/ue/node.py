"""One UE: access, signalling, discovery and user plane joined. Samples in, bursts out, time passed in.

The `_take_*` methods show the way of a frame up. On the way down, packets and signalling go through `Bearers` to the
access. Each step has the same order: process what was heard; let synchronisation, discovery, signalling, the user plane
and the group do the work that is due; then make the bursts. The node itself decides nothing: it carries values from one
entity to the next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from prose_link.config.ue import UeConfig
from prose_link.event_stream import EventStream
from prose_link.instant import Instant
from prose_link.pc5s.core import events as link_events
from prose_link.pc5s.wire.pdus import ReceivedPdu
from prose_link.ue.bearers import Bearers, Opened
from prose_link.ue.discovery_setup import renew_discovery_keys
from prose_link.ue.events import (
    L2Dropped,
    PoweredOn,
    TimeNotProven,
    UeEvent,
    WeakLinksAllowed,
)
from prose_link.ue.group_role import announced_l2
from prose_link.ue.group_traffic import GroupTraffic
from prose_link.ue.hearing_reports import HearingReports
from prose_link.ue.identity import Identity
from prose_link.ue.lifecycle import Lifecycle
from prose_link.ue.parts import NodeParts
from prose_link.ue.peer_calls import PeerCalls
from prose_link.ue.recorder import Recorder
from prose_link.ue.user_traffic import UserTraffic
from prose_link.userplane.events import TrafficDone
from radio.access.protocol import (
    AccessIndication,
    Announcement,
    AnnouncementReceived,
    BlockReceived,
    PdusReceived,
    ReportDue,
    SyncSignal,
)
from radio.arrays import Iq
from radio.l2.indications import Dropped, DropReason, SduReceived
from radio.l2.pdcp import SduType
from radio.phy.lte.channels.indications import MibReceived, SlssDetected, Synchronised, SyncLost
from security.device.number_store import RefusedStatement

FAREWELL_IN_T4103 = 1.6
"""Air time for the last Releases, in T4103: they are sent twice, and the second needs time to get on the air."""
_RECORDING_BLOCKS_AFTER_LINK = 60
_HEARD = (Synchronised, MibReceived, SlssDetected, BlockReceived, AnnouncementReceived)
"""Indications that show another UE on the air."""
_CLOCK_EVERY_S = 1.0
"""Longest time between two checks of the clocks: an idle UE must notice when its calendar is set."""


class Node:
    """Joins the layers of one UE and drives them step by step.

    The class is longer than most: the layers meet here, and each kind of indication and event needs a method of a few
    lines.
    """

    def __init__(
        self,
        config: UeConfig,
        parts: NodeParts,
        stream: EventStream,
        recorder: Recorder,
        *,
        kms_ntp_s: int | None = None,
        refused_statements: Iterable[RefusedStatement] = (),
    ) -> None:
        """`kms_ntp_s`: the time that the home KMS gave just before power-on, None if it was not asked.

        `refused_statements`: statements of the identity map that were refused.
        """
        self.done = ""
        """The reason to switch the UE off; empty while there is none."""
        self.clock = parts.clock
        self._config = config
        self._kms_ntp_s = kms_ntp_s
        self._access = parts.access
        self._tap = parts.tap
        self._pc5s = parts.pc5s
        self._discovery = parts.discovery
        self._sync = parts.sync
        self._user_plane = parts.user_plane
        self._stream = stream
        self._recorder = recorder
        self._clock_due_s = 0.0
        self._wiped_periods: list[link_events.KeysWiped] = []
        self._phone_book = parts.phone_book
        self._refused_statements = tuple(refused_statements)
        self._lifecycle = Lifecycle(config, parts.phone_book.traffic_with)
        bearers = Bearers(
            config.l2_id,
            parts.access,
            parts.direct,
            parts.carriers,
            parts.pdcp,
            parts.protector,
            parts.tap,
            parts.pc5s.may_bring,
            self._emit,
        )
        self._bearers = bearers
        self._reports = HearingReports(parts.access, parts.pc5s, bearers)
        self._farewell_s = FAREWELL_IN_T4103 * parts.pc5s.timers.t4103_s
        self._traffic = UserTraffic(parts.user_plane, parts.queues, parts.pc5s, bearers, parts.tap, self._emit)
        self._calls = PeerCalls(
            parts.discovery, self._lifecycle, parts.phone_book, parts.pc5s, bearers, parts.group, self._emit
        )
        self._group = None if parts.group is None else GroupTraffic(parts.group, bearers, parts.tap, self._emit)

    @property
    def now(self) -> Instant:
        """The moment after the last sample taken, in the lab's time."""
        return self.clock.now

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate its access needs."""
        return self._access.sample_rate_hz

    @property
    def subframe(self) -> int:
        """The subframe the access is at; 0 while it has no timing."""
        return self._access.subframe or 0

    def power_on(self) -> None:
        """Emit the first events; a reference starts its own timing."""
        self._emit(
            PoweredOn(
                identity=self._config.identity,
                l2_id=self._config.l2_id,
                sample_rate_hz=self._access.sample_rate_hz,
                n_prb=self._access.n_prb,
            )
        )
        if self._kms_ntp_s is not None:
            self._pc5s.kms_contact(self._kms_ntp_s, self.clock.own)
        if weak := self._config.link.weak_keys():
            self._emit(WeakLinksAllowed(keys=weak))
        self._say_whether_time_is_proven()
        self._calls.tell_refused(self._refused_statements)
        for event in self._sync.power_on():
            self._emit(event)

    def step(self, iq: Iq, first_sample: int) -> list[tuple[Iq, int]]:
        """Take the next received samples; returns the bursts to send, each with its first sample."""
        self._recorder.take_samples(iq, first_sample)
        self.clock.advance_to(first_sample + len(iq))
        for indication in self._access.receive(iq, first_sample):
            self._tap.subframe = self.subframe
            self._take(indication)
        self._tap.subframe = self.subframe
        for opened in self._bearers.open_others():
            self._take_opened(opened)
        self._run_synchronisation()
        self._calls.run(self.now, self.clock.own)
        self._run_signalling()
        self._run_user_plane()
        self._run_group()
        self._run_lifecycle()
        return self._access.bursts(self)

    def take_keys(self, identity: Identity) -> None:
        """Use the result of a contact with a KMS, between two steps.

        Raises IdentityError if no trusted KMS speaks for this UE.
        """
        now = self.clock.own
        self._pc5s.replace_keys(identity.key_ring, identity.peers, now)
        if identity.kms_ntp_s is not None:
            self._pc5s.kms_contact(identity.kms_ntp_s, now)
        self._pc5s.deny(identity.denied, now)
        renew_discovery_keys(self._discovery, self._config, identity.key_ring, identity.discovery_keys)
        self._phone_book.renew(identity.numbers, identity.key_ring)
        self._calls.tell_refused(identity.refused_statements)

    @property
    def kms_is_awaited(self) -> bool:
        """Whether the UE sets up no link until the home KMS has given the time, or has no usable record."""
        return self._pc5s.kms_is_awaited

    def take_wiped_periods(self) -> list[link_events.KeysWiped]:
        """The key periods whose keys were wiped from memory, each returned once; their keys leave the disk too."""
        taken, self._wiped_periods = self._wiped_periods, []
        return taken

    def tell(self, event: UeEvent) -> None:
        """Add an event from outside the UE, which concerns it, to its stream of events."""
        self._emit(event)

    def leave(self, why: str) -> None:
        """Release every link on the air, then be done: when the peers have answered, or after two Releases each.

        The links are released between two steps; a UE without links is done at once. Further calls change nothing.
        """
        if not self._lifecycle.is_leaving:
            self._pc5s.leave(self.clock.own)
            self._lifecycle.leave(why, self.now.mono_s + self._farewell_s)
            self._take_link_events()
            self._run_lifecycle()

    def shut_down(self) -> int:
        """Wipe all remaining keys. Returns the number of contexts with live keys afterwards."""
        self._pc5s.shut_down(self.clock.own)
        self.close()
        return sum(not context.wiped for link in self._pc5s.links for context in link.keys.contexts.values())

    def close(self) -> None:
        """Release resources outside this process: a TUN interface, sockets of carriers. May be called twice."""
        self._user_plane.close(self.now)
        self._bearers.close()

    # Callbacks of the access while it makes bursts.

    def sync_signal(self, subframe: int) -> SyncSignal | None:
        """The synchronisation signal due in a subframe."""
        return self._sync.transmission(subframe)

    def announcements(self, n_resources: int, *, n_t: int, avoid: Collection[int]) -> Iterable[Announcement]:
        """The discovery messages of the coming discovery period."""
        now = self.clock.own
        self._discovery.open_period(n_resources, now, n_t=n_t, avoid=avoid)
        return [Announcement(resource=one.n_psdch, message=one.data) for one in self._discovery.pdus_to_send(now)]

    # Up: from the access's indications to signalling, discovery and IP.

    def _take(self, indication: AccessIndication) -> None:
        if isinstance(indication, _HEARD):
            self._lifecycle.heard_anything(self.now.mono_s)
        match indication:
            case Synchronised() | SyncLost() | SlssDetected() | MibReceived():
                self._take_synchronisation(indication)
            case BlockReceived():
                self._emit(indication)
            case PdusReceived(items=items):
                for opened in self._bearers.open_heard(items):
                    self._take_opened(opened)
            case ReportDue():
                self._reports.send(indication)
            case AnnouncementReceived(message=message):
                self._lifecycle.heard_others(self.now.mono_s)
                self._discovery.receive(message, self.clock.own)
                if self._group is not None:
                    self._group.hear_announced(message, self.clock.own)
                    self._pc5s.groups.heard(announced_l2(message), self.clock.own)

    def _take_synchronisation(self, indication: Synchronised | SyncLost | SlssDetected | MibReceived) -> None:
        self._sync.receive(indication, self.now)
        if not isinstance(indication, SyncLost):
            self._pc5s.groups.heard_reference(self.clock.own)
        match indication:
            case Synchronised():
                self._emit(indication)
            case SyncLost():
                self._emit(indication)

    def _take_opened(self, opened: Opened) -> None:
        sdu = opened.sdu
        if isinstance(sdu, Dropped):
            self._take_drop(sdu)
        elif sdu.sdu_type is SduType.PC5_SIGNALLING:
            self._tap.signalling("rx", sdu.data, sdu.src_l2, sdu.dst_l2, sdu.lcid)
            pdu = ReceivedPdu(
                data=sdu.data,
                src_l2=sdu.src_l2,
                dst_l2=sdu.dst_l2,
                lcid=sdu.lcid,
                kd_sess_id=sdu.kd_sess_id,
                sn=sdu.sn,
                via=opened.via,
                named_sender=opened.named_sender,
            )
            self._pc5s.receive(pdu, self.clock.own)
        elif sdu.sdu_type is SduType.IP:
            self._take_packet(sdu)
        elif why := self._reports.receive(sdu):
            self._emit(L2Dropped(layer="l2", why=why))

    def _take_drop(self, dropped: Dropped) -> None:
        unreadable = self._group is not None and self._group.could_not_read(dropped)
        if not unreadable and dropped.reason is not DropReason.NOT_ADDRESSED:
            self._emit(L2Dropped(layer="l2", why=f"{dropped.reason.value}: {dropped.detail}"))
        if self._group is not None and dropped.reason is DropReason.SENDER_TAKEN:
            self._group.hear_sender(dropped.src_l2, self.clock.own)

    def _take_packet(self, sdu: SduReceived) -> None:
        if self._group is not None and sdu.dst_l2 == self._group.role.l2_id:
            self._group.receive(sdu, self.clock.own)
            return
        self._pc5s.note_user_data(sdu.src_l2, sdu.kd_sess_id, self.clock.own)
        if self._pc5s.admits_user_data(sdu.src_l2, sdu.kd_sess_id):
            self._take_link_events()
            self._traffic.receive(sdu, self.now)
        else:
            self._emit(L2Dropped(layer="ip", why="user data before the link stands"))

    # Between the layers.

    def _run_synchronisation(self) -> None:
        for event in self._sync.step(self.now, self.clock.samples_seen):
            self._emit(event)

    def _run_signalling(self) -> None:
        now = self.clock.own
        timer_s = self._pc5s.next_timer()
        if now.mono_s >= self._clock_due_s or (timer_s is not None and timer_s <= now.mono_s):
            self._clock_due_s = now.mono_s + _CLOCK_EVERY_S
            self._pc5s.handle_timer(now)
        self._take_link_events()
        for pdu in self._pc5s.pdus_to_send(self.clock.own):
            self._bearers.send_signalling(pdu)

    def _take_link_events(self) -> None:
        while (event := self._pc5s.next_event()) is not None:
            self._emit(event)
            self._follow_link(event)

    def _follow_link(self, event: link_events.Event) -> None:
        if self._group is not None:
            self._group.role.follow(event, self.clock.own)
        now_s = self.now.mono_s
        match event:
            case link_events.LinkEstablished():
                self._user_plane.open(event, self.now)
                self._recorder.freeze_after(_RECORDING_BLOCKS_AFTER_LINK)
            case link_events.LinkReleased(peer_l2=peer_l2):
                self._user_plane.drop(peer_l2, self.now)
                self._traffic.forget(peer_l2)
            case link_events.KeysWiped():
                self._wiped_periods.append(event)
        others_left = bool(self._user_plane.peers) or self._group is not None
        self._lifecycle.follow(event, now_s, others_left=others_left)

    def _run_user_plane(self) -> None:
        self._traffic.send_packets(self.now)
        self._user_plane.handle_timer(self.now)
        while (told := self._user_plane.next_event()) is not None:
            peer, event = told
            self._emit(event, peer=peer)
            if isinstance(event, TrafficDone):
                self._lifecycle.traffic_done(peer, self.now.mono_s)

    def _run_group(self) -> None:
        if self._group is None:
            return
        self._group.run(self.clock.own)
        if self._group.role.done and self._lifecycle.caller.done and not self._user_plane.peers:
            self._lifecycle.stop_when_idle("the group's plan is done", self.now.mono_s)

    def _run_lifecycle(self) -> None:
        now_s = self.now.mono_s
        for peer in self._lifecycle.take_due_releases(now_s):
            self._pc5s.release(peer, self.clock.own)
        self.done = self.done or self._lifecycle.reason_to_be_off(now_s, releasing=self._pc5s.is_releasing)

    def _say_whether_time_is_proven(self) -> None:
        require_kms = self._config.time.require_kms
        refused = self._pc5s.kms_is_awaited
        if refused or (require_kms == "never" and not self._pc5s.time_told):
            self._emit(TimeNotProven(require_kms=require_kms, set_ups_refused=refused))

    def _emit(self, event: UeEvent, peer: str | None = None) -> None:
        self._stream.emit(event, self.now, peer=peer)
