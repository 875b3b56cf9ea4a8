"""Addressing, bounds and gaps of the buffer of received samples."""

from __future__ import annotations

import numpy as np

from radio.phy.dsp.sample_buffer import SampleBuffer


def test_what_is_held_can_be_seen() -> None:
    rng = np.random.default_rng(1)
    stream = np.arange(10_000).astype(np.complex64)
    buffer, place = SampleBuffer(300), 0
    while place < stream.size:
        n = int(rng.integers(1, 300))
        assert buffer.append(stream[place : place + n], place)
        place = min(place + n, stream.size)
        assert buffer.end_sample == place
        first = max(place - 300, 0)
        assert buffer.first_sample == first
        seen = buffer.view(first, place - first)
        assert seen is not None
        np.testing.assert_array_equal(seen, stream[first:place])
        assert buffer.view(first - 1, 2) is None
        assert buffer.view(place - 1, 2) is None


def test_a_gap_starts_anew() -> None:
    buffer = SampleBuffer(100)
    assert buffer.append(np.ones(50, np.complex64), 0)
    assert not buffer.append(np.ones(50, np.complex64), 70)
    assert (buffer.first_sample, buffer.end_sample) == (70, 120)
    buffer.drop_before(100)
    assert buffer.first_sample == 100
