"""The one line that `capture show` prints for a packet."""

import pytest

from lab_scripts.dissectors.mikey import Mikey, MikeyIdr, MikeySign, MikeyT
from lab_scripts.dissectors.pc5s import DirectConnectionReject, DirectConnectionRequest, KeepaliveAck, Pc5S, Release
from lab_scripts.dissectors.pc5s_ies import IMessageIe
from lab_scripts.dissectors.pdcp import SlrbPdcp, SlrbPdcpGroup
from lab_scripts.dissectors.rlc_um import RlcSegment, RlcUm
from lab_scripts.dissectors.sl_sch import MacSubheader, SlSchMac
from lab_scripts.dissectors.summary import one_line, tree
from tests.samples.pc5s_messages import SAMPLES

A, B = b"tel:+447700900001", b"tel:+447700900002"
I_MESSAGE = (
    Mikey(csb_id=0xD0000001)
    / MikeyT(ts=0xEC898DA8_40000000)
    / MikeyIdr(role=1, identity=A)
    / MikeyIdr(role=2, identity=B)
    / MikeySign(signature=bytes(129))
)
UID_MESSAGE = Mikey(csb_id=1) / MikeyIdr(role=8, identity=bytes(range(32))) / MikeyIdr(role=9, identity=bytes(32))
SIZE = len(bytes(I_MESSAGE))


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (
            SlSchMac(
                src=0x5C1A01,
                dst=0x5C1B,
                subheaders=[MacSubheader(lcid=28), MacSubheader(lcid=31)],
                sdus=[RlcUm(elements=[RlcSegment(bytes(699))])],
                padding=bytes(9),
            ),
            "SL-SCH 5c1a01 > 5c1b (LCID 28, 700 octets; padding 9)",
        ),
        (Pc5S() / KeepaliveAck(counter=0), "Keepalive Ack"),
        (Pc5S() / Release(reason=9), "Release, reason 9"),
        (Pc5S() / DirectConnectionReject(cause=0), "Direct Connection Reject, cause 0"),
        (Pc5S(message_type=99), "PC5-S message type 99"),
        (
            I_MESSAGE,
            f"MIKEY-SAKKE I_MESSAGE {A.decode()} > {B.decode()}, CSB-ID d0000001, 2025-10-02 23:47:52, {SIZE} octets",
        ),
        (UID_MESSAGE, "MIKEY-SAKKE I_MESSAGE UID 00010203.. > UID 00000000.., CSB-ID 00000001, 84 octets"),
        (
            SlrbPdcp(sdu_type=0, kd_sess_id=0x2107, sn=9, data=bytes(84), mac_i=0xABCD),
            "PDCP IP, KD-sess ID 2107, SN 9, 84 octets, MAC-I 0000abcd",
        ),
        (
            SlrbPdcp(sdu_type=2, kd_sess_id=0, sn=0) / Pc5S(message_type=17),
            "PDCP PC5-S, not protected: Rekeying Trigger",
        ),
        (
            SlrbPdcpGroup(sdu_type=0, pgk_index=3, ptk_id=0x99, sn=1, data=bytes(5)),
            "PDCP IP, PGK index 3, PTK ID 0099, SN 1, 5 octets",
        ),
    ],
)
def test_line(packet, line):
    dissected = type(packet)(bytes(packet))
    assert one_line(dissected) == line


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_the_line_of_every_message(sample):
    assert one_line(Pc5S(sample.octets)) == sample.line


def test_line_holds_no_control_characters():
    packet = Pc5S(bytes(Pc5S() / DirectConnectionRequest(user_info=b"tel:\x1b[2J\n+1")))
    assert one_line(packet) == "Direct Connection Request tel:.[2J.+1"


def test_tree_nests_what_is_inside():
    layers = tree(Pc5S(bytes(Pc5S() / DirectConnectionRequest(user_info=A, ies=[IMessageIe(i_message=I_MESSAGE)]))))
    assert [layer["layer"] for layer in layers] == ["PC5-S", "Direct Connection Request"]
    ((ie,),) = layers[1]["fields"]["ies"]
    inner = ie["fields"]["i_message"]
    assert [layer["layer"] for layer in inner][:2] == ["MIKEY", "MIKEY T"]
