"""Sending side of SL-SCH MAC: queues by destination and logical channel, and what goes into each transport block.

One pair of source and destination to a grant; inside it logical channels by priority (TS 36.321 5.14.1.3.1).

Each pair has a queue for each logical channel, and each logical channel a priority: PC5 signalling comes before user
data, and user data has its ProSe per-packet priority (PPPP). Which pair comes next is decided when the scheduler asks:
the one whose most urgent channel is the most urgent of all; among equals the one served longest ago. After a number of
turns in which less urgent pairs were passed over one of these has a turn, so that urgent data of one link does not
starve the other links. A transport block is filled with RLC PDUs of its pair only, the most urgent logical channel
first, those of one priority in turn, and RLC cuts or joins SDUs so that the block is full.

User data waits above, where it can still be put into another order or dropped; only what the next block or two can take
is handed down. `note_backlog` tells what waits there, so that grants are made for all of it.

Bounds: a number of destinations, and of SDUs and octets in each queue. `check_room` is asked before a sequence number
is spent on a PDU, so that a full queue leaves no hole in the numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar, Final

from radio.errors import FAILED, RadioError
from radio.l2.blocks import AddressPair
from radio.l2.config import L2Config
from radio.l2.logical_channels import FIRST_USER_LCID, SDU_LCIDS, SIGNALLING_LCIDS, USER_LCIDS
from radio.l2.mac_pdu import MacPdu, MacSdu, MacVersion, sl_sch_subheader_octets, subheader_octets
from radio.l2.rlc_um import UmTransmitter

_MIN_RLC_PDU_OCTETS = 2
_FURTHER_CHANNEL_OCTETS = 3
"""Subheader of a MAC SDU that is not the last, at most."""
_SIGNALLING: Final = 0
"""Rank of a pair with PC5 signalling; user data has its PPPP, from 1."""


class QueueFull(RadioError):
    """No room for another SDU; try again when transport blocks have gone out."""

    exit_code: ClassVar[int] = FAILED


@dataclass(slots=True)
class _Channel:
    """One logical channel of a destination; `rank` orders them, the lowest is the most urgent."""

    rank: int
    sdus: UmTransmitter
    octets_above: int = 0
    served_at: int = -1

    def needed_octets(self) -> int:
        """Of MAC subheader and RLC PDU for all that waits here and above."""
        return self.sdus.pdu_octets() + self.octets_above + _FURTHER_CHANNEL_OCTETS


@dataclass(slots=True)
class _Destination:
    version: MacVersion
    channels: dict[int, _Channel] = field(default_factory=dict)
    served_at: int = -1
    n_pdus: int = 0

    def waiting_lcids(self) -> list[int]:
        """Logical channels with data: by priority, and of one priority the one served longest ago first."""
        waiting = [(one.rank, one.served_at, lcid) for lcid, one in self.channels.items() if one.sdus.octets]
        return [lcid for _, _, lcid in sorted(waiting)]

    def needed_octets(self, lcids: Collection[int]) -> int:
        waiting = (self.channels[lcid] for lcid in self.waiting_lcids() if lcid in lcids)
        return sum(channel.needed_octets() for channel in waiting)

    def fill(self, room: int, subframe: int) -> list[MacSdu]:
        """RLC PDUs for a transport block with `room` octets for them and their subheaders."""
        sdus: list[MacSdu] = []
        for lcid in self.waiting_lcids():
            if room <= _MIN_RLC_PDU_OCTETS:
                break
            channel = self.channels[lcid]
            rlc_pdu = channel.sdus.build_pdu(room - 1, subframe)
            if rlc_pdu is None:
                break
            channel.served_at = self.n_pdus
            self.n_pdus += 1
            sdus.append(MacSdu(lcid=lcid, data=rlc_pdu))
            room -= subheader_octets(len(rlc_pdu)) + len(rlc_pdu)
        return sdus


class MacTransmitter:
    """Bounded queues of RLC SDUs, the choice of the pair to serve, and MAC PDUs for it."""

    def __init__(self, config: L2Config) -> None:
        self._config = config
        self._destinations: dict[AddressPair, _Destination] = {}
        self._n_served = 0
        self._n_passed_over = 0

    def check_room(self, pair: AddressPair, lcid: int, octets: int) -> None:
        """Raises QueueFull where an RLC SDU of `octets` finds no room."""
        destination = self._destinations.get(pair)
        if destination is None:
            n_busy = sum(1 for other in self._destinations.values() if other.waiting_lcids())
            if n_busy >= self._config.max_destinations:
                raise QueueFull(f"SDUs wait for {n_busy} destinations already")
            return
        channel = destination.channels.get(lcid)
        if channel is None:
            return
        sdus = channel.sdus
        if len(sdus) >= self._config.max_queue_sdus or sdus.octets + octets > self._config.max_queue_octets:
            raise QueueFull(
                f"{len(sdus)} SDUs of {sdus.octets} octets wait for {pair.dst_l2:06x} on LCID {lcid} already"
            )

    def enqueue(self, pair: AddressPair, lcid: int, rlc_sdu: bytes, *, to_group: bool) -> None:
        """Put an RLC SDU into its queue, once `check_room` has found room for it."""
        destination = self._destinations.get(pair)
        if destination is None:
            self._forget_idle()
            version = MacVersion.GROUP if to_group else MacVersion.UNICAST
            destination = self._destinations[pair] = _Destination(version=version)
        channel = destination.channels.get(lcid)
        if channel is None:
            sdus = UmTransmitter(self._config.sn_cycle_subframes)
            channel = destination.channels[lcid] = _Channel(rank=self._rank(lcid), sdus=sdus)
        channel.sdus.enqueue(rlc_sdu)

    def note_backlog(self, pair: AddressPair, lcid: int, octets: int) -> None:
        """Octets wait above for a channel: they count as needed while something of it waits here."""
        destination = self._destinations.get(pair)
        if destination is not None and lcid in destination.channels:
            destination.channels[lcid].octets_above = octets

    def forget(self, dst_l2: int) -> None:
        """Throw away all that waits for a destination."""
        for pair in self._pairs_to(dst_l2):
            del self._destinations[pair]

    def forget_groups_from(self, src_l2: int) -> None:
        """Throw away all that waits to be sent to groups from this layer-2 id."""
        for pair, destination in list(self._destinations.items()):
            if pair.src_l2 == src_l2 and destination.version is MacVersion.GROUP:
                del self._destinations[pair]

    def queued_octets(self, dst_l2: int, lcid: int | None = None) -> int:
        """Octets of RLC SDUs that wait for a destination, on one logical channel or on all of them."""
        waiting = (self._destinations[pair].channels for pair in self._pairs_to(dst_l2))
        return sum(one.sdus.octets for channels in waiting for known, one in channels.items() if lcid in (None, known))

    def needed_octets(self, pair: AddressPair, lcids: Collection[int] = SDU_LCIDS) -> int:
        """Octets of MAC subheaders and RLC PDUs that would empty a destination's queues of `lcids`."""
        destination = self._destinations.get(pair)
        return destination.needed_octets(lcids) if destination else 0

    def pick_destination(self) -> AddressPair | None:
        """The pair to serve next, None where nothing waits (TS 36.321 5.14.1.3.1, step 0).

        The most urgent one; a less urgent one after `max_wait_turns` turns in which such were passed over. Among those
        that may be picked the one served longest ago.
        """
        ranks = {pair: self._rank_of(entry) for pair, entry in self._destinations.items() if entry.waiting_lcids()}
        if not ranks:
            return None
        most_urgent = min(ranks.values())
        passed_over = [pair for pair, rank in ranks.items() if rank > most_urgent]
        if passed_over and self._n_passed_over >= self._config.max_wait_turns:
            candidates, self._n_passed_over = passed_over, 0
        else:
            candidates = [pair for pair, rank in ranks.items() if rank == most_urgent]
            self._n_passed_over = self._n_passed_over + 1 if passed_over else 0
        chosen = min(candidates, key=lambda pair: self._destinations[pair].served_at)
        self._destinations[chosen].served_at = self._n_served
        self._n_served += 1
        return chosen

    def build_pdu(self, pair: AddressPair, size: int, subframe: int) -> MacPdu | None:
        """The contents of the next transport block of `size` octets, sent from `subframe` on; None for nothing."""
        destination = self._destinations.get(pair)
        if destination is None:
            return None
        sdus = destination.fill(size - sl_sch_subheader_octets(destination.version), subframe)
        if not sdus:
            return None
        return MacPdu(version=destination.version, src=pair.src_l2, dst=pair.dst_l2 >> 8, sdus=tuple(sdus))

    def _pairs_to(self, dst_l2: int) -> list[AddressPair]:
        return [pair for pair in self._destinations if pair.dst_l2 == dst_l2]

    def _rank(self, lcid: int) -> int:
        """Signalling below 1, in the order of its LCIDs; user data its PPPP."""
        if lcid in USER_LCIDS:
            return self._config.user_pppp[lcid - FIRST_USER_LCID]
        return SIGNALLING_LCIDS.index(lcid) + 1 - len(SIGNALLING_LCIDS)

    @staticmethod
    def _rank_of(entry: _Destination) -> int:
        """That of its most urgent channel, all signalling being alike."""
        return max(_SIGNALLING, entry.channels[entry.waiting_lcids()[0]].rank)

    def _forget_idle(self) -> None:
        """Keep the number of destinations bounded: the idle one served longest ago gives way."""
        if len(self._destinations) < self._config.max_destinations:
            return
        idle = [pair for pair, entry in self._destinations.items() if not entry.waiting_lcids()]
        del self._destinations[min(idle, key=lambda pair: self._destinations[pair].served_at)]
