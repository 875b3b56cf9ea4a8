"""`pc5lab kms` as processes: serve, enrol beside it, fetch, revoke, verify the log, stop cleanly."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab_scripts.cli.kms_discovery import key_set_name
from lab_scripts.cli.main import run
from prose_link.ue.discovery_setup import group_name
from security.device.kms_client import KmsClient
from security.kms.home import KmsHome
from security.kms.service import Clocks
from security.kms_wire.errors import KmsRefusal
from security.mikey import create_i_message

ALICE = "tel:+447700900001"
LAB_UTC = "2026-03-11T12:00:00Z"
LAB_NTP_S = 3_982_219_200


def pc5lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab_scripts.cli.main", "kms", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)


Order = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def order(capfd: pytest.CaptureFixture[str]) -> Order:
    """A command run in this process: the same result, sooner."""

    def run_here(*arguments: str) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        code = run(["kms", *arguments])
        said = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return run_here


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-m", "lab_scripts.cli.main", "kms", "serve", str(folder), "--fixed-utc", LAB_UTC]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = pc5lab("init", str(tmp_path / "kms"), "--demo-seed", "7", "--uid-scheme", "1", "--json")
    assert made.returncode == 0
    assert "demo master keys" in made.stderr
    assert json.loads(made.stdout)["lab_deterministic"] is True
    return tmp_path / "kms"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_life_of_a_kms(home: Path, stop: signal.Signals) -> None:
    with serving(home) as (process, ready):
        assert ready["event"] == "kms-serving"
        enrolled = pc5lab("enrol", str(home), "alice", "--identity", ALICE, "--discovery-group", "1")
        ticket = json.loads(enrolled.stdout)
        ca_pem = (home / "ca.pem").read_bytes()
        assert ticket["ca_pem"].encode() == ca_pem
        identity = asyncio.run(KmsClient(url=ready["url"], ca_pem=ca_pem).enrol(ticket["token"]))
        client = KmsClient(url=ready["url"], ca_pem=ca_pem, identity=identity)
        assert b"2026-03" in asyncio.run(client.fetch(ALICE)).key_sets[0].uid
        assert pc5lab("revoke", str(home), "--identity", ALICE).returncode == 0
        with pytest.raises(KmsRefusal, match="revoked"):
            asyncio.run(client.fetch(ALICE))
        process.send_signal(stop)
        said, warned = process.communicate(timeout=10)
        assert process.returncode == 0
        assert [json.loads(line)["event"] for line in said.splitlines()] == [
            "kms-enrolled",
            "kms-keys-issued",
            "kms-refused",
            "kms-stopped",
        ]
        assert "Traceback" not in warned
    verified = pc5lab("audit", "verify", str(home), "--json")
    streams = {stream["stream"]: stream["lines"] for stream in json.loads(verified.stdout)["streams"]}
    assert streams == {"main": 4, "serve-1": 2}
    shown = [json.loads(line)["action"] for line in pc5lab("audit", "show", str(home)).stdout.splitlines()]
    assert sorted(shown[1:3]) == ["enrol", "open-stream"]
    assert [shown[0], *shown[3:]] == ["grant", "extract", "revoke-identity", "checkpoint"]


def test_orders_about_groups_uses_and_other_kmss(home: Path, tmp_path: Path, order: Order) -> None:
    team, bob = "tel:+447700909999", "tel:+447700900002"
    assert order("enrol", str(home), "bob", "--identity", bob, "--use", "group").returncode == 0
    joined = order("group", str(home), team, "--add", bob, "--json")
    assert json.loads(joined.stdout) == {"group": team, "added": [bob], "removed": []}
    assert order("group", str(home), team, "--remove", bob).returncode == 0
    joined = order("discovery-group", str(home), "chess-club", "--add", "bob", "--json")
    assert json.loads(joined.stdout) == {"discovery_group": "chess-club", "added": ["bob"], "removed": []}
    assert order("discovery-group", str(home), "chess-club", "--remove", "bob").returncode == 0
    assert order("init", str(tmp_path / "other"), "--uri", "kms.other", "--namespace", "sip:*").returncode == 0
    (tmp_path / "other.json").write_text(order("parameters", str(tmp_path / "other")).stdout)
    trusted = order("trust", str(home), str(tmp_path / "other.json"), "--json")
    assert json.loads(trusted.stdout) == {"trusted": "kms.other"}


def test_interception_from_the_command_line(home: Path, tmp_path: Path, order: Order) -> None:
    service = KmsHome.open(home).unseal(
        passphrase_file=None, clocks=Clocks(wall=lambda: dt.datetime.now(dt.UTC), lab_ntp_s=lambda: LAB_NTP_S)
    )
    domain = service.authority.domain
    octets = create_i_message(
        keys=service.authority.extract(ALICE, domain.period_of(LAB_NTP_S)),
        initiator_domain=domain,
        responder_uri="tel:+447700900002",
        responder_domain=domain,
        ntp_s=LAB_NTP_S,
        ssv=bytes(range(16)),
        csb_id=0xD0000001,
        random=os.urandom,
    )
    (tmp_path / "raw").write_bytes(octets)
    (tmp_path / "base64").write_text("mikey " + base64.b64encode(octets).decode() + "\n")
    for name in ("erin", "frank"):
        assert order("operator", "add", str(home), name, "--key", str(tmp_path / name)).returncode == 0
        assert (tmp_path / name).stat().st_mode & 0o077 == 0

    def intercept(step: str, *more: str, by: str) -> subprocess.CompletedProcess[str]:
        return order("intercept", step, str(home), *more, "--operator", by, "--key", str(tmp_path / by), "--json")

    named = ("--warrant", "W-1", "--identity", "tel:+447700900002", "--at", LAB_UTC)
    files = ("--message", str(tmp_path / "raw"), "--message", str(tmp_path / "base64"))
    assert json.loads(intercept("request", *named, *files, by="erin").stdout)["order"] == 1
    out = tmp_path / "sessions.json"
    assert intercept("export", "1", "--out", str(out), by="erin").returncode == 5
    assert intercept("approve", "1", by="erin").returncode == 2
    kept = tmp_path / "franks.checkpoint"
    assert intercept("approve", "1", "--checkpoint-out", str(kept), by="frank").returncode == 0
    alone = intercept("export", "1", "--out", str(out), by="erin")
    assert (alone.returncode, out.exists()) == (5, False)
    assert "--share" in alone.stderr
    shares = [("--share", str(home / "interception-shares" / f"share-{number}.json")) for number in (1, 2)]
    assert intercept("export", "1", "--out", str(out), *shares[0], by="erin").returncode == 2
    assert order("intercept", "shares", str(home), str(tmp_path / "mine")).returncode == 5
    assert intercept("export", "1", "--out", str(out), *shares[0], *shares[1], by="erin").returncode == 0
    sessions = json.loads(out.read_text())["sessions"]
    assert [session["ssv"] for session in sessions] == [bytes(range(16)).hex()] * 2
    assert json.loads(order("intercept", "show", str(home), "1", "--json").stdout)["approved_by"] == "frank"
    assert order("audit", "verify", str(home), "--checkpoint", str(kept)).returncode == 0
    again = order("intercept", "shares", str(home), str(tmp_path / "new"), *shares[0], *shares[1])
    assert again.returncode == 0
    assert intercept("export", "1", "--out", str(out), *shares[0], *shares[1], by="erin").returncode == 2


def test_backup_restore_and_split_from_the_command_line(home: Path, tmp_path: Path, order: Order) -> None:
    assert order("enrol", str(home), "alice", "--identity", ALICE).returncode == 0
    backup = tmp_path / "kms.backup"
    assert json.loads(order("backup", str(home), str(backup), "--json").stdout)["kms"] == "kms.lab.invalid"
    new = tmp_path / "new"
    restored = order("restore", str(backup), str(new), "--passphrase-file", str(home / "seal.key"), "--json")
    assert restored.returncode == 0
    assert "must be ordered again" in restored.stderr
    assert order("audit", "verify", str(new)).returncode == 0
    shares = tmp_path / "shares"
    assert order("split", str(home), str(shares), "--threshold", "2", "--shares", "3").returncode == 0
    enrol = ("enrol", str(home), "bob", "--identity", "tel:+447700900002")
    assert order(*enrol).returncode == 2
    assert order(*enrol, "--share", str(shares / "share-1.json")).returncode == 2
    both = ("--share", str(shares / "share-1.json"), "--share", str(shares / "share-3.json"))
    assert order(*enrol, *both).returncode == 0


def test_bad_orders_end_with_a_sentence_and_code_2(
    home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        orders = [
            ("init", str(home)),
            ("init", str(tmp_path / "new"), "--uri", "k"),
            ("init", str(tmp_path / "new"), "--namespace", "tel: *"),
            ("serve", str(tmp_path / "none")),
            ("serve", str(home), "--port", str(busy.getsockname()[1])),
            ("serve", str(home), "--fixed-utc", "yesterday"),
            ("enrol", str(home), "alice", "--identity", "tel:0044"),
            ("enrol", str(home), "alice", "--identity", "sip:alice@example.org"),
            ("enrol", str(home), "al ice", "--identity", ALICE),
            ("revoke", str(home)),
            ("revoke", str(home), "--user", "nobody"),
            ("audit", "verify", str(tmp_path / "none")),
            ("serve", str(home), "--name", "main"),
            ("serve", str(home), "--workers", "2", "--port", str(busy.getsockname()[1])),
            ("enrol", str(home), "alice", "--identity", ALICE, "--use", "flying"),
            ("enrol", str(home), "alice", "--identity", ALICE, "--discovery-group", "0x1000000"),
            ("group", str(home), ALICE),
            ("discovery-group", str(home), "chess-club"),
            ("discovery-group", str(home), "chess-club", "--add", "nobody"),
            ("trust", str(home), str(home / "kms.json")),
            ("intercept", "show", str(home), "1"),
            ("restore", str(home / "kms.json"), str(tmp_path / "new")),
            ("split", str(home), str(tmp_path / "shares"), "--threshold", "3", "--shares", "2"),
        ]
        for order in orders:
            assert run(["kms", *order]) == 2, order
            said = capfd.readouterr().err
            assert said.strip(), order
            assert "Traceback" not in said, order


@pytest.mark.parametrize("text", ["0x0051AB", "20907", "0051ab"])
def test_a_discovery_group_is_named_as_its_ue_numbers_it(text: str) -> None:
    assert key_set_name(text) == group_name(0x0051AB)


def test_a_code_set_goes_by_its_name() -> None:
    assert key_set_name("chess-club") == "chess-club"


def test_the_home_is_private(home: Path) -> None:
    for name in ("kms.json", "kms.sqlite", "seal.key"):
        assert (home / name).stat().st_mode & 0o077 == 0, name
