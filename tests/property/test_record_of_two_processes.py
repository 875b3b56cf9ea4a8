"""Two real processes on one record, on real files: no message twice, no epoch back, whatever they do and die of."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.at_rest.sealing import Seal
from security.device.record import DeviceRecord, RecordError

WORKER = Path(__file__).with_name("record_worker.py")
SEAL = Seal.create(b"correct horse battery", log2_n=2)
NOW = 3_982_000_000
DIED = "died"


class Worker:
    """One process; it is started again when it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.path: Path | None = None

    def tell(self, do: str, *arguments: Any, die: tuple[str, int] | None = None) -> None:
        """Give a command; the answer is not waited for."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            if self.path is not None:
                assert self.ask("open", *opening(self.path)) is False, "the record was lost"
        assert self._process.stdin is not None
        command = {"do": do, "with": arguments} | ({"die": die} if die else {})
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """The answer to the last command, or that the process died of it."""
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self.stop()
        return DIED

    def ask(self, do: str, *arguments: Any, die: tuple[str, int] | None = None) -> Any:
        """Command and answer."""
        self.tell(do, *arguments, die=die)
        return self.hear()

    def open(self, path: Path) -> None:
        """Go to another record."""
        self.path = None
        assert self.ask("open", *opening(path)) is False
        self.path = path

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def opening(path: Path) -> tuple[str, int, str, str, int]:
    return str(path), SEAL.log2_n, SEAL.salt.hex(), SEAL.key.hex(), NOW


def record_at(path: Path) -> DeviceRecord:
    return DeviceRecord(path, SEAL, device="tel:+1", now_ntp_s=NOW)


def digest(number: int) -> str:
    return abs(number).to_bytes(32).hex()


@pytest.fixture(scope="module")
def workers() -> Iterator[tuple[Worker, Worker]]:
    both = Worker(), Worker()
    yield both
    for worker in both:
        worker.stop()


def test_two_compactions_between_two_operations_bring_nothing_back(
    workers: tuple[Worker, Worker], tmp_path: Path
) -> None:
    """ext4 gives the second new file the inode of the one before the first."""
    one, other = workers
    for attempt in range(8):
        path = tmp_path / f"{attempt}.log"
        one.open(path)
        other.open(path)
        assert one.ask("remember", digest(1), "e", NOW) is True
        inodes = [path.stat().st_ino]
        assert other.ask("remember", digest(2), "e", NOW) is True
        assert other.ask("raise_mark", "epoch", 7) is True
        for _ in range(2):
            assert other.ask("compact", NOW) is True
            inodes.append(path.stat().st_ino)
        assert one.ask("remember", digest(2), "e", NOW) is False, inodes
        assert one.ask("mark", "epoch") == 7
        assert one.ask("raise_mark", "epoch", 8) is True
        assert one.ask("remember", digest(3), "e", NOW) is True
        assert other.ask("remember", digest(3), "e", NOW) is False
        assert other.ask("mark", "epoch") == 8
        assert not record_at(path).was_lost


def test_a_new_file_in_the_inode_of_the_old_is_seen_by_its_first_entry(tmp_path: Path) -> None:
    """The same on any file system: the octets of the new file are put into the old file's inode."""
    path = tmp_path / "record.log"
    one = DeviceRecord(path, SEAL, device="tel:+1", now_ntp_s=NOW, new=True)
    one.remember(b"\1" * 32, signer="e", expires_ntp_s=NOW + 300, now_ntp_s=NOW)
    twin = tmp_path / "twin" / "record.log"
    twin.parent.mkdir()
    twin.write_bytes(path.read_bytes())
    other = record_at(twin)
    other.remember(b"\2" * 32, signer="e", expires_ntp_s=NOW + 300, now_ntp_s=NOW)
    other.raise_mark("epoch", 7)
    other.compact(now_ntp_s=NOW)
    other.compact(now_ntp_s=NOW)
    inode = path.stat().st_ino
    path.write_bytes(twin.read_bytes())
    assert path.stat().st_ino == inode
    assert one.contains(b"\2" * 32) and one.mark("epoch") == 7
    assert not one.remember(b"\2" * 32, signer="e", expires_ntp_s=NOW + 300, now_ntp_s=NOW)


@pytest.mark.parametrize("how", ["older copy", "cut", "another record", "older copy in the same inode"])
def test_an_older_or_another_record_is_refused_by_a_process_that_knows_better(tmp_path: Path, how: str) -> None:
    path = tmp_path / "record.log"
    record = DeviceRecord(path, SEAL, device="tel:+1", now_ntp_s=NOW, new=True)
    record.raise_mark("epoch", 3)
    before = path.read_bytes()
    record.raise_mark("epoch", 4)
    if how.startswith("older copy"):
        record.compact(now_ntp_s=NOW)
    if how == "another record":
        path.unlink()
        DeviceRecord(path, SEAL, device="tel:+1", now_ntp_s=NOW)
        for _ in range(4):
            record_at(path).compact(now_ntp_s=NOW)
    else:
        if how == "older copy":
            path.unlink()
        path.write_bytes(before)
    for act in (lambda: record.mark("epoch"), lambda: record.raise_mark("epoch", 5), lambda: record.raise_floor(1)):
        with pytest.raises(RecordError, match=r"took its place|older state"):
            act()


def test_a_compaction_that_fails_leaves_the_record_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.log"
    record = DeviceRecord(path, SEAL, device="tel:+1", now_ntp_s=NOW, new=True)
    for number in range(3):
        record.raise_mark(f"name {number}", 1)
        record.raise_mark(f"name {number}", 2)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("security.device.record.replace_file", full)
        with pytest.raises(RecordError, match="No space"):
            record.compact(now_ntp_s=NOW)
        patch.setattr("security.device.record.COMPACT_ABOVE_ENTRIES", 3)
        assert record.remember(bytes(32), signer="e", expires_ntp_s=NOW + 300, now_ntp_s=NOW)
    record.raise_mark("name 0", 3)
    again = record_at(path)
    assert not again.was_lost
    assert again.contains(bytes(32)) and again.mark("name 0") == 3


def test_two_processes_that_race_share_the_messages_out(workers: tuple[Worker, Worker], tmp_path: Path) -> None:
    """Each takes the same 200 messages as fast as it can, and rewrites the journal at every twelfth entry or so."""
    for worker in workers:
        worker.open(tmp_path / "record.log")
    for worker in workers:
        worker.tell("race", 0, 200)
    one, other = (worker.hear() for worker in workers)
    assert sorted(one + other) == list(range(200))
    assert not record_at(tmp_path / "record.log").was_lost


STEP = st.one_of(
    st.tuples(st.just("remember"), st.integers(0, 5)),
    st.tuples(st.just("raise_mark"), st.integers(1, 3)),
    st.tuples(st.just("raise_floor"), st.integers(-5, 5)),
    st.tuples(st.just("compact"), st.integers(1, 3)),
    st.tuples(st.just("look"), st.just(0)),
)
DEATH = st.one_of(
    st.none(),
    st.none(),
    st.none(),
    st.tuples(st.sampled_from(("write", "ftruncate")), st.integers(1, 2)),
    st.tuples(st.just("replace"), st.just(1)),
)
SCHEDULE = st.lists(st.tuples(st.sampled_from((0, 1, 2)), STEP, DEATH), min_size=4, max_size=24)
"""Who acts (2: both at once), what is done, and what the first of them dies of."""


class Model:
    """What the two have been told, and so must hold."""

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.perhaps_taken: set[int] = set()
        self.mark = 0
        self.tried_mark = 0

    def check_remember(self, number: int, answers: list[Any]) -> None:
        assert answers.count(True) <= 1, "one message was taken twice"
        assert all(answer in (True, False, DIED) for answer in answers), answers
        if True in answers:
            assert number not in self.taken, "one message was taken twice"
        elif DIED not in answers:
            assert number in self.taken | self.perhaps_taken, "nobody took it, and nobody may"
        (self.perhaps_taken if True not in answers and DIED in answers else self.taken).add(number)

    def check_mark(self, value: int, answers: list[Any]) -> None:
        assert answers.count(True) <= 1, "one epoch was given twice"
        if True in answers:
            assert value > self.mark
            self.mark = value
        self.tried_mark = max(self.tried_mark, value)

    def check_seen(self, mark: int, held: dict[int, bool]) -> None:
        assert self.mark <= mark <= max(self.mark, self.tried_mark), "an older epoch is seen"
        assert all(held[number] for number in self.taken), "a message that was taken is forgotten"
        self.mark = mark


@settings(max_examples=40, deadline=None)
@given(schedule=SCHEDULE)
def test_no_schedule_takes_a_message_twice_or_sees_an_older_epoch(
    workers: tuple[Worker, Worker], schedule: list[tuple[int, tuple[str, int], tuple[str, int] | None]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.log"
        for worker in workers:
            worker.open(path)
        model = Model()
        for who, (do, number), death in schedule:
            acting = list(workers) if who == 2 else [workers[who]]
            if do == "look":
                for worker in acting:
                    held = {n: worker.ask("contains", digest(n)) for n in range(6)}
                    model.check_seen(worker.ask("mark", "epoch"), held)
                continue
            value = max(model.mark, model.tried_mark) + number
            arguments: dict[str, tuple[Any, ...]] = {
                "remember": (digest(number), "e", NOW),
                "raise_mark": ("epoch", value),
                "raise_floor": (NOW + number,),
                "compact": (NOW,),
            }
            for times in range(number if do == "compact" else 1):
                for worker in acting:
                    first = worker is acting[0] and times == 0
                    worker.tell(do, *arguments[do], die=death if first else None)
                answers = [worker.hear() for worker in acting]
                if do == "remember":
                    model.check_remember(number, answers)
                elif do == "raise_mark":
                    model.check_mark(value, answers)
                assert not any(isinstance(answer, str) and "can't be read" in answer for answer in answers), answers
        for worker in workers:
            worker.path = path
            model.check_seen(worker.ask("mark", "epoch"), {n: worker.ask("contains", digest(n)) for n in range(6)})
        assert not record_at(path).was_lost
