"""Time a UE's physical layer spends on a subframe under traffic: two UEs in virtual time, one of them watched."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lab_scripts.benchmarks.measure import Result, interquartile_range
from lab_scripts.exit_codes import ExitCode, LabError
from prose_link.config.preconfiguration import load_pools
from prose_link.config.ue import shipped_path
from radio.arrays import Iq
from radio.emulator.channel.noise import noise_block
from radio.phy.dsp.rotation import rotate
from radio.phy.lte.channels.indications import TransportBlockReceived
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.psdch import MESSAGE_BITS
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.grid.tbs import transport_block_size
from radio.phy.lte.grid.trpt import trp_bitmaps
from radio.phy.lte.pools.mode2 import CommPool, DiscPool, SidelinkPools
from radio.phy.lte.ue_phy import PhyState, UePhy

_PRECONFIGURATION: Final = "preconfigurations/first_light.toml"
_N_TRP: Final = 8
_EVEN_SUBFRAMES, _ODD_SUBFRAMES = (1, 0) * 4, (0, 1) * 4
_N_SL_ID: Final = 201
_REFERENCE_ID, _WATCHED_ID = 1, 2
_DELAY_SAMPLES: Final = 37
_CFO_HZ: Final = 812.5
_SEED: Final = 1
_LEAD_SUBFRAMES: Final = 4
_WARM_UP_PERIODS: Final = 5
_PERIODS, _QUICK_PERIODS = 120, 25
_AIM_MS: Final = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What each UE sends in half of the data subframes: transport blocks over the whole pool, heard at `snr_db`."""

    name: str
    mcs: int
    snr_db: float


TRAFFIC: Final = (
    Traffic(name="MCS 20 at 25 dB", mcs=20, snr_db=25.0),
    Traffic(name="MCS 20 at 9 dB, several transmissions combined", mcs=20, snr_db=9.0),
)


def run(*, quick: bool) -> Iterator[Result]:
    """Mean time of a subframe over one SC period: the median over the periods."""
    n_periods = _QUICK_PERIODS if quick else _PERIODS
    for traffic in TRAFFIC:
        means_ms = watch(traffic, n_periods).means_ms
        yield Result(
            name=f"whole subframe of a UE, 50 PRB, {traffic.name}",
            value=statistics.median(means_ms),
            unit="ms",
            lower_is_better=True,
            runs=len(means_ms),
            spread=interquartile_range(means_ms),
            aim=_AIM_MS,
        )


@dataclass(slots=True, kw_only=True)
class Watched:
    """The result of a run: mean ms of a subframe in each SC period, and the receptions meanwhile."""

    means_ms: list[float] = field(default_factory=list)
    blocks: list[TransportBlockReceived] = field(default_factory=list)


def watch(traffic: Traffic, n_periods: int) -> Watched:
    """Run both UEs for `n_periods` SC periods after the watched one has synchronised; raises LabError if it can't."""
    pools = load_pools(shipped_path(_PRECONFIGURATION))
    carrier = Carrier(pools.n_prb)
    reference, watched = UePhy(carrier, pools), UePhy(carrier, pools)
    reference.become_sync_ref(_N_SL_ID, 0)
    reference_plan = _Plan(pools, traffic, _EVEN_SUBFRAMES, _REFERENCE_ID)
    watched_plan = _Plan(pools, traffic, _ODD_SUBFRAMES, _WATCHED_ID)
    air = _Air(carrier, traffic.snr_db)
    sc_period = pools.comm[0].sc_period
    result = Watched()
    spent_s = 0.0
    for subframe in range((_WARM_UP_PERIODS + n_periods) * sc_period):
        sent, _ = reference.transmit(subframe, reference_plan.of(subframe))
        heard = air.carry(subframe, sent)
        ahead = subframe + _LEAD_SUBFRAMES
        own = watched_plan.of(ahead)
        began_s = time.perf_counter()
        if own and watched.state is PhyState.TRACKING:
            watched.transmit(ahead, own)
        indications = watched.receive(heard, subframe * carrier.samples_per_subframe)
        spent_s += time.perf_counter() - began_s
        result.blocks += [found for found in indications if isinstance(found, TransportBlockReceived)]
        if (subframe + 1) % sc_period == 0:
            if subframe >= _WARM_UP_PERIODS * sc_period:
                result.means_ms.append(spent_s / sc_period * 1e3)
            spent_s = 0.0
    if watched.state is not PhyState.TRACKING or not any(block.crc_ok for block in result.blocks):
        raise LabError("the watched UE received nothing: its speed would say nothing", code=ExitCode.FAILED)
    return result


class _Air:
    """Delay, carrier offset and noise from the reference to the watched UE."""

    def __init__(self, carrier: Carrier, snr_db: float) -> None:
        self._carrier = carrier
        self._sigma = 10 ** (-snr_db / 20)
        self._late = np.zeros(_DELAY_SAMPLES, np.complex64)

    def carry(self, subframe: int, sent: Iq) -> Iq:
        """One subframe as it is heard."""
        joined = np.concatenate((self._late, sent))
        heard, self._late = joined[: sent.size], joined[sent.size :]
        turned = rotate(heard, _CFO_HZ, self._carrier.sample_rate_hz, subframe * sent.size)
        return turned + noise_block(sent.size, self._sigma, _SEED, subframe)


class _Plan:
    """The transmissions of one UE: every SC period new transport blocks, every discovery period a message, and SLSS."""

    def __init__(self, pools: SidelinkPools, traffic: Traffic, pattern: tuple[int, ...], ue: int) -> None:
        self._pools, self._traffic, self._ue = pools, traffic, ue
        self._i_trp = trp_bitmaps(_N_TRP).index(pattern)
        self._rng = np.random.default_rng((_SEED, ue))
        self._planned: dict[int, list[Transmission]] = {}

    def of(self, subframe: int) -> list[Transmission]:
        """Transmissions of a subframe; subframes are asked for in order."""
        comm, disc = self._pools.comm[0], self._pools.disc[0]
        if subframe == comm.period_start(comm.period_of(subframe)):
            self._plan_blocks(comm, comm.period_of(subframe))
        if subframe == disc.period_start(disc.period_of(subframe)):
            self._plan_discovery(disc, disc.period_of(subframe))
        due = self._planned.pop(subframe, [])
        if self._ue == _REFERENCE_ID and self._pools.sync.is_sync_subframe(subframe):
            dfn, number = divmod(subframe % 10240, 10)
            mib = MibSl(bandwidth_prb=self._pools.n_prb, dfn=dfn, subframe=number, in_coverage=False)
            due.append(SlssTx(n_sl_id=_N_SL_ID, mib=mib))
        return due

    def _plan_blocks(self, pool: CommPool, period: int) -> None:
        mcs, n_prb = self._traffic.mcs, len(pool.pssch_prbs)
        sci = SciFormat0(
            riv=encode_riv(0, n_prb, pool.n_rb_sl), i_trp=self._i_trp, mcs=mcs, group_destination_id=self._ue
        )
        for index, prb in pool.pscch_resource(self._ue):
            self._add(pool.pscch_subframes(period)[index], PscchTx(prb=prb, sci=sci))
        blocks: dict[int, bytes] = {}
        for subframe, n_ssf, index, rv in pool.pssch_transmissions(period, self._i_trp):
            block = blocks.setdefault(index, self._rng.bytes(transport_block_size(mcs, n_prb) // 8))
            tx = PsschTx(prbs=pool.prbs(0, n_prb), mcs=mcs, n_id_sa=self._ue, n_ssf=n_ssf, rv=rv, transport_block=block)
            self._add(subframe, tx)

    def _plan_discovery(self, pool: DiscPool, period: int) -> None:
        message = self._rng.bytes(MESSAGE_BITS // 8)
        for subframe, prb, _, rv in pool.transmissions(period, self._ue):
            self._add(subframe, PsdchTx(prb=prb, rv=rv, message=message))

    def _add(self, subframe: int, transmission: Transmission) -> None:
        self._planned.setdefault(subframe, []).append(transmission)
