"""What a UE remembers so that no request is worked on twice (PROFILE 2, 6, 10)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Protocol

from prose_link.pc5s.buckets import REJECT_AGAIN, Bucket
from security.record import REPLAY_ENTRIES, REPLAY_ENTRIES_PER_SIGNER, RecordError, RecordFullError

WINDOW_S: Final = 300
"""W: how far T may lie from the clock, past and future (PROFILE 2)."""
REFUSED_RING: Final = 64
"""Refused requests whose Reject is repeated for the same octets (PROFILE 6, step 11)."""


class Record(Protocol):
    """What lasts: replay entries, the time floor, rising marks. Each change is on disk when the call returns.

    Any of it may raise `security.record.RecordError`: then nobody may act. `security.record.DeviceRecord` is one,
    `MemoryRecord` another.
    """

    @property
    def time_floor_ntp_s(self) -> int:
        """The last time known to be true."""

    def raise_floor(self, ntp_s: int) -> None:
        """Move the time floor up; a lower time changes nothing."""

    def contains(self, digest: bytes) -> bool:
        """Whether H(S(I)) has an entry."""

    def has_room(self, signer: str, *, now_ntp_s: int) -> bool:
        """Whether one more entry of this signer would be taken."""

    def remember(self, digest: bytes, *, signer: str, expires_ntp_s: int, now_ntp_s: int) -> bool:
        """Write an entry; False if there is one already. Raises RecordFullError without room."""

    def mark(self, name: str) -> int:
        """The highest value ever raised for a name (group epochs, T of groups, PTK IDs); 0 if none."""

    def raise_mark(self, name: str, value: int) -> None:
        """Write a higher value; raises RecordError unless it is higher."""


class MemoryRecord:
    """A record that doesn't last: for tests, and for UEs that are meant to forget."""

    def __init__(self, *, floor_ntp_s: int = 0) -> None:
        self._floor_ntp_s = floor_ntp_s
        self._entries: dict[bytes, tuple[str, int]] = {}
        self._marks: dict[str, int] = {}

    @property
    def time_floor_ntp_s(self) -> int:
        """The last time known to be true."""
        return self._floor_ntp_s

    def raise_floor(self, ntp_s: int) -> None:
        """Move the time floor up; a lower time changes nothing."""
        self._floor_ntp_s = max(self._floor_ntp_s, ntp_s)

    def contains(self, digest: bytes) -> bool:
        """Whether H(S(I)) has an entry."""
        return digest in self._entries

    def has_room(self, signer: str, *, now_ntp_s: int) -> bool:
        """Whether one more entry of this signer would be taken."""
        self._entries = {key: value for key, value in self._entries.items() if value[1] >= now_ntp_s}
        own = sum(entry_signer == signer for entry_signer, _ in self._entries.values())
        return len(self._entries) < REPLAY_ENTRIES and own < REPLAY_ENTRIES_PER_SIGNER

    def remember(self, digest: bytes, *, signer: str, expires_ntp_s: int, now_ntp_s: int) -> bool:
        """Write an entry; False if there is one already; raises RecordFullError without room."""
        if digest in self._entries:
            return False
        if not self.has_room(signer, now_ntp_s=now_ntp_s):
            raise RecordFullError(f"no room for another replay entry of {signer}")
        self._entries[digest] = (signer, expires_ntp_s)
        return True

    def mark(self, name: str) -> int:
        """The highest value ever raised for a name; 0 if none."""
        return self._marks.get(name, 0)

    def raise_mark(self, name: str, value: int) -> None:
        """Keep a higher value; raises RecordError unless it is higher."""
        if value <= self.mark(name):
            raise RecordError(f"{name}: {value} is not above {self.mark(name)}")
        self._marks[name] = value

    def __len__(self) -> int:
        return len(self._entries)


class RefusedRing:
    """The Rejects of the last refused requests, by HR: the same octets get the same answer, and nothing is verified.

    Copies that anybody sends don't make this UE fill the air: each Reject has a bucket of its own.
    """

    def __init__(self, size: int = REFUSED_RING) -> None:
        self._size = size
        self._rejects: OrderedDict[bytes, bytes] = OrderedDict()
        self._buckets: dict[bytes, Bucket] = {}

    def add(self, request_hash: bytes, reject: bytes) -> None:
        """Remember the Reject octets of a request; the oldest makes room."""
        self._rejects[request_hash] = reject
        if len(self._rejects) > self._size:
            oldest, _ = self._rejects.popitem(last=False)
            self._buckets.pop(oldest, None)

    def may_repeat(self, request_hash: bytes, now_s: float) -> bool:
        """Whether the Reject may go out once more; if so, it counts as sent."""
        bucket = self._buckets.get(request_hash)
        if bucket is None:
            bucket = self._buckets[request_hash] = Bucket(REJECT_AGAIN, now_s)
        if not bucket.has_token(now_s):
            return False
        bucket.take()
        return True

    def reject_for(self, request_hash: bytes) -> bytes | None:
        """The Reject this request got, None if it isn't known."""
        return self._rejects.get(request_hash)
