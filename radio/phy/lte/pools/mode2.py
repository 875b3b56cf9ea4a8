"""Resource pools of transmission modes 1 and 2: where in time and frequency each sidelink channel may stand.

Time is cut in SC periods. Each begins with the subframes of PSCCH, given by a bitmap; in mode 2 those of PSSCH follow
by a bitmap of their own, in mode 1 they are all that are left. A PSCCH resource is two places, one in each half of the
pool's PRBs, in different subframes, arranged so that two UEs that collide once, or are deaf to each other once because
both transmit, are not so twice. An SCI grants PRBs and a time pattern for the whole rest of the period. Discovery has
periods and a pool of its own, with messages repeated in groups of subframes.

Everything here is a pure function of the configuration and the number of the period, and cached. Pools check themselves
when they are made, so that no later question about them can fail but for an argument out of range.

TS 36.213 14.1.3, 14.2.1.1, 14.2.3, 14.3.1, 14.3.3, with the parameter names of TS 36.331 6.3.8. Subframes are the
unwrapped counter whose value modulo 10240 is 10 * DFN + subframe number. Bitmaps are text, first subframe first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import lru_cache

from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.grid.hopping import HoppingConfig, hopped_positions, split_hopping_field
from radio.phy.lte.grid.numerology import Cp
from radio.phy.lte.grid.riv import decode_riv
from radio.phy.lte.grid.trpt import mode_2_i_trps, n_trp, trp_bitmap
from radio.phy.lte.pools.geometry import SUBFRAMES_PER_FRAME, Periods, PoolError, check_bitmap, prb_pool
from radio.phy.lte.pools.power_control import FULL_POWER, MAX_TX_POWER_DBM, SlTxParameters

RV_SEQUENCE = (0, 2, 3, 1)
"""Redundancy versions of the four transmissions of a transport block (TS 36.321 5.14.1.2.2)."""
_SC_PERIODS = (40, 60, 70, 80, 120, 140, 160, 240, 280, 320)
_DISC_PERIODS_RF = (4, 6, 7, 8, 12, 14, 16, 24, 28, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScPool(ABC):
    """A communication pool (SL-CommResourcePool): SC periods, PSCCH, and what PSSCH is in transmission modes 1 and 2.

    `sc_period` in subframes; `sc_*` is sc-TF-ResourceConfig; `tdd_config` None for FDD. Raises PoolError, HoppingError
    or TrptError.
    """

    n_rb_sl: int
    sc_period: int = 40
    sc_offset: int = 0
    sc_bitmap: str
    sc_prb_num: int
    sc_prb_start: int
    sc_prb_end: int
    hopping: HoppingConfig = field(default_factory=HoppingConfig)
    cp: Cp = Cp.NORMAL
    tdd_config: int | None = None

    def __post_init__(self) -> None:
        if self.sc_period not in _SC_PERIODS:
            raise PoolError(f"sc-Period {self.sc_period} is not one of {_SC_PERIODS}")
        if not 0 <= self.sc_offset < self.sc_period:
            raise PoolError(f"offsetIndicator {self.sc_offset} is outside the sc-Period of {self.sc_period}")
        check_bitmap("subframeBitmap of the PSCCH", self.sc_bitmap)
        if len(self.pscch_prbs) < 2:
            raise PoolError("a PSCCH pool needs at least two PRBs: the two transmissions of an SCI use different ones")
        if not self.pscch_subframes(0) or not self.pssch_subframes(0):
            raise PoolError("the pool's bitmaps leave it no subframe")

    @property
    @abstractmethod
    def pssch_prbs(self) -> tuple[int, ...]:
        """The PSSCH resource block pool, ascending."""

    @property
    @abstractmethod
    def i_trps(self) -> tuple[int, ...]:
        """I_TRP values that may be used in this pool."""

    @abstractmethod
    def pssch_subframes(self, period: int) -> tuple[int, ...]:
        """The PSSCH subframe pool of one period, ascending."""

    @property
    def _periods(self) -> Periods:
        return Periods(length=self.sc_period, offset=self.sc_offset)

    def period_of(self, subframe: int) -> int:
        """Number of the SC period `subframe` lies in; it counts up without wrapping."""
        return self._periods.of(subframe)

    def period_start(self, period: int) -> int:
        """First subframe of an SC period."""
        return self._periods.start(period)

    def uplink_subframes(self, period: int) -> tuple[int, ...]:
        """Uplink subframes of an SC period, ascending."""
        return self._periods.uplink_subframes(period, self.tdd_config)

    def pscch_subframes(self, period: int) -> tuple[int, ...]:
        """The PSCCH subframe pool of one period, ascending (TS 36.213 14.2.3)."""
        return _pscch_subframes(self, period)

    @property
    def pscch_prbs(self) -> tuple[int, ...]:
        """The PSCCH resource block pool, ascending."""
        return prb_pool(self.sc_prb_num, self.sc_prb_start, self.sc_prb_end, self.n_rb_sl)

    @property
    def n_pscch_resources(self) -> int:
        """Number of PSCCH resources of a period (TS 36.213 14.2.1.1)."""
        return len(self.pscch_prbs) // 2 * len(self.pscch_subframes(0))

    def pscch_resource(self, n: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """((i1, prb1), (i2, prb2)) of PSCCH resource `n`, i an index into `pscch_subframes`. Raises PoolError."""
        if not 0 <= n < self.n_pscch_resources:
            raise PoolError(f"n_PSCCH {n} is outside 0..{self.n_pscch_resources - 1}")
        prbs, n_subframes = self.pscch_prbs, len(self.pscch_subframes(0))
        a1, b1 = divmod(n, n_subframes)
        a2 = a1 + len(prbs) // 2
        b2 = (n + 1 + a1 % max(n_subframes - 1, 1)) % n_subframes
        return (b1, prbs[a1]), (b2, prbs[a2])

    def pscch_resource_at(self, index: int, prb: int) -> int:
        """The PSCCH resource that one of its two transmissions tells; the inverse of `pscch_resource`.

        `index` is into `pscch_subframes`. Raises PoolError where no resource stands.
        """
        n_subframes, half = len(self.pscch_subframes(0)), len(self.pscch_prbs) // 2
        place = self.pscch_prbs.index(prb) if prb in self.pscch_prbs else 2 * half
        if place >= 2 * half or not 0 <= index < n_subframes:
            raise PoolError(f"no PSCCH resource stands on PRB {prb} of PSCCH subframe {index}")
        a1 = place % half
        b1 = index if place < half else (index - 1 - a1 % max(n_subframes - 1, 1)) % n_subframes
        return a1 * n_subframes + b1

    def pssch_transmissions(self, period: int, i_trp: int) -> tuple[tuple[int, int, int, int], ...]:
        """(subframe, n_ssf, transport block index, rv) of every PSSCH transmission of a grant, in order.

        Four transmissions to a transport block; a remainder of the pattern is not used (TS 36.213 14.1.1, 14.1.1.3).
        Raises TrptError for a reserved I_TRP.
        """
        return _pssch_transmissions(self, period, i_trp)

    def allocation(self, sci: SciFormat0) -> tuple[int, int]:
        """(first, length) that an SCI grants, counted inside the PSSCH resource block pool. Raises RivError."""
        if sci.hopping:
            _, first, length = split_hopping_field(sci.riv, self.n_rb_sl)
            return first, length
        return decode_riv(sci.riv, self.n_rb_sl)

    def hopping_bits(self, sci: SciFormat0) -> int | None:
        """Hopping bits of an SCI, None where it does not hop. Raises RivError."""
        return split_hopping_field(sci.riv, self.n_rb_sl)[0] if sci.hopping else None

    def prbs(self, first: int, length: int, n_ssf: int = 0, hopping_bits: int | None = None) -> tuple[int, ...]:
        """Absolute PRBs of an allocation in the pool subframe with counter `n_ssf` (TS 36.213 14.1.1.4).

        Raises PoolError where it leaves the pool.
        """
        pool = self.pssch_prbs
        if hopping_bits is not None:
            positions = hopped_positions(first, length, n_ssf, hopping_bits, self.n_rb_sl, len(pool), self.hopping)
            return tuple(pool[x] for x in positions)
        if first < 0 or length < 1 or first + length > len(pool):
            raise PoolError(f"{length} PRBs from {first} leave the PSSCH pool of {len(pool)}")
        return pool[first : first + length]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommPool(ScPool):
    """A communication pool of transmission mode 2: the UE chooses in the PSSCH pool of data-TF-ResourceConfig.

    `data_*` is data-TF-ResourceConfig; `trpt_subset` as text or None; `sc_tx` and `data_tx` say how strong PSCCH and
    PSSCH are sent. Raises PoolError, HoppingError or TrptError.
    """

    data_offset: int
    data_bitmap: str
    data_prb_num: int
    data_prb_start: int
    data_prb_end: int
    trpt_subset: str | None = None
    sc_tx: SlTxParameters = FULL_POWER
    data_tx: SlTxParameters = FULL_POWER

    def __post_init__(self) -> None:
        check_bitmap("subframeBitmap of the PSSCH", self.data_bitmap)
        ScPool.__post_init__(self)
        if not self.pssch_prbs or not self.i_trps:
            raise PoolError("the PSSCH pool is empty")

    @property
    def pssch_prbs(self) -> tuple[int, ...]:
        """The PSSCH resource block pool, ascending (TS 36.213 14.1.3)."""
        return prb_pool(self.data_prb_num, self.data_prb_start, self.data_prb_end, self.n_rb_sl)

    @property
    def i_trps(self) -> tuple[int, ...]:
        """I_TRP values a UE may choose in this pool (TS 36.213 14.1.1.3)."""
        return mode_2_i_trps(n_trp(self.tdd_config), self.trpt_subset)

    def pssch_subframes(self, period: int) -> tuple[int, ...]:
        """The PSSCH subframe pool of one period, ascending (TS 36.213 14.1.3)."""
        return _pssch_subframes(self, period)


@lru_cache(maxsize=64)
def _pscch_subframes(pool: ScPool, period: int) -> tuple[int, ...]:
    return tuple(s for s, bit in zip(pool.uplink_subframes(period), pool.sc_bitmap, strict=False) if bit == "1")


@lru_cache(maxsize=64)
def _pssch_subframes(pool: CommPool, period: int) -> tuple[int, ...]:
    begin = pool.period_start(period) + pool.data_offset
    uplink = [s for s in pool.uplink_subframes(period) if s >= begin]
    return tuple(s for j, s in enumerate(uplink) if pool.data_bitmap[j % len(pool.data_bitmap)] == "1")


@lru_cache(maxsize=256)
def _pssch_transmissions(pool: ScPool, period: int, i_trp: int) -> tuple[tuple[int, int, int, int], ...]:
    bitmap = trp_bitmap(i_trp, n_trp(pool.tdd_config))
    used = [(s, j % 10) for j, s in enumerate(pool.pssch_subframes(period)) if bitmap[j % len(bitmap)]]
    whole = len(used) // len(RV_SEQUENCE) * len(RV_SEQUENCE)
    return tuple((*used[i], i // len(RV_SEQUENCE), RV_SEQUENCE[i % len(RV_SEQUENCE)]) for i in range(whole))


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscPool:
    """A discovery pool (SL-DiscResourcePool): PSDCH, two PRBs to a transmission.

    `disc_period` in radio frames, as RRC has it. Raises PoolError.
    """

    n_rb_sl: int
    disc_period: int = 32
    offset: int = 0
    bitmap: str
    num_retx: int = 0
    num_repetition: int = 1
    prb_num: int
    prb_start: int
    prb_end: int
    cp: Cp = Cp.NORMAL
    tdd_config: int | None = None
    tx: SlTxParameters = FULL_POWER

    def __post_init__(self) -> None:
        if self.disc_period not in _DISC_PERIODS_RF:
            raise PoolError(f"discPeriod {self.disc_period} is not one of {_DISC_PERIODS_RF} radio frames")
        if not 0 <= self.offset < self.disc_period * SUBFRAMES_PER_FRAME:
            raise PoolError(f"offsetIndicator {self.offset} is outside the discPeriod of {self.disc_period} frames")
        if not 0 <= self.num_retx <= 3:
            raise PoolError(f"numRetx {self.num_retx} is outside 0..3")
        if not 1 <= self.num_repetition <= 50:
            raise PoolError(f"numRepetition {self.num_repetition} is outside 1..50")
        check_bitmap("subframeBitmap of the PSDCH", self.bitmap)
        if not self.n_resources:
            raise PoolError("the discovery pool holds no resource")

    @property
    def _periods(self) -> Periods:
        return Periods(length=self.disc_period * SUBFRAMES_PER_FRAME, offset=self.offset)

    def period_of(self, subframe: int) -> int:
        """Number of the discovery period `subframe` lies in; it counts up without wrapping."""
        return self._periods.of(subframe)

    def period_start(self, period: int) -> int:
        """First subframe of a discovery period."""
        return self._periods.start(period)

    def psdch_subframes(self, period: int) -> tuple[int, ...]:
        """The PSDCH subframe pool of one period, ascending (TS 36.213 14.3.3)."""
        return _psdch_subframes(self, period)

    @property
    def psdch_prbs(self) -> tuple[int, ...]:
        """The PSDCH resource block pool, ascending."""
        return prb_pool(self.prb_num, self.prb_start, self.prb_end, self.n_rb_sl)

    @property
    def n_t(self) -> int:
        """N_t: groups of subframes for one message and its repeats (TS 36.213 14.3.1)."""
        return len(self.psdch_subframes(0)) // (self.num_retx + 1)

    @property
    def n_f(self) -> int:
        """N_f: pairs of PRBs (TS 36.213 14.3.1)."""
        return len(self.psdch_prbs) // 2

    @property
    def n_resources(self) -> int:
        """Number of PSDCH resources of a period."""
        return self.n_t * self.n_f

    def transmissions(self, period: int, n_psdch: int) -> tuple[tuple[int, int, int, int], ...]:
        """(subframe, first PRB, j, rv) of each transmission on `n_psdch`, j from 1 (type 1). Raises PoolError."""
        if not 0 <= n_psdch < self.n_resources:
            raise PoolError(f"n_PSDCH {n_psdch} is outside 0..{self.n_resources - 1}")
        a, b = divmod(n_psdch, self.n_t)
        return self.transmissions_at(period, a, b)

    def transmissions_at(self, period: int, a: int, b: int) -> tuple[tuple[int, int, int, int], ...]:
        """The same for the PRB pair `a` and subframe group `b` of a scheduled resource (type 2B)."""
        subframes, prbs = self.psdch_subframes(period), self.psdch_prbs
        n_tx = self.num_retx + 1
        result = []
        for j in range(1, n_tx + 1):
            pair = ((j - 1) * (self.n_f // n_tx) + a) % self.n_f
            result.append((subframes[n_tx * b + j - 1], prbs[2 * pair], j, RV_SEQUENCE[j - 1]))
        return tuple(result)

    def type_2b_step(self, a: int, b: int, n: tuple[int, int, int], n_periods: int) -> tuple[int, int]:
        """(a, b) of the next period from this one's by type 2B hopping (TS 36.213 14.3.1).

        `n` is (N1, N2, N3), RRC's a, b and c; `n_periods` the periods since N2 was received.
        """
        n1, n2, n3 = n
        index = a + self.n_f * b
        return ((n2 + n_periods) % 10 + index // self.n_t) % self.n_f, (n1 + n3 * a + self.n_f * b) % self.n_t


@lru_cache(maxsize=64)
def _psdch_subframes(pool: DiscPool, period: int) -> tuple[int, ...]:
    uplink = pool._periods.uplink_subframes(period, pool.tdd_config)
    repeated = pool.bitmap * pool.num_repetition
    return tuple(s for s, bit in zip(uplink, repeated, strict=False) if bit == "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncConfig:
    """Subframes of SLSS and PSBCH: one or two syncOffsetIndicators in every `period` subframes. Raises PoolError."""

    offset_indicators: tuple[int, ...]
    period: int = 40
    tx: SlTxParameters = FULL_POWER

    def __post_init__(self) -> None:
        if len(self.offset_indicators) not in (1, 2):
            raise PoolError(f"one or two syncOffsetIndicators are needed, not {len(self.offset_indicators)}")
        for offset in self.offset_indicators:
            if not 0 <= offset < self.period:
                raise PoolError(f"syncOffsetIndicator {offset} is outside 0..{self.period - 1}")

    def is_sync_subframe(self, subframe: int) -> bool:
        """Whether SLSS may stand in `subframe`."""
        return subframe % self.period in self.offset_indicators


@dataclass(frozen=True, slots=True, kw_only=True)
class SidelinkPools:
    """All pools of one sidelink carrier, `scheduled` those of mode 1. Raises PoolError where bandwidths disagree.

    `max_tx_power_dbm` is what the UE has for the whole channel.
    """

    n_prb: int
    sync: SyncConfig
    comm: tuple[CommPool, ...] = ()
    scheduled: tuple[ScPool, ...] = ()
    disc: tuple[DiscPool, ...] = ()
    max_tx_power_dbm: int = MAX_TX_POWER_DBM

    def __post_init__(self) -> None:
        widths = [pool.n_rb_sl for pool in (*self.comm, *self.scheduled)] + [pool.n_rb_sl for pool in self.disc]
        for n_rb_sl in set(widths) - {self.n_prb}:
            raise PoolError(f"a pool for {n_rb_sl} PRB on a carrier of {self.n_prb}")
