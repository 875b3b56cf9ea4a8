"""The [group] section of a UE, and the protector that PDCP is given."""

import pytest
from pydantic import ValidationError

from prose_link.config.group import GroupSection
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.ue.group_protector import OneToManyProtector
from radio.l2.pdcp import ProtectionError
from security.groups import GroupKeying, GroupMembership, GroupTraffic

GROUP = "tel:+447700900099"
GROUP_L2, OWN_L2 = 0x00BEEF, 0x0A0001
NOW = 4_000_000_000.0
KEYER = "tel:+447700900001"


def section(**changed):
    return GroupSection.model_validate(
        {"identity": GROUP, "l2_id": GROUP_L2, "keyers": ["tel:+447700900001"], **changed}
    )


def protector(l2_id=OWN_L2):
    record = MemoryRecord()
    membership = GroupMembership(marks=record)
    traffic = GroupTraffic(membership, sender_l2=l2_id, marks=record, random=lambda n: bytes(range(1, n + 1)))
    keying = GroupKeying(
        group_identity=GROUP, group_l2=GROUP_L2, pgk_id=1, epoch=1, expiry_ntp_s=int(NOW) + 99, eea=2, mode=1
    ).tagged(bytes(16), KEYER)
    membership.install(keying, bytes(16), keyer=KEYER, place=0, t_ntp_s=NOW, now_ntp_s=NOW)
    return OneToManyProtector(traffic)


def test_removal_is_refused_where_the_group_identity_keys_the_group():
    assert section(remove="tel:+447700900002").remove
    with pytest.raises(ValidationError, match="no member can be removed"):
        section(remove="tel:+447700900002", mode="group-identity")


@pytest.mark.parametrize("changed", [{"keyers": []}, {"l2_id": 0}, {"message_octets": 1201}, {"eea": 0}, {"other": 1}])
def test_bad_sections(changed):
    with pytest.raises(ValidationError):
        section(**changed)


def test_what_one_member_seals_another_opens_once():
    ours, theirs = protector(), protector(0x0B0002)
    index, ptk_id, sn = ours.next_key(GROUP_L2, 1)
    sealed = ours.seal(GROUP_L2, index, ptk_id, sn, 1, b"data")
    assert theirs.open(OWN_L2, GROUP_L2, index, ptk_id, sn, 1, sealed) == b"data"
    with pytest.raises(ProtectionError):
        theirs.open(OWN_L2, GROUP_L2, index, ptk_id, sn, 1, sealed)


def test_the_layer_2_id_given_up_is_that_of_the_keys():
    ours, theirs = protector(), protector(0x0B0002)
    assert ours.sender_l2 == OWN_L2 and not ours.give_up_sender(0x0B0002)
    assert ours.give_up_sender(OWN_L2) and not ours.give_up_sender(OWN_L2)
    index, ptk_id, sn = ours.next_key(GROUP_L2, 1)
    sealed = ours.seal(GROUP_L2, index, ptk_id, sn, 1, b"data")
    assert theirs.open(ours.sender_l2, GROUP_L2, index, ptk_id, sn, 1, sealed) == b"data"
