"""The contents of a device's record: the entries of its journal, and the state that results from them. No files here.

A journal is a list of entries. The first one identifies the file: the record to which it belongs (`born`, random), and
the number of the file in that record (`generation`). Every rewriting makes the next generation. So a process that read
an older file can distinguish a new file from it, whatever inode the file system gives it.

Replay entries are kept for T + 2 W, W being the largest difference of T from the clock. Callers pass T + W, after which
no right clock accepts the message; the record adds the second W. An entry is dropped only when the time floor has
passed it: T >= clock - W >= floor - 2 W holds for all accepted messages, so a message whose entry was dropped can't be
accepted again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from security.errors import SecurityError

WINDOW_S: Final = 300
"""W: largest difference of T from the clock, past and future (PROFILE 2)."""
REPLAY_ENTRIES: Final = 4096
"""Replay cache size of the `identity` profile (PROFILE 2)."""
REPLAY_ENTRIES_PER_SIGNER: Final = 256
"""Replay entries one signer may hold (PROFILE 2)."""
MAX_MARKS: Final = 4096
LENGTH_OCTETS: Final = 4
MAX_ENTRY_OCTETS: Final = 4096

Entry = (
    tuple[Literal["generation"], int, str]
    | tuple[Literal["time"], int, int]
    | tuple[Literal["floor"], int]
    | tuple[Literal["told"]]
    | tuple[Literal["mark"], str, int]
    | tuple[Literal["replay"], str, str, int]
)


class RecordError(SecurityError):
    """The record can't be written, or the request is not allowed."""


class RecordFullError(RecordError):
    """No room for another replay entry; entries are never evicted before they expire."""


@dataclass(slots=True, kw_only=True)
class ReplayEntries:
    """Hashes of signed parts, each with its signer and T + W; bounded in all and for each signer, never evicted."""

    _entries: dict[str, tuple[str, int]] = field(default_factory=dict)
    _held_by: Counter[str] = field(default_factory=Counter)

    def __contains__(self, digest: str) -> bool:
        return digest in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[str, str, int]]:
        return ((digest, signer, expires) for digest, (signer, expires) in self._entries.items())

    def add(self, digest: str, signer: str, expires_ntp_s: int) -> None:
        """Keep an entry; an existing digest stays as it is."""
        if digest not in self._entries:
            self._entries[digest] = (signer, expires_ntp_s)
            self._held_by[signer] += 1

    def has_room(self, signer: str) -> bool:
        """Whether one more entry of this signer may be kept."""
        return len(self._entries) < REPLAY_ENTRIES and self._held_by[signer] < REPLAY_ENTRIES_PER_SIGNER

    def drop_passed(self, floor_ntp_s: int) -> None:
        """Drop the entries that a time floor has passed."""
        for digest, (signer, expires_ntp_s) in list(self._entries.items()):
            if expires_ntp_s + WINDOW_S < floor_ntp_s:
                del self._entries[digest]
                self._held_by[signer] -= 1
                if not self._held_by[signer]:
                    del self._held_by[signer]


@dataclass(slots=True, kw_only=True)
class RecordState:
    """The result of a journal's entries. `entries` counts them: an entry is bound to its position.

    `time_told`: the home KMS has given the time since the record was lost.
    """

    entries: int = 0
    generation: int = 0
    born: str = ""
    floor_ntp_s: int = 0
    accept_after_ntp_s: int = 0
    time_told: bool = False
    marks: dict[str, int] = field(default_factory=dict)
    replays: ReplayEntries = field(default_factory=ReplayEntries)

    def apply(self, entry: tuple[object, ...]) -> None:
        """Apply an `Entry`. Raises RecordError for anything else, or for a generation that is not the first entry."""
        match entry:
            case ("generation", int() as number, str() as born) if self.entries == 0:
                self.generation, self.born = number, born
            case ("time", int() as floor_ntp_s, int() as accept_after_ntp_s):
                self.floor_ntp_s, self.accept_after_ntp_s = floor_ntp_s, accept_after_ntp_s
            case ("floor", int() as ntp_s):
                self.floor_ntp_s = max(self.floor_ntp_s, ntp_s)
            case ("told",):
                self.time_told = True
            case ("mark", str() as name, int() as value):
                self.marks[name] = max(self.marks.get(name, 0), value)
            case ("replay", str() as digest, str() as signer, int() as expires_ntp_s):
                self.replays.add(digest, signer, expires_ntp_s)
            case _:
                raise RecordError("an entry of no known kind")
        self.entries += 1

    def rewritten(self, *, born: str, now_ntp_s: int) -> list[Entry]:
        """The entries of the next file: all except replay entries whose time is over."""
        self.replays.drop_passed(min(self.floor_ntp_s, now_ntp_s))
        entries: list[Entry] = [
            ("generation", self.generation + 1, born),
            ("time", self.floor_ntp_s, self.accept_after_ntp_s),
        ]
        if self.time_told:
            entries.append(("told",))
        entries += [("mark", name, value) for name, value in self.marks.items()]
        entries += [("replay", digest, signer, expires) for digest, signer, expires in self.replays]
        return entries

    def check_succeeds(self, held: RecordState) -> None:
        """Raise RecordError unless this is a later file of the record that `held` was read from."""
        if held.born and self.born != held.born:
            raise RecordError("another record took its place")
        if self.generation <= held.generation and held.entries:
            raise RecordError("an older copy of the record took its place")


def entry_octets(entry: Entry) -> bytes:
    """An entry in the form that is sealed."""
    return json.dumps(entry, separators=(",", ":")).encode()


def entry_of(octets: bytes) -> tuple[object, ...]:
    """The entry in unsealed octets. Raises ValueError for anything but a JSON list."""
    entry = json.loads(octets)
    if not isinstance(entry, list):
        raise ValueError("not a list")
    return tuple(entry)


def framed(sealed: bytes) -> bytes:
    """A sealed entry with its length in front. Raises RecordError if it is too long."""
    if len(sealed) > MAX_ENTRY_OCTETS:
        raise RecordError(f"an entry of {len(sealed)} octets; at most {MAX_ENTRY_OCTETS}")
    return len(sealed).to_bytes(LENGTH_OCTETS) + sealed


def whole_entries(octets: bytes) -> Iterator[bytes]:
    """The sealed entries of a journal, without one that a crash cut short.

    Raises RecordError for impossible lengths.
    """
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
