"""The lane Viterbi decoder against the best path of all 64 start states."""

import numpy as np
import pytest

from radio.phy.fec import viterbi_reference
from radio.phy.fec.errors import CodingError
from radio.phy.fec.rate_matching import convolutional_circular_buffer
from radio.phy.lte.channels.control_block import decode_control_blocks, encode_control_block


def noisy(n_bits, e, batch, es_n0_db, seed):
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (batch, n_bits), dtype=np.uint8)
    coded = np.array([encode_control_block(row, e) for row in bits])
    variance = 0.5 * 10 ** (-es_n0_db / 10)
    received = 1.0 - 2.0 * coded + rng.normal(0.0, np.sqrt(variance), coded.shape)
    return bits, (2.0 * received / variance).astype(np.float32)


@pytest.mark.parametrize("n_bits", [1, 16, 32, 37, 39, 40, 41, 43, 44, 45, 48, 100])
@pytest.mark.parametrize("e", [240, 288, 480, 1152])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_round_trip(n_bits, e, scale):
    bits, llrs = noisy(n_bits, e, 20, 5.0 if e < 3 * (n_bits + 16) else 3.0, n_bits)
    decoded, crc_ok, _ = decode_control_blocks(llrs * np.float32(scale), n_bits)
    assert crc_ok.all()
    assert np.array_equal(decoded, bits)


def test_errors_are_about_those_of_the_best_path():
    n_bits, n_block = 43, 59
    bits, llrs = noisy(n_bits, 3 * n_block, 150, -4.5, 1)
    decoded, crc_ok, _ = decode_control_blocks(llrs, n_bits)
    streams = np.empty_like(llrs)
    streams[:, convolutional_circular_buffer(n_block)] = llrs
    best = np.array([viterbi_reference.decode(row.reshape(3, n_block))[:n_bits] for row in streams])
    errors, reference_errors = (int((b != bits).any(axis=1).sum()) for b in (decoded, best))
    assert errors <= 1.2 * reference_errors + 5
    assert not (crc_ok & (decoded != bits).any(axis=1)).any()


def test_noise_seldom_passes():
    llrs = np.random.default_rng(2).normal(0.0, 2.0, (2000, 288)).astype(np.float32)
    assert decode_control_blocks(llrs, 43)[1].sum() <= 2


def test_empty_batch():
    bits, crc_ok, received = decode_control_blocks(np.empty((0, 288), dtype=np.float32), 43)
    assert (bits.shape, crc_ok.shape, received.shape) == ((0, 43), (0,), (0,))


def test_wrong_shape_is_refused():
    with pytest.raises(CodingError):
        decode_control_blocks(np.zeros(288, dtype=np.float32), 43)
