"""A database file and its log read into memory, held against what SQLite itself reads from them."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from security.kms.sqlite_image import open_image
from security.kms_wire.errors import KmsConfigError


def writer(path: Path, **pragmas: object) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for name, value in (pragmas | {"journal_mode": "WAL", "wal_autocheckpoint": 0}).items():
        connection.execute(f"PRAGMA {name}={value}")
    connection.execute("CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b BLOB)")
    return connection


def rows(connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
    return connection.execute("SELECT a, b FROM t ORDER BY a").fetchall()


def read_by_sqlite(path: Path, folder: Path) -> list[tuple[int, bytes]]:
    """What SQLite makes of a copy of the file and its log."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        if (path.parent / name).exists():
            shutil.copy(path.parent / name, folder / name)
    with sqlite3.connect(folder / path.name) as connection:
        found = rows(connection)
    connection.close()
    return found


@pytest.mark.parametrize("page_octets", [512, 4096, 65536])
def test_it_reads_what_sqlite_reads_after_any_transactions(tmp_path: Path, page_octets: int) -> None:
    draw = random.Random(page_octets)
    path = tmp_path / "x.sqlite"
    connection = writer(path, page_size=page_octets)
    for turn in range(60):
        connection.execute("BEGIN")
        for _ in range(draw.randrange(1, 12)):
            key, value = draw.randrange(40), draw.randbytes(draw.choice((0, 10, 3000)))
            connection.execute("INSERT OR REPLACE INTO t VALUES (?, ?)", (key, value))
        if draw.random() < 0.3:
            connection.execute("DELETE FROM t WHERE a < ?", (draw.randrange(40),))
        connection.execute(draw.choice(("COMMIT", "COMMIT", "ROLLBACK")))
        if draw.random() < 0.15:
            connection.execute(f"PRAGMA wal_checkpoint({draw.choice(('PASSIVE', 'TRUNCATE', 'RESTART'))})")
        if draw.random() < 0.1:
            connection.execute("VACUUM")
        if turn % 3 == 0:
            assert rows(open_image(path)) == rows(connection) == read_by_sqlite(path, tmp_path / "copy")
    connection.close()


def test_a_log_cut_or_damaged_anywhere_counts_up_to_its_last_whole_commit(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    connection = writer(path, page_size=512)
    for number in range(6):
        connection.execute("INSERT INTO t VALUES (?, zeroblob(700))", (number,))
    copy = tmp_path / "y" / "x.sqlite"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    log = (tmp_path / "x.sqlite-wal").read_bytes()
    connection.close()
    seen = set()
    for length in (*range(64), *range(64, len(log) + 1, 97), len(log)):
        for damaged in (log[:length], log[:length] + bytes(b ^ 0x55 for b in log[length:])):
            (tmp_path / "y" / "x.sqlite-wal").write_bytes(damaged)
            try:
                expected = read_by_sqlite(copy, tmp_path / "z")
            except sqlite3.DatabaseError:
                with pytest.raises(sqlite3.DatabaseError):
                    rows(open_image(copy))
                continue
            assert rows(open_image(copy)) == expected
            seen.add(len(expected))
    assert seen >= {0, 3, 6}


def test_each_reading_during_writes_is_one_moments_state(tmp_path: Path) -> None:
    """A writer goes on, checkpoints included; every image holds equal counts, as every commit leaves them."""
    path = tmp_path / "x.sqlite"
    connection = writer(path)
    connection.execute("CREATE TABLE u (a INTEGER)")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO t VALUES (?, zeroblob(500))", (number,))
            connection.execute("INSERT INTO u VALUES (?)", (number,))
            connection.execute("COMMIT")
            if number % 50 == 0:
                connection.execute("PRAGMA wal_checkpoint(RESTART)")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        counts = []
        for _ in range(25):
            image = open_image(path)
            (one,) = image.execute("SELECT count(*) FROM t").fetchone()
            (other,) = image.execute("SELECT count(*) FROM u").fetchone()
            assert image.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert one == other
            counts.append(one)
    finally:
        stop.set()
        thread.join()
        connection.close()
    assert counts == sorted(counts)


@pytest.mark.parametrize("content", [b"", b"SQLite", b"\0" * 4096])
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(KmsConfigError, match="is no SQLite database"):
        open_image(tmp_path / "x")
    with pytest.raises(KmsConfigError, match="No such file"):
        open_image(tmp_path / "none")
