"""The sink: which frame, interface and comment each layer's PDU gets."""

import pytest

from lab_scripts.capture import exported_pdu
from lab_scripts.capture.capture_file import read_packets
from lab_scripts.capture.comment import read_comment
from lab_scripts.capture.sink import CaptureSink, write_capture
from lab_scripts.dissectors.exported import ExportedPdu, MacLteContext
from prose_link.event_stream import PduSeen, TimedEvent
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.ue.events import Progress
from tests.samples.events import an_event, at


def event(source="ue-a", layer="pc5s", data=b"\x07\0\1", **fields):
    pdu = PduSeen(layer=layer, direction="tx", subframe=6777, data=data, **fields)
    return TimedEvent(utc_ns=1, source=source, seq=0, event=pdu)


def written(path, *events):
    count = write_capture(path, events)
    packets = list(read_packets(path))
    assert len(packets) == count
    return packets


@pytest.mark.parametrize(
    ("layer", "octets", "dissector"),
    [
        ("mib_sl", 5, exported_pdu.MIB_SL),
        ("mib_sl", 6, exported_pdu.MIB_SL_V2X),
        ("discovery", 29, exported_pdu.PC5_D),
        ("mac", 20, exported_pdu.MAC),
        ("pdcp", 20, exported_pdu.SL_PDCP),
        ("pc5s", 20, exported_pdu.PC5_S),
        ("mikey", 20, exported_pdu.MIKEY),
    ],
)
def test_each_layer_names_its_dissector(tmp_path, layer, octets, dissector):
    (packet,) = written(tmp_path / "x.pcapng", event(layer=layer, data=bytes(octets)))
    assert (packet.interface.name, packet.interface.link_type) == (f"ue-a.{layer}", 252)
    assert ExportedPdu(packet.data).dissector == dissector
    assert packet.data.endswith(bytes(octets))


def test_ip_stands_as_it_is(tmp_path):
    (packet,) = written(tmp_path / "x.pcapng", event(layer="ip", data=b"\x45ip"))
    assert (packet.interface.link_type, packet.data) == (101, b"\x45ip")


def test_other_events_are_passed_over(tmp_path):
    assert written(tmp_path / "x.pcapng", at(an_event(LinkEstablished))) == []


def test_comment_tells_the_link(tmp_path):
    (packet,) = written(tmp_path / "x.pcapng", event(src_l2=0x5C1A01, dst_l2=0x5C1B02, lcid=28, note="again"))
    assert packet.comment == "ue-a tx pc5s, subframe 6777, 5c1a01 > 5c1b02, LCID 28, again"
    assert read_comment(packet.comment).lcid == 28


@pytest.mark.parametrize(("source", "number"), [("ue-a", 1), ("ue-b", 2), ("ue-12", 12), ("hub", 0), ("ue-Ä", 0)])
def test_mac_frames_number_their_ue(tmp_path, source, number):
    (packet,) = written(tmp_path / "x.pcapng", event(source=source, layer="mac", data=bytes(10)))
    tags = {tag.tag: tag.value for tag in ExportedPdu(packet.data)[MacLteContext].tags}
    assert (tags[3], tags[4]) == (number, 677 << 4 | 7)


def test_what_was_taken_is_whole_on_the_disk_before_the_file_is_closed(tmp_path):
    path = tmp_path / "live.pcapng"
    with CaptureSink(path) as sink:
        assert list(read_packets(path)) == []
        for n in range(3):
            sink.take(event(data=bytes(20 + n)))
            sink.take(at(an_event(Progress)))
            assert [len(packet.data) > 20 for packet in read_packets(path)] == [True] * (n + 1)
        live = path.read_bytes()
    assert path.read_bytes() == live
    write_capture(tmp_path / "after.pcapng", [event(data=bytes(20 + n)) for n in range(3)])
    assert (tmp_path / "after.pcapng").read_bytes() == live
