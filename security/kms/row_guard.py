"""The state of a KMS's tagged rows (`row_tags`) in one process: the tree, checked buckets, heads of audit streams.

A process never goes back: a root older than one that it has seen is an error (`guarded_rows`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from security.kms.audit import AuditHead
from security.kms.row_tags import Entries, Heads, Root, RowKey

MAX_CACHED_ENTRIES: Final = 100_000


class RootLock(StrEnum):
    """The lock that a transaction holds on the root."""

    NONE = "none"
    """Not at all: it reads one moment's snapshot."""
    SHARED = "shared"
    """No change of any row meanwhile."""
    OWN = "own"
    """It may change rows; no other process does meanwhile."""


class RowGuard:
    """The knowledge of one process about a database's tree of tags. Threads may share it."""

    def __init__(
        self, key: RowKey, *, seen: Root | None = None, seen_streams: Mapping[str, AuditHead] | None = None
    ) -> None:
        self.key = key
        self._lock = threading.Lock()
        self._seen = seen
        self._heads: Heads | None = None
        self._streams = dict(seen_streams or {})
        self._contents: OrderedDict[int, tuple[int, Entries]] = OrderedDict()
        self._cached = 0
        self._tables: dict[str, tuple[tuple[int, str], Mapping[Any, Any]]] = {}

    def state(self) -> tuple[Root | None, Heads | None]:
        """The newest root seen, and the tree as this process knows it."""
        with self._lock:
            return self._seen, self._heads

    def publish(self, heads: Heads, contents: Mapping[int, Entries] | None = None) -> None:
        """Store a tree that was read, or written and committed."""
        root = heads.root(self.key)
        with self._lock:
            if self._heads is None or heads.version > self._heads.version:
                self._heads = heads
            if self._seen is None or root.version > self._seen.version:
                self._seen = root
        for number, entries in (contents or {}).items():
            head = heads.bucket(number)
            if head is not None:
                self.keep(number, head[0], entries)

    def stream_seen(self, stream: str) -> AuditHead | None:
        """The longest state of an audit stream that was seen."""
        with self._lock:
            return self._streams.get(stream)

    def streams(self) -> dict[str, AuditHead]:
        """The longest state of every audit stream that was seen."""
        with self._lock:
            return dict(self._streams)

    def publish_streams(self, heads: Mapping[str, AuditHead]) -> None:
        """Store heads of audit streams that were written and committed."""
        with self._lock:
            for stream, head in heads.items():
                if stream not in self._streams or head.count > self._streams[stream].count:
                    self._streams[stream] = head

    def content(self, table: str, head: tuple[int, str] | None) -> Mapping[Any, Any] | None:
        """The content of a table from `keep_content`, if its bucket's head is still the same."""
        with self._lock:
            held = self._tables.get(table)
        return held[1] if held is not None and held[0] == head else None

    def keep_content(self, table: str, head: tuple[int, str] | None, content: Mapping[Any, Any]) -> None:
        """Keep the content of a whole table, as of its bucket's head."""
        if head is not None:
            with self._lock:
                self._tables[table] = (head, content)

    def kept(self, number: int, version: int) -> Entries | None:
        """A bucket's entries as checked earlier, if they are of that version."""
        with self._lock:
            held = self._contents.get(number)
            if held is None or held[0] != version:
                return None
            self._contents.move_to_end(number)
            return held[1]

    def keep(self, number: int, version: int, entries: Entries) -> None:
        """Keep a checked bucket for the next lookup; the longest unused ones go."""
        with self._lock:
            before = self._contents.pop(number, None)
            self._cached += _size(entries) - (_size(before[1]) if before else 0)
            self._contents[number] = (version, entries)
            while self._cached > MAX_CACHED_ENTRIES and len(self._contents) > 1:
                _, (_, gone) = self._contents.popitem(last=False)
                self._cached -= _size(gone)


def _size(entries: Entries) -> int:
    return sum(len(rows) for rows in entries.values())
