"""The port between a UE and its radio access technology: the methods of a `SidelinkAccess`, and its callbacks.

An access joins the PHY, the scheduler and the lower part of layer 2 of one technology. Its owner, the UE, passes
samples in and gets bursts, passes PDCP PDUs down and gets PDUs, and gets synchronisation and discovery as values. The
owner has no pool, no SC period, no control information and no transport block.

The calls, and when they come in each step of a UE:

1. `receive` with the next samples; the UE processes each indication before it asks for the next one;
2. the UE's own entities act on them; PDUs to send go down by `check_room`, then `offer`; of user data no more than the
   next transport block takes (`block_octets`, `queued_octets`); `note_backlog` tells the access how much waits above;
3. `bursts`, once, at the end of the step; while it runs the access calls its `BroadcastSource` for the broadcast
   signals.

The count of samples drives everything; nothing waits, and input from a peer never raises.
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
"""An indication for the synchronisation procedure of this technology; other code passes it on unread."""

SyncSignal: TypeAlias = SlssTx
"""The broadcast of a UE in one subframe, which other UEs may follow; only the procedure and the access read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockReceived:
    """One SL-SCH transport block, as received."""

    subframes: tuple[int, ...]
    """Subframes of its transmissions, by the UE's own count."""
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
    """The PDCP PDUs of one transport block, or of the end of a wait, and the dropped parts, in order."""

    items: tuple[PduReceived | Dropped, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementReceived:
    """A discovery message of another UE."""

    message: bytes


AccessIndication: TypeAlias = SyncIndication | BlockReceived | PdusReceived | AnnouncementReceived


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A discovery message to send on one of the discovery resources of the coming period."""

    resource: int
    message: bytes


class BroadcastSource(Protocol):
    """Source of a UE's broadcast signals; the access calls it while it makes bursts."""

    def sync_signal(self, subframe: int) -> SyncSignal | None:
        """The synchronisation signal due in a subframe; called once for each subframe, in order."""

    def announcements(self, n_resources: int, *, n_t: int, avoid: Collection[int]) -> Iterable[Announcement]:
        """The discovery messages of the coming discovery period; called once at its start.

        Args:
            n_resources: number of resources; one message takes one.
            n_t: resources that are equal modulo this share their subframes.
            avoid: resources on which other UEs were heard recently.
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
        """Process samples, complex64 (n,) of any n; the caller iterates to the end.

        A gap loses the subframes it touches.
        """

    def bursts(self, source: BroadcastSource) -> list[tuple[Iq, int]]:
        """Bursts of the subframes that have come within the transmitter's lead, each with its first sample."""

    def check_room(self, pair: AddressPair, lcid: int, octets: int) -> None:
        """Raise radio.l2.mac.QueueFull if there is no room; called before a number is spent on sealing."""

    def offer(self, pdu: PdcpPdu) -> None:
        """Queue a PDCP PDU. Raises radio.l2.mac.QueueFull."""

    def queued_octets(self, dst_l2: int, lcid: int | None = None) -> int:
        """Octets that wait for a destination, on one logical channel or on all of them."""

    def block_octets(self, dst_l2: int) -> int:
        """Octets of the transport blocks that a destination is sent just now; 0 where it is sent none."""

    def note_backlog(self, pair: AddressPair, lcid: int, octets: int) -> None:
        """Octets of a logical channel wait above for the room that the next blocks make; the last word counts.

        Grants are made for them too, while something of that channel has been handed down.
        """

    def join_group(self, group_l2: int) -> None:
        """Receive PDUs to a group from now on. Raises AddressError."""

    def forget_groups_from(self, src_l2: int) -> None:
        """Drop all PDUs that wait to be sent to groups from a layer-2 id that is given up."""

    def become_sync_ref(self, n_sl_id: int, first_sample: int | None = None) -> None:
        """Become a synchronisation reference: on the present timing, or on own timing from `first_sample` on."""

    def follow(self, source: SlssDetected) -> Synchronised:
        """Follow a detected source as reference from now on."""

    def scan(self, n_subframes: int) -> None:
        """Search the next subframes for synchronisation sources, in parallel with all other work."""
