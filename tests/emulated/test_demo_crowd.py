"""Many UEs through real processes: a group and pairs, bit for bit repeatable."""

import json
import subprocess
from pathlib import Path
from typing import TypeVar

import pytest

from lab_scripts.console.timeline import START_NS
from lab_scripts.events.selection import events_of
from prose_link.event_stream import TimedEvent
from prose_link.pc5s.core.events import RequestRefused
from prose_link.pc5s.core.group_events import GroupAsked, GroupEpochStarted, GroupKeyReceived
from prose_link.ue.events import GroupUnreadable, NodeStopped
from prose_link.userplane.events import GroupMessageReceived, GroupMessageSent
from radio.emulator.events import UeBackInReach, UeOutOfReach
from tests.emulated.demo_process import COMMAND, DemoRun

pytestmark = pytest.mark.emulated
PATIENCE_S = 600
E = TypeVar("E")


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
    return run_crowd(tmp_path_factory.mktemp("runs"), "--ues", "5", "--group")


def events_after(run: DemoRun, kind: type[E], since_ms: float, source: str | None = None) -> list[TimedEvent[E]]:
    """The events of a class from a moment of air time on."""
    return [one for one in events_of(run.events(), kind, source) if one.utc_ns >= START_NS + since_ms * 1e6]


def readers_of(run: DemoRun, sent: GroupMessageSent) -> set[str]:
    """The UEs that read a message whole."""
    return {one.source for one in events_of(run.events(), GroupMessageReceived) if one.event.sha256 == sent.sha256}


def test_the_run_says_that_it_has_shown_every_step(group: DemoRun) -> None:
    assert group.exit_code == 0, group.talk
    steps = group.document["group"]
    assert {name: step["ok"] for name, step in steps.items()} == dict.fromkeys(
        ("keyers", "removed", "asked", "taken_over"), True
    )
    for words in (
        "ue-b is a keyer too",
        "ue-c is removed",
        "ue-d is out of reach",
        "ue-d is back in reach",
        "ue-a is dead",
        "ue-b takes over",
        "asks ue-a for the group's key, try 1: the group speaks",
        "asks ue-b for the group's key, try 3: no key is held",
    ):
        assert words in group.talk, words


def test_both_keyers_key_the_group_and_the_second_takes_the_first_ones_keys(group: DemoRun) -> None:
    epochs = events_of(group.events(), GroupEpochStarted)
    assert {one.source for one in epochs} == {"ue-a", "ue-b"}
    taken = [one.event.keyer[-2:] for one in events_of(group.events(), GroupKeyReceived, "ue-b")]
    assert set(taken) == {"01"} and len(taken) >= 2
    (first, *_) = events_of(group.events(), GroupMessageSent, "ue-a")
    assert readers_of(group, first.event) == {"ue-b", "ue-c", "ue-d"}


def test_the_removed_member_reads_nothing_made_after_its_removal(group: DemoRun) -> None:
    removed = group.document["group"]["removed"]
    since_ms = removed["at_ms"]
    said = {one.event.sha256 for one in events_after(group, GroupMessageSent, since_ms)}
    read = {one.event.sha256 for one in events_after(group, GroupMessageReceived, since_ms, "ue-c")}
    assert len(said) == 2 and not said & read
    assert not events_after(group, GroupKeyReceived, since_ms, "ue-c")
    assert events_after(group, GroupUnreadable, since_ms, "ue-c")
    refused = events_after(group, RequestRefused, since_ms)
    assert {one.source for one in refused if one.event.why == "not a member of the group"} == {"ue-a", "ue-b"}


def test_the_deaf_member_asks_and_has_the_key_soon_after_its_return(group: DemoRun) -> None:
    (away,) = events_of(group.events(), UeOutOfReach)
    (back,) = events_of(group.events(), UeBackInReach)
    (missed,) = [one for one in events_of(group.events(), GroupEpochStarted, "ue-a") if one.event.members_out]
    assert away.event.ue == back.event.ue == "ue-d" and away.utc_ns < missed.utc_ns < back.utc_ns
    back_ms = (back.utc_ns - START_NS) / 1e6
    asked = events_after(group, GroupAsked, back_ms, "ue-d")[0]
    held = events_after(group, GroupKeyReceived, back_ms, "ue-d")[0]
    assert asked.event.why == "the group speaks under a key that isn't held" and asked.utc_ns < held.utc_ns
    assert held.event.epoch == missed.event.epoch and held.utc_ns - back.utc_ns < 2e9


def test_the_second_keyer_takes_over_from_the_dead_one(group: DemoRun) -> None:
    dead = events_of(group.events(), NodeStopped, "ue-a")[0]
    dead_ms = (dead.utc_ns - START_NS) / 1e6
    asked = [one.event.keyer[-2:] for one in events_after(group, GroupAsked, dead_ms, "ue-e")]
    assert asked[:3] == ["01", "01", "02"], "twice the dead one, then the next"
    (new,) = events_after(group, GroupEpochStarted, dead_ms)
    holders = {
        one.source for one in events_after(group, GroupKeyReceived, dead_ms) if one.event.epoch == new.event.epoch
    }
    assert new.source == "ue-b" and holders == {"ue-d", "ue-e"}
    last = events_after(group, GroupMessageSent, dead_ms, "ue-b")[-1]
    readers = {
        one.source
        for one in events_after(group, GroupMessageReceived, dead_ms)
        if one.event.sha256 == last.event.sha256
    }
    assert readers == {"ue-d", "ue-e"}


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
    again = run_crowd(tmp_path / "runs", "--ues", "5", "--group")
    for name in ("events.jsonl", "capture.pcapng"):
        assert (again.folder / name).read_bytes() == (group.folder / name).read_bytes(), name


def test_pairs_do_the_main_job(tmp_path: Path) -> None:
    run = run_crowd(tmp_path / "runs", "--ues", "4")
    assert run.exit_code == 0, run.talk
    pairs = run.document["pairs"]
    assert [pair["ues"] for pair in pairs] == [["ue-a", "ue-b"], ["ue-c", "ue-d"]]
    assert all(pair["ok"] and pair["pings_answered"] >= 3 and pair["connected_ms"] > 0 for pair in pairs)


def test_a_group_of_four_is_too_small(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--ues", "4", "--group", "--runs", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "--ues 5 or more" in done.stderr


def test_an_odd_number_makes_no_pairs(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--ues", "3", "--runs", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "no pairs" in done.stderr
