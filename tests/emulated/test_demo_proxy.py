"""`demo --carrier proxy` through real processes: two UEs out of range, a proxy between them, and what it can't read."""

import subprocess
from pathlib import Path

import pytest

from lab_scripts.capture.capture_file import read_packets
from lab_scripts.demo.proxy_plan import proxy_plan
from lab_scripts.events.selection import events_of, first_of
from prose_link.carriers.events import FrameHandedOn
from prose_link.pc5s.core.events import LinkEstablished
from tests.emulated.demo_process import COMMAND, DemoRun
from tests.emulated.test_demo_crowd import run_crowd

pytestmark = pytest.mark.emulated


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    return run_crowd(tmp_path_factory.mktemp("runs"), "--carrier", "proxy")


def test_the_link_lives_by_the_proxy_and_the_proxy_reads_nothing(run: DemoRun) -> None:
    assert run.exit_code == 0, run.talk
    document = run.document
    assert document["ok"] and document["carrier"] == "proxy" and document["pair"]["pings_answered"] == 5
    (hop,) = document["proxies"]
    assert hop["opened"] == 0 and hop["data"] == 2 and document["blocks_heard_without_proxy"] == 0
    messages = [one.event.message for one in events_of(run.events(), FrameHandedOn, "ue-p")]
    assert messages[:2] == ["Direct Connection Request", "Direct Connection Accept"]
    assert {one.source for one in events_of(run.events(), LinkEstablished)} == {"ue-a", "ue-b"}


def test_the_capture_shows_the_frames_and_no_clear_packet_of_the_proxy(run: DemoRun) -> None:
    names = {packet.interface.name for packet in read_packets(run.folder / "capture.pcapng")}
    assert {"ue-p.mac", "ue-a.ip", "ue-b.ip", "ue-a.mikey"} <= names
    assert not names & {"ue-p.pdcp", "ue-p.pc5s", "ue-p.ip", "ue-p.mikey"}


def test_the_ends_are_deaf_to_each_other_in_the_plan() -> None:
    plan = proxy_plan(7, 2, Path())
    losses = {tuple(sorted(link["between"])): link["path_loss_db"] for link in plan.scenario()["link"]}
    near = {("ue-a", "ue-p"), ("ue-p", "ue-q"), ("ue-b", "ue-q")}
    assert {pair for pair, loss in losses.items() if loss < 100} == near
    assert all(loss > 160 for pair, loss in losses.items() if pair not in near)


def test_proxies_need_their_carrier(tmp_path: Path) -> None:
    refused = run_crowd_refused(tmp_path, "--proxies", "2")
    assert "--proxies goes with --carrier proxy only" in refused


def run_crowd_refused(runs: Path, *options: str) -> str:
    done = subprocess.run(
        [*COMMAND, "--runs", str(runs), *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2 and not list(runs.iterdir())
    return done.stderr


def test_the_first_frame_comes_before_the_link(run: DemoRun) -> None:
    frame, link = first_of(run.events(), FrameHandedOn), first_of(run.events(), LinkEstablished)
    assert frame is not None and link is not None and frame.utc_ns < link.utc_ns
