"""The in-process IP endpoint of a UE: answers pings, sends its own, pushes and takes transfers, speaks and listens.

It stands in for a TUN interface where there is no permission for one, and gives demos and tests traffic whose result
can be checked. Sans-IO: IPv6 packets in and out, time passed in. One endpoint belongs to one link.

It does three things, and drops the rest:

* Echo (RFC 4443 4): a request is answered at once. Own requests are sent one at a time, the next when the one before is
  answered or has waited 2 s. So a slow link is not filled with pings, and each reply belongs to the open request.
* Transfers (`transfer`) in both directions; a peer can have a bounded number open here.
* Voice (`voice`): one stream in each direction; frames leave by the clock, marked EF (RFC 3246).
* All else is dropped with an event that says why: a packet to another address, an extension header, a checksum that
  does not hold, a port on which there is no program.

What leaves first: answers and pings, then voice that is due, then transfers, at most 64 packets in a call. Transfers
are made only as `room` allows, since they could fill any queue: what is not made yet can't delay a packet of voice.
Their octets that wait are told in `held_back_octets`.

The endpoint reports by events what was answered, sent and received; a `TrafficScript` reads them and starts the next
kind. When the link is over, `close` reports what was received of a stream until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from ipaddress import IPv6Address

from prose_link.instant import Instant
from prose_link.userplane import ipv6
from prose_link.userplane.events import EndpointEvent, PacketDropped, PingLost, PingReply
from prose_link.userplane.packet_end import PACKETS_AT_ONCE
from prose_link.userplane.queueing.priorities import DSCP_NAMES
from prose_link.userplane.transfer import (
    TRANSFER_PORT,
    TransferReceiver,
    TransferSender,
    is_from_sender,
    transfer_id_of,
)
from prose_link.userplane.voice import SILENCE_S, VOICE_PORT, VoiceReceiver, VoiceSender

PING_TIMEOUT_S = 2.0
PING_DATA_OCTETS = 56
"""Data octets in an echo request, as ping(8) sends by default."""
PING_IDENTIFIER = 0x5C05
MAX_QUEUED_PACKETS = 256
MAX_TRANSFERS = 8


class IpEndpoint:
    """One UE's end of the IP link to one peer; a `PacketEnd`. `utc_at_zero_s`: UTC where `Instant.mono_s` is 0."""

    def __init__(self, own: IPv6Address, peer: IPv6Address, utc_at_zero_s: float = 0.0) -> None:
        self.own = own
        self.peer = peer
        self._utc_at_zero_s = utc_at_zero_s
        self._out: deque[bytes] = deque(maxlen=MAX_QUEUED_PACKETS)
        self._events: deque[EndpointEvent] = deque()
        self._pings_left = 0
        self._ping_sequence = 0
        self._ping_sent_s: float | None = None
        self._senders: dict[int, TransferSender] = {}
        self._receivers: dict[int, TransferReceiver] = {}
        self._speaker: VoiceSender | None = None
        self._listener: VoiceReceiver | None = None

    def ping(self, count: int, now: Instant) -> None:
        """Send `count` echo requests, each when the one before has been answered or given up."""
        self._pings_left = count
        self._ping_next(now)

    def push(self, transfer_id: int, content: bytes, now: Instant) -> None:
        """Start a bulk transfer to the peer."""
        self._senders[transfer_id] = TransferSender(transfer_id, content, now)

    def speak(self, seconds: float, now: Instant) -> None:
        """Start a voice-like stream to the peer, and listen for the peer's."""
        self._speaker = VoiceSender(seconds, self.own.packed[-1], now, self._utc_at_zero_s)
        self._listen(now.mono_s + seconds + SILENCE_S)

    def receive(self, packet: bytes, now: Instant) -> None:
        """Take one IP packet from the link."""
        try:
            self._dispatch(ipv6.decode_packet(packet), now)
        except ipv6.PacketError as error:
            self._events.append(PacketDropped(why=str(error)))

    def pdus_to_send(self, now: Instant, /, *, room: int = PACKETS_AT_ONCE) -> list[bytes]:
        """Hand out echoes, answers and speech as they are due, and of transfers up to `room` packets."""
        out = [self._out.popleft() for _ in range(min(PACKETS_AT_ONCE, len(self._out)))]
        out += self._voice(PACKETS_AT_ONCE - len(out), now)
        for sender in self._senders.values():
            left = min(room, PACKETS_AT_ONCE - len(out))
            taken = sender.take_datagrams(left, now)
            room -= len(taken)
            out += [self._datagram(data, TRANSFER_PORT) for data in taken]
        return out

    @property
    def held_back_octets(self) -> int:
        """Octets that transfers still have to send."""
        return sum(sender.pending_octets for sender in self._senders.values())

    def next_timer(self) -> float | None:
        """When a ping, a poll or a stream is overdue, or the next voice frame can go out; None if nothing runs."""
        deadlines = [sender.next_timer() for sender in self._senders.values()]
        if self._ping_sent_s is not None:
            deadlines.append(self._ping_sent_s + PING_TIMEOUT_S)
        deadlines += [one.next_timer() for one in (self._speaker, self._listener) if one is not None]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Give up an overdue ping, poll again, and report a stream that is over."""
        if self._ping_sent_s is not None and now.mono_s - self._ping_sent_s >= PING_TIMEOUT_S:
            self._events.append(PingLost(sequence=self._ping_sequence))
            self._ping_next(now)
        for transfer_id, sender in list(self._senders.items()):
            sender.handle_timer(now)
            self._tell_if_over(transfer_id)
        if self._listener is not None and (told := self._listener.take_report(now)) is not None:
            self._events.append(told)

    def next_event(self) -> EndpointEvent | None:
        """Hand out the oldest event."""
        return self._events.popleft() if self._events else None

    def close(self, now: Instant) -> None:  # noqa: ARG002
        """The link is over: report the received part of a stream."""
        if self._listener is not None and (told := self._listener.end()) is not None:
            self._events.append(told)

    def _dispatch(self, packet: ipv6.Ipv6Packet, now: Instant) -> None:
        if packet.destination != self.own:
            raise ipv6.PacketError(f"a packet for {packet.destination}, not for {self.own}")
        handlers: dict[int, Callable[[bytes, Instant], None]] = {
            ipv6.ICMPV6: self._take_icmp,
            ipv6.UDP: self._take_udp,
        }
        handlers[packet.next_header](packet.payload, now)

    def _take_icmp(self, payload: bytes, now: Instant) -> None:
        echo = ipv6.decode_echo(payload)
        if not echo.reply:
            reply = ipv6.Echo(reply=True, identifier=echo.identifier, sequence=echo.sequence, data=echo.data)
            self._out.append(ipv6.encode_echo(self.own, self.peer, reply))
        elif self._ping_sent_s is not None and echo.sequence == self._ping_sequence:
            self._events.append(PingReply(sequence=echo.sequence, rtt_ms=(now.mono_s - self._ping_sent_s) * 1e3))
            self._ping_next(now)

    def _take_udp(self, payload: bytes, now: Instant) -> None:
        datagram = ipv6.decode_datagram(payload)
        if datagram.destination_port == TRANSFER_PORT:
            self._take_transfer(datagram.data, now)
        elif datagram.destination_port == VOICE_PORT:
            self._listen(now.mono_s + SILENCE_S).receive(datagram.data, now)
        else:
            raise ipv6.PacketError(f"no program on UDP port {datagram.destination_port}")

    def _take_transfer(self, data: bytes, now: Instant) -> None:
        transfer_id = transfer_id_of(data)
        if not is_from_sender(data):
            if transfer_id in self._senders:
                self._senders[transfer_id].receive(data, now)
                self._tell_if_over(transfer_id)
            return
        receiver = self._receiver(transfer_id)
        was_open = receiver.event is None
        self._out.extend(self._datagram(answer, TRANSFER_PORT) for answer in receiver.receive(data, now))
        if was_open and receiver.event is not None:
            self._events.append(receiver.event)

    def _tell_if_over(self, transfer_id: int) -> None:
        """Report the result of a push that is over, and drop it."""
        event = self._senders[transfer_id].event
        if event is not None:
            self._events.append(event)
            del self._senders[transfer_id]

    def _listen(self, silent_until_s: float) -> VoiceReceiver:
        if self._listener is None:
            self._listener = VoiceReceiver(self._utc_at_zero_s, silent_until_s)
        return self._listener

    def _voice(self, room: int, now: Instant) -> list[bytes]:
        if self._speaker is None:
            return []
        datagrams = self._speaker.take_datagrams(room, now)
        if self._speaker.event is not None:
            self._events.append(self._speaker.event)
            self._speaker = None
        return [self._datagram(data, VOICE_PORT, dscp=DSCP_NAMES["EF"]) for data in datagrams]

    def _receiver(self, transfer_id: int) -> TransferReceiver:
        if transfer_id not in self._receivers:
            if len(self._receivers) >= MAX_TRANSFERS:
                raise ipv6.PacketError(f"more than {MAX_TRANSFERS} transfers")
            self._receivers[transfer_id] = TransferReceiver(transfer_id)
        return self._receivers[transfer_id]

    def _ping_next(self, now: Instant) -> None:
        self._ping_sent_s = None
        if self._pings_left == 0:
            return
        self._pings_left -= 1
        self._ping_sequence += 1
        self._ping_sent_s = now.mono_s
        data = bytes(i & 0xFF for i in range(PING_DATA_OCTETS))
        request = ipv6.Echo(reply=False, identifier=PING_IDENTIFIER, sequence=self._ping_sequence, data=data)
        self._out.append(ipv6.encode_echo(self.own, self.peer, request))

    def _datagram(self, data: bytes, port: int, *, dscp: int = 0) -> bytes:
        datagram = ipv6.Datagram(source_port=port, destination_port=port, data=data)
        return ipv6.encode_datagram(self.own, self.peer, datagram, dscp=dscp)
