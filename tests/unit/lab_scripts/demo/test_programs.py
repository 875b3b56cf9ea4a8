"""Programs over TUN interfaces: what their output comes to, and how they are run one after the other."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import pytest

from lab_scripts.demo import programs as programs_module
from lab_scripts.demo.namespaces import Namespace
from lab_scripts.demo.programs import Program, ProgramRunner, last_line, of_iperf3, of_ping
from lab_scripts.events.lab_events import ProgramEnded

PING = """PING fe80::1%pc5(fe80::1%pc5) 56 data bytes
64 bytes from fe80::1%pc5: icmp_seq=1 ttl=64 time=80.1 ms

--- fe80::1%pc5 ping statistics ---
3 packets transmitted, 2 received, 33% packet loss, time 1002ms
rtt min/avg/max/mdev = 80.103/81.500/82.900/1.398 ms
"""


class Here:
    """Stands for a namespace: starts programs where the test runs."""

    def start(self, command: Sequence[str], output: IO[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True)


def run(tmp_path: Path, *programs: Program) -> list[ProgramEnded]:
    namespace = cast(Namespace, Here())
    words = {"peer6": "fe80::1%pc5", "peer4": "10.0.0.1", "interface": "pc5"}
    ended: list[ProgramEnded] = []
    with ProgramRunner(programs, {"ue-a": namespace, "ue-b": namespace}, words, tmp_path) as runner:
        while not runner.done:
            result = runner.advance()
            ended += [result] if result else []
    return ended


def test_ping_in_one_line() -> None:
    assert of_ping(PING) == "2 of 3 answered, round trip 80.103 / 81.500 / 82.900 ms (min / mean / max)"
    assert of_ping("ping: fe80::1%pc5: Network is unreachable") == "ping: fe80::1%pc5: Network is unreachable"


def test_iperf3_in_one_line() -> None:
    sums: dict[str, Any] = {
        "sum_sent": {"retransmits": 3, "bits_per_second": 9e5, "seconds": 5.0},
        "sum_received": {"bits_per_second": 812_345.6, "seconds": 5.25},
    }
    assert of_iperf3(json.dumps({"end": sums})) == "TCP 812 kbit/s received in 5.2 s, 3 retransmissions"
    assert of_iperf3('{"error": "refused", "end": {}}') == '{"error": "refused", "end": {}}'
    assert last_line("") == "it said nothing"


def test_programs_run_in_turn_with_their_words_filled_in(tmp_path: Path) -> None:
    first = Program(name="first", client=("echo", "to {peer6} on {interface}"), summary=last_line)
    second = Program(name="second one", client=("sh", "-c", "exit 3"), summary=last_line)
    ended = run(tmp_path, first, second)
    assert [(e.program, e.exit_code, e.ok) for e in ended] == [("first", 0, True), ("second one", 3, False)]
    assert ended[0].summary == "to fe80::1%pc5 on pc5" and (tmp_path / "second-one.log").exists()


def test_a_server_is_started_before_its_client_and_stopped_after(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = Program(
        name="talk",
        server=("sh", "-c", f"touch {mark}; exec sleep 60"),
        client=("sh", "-c", f"test -e {mark} && echo there"),
        summary=last_line,
        server_head_start_s=0.2,
    )
    (ended,) = run(tmp_path, program)
    assert ended.ok and ended.summary == "there"


def test_a_program_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    (ended,) = run(tmp_path, Program(name="slow", client=("sleep", "60"), summary=last_line, limit_s=0.1))
    assert ended.exit_code is None and not ended.ok and "stopped after" in ended.summary


def test_without_iperf3_there_are_the_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/bin/ping" if name == "ping" else None)
    assert [program.name for program in programs_module.usual_programs()] == ["ping", "ping over IPv4"]
