"""MasterInformationBlock-SL: the 40 bits of the SL-BCH, and the 48 bits of its V2X form (TS 36.331 6.5.2).

The message has no optional fields, so its UPER encoding is a row of fixed-width fields, and is written as such here.
Values that the ASN.1 calls spare are refused when read: a MIB with one is taken for noise with a good CRC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from radio.arrays import Bits
from radio.errors import RadioError
from radio.phy.dsp.bitfields import pack_fields, unpack_fields

_BANDWIDTHS_PRB = (6, 15, 25, 50, 75, 100)
_FIELD_WIDTHS = (3, 3, 10, 4, 1)
_N_SUBFRAMES = 10


class MibError(RadioError):
    """Bits that are not a MIB-SL, for example because of a spare bandwidth value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MibSl:
    """MIB-SL of transmission modes 1 and 2.

    `tdd_config` is the value of the tdd-ConfigSL field: 0 for none (FDD), 1..7 for sa0..sa6. `dfn` is the direct frame
    number, `subframe` the direct subframe number.
    """

    bandwidth_prb: int
    tdd_config: int = 0
    dfn: int
    subframe: int
    in_coverage: bool
    reserved: int = 0

    N_RESERVED_BITS: ClassVar[int] = 19

    def to_bits(self) -> Bits:
        """UPER bits of the message, uint8 (n_bits(),). Raises MibError or BitFieldError for values without encoding."""
        if self.bandwidth_prb not in _BANDWIDTHS_PRB:
            raise MibError(f"sl-Bandwidth of {self.bandwidth_prb} PRB is not one of {_BANDWIDTHS_PRB}")
        if not 0 <= self.subframe < _N_SUBFRAMES:
            raise MibError(f"directSubframeNumber {self.subframe} is outside 0..9")
        return pack_fields(
            (
                ("sl-Bandwidth", _BANDWIDTHS_PRB.index(self.bandwidth_prb), 3),
                ("tdd-ConfigSL", self.tdd_config, 3),
                ("directFrameNumber", self.dfn, 10),
                ("directSubframeNumber", self.subframe, 4),
                ("inCoverage", int(self.in_coverage), 1),
                ("reserved", self.reserved, self.N_RESERVED_BITS),
            )
        )

    @classmethod
    def from_bits(cls, bits: Bits) -> Self:
        """Decode `bits`, uint8 (n_bits(),).

        Raises MibError for undefined values and BitFieldError for a wrong length.
        """
        bandwidth, tdd, dfn, subframe, in_coverage, reserved = unpack_fields(
            bits, (*_FIELD_WIDTHS, cls.N_RESERVED_BITS)
        )
        if bandwidth >= len(_BANDWIDTHS_PRB):
            raise MibError(f"sl-Bandwidth value {bandwidth} is spare")
        if subframe >= _N_SUBFRAMES:
            raise MibError(f"directSubframeNumber {subframe} is outside 0..9")
        return cls(
            bandwidth_prb=_BANDWIDTHS_PRB[bandwidth],
            tdd_config=tdd,
            dfn=dfn,
            subframe=subframe,
            in_coverage=bool(in_coverage),
            reserved=reserved,
        )

    @classmethod
    def n_bits(cls) -> int:
        """Size of the message in bits."""
        return sum(_FIELD_WIDTHS) + cls.N_RESERVED_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class MibSlV2x(MibSl):
    """MIB-SL-V2X of transmission modes 3 and 4: the same fields with more reserved bits."""

    N_RESERVED_BITS: ClassVar[int] = 27
