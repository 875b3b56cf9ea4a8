"""Several workers on one database: processes that share a port, and one of them killed at work."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab_scripts.events.reading import read_line
from lab_scripts.events.undated import UndatedEvent
from security.device.kms_client import KmsClient
from security.kms.events import KmsKeysIssued, KmsServing, KmsWorkerLost
from security.kms.issue_queue import MAX_WAITING_ORDERS, IssueQueue
from security.kms.operator_orders import revoke_identity
from security.kms.service import CHECKPOINT_LINES, KeyOrder
from security.kms_wire.errors import AuditError, KmsRefusal, KmsUnreachable
from security.kms_wire.protocol import KeysRequest

USERS = {f"user{number}": f"tel:+44770090010{number}" for number in range(4)}
MakeKms = Callable[..., Any]


class Serving:
    """A `pc5lab kms serve` with workers, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[UndatedEvent] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._ready.wait(60), "the workers did not start"
        self.url = self.of(KmsServing)[0].event.url

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = read_line(line)
            assert isinstance(said, UndatedEvent)
            self.events.append(said)
            if isinstance(said.event, KmsServing):
                self._ready.set()
        self._ready.set()

    def of(self, kind: type) -> list[Any]:
        """What was said, of one class."""
        return [said for said in self.events if isinstance(said.event, kind)]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self._reader.join(10)
        return code


@contextmanager
def serving(folder: Path, *more: str) -> Iterator[Serving]:
    command = [sys.executable, "-m", "lab_scripts.cli.main", "kms", "serve", str(folder), "--workers", "2", *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield Serving(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


async def fetch_all(kms: Any, url: str, rounds: int) -> Counter[str]:
    """Every user fetches again and again, all at once; how often it went well, or was cut off."""
    outcomes: Counter[str] = Counter()

    async def one(user: str, uri: str) -> None:
        client = KmsClient(url=url, ca_pem=kms.service.ca.certificate_pem, identity=kms.users[user])
        for _ in range(rounds):
            try:
                await client.fetch(uri)
                outcomes["fetched"] += 1
            except KmsUnreachable:
                outcomes["cut off"] += 1

    await asyncio.gather(*(one(user, uri) for user, uri in USERS.items()))
    return outcomes


def test_two_workers_serve_one_database_and_one_killed_is_replaced(make_kms: MakeKms) -> None:
    kms = make_kms()
    for user, uri in USERS.items():
        kms.enrol(user, uri)
    with serving(kms.home.folder, "--fixed-utc", "2026-03-11T12:00:00Z", "--name", "west") as running:
        assert running.of(KmsServing)[0].event.workers == 2
        assert asyncio.run(fetch_all(kms, running.url, 5)) == {"fetched": 20}
        at_work = Counter(said.worker for said in running.of(KmsKeysIssued))
        assert set(at_work) <= {"west-1", "west-2"}
        revoke_identity(kms.service, USERS["user3"])
        with pytest.raises(KmsRefusal, match="revoked"):
            client = KmsClient(url=running.url, ca_pem=kms.service.ca.certificate_pem, identity=kms.users["user3"])
            asyncio.run(client.fetch(USERS["user3"]))
        assert running.stop() == 0
    report = kms.home.verify_audit()
    streams = {head.stream: head.count for head in report.heads}
    assert sum(count for stream, count in streams.items() if stream != "main") == 20
    noted = {line["subject"]: line["detail"]["lines"] for line in main_lines(kms) if line["action"] == "checkpoint"}
    assert noted == {stream: count for stream, count in streams.items() if stream != "main"}


def test_a_worker_killed_at_work_leaves_a_whole_audit_log_and_is_begun_again(make_kms: MakeKms) -> None:
    kms = make_kms()
    for user, uri in USERS.items():
        kms.enrol(user, uri)
    with serving(kms.home.folder, "--fixed-utc", "2026-03-11T12:00:00Z") as running:

        def kill_one() -> None:
            children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
            workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            os.kill(workers[-1], signal.SIGKILL)

        later = threading.Timer(0.5, kill_one)
        later.start()
        outcomes = asyncio.run(fetch_all(kms, running.url, 8))
        later.join()
        asyncio.run(until(lambda: bool(running.of(KmsWorkerLost))))
        assert asyncio.run(fetch_all(kms, running.url, 1))["fetched"] >= 1
        assert outcomes["fetched"] >= 16
        assert running.stop() == 0
    kms.home.verify_audit()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.05)


def main_lines(kms: Any) -> list[dict[str, Any]]:
    with kms.service.database.read() as records:
        return [line.fields for line in records.audit_lines("main")]


def workers_of(kms: Any, count: int) -> list[Any]:
    return [
        kms.home.unseal(passphrase_file=None, clocks=kms.clocks(), stream=f"serve-{number}") for number in range(count)
    ]


def issue(service: Any, kms: Any, count: int = 1) -> None:
    order = KeyOrder(fingerprint=kms.users["user0"].fingerprint, uri=USERS["user0"])
    service.issue([order] * count)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DELETE FROM audit WHERE stream = 'serve-1' AND seq = 2", "serve-1, line 2"),
        ("DELETE FROM audit WHERE stream = 'serve-1' AND seq = 4", "serve-1.*cut"),
        ("UPDATE audit SET line = replace(line, 'user0', 'user1') WHERE stream = 'serve-0' AND seq = 3", "altered"),
        ("UPDATE audit SET seq = CASE seq WHEN 1 THEN 9 WHEN 2 THEN 1 ELSE seq END WHERE stream = 'serve-0'", "line 1"),
        ("UPDATE audit SET stream = 'serve-x' WHERE stream = 'serve-1'", "serve-1"),
        ("DELETE FROM audit_streams WHERE stream = 'serve-1'", "serve-1 is gone"),
        (
            "INSERT INTO audit_streams (stream, lines, hash) VALUES ('serve-9', 0, '')",
            "serve-9 is none that was opened",
        ),
        ("DELETE FROM audit_streams", "main stream"),
        (
            "UPDATE audit SET line = (SELECT line FROM audit WHERE stream = 'serve-0' AND seq = 1), signature = "
            "(SELECT signature FROM audit WHERE stream = 'serve-0' AND seq = 1) WHERE stream = 'serve-1' AND seq = 1",
            "belongs to stream serve-0",
        ),
    ],
)
def test_tampering_is_found_in_every_stream(make_kms: MakeKms, statement: str, why: str) -> None:
    kms = make_kms()
    kms.enrol("user0", USERS["user0"])
    for worker in workers_of(kms, 2):
        issue(worker, kms, 4)
    assert [head.stream for head in kms.home.verify_audit().heads] == ["main", "serve-0", "serve-1"]
    with kms.service.database.begin() as records:
        records.connection.exec_driver_sql(statement)
    with pytest.raises(AuditError, match=why):
        kms.home.verify_audit()


def test_a_stream_cut_with_its_count_is_found_by_its_checkpoint(make_kms: MakeKms) -> None:
    kms = make_kms()
    kms.enrol("user0", USERS["user0"])
    (worker,) = workers_of(kms, 1)
    issue(worker, kms, 4)
    worker.checkpoint()
    with kms.service.database.begin() as records:
        third = list(records.audit_lines("serve-0"))[2]
        records.connection.exec_driver_sql("DELETE FROM audit WHERE stream = 'serve-0' AND seq = 4")
        records.connection.exec_driver_sql(
            f"UPDATE audit_streams SET lines = 3, hash = '{third.hash_hex}' WHERE stream = 'serve-0'"
        )
    with pytest.raises(AuditError, match="serve-0: 3 lines found, 4 were"):
        kms.home.verify_audit()


def test_long_streams_are_noted_in_the_main_one(make_kms: MakeKms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("security.kms.service.CHECKPOINT_LINES", 10)
    assert CHECKPOINT_LINES == 1000
    kms = make_kms()
    kms.enrol("user0", USERS["user0"])
    (worker,) = workers_of(kms, 1)
    for _ in range(6):
        issue(worker, kms, 4)
    checkpoints = [line["detail"]["lines"] for line in main_lines(kms) if line["action"] == "checkpoint"]
    assert checkpoints == [12, 20]
    kms.home.verify_audit()


def test_orders_that_wait_together_are_answered_together_and_not_too_many_wait() -> None:
    batches: list[int] = []

    async def slow(orders: Any) -> list[Any]:
        batches.append(len(orders))
        await asyncio.sleep(0)
        return [KmsRefusal("busy", order.uri) for order in orders]

    async def trial() -> None:
        queue = IssueQueue(slow)
        asked = [asyncio.create_task(queue.ask(KeyOrder(fingerprint="", uri=str(n)))) for n in range(300)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [str(answer) for answer in answers[:MAX_WAITING_ORDERS]] == [str(n) for n in range(MAX_WAITING_ORDERS)]
        assert all("too many" in str(answer) for answer in answers[MAX_WAITING_ORDERS:])
        assert batches == [32] * (MAX_WAITING_ORDERS // 32)

    asyncio.run(trial())


def test_a_failure_of_the_service_reaches_everyone_who_waits_and_the_queue_goes_on() -> None:
    calls = 0

    async def failing(orders: Any) -> list[Any]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("disk full")
        return [KmsRefusal("busy", "second") for _ in orders]

    async def trial() -> None:
        queue = IssueQueue(failing)
        order = KeyOrder(fingerprint="", uri="")
        first = await asyncio.gather(queue.ask(order), queue.ask(order), return_exceptions=True)
        assert [str(answer) for answer in first] == ["disk full", "disk full"]
        with pytest.raises(KmsRefusal, match="second"):
            await queue.ask(order)

    asyncio.run(trial())


def test_workers_give_the_same_keys(make_kms: MakeKms) -> None:
    kms = make_kms(seed=9)
    kms.enrol("user0", USERS["user0"])
    one, two = workers_of(kms, 2)
    fingerprint, request = kms.users["user0"].fingerprint, KeysRequest(uri=USERS["user0"])
    assert one.keys(fingerprint, request) == two.keys(fingerprint, request)
