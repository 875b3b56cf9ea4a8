"""`pc5lab kms` as processes: serve, enrol beside it, fetch, revoke, verify the log, stop cleanly."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab_scripts.cli.main import run
from security.kms.client import KmsClient
from security.kms.errors import KmsRefusal

ALICE = "tel:+447700900001"
LAB_UTC = "2026-03-11T12:00:00Z"


def pc5lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab_scripts.cli.main", "kms", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


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
    assert json.loads(verified.stdout)["lines"] == 4
    shown = [json.loads(line)["action"] for line in pc5lab("audit", "show", str(home)).stdout.splitlines()]
    assert shown == ["grant", "enrol", "extract", "revoke-identity"]


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
        ]
        for order in orders:
            assert run(["kms", *order]) == 2, order
            said = capfd.readouterr().err
            assert said.strip(), order
            assert "Traceback" not in said, order


def test_the_home_is_private(home: Path) -> None:
    for name in ("kms.json", "kms.sqlite", "seal.key"):
        assert (home / name).stat().st_mode & 0o077 == 0, name
