"""MAC PDUs and RLC UM segments as tshark reads them: headers, SDUs, padding, reassembly."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radio.l2.mac_pdu import MacPdu, MacSdu, MacVersion, encode_mac_pdu
from radio.l2.pdcp import PdcpSdu, SduType
from radio.l2.rlc_um import UmTransmitter

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
]

UPPER_PDU, RAW_IP = 252, 101
OPTIONS = ("-T", "json", "--no-duplicate-keys")


def dissect(path: Path, link_type: int, frames: list[bytes], *options: str) -> list[dict[str, Any]]:
    """The frames' layers as tshark's JSON has them."""
    pcap = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type)
    for i, frame in enumerate(frames):
        pcap += struct.pack("<IIII", i, 0, len(frame), len(frame)) + frame
    path.write_bytes(pcap)
    run = subprocess.run(["tshark", "-r", path, *OPTIONS, *options], capture_output=True, check=True, timeout=60)
    return [packet["_source"]["layers"] for packet in json.loads(run.stdout)]


def mac_frame(pdu: bytes) -> bytes:
    name = b"mac-lte-framed\0\0"
    tags = struct.pack("!HH", 12, len(name)) + name + struct.pack("!HH", 0, 0)
    return tags + bytes((1, 0, 8, 1)) + pdu


def rlc_frame(pdu: bytes) -> bytes:
    context = b"rlc-lte" + bytes.fromhex("02 02 05 03 00 05 0001 06 0005 07 0001 01")
    udp = struct.pack("!HHHH", 9999, 9998, 8 + len(context) + len(pdu), 0) + context + pdu
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    return ip + udp


def values(tree: Any, name: str) -> list[str]:
    """Every value of a field in a tree of tshark's JSON, in order."""
    found: list[str] = []
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == name:
                found += value if isinstance(value, list) else [value]
            else:
                found += values(value, name)
    elif isinstance(tree, list):
        for value in tree:
            found += values(value, name)
    return found


def octets(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


CASES = [
    (MacVersion.UNICAST, 0x1234, [(1, b"hello")], 0),
    (MacVersion.UNICAST, 0x1234, [(1, b"hello")], 1),
    (MacVersion.GROUP, 0xFFFF, [(1, b"hello")], 2),
    (MacVersion.GROUP, 0x0001, [(10, b"hello")], 3),
    (MacVersion.UNICAST, 0x1234, [(1, b"hello"), (2, b"x" * 127), (3, b"y" * 128), (4, b"z" * 400)], 0),
    (MacVersion.UNICAST, 0x1234, [(1, b"hello"), (2, b"x" * 127), (3, b"y" * 128), (4, b"z" * 400)], 30),
    (MacVersion.DST_24_BITS, 0x123456, [(1, b"hello"), (2, b"world")], 17),
]


def test_mac_pdus_read_as_meant(tmp_path: Path) -> None:
    frames = []
    for version, dst, sdus, padding in CASES:
        pdu = MacPdu(
            version=version, src=0xABCDEF, dst=dst, sdus=tuple(MacSdu(lcid=lcid, data=data) for lcid, data in sdus)
        )
        least = 6 + (version == 3) + 1 + sum(len(d) for _, d in sdus) + sum(2 + (len(d) > 127) for _, d in sdus[:-1])
        frames.append(mac_frame(encode_mac_pdu(pdu, least + padding)))
    for layers, (version, dst, sdus, padding) in zip(
        dissect(tmp_path / "mac.pcap", UPPER_PDU, frames), CASES, strict=True
    ):
        mac = layers["mac-lte"]
        assert [int(v, 0) for v in values(mac, "mac-lte.slsch.version")] == [version]
        assert [int(v, 0) for v in values(mac, "mac-lte.slsch.src-l2-id")] == [0xABCDEF]
        assert [int(v, 0) for v in values(mac, "mac-lte.slsch.dst-l2-id")] == [dst]
        lcids = [int(v, 0) for v in values(mac, "mac-lte.slsch.lcid")]
        assert [lcid for lcid in lcids if lcid != 31] == [lcid for lcid, _ in sdus]
        assert lcids.count(31) == (padding if padding < 3 else 1)
        assert [octets(v) for v in values(mac, "mac-lte.slsch.sdu")] == [data for _, data in sdus]
        assert "_ws.malformed" not in layers


@pytest.mark.parametrize("size", [5, 7, 23, 60, 150, 700])
def test_rlc_segments_are_put_together_as_sent(tmp_path: Path, size: int) -> None:
    sdus = [bytes([i]) * length for i, length in enumerate((90, 1, 40, 200, 20, 133, 7, 7, 300), 1)]
    transmitter = UmTransmitter()
    for sdu in sdus:
        transmitter.enqueue(sdu)
    pdus = []
    while (pdu := transmitter.build_pdu(size, 0)) is not None:
        pdus.append(pdu)
    layers = dissect(
        tmp_path / "rlc.pcap",
        RAW_IP,
        [rlc_frame(pdu) for pdu in pdus],
        *("--enable-heuristic", "rlc_lte_udp"),
        *("-o", "rlc-lte.reassembly:TRUE"),
        *("-o", "rlc-lte.do_sequence_analysis:Only-RLC-frames"),
    )
    assert [int(value, 0) for value in values(layers, "rlc-lte.um.sn")] == [i % 32 for i in range(len(pdus))]
    assert not [flag for flag in values(layers, "rlc-lte.sequence-analysis.ok") if flag not in ("1", "True")]
    assert b"".join(octets(data) for data in values(layers, "rlc-lte.um.data")) == b"".join(sdus)
    totals = [int(total) for total in values(layers, "rlc-lte.reassembly-info.total-length")]
    assert totals == [len(sdu) for sdu in sdus if not any(sdu in pdu for pdu in pdus)]


def test_blocks_of_a_stack_read_as_meant(tmp_path: Path, make_stack: Callable[..., Any]) -> None:
    blocks: list[bytes] = []
    a = make_stack(0xABCDEF, observer=lambda pdu: blocks.append(pdu.data) if pdu.layer == "mac" else None)
    for i in range(8):
        data = bytes(200 + i)
        a.send(PdcpSdu(dst_l2=0x123456, lcid=1 + i % 2, sdu_type=SduType.IP, data=data, kd_sess_id=0x2107))
    a.start_period(0)
    for subframe in range(40):
        a.transmissions(subframe)
    assert len(blocks) > 1
    for layers in dissect(tmp_path / "stack.pcap", UPPER_PDU, [mac_frame(block) for block in blocks]):
        assert [int(v, 0) for v in values(layers, "mac-lte.slsch.src-l2-id")] == [0xABCDEF]
        assert [int(v, 0) for v in values(layers, "mac-lte.slsch.dst-l2-id")] == [0x1234]
        assert set(values(layers, "mac-lte.slsch.lcid")) <= {"1", "2", "31", "0x01", "0x02", "0x1f"}
        assert "_ws.malformed" not in layers
