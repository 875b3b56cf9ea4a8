"""A capture of the lab in stock tshark, with and without the project's plug-in."""

import subprocess

import pytest

from lab_scripts.capture.decrypt import decrypt_capture
from lab_scripts.capture.keylog import KeyLog
from lab_scripts.capture.wireshark_plugin import PLUGIN
from tests.interop import tshark_json
from tests.interop.synthetic_capture import A_L2, B_L2, PING, RESTRICTED_CODE, A, B, write_synthetic_capture

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(tshark_json.TSHARK is None, reason="tshark is not installed"),
]
WITH_PLUGIN = ("-X", f"lua_script:{PLUGIN}")


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return write_synthetic_capture(tmp_path_factory.mktemp("capture") / "capture.pcapng")


def test_opens_without_any_setting(capture):
    tshark_json.assert_opens_without_settings(capture.path, links={(A_L2, B_L2), (B_L2, A_L2)}, users=(A, B))


def test_fields_without_any_setting(capture):
    packets = tshark_json.dissect(capture.path)
    mib = tshark_json.MibSl(
        interface="ue-a.mib_sl", bandwidth=3, tdd="0", frame_number=677, subframe_number=7, in_coverage=False
    )
    assert tshark_json.mibs_of(packets)[0] == mib
    blocks = tshark_json.sl_schs_of(packets)
    assert [(block.interface, block.src, block.dst, block.lcids) for block in blocks[:4]] == [
        ("ue-a.mac", 0x5C1A01, 0x5C1B, (28,)),
        ("ue-b.mac", 0x5C1A01, 0x5C1B, (28,)),
        ("ue-b.mac", 0x5C1B02, 0x5C1A, (28,)),
        ("ue-a.mac", 0x5C1B02, 0x5C1A, (28,)),
    ]
    assert blocks[0].lengths == (len(capture.request) + 5 + 1,)
    assert blocks[-1].lcids == (1,)
    seen = [(one.interface, one.identities[1]) for one in tshark_json.i_messages_of(packets)]
    assert seen == [("ue-a.mikey", A), ("ue-b.mikey", A), ("ue-b.mikey", B), ("ue-a.mikey", B)]
    pings = [layers for layers in packets if "icmpv6" in layers]
    assert [tshark_json.interface_of(layers) for layers in pings] == ["ue-a.ip", "ue-b.ip"]


def by_interface(packets, interface):
    return [layers for layers in packets if tshark_json.interface_of(layers) == interface]


@pytest.fixture(scope="module")
def with_plugin(capture):
    return tshark_json.dissect(capture.path, *WITH_PLUGIN)


def test_plugin_shows_signalling(with_plugin):
    request, accept, confirm, _ = by_interface(with_plugin, "ue-a.pc5s")
    body = request["prose.pc5s"]
    for field, value in {
        "type": "1",
        "user_info": A,
        "target_user_info": B,
        "max_inactivity_period": "30",
        "capabilities.eea": "0x70",
        "kd_sess_id.msb": "0x21",
        "link_local": "fe80::5c:1a01",
        "link_l2_id": "0x5c1a01",
        "profile": "2",
        "mutual": "1",
    }.items():
        assert tshark_json.first(body, f"prose.pc5s.{field}") == value
    assert list(tshark_json.find(request, "mikey.id.data"))[:2] == [A, B]
    body = accept["prose.pc5s"]
    for field, value in {"type": "2", "user_info": B, "eea": "2", "eia": "2", "kd_sess_id.lsb": "0x07"}.items():
        assert tshark_json.first(body, f"prose.pc5s.{field}") == value
    assert list(tshark_json.find(accept, "mikey.id.data"))[:2] == [B, A]
    assert len(tshark_json.first(confirm, "prose.pc5s.key_confirmation").split(":")) == 16


def test_plugin_shows_pdcp(with_plugin):
    request, _, confirm, _, ping = by_interface(with_plugin, "ue-a.pdcp")
    assert tshark_json.first(request, "prose.slpdcp.kd_sess_id") == "0x0000"
    assert tshark_json.first(request, "prose.pc5s.target_user_info") == B
    assert list(tshark_json.find(request, "mikey.sakke.len")) == ["273"]
    assert tshark_json.first(confirm, "prose.slpdcp.sdu_type") == "2"
    assert tshark_json.first(ping, "prose.slpdcp.kd_sess_id") == "0x2107"
    assert tshark_json.first(ping, "prose.slpdcp.sn") == "1"
    assert tshark_json.first(ping, "prose.slpdcp.sdu_type") == "0"


def test_plugin_shows_discovery(with_plugin):
    announcement, restricted = by_interface(with_plugin, "ue-a.discovery")
    for field, value in {
        "type": "2",
        "content": "6",
        "model": "1",
        "discovery_group_id": "0xc0de01",
        "prose_ue_id": "0x5c1a01",
        "mic": "0x01020304",
        "counter_lsb": "0x78",
    }.items():
        assert tshark_json.first(announcement, f"prose.pc5d.{field}") == value
    shown = {name for layer in restricted.values() if isinstance(layer, dict) for name in layer}
    assert {"prose.pc5d.code_on_air", "prose.pc5d.mic_on_air"} <= shown
    assert not {"prose.pc5d.code", "prose.pc5d.mic"} & shown
    on_air = bytes.fromhex(tshark_json.first(restricted, "prose.pc5d.code_on_air").replace(":", ""))
    assert len(on_air) == len(RESTRICTED_CODE) and on_air != RESTRICTED_CODE


def test_decrypted_capture_opens_too(capture, tmp_path):
    out = tmp_path / "opened.pcapng"
    decrypt_capture(capture.path, KeyLog([capture.keys]), out)
    packets = tshark_json.dissect(out, *WITH_PLUGIN)
    for ue in ("ue-a", "ue-b"):
        (ping,) = by_interface(packets, f"{ue}.ip-decrypted")
        assert ping["icmpv6"]["icmpv6.type"] == "128"
        assert int(ping["frame"]["frame.len"]) == len(PING)
        confirm, ack = by_interface(packets, f"{ue}.pc5s-decrypted")
        assert tshark_json.first(confirm, "prose.pc5s.type") == "4"
        assert tshark_json.first(ack, "prose.pc5s.type") == "5"


def test_plugin_takes_messages_cut_short(capture, tmp_path):
    from lab_scripts.capture.exported_pdu import PC5_D, PC5_S, SL_PDCP, exported_pdu
    from lab_scripts.capture.pcapng import LINKTYPE_WIRESHARK_UPPER_PDU, Interface, PcapngWriter

    path = tmp_path / "cut.pcapng"
    interface = Interface(name="x", link_type=LINKTYPE_WIRESHARK_UPPER_PDU)
    with PcapngWriter(path) as writer:
        for message in (capture.request, capture.accept):
            for length in (*range(120), len(message) - 1):
                writer.write(interface, 0, exported_pdu(PC5_S, message[:length]))
                writer.write(interface, 0, exported_pdu(SL_PDCP, message[:length]))
                writer.write(interface, 0, exported_pdu(PC5_D, message[:length]))
    done = subprocess.run(
        [tshark_json.TSHARK, *WITH_PLUGIN, "-r", str(path), "-V"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "Lua Error" not in done.stdout + done.stderr
    assert "Message is cut short" in done.stdout
