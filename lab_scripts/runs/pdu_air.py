"""An air of PDCP PDUs: no samples, no blocks, no collisions. It is for hours and days of a link.

Everything from PDCP up runs as it is: synchronisation, discovery, signalling, user plane. `PduAccess` stands for the
whole access below them. A PDU that a UE offers is heard by the UEs that it is for `LATENCY_S` later, which is one SC
period of the shipped pool, or is lost: each with the chance `loss`, whatever was lost before. UEs take steps of
`STEP_MS` instead of one subframe, so that a day takes minutes.

What is not modelled: the room of the pool, and with it what a crowd's PDUs do to each other. For that there is
`subframe_air`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from prose_link.randomness import generator
from radio.access.protocol import AccessIndication, AnnouncementReceived, BroadcastSource, PdusReceived
from radio.arrays import Iq
from radio.l2.blocks import AddressPair
from radio.l2.indications import PduReceived
from radio.l2.logical_channels import check_l2_id
from radio.l2.mac import QueueFull
from radio.l2.pdcp_entity import PdcpPdu
from radio.phy.lte.channels.indications import MibReceived, SlssDetected, Synchronised
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import SidelinkPools
from radio.phy.lte.ue_phy import UePhyError

STEP_MS: Final = 10
LATENCY_S: Final = 0.04
"""The SC period of the shipped pool."""
MAX_QUEUED_OCTETS: Final = 512 * 1024
_LAST_DATA_LCID: Final = 10
"""LCIDs of user data go from 1 to here (TS 36.321 Table 6.2.4-1)."""
_SNR_DB: Final = 20.0
_REFERENCE_EVERY_MS: Final = 40
_N_RESOURCES: Final = 36
"""Of a discovery period; more UEs than these would have to share."""


@dataclass(slots=True)
class AirCounts:
    """What has become of user data: PDUs that were offered to a receiver, and how many of them the air lost."""

    offered: int = 0
    lost: int = 0


class PduAir:
    """What flies between the UEs.

    Args:
        seed: what chance depends on.
        loss: share of the PDUs that a receiver does not get, 0 to 1.
    """

    def __init__(self, seed: int, *, loss: float = 0.0) -> None:
        self.loss = loss
        self.user_data = AirCounts()
        self.cut: Callable[[str, str], bool] = lambda _to, _of: False
        """(receiver, sender) -> whether nothing comes through at the moment, not even announcements."""
        self.reference = ""
        self._rng = generator(seed, "pdu air")
        self._accesses: dict[str, PduAccess] = {}

    def join(self, access: PduAccess) -> None:
        """A UE is there."""
        self._accesses[access.name] = access

    def leave(self, name: str) -> None:
        """A UE is off the air."""
        self._accesses.pop(name, None)

    def carry(self, of: str, pdu: PdcpPdu, at_s: float) -> None:
        """Let a PDU be heard by those it is for."""
        for access in self._accesses.values():
            if access.name == of or not access.listens_to(pdu.dst_l2) or self.cut(access.name, of):
                continue
            is_lost = bool(self._rng.random() < self.loss)
            if pdu.lcid <= _LAST_DATA_LCID:
                self.user_data.offered += 1
                self.user_data.lost += is_lost
            if not is_lost:
                access.due(at_s + LATENCY_S, pdu)

    def announce(self, of: str, message: bytes) -> None:
        """Let a discovery message be heard by everybody."""
        for access in self._accesses.values():
            if access.name != of and not self.cut(access.name, of) and self._rng.random() >= self.loss:
                access.announced.append(message)


class PduAccess:
    """One UE's `SidelinkAccess` on a `PduAir`. It looks at the count of samples alone, and follows who is reference.

    Args:
        air: the air.
        name: the UE.
        own_l2_id: its layer-2 id.
        pools: the preconfigured pools; they give rate, width and the discovery period.
    """

    def __init__(self, air: PduAir, name: str, own_l2_id: int, pools: SidelinkPools) -> None:
        self.name = name
        self.announced: list[bytes] = []
        self._air = air
        self._carrier = Carrier(pools.n_prb, pools.comm[0].cp)
        self._announces_every_ms = 10 * pools.disc[0].disc_period
        self._ids = {own_l2_id}
        self._synchronised = False
        self._position_ms = 0
        self._announce_at_ms = 0
        self._mib_at_ms = 0
        self._order = 0
        self._due: list[tuple[float, int, PdcpPdu]] = []
        self._queue: list[PdcpPdu] = []
        air.join(self)

    @property
    def sample_rate_hz(self) -> int:
        """The rate of the samples that it counts."""
        return self._carrier.sample_rate_hz

    @property
    def n_prb(self) -> int:
        """The width of its channel in physical resource blocks."""
        return self._carrier.n_prb

    @property
    def subframe(self) -> int | None:
        """The next subframe to be received; None while there is no timing."""
        return self._position_ms if self._synchronised else None

    def listens_to(self, l2_id: int) -> bool:
        """Whether PDUs to a layer-2 id are for this UE."""
        return l2_id in self._ids

    def due(self, at_s: float, pdu: PdcpPdu) -> None:
        """A PDU comes in at a moment."""
        self._order += 1
        heapq.heappush(self._due, (at_s, self._order, pdu))

    def receive(self, iq: Iq, first_sample: int) -> Iterator[AccessIndication]:
        """Let time pass; to be iterated to the end."""
        self._position_ms = (first_sample + len(iq)) * 1000 // self.sample_rate_hz
        yield from self._hear_reference(first_sample + len(iq))
        if self._synchronised:
            heard, self.announced = self.announced, []
            yield from (AnnouncementReceived(message=message) for message in heard)
            while self._due and self._due[0][0] <= self._position_ms / 1000:
                pdu = heapq.heappop(self._due)[2]
                item = PduReceived(
                    src_l2=pdu.src_l2, dst_l2=pdu.dst_l2, lcid=pdu.lcid, to_group=pdu.to_group, data=pdu.data
                )
                yield PdusReceived(items=(item,))
        else:
            self.announced.clear()
            self._due.clear()

    def bursts(self, source: BroadcastSource) -> list[tuple[Iq, int]]:
        """Put what waits on the air; there are no bursts."""
        if not self._synchronised:
            return []
        if self._position_ms >= self._announce_at_ms:
            self._announce_at_ms = self._position_ms + self._announces_every_ms
            for announcement in source.announcements(_N_RESOURCES, n_t=_N_RESOURCES, avoid=()):
                self._air.announce(self.name, announcement.message)
        queue, self._queue = self._queue, []
        for pdu in queue:
            self._air.carry(self.name, pdu, self._position_ms / 1000)
        return []

    def check_room(self, pair: AddressPair, lcid: int, octets: int) -> None:  # noqa: ARG002
        """Raises QueueFull."""
        waiting = sum(len(pdu.data) for pdu in self._queue)
        if waiting + octets > MAX_QUEUED_OCTETS:
            raise QueueFull(f"{waiting} octets wait already")

    def offer(self, pdu: PdcpPdu) -> None:
        """Queue a PDCP PDU. Raises QueueFull."""
        self.check_room(AddressPair(pdu.src_l2, pdu.dst_l2), pdu.lcid, len(pdu.data))
        self._queue.append(pdu)

    def queued_octets(self, dst_l2: int, lcid: int | None = None) -> int:
        """Octets that wait for a destination, on one logical channel or on all of them."""
        return sum(len(pdu.data) for pdu in self._queue if pdu.dst_l2 == dst_l2 and lcid in (None, pdu.lcid))

    def block_octets(self, dst_l2: int) -> int:  # noqa: ARG002
        """Octets of a whole PDU: this air has no blocks."""
        return MAX_QUEUED_OCTETS

    def note_backlog(self, pair: AddressPair, lcid: int, octets: int) -> None:
        """Nothing: this air makes no grants."""

    def join_group(self, group_l2: int) -> None:
        """Receive what goes to a group from now on. Raises AddressError."""
        check_l2_id(group_l2)
        self._ids.add(group_l2)

    def forget_groups_from(self, src_l2: int) -> None:
        """Throw away what waits to be sent to groups from a layer-2 id that is given up."""
        self._queue = [pdu for pdu in self._queue if not (pdu.to_group and pdu.src_l2 == src_l2)]

    def become_sync_ref(self, n_sl_id: int, first_sample: int | None = None) -> None:  # noqa: ARG002
        """Be the reference: the timing is that of the air."""
        self._synchronised = True
        self._air.reference = self.name

    def follow(self, source: SlssDetected) -> Synchronised:
        """Not modelled. Raises UePhyError."""
        raise UePhyError(f"on an air of PDUs the reference is followed by itself, not {source.n_sl_id}")

    def scan(self, n_subframes: int) -> None:
        """Not modelled. Raises UePhyError."""
        raise UePhyError(f"an air of PDUs can't be scanned, not for {n_subframes} subframes")

    def _hear_reference(self, sample: int) -> Iterator[Synchronised | MibReceived]:
        reference = self._air.reference
        if reference in ("", self.name) or self._air.cut(self.name, reference) or self._position_ms < self._mib_at_ms:
            return
        self._mib_at_ms = self._position_ms + _REFERENCE_EVERY_MS
        subframe = self._position_ms
        mib = MibSl(bandwidth_prb=self.n_prb, dfn=subframe // 10 % 1024, subframe=subframe % 10, in_coverage=False)
        if not self._synchronised:
            self._synchronised = True
            yield Synchronised(subframe=subframe, sample=sample, n_sl_id=0, mib=mib, cfo_hz=0.0, snr_db=_SNR_DB)
            return
        yield MibReceived(
            subframe=subframe,
            n_sl_id=0,
            mib=mib,
            snr_db=_SNR_DB,
            s_rsrp_dbfs=_SNR_DB - 100.0,
            cfo_hz=0.0,
            timing_error_samples=0.0,
        )


def silence(n_samples: int) -> Iq:
    """Samples without content, (n,) complex64, without their memory."""
    return np.broadcast_to(np.complex64(0), (n_samples,))
