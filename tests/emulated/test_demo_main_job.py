"""The main job through real processes: it succeeds, repeats bit for bit, and leaves what it promises."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab_scripts.events.selection import events_of
from prose_link.discovery.events import PeerDiscovered
from prose_link.pc5s.core.events import LinkEstablished, LinkProvisional, LinkReleased, RequestReceived, RequestSent
from prose_link.sync.events import BecameSyncRef
from prose_link.ue.events import FirstProtected, NodeStopped
from prose_link.userplane.events import TransferReceived, TransferSent
from radio.phy.lte.channels.indications import Synchronised
from tests.emulated.demo_process import DemoRun, run_demo

pytestmark = pytest.mark.emulated


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoRun]:
    yield run_demo(tmp_path_factory.mktemp("runs"), "--seed", "7", "--keylog")


def test_the_key_log_opens_the_capture(demo: DemoRun, tmp_path: Path) -> None:
    opened = tmp_path / "opened.pcapng"
    arguments = ["capture", "decrypt", str(demo.folder / "capture.pcapng"), "--keylog", str(demo.folder / "keylog.txt")]
    subprocess.run([sys.executable, "-m", "lab_scripts.cli.main", *arguments, "--out", str(opened)], check=True)
    sent = set(demo.packets("ip"))
    octets = opened.read_bytes()
    assert len(sent) > 140 and all(octets.count(packet) >= 2 for packet in sent)


def test_no_plain_packet_is_on_the_air(demo: DemoRun) -> None:
    blocks = b"".join(demo.packets("mac") + demo.packets("pdcp"))
    packets = demo.packets("ip")
    assert packets and not any(packet[40:72] in blocks for packet in packets)


def test_nothing_is_left_of_the_key_log_where_nobody_asked(tmp_path: Path) -> None:
    run = run_demo(tmp_path / "runs", "--seed", "3")
    assert run.exit_code == 0 and not (run.folder / "keylog.txt").exists()


def test_the_main_job_is_done(demo: DemoRun) -> None:
    assert demo.exit_code == 0, demo.talk
    result = demo.document
    assert result["ok"] and result["seed"] == 7 and result["fault"] is None and result["rejected"] is None
    assert result["pings"]["answered"] + result["pings"]["lost"] == 20 and result["pings"]["answered"] >= 18
    assert result["octets"]["dcr"] > 600 and result["octets"]["dca"] > 600
    assert all(value is not None and value > 0 for value in result["air_ms"].values())
    assert result["goodput_kbps"] > 500
    assert set(result["bler"]) == {"1", "2", "3", "4"} and result["bler"]["4"] <= result["bler"]["1"]


def test_both_transfers_arrived_whole(demo: DemoRun) -> None:
    sent = {one.event.sha256 for one in events_of(demo.events(), TransferSent)}
    taken = {one.event.sha256 for one in events_of(demo.events(), TransferReceived)}
    assert len(sent) == 2 and sent == taken


def test_the_steps_come_in_their_order(demo: DemoRun) -> None:
    steps = [(one.source, type(one.event)) for one in demo.events()]
    order = [
        ("ue-a", BecameSyncRef),
        ("ue-b", Synchronised),
        ("ue-a", PeerDiscovered),
        ("ue-a", RequestSent),
        ("ue-b", RequestReceived),
        ("ue-b", LinkProvisional),
        ("ue-b", LinkEstablished),
        ("ue-a", LinkEstablished),
        ("ue-b", FirstProtected),
        ("ue-a", LinkReleased),
    ]
    places = [steps.index(step) for step in order]
    assert places == sorted(places)


def test_no_key_outlives_the_run(demo: DemoRun) -> None:
    stopped = [one.event for one in events_of(demo.events(), NodeStopped)]
    assert [event.live_contexts for event in stopped] == [0, 0]
    assert [event.late_bursts for event in stopped] == [0, 0]


def test_the_run_folder_is_complete(demo: DemoRun) -> None:
    names = {path.name for path in demo.folder.iterdir()}
    wanted = {
        "run.json",
        "events.jsonl",
        "capture.pcapng",
        "report.html",
        "ladder.png",
        "waterfall.png",
        "constellation.png",
    }
    assert wanted <= names
    assert json.loads((demo.folder / "run.json").read_text())["seed"] == 7


def test_a_seed_repeats_the_run_bit_for_bit(demo: DemoRun, tmp_path: Path) -> None:
    again = run_demo(tmp_path / "runs", "--seed", "7")
    for name in ("events.jsonl", "capture.pcapng"):
        assert (again.folder / name).read_bytes() == (demo.folder / name).read_bytes(), name
    timeless = {"wall_s", "real_time_factor", "ms_per_subframe"}
    assert {k: v for k, v in again.document.items() if k not in timeless} == {
        k: v for k, v in demo.document.items() if k not in timeless
    }


def test_another_seed_is_another_run(demo: DemoRun, tmp_path: Path) -> None:
    other = run_demo(tmp_path / "runs", "--seed", "8")
    assert other.exit_code == 0, other.talk
    assert other.document["cfo_hz"] != demo.document["cfo_hz"]
    assert (other.folder / "capture.pcapng").read_bytes() != (demo.folder / "capture.pcapng").read_bytes()


@pytest.mark.interop
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (make interop)")
def test_stock_tshark_reads_the_capture(demo: DemoRun) -> None:
    out = subprocess.run(
        ["tshark", "-r", str(demo.folder / "capture.pcapng"), "-T", "json", "--no-duplicate-keys"],
        capture_output=True,
        check=True,
    )
    packets = [packet["_source"]["layers"] for packet in json.loads(out.stdout)]
    mibs = [p for p in packets if "lte_rrc" in p]
    assert mibs and '"lte-rrc.sl_Bandwidth_r12": "3"' in json.dumps(mibs[0])
    addresses = set()
    for packet in packets:
        found = json.dumps(packet.get("mac-lte", {}))
        if "mac-lte.slsch.src-l2-id" in found:
            header = packet["mac-lte"]
            text = json.dumps(header)
            addresses.add((_value(text, "mac-lte.slsch.src-l2-id"), _value(text, "mac-lte.slsch.dst-l2-id")))
    assert {(0x5C1A01, 0x5C1B), (0x5C1B02, 0x5C1A)} <= addresses
    i_messages = [p["mikey"] for p in packets if "mikey" in p]
    roles = [json.dumps(m) for m in i_messages]
    assert len(i_messages) >= 4
    assert any("tel:+447700900001" in text and "mikey.sakke" in text and "mikey.sign" in text for text in roles)
    assert not [p for p in packets if "_ws.malformed" in p and "mikey" in p]


def _value(text: str, key: str) -> int:
    return int(text.split(f'"{key}": "')[1].split('"', maxsplit=1)[0], 0)
