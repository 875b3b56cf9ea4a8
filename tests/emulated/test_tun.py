"""Unmodified programs in two network namespaces talk through two UE processes and the emulator."""

import shutil
import signal
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from lab_scripts.events.selection import events_of
from prose_link.ue.events import NodeStopped
from prose_link.userplane.events import IpConfigured
from tests.emulated.demo_process import DemoRun, LiveDemo, command_line, is_gone, run_demo
from tests.emulated.tun_host import SSHD, missing_for_tun

TIMEOUT_S = 300.0


pytestmark = [pytest.mark.emulated, pytest.mark.skipif(bool(missing_for_tun()), reason=missing_for_tun())]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    return run_demo(tmp_path_factory.mktemp("runs"), "--seed", "5", "--tun", timeout_s=TIMEOUT_S)


def test_ping_is_answered_over_both_ip_versions(demo: DemoRun) -> None:
    assert demo.exit_code == 0, demo.talk
    assert demo.document["ok"] and "does not repeat" in demo.talk
    results = {ended["program"]: ended for ended in demo.document["programs"]}
    for name in ("ping", "ping over IPv4"):
        assert results[name]["exit_code"] == 0 and "answered" in results[name]["summary"]


@pytest.mark.skipif(shutil.which("iperf3") is None, reason="iperf3 is not installed (make interop)")
def test_iperf3_moves_data_both_ways(demo: DemoRun) -> None:
    results = {ended["program"]: ended for ended in demo.document["programs"]}
    for name in ("iperf3", "iperf3 --reverse"):
        assert results[name]["ok"] and "kbit/s" in results[name]["summary"]


@pytest.mark.skipif(not (SSHD and shutil.which("ssh")), reason="ssh or sshd is not installed (make interop)")
def test_ssh_logs_in_over_the_link(demo: DemoRun) -> None:
    (ended,) = (ended for ended in demo.document["programs"] if ended["program"] == "ssh")
    assert ended["ok"], ended
    assert ended["summary"].startswith("logged in: fe80::200:ff:fe5c:1a01%pc5")
    assert ended["summary"].endswith("fe80::200:ff:fe5c:1b02%pc5 2222")
    assert not [line for line in command_lines() if line.startswith("sshd: root@notty")]


def test_the_packets_are_those_of_the_programs_and_none_is_plain_on_the_air(demo: DemoRun) -> None:
    packets = demo.packets("ip")
    assert {packet[0] >> 4 for packet in packets} == {4, 6}
    blocks = b"".join(demo.packets("mac") + demo.packets("pdcp"))
    assert not any(packet[20:60] in blocks for packet in packets if len(packet) >= 60)


def test_the_air_was_not_faster_than_the_clock(demo: DemoRun) -> None:
    assert 0 < demo.document["real_time_factor"] <= 1.02


def test_both_ends_know_the_addresses_that_the_signalling_told(demo: DemoRun) -> None:
    told = {one.source: one.event for one in events_of(demo.events(), IpConfigured)}
    assert told["ue-a"].peer_link_local == told["ue-b"].link_local == IPv6Address("fe80::200:ff:fe5c:1b02")
    assert told["ue-b"].peer_ipv4 == told["ue-a"].ipv4 == IPv4Address("10.92.26.1")


def test_no_key_outlives_the_run(demo: DemoRun) -> None:
    assert [one.event.live_contexts for one in events_of(demo.events(), NodeStopped)] == [0, 0]


def test_a_killed_demo_leaves_no_process_and_no_namespace(tmp_path: Path) -> None:
    with LiveDemo(tmp_path / "runs", "--tun") as live:
        live.wait_for("IP to fe80::")
        children = live.children()
        assert sum("sleep infinity" in line for line in children.values()) == 2
        namespaces = {str(Path(f"/proc/{pid}/ns/net").readlink()) for pid in children}
        assert len(namespaces) == 3
        live.process.send_signal(signal.SIGKILL)
        live.process.wait()
        assert all(is_gone(pid) for pid in children)
    assert namespaces & namespaces_in_use() == {str(Path("/proc/self/ns/net").readlink())}


def namespaces_in_use() -> set[str]:
    """Network namespaces that any process is in."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.add(str((entry / "ns/net").readlink()))
            except OSError:
                continue
    return found


def command_lines() -> list[str]:
    """The settings that all processes of this machine share."""
    return [command_line(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
