"""Programs behind a UE's interface, modelled for virtual time: a bulk transfer by TCP, pings at a rate, speech."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final

from lab_scripts.benchmarks.tcp_model import (
    CHECKSUM_AT,
    HEADER_OCTETS,
    Segment,
    TcpReceiver,
    TcpSender,
    decode_segment,
    encode_segment,
)
from prose_link.config.ue import UeConfig
from prose_link.instant import Instant
from prose_link.userplane import ipv6
from prose_link.userplane.addresses import IpAddresses, own_addresses
from prose_link.userplane.events import VoiceReceived
from prose_link.userplane.packet_end import PACKETS_AT_ONCE
from prose_link.userplane.queueing.priorities import DSCP_NAMES
from prose_link.userplane.voice import SILENCE_S, VOICE_PORT, VoiceReceiver, VoiceSender

_TCP: Final = 6
_IPV6_HEADER_OCTETS: Final = 40
_TCP_PORT: Final = 5201
_PING_IDENTIFIER: Final = 0x5C06
_PING_DATA: Final = bytes(56)
_MOST_WAITING: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramPlan:
    """What runs at one end: from when on, counted from the link's beginning, and for how long."""

    sends_tcp: bool = False
    ping_every_s: float = 0.0
    voice_s: float = 0.0
    starts_s: float = 0.5
    """When pings and speech begin; the transfer begins with the link."""


@dataclass(slots=True, kw_only=True)
class ProgramFigures:
    """What came of it."""

    round_trips_ms: list[float] = field(default_factory=list)
    pings_sent: int = 0
    voice: VoiceReceived | None = None
    taken_at: list[tuple[float, int]] = field(default_factory=list)
    """(seconds since the link's beginning, octets of the transfer that had come by then, each counted once)."""


class ModelledPrograms:
    """A `PacketInterface` with one link.

    Args:
        config: the UE's.
        plan: what runs.
        mtu_octets: of the interface.
    """

    def __init__(self, config: UeConfig, plan: ProgramPlan, mtu_octets: int) -> None:
        self.figures = ProgramFigures()
        self._config = config
        self._plan = plan
        self._mtu_octets = mtu_octets
        self._end: ProgramsEnd | None = None

    @property
    def name(self) -> str:
        """What events call it."""
        return "model"

    def attach(self, peer_l2: int, peer: IpAddresses) -> ProgramsEnd:  # noqa: ARG002
        """The programs' end of the link."""
        own = own_addresses(self._config.l2_id, ipv4=False).link_local
        self._end = ProgramsEnd(
            own, peer.link_local, self._plan, self.figures, self._mtu_octets, self._config.utc_s_at_power_on
        )
        return self._end

    def end_speech(self) -> None:
        """Count what has been heard so far as the whole."""
        if self._end is not None:
            self._end.end_speech()

    def close(self) -> None:
        """Nothing is kept."""


class ProgramsEnd:
    """The programs of one UE; a `PacketEnd`."""

    def __init__(
        self,
        own: IPv6Address,
        peer: IPv6Address,
        plan: ProgramPlan,
        figures: ProgramFigures,
        mtu_octets: int,
        utc_at_zero_s: float,
    ) -> None:
        self._own, self._peer = own, peer
        self._plan = plan
        self._figures = figures
        self._utc_at_zero_s = utc_at_zero_s
        mss_octets = mtu_octets - _IPV6_HEADER_OCTETS - HEADER_OCTETS
        self._mss_octets = mss_octets
        self.sender = TcpSender(mss_octets) if plan.sends_tcp else None
        self._receiver = TcpReceiver(mss_octets)
        self._out: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._began_s: float | None = None
        self._pings: dict[int, float] = {}
        self._speaker: VoiceSender | None = None
        self._listener: VoiceReceiver | None = None

    @property
    def held_back_octets(self) -> int:
        """None: what programs have to send is in the queue."""
        return 0

    def receive(self, packet: bytes, now: Instant) -> None:
        """Take a packet of the peer's programs."""
        payload = packet[_IPV6_HEADER_OCTETS:]
        match packet[6]:
            case ipv6.ICMPV6:
                self._take_echo(ipv6.decode_echo(payload), now)
            case ipv6.UDP if self._listener is not None:
                self._listener.receive(ipv6.decode_datagram(payload).data, now)
            case other if other == _TCP:
                self._take_segment(decode_segment(payload), now)

    def pdus_to_send(self, now: Instant, /, *, room: int = PACKETS_AT_ONCE) -> list[bytes]:  # noqa: ARG002
        """What the programs have sent by now."""
        self._run(now)
        return [self._out.popleft() for _ in range(min(PACKETS_AT_ONCE, len(self._out)))]

    def next_timer(self) -> None:
        """None: programs run with each call."""

    def handle_timer(self, now: Instant) -> None:
        """Nothing beside what `pdus_to_send` does."""

    def next_event(self) -> None:
        """None: figures are read at the end."""

    def close(self, now: Instant) -> None:  # noqa: ARG002
        """The link is over."""
        self.end_speech()

    def end_speech(self) -> None:
        """Count what has been heard so far as the whole."""
        if self._listener is not None and (told := self._listener.end()) is not None:
            self._figures.voice = told

    def _run(self, now: Instant) -> None:
        if self._began_s is None:
            self._began_s = now.mono_s
            if self._plan.voice_s:
                until_s = now.mono_s + self._plan.starts_s + self._plan.voice_s + SILENCE_S
                self._listener = VoiceReceiver(self._utc_at_zero_s, until_s)
        self._run_tcp(now.mono_s)
        since_s = now.mono_s - self._began_s - self._plan.starts_s
        if since_s < 0:
            return
        if self._plan.ping_every_s and since_s >= self._figures.pings_sent * self._plan.ping_every_s:
            self._ping(now.mono_s)
        if self._plan.voice_s:
            self._speak(now)

    def _run_tcp(self, now_s: float) -> None:
        if self.sender is not None:
            self.sender.handle_timer(now_s)
            for segment in self.sender.take_segments(now_s):
                self._send_segment(segment)
        acknowledgement = self._receiver.take_acknowledgement(now_s)
        if acknowledgement is not None:
            self._send_segment(acknowledgement)

    def _take_segment(self, segment: Segment, now: Instant) -> None:
        if segment.octets:
            self._receiver.receive(segment, now.mono_s)
            since_s = now.mono_s - (self._began_s or now.mono_s)
            self._figures.taken_at.append((since_s, self._receiver.taken_octets))
        elif self.sender is not None:
            self.sender.receive(segment, now.mono_s)

    def _take_echo(self, echo: ipv6.Echo, now: Instant) -> None:
        if not echo.reply:
            reply = ipv6.Echo(reply=True, identifier=echo.identifier, sequence=echo.sequence, data=echo.data)
            self._out.append(ipv6.encode_echo(self._own, self._peer, reply))
        elif (sent_s := self._pings.pop(echo.sequence, None)) is not None:
            self._figures.round_trips_ms.append((now.mono_s - sent_s) * 1e3)

    def _ping(self, now_s: float) -> None:
        self._figures.pings_sent += 1
        self._pings[self._figures.pings_sent] = now_s
        echo = ipv6.Echo(reply=False, identifier=_PING_IDENTIFIER, sequence=self._figures.pings_sent, data=_PING_DATA)
        self._out.append(ipv6.encode_echo(self._own, self._peer, echo))

    def _speak(self, now: Instant) -> None:
        if self._speaker is None:
            self._speaker = VoiceSender(self._plan.voice_s, self._own.packed[-1], now, self._utc_at_zero_s)
        for data in self._speaker.take_datagrams(PACKETS_AT_ONCE, now):
            datagram = ipv6.Datagram(source_port=VOICE_PORT, destination_port=VOICE_PORT, data=data)
            self._out.append(ipv6.encode_datagram(self._own, self._peer, datagram, dscp=DSCP_NAMES["EF"]))

    def _send_segment(self, segment: Segment) -> None:
        body = encode_segment(_TCP_PORT, segment)
        self._out.append(ipv6.encode_packet(self._own, self._peer, _TCP, body, checksum_at=CHECKSUM_AT))
