"""Every bandwidth, cyclic prefix, mode, MCS and width there and back without noise: what is sent is what is received.

Bits and waveforms are held against other implementations elsewhere; this shows that no corner of the tables is missing.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radio.phy.dsp.bitfields import bits_to_bytes
from radio.phy.fec.segmentation import segment
from radio.phy.lte.channels.mib import MibSl, MibSlV2x
from radio.phy.lte.channels.psbch import map_psbch, receive_psbch
from radio.phy.lte.channels.pscch import map_pscch, receive_pscch
from radio.phy.lte.channels.psdch import MESSAGE_BITS, map_psdch, receive_psdch
from radio.phy.lte.channels.pssch import map_pssch, receive_pssch
from radio.phy.lte.channels.sci import SciFormat0, SciFormat1
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer
from radio.phy.lte.channels.transmissions import PsdchTx, PsschTx
from radio.phy.lte.channels.v2x_pscch import map_v2x_pscch, receive_v2x_pscch
from radio.phy.lte.grid.layout import LayoutError, Mode
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.grid.precoding_width import is_valid_width
from radio.phy.lte.grid.scfdma import demodulate, modulate
from radio.phy.lte.grid.tbs import modulation_order, v2x_modulation_order, v2x_transport_block_size
from radio.phy.lte.pools.mode2 import RV_SEQUENCE

BANDWIDTHS = (6, 15, 25, 50, 75, 100)
WIDTHS = tuple(n for n in range(1, 101) if is_valid_width(n))
CARRIERS = [Carrier(n_prb, cp) for n_prb in BANDWIDTHS for cp in Cp]


def name_of(carrier):
    return f"{carrier.n_prb}prb-{carrier.cp.value}"


def empty_grid(carrier):
    return np.zeros((carrier.n_symbols, carrier.n_subcarriers), np.complex64)


def on_air(carrier, grid):
    """What a receiver sees; nothing was written into the guard symbol."""
    assert not grid[-1].any()
    return demodulate(carrier, modulate(carrier, grid))


def send_block(carrier, rng, prbs, mcs, *, mode=Mode.TM12, transmission_format=0, rvs=RV_SEQUENCE):
    """Send a random block in as many versions as it takes; the number of them, or None where all do not do."""
    n_id, n_ssf = int(rng.integers(256 if mode is Mode.TM12 else 65536)), int(rng.integers(10))
    block = rng.bytes(v2x_transport_block_size(mcs, len(prbs), transmission_format) // 8)
    buffer = SlSchSoftBuffer(len(block) * 8)
    qm = v2x_modulation_order(mcs, transmission_format)
    for count, rv in enumerate(rvs, 1):
        grid = empty_grid(carrier)
        tx = PsschTx(prbs=prbs, mcs=mcs, n_id_sa=n_id, n_ssf=n_ssf, rv=rv, transport_block=block)
        map_pssch(grid, carrier, tx, mode, transmission_format)
        assert not grid[-1].any()
        received = receive_pssch(carrier, grid, prbs, mcs, n_id, n_ssf, mode, transmission_format=transmission_format)
        buffer.combine(received.llrs, qm, rv)
        decoded = buffer.decode()
        if decoded.crc_ok:
            assert bits_to_bytes(decoded.bits) == block
            return count
    return None


def place(carrier, rng, width):
    first = int(rng.integers(carrier.n_prb - width + 1))
    return tuple(range(first, first + width))


@pytest.mark.parametrize("mcs", range(29))
def test_every_width_with_every_mcs(mcs):
    """One transmission does wherever it holds more bits than the block has; above that, all four together do."""
    carrier = Carrier(100)
    rng = np.random.default_rng(mcs)
    for width in WIDTHS:
        count = send_block(carrier, rng, place(carrier, rng, width), mcs)
        sent_bits = 11 * 12 * width * modulation_order(mcs)
        rate = (v2x_transport_block_size(mcs, width, 0) + 24) / sent_bits
        assert count == 1 if rate < 0.85 else count is not None, (width, rate)


@pytest.mark.parametrize("mcs", range(0, 29, 4))
def test_extended_prefix_takes_them_too(mcs):
    carrier = Carrier(50, Cp.EXTENDED)
    rng = np.random.default_rng(mcs)
    for width in WIDTHS:
        if width <= carrier.n_prb:
            assert send_block(carrier, rng, place(carrier, rng, width), mcs), width


@pytest.mark.parametrize(
    ("mcs", "transmission_format"), [*((mcs, 0) for mcs in range(0, 25, 3)), *((mcs, 1) for mcs in range(1, 32, 3))]
)
def test_v2x_takes_them_too(mcs, transmission_format):
    """Format 0 may need both versions, and even they hold too little above MCS 24; format 1 needs one up to MCS 28."""
    carrier = Carrier(100)
    rng = np.random.default_rng(mcs)
    for width in WIDTHS[3:]:
        prbs = place(carrier, rng, width)
        count = send_block(carrier, rng, prbs, mcs, mode=Mode.TM34, transmission_format=transmission_format, rvs=(0, 2))
        assert count is not None, width
        if transmission_format and mcs <= 28:
            assert count == 1, width


def test_the_largest_blocks_take_many_code_blocks():
    sizes = {segment(v2x_transport_block_size(mcs, width, 0)).n_blocks for mcs in range(29) for width in WIDTHS}
    assert sizes == set(range(1, 14))


@pytest.mark.parametrize("carrier", CARRIERS, ids=name_of)
def test_every_bandwidth_and_prefix(carrier):
    """SLSS' broadcast, control, discovery and shared channel, each through the waveform."""
    rng = np.random.default_rng(carrier.n_prb)
    mib = MibSl(bandwidth_prb=carrier.n_prb, tdd_config=3, dfn=1023, subframe=9, in_coverage=True, reserved=0x5A5A5)
    grid = empty_grid(carrier)
    map_psbch(grid, carrier, mib, 217)
    received = receive_psbch(carrier, on_air(carrier, grid), 217)
    assert received.mib == mib

    grid = empty_grid(carrier)
    n_riv = carrier.n_prb * (carrier.n_prb + 1) // 2
    sent = {
        prb: SciFormat0(
            riv=int(rng.integers(n_riv)), i_trp=prb, mcs=28 - prb % 29, timing_advance=prb, group_destination_id=prb
        )
        for prb in range(carrier.n_prb)
    }
    for prb, sci in sent.items():
        map_pscch(grid, carrier, sci, prb)
    found = receive_pscch(carrier, on_air(carrier, grid), range(carrier.n_prb))
    assert {r.prb: r.sci for r in found} == sent

    for rv in RV_SEQUENCE:
        message = rng.bytes(MESSAGE_BITS // 8)
        grid = empty_grid(carrier)
        map_psdch(grid, carrier, PsdchTx(prb=carrier.n_prb - 2, rv=rv, message=message))
        buffer = SlSchSoftBuffer(MESSAGE_BITS)
        buffer.combine(receive_psdch(carrier, on_air(carrier, grid), carrier.n_prb - 2).llrs, 2, rv)
        assert bits_to_bytes(buffer.decode().bits) == message

    widest = max(width for width in WIDTHS if width <= carrier.n_prb)
    assert send_block(carrier, rng, place(carrier, rng, widest), 20)


@pytest.mark.parametrize("n_prb", BANDWIDTHS)
def test_every_bandwidth_of_v2x(n_prb):
    carrier = Carrier(n_prb)
    rng = np.random.default_rng(n_prb)
    mib = MibSlV2x(bandwidth_prb=n_prb, dfn=512, subframe=3, in_coverage=False, reserved=1)
    grid = empty_grid(carrier)
    map_psbch(grid, carrier, mib, 90)
    assert receive_psbch(carrier, on_air(carrier, grid), 90, Mode.TM34).mib == mib

    grid = empty_grid(carrier)
    sent = {
        2 * m: SciFormat1(
            priority=m % 8,
            resource_reservation=m % 13,
            frequency_location=m % 3,
            time_gap=m % 16,
            mcs=m % 29,
            retransmission_index=m % 2,
            transmission_format=m // 2 % 2,
        )
        for m in range(n_prb // 2)
    }
    crcs = {prb: map_v2x_pscch(grid, carrier, sci, prb, 3, 3 * int(rng.integers(4))) for prb, sci in sent.items()}
    found = receive_v2x_pscch(carrier, on_air(carrier, grid), tuple(sent), 3)
    assert {r.prb: r.sci for r in found} == sent
    assert {r.prb: r.crc for r in found} == crcs


def test_v2x_knows_no_extended_prefix():
    carrier = Carrier(25, Cp.EXTENDED)
    with pytest.raises(LayoutError):
        send_block(carrier, np.random.default_rng(0), (2, 3), 3, mode=Mode.TM34)
    with pytest.raises(LayoutError):
        send_block(Carrier(25), np.random.default_rng(0), (2, 3), 3, transmission_format=1)


@settings(deadline=None, max_examples=60)
@given(
    carrier=st.sampled_from(CARRIERS),
    data=st.data(),
    mcs=st.integers(0, 20),
    n_id_sa=st.integers(0, 255),
    n_ssf=st.integers(0, 9),
)
def test_allocations_of_any_shape(carrier, data, mcs, n_id_sa, n_ssf):
    """Anywhere, of any valid width, in two pieces as pools may have it, through the waveform."""
    width = data.draw(st.sampled_from([n for n in WIDTHS if n <= min(carrier.n_prb, 25)]))
    lower = data.draw(st.integers(0, width))
    gap = data.draw(st.integers(0, carrier.n_prb - width))
    prbs = tuple(range(lower)) + tuple(range(lower + gap, width + gap))
    block = np.random.default_rng(width).bytes(v2x_transport_block_size(mcs, width, 0) // 8)
    buffer = SlSchSoftBuffer(len(block) * 8)
    for rv in RV_SEQUENCE[:2]:
        grid = empty_grid(carrier)
        tx = PsschTx(prbs=prbs, mcs=mcs, n_id_sa=n_id_sa, n_ssf=n_ssf, rv=rv, transport_block=block)
        map_pssch(grid, carrier, tx)
        received = receive_pssch(carrier, on_air(carrier, grid), prbs, mcs, n_id_sa, n_ssf)
        buffer.combine(received.llrs, modulation_order(mcs), rv)
    assert bits_to_bytes(buffer.decode().bits) == block


@pytest.mark.parametrize(("mcs", "snr_db", "needed"), [(5, -2.5, 2), (5, -5, 3), (5, -6, 4), (14, 4, 2), (20, 7, 2)])
def test_versions_add_up(mcs, snr_db, needed):
    """In noise that one version does not survive, versions 0, 2, 3, 1 together do, and not before `needed` of them."""
    carrier, rng, prbs = Carrier(25), np.random.default_rng(mcs), tuple(range(4, 24))
    block = rng.bytes(v2x_transport_block_size(mcs, 20, 0) // 8)
    buffer = SlSchSoftBuffer(len(block) * 8)
    outcomes = []
    for rv in RV_SEQUENCE:
        grid = empty_grid(carrier)
        tx = PsschTx(prbs=prbs, mcs=mcs, n_id_sa=9, n_ssf=1, rv=rv, transport_block=block)
        map_pssch(grid, carrier, tx)
        noise = rng.normal(size=(*grid.shape, 2)) @ (1, 1j) * np.sqrt(10 ** (-snr_db / 10) / 2)
        received = receive_pssch(carrier, (grid + noise).astype(np.complex64), prbs, mcs, 9, 1)
        buffer.combine(received.llrs, modulation_order(mcs), rv)
        outcomes.append(buffer.decode().crc_ok)
    assert outcomes == [count >= needed for count in range(1, 5)]
