"""Group traffic has the shape that PDCP asks for, and goes through it; `security` itself knows nothing of PDCP."""

from __future__ import annotations

import hashlib
import inspect

import pytest

from radio.l2.indications import PduReceived, SduReceived
from radio.l2.pdcp import GroupProtector, PdcpSdu, SduType, decode_one_to_many
from radio.l2.pdcp_entity import PdcpEntity
from security.groups import GroupKeying, GroupMembership, GroupReplay, GroupTraffic

GROUP_L2 = 0xBEEF


class Marks:
    def __init__(self):
        self.values = {}

    def mark(self, name):
        return self.values.get(name, 0)

    def marks_named(self, prefix):
        return {name: value for name, value in self.values.items() if name.startswith(prefix)}

    def raise_mark(self, name, value):
        self.values[name] = value


def member(l2):
    marks = Marks()
    membership = GroupMembership(marks=marks)
    keying = GroupKeying(
        group_identity="tel:+1", group_l2=GROUP_L2, pgk_id=0x45, epoch=1, expiry_ntp_s=9, eea=2, mode=1
    ).tagged(bytes(16), "tel:+9")
    membership.install(keying, bytes(16), keyer="tel:+9", place=4, t_ntp_s=0, now_ntp_s=0)
    return GroupTraffic(membership, sender_l2=l2, marks=marks, random=lambda n: hashlib.sha256(b"r").digest()[:n])


@pytest.mark.parametrize("name", ["give_up_sender", "next_key", "seal", "open"])
def test_signatures_are_those_of_the_protocol(name):
    asked, given = (inspect.signature(getattr(kind, name)) for kind in (GroupProtector, GroupTraffic))
    assert list(asked.parameters) == list(given.parameters)
    assert asked.return_annotation == given.return_annotation


def test_pdus_pass_pdcp_to_a_group():
    alice, bob = (PdcpEntity(l2, None, member(l2)) for l2 in (0xA1, 0xB2))
    for pdcp in (alice, bob):
        pdcp.join_group(GROUP_L2)
    sent = alice.send(PdcpSdu(dst_l2=GROUP_L2, lcid=4, sdu_type=SduType.NON_IP, data=b"to all of you"))
    assert sent.to_group
    pdu = decode_one_to_many(sent.data)
    assert (pdu.pgk_index, pdu.sn) == (5, 1)
    assert b"to all" not in sent.data
    heard = PduReceived(src_l2=0xA1, dst_l2=GROUP_L2, lcid=4, to_group=True, data=sent.data)
    received = bob.receive(heard)
    assert isinstance(received, SduReceived)
    assert received.data == b"to all of you"
    with pytest.raises(GroupReplay):
        bob.receive(heard)
