"""The pcapng writer, read back by Scapy's and Wireshark's own readers."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from scapy.utils import PcapNgReader

from lab_scripts.capture import exported_pdu
from lab_scripts.capture.pcapng import LINKTYPE_RAW, LINKTYPE_WIRESHARK_UPPER_PDU, Interface, PcapngWriter
from prose_link.userplane import ipv6

A, B = ipv6.link_local_address(1), ipv6.link_local_address(2)
PING = ipv6.encode_echo(A, B, ipv6.Echo(reply=False, identifier=1, sequence=1, data=b"x" * 9))
MIB = bytes.fromhex("42a5780000")
"""MIB-SL n25, no TDD, DFN 0x2A5, subframe 7, in coverage."""
TIME_NS = 1_700_000_000_123_456_789


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "x.pcapng"
    with PcapngWriter(path) as writer:
        writer.write(Interface(name="ue-a.ip", link_type=LINKTYPE_RAW), TIME_NS, PING, "a ping")
        layer = Interface(name="ue-a.mib_sl", link_type=LINKTYPE_WIRESHARK_UPPER_PDU)
        writer.write(layer, TIME_NS + 1, exported_pdu.exported_pdu(exported_pdu.MIB_SL, MIB))
    return path


def test_scapy_reads_the_packets(capture: Path) -> None:
    packets = [bytes(packet) for packet in PcapNgReader(str(capture))]
    assert packets[0] == PING
    assert exported_pdu.split_exported_pdu(packets[1]) == (exported_pdu.MIB_SL, MIB)


def test_a_mac_context_is_split_off_again() -> None:
    frame = exported_pdu.mac_lte_framed(b"\x10abc", subframe=12345, ue_number=2)
    name, framed = exported_pdu.split_exported_pdu(frame)
    assert name == exported_pdu.MAC and exported_pdu.split_mac_lte_context(framed) == b"\x10abc"


@pytest.mark.parametrize("n", range(12))
def test_cut_tags_are_an_error(n: int) -> None:
    frame = exported_pdu.exported_pdu("mikey", b"abc")
    with pytest.raises(ValueError, match="cut short"):
        exported_pdu.split_exported_pdu(frame[: n if n < 12 else 12])


@pytest.mark.interop
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (make interop)")
def test_tshark_reads_the_packets(capture: Path) -> None:
    out = subprocess.run(
        ["tshark", "-r", str(capture), "-T", "json", "--no-duplicate-keys"], capture_output=True, check=True
    )
    ping, mib = (packet["_source"]["layers"] for packet in json.loads(out.stdout))
    assert ping["ipv6"]["ipv6.src"] == str(A)
    assert ping["frame"]["frame.interface_id_tree"]["frame.interface_name"] == "ue-a.ip"
    assert "1700000000.123456789" in ping["frame"]["frame.time_epoch"]
    fields = mib["lte_rrc"]["lte-rrc.SBCCH_SL_BCH_Message_element"]["lte-rrc.sBCCH_SL_BCH_Message.message_element"]
    assert fields["lte-rrc.directFrameNumber_r12"] == "a9:40"
    assert fields["lte-rrc.directSubframeNumber_r12"] == "7"
