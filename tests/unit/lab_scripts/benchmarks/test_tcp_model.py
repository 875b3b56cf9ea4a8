"""The model of TCP: windows worked from RFC 9438, and transfers through a bottleneck."""

from collections import deque

import pytest
from scapy.layers.inet import TCP

from lab_scripts.benchmarks.tcp_model import (
    HEADER_OCTETS,
    Cubic,
    Segment,
    TcpReceiver,
    TcpSender,
    decode_segment,
    encode_segment,
)

MSS = 1000


def through(rate_segments_s, delay_s, seconds, *, queue=1000, lose=lambda n: False, deaf_s=(0.0, 0.0)):
    """A transfer through a queue that sends so many segments a second; (sender, receiver, octets taken)."""
    sender, receiver = TcpSender(MSS), TcpReceiver(MSS)
    waiting, there, back, n_sent, credit = deque(), deque(), deque(), 0, 0.0
    for tick in range(round(seconds * 1000)):
        now_s = tick / 1000
        sender.handle_timer(now_s)
        for segment in sender.take_segments(now_s):
            if not lose(n_sent) and not deaf_s[0] <= now_s < deaf_s[1] and len(waiting) < queue:
                waiting.append(segment)
            n_sent += 1
        credit = min(credit + rate_segments_s / 1000, 1.0) if not waiting else credit + rate_segments_s / 1000
        while waiting and credit >= 1:
            credit -= 1
            there.append((now_s + delay_s, waiting.popleft()))
        while there and there[0][0] <= now_s:
            receiver.receive(there.popleft()[1], now_s)
        while (acknowledgement := receiver.take_acknowledgement(now_s)) is not None:
            back.append((now_s + delay_s, acknowledgement))
        while back and back[0][0] <= now_s:
            sender.receive(decode_segment(encode_segment(1, back.popleft()[1])), now_s)
    return sender, receiver


def test_segments_are_those_of_tcp():
    segment = Segment(sequence=5000, acknowledged=7000, blocks=((9000, 11000), (13000, 14000)), octets=0)
    parsed = TCP(encode_segment(5201, segment))
    options = dict(option for option in parsed.options if option[0] != "NOP")
    assert (parsed.seq, parsed.ack, parsed.flags) == (5000, 7000, "A")
    assert options["SAck"] == (9000, 11000, 13000, 14000) and "Timestamp" in options
    data = encode_segment(5201, Segment(sequence=1, acknowledged=0, blocks=(), octets=MSS))
    assert len(data) == HEADER_OCTETS + MSS and len(bytes(TCP(data).payload)) == MSS
    for octets in (encode_segment(1, segment), data):
        assert encode_segment(1, decode_segment(octets)) == octets.replace(octets[:4], b"\0\1\0\1", 1)


def test_slow_start_then_the_cubic_function():
    """Window 100, a loss: 70; K = cbrt(100 * 0.3 / 0.4) = 4.217 s; after K it is at 100 again (RFC 9438 4.2)."""
    cubic = Cubic()
    cubic.on_ack(90, 0.1, 0.0)
    assert cubic.window == 100
    cubic.on_loss()
    assert cubic.window == pytest.approx(70)
    now_s = 0.0
    while now_s < 4.217 - 0.1:
        cubic.on_ack(1, 0.1, now_s)
        now_s += 0.1 / cubic.window
    assert cubic.window == pytest.approx(100, rel=0.02)


def test_a_lossless_path_is_filled():
    sender, receiver = through(100, 0.03, 10)
    assert receiver.taken_octets >= 0.97 * 10 * 100 * MSS
    assert (sender.n_again, sender.n_timeouts) == (0, 0)


def test_a_short_queue_that_overflows_costs_no_timeout_and_little_rate():
    sender, receiver = through(100, 0.03, 30, queue=8)
    assert sender.n_again > 0 and sender.n_timeouts == 0
    assert receiver.taken_octets >= 0.9 * 30 * 100 * MSS


def test_what_is_lost_twice_is_sent_a_third_time():
    lost = {40, 52, 53, 54, 55, 56}
    sender, receiver = through(100, 0.03, 5, lose=lambda n: n in lost)
    assert receiver.n_in_order * MSS == receiver.taken_octets >= 0.85 * 5 * 100 * MSS
    assert sender.n_again >= len(lost)


def test_a_silence_ends_by_the_timer():
    sender, receiver = through(100, 0.03, 6, queue=20, deaf_s=(1.0, 1.8))
    assert sender.n_timeouts >= 1
    assert receiver.n_in_order > 300
