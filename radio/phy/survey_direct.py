"""Survey of transmission modes 1 and 2: SCI format 0 and PSSCH with no knowledge of the resource pools.

An SCI tells width, modulation, group destination and time pattern of its PSSCH but, without the pool, not where in the
carrier nor at which pool subframe it stands: the reference signals, which depend on both, tell that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from radio.errors import RadioError
from radio.phy.blind_blocks import BlindCombiner, HeardTransmission, carries, found_block
from radio.phy.blind_control import LONGEST_SPREAD, BlindControl
from radio.phy.blind_places import BlindPlaces, Place, allocation
from radio.phy.layout import Mode
from radio.phy.mapping import is_valid_width
from radio.phy.numerology import Carrier
from radio.phy.pools import RV_SEQUENCE
from radio.phy.pscch import PscchReception, receive_pscch
from radio.phy.pssch import receive_pssch
from radio.phy.sci import SciFormat0
from radio.phy.subframe_timeline import RecordedSubframe, Timeline
from radio.phy.survey_findings import FoundBlock, FoundSci, Survey
from radio.phy.tbs import modulation_order, transport_block_size
from radio.phy.trpt import trp_bitmap

_LONGEST_SC_PERIOD = 320


@dataclass(slots=True, kw_only=True)
class _Follower:
    """The PSSCH of one SCI, as far as it has been found."""

    sci: SciFormat0
    length: int
    combiner: BlindCombiner
    found: list[FoundSci] = field(default_factory=list)
    blocks: list[FoundBlock] = field(default_factory=list)

    @property
    def is_confirmed(self) -> bool:
        """Whether the SCI is more than a chance CRC.

        Mode 2 sends no timing advance (TS 36.213 14.2.1), and every SCI is sent twice.
        """
        return self.sci.timing_advance == 0 or len(self.found) > 1 or bool(self.blocks)


class DirectSurvey:
    """Goes through the subframes of a recording in order and fills a `Survey`."""

    def __init__(self, carrier: Carrier, timeline: Timeline, survey: Survey) -> None:
        self._carrier = carrier
        self._timeline = timeline
        self._survey = survey
        self._control = BlindControl(carrier)
        self._places = BlindPlaces(carrier)
        self._followers: dict[SciFormat0, _Follower] = {}
        self._control_prbs: set[int] = set()

    def take(self, subframe: RecordedSubframe) -> None:
        """Look for SCIs and for the PSSCH of those heard so far."""
        heard = [
            (_finding(self._timeline, heard_in, received), received.sci)
            for heard_in, received in self._control.take(subframe)
            if _is_sound(received.sci, self._carrier.n_prb)
        ]
        self._control_prbs = {found.prb for found, _ in heard if found.subframe == subframe.index}
        for found, sci in heard:
            self._follow(found, sci)
        for follower in self._followers.values():
            if subframe.index <= follower.found[-1].subframe + _LONGEST_SC_PERIOD:
                self._receive(subframe, follower)

    def finish(self) -> None:
        """Hand over what was found, in the order of time, but for SCIs that are a chance CRC."""
        blocks: list[FoundBlock] = []
        scis: list[FoundSci] = []
        for follower in self._followers.values():
            if not follower.is_confirmed:
                continue
            scis += follower.found
            blocks += follower.blocks
            unsolved = follower.combiner.unsolved
            if unsolved and not follower.blocks:
                blocks.append(found_block(unsolved, (), follower.sci.mcs, None))
        self._survey.sci += sorted(scis, key=lambda found: (found.subframe, found.prb))
        self._survey.transport_blocks += sorted(blocks, key=lambda block: block.subframes)

    def _follow(self, found: FoundSci, sci: SciFormat0) -> None:
        if sci not in self._followers:
            length = allocation(sci, self._carrier.n_prb)[1]
            self._followers[sci] = _Follower(
                sci=sci,
                length=length,
                combiner=BlindCombiner(transport_block_size(sci.mcs, length), modulation_order(sci.mcs), RV_SEQUENCE),
            )
        follower = self._followers[sci]
        if follower.found and found.subframe - follower.found[-1].subframe > LONGEST_SPREAD:
            follower.combiner.unsolved.clear()
        follower.found.append(found)

    def _receive(self, subframe: RecordedSubframe, follower: _Follower) -> None:
        """Receive one transmission of a follower, if its reference signals are there."""
        places = self._places.find(subframe.grid, subframe.index, follower.sci, self._control_prbs)
        alternatives = [self._hear(subframe, follower, place) for place in places]
        if not alternatives or any(self._continues(follower, heard) for heard in alternatives):
            return
        solved = follower.combiner.take(alternatives)
        if solved is not None:
            self._places.learn(places[alternatives.index(solved.transmissions[-1])])
            follower.blocks.append(found_block(solved.transmissions, solved.rvs, follower.sci.mcs, solved.bits))

    def _hear(self, subframe: RecordedSubframe, follower: _Follower, place: Place) -> HeardTransmission:
        prbs, sci = tuple(range(place.first, place.first + follower.length)), follower.sci
        received = receive_pssch(
            self._carrier, subframe.grid, prbs, sci.mcs, sci.group_destination_id, place.n_ssf, Mode.TM12
        )
        return HeardTransmission.of(self._timeline, subframe, prbs, received)

    def _continues(self, follower: _Follower, heard: HeardTransmission) -> bool:
        """Whether a transmission is the next of the block found last; if so it is added to it."""
        if not follower.blocks or follower.blocks[-1].rvs[-1] == RV_SEQUENCE[-1]:
            return False
        last = follower.blocks[-1]
        rv = RV_SEQUENCE[RV_SEQUENCE.index(last.rvs[-1]) + 1]
        if not carries(heard, last.bits, modulation_order(last.mcs), rv):
            return False
        follower.blocks[-1] = replace(last, subframes=(*last.subframes, heard.subframe), rvs=(*last.rvs, rv))
        return True


def find_format_0(
    carrier: Carrier, timeline: Timeline, subframe: RecordedSubframe
) -> list[tuple[FoundSci, SciFormat0]]:
    """Every SCI format 0 in a subframe whose fields a transmitter may send."""
    return [
        (_finding(timeline, subframe, found), found.sci)
        for found in receive_pscch(carrier, subframe.grid, range(carrier.n_prb))
        if _is_sound(found.sci, carrier.n_prb)
    ]


def _finding(timeline: Timeline, subframe: RecordedSubframe, found: PscchReception) -> FoundSci:
    return FoundSci(
        subframe=subframe.index,
        prb=found.prb,
        sci=found.sci,
        bits=found.bits,
        crc=found.crc,
        snr_db=found.snr_db,
        evm_db=found.evm_db,
        cfo_hz=subframe.cfo_hz + found.cfo_hz,
        timing_samples=timeline.timing_of(subframe, found.timing_error_samples),
    )


def _is_sound(sci: SciFormat0, n_prb: int) -> bool:
    """Whether the fields are within their ranges, which a chance CRC seldom leaves them."""
    try:
        width = allocation(sci, n_prb)[1]
        transport_block_size(sci.mcs, width)
        trp_bitmap(sci.i_trp)
    except RadioError:
        return False
    return is_valid_width(width)
