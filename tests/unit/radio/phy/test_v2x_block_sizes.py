"""Transport block sizes and modulation of SCI format 1, worked by hand from TS 36.213 14.1.1."""

from __future__ import annotations

import pytest

from radio.phy.dsp.modulation import QAM16, QAM64, QPSK
from radio.phy.lte.channels.pssch import pssch_codeword_bits
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Cp
from radio.phy.lte.grid.tbs import (
    TransportBlockSizeError,
    transport_block_size,
    v2x_modulation_order,
    v2x_transport_block_size,
)


@pytest.mark.parametrize(("n_prb", "column"), [(1, 1), (2, 1), (3, 2), (10, 8), (48, 38), (100, 80)])
def test_format_1_counts_four_fifths_of_the_prbs(n_prb, column):
    assert v2x_transport_block_size(5, n_prb, 1) == transport_block_size(5, column)
    assert v2x_transport_block_size(5, n_prb, 0) == transport_block_size(5, n_prb)


@pytest.mark.parametrize(
    ("mcs", "sizes"), [(29, (776, 7736, 63776)), (30, (808, 8248, 66592)), (31, (968, 9912, 78704))]
)
def test_the_highest_mcs(mcs, sizes):
    """Columns 1, 10 and 80 (of 1, 13 and 100 PRBs) of I_TBS 30, 31 and 33, as another implementation prints them."""
    columns = {1: 1, 10: 13, 80: 100}
    assert [max(n * 4 // 5, 1) for n in columns.values()] == list(columns)
    ours = tuple(v2x_transport_block_size(mcs, n_prb, 1) for n_prb in columns.values())
    assert ours == sizes


def test_modulation_of_both_formats():
    assert [v2x_modulation_order(mcs, 0) for mcs in (10, 11, 20, 21, 28)] == [QPSK, QAM16, QAM16, QAM16, QAM16]
    assert [v2x_modulation_order(mcs, 1) for mcs in (10, 11, 20, 21, 31)] == [QPSK, QAM16, QAM16, QAM64, QAM64]


def test_the_codeword_of_format_1_leaves_the_guard_out():
    assert pssch_codeword_bits(8, 5, Cp.NORMAL, Mode.TM34) == 10 * 96 * 2
    assert pssch_codeword_bits(8, 25, Cp.NORMAL, Mode.TM34, 1) == 9 * 96 * 6


@pytest.mark.parametrize(("mcs", "n_prb", "transmission_format"), [(29, 5, 0), (32, 5, 1), (-1, 5, 1), (5, 0, 1)])
def test_what_the_tables_do_not_hold_is_refused(mcs, n_prb, transmission_format):
    with pytest.raises(TransportBlockSizeError):
        v2x_transport_block_size(mcs, n_prb, transmission_format)
    if n_prb:
        with pytest.raises(TransportBlockSizeError):
            v2x_modulation_order(mcs, transmission_format)
