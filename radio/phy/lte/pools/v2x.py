"""Resource pools of transmission modes 3 and 4: sub-channels, the resources of an SCI format 1, and reservations.

A pool divides its PRBs into sub-channels of equal size, and uses the subframes that a bitmap allows. A transmission
takes one or more contiguous sub-channels: two PRBs for PSCCH, the rest for PSSCH. An SCI describes both transmissions
of a block, and is the same in both: it gives the gap between them in subframes, and one number (RIV) with the first
sub-channel of the *other* transmission and the common length. So a receiver of either one finds the other. The resource
reservation field says after how many subframes the sender keeps the same sub-channels again. All counting runs over the
subframes of the pool (`v2x_subframes`), not over the frame number.

TS 36.213 14.1.1.4A to 14.1.1.4C, 14.1.1.7, 14.1.5, 14.2.1, 14.2.4, with the parameter names of TS 36.331 6.3.8
(SL-CommResourcePoolV2X).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from radio.phy.lte.channels.sci import SciFormat1
from radio.phy.lte.grid.precoding_width import largest_valid_width
from radio.phy.lte.grid.riv import decode_riv, encode_riv
from radio.phy.lte.pools.geometry import PoolError, check_bitmap
from radio.phy.lte.pools.mode2 import SyncConfig
from radio.phy.lte.pools.power_control import N_V2X_PSCCH_PRBS
from radio.phy.lte.pools.v2x_subframes import V2xSubframes

V2X_RV_SEQUENCE = (0, 2)
"""Redundancy versions of the initial transmission and the retransmission (TS 36.321 5.14.1.2.2)."""
SIZES_SUBCHANNEL = (4, 5, 6, 8, 9, 10, 12, 15, 16, 18, 20, 25, 30, 48, 50, 72, 75, 96, 100)
NUMBERS_SUBCHANNEL = (1, 3, 5, 8, 10, 15, 20)
"""sizeSubchannel and numSubchannel (TS 36.331 6.3.8 SL-CommResourcePoolV2X)."""
_LARGEST_GAP = 15
_P_STEP = {None: 100, 0: 60, 1: 40, 2: 20, 3: 30, 4: 20, 5: 10, 6: 50}
"""By uplink-downlink configuration, None for FDD (TS 36.213 Table 14.1.1-1)."""
_RESERVATION_UNIT_MS = 100
_RESERVATIONS = {0: Fraction(0), **{i: Fraction(i) for i in range(1, 11)}, 11: Fraction(1, 2), 12: Fraction(1, 5)}
"""X by the value of the Resource reservation field (TS 36.213 Table 14.2.1-2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class V2xResource:
    """One transmission of a transport block: where PSCCH and PSSCH stand, and how PSSCH is coded and scrambled."""

    subframe: int
    n_ssf: int
    pscch_prb: int
    pssch_prbs: tuple[int, ...]
    rv: int


@dataclass(frozen=True, slots=True, kw_only=True)
class V2xPool:
    """A communication pool of modes 3 and 4 (SL-CommResourcePoolV2X).

    `sl_subframe` is the bitmap as text; `adjacency` is adjacencyPSCCH-PSSCH: the two PRBs of PSCCH are the lowest of
    the first sub-channel. Otherwise they stand in a pool of their own from `start_rb_pscch_pool` on. Raises PoolError.
    """

    n_rb_sl: int
    sl_subframe: str
    adjacency: bool = True
    size_subchannel: int
    num_subchannel: int
    start_rb_subchannel: int = 0
    start_rb_pscch_pool: int | None = None
    sync: SyncConfig | None = None
    tdd_config: int | None = None
    subframes: V2xSubframes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_bitmap("sl-Subframe", self.sl_subframe)
        if "1" not in self.sl_subframe:
            raise PoolError("sl-Subframe leaves the pool no subframe")
        if self.size_subchannel not in SIZES_SUBCHANNEL:
            raise PoolError(f"sizeSubchannel {self.size_subchannel} is not one of {SIZES_SUBCHANNEL}")
        if self.num_subchannel not in NUMBERS_SUBCHANNEL:
            raise PoolError(f"numSubchannel {self.num_subchannel} is not one of {NUMBERS_SUBCHANNEL}")
        self._check_band("the sub-channels", self.start_rb_subchannel, self.size_subchannel * self.num_subchannel)
        if self.adjacency == (self.start_rb_pscch_pool is not None):
            raise PoolError("startRB-PSCCH-Pool belongs to pools whose PSCCH and PSSCH need not be adjacent")
        if self.start_rb_pscch_pool is not None:
            self._check_band("the PSCCH pool", self.start_rb_pscch_pool, N_V2X_PSCCH_PRBS * self.num_subchannel)
        subframes = V2xSubframes(bitmap_length=len(self.sl_subframe), sync=self.sync, tdd_config=self.tdd_config)
        object.__setattr__(self, "subframes", subframes)

    def _check_band(self, what: str, first: int, n_prb: int) -> None:
        if first < 0 or first + n_prb > self.n_rb_sl:
            raise PoolError(f"{what}, {n_prb} PRBs from {first}, leave the carrier of {self.n_rb_sl}")

    def is_pool_subframe(self, subframe: int) -> bool:
        """Whether PSCCH and PSSCH may stand in `subframe` (TS 36.213 14.1.5)."""
        position = self.subframes.bitmap_position(subframe)
        return position is not None and self.sl_subframe[position] == "1"

    def subchannel_prbs(self, m: int) -> tuple[int, ...]:
        """PRBs of sub-channel `m` (TS 36.213 14.1.5). Raises PoolError."""
        self._check_subchannels(m, 1)
        first = self.start_rb_subchannel + m * self.size_subchannel
        return tuple(range(first, first + self.size_subchannel))

    def pscch_prb(self, m: int) -> int:
        """Lower PRB of PSCCH resource `m` (TS 36.213 14.2.4). Raises PoolError."""
        if self.start_rb_pscch_pool is None:
            return self.subchannel_prbs(m)[0]
        self._check_subchannels(m, 1)
        return self.start_rb_pscch_pool + N_V2X_PSCCH_PRBS * m

    @property
    def pscch_prbs(self) -> tuple[int, ...]:
        """Lower PRB of every PSCCH resource: what a receiver has to try."""
        return tuple(self.pscch_prb(m) for m in range(self.num_subchannel))

    def pssch_prbs(self, m: int, n_subchannels: int) -> tuple[int, ...]:
        """PRBs of a PSSCH on `n_subchannels` sub-channels from `m` on: as many as transform precoding has a size for.

        TS 36.213 14.1.1.4C. Raises PoolError.
        """
        self._check_subchannels(m, n_subchannels)
        beta = N_V2X_PSCCH_PRBS if self.adjacency else 0
        n_prb = largest_valid_width(n_subchannels * self.size_subchannel - beta)
        first = self.start_rb_subchannel + m * self.size_subchannel + beta
        return tuple(range(first, first + n_prb))

    def _check_subchannels(self, m: int, n_subchannels: int) -> None:
        if m < 0 or n_subchannels < 1 or m + n_subchannels > self.num_subchannel:
            raise PoolError(f"{n_subchannels} sub-channels from {m} leave the pool of {self.num_subchannel}")

    def frequency_location(self, m: int, n_subchannels: int) -> int:
        """The SCI's field for the *other* transmission's first sub-channel `m` and the length of both.

        TS 36.213 14.1.1.4C. Raises RivError.
        """
        return encode_riv(m, n_subchannels, self.num_subchannel)

    def resources(self, sci: SciFormat1, subframe: int, m: int) -> tuple[V2xResource, ...]:
        """Both transmissions, or the only one, that an SCI on PSCCH resource `m` of `subframe` stands for, in order.

        TS 36.213 14.1.1.4C. Raises PoolError or RivError where the SCI points out of the pool.
        """
        other, n_subchannels = decode_riv(sci.frequency_location, self.num_subchannel)
        counter = self.subframes.counter_of(subframe)
        if counter is None:
            raise PoolError(f"subframe {subframe} is SLSS, downlink or reserved")
        if sci.time_gap == 0:
            return (self._resource(counter, m, n_subchannels, V2X_RV_SEQUENCE[sci.retransmission_index]),)
        places = [(counter, m), (counter + sci.time_gap, other)]
        if sci.retransmission_index:
            places = [(counter - sci.time_gap, other), (counter, m)]
        return tuple(
            self._resource(k, first, n_subchannels, rv) for (k, first), rv in zip(places, V2X_RV_SEQUENCE, strict=True)
        )

    def _resource(self, counter: int, m: int, n_subchannels: int, rv: int) -> V2xResource:
        subframe = self.subframes.subframe_at(counter)
        return V2xResource(
            subframe=subframe,
            n_ssf=self.subframes.n_ssf(subframe),
            pscch_prb=self.pscch_prb(m),
            pssch_prbs=self.pssch_prbs(m, n_subchannels),
            rv=rv,
        )

    def reservation_step(self, interval_ms: int) -> int:
        """P'_rsvp: subframes of the set in a reservation interval, P_step P_rsvp / 100 (TS 36.213 14.1.1.4B).

        Raises PoolError where the interval is no whole number of them.
        """
        step, rest = divmod(_P_STEP[self.tdd_config] * interval_ms, _RESERVATION_UNIT_MS)
        if rest or step < 1:
            raise PoolError(f"a reservation interval of {interval_ms} ms is no whole number of the pool's subframes")
        return step

    def reserved_subframes(self, subframe: int, interval_ms: int, n_transmissions: int) -> tuple[int, ...]:
        """t_(m + j P') for j = 0 .. n - 1: where the same sub-channels are kept (TS 36.213 14.1.1.4A, 14.1.1.4B).

        Raises PoolError.
        """
        counter = self.subframes.counter_of(subframe)
        if counter is None:
            raise PoolError(f"subframe {subframe} is SLSS, downlink or reserved")
        step = self.reservation_step(interval_ms)
        return tuple(self.subframes.subframe_at(counter + j * step) for j in range(n_transmissions))

    def is_retransmission_gap(self, gap: int, interval_ms: int) -> bool:
        """Whether two sets of reserved subframes may lie `gap` apart (TS 36.213 14.1.1.7). Raises PoolError."""
        return gap != 0 and abs(gap) <= _LARGEST_GAP and gap % self.reservation_step(interval_ms) != 0


def reservation_field(interval_ms: int) -> int:
    """The Resource reservation field for an interval, 0 ms for none (TS 36.213 Table 14.2.1-2). Raises PoolError."""
    x = Fraction(interval_ms, _RESERVATION_UNIT_MS)
    for value, meant in _RESERVATIONS.items():
        if meant == x:
            return value
    raise PoolError(f"no Resource reservation field stands for {interval_ms} ms")


def reservation_interval_ms(value: int) -> int:
    """The interval a Resource reservation field stands for, 0 where none is kept. Raises PoolError if reserved."""
    if value not in _RESERVATIONS:
        raise PoolError(f"Resource reservation {value} is reserved")
    return int(_RESERVATIONS[value] * _RESERVATION_UNIT_MS)
