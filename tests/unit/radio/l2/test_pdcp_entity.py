"""PDCP of one UE: what it asks of the owner of the keys, field by field, and what it makes of the answers."""

from __future__ import annotations

from typing import Any

import pytest

from radio.l2.indications import Dropped, DropReason, PduReceived, PduSeen, SduReceived
from radio.l2.logical_channels import AddressError
from radio.l2.pdcp import MAX_SDU_OCTETS, PdcpPduError, PdcpSdu, ProtectionError, SduType
from radio.l2.pdcp_entity import PdcpEntity

OWN, PEER, GROUP, SENDER = 0x000A01, 0x000B02, 0x777701, 0x0D0E0F
KEYED = bytes.fromhex("40 2107 0009")


class Keys:
    """Writes down what it is asked, and answers with fixed octets."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def next_sn(self, *args: Any) -> int:
        self.asked.append(("next_sn", *args))
        return 9

    def seal(self, *args: Any) -> tuple[bytes, bytes]:
        self.asked.append(("seal", *args))
        return b"sealed", b"MACI"

    def open(self, *args: Any) -> bytes:
        self.asked.append(("open", *args))
        return b"opened"


class GroupKeys:
    """The same for groups."""

    sender_l2 = SENDER

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def give_up_sender(self, src_l2: int) -> bool:
        self.asked.append(("give up", src_l2))
        return src_l2 == SENDER

    def next_key(self, *args: Any) -> tuple[int, int, int]:
        self.asked.append(("next_key", *args))
        return 3, 0x0102, 0x0304

    def seal(self, *args: Any) -> bytes:
        self.asked.append(("seal", *args))
        return b"sealed"

    def open(self, *args: Any) -> bytes:
        self.asked.append(("open", *args))
        return b"opened"


def sdu_of(data: bytes = b"data", *, dst: int = PEER, lcid: int = 30, kd_sess_id: int = 0x2107) -> PdcpSdu:
    return PdcpSdu(dst_l2=dst, lcid=lcid, sdu_type=SduType.PC5_SIGNALLING, data=data, kd_sess_id=kd_sess_id)


def pdu_of(data: bytes, *, dst: int = OWN, lcid: int = 30, to_group: bool = False) -> PduReceived:
    return PduReceived(src_l2=PEER, dst_l2=dst, lcid=lcid, to_group=to_group, data=data)


def entity_of(groups: GroupKeys | None = None, **options: Any) -> tuple[PdcpEntity, Keys]:
    keys = Keys()
    return PdcpEntity(OWN, keys, groups, **options), keys


def test_an_own_id_that_cannot_be_used() -> None:
    with pytest.raises(AddressError):
        PdcpEntity(0, Keys())


def test_what_a_link_is_asked_when_sending() -> None:
    seen: list[PduSeen] = []
    entity, keys = entity_of(observer=seen.append)
    pdu = entity.send(sdu_of())
    assert keys.asked == [("next_sn", PEER, 0x2107, 30), ("seal", PEER, 0x2107, 9, 30, KEYED, b"data")]
    assert (pdu.src_l2, pdu.dst_l2, pdu.lcid, pdu.to_group, pdu.data) == (OWN, PEER, 30, False, KEYED + b"sealedMACI")
    assert seen == [PduSeen(layer="pdcp", direction="tx", src_l2=OWN, dst_l2=PEER, lcid=30, data=KEYED + b"sealedMACI")]


def test_what_a_link_is_asked_when_receiving() -> None:
    seen: list[PduSeen] = []
    entity, keys = entity_of(observer=seen.append)
    octets = KEYED + b"sealedMACI"
    assert entity.receive(pdu_of(octets)) == SduReceived(
        src_l2=PEER,
        dst_l2=OWN,
        lcid=30,
        sdu_type=SduType.PC5_SIGNALLING,
        kd_sess_id=0x2107,
        data=b"opened",
        protected=True,
        sn=9,
    )
    assert keys.asked == [("open", PEER, OWN, 0x2107, 9, 30, KEYED, b"sealed", b"MACI")]
    assert seen == [PduSeen(layer="pdcp", direction="rx", src_l2=PEER, dst_l2=OWN, lcid=30, data=octets)]
    assert entity.dropped == {}


def test_lcid_28_goes_plain_and_comes_plain() -> None:
    entity, keys = entity_of()
    sent = entity.send(sdu_of(lcid=28, kd_sess_id=0))
    assert sent.data == bytes.fromhex("40 0000 0000") + b"data"
    assert entity.receive(pdu_of(sent.data, lcid=28)) == SduReceived(
        src_l2=PEER,
        dst_l2=OWN,
        lcid=28,
        sdu_type=SduType.PC5_SIGNALLING,
        kd_sess_id=0,
        data=b"data",
        protected=False,
    )
    assert not keys.asked


def test_lcid_28_is_protected_where_a_key_is_named() -> None:
    entity, keys = entity_of()
    assert entity.send(sdu_of(lcid=28)).data == KEYED + b"sealedMACI"
    assert [asked[0] for asked in keys.asked] == ["next_sn", "seal"]


@pytest.mark.parametrize("lcid", [1, 29, 30])
def test_nothing_else_goes_plain(lcid: int) -> None:
    entity, keys = entity_of()
    with pytest.raises(ProtectionError, match=f"LCID {lcid} carries nothing without a KD-sess ID"):
        entity.send(sdu_of(lcid=lcid, kd_sess_id=0))
    dropped = entity.receive(pdu_of(bytes.fromhex("40 0000 0000 61"), lcid=lcid))
    assert isinstance(dropped, Dropped)
    fields = (dropped.reason, dropped.detail, dropped.src_l2, dropped.dst_l2, dropped.lcid)
    assert fields == (DropReason.UNPROTECTED, f"KD-sess ID 0 on LCID {lcid}", PEER, OWN, lcid)
    assert entity.dropped == {DropReason.UNPROTECTED: 1}
    assert not keys.asked


def test_what_a_group_is_asked_both_ways() -> None:
    groups = GroupKeys()
    entity, keys = entity_of(groups)
    entity.join_group(GROUP)
    pdu = entity.send(sdu_of(dst=GROUP, lcid=3))
    octets = bytes.fromhex("43 0102 0304") + b"sealed"
    assert (pdu.src_l2, pdu.dst_l2, pdu.lcid, pdu.to_group, pdu.data) == (SENDER, GROUP, 3, True, octets)
    assert groups.asked == [("next_key", GROUP, 3), ("seal", GROUP, 3, 0x0102, 0x0304, 3, b"data")]
    groups.asked.clear()
    assert entity.receive(pdu_of(octets, dst=GROUP, lcid=3, to_group=True)) == SduReceived(
        src_l2=PEER,
        dst_l2=GROUP,
        lcid=3,
        sdu_type=SduType.PC5_SIGNALLING,
        kd_sess_id=0,
        data=b"opened",
        protected=True,
    )
    assert groups.asked == [("open", PEER, GROUP, 3, 0x0102, 0x0304, 3, b"sealed")]
    assert not keys.asked


def test_requests_to_a_group_come_from_the_own_id_in_the_one_to_one_form() -> None:
    groups = GroupKeys()
    entity, _ = entity_of(groups)
    entity.join_group(GROUP)
    pdu = entity.send(sdu_of(dst=GROUP, lcid=28, kd_sess_id=0))
    assert (pdu.src_l2, pdu.to_group, pdu.data) == (OWN, True, bytes.fromhex("40 0000 0000") + b"data")
    heard = entity.receive(pdu_of(pdu.data, dst=GROUP, lcid=28, to_group=True))
    assert isinstance(heard, SduReceived) and (heard.data, heard.protected) == (b"data", False)
    assert not groups.asked
    entity.leave_group(GROUP)
    assert entity.addresses_of(sdu_of(dst=GROUP, lcid=3)) == (OWN, GROUP)


def test_without_keys_of_groups() -> None:
    entity, _ = entity_of()
    assert entity.group_sender_l2 is None
    assert entity.give_up_sender(OWN) is False
    entity.join_group(GROUP)
    assert entity.addresses_of(sdu_of(dst=GROUP, lcid=3)) == (OWN, GROUP)
    with pytest.raises(ProtectionError, match="no group keys are held, none for 777701"):
        entity.send(sdu_of(dst=GROUP, lcid=3))
    dropped = entity.receive(pdu_of(bytes(8), dst=GROUP, lcid=3, to_group=True))
    assert isinstance(dropped, Dropped)
    fields = (dropped.reason, dropped.detail, dropped.src_l2, dropped.dst_l2, dropped.lcid)
    assert fields == (DropReason.NOT_VERIFIED, "no group keys are held, none for 777701", PEER, GROUP, 3)


def test_the_id_of_groups_is_that_of_their_keys() -> None:
    groups = GroupKeys()
    entity, _ = entity_of(groups)
    assert entity.group_sender_l2 == SENDER
    assert (entity.give_up_sender(SENDER), entity.give_up_sender(PEER)) == (True, False)
    assert groups.asked == [("give up", SENDER), ("give up", PEER)]


@pytest.mark.parametrize("dst", [0, 0xFFFFFF])
def test_groups_and_destinations_that_cannot_be(dst: int) -> None:
    entity, _ = entity_of()
    with pytest.raises(AddressError):
        entity.join_group(dst)
    with pytest.raises(AddressError):
        entity.send(sdu_of(dst=dst))
    with pytest.raises(AddressError):
        entity.send(sdu_of(lcid=31))
    with pytest.raises(AddressError, match="000a01 is this UE itself"):
        entity.send(sdu_of(dst=OWN))


def test_a_destination_that_is_not_known_is_for_lcid_28() -> None:
    entity, _ = entity_of()
    assert entity.addresses_of(sdu_of(dst=0, lcid=28)) == (OWN, 0)
    with pytest.raises(AddressError):
        entity.addresses_of(sdu_of(dst=0xFFFFFF, lcid=28))
    with pytest.raises(AddressError):
        entity.addresses_of(sdu_of(dst=0, lcid=30))


def test_the_longest_sdu() -> None:
    entity, keys = entity_of()
    entity.send(sdu_of(bytes(MAX_SDU_OCTETS)))
    keys.asked.clear()
    with pytest.raises(PdcpPduError, match="8189 octets is longer than 8188"):
        entity.send(sdu_of(bytes(MAX_SDU_OCTETS + 1)))
    assert not keys.asked


def test_malformed_octets_are_dropped_with_their_addresses() -> None:
    entity, _ = entity_of()
    for _ in range(2):
        dropped = entity.receive(pdu_of(b"\0"))
    assert isinstance(dropped, Dropped)
    fields = (dropped.reason, dropped.detail, dropped.src_l2, dropped.dst_l2, dropped.lcid)
    assert fields == (DropReason.MALFORMED_PDCP, "1 octets hold no PDCP header", PEER, OWN, 30)
    assert entity.dropped == {DropReason.MALFORMED_PDCP: 2}
    entity.dropped.clear()
    assert entity.dropped == {DropReason.MALFORMED_PDCP: 2}


def test_a_type_that_is_not_carried_is_dropped_with_its_addresses() -> None:
    entity, keys = entity_of(carried=(SduType.IP,))
    with pytest.raises(PdcpPduError, match="SDUs of type PC5_SIGNALLING are not carried"):
        entity.send(sdu_of())
    assert not keys.asked
    dropped = entity.receive(pdu_of(KEYED + b"sealedMACI"))
    assert isinstance(dropped, Dropped)
    fields = (dropped.reason, dropped.detail, dropped.src_l2, dropped.dst_l2, dropped.lcid)
    detail = "6 octets of type PC5_SIGNALLING, which is not carried"
    assert fields == (DropReason.SDU_TYPE, detail, PEER, OWN, 30)
