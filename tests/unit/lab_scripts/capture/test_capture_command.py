"""`pc5lab capture`: show, decrypt, plugin, and what it says of bad files."""

import json
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP

from lab_scripts.capture import exported_pdu
from lab_scripts.capture.capture_file import read_packets
from lab_scripts.capture.comment import PacketComment
from lab_scripts.capture.keylog import ContextKeys
from lab_scripts.capture.pcapng import LINKTYPE_WIRESHARK_UPPER_PDU, Interface, PcapngWriter
from lab_scripts.capture.sink import write_capture
from lab_scripts.cli.main import run
from prose_link.event_stream import EventStream, PduSeen
from prose_link.instant import Instant
from radio.l2 import pdcp
from security.link.context import SecurityContext

A_L2, B_L2, ID = 0x5C1A01, 0x5C1B02, 0x2107
PING = bytes(IP(src="10.5.0.1", dst="10.5.0.2") / ICMP())
RELEASE = bytes.fromhex("06000101")


def sealed(context, lcid, sdu_type, data):
    sn = context.next_sn(lcid)
    header = pdcp.one_to_one_header(sdu_type, ID, sn)
    ciphered, mac_i = context.seal(lcid, sn, header, data)
    return header + ciphered + mac_i


def keys(eea, eia):
    return ContextKeys(
        src_l2=A_L2, dst_l2=B_L2, kd_sess_id=ID, eea=eea, eia=eia, direction=1, pek=b"p" * 16, pik=b"i" * 16
    )


def write(path, context_keys):
    records = []
    stream = EventStream("ue-a", records.append)
    pek, pik, eea, eia = context_keys.pek, context_keys.pik, context_keys.eea, context_keys.eia
    at_a = SecurityContext(kd_sess_id=ID, pek=pek, pik=pik, eea=eea, eia=eia, direction=1)
    at_b = SecurityContext(kd_sess_id=ID, pek=pek, pik=pik, eea=eea, eia=eia, direction=0)
    pdus = [
        ("tx", A_L2, B_L2, 1, sealed(at_a, 1, pdcp.SduType.IP, PING)),
        ("rx", B_L2, A_L2, 1, sealed(at_b, 1, pdcp.SduType.IP, PING)),
        ("tx", A_L2, B_L2, 30, sealed(at_a, 30, pdcp.SduType.PC5_SIGNALLING, RELEASE)),
    ]
    for n, (direction, src, dst, lcid, pdu) in enumerate(pdus):
        seen = PduSeen(layer="pdcp", direction=direction, subframe=n, data=pdu, src_l2=src, dst_l2=dst, lcid=lcid)
        stream.emit(seen, Instant(mono_s=n, utc_s=n))
    write_capture(path, records)


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "capture.pcapng"
    write(path, keys(2, 2))
    (tmp_path / "keylog.txt").write_text(keys(2, 2).line() + "\n")
    return path


def test_show_prints_a_line_for_each_packet(capture, capsys):
    assert run(["capture", "show", str(capture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].split(None, 4)[:4] == ["1", "0.000000", "ue-a.pdcp", "tx"]
    assert f"PDCP IP, KD-sess ID 2107, SN 1, {len(PING)} octets, MAC-I " in lines[0]
    assert lines[1].split()[:4] == ["2", "1.000000", "ue-a.pdcp", "rx"]


def test_show_json_and_verbose(capture, capsys):
    assert run(["capture", "show", str(capture), "--json"]) == 0
    packets = json.loads(capsys.readouterr().out)
    assert [packet["lcid"] for packet in packets] == [1, 1, 30]
    assert packets[0] | {"summary": "", "comment": ""} == {
        "number": 1,
        "utc_ns": 0,
        "interface": "ue-a.pdcp",
        "link_type": 252,
        "layer": "pdcp",
        "direction": "tx",
        "subframe": 0,
        "src_l2": "5c1a01",
        "dst_l2": "5c1b02",
        "lcid": 1,
        "octets": packets[0]["octets"],
        "summary": "",
        "comment": "",
    }
    assert run(["capture", "show", str(capture), "--json", "-v"]) == 0
    layers = json.loads(capsys.readouterr().out)[0]["layers"]
    assert [layer["layer"] for layer in layers] == ["exported PDU", "PDCP SLRB one-to-one"]
    assert layers[1]["fields"]["kd_sess_id"] == ID
    assert run(["capture", "show", str(capture), "-v"]) == 0
    assert "###[ PDCP SLRB one-to-one ]###" in capsys.readouterr().out


def test_show_filters(capture, capsys):
    for option in (["--layer", "pdcp"], ["--interface", "ue-a"], ["--interface", "ue-a.pdcp"]):
        assert run(["capture", "show", str(capture), *option]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 3
    assert run(["capture", "show", str(capture), "--layer", "mac"]) == 2
    assert "its interfaces: ue-a.pdcp" in capsys.readouterr().err


@pytest.mark.parametrize("algorithms", [(0, 0), (1, 1), (2, 2), (3, 3), (0, 2)])
def test_decrypt_opens_both_directions(tmp_path, capsys, algorithms):
    path, log, out = tmp_path / "capture.pcapng", tmp_path / "keylog.txt", tmp_path / "out.pcapng"
    write(path, keys(*algorithms))
    log.write_text(keys(*algorithms).line() + "\n")
    assert run(["capture", "decrypt", str(path), "--keylog", str(log), "--out", str(out), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts == {
        "out": str(out),
        "packets": 3,
        "protected": 3,
        "decrypted": 3,
        "without_key": 0,
        "wrong_mac_i": 0,
        "without_link": 0,
    }
    packets = list(read_packets(out))
    assert [packet.interface.name for packet in packets] == [
        "ue-a.pdcp",
        "ue-a.ip-decrypted",
        "ue-a.pdcp",
        "ue-a.ip-decrypted",
        "ue-a.pdcp",
        "ue-a.pc5s-decrypted",
    ]
    assert (packets[1].data, packets[1].interface.link_type) == (PING, 101)
    assert packets[3].data == PING
    assert packets[5].data.endswith(RELEASE)
    assert run(["capture", "show", str(out), "--layer", "ip-decrypted"]) == 0
    assert "ICMP 10.5.0.1 > 10.5.0.2" in capsys.readouterr().out


def test_decrypt_refuses_wrong_mac_i_and_unknown_keys(capture, tmp_path, capsys):
    log, out = tmp_path / "keylog.txt", tmp_path / "out.pcapng"
    arguments = ["capture", "decrypt", str(capture), "--keylog", str(log), "--out", str(out)]
    log.write_text(keys(2, 2).line().replace(b"i".hex() * 16, b"j".hex() * 16) + "\n")
    assert run(arguments) == 5
    assert "3 with a wrong MAC-I" in capsys.readouterr().out
    assert len(list(read_packets(out))) == 3
    log.write_text(keys(2, 2).line().replace("2107", "2108") + "\n")
    assert run(arguments) == 5
    assert "3 without a key" in capsys.readouterr().out


def test_decrypt_needs_to_know_the_link(tmp_path, capsys):
    path, log, out = tmp_path / "x.pcapng", tmp_path / "keylog.txt", tmp_path / "out.pcapng"
    log.write_text(keys(2, 2).line() + "\n")
    pdu = bytes.fromhex("0021070001") + bytes(8)
    with PcapngWriter(path) as writer:
        interface = Interface(name="x", link_type=LINKTYPE_WIRESHARK_UPPER_PDU)
        writer.write(interface, 0, exported_pdu.exported_pdu(exported_pdu.SL_PDCP, pdu), "a person's remark")
        no_lcid = PacketComment(source="x", direction="rx", layer="pdcp", subframe=1)
        writer.write(interface, 0, exported_pdu.exported_pdu(exported_pdu.SL_PDCP, pdu), no_lcid.text())
    assert run(["capture", "decrypt", str(path), "--keylog", str(log), "--out", str(out)]) == 5
    assert "2 of an unknown link" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["show"], ["show", "--json"], ["show", "-v"]])
def test_bad_files_end_with_a_message(tmp_path, capsys, capture, command):
    text = tmp_path / "text"
    text.write_text("this is no capture")
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(capture.read_bytes()[:-30])
    for path, words in ((text, "not a pcapng file"), (cut, "cut short"), (tmp_path / "none", "none"), (tmp_path, "")):
        assert run(["capture", *command, str(path)]) == 2
        shown = capsys.readouterr()
        assert shown.err.startswith("pc5lab: ")
        assert words in shown.err
        assert "Traceback" not in shown.err
        assert not (command[1:] == ["--json"] and shown.out)


def test_decrypt_does_not_overwrite_its_input(capture, tmp_path, capsys):
    log = tmp_path / "keylog.txt"
    before = capture.read_bytes()
    assert run(["capture", "decrypt", str(capture), "--keylog", str(log), "--out", str(capture)]) == 2
    assert capture.read_bytes() == before
    assert "the capture itself" in capsys.readouterr().err


def test_plugin_is_printed_and_installed(tmp_path, capsys, monkeypatch):
    assert run(["capture", "plugin"]) == 0
    printed = capsys.readouterr().out.strip()
    assert printed.endswith("pc5lab.lua")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["capture", "plugin", "--install"]) == 0
    installed = tmp_path / ".local" / "lib" / "wireshark" / "plugins" / "pc5lab.lua"
    assert capsys.readouterr().out.strip() == str(installed)
    assert installed.read_bytes() == Path(printed).read_bytes()
