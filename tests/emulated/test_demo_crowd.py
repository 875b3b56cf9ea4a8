"""Many UEs through real processes: a group and pairs, bit for bit repeatable."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.emulated.demo_process import COMMAND, DemoRun

pytestmark = pytest.mark.emulated
PATIENCE_S = 300


def run_crowd(runs: Path, *options: str) -> DemoRun:
    done = subprocess.run(
        [*COMMAND, "--json", "--runs", str(runs), "--seed", "7", *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    document = json.loads(done.stdout) if done.stdout else {}
    return DemoRun(exit_code=done.returncode, document=document, folder=max(runs.iterdir()), talk=done.stderr)


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    return run_crowd(tmp_path_factory.mktemp("runs"), "--ues", "4", "--group")


def test_all_read_the_keyer_but_the_one_removed(group: DemoRun) -> None:
    assert group.exit_code == 0, group.talk
    result = group.document
    first, second, third = result["messages"]
    assert {"ue-b", "ue-c"} <= set(first["heard_by"])
    assert set(second["heard_by"]) == {"ue-b", "ue-c", "ue-d"}
    assert set(third["heard_by"]) == {"ue-c", "ue-d"}
    first_epoch, second_epoch = result["epochs"]
    assert first_epoch < second_epoch
    assert result["removed"]["ue"] == "ue-b" and result["removed"]["unreadable_pdus"] > 0
    assert result["late_joiner"]["power_on_to_key_ms"] > 0


def test_no_group_message_is_on_the_air_in_plain(group: DemoRun) -> None:
    blocks = b"".join(group.packets("mac") + group.packets("pdcp"))
    packets = group.packets("ip")
    assert packets and not any(packet[40:72] in blocks for packet in packets)


def test_no_key_and_count_comes_twice(group: DemoRun) -> None:
    from lab_scripts.capture.capture_file import read_packets
    from lab_scripts.capture.comment import read_comment
    from lab_scripts.capture.exported_pdu import SL_PDCP, exported_pdu

    tags = exported_pdu(SL_PDCP, b"")
    seen: set[tuple[str, int, int, bytes]] = set()
    for packet in read_packets(group.folder / "capture.pcapng"):
        comment = read_comment(packet.comment)
        if not packet.interface.name.endswith(".pdcp") or comment is None or comment.direction != "tx":
            continue
        header = packet.data.removeprefix(tags)[:5]
        if header[1:3] == b"\0\0":
            continue
        place = (packet.interface.name, comment.dst_l2, comment.lcid, header)
        assert place not in seen
        seen.add(place)
    assert seen


def test_a_seed_repeats_the_group_bit_for_bit(group: DemoRun, tmp_path: Path) -> None:
    again = run_crowd(tmp_path / "runs", "--ues", "4", "--group")
    for name in ("events.jsonl", "capture.pcapng"):
        assert (again.folder / name).read_bytes() == (group.folder / name).read_bytes(), name


def test_pairs_do_the_main_job(tmp_path: Path) -> None:
    run = run_crowd(tmp_path / "runs", "--ues", "4")
    assert run.exit_code == 0, run.talk
    pairs = run.document["pairs"]
    assert [pair["ues"] for pair in pairs] == [["ue-a", "ue-b"], ["ue-c", "ue-d"]]
    assert all(pair["ok"] and pair["pings_answered"] >= 3 and pair["connected_ms"] > 0 for pair in pairs)


def test_an_odd_number_makes_no_pairs(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--ues", "3", "--runs", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "no pairs" in done.stderr
