"""Every PC5-S message in tshark with the project's plug-in: each element is named, each part of it is a field."""

import subprocess

import pytest

from lab_scripts.capture.exported_pdu import PC5_S, exported_pdu
from lab_scripts.capture.pcapng import LINKTYPE_WIRESHARK_UPPER_PDU, Interface, PcapngWriter
from lab_scripts.capture.wireshark_plugin import PLUGIN
from prose_link.pc5s.wire.elements import Shown
from prose_link.pc5s.wire.table import PROFILES
from tests.interop import tshark_json
from tests.samples.pc5s_messages import SAMPLES

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(tshark_json.TSHARK is None, reason="tshark is not installed"),
]
WITH_PLUGIN = ("-X", f"lua_script:{PLUGIN}")


def written(path, messages):
    interface = Interface(name="x", link_type=LINKTYPE_WIRESHARK_UPPER_PDU)
    with PcapngWriter(path) as writer:
        for message in messages:
            writer.write(interface, 0, exported_pdu(PC5_S, message))
    return path


def tshark(path, *options):
    command = [tshark_json.TSHARK, *WITH_PLUGIN, "-r", str(path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "Lua Error" not in done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return written(tmp_path_factory.mktemp("samples") / "samples.pcapng", [sample.octets for sample in SAMPLES])


def test_the_info_column_is_the_line_of_capture_show(capture):
    lines = tshark(capture, "-T", "fields", "-e", "_ws.col.Info").splitlines()
    assert lines == [sample.line for sample in SAMPLES]


def filters_of(element):
    for part in element.parts:
        name = f"prose.pc5s.{part.filter or part.name}"
        if part.shown is Shown.CAPABILITIES:
            yield from (f"{name}.eea", f"{name}.eia")
        elif part.shown not in (Shown.SPARE, Shown.I_MESSAGE, Shown.PC5S):
            yield name


def test_every_part_of_every_element_is_a_field(capture):
    packets = tshark_json.dissect(capture, *WITH_PLUGIN)
    for sample, packet in zip(SAMPLES, packets, strict=True):
        for element in PROFILES[sample.profile][sample.message.TYPE]:
            if getattr(sample.message, element.name) is not None:
                for name in filters_of(element):
                    assert next(tshark_json.find(packet, name), None) is not None, f"{sample.name}: {name}"


def test_every_element_is_named_and_nothing_is_unknown_or_malformed(capture):
    text = tshark(capture, "-V")
    assert "Unknown IE" not in text and "Malformed" not in text and "Message is cut short" not in text
    identified = {e.title for forms in PROFILES.values() for form in forms.values() for e in form if e.iei}
    assert {title for title in identified if f"\n    {title}" not in text} == set()


def test_values_that_the_octets_say(capture):
    packets = dict(zip((sample.name for sample in SAMPLES), tshark_json.dissect(capture, *WITH_PLUGIN), strict=True))
    for name, field, value in (
        ("request", "mutual", "2"),
        ("request to a group", "group.epoch", "70000"),
        ("request to a group", "group.identity", "sip:rescue@lab.example"),
        ("request to a group", "purpose", "1"),
        ("accept", "kdf", "1"),
        ("accept", "eea", "2"),
        ("accept", "link_local", "fe80::7"),
        ("release", "reason", "2"),
        ("security mode command", "eia", "3"),
        ("security mode command", "kd_sess_id.lsb", "0x77"),
        ("security mode reject", "cause", "8"),
        ("relay frame", "relay.path_id", "0xa1b2c3d4"),
        ("relay frame", "relay.destination", "0x5c1b02"),
    ):
        assert next(tshark_json.find(packets[name], f"prose.pc5s.{field}")) == value, (name, field)
    assert list(tshark_json.find(packets["relay frame"], "prose.pc5s.type")) == ["240", "7"]


def test_samples_cut_short_anywhere_make_no_lua_error(tmp_path):
    cut = [s.octets[:length] for s in SAMPLES for length in range(1, len(s.octets), 1 + len(s.octets) // 40)]
    wrong_lengths = [bytes.fromhex(octets) for octets in ("0300030242014244", "03000302 4600", "0300030246020102")]
    assert "Message is cut short" in tshark(written(tmp_path / "cut.pcapng", [*cut, *wrong_lengths]), "-V")
