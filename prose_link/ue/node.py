"""One UE: PHY pipeline, layer 2, signalling, discovery and user plane joined. Samples in, bursts out, time passed in.

Follow a frame up through the `_take_*` methods, and down through the `_give_*` methods.
"""

from __future__ import annotations

from typing import Any

from prose_link.config.ue import UeConfig
from prose_link.discovery.events import PeerDiscovered, PeerLost, Solicited
from prose_link.event_stream import EventStream
from prose_link.instant import Instant
from prose_link.pc5s.core import events as link_events
from prose_link.pc5s.wire.pdus import ReceivedPdu
from prose_link.ue.announcer import Announcer
from prose_link.ue.caller import Caller
from prose_link.ue.events import (
    BlockReceived,
    Connecting,
    FirstProtected,
    L2Dropped,
    PoweredOn,
    WeakLinksAllowed,
)
from prose_link.ue.group_role import announced_l2
from prose_link.ue.parts import NodeParts
from prose_link.ue.pdu_tap import Sightings
from prose_link.ue.recorder import Recorder
from prose_link.userplane.traffic_script import TrafficDone
from radio.arrays import Iq
from radio.l2 import indications as l2_events
from radio.l2.pdcp import PdcpSdu, ProtectionError, SduType
from radio.l2.stack import QueueFull
from radio.phy.lte.channels import indications as phy_events
from radio.phy.lte.channels.transmissions import Transmission

USER_LCID = 1
"""Logical channel of the user plane (TS 36.321 Table 6.2.4-1: 1..10)."""
MAX_QUEUED_USER_OCTETS = 16 * 1024
"""User data handed to layer 2 ahead of the air: two SC periods' worth, so that queues stay short."""
MAX_PACKETS_AT_ONCE = 4
MAX_CALENDAR_ERROR_S = 0.1
_RECORDING_BLOCKS_AFTER_LINK = 60
_LAST_WORDS_S = 0.5
"""Between the end of the traffic and the release: time for the last answers to go out, and to be asked for again."""


class Node:
    """Joins the layers of one UE and drives them subframe by subframe."""

    def __init__(self, config: UeConfig, parts: NodeParts, stream: EventStream, recorder: Recorder) -> None:
        self.done = ""
        """Why the UE wants to be switched off; empty while it goes on."""
        self._config = config
        self._phy = parts.phy
        self._l2 = parts.l2
        self._pc5s = parts.pc5s
        self._discovery = parts.discovery
        self._sync = parts.sync
        self._comm = parts.pools.comm[0]
        self._user_plane = parts.user_plane
        self._group = parts.group
        self._heard_at_s = 0.0
        self._stream = stream
        self._recorder = recorder
        self._sample_rate_hz = parts.phy.carrier.sample_rate_hz
        self._utc_at_power_on_s = config.utc_s_at_power_on
        self._samples_seen = 0
        self._next_tx_subframe: int | None = None
        self._caller = Caller(config.link)
        self._sightings = Sightings(self._emit, lambda: self.subframe)
        disc_pool = parts.pools.disc[0] if parts.pools.disc else None
        self._announcer = Announcer(disc_pool, parts.discovery, self._sightings)
        self._protected_seen: set[int] = set()
        self._releases: dict[str, float] = {}
        self._stop_at_s: float | None = None
        self._stop_why = ""

    @property
    def now(self) -> Instant:
        """The moment after the last sample taken, as the lab sees it: without this UE's clock error."""
        mono_s = self._samples_seen / self._sample_rate_hz
        return Instant(mono_s=mono_s, utc_s=self._utc_at_power_on_s + mono_s)

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate its carrier needs."""
        return self._sample_rate_hz

    @property
    def subframe(self) -> int:
        """The subframe the PHY is at; 0 while it has no timing."""
        return self._phy.subframe or 0

    def power_on(self) -> None:
        """Say who this UE is; a reference starts its own timing."""
        carrier = self._phy.carrier
        self._emit(
            PoweredOn(
                identity=self._config.identity,
                l2_id=self._config.l2_id,
                sample_rate_hz=carrier.sample_rate_hz,
                n_prb=carrier.n_prb,
            )
        )
        if weak := self._config.link.weak_keys():
            self._emit(WeakLinksAllowed(keys=weak))
        for event in self._sync.power_on():
            self._emit(event)

    def set_calendar(self, utc_s: float) -> None:
        """Set the UE's calendar clock where the count of its samples has come apart from it: air may stand still."""
        if abs(utc_s - self.now.utc_s) > MAX_CALENDAR_ERROR_S:
            self._utc_at_power_on_s += utc_s - self.now.utc_s

    def step(self, iq: Iq, first_sample: int) -> list[tuple[Iq, int]]:
        """Take the next received samples; returns the bursts to send, each with its first sample."""
        self._recorder.take_samples(iq, first_sample)
        self._samples_seen = first_sample + len(iq)
        for indication in self._phy.receive(iq, first_sample):
            self._sync.receive(indication, self.now)
            self._take_indication(indication)
        self._run_synchronisation()
        self._run_discovery()
        self._run_signalling()
        self._run_user_plane()
        self._run_group()
        self._check_stop()
        return self._give_bursts()

    def shut_down(self) -> int:
        """Wipe what is still held; returns how many contexts with live keys there are afterwards."""
        self._pc5s.shut_down(self.clock)
        self.close()
        return sum(not context.wiped for link in self._pc5s.links for context in link.contexts.values())

    def close(self) -> None:
        """Give back what is not this process's own: a TUN interface. May be called twice."""
        self._user_plane.close(self.now.mono_s)

    # Up: from the PHY's indications to signalling, discovery and IP.

    def _take_indication(self, indication: phy_events.Indication) -> None:
        match indication:
            case phy_events.Synchronised():
                self._emit(indication)
            case phy_events.SyncLost():
                self._emit(indication)
                if not self._sync.survives_loss:
                    self._next_tx_subframe = None
                    self._stop("lost its synchronisation reference", 0.0)
            case phy_events.MibReceived(mib=mib, subframe=subframe):
                self._sightings.mib(mib, subframe, "rx")
            case phy_events.SciReceived(sci=sci, subframe=subframe, prb=prb):
                self._l2.note_sci(subframe, prb, sci)
            case phy_events.TransportBlockReceived():
                self._take_block(indication)
            case phy_events.DiscoveryReceived(message=message, subframes=subframes, prb=prb):
                self._announcer.note_heard(subframes, prb)
                self._heard_at_s = self.now.mono_s
                self._sightings.see("discovery", "rx", message, subframe=subframes[-1])
                self._discovery.receive(message, self.clock)
                self._hear_announced(message)

    def _hear_announced(self, message: bytes) -> None:
        """Who announces this UE's layer-2 id as his own will send from it too."""
        if self._group is not None and self._l2.note_taken(l2_id := announced_l2(message)):
            self._group.address_given_up(l2_id, self.clock)

    def _take_block(self, block: phy_events.TransportBlockReceived) -> None:
        self._emit(
            BlockReceived(
                subframes=block.subframes,
                mcs=block.mcs,
                n_prb=len(block.prbs),
                n_transmissions=block.n_transmissions,
                crc_ok=block.crc_ok,
                crc_ok_at=block.crc_ok_at,
                snr_db=block.snr_db,
                evm_db=block.evm_db,
            )
        )
        for indication in self._l2.receive(block):
            match indication:
                case l2_events.SduReceived():
                    self._take_sdu(indication)
                case l2_events.Dropped():
                    self._take_drop(indication)

    def _take_drop(self, dropped: l2_events.Dropped) -> None:
        to_group = self._group is not None and dropped.dst_l2 == self._group.l2_id
        if self._group is not None and to_group and dropped.reason is l2_events.DropReason.NOT_VERIFIED:
            self._group.unreadable(dropped.src_l2, dropped.detail)
        elif dropped.reason is not l2_events.DropReason.NOT_ADDRESSED:
            self._emit(L2Dropped(layer="l2", why=f"{dropped.reason.value}: {dropped.detail}"))
        if self._group is not None and dropped.reason is l2_events.DropReason.SENDER_TAKEN:
            self._group.address_given_up(dropped.src_l2, self.clock)

    def _take_sdu(self, sdu: l2_events.SduReceived) -> None:
        if sdu.sdu_type is SduType.PC5_SIGNALLING:
            self._sightings.signalling("rx", sdu.data, sdu.src_l2, sdu.dst_l2, sdu.lcid)
            self._pc5s.receive(
                ReceivedPdu(
                    data=sdu.data, src_l2=sdu.src_l2, dst_l2=sdu.dst_l2, lcid=sdu.lcid, kd_sess_id=sdu.kd_sess_id
                ),
                self.clock,
            )
        elif sdu.sdu_type is SduType.IP:
            self._take_packet(sdu)

    def _take_packet(self, sdu: l2_events.SduReceived) -> None:
        if self._group is not None and sdu.dst_l2 == self._group.l2_id:
            self._sightings.see("ip", "rx", sdu.data, sdu.src_l2, sdu.dst_l2, sdu.lcid)
            self._group.receive(sdu.src_l2, sdu.data)
            return
        if not self._pc5s.admits_user_data(sdu.src_l2, sdu.kd_sess_id, self.clock):
            self._emit(L2Dropped(layer="ip", why="user data before the link stands"))
            return
        self._take_link_events()
        if sdu.src_l2 not in self._protected_seen:
            self._protected_seen.add(sdu.src_l2)
            self._emit(FirstProtected(peer_l2=sdu.src_l2, octets=len(sdu.data)))
        self._sightings.see("ip", "rx", sdu.data, sdu.src_l2, sdu.dst_l2, sdu.lcid)
        self._user_plane.receive(sdu.src_l2, sdu.data, self.now.mono_s)

    # Between the layers.

    def _run_synchronisation(self) -> None:
        for event in self._sync.step(self.now, self._samples_seen):
            self._emit(event)
            if isinstance(event, phy_events.Synchronised):
                self._next_tx_subframe = None

    def _run_discovery(self) -> None:
        self._discovery.handle_timer(self.clock)
        while (event := self._discovery.next_event()) is not None:
            self._emit(event)
            if isinstance(event, PeerDiscovered | Solicited):
                self._meet(event)
            elif isinstance(event, PeerLost):
                self._caller.lost_sight(event.prose_ue_id)
        if self._stop_at_s is None:
            for peer, peer_l2 in self._caller.due(self.now.mono_s):
                self._emit(Connecting(peer=peer, peer_l2=peer_l2))
                self._pc5s.connect(peer, peer_l2, self.clock)

    def _meet(self, peer: PeerDiscovered | Solicited) -> None:
        """Somebody's layer-2 id is known now: by an announcement, a response, or because he asks."""
        if self._group is not None:
            self._group.discovered(peer.user_info_id, peer.prose_ue_id)
        self._caller.met(peer.user_info_id, peer.prose_ue_id)

    def _run_signalling(self) -> None:
        timer_s = self._pc5s.next_timer()
        if timer_s is not None and timer_s <= self.clock.mono_s:
            self._pc5s.handle_timer(self.clock)
        self._take_link_events()
        for pdu in self._pc5s.pdus_to_send(self.clock):
            self._sightings.signalling("tx", pdu.data, self._config.l2_id, pdu.dst_l2, pdu.lcid)
            kind, under = SduType.PC5_SIGNALLING, pdu.kd_sess_id
            self._give_sdu(PdcpSdu(dst_l2=pdu.dst_l2, lcid=pdu.lcid, sdu_type=kind, data=pdu.data, kd_sess_id=under))

    def _take_link_events(self) -> None:
        while (event := self._pc5s.next_event()) is not None:
            self._emit(event)
            self._follow_link(event)

    def _follow_link(self, event: link_events.Event) -> None:
        if self._group is not None:
            self._group.follow(event, self.clock)
        match event:
            case link_events.LinkEstablished(peer=peer):
                self._caller.linked(peer)
                self._user_plane.open(event, self.now.mono_s)
                self._recorder.freeze_after(_RECORDING_BLOCKS_AFTER_LINK)
            case link_events.LinkReleased(peer=peer, peer_l2=peer_l2, agreed=agreed):
                self._user_plane.drop(peer_l2, self.now.mono_s)
                self._protected_seen.discard(peer_l2)
                self._releases.pop(peer, None)
                if agreed:
                    self._end_with(peer, "the link is released")
                else:
                    self._caller.link_lost(peer)
            case link_events.RequestYielded(peer=peer):
                self._caller.call_failed(peer, self.now.mono_s)
            case link_events.LinkFailed(peer=peer, why=why):
                self._caller.call_failed(peer, self.now.mono_s)
                if self._config.traffic.stop_when_refused:
                    self._end_with(peer, f"no link: {why}")

    def _end_with(self, peer: str, why: str) -> None:
        """There is nothing more to do with a peer; the UE switches off once that is so with all, and no link is left.

        A UE in a group goes on until the group's plan is done.
        """
        self._caller.over(peer)
        if self._caller.done and not self._user_plane.peers and self._group is None:
            self._stop(why, self._config.traffic.linger_s)

    def _run_user_plane(self) -> None:
        now_s = self.now.mono_s
        for peer_l2 in self._user_plane.peers:
            kd_sess_id = self._pc5s.user_data_id(peer_l2)
            if kd_sess_id is not None and self._l2.queued_octets(peer_l2) < MAX_QUEUED_USER_OCTETS:
                for packet in self._user_plane.packets_to_send(peer_l2, MAX_PACKETS_AT_ONCE, now_s):
                    self._give_packet(packet, peer_l2, kd_sess_id)
        for peer, event in self._user_plane.events(now_s):
            self._emit(event, peer=peer)
            if isinstance(event, TrafficDone) and self._config.traffic_with(peer).release_when_done:
                self._releases[peer] = now_s + _LAST_WORDS_S

    def _run_group(self) -> None:
        group = self._group
        if group is None:
            return
        for packet in group.step(self.clock):
            self._sightings.see("ip", "tx", packet, group.sender_l2, group.l2_id, USER_LCID)
            self._give_sdu(PdcpSdu(dst_l2=group.l2_id, lcid=USER_LCID, sdu_type=SduType.IP, data=packet))
        while (event := group.next_event()) is not None:
            self._emit(event)
        if group.done and self._caller.done and not self._user_plane.peers:
            self._stop("the group's plan is done", self._config.traffic.linger_s)

    # Down: from IP and signalling to bursts.

    def _give_packet(self, packet: bytes, peer_l2: int, kd_sess_id: int) -> None:
        self._sightings.see("ip", "tx", packet, self._config.l2_id, peer_l2, USER_LCID)
        self._give_sdu(PdcpSdu(dst_l2=peer_l2, lcid=USER_LCID, sdu_type=SduType.IP, data=packet, kd_sess_id=kd_sess_id))

    def _give_sdu(self, sdu: PdcpSdu) -> None:
        try:
            self._l2.send(sdu)
        except (QueueFull, ProtectionError) as error:
            self._emit(L2Dropped(layer="l2", why=str(error)))

    def _give_bursts(self) -> list[tuple[Iq, int]]:
        """Bursts of the subframes that have come within the lead of the transmitter."""
        if self._phy.subframe is None:
            return []
        horizon = self._phy.subframe + self._config.radio.tx_lead_subframes
        if self._next_tx_subframe is None:
            self._next_tx_subframe = self._comm.period_start(self._comm.period_of(horizon) + 1)
        bursts = []
        while self._next_tx_subframe < horizon:
            transmissions = self._transmissions(self._next_tx_subframe)
            if transmissions:
                bursts.append(self._phy.transmit(self._next_tx_subframe, transmissions))
            self._next_tx_subframe += 1
        return bursts

    def _transmissions(self, subframe: int) -> list[Transmission]:
        """What this UE sends in one subframe: synchronisation goes before discovery, discovery before data."""
        period = self._comm.period_of(subframe)
        if subframe == self._comm.period_start(period):
            self._l2.start_period(period)
        announcement = self._announcer.transmission(subframe, self.clock)
        slss = self._sync.transmission(subframe)
        if slss is not None:
            self._sightings.mib(slss.mib, subframe, "tx")
            return [slss]
        if announcement is not None:
            return [announcement]
        return list(self._l2.transmissions(subframe))

    # Stopping, telling.

    @property
    def sightings(self) -> Sightings:
        """Where layer 2 shows its PDUs on their way to a capture."""
        return self._sightings

    def _stop(self, why: str, linger_s: float) -> None:
        if self._stop_at_s is None:
            self._stop_at_s, self._stop_why = self.now.mono_s + linger_s, why

    def _check_stop(self) -> None:
        for peer in [peer for peer, at_s in self._releases.items() if self.now.mono_s >= at_s]:
            del self._releases[peer]
            self._pc5s.release(peer, self.clock)
        if self._stop_at_s is not None and self.now.mono_s >= max(self._stop_at_s, self._needed_until_s):
            self.done = self._stop_why
        elif self.now.mono_s >= self._config.stop_after_s:
            self.done = f"its {self._config.stop_after_s:.0f} s are over"

    @property
    def _needed_until_s(self) -> float:
        """A reference is needed as long as others are heard, where it was told to mind them."""
        stay_s = self._config.sync.stay_for_others_s
        return self._heard_at_s + stay_s if stay_s else 0.0

    @property
    def clock(self) -> Instant:
        """The moment as this UE's own clocks tell it, error included."""
        now = self.now
        return Instant(mono_s=now.mono_s, utc_s=now.utc_s + self._config.clock_error_s)

    def _emit(self, event: Any, **more: str) -> None:
        self._stream.emit(event, self.now, **more)
