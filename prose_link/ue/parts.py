"""The layers that a UE is put together from."""

from __future__ import annotations

from dataclasses import dataclass

from prose_link.discovery.entity import DiscoveryEntity
from prose_link.pc5s.entity import Pc5sEntity
from prose_link.sync.driver import SyncDriver
from prose_link.ue.group_role import GroupRole
from prose_link.userplane.sessions import UserPlane
from radio.l2.stack import L2Stack
from radio.phy.lte.pools.mode2 import SidelinkPools
from radio.phy.lte.ue_phy import UePhy


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """The layers of one UE, already made."""

    phy: UePhy
    l2: L2Stack
    pc5s: Pc5sEntity
    discovery: DiscoveryEntity
    pools: SidelinkPools
    sync: SyncDriver
    user_plane: UserPlane
    group: GroupRole | None = None
