"""A voice-like stream: a datagram of 160 octets with an RTP header every 20 ms, and its statistics at the receiver.

Sans-IO: datagrams in and out, time passed in. Latency is the time from the end of a datagram's frame at the coder to
its arrival. It is right as far as both ends' clocks agree: exactly on the emulator, as well as GNSS does on radios.
"""

from __future__ import annotations

import math
import struct
from array import array

from prose_link.instant import Instant
from prose_link.userplane.events import VoiceReceived, VoiceSent

VOICE_PORT = 5004
"""UDP port of RTP (RFC 3551 8)."""
FRAME_S = 0.020
"""Default packetisation interval (RFC 3551 4.2)."""
PAYLOAD_OCTETS = 160
"""20 ms of 8 kHz PCMU, one octet a sample (RFC 3551 4.5.14)."""
MAX_VOICE_S = 3600.0
SILENCE_S = 2.0
"""A stream is over after this time without a datagram."""
_RTP = struct.Struct("!BBHII")
"""Version and flags, marker and payload type, sequence number, timestamp, SSRC (RFC 3550 5.1)."""
_RTP_VERSION_2 = 0x80
_PCMU = 0
"""Payload type of PCMU (RFC 3551 Table 4)."""
_STAMP = struct.Struct("!QI")
"""Lab's own, at the head of the payload: UTC of the frame in ns, datagrams of the whole stream."""
_PCMU_SILENCE = b"\xff"
_JITTER_GAIN = 1 / 16
"""Gain of the jitter estimate (RFC 3550 6.4.1)."""
_NS = 1_000_000_000
_MAX_FRAMES = math.ceil(MAX_VOICE_S / FRAME_S)
MAX_LATENCIES = 16_384
"""Latencies that are kept: of every datagram in streams up to 5 min, then of every second, fourth, ... one."""


class VoiceSender:
    """Sends a stream of `seconds`; `utc_at_zero_s` is UTC at the moment from which `Instant.mono_s` counts."""

    def __init__(self, seconds: float, ssrc: int, now: Instant, utc_at_zero_s: float) -> None:
        self.event: VoiceSent | None = None
        self._total = min(round(seconds / FRAME_S), _MAX_FRAMES)
        self._ssrc = ssrc
        self._started_s = now.mono_s
        self._utc_at_zero_ns = round(utc_at_zero_s * 1e6) * 1000
        self._next = 0

    def next_timer(self) -> float:
        """When the next frame is over."""
        return self._started_s + (self._next + 1) * FRAME_S

    def take_datagrams(self, room: int, now: Instant) -> list[bytes]:
        """Hand out up to `room` datagrams whose frames are over by now."""
        due = min(self._total, int((now.mono_s - self._started_s) / FRAME_S + 1e-9))
        frames = range(self._next, max(self._next, min(due, self._next + room)))
        self._next = frames.stop
        if self._next == self._total:
            self.event = VoiceSent(datagrams=self._total)
        return [self._datagram(frame) for frame in frames]

    def _datagram(self, frame: int) -> bytes:
        header = _RTP.pack(_RTP_VERSION_2, _PCMU, frame & 0xFFFF, frame * PAYLOAD_OCTETS, self._ssrc)
        made_s = self._started_s + (frame + 1) * FRAME_S
        stamp = _STAMP.pack(self._utc_at_zero_ns + round(made_s * _NS), self._total)
        return header + stamp.ljust(PAYLOAD_OCTETS, _PCMU_SILENCE)


class _Latencies:
    """Latencies in ms of a stream's frames, bounded: if there are too many, every second one kept so far is dropped.

    The kept ones are spread evenly over the stream, so that their percentiles are those of the whole; the greatest is
    kept separately.
    """

    def __init__(self) -> None:
        self._frames = array("I")
        self._ms = array("d")
        self._every = 1
        self.greatest_ms: float | None = None

    def __len__(self) -> int:
        return len(self._ms)

    def note(self, frame: int, ms: float) -> None:
        """Take the latency of a frame."""
        self.greatest_ms = ms if self.greatest_ms is None else max(self.greatest_ms, ms)
        if frame % self._every:
            return
        self._frames.append(frame)
        self._ms.append(ms)
        while len(self._ms) > MAX_LATENCIES:
            self._thin_out()

    def ascending(self) -> list[float]:
        """Those that are kept, in ms."""
        return sorted(self._ms)

    def _thin_out(self) -> None:
        self._every *= 2
        kept = [i for i, frame in enumerate(self._frames) if frame % self._every == 0]
        self._frames = array("I", [self._frames[i] for i in kept])
        self._ms = array("d", [self._ms[i] for i in kept])


class VoiceReceiver:
    """Listens to one stream, in memory that is bounded: a bit a frame, and `MAX_LATENCIES` latencies.

    Args:
        utc_at_zero_s: UTC at the moment `Instant.mono_s` counts from.
        silent_until_s: how long the first datagram may take to come.
    """

    def __init__(self, utc_at_zero_s: float, silent_until_s: float) -> None:
        self._utc_at_zero_ns = round(utc_at_zero_s * 1e6) * 1000
        self._over_at_s = silent_until_s
        self._total = 0
        self._heard = bytearray()
        self._received = 0
        self._latencies = _Latencies()
        self._duplicates = 0
        self._jitter_ms = 0.0
        self._last_transit_ms: float | None = None
        self._ended = False

    def receive(self, datagram: bytes, now: Instant) -> None:
        """Take a datagram of the stream; anything else is ignored."""
        if self._ended or len(datagram) != _RTP.size + PAYLOAD_OCTETS or datagram[0] != _RTP_VERSION_2:
            return
        frame = _RTP.unpack_from(datagram)[3] // PAYLOAD_OCTETS
        made_ns, total = _STAMP.unpack_from(datagram, _RTP.size)
        if not frame < total <= _MAX_FRAMES or self._total not in (0, total):
            return
        if not self._heard:
            self._heard = bytearray(math.ceil(total / 8))
        self._total = total
        self._over_at_s = now.mono_s + SILENCE_S
        if self._is_heard(frame):
            self._duplicates += 1
            return
        self._heard[frame // 8] |= 1 << frame % 8
        self._received += 1
        transit_ms = (self._utc_at_zero_ns + round(now.mono_s * _NS) - made_ns) / 1e6
        self._latencies.note(frame, transit_ms)
        self._note_jitter(transit_ms)

    def next_timer(self) -> float | None:
        """When the stream counts as over, if nothing more comes; None once that was told."""
        if self._ended:
            return None
        return self._over_at_s - SILENCE_S if self._complete else self._over_at_s

    @property
    def _complete(self) -> bool:
        """Whether the last datagram is here."""
        return self._total > 0 and self._is_heard(self._total - 1)

    def _is_heard(self, frame: int) -> bool:
        return bool(self._heard[frame // 8] >> frame % 8 & 1)

    def take_report(self, now: Instant) -> VoiceReceived | None:
        """The result of the stream, returned once, when its last datagram is here or it has fallen silent."""
        if self._ended or not (self._complete or now.mono_s >= self._over_at_s):
            return None
        return self.end()

    def end(self) -> VoiceReceived | None:
        """The result of the stream so far; None if it was returned before."""
        if self._ended:
            return None
        self._ended = True
        latencies = self._latencies.ascending()
        greatest_ms, lost = self._latencies.greatest_ms, self._total - self._received
        return VoiceReceived(
            sent=self._total,
            received=self._received,
            lost=lost,
            duplicates=self._duplicates,
            loss_percent=round(100 * lost / self._total, 3) if self._total else 0.0,
            latency_p50_ms=percentile(latencies, 50),
            latency_p95_ms=percentile(latencies, 95),
            latency_p99_ms=percentile(latencies, 99),
            latency_max_ms=None if greatest_ms is None else round(greatest_ms, 3),
            jitter_ms=round(self._jitter_ms, 3),
        )

    def _note_jitter(self, transit_ms: float) -> None:
        if self._last_transit_ms is not None:
            self._jitter_ms += (abs(transit_ms - self._last_transit_ms) - self._jitter_ms) * _JITTER_GAIN
        self._last_transit_ms = transit_ms


def percentile(ascending: list[float], percent: float) -> float | None:
    """Nearest-rank percentile of sorted values, rounded to 1 us; None of nothing."""
    if not ascending:
        return None
    rank = max(1, math.ceil(percent / 100 * len(ascending)))
    return round(ascending[rank - 1], 3)
