"""Blocks coded once for all redundancy versions, and lone code blocks decoded without a buffer each."""

from __future__ import annotations

import numpy as np
import pytest

from radio.phy.fec.errors import CodingError
from radio.phy.lte.channels.coded_block import CodedBlock
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer, decode_short_blocks, encode_sl_sch, soft_bits_of

SIZES = [17, 232, 999, 6000, 14112]


@pytest.mark.parametrize("tb_bits", SIZES)
@pytest.mark.parametrize("rv", range(4))
def test_codewords_are_those_of_the_definition(tb_bits: int, rv: int) -> None:
    rng = np.random.default_rng(tb_bits)
    tb = rng.integers(0, 2, tb_bits, dtype=np.uint8)
    coded = CodedBlock(tb)
    for g in (2 * (tb_bits // 3), 8 * tb_bits):
        signs = 1 - 2 * encode_sl_sch(tb, g, 2, rv).astype(np.float32)
        np.testing.assert_array_equal(coded.signs(g, 2, rv), signs)
        llrs = (3 * signs + rng.normal(size=g)).astype(np.float32)
        plain = float(signs.astype(np.float64) @ llrs) / float(np.linalg.norm(llrs.astype(np.float64)))
        assert coded.agreement(llrs, 2, rv) == pytest.approx(plain, rel=1e-3)
        assert coded.agreement(llrs, 2, (rv + 1) % 4) != pytest.approx(plain, rel=1e-2)
        assert coded.agreement(np.zeros(g, np.float32), 2, rv) == 0


@pytest.mark.parametrize("tb_bits", SIZES[:-1])
def test_lone_blocks_decode_as_from_a_buffer(tb_bits: int) -> None:
    rng = np.random.default_rng(tb_bits)
    g, rvs = 2 * tb_bits + 48, (0, 2)
    tbs = rng.integers(0, 2, (18, tb_bits), dtype=np.uint8)
    llrs = np.array([1 - 2 * encode_sl_sch(tb, g, 2, 2).astype(np.float32) for tb in tbs])
    llrs += rng.normal(0, 0.5, llrs.shape).astype(np.float32)
    llrs[5] = rng.normal(size=g)
    soft_bits = soft_bits_of(llrs, tb_bits, rvs)
    decoded = decode_short_blocks(soft_bits[:, 1], tb_bits)
    for i, tb in enumerate(tbs):
        for v, rv in enumerate(rvs):
            buffer = SlSchSoftBuffer(tb_bits)
            buffer.combine(llrs[i], 2, rv)
            np.testing.assert_array_equal(soft_bits[i, v], buffer.soft_bits)
        bits = decoded[i]
        if i == 5:
            assert bits is None
        else:
            assert bits is not None
            np.testing.assert_array_equal(bits, tb)


def test_a_block_of_several_is_refused() -> None:
    with pytest.raises(CodingError, match="3 code blocks"):
        soft_bits_of(np.zeros((1, 100), np.float32), 14112, (0,))
    with pytest.raises(CodingError, match="3 code blocks"):
        decode_short_blocks(np.zeros((1, 100), np.float32), 14112)
