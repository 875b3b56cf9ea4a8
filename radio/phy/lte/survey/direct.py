"""Survey of transmission modes 1 and 2: SCI format 0 and PSSCH with no knowledge of the resource pools.

An SCI tells width, modulation, group destination and time pattern of its PSSCH but, without the pool, not where in the
carrier nor at which pool subframe it stands: the reference signals, which depend on both, tell that. The PSSCH of an
SCI is followed for as long as the longest SC period. The SCIs heard last are followed first, and the PRBs of what
decodes are explained: in a busy subframe little is then left to search for the older ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from radio.errors import RadioError
from radio.phy.lte.channels.pssch import receive_pssch
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.precoding_width import is_valid_width
from radio.phy.lte.grid.tbs import modulation_order, transport_block_size
from radio.phy.lte.grid.trpt import trp_bitmap
from radio.phy.lte.pools.mode2 import RV_SEQUENCE
from radio.phy.lte.survey.blind_blocks import BlindCombiner, HeardTransmission, carries, found_block
from radio.phy.lte.survey.blind_control import LONGEST_SPREAD, BlindControl, HeardControl
from radio.phy.lte.survey.blind_places import BlindPlaces, Place, allocation
from radio.phy.lte.survey.findings import FoundBlock, FoundSci
from radio.phy.lte.survey.order import TimeOrder
from radio.phy.lte.survey.scene import Scene
from radio.phy.lte.survey.subframe_timeline import Anchor, RecordedSubframe, Timeline

LONGEST_SC_PERIOD = 320
"""Subframes (TS 36.331 6.3.8 SL-PeriodComm)."""
PATIENCE = 2 * LONGEST_SC_PERIOD + 2 * LONGEST_SPREAD
"""A block may begin with a transmission that waited for one SC period, and grow for another."""
_MAX_FOLLOWERS = 256
"""SCIs followed at once; the one heard longest ago is given up for a new one."""


@dataclass(slots=True, kw_only=True)
class _Follower:
    """The PSSCH of one SCI, as far as it has been found. `waiting` are its SCIs that may yet be confirmed."""

    sci: SciFormat0
    length: int
    combiner: BlindCombiner
    waiting: list[FoundSci] = field(default_factory=list)
    times_heard: int = 0
    last_heard: int = 0
    has_blocks: bool = False
    block: FoundBlock | None = None
    """The block found last, which further transmissions may join."""

    @property
    def is_confirmed(self) -> bool:
        """Whether more than a good CRC speaks for the SCI.

        Mode 2 sends no timing advance (TS 36.213 14.2.1), and every SCI is sent twice.
        """
        return self.sci.timing_advance == 0 or self.times_heard > 1 or self.has_blocks


class DirectSurvey:
    """Goes through the subframes of a recording in order and hands what it finds to `order`."""

    def __init__(self, carrier: Carrier, timeline: Timeline, order: TimeOrder) -> None:
        self._carrier = carrier
        self._timeline = timeline
        self._order = order
        self._control = BlindControl(carrier)
        self._places = BlindPlaces(carrier)
        self._followers: dict[SciFormat0, _Follower] = {}
        self._others: list[_Follower] = []
        """Those without a transmission where one is expected in the present subframe."""
        self.latest: Anchor | None = None
        """Timing and carrier offset of the SCI heard last."""

    def take_expected(self, scene: Scene, taken: npt.NDArray[np.bool_]) -> None:
        """Receive the PSSCH that stands where the pool as known so far has it, and mark its PRBs in `taken`.

        It goes before all searches, which then have fewer PRBs to look at.
        """
        followers = list(self._followers.values())[::-1]
        self._others = [follower for follower in followers if not self._receive_expected(scene, follower, taken)]

    def take(self, scene: Scene, taken: npt.NDArray[np.bool_]) -> None:
        """Look for SCIs and for other PSSCH of those heard so far, off the PRBs `taken`; marks those explained."""
        for heard in self._control.take(scene.subframe, [p for p in scene.occupied_prbs(1) if not taken[p]]):
            if is_sound(heard.received.sci, self._carrier.n_prb):
                found = _finding(self._timeline, heard)
                self._follow(found, heard.received.sci)
                if found.subframe == scene.index:
                    taken[found.prb] = True
        for follower in self._others:
            self._receive(scene, follower, taken)
        self._others = []
        self._settle(scene.index)

    def finish(self) -> None:
        """Hand over what is left."""
        for follower in self._followers.values():
            self._retire(follower)
        self._followers.clear()

    def _follow(self, found: FoundSci, sci: SciFormat0) -> None:
        follower = self._followers.pop(sci, None)
        if follower is None:
            length = allocation(sci, self._carrier.n_prb)[1]
            combiner = BlindCombiner(transport_block_size(sci.mcs, length), modulation_order(sci.mcs), RV_SEQUENCE)
            follower = _Follower(sci=sci, length=length, combiner=combiner)
            if len(self._followers) == _MAX_FOLLOWERS:
                self._retire(self._followers.pop(next(iter(self._followers))))
        elif found.subframe - follower.last_heard > LONGEST_SPREAD:
            follower.combiner.unsolved.clear()
        self._followers[sci] = follower
        follower.waiting.append(found)
        follower.times_heard += 1
        follower.last_heard = max(follower.last_heard, found.subframe)
        self.latest = Anchor(start=found.timing_samples, cfo_hz=found.cfo_hz)

    def _settle(self, index: int) -> None:
        """Hand over what can't change any more, and give up followers whose SC period is over for certain."""
        for follower in list(self._followers.values()):
            if index > follower.last_heard + LONGEST_SC_PERIOD:
                self._retire(follower)
                del self._followers[follower.sci]
                continue
            while follower.waiting and index > follower.waiting[0].subframe + LONGEST_SC_PERIOD:
                self._hand_over(follower, follower.waiting.pop(0))
            if follower.block is not None and index > follower.block.subframes[0] + LONGEST_SC_PERIOD:
                self._order.take(follower.block)
                follower.block = None

    def _retire(self, follower: _Follower) -> None:
        for found in follower.waiting:
            self._hand_over(follower, found)
        follower.waiting.clear()
        if follower.block is not None:
            self._order.take(follower.block)
        unsolved = follower.combiner.unsolved
        if unsolved and not follower.has_blocks and follower.is_confirmed:
            self._order.take(found_block(unsolved, (), follower.sci.mcs, None))

    def _hand_over(self, follower: _Follower, found: FoundSci) -> None:
        self._order.take(replace(found, is_confirmed=follower.is_confirmed, times_heard=follower.times_heard))

    def _receive_expected(self, scene: Scene, follower: _Follower, taken: npt.NDArray[np.bool_]) -> bool:
        """Receive what stands where the pool as known has it; whether there is something."""
        place = self._places.find_expected(scene.products, scene.occupancy, scene.index, follower.sci, taken)
        if place is None:
            return False
        self._receive_at([place], scene, follower, taken)
        return True

    def _receive(self, scene: Scene, follower: _Follower, taken: npt.NDArray[np.bool_]) -> None:
        """Receive one transmission of a follower, wherever its reference signals are."""
        places = self._places.find(scene.products, scene.occupancy, scene.index, follower.sci, taken)
        self._receive_at(places, scene, follower, taken)

    def _receive_at(self, places: list[Place], scene: Scene, follower: _Follower, taken: npt.NDArray[np.bool_]) -> None:
        """Receive one transmission of a follower at one of `places` and mark its PRBs as taken if it decodes."""
        alternatives = []
        for place in places:
            heard = self._hear(scene.subframe, follower, place)
            if self._continues(follower, heard):
                taken[place.first : place.first + follower.length] = True
                return
            alternatives.append(heard)
        if not alternatives:
            return
        solved = follower.combiner.take(alternatives)
        if solved is not None:
            place = places[alternatives.index(solved.transmissions[-1])]
            self._places.learn(place)
            taken[place.first : place.first + follower.length] = True
            if follower.block is not None:
                self._order.take(follower.block)
            follower.block = found_block(solved.transmissions, solved.rvs, follower.sci.mcs, solved.bits)
            follower.has_blocks = True

    def _hear(self, subframe: RecordedSubframe, follower: _Follower, place: Place) -> HeardTransmission:
        prbs, sci = tuple(range(place.first, place.first + follower.length)), follower.sci
        received = receive_pssch(
            self._carrier, subframe.grid, prbs, sci.mcs, sci.group_destination_id, place.n_ssf, Mode.TM12
        )
        return HeardTransmission.of(self._timeline, subframe, prbs, received)

    def _continues(self, follower: _Follower, heard: HeardTransmission) -> bool:
        """Whether a transmission is the next of the block found last; if so it is added to it."""
        last = follower.block
        if last is None or last.rvs[-1] == RV_SEQUENCE[-1]:
            return False
        rv = RV_SEQUENCE[RV_SEQUENCE.index(last.rvs[-1]) + 1]
        if not carries(heard, last.bits, modulation_order(last.mcs), rv):
            return False
        follower.block = replace(last, subframes=(*last.subframes, heard.subframe), rvs=(*last.rvs, rv))
        return True


def is_sound(sci: SciFormat0, n_prb: int) -> bool:
    """Whether the fields are within their ranges, which a chance CRC seldom leaves them."""
    try:
        width = allocation(sci, n_prb)[1]
        transport_block_size(sci.mcs, width)
        trp_bitmap(sci.i_trp)
    except RadioError:
        return False
    return is_valid_width(width)


def _finding(timeline: Timeline, heard: HeardControl) -> FoundSci:
    found, subframe = heard.received, heard.subframe
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
        agreement=heard.agreement,
    )
