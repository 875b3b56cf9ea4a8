"""Whatever octets come, the layers give them back, and the line and the tree can be printed."""

import hypothesis
from hypothesis import strategies as st

from lab_scripts.capture import exported_pdu
from lab_scripts.dissectors.exported import LAYERS, layer_of
from lab_scripts.dissectors.mikey import (
    Mikey,
    MikeyGeneralExtension,
    MikeyIdr,
    MikeyRand,
    MikeySakke,
    MikeySign,
    MikeyT,
)
from lab_scripts.dissectors.pc5s import Pc5S
from lab_scripts.dissectors.pdcp import SlrbPdcp
from lab_scripts.dissectors.rlc_um import RlcSegment, RlcUm
from lab_scripts.dissectors.sl_sch import MacSubheader, SlSchMac
from lab_scripts.dissectors.summary import one_line, tree
from tests.samples.pc5s_messages import SAMPLES, named

I_MESSAGE = (
    Mikey(csb_id=0xD0000001)
    / MikeyT(ts=1 << 60)
    / MikeyRand(rand=bytes(16))
    / MikeyIdr(role=1, identity=b"tel:+447700900001")
    / MikeyGeneralExtension(data=[])
    / MikeySakke(sed=bytes(40))
    / MikeySign(signature=bytes(20))
)
REQUEST = Pc5S(named("request").octets)
IN_PDCP = SlrbPdcp(sdu_type=2) / REQUEST
IN_MAC = SlSchMac(
    src=1,
    dst=2,
    subheaders=[MacSubheader(lcid=28), MacSubheader(lcid=1), MacSubheader(lcid=31)],
    sdus=[RlcUm(elements=[IN_PDCP, IN_PDCP]), RlcUm(elements=[RlcSegment(b"abc")] * 3)],
    padding=bytes(5),
)
MESSAGES = {
    exported_pdu.MIKEY: bytes(I_MESSAGE),
    exported_pdu.SL_PDCP: bytes(IN_PDCP),
    exported_pdu.MAC: bytes.fromhex("01000801") + bytes(IN_MAC),
}
EACH = [*MESSAGES.items(), *((exported_pdu.PC5_S, sample.octets) for sample in SAMPLES)]


def check(name, octets):
    frame = exported_pdu.exported_pdu(name, octets)
    packet = layer_of(252, frame)
    assert bytes(packet) == frame
    assert one_line(packet).isprintable()
    assert tree(packet)
    packet.show(dump=True)


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(st.data())
def test_altered_messages(data):
    name, message = data.draw(st.sampled_from(EACH))
    octets = bytearray(message)
    for at in data.draw(st.lists(st.integers(0, len(octets) - 1), min_size=1, max_size=4)):
        octets[at] = data.draw(st.integers(0, 255))
    check(name, bytes(octets[: data.draw(st.integers(0, len(octets)))]))


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(st.sampled_from(sorted(LAYERS)), st.binary(max_size=200))
def test_any_octets(name, octets):
    check(name, octets)


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(st.sampled_from([101, 252, 1]), st.binary(max_size=100))
def test_any_frame(link_type, frame):
    packet = layer_of(link_type, frame)
    assert bytes(packet) == frame
    assert one_line(packet).isprintable()
    assert isinstance(tree(packet), list)
