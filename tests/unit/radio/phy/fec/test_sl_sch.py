"""Transport blocks through coding, noise, soft combining and decoding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radio.phy.fec import turbo
from radio.phy.fec.crc import CRC24A, attach_crc
from radio.phy.fec.errors import CodingError
from radio.phy.fec.rate_matching import turbo_circular_buffer, turbo_start
from radio.phy.fec.segmentation import segment
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer, decode_transport_blocks, encode_sl_sch


def through_noise(coded, es_n0_db, rng):
    variance = 0.5 * 10 ** (-es_n0_db / 10)
    received = 1.0 - 2.0 * coded + rng.normal(0.0, np.sqrt(variance), coded.size)
    return (2.0 * received / variance).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    tb_bits=st.one_of(st.integers(1, 700), st.integers(700, 31000)),
    qm=st.sampled_from([2, 4]),
    rate=st.floats(0.2, 0.6),
    first_rv=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_round_trip(tb_bits, qm, rate, first_rv, seed):
    rng = np.random.default_rng(seed)
    tb = rng.integers(0, 2, tb_bits, dtype=np.uint8)
    g = qm * int((tb_bits + 24 * segment(tb_bits).n_blocks + 24) / rate / qm)
    buffer = SlSchSoftBuffer(tb_bits)
    for rv in (first_rv, 0):
        buffer.combine(through_noise(encode_sl_sch(tb, g, qm, rv), 7.0, rng), qm, rv)
    decoded = buffer.decode()
    assert decoded.crc_ok
    assert np.array_equal(decoded.bits, tb)


@pytest.mark.parametrize("tb_bits", [1, 17, 232, 999])
@pytest.mark.parametrize("rv", range(4))
def test_kernel_is_the_definition(tb_bits, rv):
    tb = np.random.default_rng(tb_bits).integers(0, 2, tb_bits, dtype=np.uint8)
    segmentation = segment(tb_bits)
    k, n_filler = segmentation.block_sizes[0], segmentation.n_filler
    block = np.concatenate([np.zeros(n_filler, dtype=np.uint8), attach_crc(tb, CRC24A)])
    streams = turbo.encode(block).ravel()
    circular_buffer = turbo_circular_buffer(k, n_filler)
    places = (turbo_start(k, n_filler, rv) + np.arange(5000)) % circular_buffer.size
    assert np.array_equal(encode_sl_sch(tb, 5000, 2, rv), streams[circular_buffer[places]])


@pytest.mark.parametrize("tb_bits", [232, 2088, 21384])
def test_transmissions_add_up(tb_bits):
    """Each of four noisy transmissions at rate 0.9 fails; together they do not."""
    rng = np.random.default_rng(6)
    tb = rng.integers(0, 2, tb_bits, dtype=np.uint8)
    g = 4 * int(tb_bits / 0.9 / 4)
    buffer = SlSchSoftBuffer(tb_bits)
    verdicts = []
    for rv in (0, 2, 3, 1):
        buffer.combine(through_noise(encode_sl_sch(tb, g, 4, rv), -1.5, rng), 4, rv)
        verdicts.append(buffer.decode().crc_ok)
    assert not verdicts[0]
    assert verdicts[-1]
    assert np.array_equal(buffer.decode().bits, tb)


def test_short_blocks_together_are_as_alone():
    rng = np.random.default_rng(7)
    sizes = [232] * 19 + [16, 500, 6200, 232]
    tbs = [rng.integers(0, 2, n, dtype=np.uint8) for n in sizes]
    together, alone = [], []
    for tb in tbs:
        llrs = through_noise(encode_sl_sch(tb, 3 * (tb.size // 2 * 2 + 40), 2, 0), -1.0, rng)
        for buffers in (together, alone):
            buffers.append(SlSchSoftBuffer(tb.size))
            buffers[-1].combine(llrs, 2, 0)
    for one, buffer, tb in zip(decode_transport_blocks(together), alone, tbs, strict=True):
        expected = buffer.decode()
        assert one.crc_ok is expected.crc_ok is True
        assert one.iterations == expected.iterations
        assert np.array_equal(one.bits, tb)


def test_noise_is_not_a_transport_block():
    rng = np.random.default_rng(8)
    buffer = SlSchSoftBuffer(1000)
    buffer.combine(rng.normal(0.0, 3.0, 2400).astype(np.float32), 2, 0)
    decoded = buffer.decode(3)
    assert (decoded.crc_ok, decoded.iterations) == (False, 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: encode_sl_sch(np.zeros(0, dtype=np.uint8), 100, 2, 0),
        lambda: encode_sl_sch(np.zeros(10, dtype=np.uint8), 101, 2, 0),
        lambda: encode_sl_sch(np.zeros(10, dtype=np.uint8), 100, 2, 4),
        lambda: SlSchSoftBuffer(0),
        lambda: SlSchSoftBuffer(10).combine(np.zeros(101, dtype=np.float32), 2, 0),
        lambda: SlSchSoftBuffer(10).decode(0),
    ],
)
def test_bad_sizes_are_refused(call):
    with pytest.raises(CodingError):
        call()
