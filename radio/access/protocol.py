"""The port between a UE and its radio access technology: what every `SidelinkAccess` offers, and what it asks for.

An access joins the PHY, the scheduler and the lower part of layer 2 of one technology. Its owner, the UE, knows samples
in and bursts out, PDCP PDUs down and up, and synchronisation and discovery as values. It knows no pool, no SC period,
no control information and no transport block.

Who calls what, and when, in each step of a UE:

1. `receive` with the next samples, and takes every indication in turn before the next one is asked for;
2. the UE's own entities act on them; what they want to send goes down by `check_room`, then `offer`;
3. `bursts`, once, at the end of the step; while it runs the access asks its `BroadcastSource` what the UE broadcasts.

Everything is driven by the count of samples; nothing waits, and nothing a peer sends raises.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from radio.arrays import Iq
from radio.l2.blocks import AddressPair
from radio.l2.indications import Dropped, PduReceived
from radio.l2.pdcp_entity import PdcpPdu
from radio.phy.lte.channels.indications import MibReceived, SlssDetected, Synchronised, SyncLost
from radio.phy.lte.channels.transmissions import SlssTx

SyncIndication: TypeAlias = Synchronised | SlssDetected | SyncLost | MibReceived
"""What the synchronisation procedure of the access's own technology takes; others pass it on unread."""

SyncSignal: TypeAlias = SlssTx
"""What a UE that others may follow broadcasts in one subframe; only the procedure and the access look inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockReceived:
    """One SL-SCH transport block as the receiver saw it."""

    subframes: tuple[int, ...]
    """Those of its transmissions, as the UE counts."""
    mcs: int
    """Index of the modulation and coding scheme, I_MCS (TS 36.213 8.6.1)."""
    n_prb: int
    """Width of its PSSCH in physical resource blocks."""
    n_transmissions: int
    """Transmissions that were combined."""
    crc_ok: bool
    """Its CRC held."""
    crc_ok_at: int
    """Number of combined transmissions at which the CRC held; 0 where it never did."""
    snr_db: float
    evm_db: float
    """Error vector magnitude of the last transmission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PdusReceived:
    """What one transport block brought, or the end of a wait: PDCP PDUs, and what was dropped on the way, in order."""

    items: tuple[PduReceived | Dropped, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementReceived:
    """A discovery message of another UE."""

    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDue:
    """A peer that sends to this UE should learn how its signals arrive.

    The owner sends `octets` to the peer under the link's keys, where there is a link, and gives the peer's own to
    `take_report`. What they say concerns accesses alone.
    """

    peer_l2: int
    octets: bytes


AccessIndication: TypeAlias = SyncIndication | BlockReceived | PdusReceived | AnnouncementReceived | ReportDue


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A discovery message to send on one of the discovery resources of the coming period."""

    resource: int
    message: bytes


class BroadcastSource(Protocol):
    """What a UE broadcasts beside its data: asked by the access while it makes bursts."""

    def sync_signal(self, subframe: int) -> SyncSignal | None:
        """The synchronisation signal due in a subframe; subframes are asked for in order, each once."""

    def announcements(self, n_resources: int, *, n_t: int, avoid: Collection[int]) -> Iterable[Announcement]:
        """The discovery messages of the coming discovery period, asked for once at its start.

        Args:
            n_resources: how many resources there are; one message takes one.
            n_t: resources that are equal modulo this share their subframes.
            avoid: resources on which others were heard of late.
        """


class SidelinkAccess(Protocol):
    """One UE's access to the sidelink by one radio access technology."""

    @property
    def sample_rate_hz(self) -> int:
        """The rate of the samples it takes and gives."""

    @property
    def n_prb(self) -> int:
        """The width of its channel in physical resource blocks."""

    @property
    def subframe(self) -> int | None:
        """The next subframe to be received; None while there is no timing."""

    def receive(self, iq: Iq, first_sample: int) -> Iterator[AccessIndication]:
        """Take samples in, any number of them; to be iterated to the end. A gap costs the subframes it touches."""

    def bursts(self, source: BroadcastSource) -> list[tuple[Iq, int]]:
        """Bursts of the subframes that have come within the lead of the transmitter, each with its first sample."""

    def check_room(self, pair: AddressPair, lcid: int, octets: int) -> None:
        """Raises radio.l2.mac.QueueFull where a PDU finds no room; asked before a number is spent on sealing it."""

    def offer(self, pdu: PdcpPdu) -> None:
        """Queue a PDCP PDU. Raises radio.l2.mac.QueueFull."""

    def queued_octets(self, dst_l2: int) -> int:
        """Octets that wait for a destination."""

    def take_report(self, peer_l2: int, octets: bytes) -> None:
        """Take a report of a peer's access, once the link's integrity has vouched for it. Raises RadioError."""

    def join_group(self, group_l2: int) -> None:
        """Receive what goes to a group from now on. Raises AddressError."""

    def forget_groups_from(self, src_l2: int) -> None:
        """Throw away what waits to be sent to groups from a layer-2 id that is given up."""

    def become_sync_ref(self, n_sl_id: int, first_sample: int | None = None) -> None:
        """Be a synchronisation reference: on the timing there is, or on own timing from `first_sample` on."""

    def follow(self, source: SlssDetected) -> Synchronised:
        """Take a source that was detected as reference from now on."""

    def scan(self, n_subframes: int) -> None:
        """Search the next subframes for synchronisation sources, beside whatever else is done."""
