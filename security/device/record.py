"""The record of a device: replay entries, time floor, rising marks. Written before the act; shared by its processes.

An append-only journal of sealed entries (`security.device.record_state`). No action followed an entry that a crash cut
short, so it is dropped. Anything else that can't be read means that the record is lost: it starts anew, and then takes
no message that is dated before that moment.

Every operation takes the lock, reads what others have added, and only then answers or writes. The lock is a file of its
own, so it holds across the rewriting of the journal. The journal that is read is recognised by its inode, by its size,
and by its first entry, which is sealed under a fresh nonce and numbers the file: a file system may give a new file the
inode of an old one. A file that is neither the one read last nor a later one of the same record is refused: with an
older copy, old messages and epochs would be accepted a second time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from security.at_rest.atomic_file import replace_file
from security.at_rest.sealing import Seal, SealError
from security.device.record_state import (
    LENGTH_OCTETS,
    MAX_MARKS,
    REPLAY_ENTRIES,
    REPLAY_ENTRIES_PER_SIGNER,
    WINDOW_S,
    Entry,
    RecordError,
    RecordFullError,
    RecordState,
    entry_octets,
    entry_of,
    framed,
    whole_entries,
)
from security.device.time_floor import KmsContact, judge_kms_time

__all__ = [
    "REPLAY_ENTRIES",
    "REPLAY_ENTRIES_PER_SIGNER",
    "WINDOW_S",
    "DeviceRecord",
    "RecordError",
    "RecordFullError",
]

COMPACT_ABOVE_ENTRIES = 4 * REPLAY_ENTRIES
MAX_RECORD_OCTETS: Final = 1 << 26
"""More octets than a journal with all allowed entries can have."""
BORN_OCTETS: Final = 8


class DeviceRecord:
    """Replay entries, time floor and marks of one device, kept on disk.

    Every process of the device may hold its own `DeviceRecord` of the same file: each operation takes the file's lock
    and first reads what others have added. The class is longer than most: it has methods to write and to read each kind
    of entry, under one lock.
    """

    def __init__(self, path: Path, seal: Seal, *, device: str, now_ntp_s: int, new: bool = False) -> None:
        """Open the journal, or start one; raises RecordError if the file can't be used at all.

        `device` names the owner and is bound into every entry. A new or lost record has its floor at `now_ntp_s`; a
        lost one takes nothing dated before it. `was_lost` says that there should have been one.
        """
        self._path = path
        self._lock_path = path.with_name(f".{path.name}.lock")
        self._seal = seal
        self._purpose = f"record of {device}"
        self._inode = 0
        self._offset = 0
        self._head = b""
        self._state = RecordState()
        with self._locked():
            first = new and not path.exists()
            self.was_lost = not self._load(now_ntp_s, first=first) and not first

    @property
    def time_floor_ntp_s(self) -> int:
        """The last time known to be true. It judges the own clock. Never 0: every record starts with a floor."""
        with self._locked():
            self._catch_up()
            return self._state.floor_ntp_s

    @property
    def accept_after_ntp_s(self) -> int:
        """Messages dated up to this time may have been accepted before; 0 with a complete record. It judges T."""
        with self._locked():
            self._catch_up()
            return self._state.accept_after_ntp_s

    @property
    def time_unproven(self) -> bool:
        """Whether the record was lost, and the home KMS has not given the time since."""
        with self._locked():
            self._catch_up()
            return self._state.accept_after_ntp_s > 0 and not self._state.time_told

    def raise_floor(self, ntp_s: int) -> None:
        """Raise the time floor; a lower time changes nothing."""
        with self._locked():
            self._catch_up()
            if ntp_s > self._state.floor_ntp_s:
                self._append(("floor", ntp_s))

    def kms_contact(self, kms_ntp_s: int, *, keys_end_ntp_s: int) -> KmsContact:
        """Take the time of an authenticated contact with the home KMS. Returns the change of the floor.

        `keys_end_ntp_s`: the end of the newest key period held. A foreign KMS's time never comes here.
        """
        with self._locked():
            self._catch_up()
            contact = judge_kms_time(self._state.floor_ntp_s, kms_ntp_s, keys_end_ntp_s=keys_end_ntp_s)
            state = self._state
            ends_loss = state.accept_after_ntp_s > 0 and not state.time_told
            if contact.lowered or (ends_loss and kms_ntp_s > state.accept_after_ntp_s):
                self._append(("time", contact.floor_ntp_s, kms_ntp_s))
            elif contact.floor_ntp_s > state.floor_ntp_s:
                self._append(("floor", contact.floor_ntp_s))
            if ends_loss:
                self._append(("told",))
            return contact

    def contains(self, digest: bytes) -> bool:
        """Whether this hash of a signed part has a replay entry, expired or not."""
        with self._locked():
            self._catch_up()
            return digest.hex() in self._state.replays

    def has_room(self, signer: str, *, now_ntp_s: int) -> bool:
        """Whether the record would accept one more entry of this signer."""
        with self._locked():
            self._catch_up()
            return self._room(signer, now_ntp_s)

    def remember(self, digest: bytes, *, signer: str, expires_ntp_s: int, now_ntp_s: int) -> bool:
        """Write a replay entry to the disk. Returns False if it is there already (another process came first).

        `expires_ntp_s` is T + W. Raises RecordFullError without room, RecordError if it can't be written. Only a caller
        that got True may act.
        """
        with self._locked():
            self._catch_up()
            if digest.hex() in self._state.replays:
                return False
            if not self._room(signer, now_ntp_s):
                raise RecordFullError(f"no room for another replay entry of {signer}")
            self._append(("replay", digest.hex(), signer, expires_ntp_s), now_ntp_s=now_ntp_s)
            return True

    def mark(self, name: str) -> int:
        """The highest value recorded for this name; 0 if there is none."""
        with self._locked():
            self._catch_up()
            return self._state.marks.get(name, 0)

    def marks_named(self, prefix: str) -> Mapping[str, int]:
        """All marks whose names begin with this prefix."""
        with self._locked():
            self._catch_up()
            return {name: value for name, value in self._state.marks.items() if name.startswith(prefix)}

    def raise_mark(self, name: str, value: int) -> None:
        """Write a higher value to the disk. Raises RecordError unless it is higher than the last one."""
        with self._locked():
            self._catch_up()
            last = self._state.marks.get(name, 0)
            if value <= last:
                raise RecordError(f"{name}: {value} is not above {last}")
            if name not in self._state.marks and len(self._state.marks) >= MAX_MARKS:
                raise RecordFullError(f"no room for a mark of {name}: {MAX_MARKS} are kept")
            self._append(("mark", name, value))

    def compact(self, *, now_ntp_s: int) -> None:
        """Rewrite the journal without the replay entries whose time is over."""
        with self._locked():
            self._catch_up()
            self._compact(now_ntp_s)

    def _room(self, signer: str, now_ntp_s: int) -> bool:
        self._state.replays.drop_passed(min(self._state.floor_ntp_s, now_ntp_s))
        return self._state.replays.has_room(signer)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the file that has the lock's name now, not of one that was removed meanwhile."""
        handle = -1
        try:
            while True:
                handle = os.open(self._lock_path, os.O_WRONLY | os.O_CREAT, 0o600)
                fcntl.flock(handle, fcntl.LOCK_EX)
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(handle), self._lock_path.stat()):
                        break
                os.close(handle)
                handle = -1
        except OSError as exc:
            if handle >= 0:
                os.close(handle)
            raise RecordError(f"{self._lock_path}: {exc.strerror}") from exc
        try:
            yield
        finally:
            os.close(handle)

    def _load(self, now_ntp_s: int, *, first: bool) -> bool:
        """Read the journal, or start a new one if it can't be read. Returns True if it was read."""
        try:
            self._catch_up()
            readable = self._state.floor_ntp_s > 0
        except RecordError:
            readable = False
        if not readable:
            self._state = RecordState(floor_ntp_s=now_ntp_s, accept_after_ntp_s=0 if first else now_ntp_s)
        if not self._state.born:
            self._compact(now_ntp_s)
        return readable

    def _catch_up(self) -> None:
        """Read the entries added since the last operation, by this process or another one."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size > MAX_RECORD_OCTETS:
                    raise RecordError(f"{self._path}: {status.st_size} octets are no record")
                if status.st_ino == self._inode and self._head and file.read(len(self._head)) == self._head:
                    if status.st_size < self._offset:
                        raise RecordError(f"{self._path}: the record was cut to an older state")
                    file.seek(self._offset)
                    self._read_on(self._state, file.read())
                    return
                file.seek(0)
                octets = file.read()
        except FileNotFoundError:
            raise RecordError(f"{self._path}: the record is gone") from None
        except OSError as exc:
            raise RecordError(f"{self._path}: {exc.strerror}") from exc
        self._adopt(octets, status.st_ino)

    def _adopt(self, octets: bytes, inode: int) -> None:
        """Use another file from now on, if it is a later one of the same record."""
        held, held_offset = self._state, self._offset
        state, self._offset = RecordState(), 0
        try:
            self._read_on(state, octets)
            state.check_succeeds(held)
        except RecordError as exc:
            self._offset = held_offset
            raise RecordError(f"{self._path}: {exc}") from exc
        self._state, self._inode = state, inode
        self._head = octets[: LENGTH_OCTETS + int.from_bytes(octets[:LENGTH_OCTETS])] if state.entries else b""

    def _read_on(self, state: RecordState, tail: bytes) -> None:
        """Add the complete entries of a journal's tail to a state, and move the position behind them."""
        for sealed in whole_entries(tail):
            try:
                entry = entry_of(self._seal.open(sealed, purpose=self._place(state)))
            except (SealError, ValueError) as exc:
                raise RecordError(f"{self._path}: entry {state.entries + 1} can't be read") from exc
            state.apply(entry)
            self._offset += LENGTH_OCTETS + len(sealed)

    def _place(self, state: RecordState) -> str:
        """Associated data that binds an entry to its owner and position: none can be moved or dropped."""
        return f"{self._purpose}, entry {state.entries + 1}"

    def _append(self, entry: Entry, *, now_ntp_s: int | None = None) -> None:
        """Write one entry to the disk, over an incomplete last entry if there is one; then apply it."""
        octets = self._framed(self._state, entry)
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
        self._state.apply(entry)
        if self._state.entries > COMPACT_ABOVE_ENTRIES:
            with contextlib.suppress(RecordError):  # the entry is on disk; a journal that is too long is still right
                self._compact(self._state.floor_ntp_s if now_ntp_s is None else now_ntp_s)

    def _framed(self, state: RecordState, entry: Entry) -> bytes:
        return framed(self._seal.seal(entry_octets(entry), purpose=self._place(state)))

    def _compact(self, now_ntp_s: int) -> None:
        """Write floor, marks and live replay entries to a new journal that takes the place of the old.

        What is in memory changes only when the new journal has its name: a failure leaves both as they were.
        """
        born = self._state.born or secrets.token_hex(BORN_OCTETS)
        state = RecordState()
        frames = []
        for entry in self._state.rewritten(born=born, now_ntp_s=now_ntp_s):
            frames.append(self._framed(state, entry))
            state.apply(entry)
        octets = b"".join(frames)
        try:
            replace_file(self._path, octets)
            inode = self._path.stat().st_ino
        except OSError as exc:
            raise RecordError(f"{self._path}: {exc.strerror}") from exc
        self._state, self._inode, self._offset, self._head = state, inode, len(octets), frames[0]


def _write_whole(handle: int, octets: bytes) -> None:
    while octets:
        octets = octets[os.write(handle, octets) :]
