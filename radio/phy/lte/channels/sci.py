"""Sidelink control information, formats 0 and 1 (TS 36.212 5.4.3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from radio.arrays import Bits
from radio.phy.dsp.bitfields import pack_fields, unpack_fields
from radio.phy.lte.grid.riv import riv_width


def sci_format_0_size(n_prb: int) -> int:
    """Bits of SCI format 0 on a carrier of `n_prb` PRBs."""
    return sum(_format_0_widths(n_prb))


def _format_0_widths(n_prb: int) -> tuple[int, ...]:
    return 1, riv_width(n_prb), 7, 5, 11, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SciFormat0:
    """Scheduling of PSSCH in transmission modes 1 and 2.

    `riv` is the whole "resource block assignment and hopping resource allocation" field; with `hopping` its top bits
    are the hopping bits (TS 36.213 8.4, see radio.phy.lte.grid.hopping).
    """

    hopping: bool = False
    riv: int
    i_trp: int
    mcs: int
    timing_advance: int = 0
    group_destination_id: int

    def to_bits(self, n_prb: int) -> Bits:
        """Bits of the message on a carrier of `n_prb` PRBs, uint8 (sci_format_0_size(n_prb),). Raises BitFieldError."""
        values = (
            ("frequency hopping flag", int(self.hopping)),
            ("resource block assignment", self.riv),
            ("time resource pattern", self.i_trp),
            ("modulation and coding scheme", self.mcs),
            ("timing advance indication", self.timing_advance),
            ("group destination ID", self.group_destination_id),
        )
        widths = _format_0_widths(n_prb)
        return pack_fields((name, value, width) for (name, value), width in zip(values, widths, strict=True))

    @classmethod
    def from_bits(cls, bits: Bits, n_prb: int) -> Self:
        """Decode `bits`, uint8 (n,), on a carrier of `n_prb` PRBs. Raises BitFieldError for a wrong length."""
        hopping, riv, i_trp, mcs, timing_advance, group_destination_id = unpack_fields(bits, _format_0_widths(n_prb))
        return cls(
            hopping=bool(hopping),
            riv=riv,
            i_trp=i_trp,
            mcs=mcs,
            timing_advance=timing_advance,
            group_destination_id=group_destination_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SciFormat1:
    """Scheduling of PSSCH in transmission modes 3 and 4 (V2X).

    `frequency_location` is the RIV of the sub-channels of the initial transmission and retransmission, `time_gap` the
    gap between them in subframes (0: no retransmission).
    """

    priority: int
    resource_reservation: int
    frequency_location: int
    time_gap: int
    mcs: int
    retransmission_index: int
    transmission_format: int = 0
    reserved: int = 0

    N_BITS: ClassVar[int] = 32

    @classmethod
    def _widths(cls, n_subchannels: int) -> tuple[int, ...]:
        used = (3, 4, riv_width(n_subchannels), 4, 5, 1, 1)
        return *used, cls.N_BITS - sum(used)

    def to_bits(self, n_subchannels: int) -> Bits:
        """The message for a pool of `n_subchannels` sub-channels, uint8 (32,). Raises BitFieldError."""
        values = (
            ("priority", self.priority),
            ("resource reservation", self.resource_reservation),
            ("frequency resource location", self.frequency_location),
            ("time gap", self.time_gap),
            ("modulation and coding scheme", self.mcs),
            ("retransmission index", self.retransmission_index),
            ("transmission format", self.transmission_format),
            ("reserved", self.reserved),
        )
        widths = self._widths(n_subchannels)
        return pack_fields((name, value, width) for (name, value), width in zip(values, widths, strict=True))

    @classmethod
    def from_bits(cls, bits: Bits, n_subchannels: int) -> Self:
        """Decode `bits`, uint8 (32,), for a pool of `n_subchannels` sub-channels.

        Raises BitFieldError for a wrong length.
        """
        values = unpack_fields(bits, cls._widths(n_subchannels))
        priority, reservation, location, gap, mcs, index, transmission_format, reserved = values
        return cls(
            priority=priority,
            resource_reservation=reservation,
            frequency_location=location,
            time_gap=gap,
            mcs=mcs,
            retransmission_index=index,
            transmission_format=transmission_format,
            reserved=reserved,
        )
