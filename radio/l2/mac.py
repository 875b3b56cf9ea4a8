"""Sending side of SL-SCH MAC: queues by destination and logical channel, and what goes into each transport block.

One pair of source and destination to a grant; inside it logical channels by priority (TS 36.321 5.14.1.3).

Each pair has a queue for each logical channel. Which pair comes next is decided when the scheduler asks: pairs with PC5
signalling come first, and so do those that have waited too long, so that signalling does not starve user data; among
these the one served longest ago. A transport block is filled with RLC PDUs of its pair only, the most urgent logical
channel first, and RLC cuts or joins SDUs so that the block is full.

Bounds: a number of destinations, and of SDUs and octets in each queue. `check_room` is asked before a sequence number
is spent on a PDU, so that a full queue leaves no hole in the numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar

from radio.errors import FAILED, RadioError
from radio.l2.blocks import AddressPair
from radio.l2.config import L2Config
from radio.l2.logical_channels import LCIDS_BY_PRIORITY, SIGNALLING_LCIDS
from radio.l2.mac_pdu import MacPdu, MacSdu, MacVersion, sl_sch_subheader_octets, subheader_octets
from radio.l2.rlc_um import UmTransmitter

_MIN_RLC_PDU_OCTETS = 2
_FURTHER_CHANNEL_OCTETS = 3
"""Subheader of a MAC SDU that is not the last, at most."""


class QueueFull(RadioError):
    """No room for another SDU; try again when transport blocks have gone out."""

    exit_code: ClassVar[int] = FAILED


@dataclass(slots=True)
class _Destination:
    version: MacVersion
    channels: dict[int, UmTransmitter] = field(default_factory=dict)
    waited_turns: int = 0
    served_at: int = -1

    def has_signalling(self) -> bool:
        return any(self.channels[lcid].octets for lcid in SIGNALLING_LCIDS if lcid in self.channels)

    def waiting_lcids(self) -> list[int]:
        return [lcid for lcid in LCIDS_BY_PRIORITY if lcid in self.channels and self.channels[lcid].octets]

    def needed_octets(self, lcids: Collection[int] = LCIDS_BY_PRIORITY) -> int:
        waiting = (lcid for lcid in self.waiting_lcids() if lcid in lcids)
        return sum(self.channels[lcid].pdu_octets() + _FURTHER_CHANNEL_OCTETS for lcid in waiting)


class MacTransmitter:
    """Bounded queues of RLC SDUs, the choice of the pair to serve, and MAC PDUs for it."""

    def __init__(self, config: L2Config) -> None:
        self._config = config
        self._destinations: dict[AddressPair, _Destination] = {}
        self._n_served = 0

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
        if len(channel) >= self._config.max_queue_sdus or channel.octets + octets > self._config.max_queue_octets:
            raise QueueFull(
                f"{len(channel)} SDUs of {channel.octets} octets wait for {pair.dst_l2:06x} on LCID {lcid} already"
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
            channel = destination.channels[lcid] = UmTransmitter(self._config.sn_cycle_subframes)
        channel.enqueue(rlc_sdu)

    def forget(self, dst_l2: int) -> None:
        """Throw away all that waits for a destination."""
        for pair in self._pairs_to(dst_l2):
            del self._destinations[pair]

    def forget_groups_from(self, src_l2: int) -> None:
        """Throw away all that waits to be sent to groups from this layer-2 id."""
        for pair, destination in list(self._destinations.items()):
            if pair.src_l2 == src_l2 and destination.version is MacVersion.GROUP:
                del self._destinations[pair]

    def queued_octets(self, dst_l2: int) -> int:
        """Octets of RLC SDUs that wait for a destination."""
        waiting = (self._destinations[pair] for pair in self._pairs_to(dst_l2))
        return sum(channel.octets for destination in waiting for channel in destination.channels.values())

    def needed_octets(self, pair: AddressPair, lcids: Collection[int] = LCIDS_BY_PRIORITY) -> int:
        """Octets of MAC subheaders and RLC PDUs that would empty a destination's queues of `lcids`."""
        destination = self._destinations.get(pair)
        return destination.needed_octets(lcids) if destination else 0

    def pick_destination(self) -> AddressPair | None:
        """The pair to serve next, None where nothing waits.

        Those with signalling first, and those that have waited too long; among these in turn.
        """
        waiting = {pair: entry for pair, entry in self._destinations.items() if entry.waiting_lcids()}
        if not waiting:
            return None
        chosen = min(waiting, key=lambda pair: (not self._is_urgent(waiting[pair]), waiting[pair].served_at))
        for entry in waiting.values():
            entry.waited_turns += 1
        waiting[chosen].waited_turns = 0
        waiting[chosen].served_at = self._n_served
        self._n_served += 1
        return chosen

    def build_pdu(self, pair: AddressPair, size: int, subframe: int) -> MacPdu | None:
        """The contents of the next transport block of `size` octets, sent from `subframe` on; None for nothing."""
        destination = self._destinations.get(pair)
        if destination is None:
            return None
        sdus = self._fill(destination, size - sl_sch_subheader_octets(destination.version), subframe)
        if not sdus:
            return None
        return MacPdu(version=destination.version, src=pair.src_l2, dst=pair.dst_l2 >> 8, sdus=tuple(sdus))

    def _pairs_to(self, dst_l2: int) -> list[AddressPair]:
        return [pair for pair in self._destinations if pair.dst_l2 == dst_l2]

    def _is_urgent(self, entry: _Destination) -> bool:
        return entry.has_signalling() or entry.waited_turns >= self._config.max_wait_turns

    def _fill(self, destination: _Destination, room: int, subframe: int) -> list[MacSdu]:
        sdus: list[MacSdu] = []
        for lcid in destination.waiting_lcids():
            if room <= _MIN_RLC_PDU_OCTETS:
                break
            rlc_pdu = destination.channels[lcid].build_pdu(room - 1, subframe)
            if rlc_pdu is None:
                break
            sdus.append(MacSdu(lcid=lcid, data=rlc_pdu))
            room -= subheader_octets(len(rlc_pdu)) + len(rlc_pdu)
        return sdus

    def _forget_idle(self) -> None:
        """Keep the number of destinations bounded: the idle one served longest ago gives way."""
        if len(self._destinations) < self._config.max_destinations:
            return
        idle = [pair for pair, entry in self._destinations.items() if not entry.waiting_lcids()]
        del self._destinations[min(idle, key=lambda pair: self._destinations[pair].served_at)]
