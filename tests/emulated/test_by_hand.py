"""A person runs the lab process by process in named network namespaces, and kills what they like (docs/by-hand.md).

The tests share one lab and leave it with its link up.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab_scripts.capture.capture_file import read_packets
from prose_link.pc5s.core.events import LinkReleased
from prose_link.ue.events import KmsOutOfReach, Provisioned
from prose_link.userplane.events import IpConfigured
from radio.access.protocol import BlockReceived
from radio.emulator.events import UeLost
from tests.emulated.by_hand import IPV4, LINK_LOCAL, PATIENCE_S, UES, Lab, other, running_lab
from tests.emulated.tun_host import SSHD, missing_for_tun

PRIVILEGE_SEPARATION = Path("/run/sshd")
HARD_HEADERS = {"-4": 28, "-6": 48}
"""Octets of IP and ICMP headers."""
MTU = 1400


def missing() -> str:
    """What keeps this machine from running a lab in namespaces; empty where nothing does."""
    if lacking := missing_for_tun():
        return lacking
    name = f"pc5lab-{os.getpid()}-try"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode != 0:
        return "no permission to name a network namespace"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


pytestmark = [pytest.mark.emulated, pytest.mark.skipif(bool(missing()), reason=missing())]
needs_iperf3 = pytest.mark.skipif(shutil.which("iperf3") is None, reason="iperf3 is not installed (make interop)")
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (make interop)")
needs_ssh = pytest.mark.skipif(
    SSHD is None or shutil.which("scp") is None, reason="ssh is not installed (make interop)"
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    yield from running_lab(tmp_path_factory.mktemp("lab"))


def target(ue: str, version: str) -> str:
    return IPV4[ue] if version == "-4" else f"{LINK_LOCAL[ue]}%pc5"


def answered(lab: Lab, ue: str, version: str = "-4", count: int = 5, *options: str) -> int:
    """How many pings of a UE its peer answers."""
    pinged = target(other(ue), version)
    done = lab.run(ue, "ping", version, "-n", "-c", str(count), "-i", "0.4", "-W", "5", *options, pinged)
    received = re.search(r"(\d+) received", done.stdout)
    return int(received[1]) if received else 0


@pytest.mark.parametrize("ue", UES)
@pytest.mark.parametrize("version", ["-4", "-6"])
def test_ping_is_answered(lab: Lab, ue: str, version: str) -> None:
    assert answered(lab, ue, version) >= 3


@pytest.mark.parametrize("ue", UES)
def test_the_interface_has_what_the_signalling_settled(lab: Lab, ue: str) -> None:
    (link,) = json.loads(lab.run(ue, "ip", "-j", "address", "show", "dev", "pc5").stdout)
    assert link["mtu"] == MTU and {"UP", "NOARP"} <= set(link["flags"])
    assert {entry["local"] for entry in link["addr_info"]} == {IPV4[ue], LINK_LOCAL[ue]}
    told = lab.events(ue, IpConfigured)[-1]
    assert (str(told.peer_ipv4), str(told.peer_link_local)) == (IPV4[other(ue)], LINK_LOCAL[other(ue)])


@pytest.mark.parametrize("version", ["-4", "-6"])
def test_a_packet_of_the_mtu_goes_through_and_one_octet_more_does_not(lab: Lab, version: str) -> None:
    fits = MTU - HARD_HEADERS[version]
    assert answered(lab, "ue-a", version, 5, "-M", "do", "-s", str(fits)) >= 3
    too_long = lab.run(
        "ue-a", "ping", version, "-n", "-c", "1", "-M", "do", "-s", str(fits + 1), target("ue-b", version)
    )
    assert too_long.returncode == 1 and "too long" in too_long.stdout + too_long.stderr
    assert answered(lab, "ue-b", version, 5, "-s", "3000") >= 1


def test_multicast_reaches_the_peer(lab: Lab) -> None:
    done = lab.run("ue-a", "ping", "-6", "-n", "-c", "5", "-i", "0.4", "-W", "5", "ff02::1%pc5")
    assert f"from {LINK_LOCAL['ue-b']}" in done.stdout


@needs_iperf3
@pytest.mark.parametrize("options", [(), ("--reverse",), ("--udp", "-b", "200k"), ("--udp", "-b", "200k", "--reverse")])
def test_iperf3_moves_data(lab: Lab, options: tuple[str, ...]) -> None:
    server = lab.server("ue-b", "iperf3", "--server", "--one-off")
    try:
        client = ("iperf3", "--json", "--time", "3", "--client", IPV4["ue-b"], *options)
        document = retried(lambda: json.loads(lab.run("ue-a", *client).stdout), lambda said: "end" in said)
    finally:
        server.kill()
        server.wait()
    assert "error" not in document, document["error"]
    summary = document["end"]["sum" if "--udp" in options else "sum_received"]
    assert summary["bytes"] > 20_000


def retried(attempt, is_good):
    """Repeat until the server that was just started is there."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(json.JSONDecodeError):
            got = attempt()
            if is_good(got) and "error" not in got:
                return got
        assert time.monotonic() < deadline, got
        time.sleep(0.3)


@needs_ssh
def test_ssh_runs_a_command_and_scp_copies_a_file(lab: Lab, tmp_path: Path) -> None:
    with sshd(lab, tmp_path) as options:
        login = ("ssh", *options, "-p", "2222", f"root@{IPV4['ue-b']}", "echo $SSH_CONNECTION")
        done = lab.run("ue-a", *login)
        assert done.stdout.split()[0::2] == [IPV4["ue-a"], IPV4["ue-b"]], done.stderr
        sent, copy = tmp_path / "sent", tmp_path / "copy"
        sent.write_bytes(os.urandom(200_000))
        copied = lab.run("ue-a", "scp", *options, "-P", "2222", str(sent), f"root@[{target('ue-b', '-6')}]:{copy}")
        assert copied.returncode == 0, copied.stderr
        assert copy.read_bytes() == sent.read_bytes()


@needs_ssh
@pytest.mark.parametrize("ue", UES)
def test_an_ssh_session_over_ipv4_outlives_a_killed_ue(lab: Lab, tmp_path: Path, ue: str) -> None:
    before, seconds = lab.wait_for_link(), 12
    with sshd(lab, tmp_path) as options, (tmp_path / "said").open("w+") as said:
        count = f"for i in $(seq {seconds}); do echo $i; sleep 1; done"
        command = lab.command("ue-a", "ssh", *options, "-p", "2222", f"root@{IPV4['ue-b']}", count)
        session = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, text=True)
        try:
            lab.wait_until(lambda: (tmp_path / "said").stat().st_size > 0, "word from the far end")
            lab.kill(ue)
            lab.start_ue(ue)
            lab.wait_for_link(but_not=before)
            assert session.wait(timeout=PATIENCE_S) == 0
        finally:
            session.kill()
            session.wait()
        assert (tmp_path / "said").read_text().split() == [str(i + 1) for i in range(seconds)]


@contextlib.contextmanager
def sshd(lab: Lab, folder: Path) -> Iterator[tuple[str, ...]]:
    """An sshd with keys of its own in UE-B's namespace; yields the options of who may log in."""
    host_key, user_key = folder / "host_key", folder / "user_key"
    for key in (host_key, user_key):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    config = folder / "sshd_config"
    config.write_text(
        f"Port 2222\nHostKey {host_key}\nAuthorizedKeysFile {user_key}.pub\nPidFile none\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\nSubsystem sftp internal-sftp\n"
    )
    made_here = not PRIVILEGE_SEPARATION.exists()
    PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    server = lab.server("ue-b", str(SSHD), "-D", "-e", "-f", str(config))
    try:
        yield (
            *("-F", "/dev/null", "-i", str(user_key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder / 'known_hosts'}"),
            *("-o", "ConnectTimeout=60", "-o", "ConnectionAttempts=10"),
        )
    finally:
        server.kill()
        server.wait()
        if made_here:
            PRIVILEGE_SEPARATION.rmdir()


@pytest.mark.parametrize("ue", ["ue-b", "ue-a"])
def test_a_ue_killed_under_traffic_and_started_again_has_the_link_back(lab: Lab, ue: str) -> None:
    """Whether or not it was the synchronisation reference; the other end is not touched, and the keys are new."""
    before, peer = lab.wait_for_link(), lab.processes[other(ue)].pid
    traffic = lab.server(other(ue), "ping", "-n", "-i", "0.1", IPV4[ue])
    try:
        assert answered(lab, ue) >= 1
        killed = lab.capture(ue)
        lab.kill(ue)
        lab.start_ue(ue)
        lab.wait_for_link(but_not=before)
        assert answered(lab, other(ue)) >= 3
    finally:
        traffic.kill()
        traffic.wait()
    assert lab.processes[other(ue)].pid == peer
    assert {packet.interface.name for packet in read_packets(killed)} >= {f"{ue}.mac", f"{ue}.ip", f"{ue}.pc5s"}
    ended = lab.events(other(ue), LinkReleased)[-1]
    assert ended.kd_sess_id == before and not ended.agreed


@needs_tshark
@pytest.mark.parametrize("ue", UES)
def test_stock_tshark_reads_the_capture_of_a_ue_that_still_runs(lab: Lab, ue: str) -> None:
    command = [
        "tshark",
        "-r",
        str(lab.capture(ue)),
        "-T",
        "fields",
        "-e",
        "frame.protocols",
        "-e",
        "frame.interface_name",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0 and "malformed" not in done.stdout, done.stderr
    protocols = done.stdout
    for expected in ("mac-lte", "lte_rrc", "mikey", "icmp"):
        assert expected in protocols


def test_without_a_kms_a_ue_that_has_keys_is_started_again(lab: Lab) -> None:
    before = lab.wait_for_link()
    lab.kill("kms")
    lab.kill("ue-b")
    lab.start_ue("ue-b")
    lab.wait_for_link(but_not=before)
    assert lab.events("ue-b", KmsOutOfReach) and not lab.events("ue-b", Provisioned)
    assert answered(lab, "ue-a") >= 3


def test_a_ue_stopped_for_long_and_let_go_on_has_the_link_back(lab: Lab) -> None:
    before = lab.wait_for_link()
    n_lost = len(lab.air_events(UeLost))
    lab.processes["ue-b"].send_signal(signal.SIGSTOP)
    lab.wait_until(lambda: len(lab.air_events(UeLost)) > n_lost, "word that the stopped UE is lost")
    lab.processes["ue-b"].send_signal(signal.SIGCONT)
    lab.wait_for_link(but_not=before)
    assert answered(lab, "ue-a") >= 3


def test_another_emulator_finds_the_same_ues_and_loses_what_its_scenario_says(lab: Lab) -> None:
    """A fifth of the time nothing comes through, 10 ms at a time: blocks and pings are lost, and TCP copes."""
    before = lab.wait_for_link()
    lab.kill("air")
    lab.start_air(loss=0.2, loss_ms=10)
    lab.wait_for_link(but_not=before)
    heard = len(lab.events("ue-b", BlockReceived))
    assert 1 <= answered(lab, "ue-a", "-4", 40) < 40
    blocks = lab.events("ue-b", BlockReceived)[heard:]
    assert any(event.n_transmissions < 4 or not event.crc_ok for event in blocks)
    assert any(event.crc_ok for event in blocks)
