"""A model of TCP for virtual time: one sender that always has data, one receiver that always reads.

It is there to load a link as a stock program's transfer does, where the kernel's own TCP can't go: in virtual time.
What it has, as a Linux sender of today: CUBIC (RFC 9438) with its Reno-friendly region and fast convergence, slow start
from ten segments (RFC 6928), loss recovery by selective acknowledgements (RFC 2018, RFC 6675), losses of what was sent
again found by time (RACK, RFC 8985), a retransmission timer (RFC 6298, but at least 200 ms above the round trip, as
Linux has it), timestamps in each segment (RFC 7323, for their 12 octets), delayed acknowledgements: one for two
segments or after 40 ms.

What it has not: set-up and release, pacing, HyStart, PRR, tail loss probes, ECN, limits of a sender on what it puts
into the queue of its interface (TCP small queues). All of these make a real TCP easier on queues and quicker in
recovery, so that the model is the harder load.

Segments are whole TCP segments, headers and options included, so that sizes and flows are true. Sans-IO: segments in
and out, time passed in. Sequence numbers count from 0; no transfer here lasts until they wrap.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_HEADER: Final = struct.Struct("!HHIIBBHHH")
_TIMESTAMPS: Final = bytes((1, 1, 8, 10)) + bytes(8)
"""Two no-operations and the option of RFC 7323 3.2; its values are not needed here."""
_SACK_KIND: Final = 5
_BLOCK: Final = struct.Struct("!II")
_ACK, _PSH_ACK = 0x10, 0x18
_WINDOW: Final = 0xFFFF
CHECKSUM_AT: Final = 16
"""Place of the checksum in the header (RFC 9293 3.1)."""
_MAX_BLOCKS: Final = 3
"""SACK blocks beside timestamps (RFC 2018 3)."""
HEADER_OCTETS: Final = _HEADER.size + len(_TIMESTAMPS)

_INITIAL_SEGMENTS: Final = 10
_DUPLICATE_THRESHOLD: Final = 3
_LEAST_SPARE_S, _FIRST_RTO_S, _LONGEST_RTO_S = 0.2, 1.0, 60.0
_DELAYED_ACK_S: Final = 0.04
_CUBIC_C, _CUBIC_BETA = 0.4, 0.7
"""RFC 9438 5.1, 4.6."""
MOST_IN_FLIGHT_OCTETS: Final = 512 * 1024
"""The receiver's window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What is read of a TCP segment."""

    sequence: int
    acknowledged: int
    blocks: tuple[tuple[int, int], ...]
    octets: int


def encode_segment(port: int, segment: Segment) -> bytes:
    """The octets of a segment from and to `port`, with zeros for its checksum and for what it carries."""
    options = _TIMESTAMPS
    if segment.blocks:
        listed = b"".join(_BLOCK.pack(*block) for block in segment.blocks)
        options += bytes((1, 1, _SACK_KIND, 2 + len(listed))) + listed
    offset = (_HEADER.size + len(options)) // 4 << 4
    flags = _PSH_ACK if segment.octets else _ACK
    header = _HEADER.pack(port, port, segment.sequence, segment.acknowledged, offset, flags, _WINDOW, 0, 0)
    return header + options + bytes(segment.octets)


def decode_segment(octets: bytes) -> Segment:
    """The other way round, for what `encode_segment` makes."""
    _, _, sequence, acknowledged, offset, _, _, _, _ = _HEADER.unpack_from(octets)
    length = (offset >> 4) * 4
    blocks = octets[HEADER_OCTETS + 4 : length]
    return Segment(
        sequence=sequence,
        acknowledged=acknowledged,
        blocks=tuple(_BLOCK.iter_unpack(blocks)),
        octets=len(octets) - length,
    )


class Cubic:
    """The congestion window in segments (RFC 9438 4)."""

    def __init__(self) -> None:
        self.window = float(_INITIAL_SEGMENTS)
        self._threshold = math.inf
        self._most = self._reno = 0.0
        self._epoch_s: float | None = None

    def on_ack(self, n_segments: int, rtt_s: float, now_s: float) -> None:
        """So many segments were acknowledged outside of recovery."""
        if self.window < self._threshold:
            self.window += n_segments
            return
        if self._epoch_s is None:
            self._epoch_s, self._reno = now_s, self.window
            self._most = max(self._most, self.window)
            self._k_s = ((self._most - self.window) / _CUBIC_C) ** (1 / 3)
        after_s = now_s - self._epoch_s + rtt_s
        target = min(max(_CUBIC_C * (after_s - self._k_s) ** 3 + self._most, self.window), 1.5 * self.window)
        self._reno += 3 * (1 - _CUBIC_BETA) / (1 + _CUBIC_BETA) * n_segments / self.window
        self.window = max(self.window + (target - self.window) / self.window * n_segments, self._reno)

    def on_loss(self) -> None:
        """A window with a loss."""
        fast_convergence = (1 + _CUBIC_BETA) / 2 if self.window < self._most else 1.0
        self._most = self.window * fast_convergence
        self.window = self._threshold = max(2.0, self.window * _CUBIC_BETA)
        self._epoch_s = None

    def on_timeout(self) -> None:
        """The retransmission timer ran out: everything begins anew (RFC 9438 4.8)."""
        self.on_loss()
        self.window = 1.0


@dataclass(slots=True)
class _Sent:
    sent_s: float
    sacked: bool = False
    lost: bool = False
    again: bool = False


class TcpSender:
    """Sends without end; numbers here are segments of `mss_octets`."""

    def __init__(self, mss_octets: int) -> None:
        self.mss_octets = mss_octets
        self.n_again = self.n_timeouts = 0
        self._cubic = Cubic()
        self._sent: dict[int, _Sent] = {}
        self._first = self._next = 0
        self._recover = 0
        self._after_timeout = False
        self._delivered_sent_s = -math.inf
        """When the segment was sent that was sent last of all that are known to have arrived."""
        self._rtt_s: float | None = None
        self._deviation_s = 0.0
        self._rto_s = _FIRST_RTO_S
        self._expires_s: float | None = None

    @property
    def acknowledged_octets(self) -> int:
        """What the receiver has taken in order."""
        return self._first * self.mss_octets

    def take_segments(self, now_s: float) -> Iterator[Segment]:
        """Segments that may go out now: those that are lost, then new ones."""
        in_flight = sum(not (one.sacked or (one.lost and not one.again)) for one in self._sent.values())
        most = min(int(self._cubic.window), MOST_IN_FLIGHT_OCTETS // self.mss_octets)
        while in_flight < most:
            number = next((n for n, one in self._sent.items() if one.lost and not one.again), self._next)
            if number == self._next:
                if self._next - self._first >= MOST_IN_FLIGHT_OCTETS // self.mss_octets:
                    return
                self._next += 1
                self._sent[number] = _Sent(now_s)
            else:
                self._sent[number].again = True
                self._sent[number].sent_s = now_s
                self.n_again += 1
            in_flight += 1
            if self._expires_s is None:
                self._expires_s = now_s + self._rto_s
            yield Segment(sequence=number * self.mss_octets, acknowledged=0, blocks=(), octets=self.mss_octets)

    def receive(self, segment: Segment, now_s: float) -> None:
        """Take an acknowledgement."""
        first = segment.acknowledged // self.mss_octets
        n_new = self._take_sacks(segment)
        if first > self._first:
            self._acknowledge(first, now_s)
        n_lost = self._mark_lost() if n_new or first else 0
        self._mark_lost_again()
        if n_lost and self._first >= self._recover:
            self._recover = self._next
            self._cubic.on_loss()

    def handle_timer(self, now_s: float) -> None:
        """Send anew what is not acknowledged, where the timer has run out (RFC 6298 5)."""
        if self._expires_s is None or now_s < self._expires_s:
            return
        self.n_timeouts += 1
        for one in self._sent.values():
            one.lost, one.again = not one.sacked, False
        self._cubic.on_timeout()
        self._recover, self._after_timeout = self._next, True
        self._rto_s = min(2 * self._rto_s, _LONGEST_RTO_S)
        self._expires_s = now_s + self._rto_s

    def _take_sacks(self, segment: Segment) -> int:
        n_new = 0
        for start, end in segment.blocks:
            for number in range(start // self.mss_octets, end // self.mss_octets):
                one = self._sent.get(number)
                if one is not None and not one.sacked:
                    one.sacked = True
                    n_new += 1
                    self._delivered_sent_s = max(self._delivered_sent_s, one.sent_s)
        return n_new

    def _acknowledge(self, first: int, now_s: float) -> None:
        taken = [self._sent.pop(number) for number in range(self._first, first)]
        self._delivered_sent_s = max(self._delivered_sent_s, *(one.sent_s for one in taken))
        if not any(one.again for one in taken):
            self._measure(now_s - taken[-1].sent_s)
        if self._first >= self._recover or self._after_timeout:
            self._cubic.on_ack(len(taken), self._rtt_s or _FIRST_RTO_S, now_s)
        self._first = first
        self._after_timeout = self._after_timeout and first < self._recover
        self._expires_s = now_s + self._rto_s if self._sent else None

    def _measure(self, rtt_s: float) -> None:
        """RFC 6298 2."""
        if self._rtt_s is None:
            self._rtt_s, self._deviation_s = rtt_s, rtt_s / 2
        else:
            self._deviation_s += (abs(self._rtt_s - rtt_s) - self._deviation_s) / 4
            self._rtt_s += (rtt_s - self._rtt_s) / 8
        self._rto_s = self._rtt_s + max(_LEAST_SPARE_S, 4 * self._deviation_s)

    def _mark_lost(self) -> int:
        """Segments below which so many were taken that they are lost (RFC 6675 4, IsLost)."""
        above = sorted((n for n, one in self._sent.items() if one.sacked), reverse=True)
        if len(above) < _DUPLICATE_THRESHOLD:
            return 0
        limit = above[_DUPLICATE_THRESHOLD - 1]
        lost = [one for n, one in self._sent.items() if n < limit and not (one.sacked or one.lost)]
        for one in lost:
            one.lost = True
        return len(lost)

    def _mark_lost_again(self) -> None:
        """What was sent again is lost again once something has arrived that was sent clearly later (RFC 8985 6.2)."""
        reordering_s = (self._rtt_s or _FIRST_RTO_S) / 4
        for one in self._sent.values():
            if one.again and not one.sacked and one.sent_s + reordering_s < self._delivered_sent_s:
                one.again = False


class TcpReceiver:
    """Takes segments, and acknowledges them."""

    def __init__(self, mss_octets: int) -> None:
        self._mss_octets = mss_octets
        self.n_in_order = 0
        self._held: set[int] = set()
        self._latest: int | None = None
        self._unacknowledged = 0
        self._due_s: float | None = None

    @property
    def taken_octets(self) -> int:
        """Of data, in order or not, each counted once."""
        return (self.n_in_order + len(self._held)) * self._mss_octets

    def receive(self, segment: Segment, now_s: float) -> None:
        """Take a segment with data; its answer is due at once, or a little later (RFC 5681 4.2)."""
        number = segment.sequence // self._mss_octets
        in_order = number == self.n_in_order and not self._held
        if number >= self.n_in_order:
            self._held.add(number)
            self._latest = number
        while self.n_in_order in self._held:
            self._held.discard(self.n_in_order)
            self.n_in_order += 1
        self._unacknowledged += 1
        at_once = not in_order or self._unacknowledged >= 2
        self._due_s = now_s if at_once else now_s + _DELAYED_ACK_S

    def take_acknowledgement(self, now_s: float) -> Segment | None:
        """The acknowledgement that is due, None where none is."""
        if self._due_s is None or now_s < self._due_s:
            return None
        self._due_s, self._unacknowledged = None, 0
        return Segment(
            sequence=0, acknowledged=self.n_in_order * self._mss_octets, blocks=tuple(self._blocks()), octets=0
        )

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """What is held out of order: the block with the latest segment first, then the highest ones."""
        runs: list[tuple[int, int]] = []
        for number in sorted(self._held):
            if runs and runs[-1][1] == number:
                runs[-1] = (runs[-1][0], number + 1)
            else:
                runs.append((number, number + 1))
        runs.sort(key=lambda run: (self._latest is None or not run[0] <= self._latest < run[1], -run[1]))
        for start, end in runs[:_MAX_BLOCKS]:
            yield start * self._mss_octets, end * self._mss_octets
