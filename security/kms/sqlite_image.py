"""The present state of a SQLite database, read into memory: nothing is opened for writing, no file is made beside it.

SQLite itself can't read a file in write-ahead mode on a read-only or full file system where the log's index is missing:
it must make one. So the file is read, the committed pages of the log are laid over it (the file format's section 4:
frames count up to the last commit whose checksums and salts hold), the header is set to "no log" and the octets are
given to SQLite as a database in memory. A log that grows meanwhile does no harm: the commits that were in it when it
was read count. If a checkpoint rewrites the file meanwhile, it is read again.
"""

from __future__ import annotations

import itertools
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from security.kms_wire.errors import KmsConfigError

MAX_IMAGE_OCTETS: Final = 1 << 30
ATTEMPTS: Final = 20
WAL_HEADER_OCTETS: Final = 32
FRAME_HEADER_OCTETS: Final = 24
LITTLE_ENDIAN_MAGIC: Final = 0x377F0682
BIG_ENDIAN_MAGIC: Final = 0x377F0683
VERSIONS_AT: Final = 18
"""Offset of the write and read versions in the database's header: 1 without a log, 2 with one."""


def open_image(path: Path) -> sqlite3.Connection:
    """A connection to a copy in memory of a database file and its log; raises KmsConfigError."""
    try:
        data, log = _read_stable(path)
    except OSError as exc:
        raise KmsConfigError(f"database file {path}: {exc.strerror}") from exc
    image = merged(data, log)
    if len(image) < 100 or not image.startswith(b"SQLite format 3\0"):
        raise KmsConfigError(f"database file {path}: is no SQLite database")
    image[VERSIONS_AT : VERSIONS_AT + 2] = b"\x01\x01"
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    connection.deserialize(bytes(image))
    return connection


def merged(data: bytes, log: bytes) -> bytearray:
    """A database file's octets with the committed pages of its write-ahead log laid over them."""
    image = bytearray(data)
    pages: dict[int, bytes] = {}
    for number, page, size_after_commit in _frames(log):
        pages[number] = page
        if not size_after_commit:
            continue
        octets = len(page) * size_after_commit
        image = image[:octets].ljust(octets, b"\0")
        for at, content in pages.items():
            if at <= size_after_commit:
                image[(at - 1) * len(content) : at * len(content)] = content
        pages.clear()
    return image


def _read_stable(path: Path) -> tuple[bytes, bytes]:
    """The file's and its log's octets, of one moment."""
    log_path = path.with_name(f"{path.name}-wal")
    for _ in range(ATTEMPTS):
        before = _fingerprint(path)
        if before[0] > MAX_IMAGE_OCTETS:
            raise KmsConfigError(f"database file {path}: has more than {MAX_IMAGE_OCTETS} octets")
        salts = _log(log_path)[:WAL_HEADER_OCTETS]
        data = path.read_bytes()
        log = _log(log_path)
        if _fingerprint(path) == before and log[:WAL_HEADER_OCTETS] == salts:
            return data, log
    raise KmsConfigError(f"database file {path}: is being rewritten all the time; try again")


def _fingerprint(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _log(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _frames(log: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Page number, content and, at a commit, the database's size in pages, of every frame whose checksum holds."""
    if len(log) < WAL_HEADER_OCTETS:
        return
    magic, _, page_octets, _, *salts_and_sums = struct.unpack(">8I", log[:WAL_HEADER_OCTETS])
    if magic not in (LITTLE_ENDIAN_MAGIC, BIG_ENDIAN_MAGIC):
        return
    order = "<" if magic == LITTLE_ENDIAN_MAGIC else ">"
    salts, sums = salts_and_sums[:2], (0, 0)
    sums = _checksum(log[:24], sums, order)
    if list(sums) != salts_and_sums[2:]:
        return
    for start in itertools.count(WAL_HEADER_OCTETS, FRAME_HEADER_OCTETS + page_octets):
        frame = log[start : start + FRAME_HEADER_OCTETS + page_octets]
        if len(frame) < FRAME_HEADER_OCTETS + page_octets:
            return
        number, size, *rest = struct.unpack(">6I", frame[:FRAME_HEADER_OCTETS])
        sums = _checksum(frame[FRAME_HEADER_OCTETS:], _checksum(frame[:8], sums, order), order)
        if rest[:2] != salts or tuple(rest[2:]) != sums:
            return
        yield number, frame[FRAME_HEADER_OCTETS:], size


def _checksum(octets: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    """The log's running checksum over pairs of 32-bit words."""
    one, two = sums
    for first, second in struct.iter_unpack(f"{order}2I", octets):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
