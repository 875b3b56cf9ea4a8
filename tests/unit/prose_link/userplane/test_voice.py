"""The voice-like stream: what is sent when, and what the receiver makes of loss, delay and duplicates."""

import struct

import pytest

from prose_link.instant import Instant
from prose_link.userplane.events import VoiceReceived
from prose_link.userplane.voice import (
    FRAME_S,
    SILENCE_S,
    VoiceReceiver,
    VoiceSender,
    percentile,
)

UTC_S = 1_773_144_000.0


def at(mono_s: float) -> Instant:
    """A moment of virtual time."""
    return Instant(mono_s, 1e9 + mono_s)


def speak(seconds: float, *, step_s: float = 0.001, start_s: float = 1.0) -> list[tuple[float, bytes]]:
    """All datagrams of a stream with the moments they were sent."""
    sender = VoiceSender(seconds, 0x1B, at(start_s), UTC_S)
    sent: list[tuple[float, bytes]] = []
    now_s = start_s
    while sender.event is None:
        sent += [(now_s, datagram) for datagram in sender.take_datagrams(4, at(now_s))]
        now_s = round(now_s + step_s, 6)
    assert sender.event.datagrams == len(sent)
    return sent


def listen(arrivals: list[tuple[float, bytes]], *, until_s: float) -> VoiceReceived | None:
    receiver = VoiceReceiver(UTC_S, until_s)
    for at_s, datagram in arrivals:
        receiver.receive(datagram, at(at_s))
    return receiver.take_report(at(until_s))


def test_a_datagram_every_20_ms_of_12_and_160_octets() -> None:
    sent = speak(0.2)
    assert [round(at_s, 3) for at_s, _ in sent] == [round(1.0 + 0.02 * n, 3) for n in range(1, 11)]
    assert {len(datagram) for _, datagram in sent} == {172}
    assert [struct.unpack_from("!BBHII", datagram) for _, datagram in sent] == [
        (0x80, 0, n, 160 * n, 0x1B) for n in range(10)
    ]


def test_a_sender_held_up_sends_what_is_due_and_says_when_it_was_made() -> None:
    sender = VoiceSender(1.0, 1, at(0.0), UTC_S)
    late = sender.take_datagrams(100, at(0.5))
    assert len(late) == 25 and sender.take_datagrams(100, at(0.5)) == []
    told = listen([(0.5, datagram) for datagram in late], until_s=10.0)
    assert told is not None and told.latency_max_ms == pytest.approx(480.0) and told.latency_p50_ms == 240.0


def test_loss_latency_and_duplicates_are_told() -> None:
    sent = speak(1.0)
    arrivals = [(at_s + 0.030, datagram) for n, (at_s, datagram) in enumerate(sent) if n % 10]
    told = listen([*arrivals, arrivals[3]], until_s=2.1)
    assert told is not None
    assert (told.sent, told.received, told.lost, told.duplicates, told.loss_percent) == (50, 45, 5, 1, 10.0)
    assert told.latency_p50_ms == told.latency_p99_ms == 30.0 and told.jitter_ms == 0.0


def test_a_lost_end_is_counted_once_the_stream_is_silent() -> None:
    sent = speak(1.0)
    receiver = VoiceReceiver(UTC_S, 10.0)
    for at_s, datagram in sent[:40]:
        receiver.receive(datagram, at(at_s))
    last_s = sent[39][0]
    assert receiver.take_report(at(last_s + SILENCE_S - 0.01)) is None
    told = receiver.take_report(at(last_s + SILENCE_S))
    assert told is not None and (told.sent, told.lost) == (50, 10)
    assert receiver.take_report(at(last_s + 2 * SILENCE_S)) is None and receiver.end() is None


def test_a_stream_never_heard_is_told_too() -> None:
    told = listen([], until_s=5.0)
    assert told is not None and (told.sent, told.received, told.latency_p50_ms) == (0, 0, None)


@pytest.mark.parametrize("octets", [b"", b"\x80", bytes(172), b"\x80" + bytes(171), b"\x80" + b"\xff" * 171])
def test_other_octets_are_ignored(octets: bytes) -> None:
    told = listen([(1.0, octets)], until_s=5.0)
    assert told is not None and told.sent == 0


def test_percentiles_by_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, p) for p in (50, 95, 99, 100)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([], 50) is None and percentile([7.0], 1) == 7.0
    assert FRAME_S == 0.02
