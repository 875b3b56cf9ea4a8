"""Survey of transmission modes 3 and 4: SCI format 1 and its PSSCH.

How an SCI reads depends on the number of sub-channels. Where that is not given, every number there is gets read; the
PSSCH is found by its reference signals, whose sequence depends on its width, and settles which reading is right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from radio.arrays import Bits, Grid
from radio.errors import RadioError
from radio.phy.blind_blocks import HeardTransmission, carries, decode_run, found_block
from radio.phy.dmrs import pssch_dmrs
from radio.phy.dmrs_search import dmrs_coherence
from radio.phy.layout import Mode, communication_layout
from radio.phy.mapping import largest_valid_width
from radio.phy.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.pssch import receive_pssch
from radio.phy.riv import decode_riv
from radio.phy.sci import SciFormat1
from radio.phy.subframe_timeline import RecordedSubframe, Timeline
from radio.phy.survey_findings import FoundBlock, FoundSci, Survey
from radio.phy.tbs import v2x_modulation_order, v2x_transport_block_size
from radio.phy.v2x_pscch import V2xPscchReception, receive_v2x_pscch

_RV_SEQUENCE = (0, 2)
"""Redundancy versions of transmission and retransmission (TS 36.321 5.14.1.2.2)."""
_COUNTS = (1, 3, 5, 8, 10, 15, 20)
_SIZES = (4, 5, 6, 8, 9, 10, 12, 15, 16, 18, 20, 25, 30, 48, 50, 72, 75, 96, 100)
"""numSubchannel and sizeSubchannel (TS 36.331 6.3.8 SL-CommResourcePoolV2X)."""
_N_PSCCH_PRBS = 2
_N_SSF = 10
_FALSE_ALARM = 1e-3
_LONGEST_SPREAD = 60
"""Subframes within which the repeat of a transport block is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubChannels:
    """Sub-channels of a V2X pool: PRBs in one, and how many there are."""

    size: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """An SCI read for one division into sub-channels."""

    sci: SciFormat1
    sub_channels: SubChannels
    n_used: int

    def width(self, *, is_adjacent: bool) -> int:
        """PRBs of the PSSCH, with PSCCH beside it in the same sub-channel or elsewhere (TS 36.213 14.1.1.4C)."""
        n_prb = self.n_used * self.sub_channels.size
        return largest_valid_width(n_prb - _N_PSCCH_PRBS if is_adjacent else n_prb)

    def block_bits(self, width: int) -> int:
        """Bits of the transport block on `width` PRBs. Raises TransportBlockSizeError."""
        return v2x_transport_block_size(self.sci.mcs, width, self.sci.transmission_format)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a PSSCH was found by its reference signals."""

    first_prb: int
    width: int
    n_ssf: int
    is_adjacent: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Initial:
    """An initial transmission, which a repeat may follow, and the finding it made."""

    heard: HeardTransmission
    sci: SciFormat1
    finding: FoundBlock


class V2xSurvey:
    """Goes through the subframes of a recording in order and fills a `Survey`."""

    def __init__(
        self, carrier: Carrier, timeline: Timeline, survey: Survey, sub_channels: SubChannels | None = None
    ) -> None:
        self._carrier = carrier
        self._timeline = timeline
        self._survey = survey
        self._divisions = _divisions(carrier.n_prb) if sub_channels is None else [sub_channels]
        self._dmrs_symbols = np.array(communication_layout(Mode.TM34, carrier.cp).dmrs)
        self._initial: list[_Initial] = []

    def take(self, subframe: RecordedSubframe) -> None:
        """Look for SCIs and receive what they announce in the same subframe."""
        prbs = range(self._carrier.n_prb - 1)
        for found in receive_v2x_pscch(self._carrier, subframe.grid, prbs, self._divisions[0].count):
            readings = self._readings(found)
            if not readings:
                continue
            place = self._place(subframe.grid, found, readings)
            reading = readings[0]
            if place is not None:
                fitting = [r for r in readings if r.width(is_adjacent=place.is_adjacent) == place.width]
                reading = self._receive(subframe, found, place, fitting)
            self._survey.sci.append(_finding(self._timeline, subframe, found, reading.sci))

    def _readings(self, found: V2xPscchReception) -> list[_Reading]:
        """Readings without a contradiction, those that fill the carrier best first."""
        readings = []
        for division in self._divisions:
            try:
                sci = SciFormat1.from_bits(found.bits, division.count)
                _, n_used = decode_riv(sci.frequency_location, division.count)
                reading = _Reading(sci=sci, sub_channels=division, n_used=n_used)
                reading.block_bits(reading.width(is_adjacent=True))
            except RadioError:
                continue
            if sci.reserved == 0:
                readings.append(reading)
        return readings

    def _place(self, grid: Grid, found: V2xPscchReception, readings: Sequence[_Reading]) -> _Place | None:
        """The clearest place of a PSSCH next to the PSCCH, else anywhere."""
        beside = {reading.width(is_adjacent=True) for reading in readings}
        starts = np.array([found.prb + _N_PSCCH_PRBS], dtype=np.int64)
        place = self._clearest(grid, found.crc, beside, starts, is_adjacent=True)
        if place is not None:
            return place
        apart = {reading.width(is_adjacent=False) for reading in readings}
        return self._clearest(grid, found.crc, apart, np.arange(self._carrier.n_prb), is_adjacent=False)

    def _clearest(
        self, grid: Grid, n_id_x: int, widths: set[int], starts: np.ndarray, *, is_adjacent: bool
    ) -> _Place | None:
        best, chosen = 0.0, None
        for width, n_ssf in product(sorted(widths), range(_N_SSF)):
            inside = starts[starts + width <= self._carrier.n_prb]
            if inside.size == 0:
                continue
            dmrs = pssch_dmrs(width, n_id_x, n_ssf, Mode.TM34)
            coherence, _ = dmrs_coherence(grid, inside * SUBCARRIERS_PER_PRB, self._dmrs_symbols, dmrs)
            i = int(np.argmax(coherence))
            n_tries = len(widths) * _N_SSF * starts.size
            n_products = self._dmrs_symbols.size * (width * SUBCARRIERS_PER_PRB - 1)
            if coherence[i] > max(best, math.sqrt(math.log(n_tries / _FALSE_ALARM) / n_products)):
                best = float(coherence[i])
                chosen = _Place(first_prb=int(inside[i]), width=width, n_ssf=n_ssf, is_adjacent=is_adjacent)
        return chosen

    def _receive(
        self, subframe: RecordedSubframe, found: V2xPscchReception, place: _Place, readings: Sequence[_Reading]
    ) -> _Reading:
        """Receive the PSSCH by each reading until one decodes; returns that one, else the first."""
        prbs = tuple(range(place.first_prb, place.first_prb + place.width))
        unsolved: list[HeardTransmission] = []
        for reading, n_ssf in product(readings, _scrambling_counters(place)):
            received = receive_pssch(
                self._carrier,
                subframe.grid,
                prbs,
                reading.sci.mcs,
                found.crc,
                n_ssf,
                Mode.TM34,
                dmrs_n_ssf=place.n_ssf,
                transmission_format=reading.sci.transmission_format,
            )
            heard = HeardTransmission.of(self._timeline, subframe, prbs, received)
            if self._solve(heard, reading):
                return reading
            unsolved.append(heard)
        self._note(unsolved[0], readings[0].sci, None)
        return readings[0]

    def _solve(self, heard: HeardTransmission, reading: _Reading) -> bool:
        """Decode a transmission alone, else with the initial one it repeats, and list the block."""
        sci, tb_bits = reading.sci, reading.block_bits(len(heard.prbs))
        qm = v2x_modulation_order(sci.mcs, sci.transmission_format)
        repeated = self._repeated_by(heard, sci)
        bits = decode_run((heard,), (_RV_SEQUENCE[sci.retransmission_index],), tb_bits, qm)
        for initial in repeated:
            if bits is None:
                bits = decode_run((initial.heard, heard), _RV_SEQUENCE, tb_bits, qm)
        if bits is None:
            return False
        for initial in repeated:
            if carries(initial.heard, bits, qm, _RV_SEQUENCE[0]):
                self._join(initial, heard, bits)
                return True
        self._note(heard, sci, bits)
        return True

    def _note(self, heard: HeardTransmission, sci: SciFormat1, bits: Bits | None) -> None:
        """List the block of one transmission; `bits` is None where its CRC failed."""
        finding = found_block((heard,), (_RV_SEQUENCE[sci.retransmission_index],), sci.mcs, bits)
        self._survey.transport_blocks.append(finding)
        self._initial = [i for i in self._initial if i.heard.subframe >= heard.subframe - _LONGEST_SPREAD]
        if sci.retransmission_index == 0 and sci.time_gap:
            self._initial.append(_Initial(heard=heard, sci=sci, finding=finding))

    def _join(self, initial: _Initial, heard: HeardTransmission, bits: Bits) -> None:
        """List a repeat with its initial transmission."""
        blocks = self._survey.transport_blocks
        blocks[blocks.index(initial.finding)] = found_block((initial.heard, heard), _RV_SEQUENCE, initial.sci.mcs, bits)
        self._initial.remove(initial)

    def _repeated_by(self, heard: HeardTransmission, sci: SciFormat1) -> list[_Initial]:
        """Initial transmissions that `heard` may repeat; the gap between them counts the pool's subframes only."""
        return [
            initial
            for initial in self._initial
            if replace(initial.sci, retransmission_index=1, frequency_location=sci.frequency_location) == sci
            and len(initial.heard.prbs) == len(heard.prbs)
            and sci.time_gap <= heard.subframe - initial.heard.subframe <= _LONGEST_SPREAD
        ]


def _scrambling_counters(place: _Place) -> tuple[int, ...]:
    """n_ssf to descramble with: that of the DMRS; any where a generator counted its DMRS from each subframe anew."""
    return (place.n_ssf,) if place.n_ssf else tuple(range(_N_SSF))


def _divisions(n_prb: int) -> list[SubChannels]:
    """Every division of the carrier into sub-channels, those that leave the fewest PRBs over first."""
    fitting = [SubChannels(size=s, count=c) for s, c in product(_SIZES, _COUNTS) if s * c <= n_prb]
    return sorted(fitting, key=lambda division: n_prb - division.size * division.count)


def _finding(timeline: Timeline, subframe: RecordedSubframe, found: V2xPscchReception, sci: SciFormat1) -> FoundSci:
    return FoundSci(
        subframe=subframe.index,
        prb=found.prb,
        sci=sci,
        bits=found.bits,
        crc=found.crc,
        snr_db=found.snr_db,
        evm_db=found.evm_db,
        cfo_hz=subframe.cfo_hz + found.cfo_hz,
        timing_samples=timeline.timing_of(subframe, found.timing_error_samples),
    )
