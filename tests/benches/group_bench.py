"""Groups on the test air: one keyer, some members, and one-to-many traffic between them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from prose_link.pc5s.core.group_config import GroupConfig, info_of
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.pc5s.identity.key_exchange import build_request
from prose_link.pc5s.wire.messages import Mutual, ProfileAndFlags, Purpose, SecurityCapabilities
from security.groups import GroupError, GroupKeying, KeyingMode
from security.groups.keying import epoch_at
from security.groups.membership import GroupKey
from security.identifiers import KeyRing, UserKeys
from security.mikey import Kind
from tests.benches.pc5s_bench import A, Air, B, C, E, Frame, Ue, at, draft_request, make_kms

GROUP = "tel:+447700900099"
GROUP_L2 = 0x00BEEF
LCID = 3
MEMBERS = (B, C)
SSV = bytes(range(16))


def group_config(**changed: object) -> GroupConfig:
    """The group as all its UEs know it."""
    fields: dict[str, object] = {"identity": GROUP, "l2_id": GROUP_L2, "keyers": (A,), "members": MEMBERS}
    fields |= {"asks": False, **changed}
    return GroupConfig(**fields)


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


def member(
    uri: str,
    *,
    record: MemoryRecord | None = None,
    seed: str = "",
    marks_lost_at_ntp_s: float | None = None,
    **changed: object,
) -> Ue:
    """A UE with the group in its configuration."""
    config = group_config(**changed)
    ring = group_ring(uri, with_group_key=config.mode is KeyingMode.GROUP_IDENTITY)
    return Ue(uri, ring=ring, record=record, seed=seed, groups=(config,), marks_lost_at_ntp_s=marks_lost_at_ntp_s)


class GroupAir(Air):
    """An air on which frames to the group come to all UEs except their sender."""

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
            keyer.entity.groups.keyer(GROUP).locate(at(ue.uri, ue.l2_id))
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


def newest(ue: Ue) -> GroupKey | None:
    """The key with the greatest mark that a UE holds."""
    return ue.entity.groups._membership.newest(GROUP_L2)


def newest_mark(ue: Ue) -> int:
    """Its mark, 0 without a key."""
    held = newest(ue)
    return held.keying.mark if held is not None else 0


@dataclass
class Talk:
    """Group PDUs sent and opened: nothing is ever opened to anything but what was sent, no number is used twice."""

    numbers: set[tuple[bytes, int, int, int]] = field(default_factory=set)
    said: int = 0

    def say(self, sender: Ue, *receivers: Ue) -> list[Ue]:
        """Send one PDU; returns who could open it. Raises GroupError where the sender must not or can't send."""
        self.said += 1
        data = b"said %d" % self.said
        pdu = sealed(sender, data)
        pgk = sender.entity.groups._membership.sending_key(GROUP_L2).live_pgk
        number = (pgk, pdu[0], pdu[3], pdu[4])
        assert number not in self.numbers, "a key and COUNT twice"
        self.numbers.add(number)
        readers = []
        for receiver in receivers:
            try:
                assert opened(receiver, pdu) == data, "opened under a wrong key"
            except GroupError:
                continue
            readers.append(receiver)
        return readers


def locate_all(air: GroupAir) -> None:
    """Tell each keyer where all members are, and each member where the keyers are."""
    for ue in air.ues:
        for other in air.ues:
            if other is ue:
                continue
            ue.entity.groups.locate(at(other.uri, other.l2_id))
            if ue.uri in ue.config.groups[0].keyers:
                ue.entity.groups.keyer(GROUP).locate(at(other.uri, other.l2_id))


def two_keyers(**changed: object) -> tuple[Ue, Ue, Ue, Ue, GroupAir]:
    """Keyers A and B, members C and E; each knows where the others are, and none has a key yet."""
    fields = {"keyers": (A, B), "members": (C, E), **changed}
    a, b, c, e = (member(uri, **fields) for uri in (A, B, C, E))
    air = GroupAir(a, b, c, e)
    locate_all(air)
    return a, b, c, e, air


def world(**changed: object) -> tuple[Ue, Ue, Ue, GroupAir]:
    """A keyer and two members, keyed."""
    a, b, c = (member(uri, **changed) for uri in (A, B, C))
    air = GroupAir(a, b, c)
    air.keyed(a, b, c)
    return a, b, c, air


def keying(air: Air, *, ssv: bytes = SSV, **changed: object) -> GroupKeying:
    """A key description of keyer A, its tag made for an SSV."""
    fields: dict[str, object] = {
        "group_identity": GROUP,
        "group_l2": GROUP_L2,
        "pgk_id": 9,
        "epoch": epoch_at(air.now.ntp_s) + 1,
        "expiry_ntp_s": int(air.now.ntp_s) + 1000,
        "eea": 2,
        "mode": KeyingMode.PER_MEMBER,
        **changed,
    }
    return GroupKeying(**fields).tagged(ssv, A)


def keying_request(
    sender: Ue,
    target: Ue,
    air: Air,
    *,
    kind: int = Kind.GROUP,
    ssv: bytes = SSV,
    key: GroupKeying | None = None,
    to: str | None = None,
    at: float = 0.0,
    **changed: object,
) -> bytes:
    """A keying message as an honest keyer makes it, with some things altered before signing."""
    draft = draft_request(
        sender,
        target,
        capabilities=SecurityCapabilities.of((2,), (0,)),
        profile=ProfileAndFlags(mutual=Mutual.NOT_WANTED, purpose=Purpose.GROUP),
        group_info=info_of(key or keying(air)),
        **changed,
    )
    return build_request(draft, sender.credentials, ntp_s=air.now.ntp_s + at, kind=kind, to=to, ssv=ssv).octets


__all__ = [
    "GROUP",
    "GROUP_L2",
    "MEMBERS",
    "E",
    "GroupAir",
    "Talk",
    "group_config",
    "keying",
    "keying_request",
    "locate_all",
    "member",
    "newest",
    "newest_mark",
    "opened",
    "sealed",
    "two_keyers",
    "world",
]
