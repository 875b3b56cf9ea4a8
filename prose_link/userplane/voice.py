"""A voice-like stream: a datagram of 160 octets behind an RTP header every 20 ms, and what becomes of it on the way.

Sans-IO: datagrams in and out, time passed in. Latency is from the moment the coder would have made a datagram to its
arrival, and holds as far as both ends' clocks agree: exactly on the emulator, as well as GNSS does on radios.
"""

from __future__ import annotations

import math
import struct

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
"""A stream not heard for so long is over."""
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


class VoiceSender:
    """Speaks for `seconds`; `utc_at_zero_s` is UTC at the moment `Instant.mono_s` counts from."""

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


class VoiceReceiver:
    """Listens to one stream.

    Args:
        utc_at_zero_s: UTC at the moment `Instant.mono_s` counts from.
        silent_until_s: how long the first datagram may take to come.
    """

    def __init__(self, utc_at_zero_s: float, silent_until_s: float) -> None:
        self._utc_at_zero_ns = round(utc_at_zero_s * 1e6) * 1000
        self._over_at_s = silent_until_s
        self._total = 0
        self._heard: dict[int, float] = {}
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
        self._total = total
        self._over_at_s = now.mono_s + SILENCE_S
        if frame in self._heard:
            self._duplicates += 1
            return
        self._heard[frame] = (self._utc_at_zero_ns + round(now.mono_s * _NS) - made_ns) / 1e6
        self._note_jitter(self._heard[frame])

    def next_timer(self) -> float | None:
        """When the stream counts as over, if nothing more comes; None once that was told."""
        if self._ended:
            return None
        return self._over_at_s - SILENCE_S if self._complete else self._over_at_s

    @property
    def _complete(self) -> bool:
        """Whether the last datagram is here."""
        return self._total > 0 and self._total - 1 in self._heard

    def take_report(self, now: Instant) -> VoiceReceived | None:
        """Tell what came of the stream, once, as soon as its last datagram is here or it has fallen silent."""
        if self._ended or not (self._complete or now.mono_s >= self._over_at_s):
            return None
        return self.end()

    def end(self) -> VoiceReceived | None:
        """What has come of the stream so far; nothing if that was told before."""
        if self._ended:
            return None
        self._ended = True
        latencies = sorted(self._heard.values())
        lost = self._total - len(latencies)
        return VoiceReceived(
            sent=self._total,
            received=len(latencies),
            lost=lost,
            duplicates=self._duplicates,
            loss_percent=round(100 * lost / self._total, 3) if self._total else 0.0,
            latency_p50_ms=percentile(latencies, 50),
            latency_p95_ms=percentile(latencies, 95),
            latency_p99_ms=percentile(latencies, 99),
            latency_max_ms=percentile(latencies, 100),
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
