"""The record of a device: replay entries, time floor, rising marks. Written before the act; shared by its processes.

An append-only journal of sealed entries. An entry cut short by a crash was never acted on and is dropped. Anything
else that can't be read means that the record is lost: it starts anew with the time floor at that moment.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from security.atomic_file import replace_file
from security.errors import SecurityError
from security.sealing import Seal, SealError

REPLAY_ENTRIES: Final = 4096
"""Replay cache size of the `identity` profile (PROFILE 2)."""
REPLAY_ENTRIES_PER_SIGNER: Final = 256
"""Replay entries one signer may hold (PROFILE 2)."""
LENGTH_OCTETS = 4
MAX_ENTRY_OCTETS = 4096
COMPACT_ABOVE_ENTRIES = 4 * REPLAY_ENTRIES

Entry = tuple[Literal["replay"], str, str, int] | tuple[Literal["floor"], int] | tuple[Literal["mark"], str, int]


class RecordError(SecurityError):
    """The record can't be written, or is asked for what it must not do."""


class RecordFullError(RecordError):
    """No room for another replay entry; entries are never evicted before they expire."""


class DeviceRecord:
    """Replay entries, time floor and marks of one device, kept on disk.

    Every process of the device may hold its own `DeviceRecord` of the same file: each operation takes the file's lock
    and first reads what others have added.
    """

    def __init__(self, path: Path, seal: Seal, *, device: str, now_ntp_s: int, new: bool = False) -> None:
        """Open the journal, or start one; raises RecordError if the file can't be used at all.

        `device` names the owner and is bound into every entry. A new or lost record has its floor at `now_ntp_s`;
        `was_lost` says that there should have been one.
        """
        self._path = path
        self._lock_path = path.with_name(f".{path.name}.lock")
        self._seal = seal
        self._purpose = f"record of {device}"
        self._inode = 0
        self._offset = 0
        self._forget()
        with self._locked():
            self.was_lost = not self._load(now_ntp_s) and not new

    @property
    def time_floor_ntp_s(self) -> int:
        """The last time known to be true; 0 never, since every record starts with a floor."""
        with self._locked():
            self._catch_up()
            return self._floor_ntp_s

    def raise_floor(self, ntp_s: int) -> None:
        """Move the time floor up; a lower time changes nothing."""
        with self._locked():
            self._catch_up()
            if ntp_s > self._floor_ntp_s:
                self._append(("floor", ntp_s))

    def contains(self, digest: bytes) -> bool:
        """Whether this hash of a signed part has a replay entry, expired or not."""
        with self._locked():
            self._catch_up()
            return digest.hex() in self._replays

    def has_room(self, signer: str, *, now_ntp_s: int) -> bool:
        """Whether one more entry of this signer would be taken."""
        with self._locked():
            self._catch_up()
            return self._room(signer, now_ntp_s)

    def remember(self, digest: bytes, *, signer: str, expires_ntp_s: int, now_ntp_s: int) -> bool:
        """Bring a replay entry to the disk; False if it was there already (another process came first).

        Raises RecordFullError without room, RecordError if it can't be written. Only a caller that got True may act.
        """
        with self._locked():
            self._catch_up()
            if digest.hex() in self._replays:
                return False
            if not self._room(signer, now_ntp_s):
                raise RecordFullError(f"no room for another replay entry of {signer}")
            self._append(("replay", digest.hex(), signer, expires_ntp_s))
            if self._entries > COMPACT_ABOVE_ENTRIES:
                self._compact(now_ntp_s)
            return True

    def mark(self, name: str) -> int:
        """The highest value ever raised for this name; 0 if none."""
        with self._locked():
            self._catch_up()
            return self._marks.get(name, 0)

    def raise_mark(self, name: str, value: int) -> None:
        """Bring a higher value to the disk; raises RecordError unless it is higher than the last."""
        with self._locked():
            self._catch_up()
            if value <= self._marks.get(name, 0):
                raise RecordError(f"{name}: {value} is not above {self._marks.get(name, 0)}")
            self._append(("mark", name, value))

    def compact(self, *, now_ntp_s: int) -> None:
        """Rewrite the journal without expired replay entries."""
        with self._locked():
            self._catch_up()
            self._compact(now_ntp_s)

    def _room(self, signer: str, now_ntp_s: int) -> bool:
        live = [entry_signer for entry_signer, expires in self._replays.values() if expires >= now_ntp_s]
        return len(live) < REPLAY_ENTRIES and live.count(signer) < REPLAY_ENTRIES_PER_SIGNER

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            handle = os.open(self._lock_path, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as exc:
            raise RecordError(f"{self._lock_path}: {exc.strerror}") from exc
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _forget(self) -> None:
        self._entries = 0
        self._floor_ntp_s = 0
        self._replays: dict[str, tuple[str, int]] = {}
        self._marks: dict[str, int] = {}

    def _load(self, now_ntp_s: int) -> bool:
        """Read the journal, or start it anew if it can't be read; True if it was read."""
        try:
            self._catch_up()
            readable = self._floor_ntp_s > 0
        except RecordError:
            readable = False
        if not readable:
            self._forget()
            self._floor_ntp_s = now_ntp_s
            self._compact(now_ntp_s)
        return readable

    def _catch_up(self) -> None:
        """Read what was added since the last operation, by this process or another."""
        try:
            with self._path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if inode != self._inode:
                    self._forget()
                    self._inode, self._offset = inode, 0
                file.seek(self._offset)
                tail = file.read()
        except FileNotFoundError:
            raise RecordError(f"{self._path}: the record is gone") from None
        except OSError as exc:
            raise RecordError(f"{self._path}: {exc.strerror}") from exc
        for sealed in _whole_entries(tail):
            self._apply(self._open_entry(sealed))
            self._offset += LENGTH_OCTETS + len(sealed)

    def _open_entry(self, sealed: bytes) -> Entry:
        try:
            entry: Entry = tuple(json.loads(self._seal.open(sealed, purpose=self._place())))
        except (SealError, ValueError) as exc:
            raise RecordError(f"{self._path}: entry {self._entries + 1} can't be read") from exc
        return entry

    def _place(self) -> str:
        """Binds an entry to its owner and its position, so that entries can't be moved or dropped in the middle."""
        return f"{self._purpose}, entry {self._entries + 1}"

    def _apply(self, entry: Entry) -> None:
        match entry:
            case ("replay", digest, signer, expires_ntp_s):
                self._replays[digest] = (signer, expires_ntp_s)
            case ("floor", ntp_s):
                self._floor_ntp_s = max(self._floor_ntp_s, ntp_s)
            case ("mark", name, value):
                self._marks[name] = max(self._marks.get(name, 0), value)
            case _:
                raise RecordError(f"{self._path}: entry {self._entries + 1} is of no known kind")
        self._entries += 1

    def _append(self, entry: Entry) -> None:
        """Bring one entry to the disk, over whatever a crash left behind the last whole one; then apply it."""
        octets = self._framed(entry)
        try:
            handle = os.open(self._path, os.O_WRONLY)
            try:
                os.ftruncate(handle, self._offset)
                os.lseek(handle, self._offset, os.SEEK_SET)
                _write_whole(handle, octets)
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as exc:
            raise RecordError(f"{self._path}: {exc.strerror}") from exc
        self._offset += len(octets)
        self._apply(entry)

    def _framed(self, entry: Entry) -> bytes:
        sealed = self._seal.seal(json.dumps(entry, separators=(",", ":")).encode(), purpose=self._place())
        if len(sealed) > MAX_ENTRY_OCTETS:
            raise RecordError(f"an entry of {len(sealed)} octets; at most {MAX_ENTRY_OCTETS}")
        return len(sealed).to_bytes(LENGTH_OCTETS) + sealed

    def _compact(self, now_ntp_s: int) -> None:
        """Write floor, marks and live replay entries to a new journal that takes the place of the old."""
        live = {digest: value for digest, value in self._replays.items() if value[1] >= now_ntp_s}
        entries: list[Entry] = [("floor", self._floor_ntp_s)]
        entries += [("mark", name, value) for name, value in self._marks.items()]
        entries += [("replay", digest, signer, expires) for digest, (signer, expires) in live.items()]
        self._forget()
        octets = b""
        for entry in entries:
            octets += self._framed(entry)
            self._apply(entry)
        try:
            replace_file(self._path, octets)
        except OSError as exc:
            raise RecordError(f"{self._path}: {exc.strerror}") from exc
        self._inode, self._offset = self._path.stat().st_ino, len(octets)


def _whole_entries(octets: bytes) -> Iterator[bytes]:
    """The sealed entries of a journal but for one that a crash cut short; RecordError for impossible lengths."""
    position = 0
    while position + LENGTH_OCTETS <= len(octets):
        start = position + LENGTH_OCTETS
        length = int.from_bytes(octets[position:start])
        if not 0 < length <= MAX_ENTRY_OCTETS:
            raise RecordError(f"an entry claims {length} octets")
        if start + length > len(octets):
            return
        yield octets[start : start + length]
        position = start + length


def _write_whole(handle: int, octets: bytes) -> None:
    while octets:
        octets = octets[os.write(handle, octets) :]
