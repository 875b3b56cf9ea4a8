"""An air on which every PRB of every subframe is in use, in each transmission mode, and one that holds only noise.

The samples of a few SC periods repeat for as long as is wanted, so that a source of any length costs no memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from radio.arrays import Iq
from radio.emulator.channel.noise import noise_block
from radio.phy.lte.channels.mib import MibSl, MibSlV2x
from radio.phy.lte.channels.psbch import map_psbch
from radio.phy.lte.channels.psdch import MESSAGE_BITS
from radio.phy.lte.channels.pssch import map_pssch
from radio.phy.lte.channels.sci import SciFormat0, SciFormat1
from radio.phy.lte.channels.slss import map_slss
from radio.phy.lte.channels.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.lte.channels.v2x_pscch import map_v2x_pscch
from radio.phy.lte.channels.waveform import subframe_waveform
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.grid.tbs import transport_block_size, v2x_transport_block_size
from radio.phy.lte.pools.mode1 import ScheduledPool
from radio.phy.lte.pools.mode2 import CommPool, DiscPool, ScPool
from radio.phy.lte.pools.v2x import V2xPool

LOOP_SUBFRAMES: Final = 160
"""A whole number of SC periods and of the sets n_ssf counts in, and the SLSS period of modes 3 and 4."""
_N_SL_ID: Final = 201
_SC_PERIOD: Final = 40
_N_DATA: Final = 32
_DISCOVERY: Final = slice(36, 40)
_USER_PRBS: Final = 10
_MCS: Final = 9
_EVERY_SUBFRAME: Final = 106
"""I_TRP of the pattern of eight ones (TS 36.213 Table 14.1.1.1.1-1)."""


@dataclass(slots=True, kw_only=True, eq=False)
class LoopedSource:
    """`iq` over and over, `n_samples` long."""

    iq: Iq = field(repr=False)
    n_samples: int
    _position: int = 0

    def read(self, n_samples: int) -> Iq:
        """The next samples, fewer than `n_samples` at the end of the loop, none only at the end."""
        place = self._position % self.iq.size
        part = self.iq[place : place + min(n_samples, self.n_samples - self._position)]
        self._position += part.size
        return part


def noise_air(carrier: Carrier, seed: int) -> Iq:
    """One loop of white noise of unit power."""
    return noise_block(LOOP_SUBFRAMES * carrier.samples_per_subframe, 1.0, seed, 0)


def busy_direct_air(carrier: Carrier, seed: int, *, snr_db: float, timing_advance: int | None = None) -> Iq:
    """Modes 1 (with a `timing_advance`) and 2: SLSS, five UEs that share all PRBs at MCS 9, and full discovery."""
    rng = np.random.default_rng(seed)
    comm = _comm_pool(carrier, is_scheduled=timing_advance is not None)
    disc = DiscPool(
        n_rb_sl=carrier.n_prb,
        disc_period=4,
        bitmap="0" * _DISCOVERY.start + "1" * (_DISCOVERY.stop - _DISCOVERY.start),
        num_retx=3,
        prb_num=carrier.n_prb // 2,
        prb_start=0,
        prb_end=carrier.n_prb - 1,
    )
    size = transport_block_size(_MCS, _USER_PRBS) // 8
    plan: dict[int, list[Transmission]] = {}
    for period in range(LOOP_SUBFRAMES // _SC_PERIOD):
        start = comm.period_start(period)
        mib = MibSl(bandwidth_prb=carrier.n_prb, dfn=start // 10, subframe=0, in_coverage=False)
        plan.setdefault(start, []).append(SlssTx(n_sl_id=_N_SL_ID, mib=mib))
        for user in range(carrier.n_prb // _USER_PRBS):
            sci = SciFormat0(
                riv=encode_riv(user * _USER_PRBS, _USER_PRBS, carrier.n_prb),
                i_trp=_EVERY_SUBFRAME,
                mcs=_MCS,
                timing_advance=0 if timing_advance is None else timing_advance + user,
                group_destination_id=40 + user,
            )
            for index, prb in comm.pscch_resource(3 * user):
                plan.setdefault(comm.pscch_subframes(period)[index], []).append(PscchTx(prb=prb, sci=sci))
            blocks: dict[int, bytes] = {}
            for subframe, n_ssf, block, rv in comm.pssch_transmissions(period, _EVERY_SUBFRAME):
                if subframe - start >= _DISCOVERY.start:
                    continue
                tx = PsschTx(
                    prbs=comm.prbs(user * _USER_PRBS, _USER_PRBS),
                    mcs=_MCS,
                    n_id_sa=sci.group_destination_id,
                    n_ssf=n_ssf,
                    rv=rv,
                    transport_block=blocks.setdefault(block, rng.bytes(size)),
                )
                plan.setdefault(subframe, []).append(tx)
        for resource in range(disc.n_resources):
            message = rng.bytes(MESSAGE_BITS // 8)
            for subframe, prb, _, rv in disc.transmissions(period, resource):
                plan.setdefault(subframe, []).append(PsdchTx(prb=prb, rv=rv, message=message))
    iq = np.concatenate([subframe_waveform(carrier, plan.get(n, ())) for n in range(LOOP_SUBFRAMES)])
    return _noisy(iq, snr_db, seed)


def _comm_pool(carrier: Carrier, *, is_scheduled: bool) -> ScPool:
    """PSCCH in subframes 1 and 2, PSSCH from 3 on."""
    n_prb, half = carrier.n_prb, carrier.n_prb // 2
    if is_scheduled:
        return ScheduledPool(n_rb_sl=n_prb, sc_bitmap="011", sc_prb_num=half, sc_prb_start=0, sc_prb_end=n_prb - 1)
    return CommPool(
        n_rb_sl=n_prb,
        sc_bitmap="011",
        sc_prb_num=half,
        sc_prb_start=0,
        sc_prb_end=n_prb - 1,
        data_offset=3,
        data_bitmap="1" * _N_DATA,
        data_prb_num=half,
        data_prb_start=0,
        data_prb_end=n_prb - 1,
    )


def busy_v2x_air(carrier: Carrier, seed: int, *, snr_db: float) -> Iq:
    """Modes 3 and 4: SLSS once, then in every subframe a transmission on every one of five sub-channels at MCS 9.

    In each pair of subframes the second one repeats the blocks of the first.
    """
    rng = np.random.default_rng(seed)
    size, count = carrier.n_prb // 5, 5
    pool = V2xPool(n_rb_sl=carrier.n_prb, sl_subframe="1" * 10, size_subchannel=size, num_subchannel=count)
    grids = np.zeros((LOOP_SUBFRAMES, carrier.n_symbols, carrier.n_subcarriers), dtype=np.complex64)
    mib = MibSlV2x(bandwidth_prb=carrier.n_prb, dfn=0, subframe=0, in_coverage=False)
    map_slss(grids[0], carrier, _N_SL_ID, Mode.TM34)
    map_psbch(grids[0], carrier, mib, _N_SL_ID)
    octets = v2x_transport_block_size(_MCS, len(pool.pssch_prbs(0, 1)), 0) // 8
    for first in range(1, LOOP_SUBFRAMES - 1, 2):
        for m in range(count):
            block, priority = rng.bytes(octets), int(rng.integers(8))
            for index in (0, 1):
                sci = SciFormat1(
                    priority=priority,
                    resource_reservation=0,
                    frequency_location=pool.frequency_location(m, 1),
                    time_gap=1,
                    mcs=_MCS,
                    retransmission_index=index,
                    transmission_format=0,
                )
                grid = grids[first + index]
                shift = int(rng.choice((0, 3, 6, 9)))
                n_id_x = map_v2x_pscch(grid, carrier, sci, pool.pscch_prb(m), count, shift)
                tx = PsschTx(
                    prbs=pool.pssch_prbs(m, 1),
                    mcs=_MCS,
                    n_id_sa=n_id_x,
                    n_ssf=(first + index) % 10,
                    rv=(0, 2)[index],
                    transport_block=block,
                )
                map_pssch(grid, carrier, tx, Mode.TM34)
    iq = np.concatenate([scfdma.modulate(carrier, grid) for grid in grids])
    return _noisy(iq, snr_db, seed)


def _noisy(iq: Iq, snr_db: float, seed: int) -> Iq:
    return iq + noise_block(iq.size, 10 ** (-snr_db / 20), seed, 0)
