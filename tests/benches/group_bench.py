"""Groups on the test air: one keyer, some members, and one-to-many traffic between them."""

from __future__ import annotations

from dataclasses import replace

from prose_link.pc5s.core.group_config import GroupConfig
from prose_link.pc5s.core.replay import MemoryRecord
from security.groups import KeyingMode
from security.identifiers import KeyRing, UserKeys
from tests.benches.pc5s_bench import A, Air, B, C, E, Frame, Ue, make_kms

GROUP = "tel:+447700900099"
GROUP_L2 = 0x00BEEF
LCID = 3
MEMBERS = (B, C)


def group_config(**changed: object) -> GroupConfig:
    """The group as all its UEs know it."""
    fields: dict[str, object] = {"identity": GROUP, "l2_id": GROUP_L2, "keyers": (A,), "members": MEMBERS}
    fields |= {"asks": False, **changed}
    return GroupConfig(**fields)  # type: ignore[arg-type]


def group_ring(uri: str, *, with_group_key: bool) -> KeyRing:
    """A UE's keys; a member's also hold the RSK of the group identity, without keys to sign as the group."""
    kms = make_kms()
    own = kms.ring(uri)
    if not with_group_key:
        return own
    period = own.users[0].key_period_no
    of_group = replace(kms.keys(GROUP, period), ssk=b"", pvt=b"")
    users: tuple[UserKeys, ...] = (*own.users, of_group)
    return KeyRing(own.domains, users)


def member(uri: str, *, record: MemoryRecord | None = None, seed: str = "", **changed: object) -> Ue:
    """A UE with the group in its configuration."""
    config = group_config(**changed)
    ring = group_ring(uri, with_group_key=config.mode is KeyingMode.GROUP_IDENTITY)
    return Ue(uri, ring=ring, record=record, seed=seed, groups=(config,))


class GroupAir(Air):
    """An air on which frames to the group come to everybody but their sender."""

    def __init__(self, *ues: Ue) -> None:
        super().__init__(*ues)
        self.pass_on = self.spread

    def spread(self, frame: Frame) -> list[Frame]:
        """A frame as each receiver gets it."""
        if frame.dst_l2 != GROUP_L2:
            return [frame]
        return [replace(frame, dst_l2=ue.l2_id) for ue in self.ues if ue.l2_id != frame.src_l2]

    def keyed(self, keyer: Ue, *members: Ue) -> None:
        """Let the keyer find its members and key the group."""
        for ue in members:
            keyer.entity.groups.keyer(GROUP).locate(ue.uri, ue.l2_id)
        keyer.entity.groups.keyer(GROUP).new_epoch(self.now)
        self.run(1.1)


def sealed(sender: Ue, data: bytes = b"to all") -> tuple[int, int, int, int, int, int, bytes]:
    """A group PDU as `GroupTraffic.open` takes it."""
    traffic = sender.entity.groups.traffic
    index, ptk_id, sn = traffic.next_key(GROUP_L2, LCID)
    return traffic.sender_l2, GROUP_L2, index, ptk_id, sn, LCID, traffic.seal(GROUP_L2, index, ptk_id, sn, LCID, data)


def opened(receiver: Ue, pdu: tuple[int, int, int, int, int, int, bytes]) -> bytes:
    """What a receiver makes of it."""
    return receiver.entity.groups.traffic.open(*pdu)


def world(**changed: object) -> tuple[Ue, Ue, Ue, GroupAir]:
    """A keyer and two members, keyed."""
    a, b, c = (member(uri, **changed) for uri in (A, B, C))
    air = GroupAir(a, b, c)
    air.keyed(a, b, c)
    return a, b, c, air


__all__ = ["GROUP", "GROUP_L2", "MEMBERS", "E", "GroupAir", "group_config", "member", "opened", "sealed", "world"]
