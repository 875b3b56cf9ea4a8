"""How an SCI format 1 can be read when the sub-channels of its pool are not known.

The length of the field Frequency resource location depends on numSubchannel, and the width of the PSSCH on
sizeSubchannel: one SCI reads differently for each division of the carrier. Readings with a field out of range or with
reserved bits set are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from radio.arrays import Bits
from radio.errors import RadioError
from radio.phy.lte.channels.sci import SciFormat1
from radio.phy.lte.grid.precoding_width import largest_valid_width
from radio.phy.lte.grid.riv import decode_riv
from radio.phy.lte.grid.tbs import v2x_modulation_order, v2x_transport_block_size
from radio.phy.lte.pools.power_control import N_V2X_PSCCH_PRBS
from radio.phy.lte.pools.v2x import NUMBERS_SUBCHANNEL, SIZES_SUBCHANNEL


@dataclass(frozen=True, slots=True, kw_only=True)
class SubChannels:
    """Sub-channels of a V2X pool: PRBs in one, and how many there are."""

    size: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An SCI read for one division into sub-channels."""

    sci: SciFormat1
    sub_channels: SubChannels
    n_used: int

    def nominal_width(self, *, is_adjacent: bool) -> int:
        """PRBs left to the PSSCH, with PSCCH beside it in the same sub-channel or elsewhere."""
        n_prb = self.n_used * self.sub_channels.size
        return n_prb - N_V2X_PSCCH_PRBS if is_adjacent else n_prb

    def width(self, *, is_adjacent: bool) -> int:
        """PRBs of the PSSCH: as many of those as transform precoding has a size for (TS 36.213 14.1.1.4C)."""
        return largest_valid_width(self.nominal_width(is_adjacent=is_adjacent))

    @property
    def qm(self) -> int:
        """Bits of a symbol. Raises TransportBlockSizeError."""
        return v2x_modulation_order(self.sci.mcs, self.sci.transmission_format)

    def block_bits(self, n_prb: int) -> int:
        """Bits of a transport block on `n_prb` PRBs. Raises TransportBlockSizeError."""
        return v2x_transport_block_size(self.sci.mcs, n_prb, self.sci.transmission_format)

    def block_sizes(self, *, is_adjacent: bool) -> Iterator[tuple[int, int]]:
        """(PRBs, bits) that the block may have: by the PRBs sent, then by the nominal width.

        TS 36.213 14.1.1.4C has the size follow the PRBs sent; there are generators that look up the nominal width.
        Raises TransportBlockSizeError.
        """
        width, nominal = self.width(is_adjacent=is_adjacent), self.nominal_width(is_adjacent=is_adjacent)
        yield width, self.block_bits(width)
        if nominal != width and self.block_bits(nominal) != self.block_bits(width):
            yield nominal, self.block_bits(nominal)


def divisions(n_prb: int) -> list[SubChannels]:
    """Every division of the carrier into sub-channels, those that leave the fewest PRBs over first."""
    fitting = [SubChannels(size=s, count=c) for s, c in product(SIZES_SUBCHANNEL, NUMBERS_SUBCHANNEL) if s * c <= n_prb]
    return sorted(fitting, key=lambda division: n_prb - division.size * division.count)


def readings(bits: Bits, among: Sequence[SubChannels]) -> list[Reading]:
    """Readings of an SCI, `bits` uint8 (32,), without a contradiction, in the order of the divisions."""
    if len(among) > 1:
        return _readings(bits, among)
    return list(_readings_of_one(np.packbits(bits).tobytes(), bits.size, among[0])) if among else []


@lru_cache(maxsize=1024)
def _readings_of_one(octets: bytes, n_bits: int, division: SubChannels) -> tuple[Reading, ...]:
    """Readings in a known pool, cached: its SCIs repeat."""
    return tuple(_readings(np.unpackbits(np.frombuffer(octets, dtype=np.uint8), count=n_bits), (division,)))


def _readings(bits: Bits, among: Sequence[SubChannels]) -> list[Reading]:
    scis: dict[int, tuple[SciFormat1, int] | None] = {}
    result = []
    for division in among:
        if division.count not in scis:
            scis[division.count] = _read(bits, division.count)
        read = scis[division.count]
        if read is None:
            continue
        reading = Reading(sci=read[0], sub_channels=division, n_used=read[1])
        try:
            reading.block_bits(reading.width(is_adjacent=True))
        except RadioError:
            continue
        result.append(reading)
    return result


def _read(bits: Bits, count: int) -> tuple[SciFormat1, int] | None:
    """The SCI in a pool of `count` sub-channels and how many it uses; None where its fields contradict that."""
    try:
        sci = SciFormat1.from_bits(bits, count)
        _, n_used = decode_riv(sci.frequency_location, count)
    except RadioError:
        return None
    return None if sci.reserved else (sci, n_used)
