"""PSSCH frequency hopping between subframes: type 1 and the predefined pattern of type 2.

Hopping sends the transmissions of a block on different PRBs, so that a fade or a collision on some of them does not
hit all. Type 1 shifts the whole allocation by a fraction of the hopping bandwidth in every second subframe; the SCI
says which fraction. Type 2 moves each virtual resource block to a sub-band that a Gold sequence chooses, and may mirror
it inside the sub-band; the pool's configuration says how many sub-bands there are.

The allocation field of a hopping SCI gives its top bits to the choice of the type, so the RIV beside them is shorter
and can stand for narrow allocations only. Both ends compute the positions from the counter n_ssf of the pool's
subframes, not from the frame number.

TS 36.213 8.4, 14.1.1.2, 14.1.1.4 and TS 36.211 5.3.4, 9.3.6. Positions count inside the PSSCH resource block pool in
transmission mode 2 and over the carrier in mode 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from radio.errors import RadioError
from radio.phy.dsp.sequences import gold_sequence
from radio.phy.lte.grid.riv import decode_riv, riv_width

_WIDE_BAND_PRB = 50
"""From this bandwidth on there are two hopping bits (TS 36.213 Table 8.4-1)."""
_TYPE_1_SHIFT_QUARTERS = {1: (2,), 2: (1, -1, 2)}
"""Hopped position's shift in quarters of the hopping bandwidth (TS 36.213 Table 8.4-2); type 2 is the value after."""
_C_INIT_OF_HOPPING_PARAMETER_504 = 510
_N_PATTERN_SUBFRAMES = 10


class HoppingError(RadioError):
    """Hopping parameters or an allocation that the pool cannot hop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoppingConfig:
    """dataHoppingConfig of a pool (TS 36.331 SL-HoppingConfigComm). Raises HoppingError."""

    hopping_parameter: int = 0
    num_subbands: int = 1
    rb_offset: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.hopping_parameter <= 504:
            raise HoppingError(f"hoppingParameter {self.hopping_parameter} is outside 0..504")
        if self.num_subbands not in (1, 2, 4):
            raise HoppingError(f"numSubbands {self.num_subbands} is not 1, 2 or 4")
        if not 0 <= self.rb_offset <= 110:
            raise HoppingError(f"rb-Offset {self.rb_offset} is outside 0..110")

    @property
    def c_init(self) -> int:
        """Start value of the hopping sequence (TS 36.211 9.3.6)."""
        if self.hopping_parameter == 504:
            return _C_INIT_OF_HOPPING_PARAMETER_504
        return self.hopping_parameter

    @property
    def even_rb_offset(self) -> int:
        """rb-Offset rounded up to an even number."""
        return self.rb_offset + self.rb_offset % 2


def n_hopping_bits(n_prb: int) -> int:
    """Hopping bits at the top of the allocation field on a carrier of `n_prb` PRBs."""
    return 2 if n_prb >= _WIDE_BAND_PRB else 1


def split_hopping_field(field: int, n_prb: int) -> tuple[int, int, int]:
    """(hopping bits, first PRB, length) of the allocation field of a hopping SCI. Raises RivError."""
    width = riv_width(n_prb) - n_hopping_bits(n_prb)
    first, length = decode_riv(field & ((1 << width) - 1), n_prb)
    return field >> width, first, length


def join_hopping_field(hopping_bits: int, riv: int, n_prb: int) -> int:
    """Allocation field of a hopping SCI. Raises HoppingError where the RIV leaves no room for the hopping bits."""
    width = riv_width(n_prb) - n_hopping_bits(n_prb)
    if riv >> width or hopping_bits >> n_hopping_bits(n_prb):
        raise HoppingError(f"RIV {riv} and hopping bits {hopping_bits} do not fit the field at {n_prb} PRB")
    return hopping_bits << width | riv


def hopped_positions(
    first: int, length: int, n_ssf: int, hopping_bits: int, n_prb: int, pool_size: int, config: HoppingConfig
) -> tuple[int, ...]:
    """Positions of an allocation in the pool subframe with counter `n_ssf`.

    `pool_size` is M_RB of the pool (mode 2) or N_RB^SL (mode 1): the width that is hopped over (TS 36.213 14.1.1.4).
    How many hopping bits there are, and so which shifts they stand for, follows from `n_prb`, N_RB^SL, in both modes:
    it is the layout of the SCI's field (14.1.1.2.1). Raises HoppingError where the positions leave the pool.
    """
    shifts = _TYPE_1_SHIFT_QUARTERS[n_hopping_bits(n_prb)]
    if hopping_bits < len(shifts):
        start = _type_1_start(first, n_ssf, shifts[hopping_bits], pool_size, config.even_rb_offset)
        positions = tuple(range(start, start + length))
    else:
        positions = tuple(_type_2_position(first + i, n_ssf, pool_size, config) for i in range(length))
    if min(positions) < 0 or max(positions) >= pool_size:
        raise HoppingError(f"{length} PRBs from {first} hop out of a pool of {pool_size}")
    return positions


def _type_1_start(first: int, n_ssf: int, shift_quarters: int, pool_size: int, even_offset: int) -> int:
    """First position by type 1: odd subframes as granted, even ones hopped (TS 36.213 8.4.1, 14.1.1.2.2)."""
    if n_ssf % 2:
        return first
    hopping_width = pool_size - even_offset - pool_size % 2
    if hopping_width < 1:
        raise HoppingError(f"rb-Offset leaves nothing to hop in a pool of {pool_size}")
    shift = (1 if shift_quarters > 0 else -1) * (hopping_width * abs(shift_quarters) // 4)
    return (first - even_offset // 2 + shift) % hopping_width + even_offset // 2


def _type_2_position(position: int, n_ssf: int, pool_size: int, config: HoppingConfig) -> int:
    """Position of one virtual resource block by the predefined pattern (TS 36.211 5.3.4)."""
    n_subbands = config.num_subbands
    margin = 0 if n_subbands == 1 else config.even_rb_offset // 2
    subband = pool_size if n_subbands == 1 else (pool_size - config.even_rb_offset) // n_subbands
    if subband < 1:
        raise HoppingError(f"rb-Offset and numSubbands leave nothing to hop in a pool of {pool_size}")
    f_hop, mirrored = _pattern(config.c_init, n_subbands)[n_ssf]
    shifted = position - margin + f_hop * subband
    mirror = subband - 1 - 2 * (shifted % subband) if mirrored else 0
    return (shifted + mirror) % (subband * n_subbands) + margin


@lru_cache(maxsize=256)
def _pattern(c_init: int, n_subbands: int) -> tuple[tuple[int, bool], ...]:
    """(f_hop, f_m) for n_ssf 0..9; the sequence starts anew where n_ssf is 0."""
    if n_subbands == 1:
        return tuple((0, bool(i % 2)) for i in range(_N_PATTERN_SUBFRAMES))
    sequence = gold_sequence(c_init, 10 * _N_PATTERN_SUBFRAMES)
    pattern = []
    f_hop = 0
    for i in range(_N_PATTERN_SUBFRAMES):
        block = sequence[10 * i : 10 * i + 10]
        number = sum(int(bit) << k for k, bit in enumerate(block[1:]))
        step = number if n_subbands == 2 else number % (n_subbands - 1) + 1
        f_hop = (f_hop + step) % n_subbands
        pattern.append((f_hop, bool(block[0])))
    return tuple(pattern)
