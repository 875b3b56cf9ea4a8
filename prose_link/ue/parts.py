"""The layers of which a UE consists."""

from __future__ import annotations

from dataclasses import dataclass

from prose_link.carriers.direct import Direct
from prose_link.carriers.protocol import Carrier
from prose_link.discovery.entity import DiscoveryEntity
from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.entity import Pc5sEntity
from prose_link.sync.driver import SyncDriver
from prose_link.ue.clock import UeClock
from prose_link.ue.group_role import GroupRole
from prose_link.ue.link_protector import LinkProtector
from prose_link.ue.pdu_tap import PduTap
from prose_link.ue.phone_book import PhoneBook
from prose_link.userplane.queueing.link_queue import QueueSettings
from prose_link.userplane.sessions import UserPlane
from radio.access.protocol import SidelinkAccess
from radio.l2.pdcp_entity import PdcpEntity


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """The layers of one UE.

    `tap` is the observer of `access` and `pdcp`, `protector` holds the keys for `pdcp`, `direct` is the carrier over
    `access`.
    """

    clock: UeClock
    access: SidelinkAccess
    direct: Direct
    carriers: tuple[Carrier, ...]
    """The carriers beside direct radio."""
    pdcp: PdcpEntity
    protector: LinkProtector
    tap: PduTap
    pc5s: Pc5sEntity
    credentials: Credentials
    """The keys that `pc5s` signs and opens with."""
    discovery: DiscoveryEntity
    sync: SyncDriver
    user_plane: UserPlane
    queues: QueueSettings
    phone_book: PhoneBook
    group: GroupRole | None = None
