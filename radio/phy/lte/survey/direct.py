"""Survey of transmission modes 1 and 2: SCI format 0 and PSSCH with no knowledge of the resource pools.

An SCI tells width, modulation, group destination and time pattern of its PSSCH but, without the pool, not where in the
carrier nor at which pool subframe it stands: the reference signals, which depend on both, tell that. The PSSCH of an
SCI is followed for as long as the longest SC period. The SCIs heard last are followed first, and the PRBs of what
decodes are explained: in a busy subframe little is then left to search for the older ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from radio.errors import RadioError
from radio.phy.lte.channels.coded_block import CodedBlock
from radio.phy.lte.channels.pssch import receive_pssch, receive_pssch_batch
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.precoding_width import is_valid_width
from radio.phy.lte.grid.tbs import modulation_order, transport_block_size
from radio.phy.lte.grid.trpt import trp_bitmap
from radio.phy.lte.pools.mode2 import RV_SEQUENCE
from radio.phy.lte.survey.blind_blocks import BlindCombiner, HeardTransmission, agrees, found_block
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
    allocation: tuple[int, int]
    combiner: BlindCombiner
    waiting: list[FoundSci] = field(default_factory=list)
    times_heard: int = 0
    last_heard: int = 0
    has_blocks: bool = False
    block: FoundBlock | None = None
    """The block found last, which further transmissions may join."""
    coded: CodedBlock | None = None
    """That block, coded."""
    more: list[tuple[int, int]] = field(default_factory=list)
    """Subframe and redundancy version of each transmission that has joined the block since."""

    def whole_block(self) -> FoundBlock | None:
        """The block found last with every transmission; it is then no longer followed."""
        block, more = self.block, self.more
        self.block, self.coded, self.more = None, None, []
        if block is None or not more:
            return block
        subframes, rvs = zip(*more, strict=True)
        return replace(block, subframes=(*block.subframes, *subframes), rvs=(*block.rvs, *rvs))

    @property
    def length(self) -> int:
        """PRBs of its PSSCH."""
        return self.allocation[1]

    @property
    def is_confirmed(self) -> bool:
        """Whether more than a good CRC speaks for the SCI.

        Mode 2 sends no timing advance (TS 36.213 14.2.1), and every SCI is sent twice.
        """
        return self.sci.timing_advance == 0 or self.times_heard > 1 or self.has_blocks


class DirectSurvey:
    """Search of the subframes of a recording, in order; every finding goes to `order`."""

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
        """Receive the PSSCH that stands where the pool, as known so far, has it.

        The method marks the PRBs of these PSSCH in `taken`, bool (n_prb,). It runs before all searches, which then have
        fewer PRBs to look at.
        """
        followers = list(self._followers.values())[::-1]
        heard = self._hear_expected(scene, followers)
        self._others = []
        for follower, known in zip(followers, heard, strict=True):
            if known is None or taken[known[0].first : known[0].first + follower.length].any():
                self._others.append(follower)
            else:
                self._take_heard([known], follower, taken)

    def take(self, scene: Scene, taken: npt.NDArray[np.bool_]) -> None:
        """Search for SCIs, and for the PSSCH of earlier SCIs, outside the PRBs marked in `taken`.

        `taken` is bool (n_prb,); the method marks the PRBs of what it finds.
        """
        for heard in self._control.take(scene.subframe, scene.free_prbs(1, taken).tolist()):
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
        """Hand over the findings that are still held."""
        for follower in self._followers.values():
            self._retire(follower)
        self._followers.clear()

    def _follow(self, found: FoundSci, sci: SciFormat0) -> None:
        follower = self._followers.pop(sci, None)
        if follower is None:
            place = allocation(sci, self._carrier.n_prb)
            combiner = BlindCombiner(transport_block_size(sci.mcs, place[1]), modulation_order(sci.mcs), RV_SEQUENCE)
            follower = _Follower(sci=sci, allocation=place, combiner=combiner)
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
        """Hand over findings that can't change any more, and drop followers whose SC period is certainly over."""
        for follower in list(self._followers.values()):
            if index > follower.last_heard + LONGEST_SC_PERIOD:
                self._retire(follower)
                del self._followers[follower.sci]
                continue
            while follower.waiting and index > follower.waiting[0].subframe + LONGEST_SC_PERIOD:
                self._hand_over(follower, follower.waiting.pop(0))
            if follower.block is not None and index > follower.block.subframes[0] + LONGEST_SC_PERIOD:
                self._list_block(follower)

    def _retire(self, follower: _Follower) -> None:
        for found in follower.waiting:
            self._hand_over(follower, found)
        follower.waiting.clear()
        self._list_block(follower)
        unsolved = follower.combiner.unsolved
        if unsolved and not follower.has_blocks and follower.is_confirmed:
            self._order.take(found_block(unsolved, (), follower.sci.mcs, None))

    def _list_block(self, follower: _Follower) -> None:
        block = follower.whole_block()
        if block is not None:
            self._order.take(block)

    def _hand_over(self, follower: _Follower, found: FoundSci) -> None:
        self._order.take(replace(found, is_confirmed=follower.is_confirmed, times_heard=follower.times_heard))

    def _hear_expected(
        self, scene: Scene, followers: Sequence[_Follower]
    ) -> list[tuple[Place, HeardTransmission] | None]:
        """Receive together the PSSCH of all followers where the pool has them; None for those without a signal."""
        heard: list[tuple[Place, HeardTransmission] | None] = [None] * len(followers)
        places = self._places.find_expected(
            scene.products,
            scene.occupancy,
            scene.index,
            [follower.sci for follower in followers],
            [follower.allocation for follower in followers],
        )
        alike: dict[tuple[int, int], list[tuple[int, Place]]] = {}
        for i, place in enumerate(places):
            if place is not None:
                alike.setdefault((followers[i].length, followers[i].combiner.qm), []).append((i, place))
        for (length, qm), members in alike.items():
            batch = receive_pssch_batch(
                self._carrier,
                scene.grid,
                np.array([place.first for _, place in members]),
                length,
                qm,
                np.array([followers[i].sci.group_destination_id for i, _ in members]),
                np.array([place.n_ssf for _, place in members]),
                Mode.TM12,
            )
            for row, (i, place) in enumerate(members):
                prbs = tuple(range(place.first, place.first + length))
                received = batch.reception(row)
                heard[i] = place, HeardTransmission.of(self._timeline, scene.subframe, prbs, received)
        return heard

    def _receive(self, scene: Scene, follower: _Follower, taken: npt.NDArray[np.bool_]) -> None:
        """Receive one transmission of a follower, wherever its reference signals are."""
        places = self._places.find(
            scene.products, scene.occupancy, scene.index, follower.sci, follower.allocation, taken
        )
        self._take_heard(((place, self._hear(scene.subframe, follower, place)) for place in places), follower, taken)

    def _take_heard(
        self, heard: Iterable[tuple[Place, HeardTransmission]], follower: _Follower, taken: npt.NDArray[np.bool_]
    ) -> None:
        """Try the possible transmissions of a follower, the likeliest first; mark the PRBs of one that decodes."""
        alternatives = []
        for place, transmission in heard:
            if self._continues(follower, transmission):
                taken[place.first : place.first + follower.length] = True
                return
            alternatives.append((place, transmission))
        if not alternatives:
            return
        solved = follower.combiner.take([transmission for _, transmission in alternatives])
        if solved is not None:
            place = next(p for p, transmission in alternatives if transmission is solved.transmissions[-1])
            self._places.learn(place)
            taken[place.first : place.first + follower.length] = True
            self._list_block(follower)
            follower.block = found_block(solved.transmissions, solved.rvs, follower.sci.mcs, solved.bits)
            follower.coded = CodedBlock(solved.bits)
            follower.has_blocks = True

    def _hear(self, subframe: RecordedSubframe, follower: _Follower, place: Place) -> HeardTransmission:
        prbs, sci = tuple(range(place.first, place.first + follower.length)), follower.sci
        received = receive_pssch(
            self._carrier, subframe.grid, prbs, sci.mcs, sci.group_destination_id, place.n_ssf, Mode.TM12
        )
        return HeardTransmission.of(self._timeline, subframe, prbs, received)

    def _continues(self, follower: _Follower, heard: HeardTransmission) -> bool:
        """Whether a transmission is the next one of the block found last; if so, add it to the block."""
        last = follower.block
        if last is None or follower.coded is None:
            return False
        latest = follower.more[-1][1] if follower.more else last.rvs[-1]
        if latest == RV_SEQUENCE[-1]:
            return False
        rv = RV_SEQUENCE[RV_SEQUENCE.index(latest) + 1]
        if not agrees(heard.received, follower.coded, follower.combiner.qm, rv):
            return False
        follower.more.append((heard.subframe, rv))
        return True


def is_sound(sci: SciFormat0, n_prb: int) -> bool:
    """Whether all fields are within their ranges. With a CRC that is good by chance they seldom are."""
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
