"""The lane decoder against the floating-point definition, and its soft bits against what channels do to them."""

import numpy as np
import pytest

from radio.phy.fec import turbo, turbo_reference
from radio.phy.fec.crc import CRC16, CRC24A, CRC24B, attach_crc, crc, octet_tables, remainder_of_octets
from radio.phy.fec.qpp import BLOCK_SIZES, permutation
from radio.phy.fec.rate_matching import turbo_circular_buffer
from radio.phy.fec.turbo_decoder import _octets_of_lanes, decode_blocks_kernel
from radio.phy.fec.turbo_layout import N_LANES, turbo_layout


def noisy_blocks(k, n_blocks, es_n0_db, seed):
    rng = np.random.default_rng(seed)
    variance = 0.5 * 10 ** (-es_n0_db / 10)
    blocks = [attach_crc(rng.integers(0, 2, k - 24, dtype=np.uint8), CRC24A) for _ in range(n_blocks)]
    streams = np.array([turbo.encode(block).ravel() for block in blocks])
    received = 1.0 - 2.0 * streams + rng.normal(0.0, np.sqrt(variance), streams.shape)
    return np.array(blocks), (2.0 * received / variance).astype(np.float32)


def decode(llrs, k, max_iterations=8):
    layout = turbo_layout(k)
    octets = np.empty((len(llrs), k // 8), dtype=np.uint8)
    iterations = np.empty(len(llrs), dtype=np.int32)
    coded = np.ascontiguousarray(llrs[:, turbo_circular_buffer(k)])
    step = 1 if layout.windowed else N_LANES
    for i in range(0, len(llrs), step):
        decode_blocks_kernel(
            coded[i : i + step],
            layout.windowed,
            layout.places,
            layout.rows,
            layout.gather,
            layout.scatter,
            layout.filler,
            octet_tables(CRC24A),
            max_iterations,
            octets[i : i + step],
            iterations[i : i + step],
        )
    return np.unpackbits(octets, axis=1), iterations


@pytest.mark.parametrize("k", BLOCK_SIZES)
def test_every_block_size_decodes(k):
    blocks, llrs = noisy_blocks(k, 1, 0.0, k)
    bits, iterations = decode(llrs, k)
    assert np.array_equal(bits, blocks)
    assert iterations[0] > 0


@pytest.mark.parametrize(("k", "es_n0_db"), [(40, -3.5), (256, -3.7), (512, -4.0), (528, -4.0), (1024, -4.1)])
def test_errors_are_about_those_of_the_definition(k, es_n0_db):
    blocks, llrs = noisy_blocks(k, 120, es_n0_db, 1)
    bits, iterations = decode(llrs, k)
    reference = turbo_reference.decode(llrs.reshape(-1, 3, k + 4), 8)
    errors = int((bits != blocks).any(axis=1).sum())
    reference_errors = int((reference != blocks).any(axis=1).sum())
    assert errors <= 1.6 * reference_errors + 6
    assert np.array_equal(iterations > 0, ~(bits != blocks).any(axis=1))


@pytest.mark.parametrize("k", [256, 1504])
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_scale_of_the_llrs_does_not_matter(k, scale):
    blocks, llrs = noisy_blocks(k, 16, -3.0, 2)
    bits, _ = decode(llrs * np.float32(scale), k)
    assert np.array_equal(bits, blocks)


@pytest.mark.parametrize("k", [256, 1504])
def test_few_certain_bits_do_not_drown_the_rest(k):
    blocks, llrs = noisy_blocks(k, 16, -2.5, 3)
    rng = np.random.default_rng(4)
    sure = rng.random(llrs.shape) < 0.1
    streams = np.array([turbo.encode(block).ravel() for block in blocks])
    llrs = np.where(sure, 2000.0 * (1.0 - 2.0 * streams), llrs).astype(np.float32)
    bits, _ = decode(llrs, k)
    assert np.array_equal(bits, blocks)


@pytest.mark.parametrize("value", [0.0, np.inf, np.nan, -np.inf])
def test_hopeless_input_fails_its_crc_or_is_the_zero_word(value):
    llrs = np.full((1, 3 * 1508), value, dtype=np.float32)
    bits, iterations = decode(llrs, 1504)
    assert iterations[0] == 0 or not bits.any()


@pytest.mark.parametrize("k", BLOCK_SIZES)
def test_interleaver_is_a_permutation_that_keeps_rows_together(k):
    pi = permutation(k)
    assert np.array_equal(np.sort(pi), np.arange(k))
    if k > 512:
        rows = (pi % (k // N_LANES)).reshape(N_LANES, -1)
        assert (rows == rows[0]).all()


def long_division(bits, poly):
    """The remainder by its definition, bit by bit (TS 36.212 5.1.1)."""
    register, top = 0, 1 << poly.n_bits
    for bit in [*bits.tolist(), *[0] * poly.n_bits]:
        register = register << 1 | bit
        if register & top:
            register ^= top | poly.coefficients
    return register


@pytest.mark.parametrize("poly", [CRC24A, CRC24B, CRC16], ids=["24A", "24B", "16"])
@pytest.mark.parametrize("n_octets", [1, 5, 7, 8, 9, 16, 127, 128, 131, 700])
def test_eight_octets_at_a_time_leave_the_remainder_of_the_definition(n_octets, poly):
    rng = np.random.default_rng(n_octets)
    octets = rng.integers(0, 256, n_octets + 4, dtype=np.uint8)
    bits = np.unpackbits(octets[2 : 2 + n_octets])
    expected = long_division(bits, poly)
    found = remainder_of_octets(octets, 2, n_octets, octet_tables(poly))
    assert int(found) >> (32 - poly.n_bits) == expected
    assert crc(bits, poly) == expected


@pytest.mark.parametrize("n_rows", [33, 36, 40, 65, 336])
@pytest.mark.parametrize("n_lanes", [1, 7, 16])
def test_octets_of_lanes_are_the_signs_lane_after_lane(n_rows, n_lanes):
    rng = np.random.default_rng(n_rows)
    rows = rng.integers(-3, 4, (n_rows, N_LANES)).astype(np.int16)
    rows[0, :4] = (32767, -32768, 0, 1)
    padded = np.concatenate([rows, np.zeros((7, N_LANES), np.int16)]).ravel()
    octets = np.full(-(-n_rows * N_LANES // 8) + 2, 0xFF, dtype=np.uint8)
    _octets_of_lanes(padded, n_rows, n_lanes, np.empty(N_LANES, np.int16), octets)
    plain = (rows[:, :n_lanes] > 0).T.ravel().astype(np.uint8)
    assert np.array_equal(np.unpackbits(octets)[: plain.size], plain)
