"""The findings of a survey. `subframe` counts the subframes of the recording from 0."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, assert_never

from radio.arrays import Bits, Iq
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.sci import SciFormat0, SciFormat1
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Cp


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSlss:
    """A synchronisation signal; `timing_samples` is the start of its subframe in the recording."""

    n_sl_id: int
    mode: Mode
    cp: Cp
    timing_samples: float
    cfo_hz: float
    snr_db: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundMib:
    """A MIB-SL with a good CRC."""

    subframe: int
    n_sl_id: int
    mib: MibSl
    bits: Bits
    snr_db: float
    evm_db: float
    cfo_hz: float
    timing_samples: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundSci:
    """An SCI of either format with a good CRC; `crc` is the value of its CRC bits.

    `is_confirmed` says whether something beside CRC and agreement speaks for it: it was heard again, its PSSCH was
    found, or (format 0) it holds no timing advance, as in mode 2. `times_heard` counts what was heard of it by then,
    `agreement` is the share of its soft bits' amplitude that its codeword explains, 0 to 1.
    """

    subframe: int
    prb: int
    sci: SciFormat0 | SciFormat1
    bits: Bits
    crc: int
    snr_db: float
    evm_db: float
    cfo_hz: float
    timing_samples: float
    is_confirmed: bool = True
    times_heard: int = 1
    agreement: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundBlock:
    """An SL-SCH transport block over the transmissions that were found; `bits` is empty where no CRC held.

    `size_n_prb` is the number of PRBs that its size belongs to: that of `prbs`, but for generators that took the
    nominal width of the sub-channels.
    """

    subframes: tuple[int, ...]
    rvs: tuple[int, ...]
    prbs: tuple[int, ...]
    mcs: int
    bits: Bits
    crc_ok: bool
    snr_db: float
    evm_db: float
    cfo_hz: float
    timing_samples: float
    symbols: Iq = field(repr=False)
    size_n_prb: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundDiscovery:
    """A discovery message: the transmissions that were combined, and the verdict of its CRC."""

    subframes: tuple[int, ...]
    prb: int
    message: bytes
    crc_ok: bool
    snr_db: float
    evm_db: float
    cfo_hz: float
    timing_samples: float


Finding: TypeAlias = FoundSlss | FoundMib | FoundSci | FoundBlock | FoundDiscovery


class FindingSink(Protocol):
    """The port for the receiver of findings. Findings of one kind come in the order of time."""

    def take(self, finding: Finding) -> None:
        """Take one finding."""
        ...


@dataclass(slots=True, kw_only=True)
class Survey:
    """All findings of one recording, in the order of time."""

    slss: list[FoundSlss] = field(default_factory=list)
    mib_sl: list[FoundMib] = field(default_factory=list)
    sci: list[FoundSci] = field(default_factory=list)
    transport_blocks: list[FoundBlock] = field(default_factory=list)
    discovery: list[FoundDiscovery] = field(default_factory=list)

    def take(self, finding: Finding) -> None:
        """Add one finding to the list of its kind."""
        match finding:
            case FoundSlss():
                self.slss.append(finding)
            case FoundMib():
                self.mib_sl.append(finding)
            case FoundSci():
                self.sci.append(finding)
            case FoundBlock():
                self.transport_blocks.append(finding)
            case FoundDiscovery():
                self.discovery.append(finding)
            case _ as never:
                assert_never(never)
