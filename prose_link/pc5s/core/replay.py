"""What a UE remembers so that no request is worked on twice (PROFILE 2, 6, 10)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Protocol

from prose_link.pc5s.core.buckets import REJECT_AGAIN, Bucket
from security.device.record import REPLAY_ENTRIES, REPLAY_ENTRIES_PER_SIGNER, WINDOW_S, RecordError, RecordFullError
from security.device.record_state import ReplayEntries
from security.device.time_floor import KmsContact, judge_kms_time

__all__ = [
    "REFUSED_RING",
    "REPLAY_ENTRIES",
    "REPLAY_ENTRIES_PER_SIGNER",
    "WINDOW_S",
    "MemoryRecord",
    "Record",
    "RefusedRing",
]

REFUSED_RING: Final = 64
"""Refused requests whose Reject is repeated for the same octets (PROFILE 6, step 11)."""


class Record(Protocol):
    """What lasts: replay entries, the time floor, rising marks. Each change is on disk when the call returns.

    Any of it may raise `security.device.record.RecordError`: then nobody may act.
    `security.device.record.DeviceRecord` is one, `MemoryRecord` another.
    """

    @property
    def time_floor_ntp_s(self) -> int:
        """The last time known to be true; it judges the own clock."""

    @property
    def accept_after_ntp_s(self) -> int:
        """Up to this T a message may have been taken before; 0 with a whole record."""

    @property
    def time_unproven(self) -> bool:
        """Whether the record was lost, and no contact with the home KMS has told the time since."""

    def kms_contact(self, kms_ntp_s: int, *, keys_end_ntp_s: int) -> KmsContact:
        """Take the time of a contact with the home KMS (`security.device.time_floor`)."""

    def raise_floor(self, ntp_s: int) -> None:
        """Move the time floor up; a lower time changes nothing."""

    def contains(self, digest: bytes) -> bool:
        """Whether H(S(I)) has an entry."""

    def has_room(self, signer: str, *, now_ntp_s: int) -> bool:
        """Whether one more entry of this signer would be taken."""

    def remember(self, digest: bytes, *, signer: str, expires_ntp_s: int, now_ntp_s: int) -> bool:
        """Write an entry until T + W, kept W longer; False if there is one already. Raises RecordFullError."""

    def mark(self, name: str) -> int:
        """The highest value ever raised for a name (group epochs, T of groups, PTK IDs); 0 if none."""

    def marks_named(self, prefix: str) -> Mapping[str, int]:
        """All marks whose names begin so."""

    def raise_mark(self, name: str, value: int) -> None:
        """Write a higher value; raises RecordError unless it is higher."""


class MemoryRecord:
    """A record that doesn't last: for tests, and for UEs that are meant to forget."""

    def __init__(self, *, floor_ntp_s: int = 0, accept_after_ntp_s: int = 0) -> None:
        self._floor_ntp_s = floor_ntp_s
        self._accept_after_ntp_s = accept_after_ntp_s
        self._time_told = False
        self._replays = ReplayEntries()
        self._marks: dict[str, int] = {}

    @property
    def time_floor_ntp_s(self) -> int:
        """The last time known to be true."""
        return self._floor_ntp_s

    @property
    def accept_after_ntp_s(self) -> int:
        """Up to this T a message may have been taken before; 0 with a whole record."""
        return self._accept_after_ntp_s

    @property
    def time_unproven(self) -> bool:
        """Whether the record was lost, and no contact with the home KMS has told the time since."""
        return self._accept_after_ntp_s > 0 and not self._time_told

    def raise_floor(self, ntp_s: int) -> None:
        """Move the time floor up; a lower time changes nothing."""
        self._floor_ntp_s = max(self._floor_ntp_s, ntp_s)

    def kms_contact(self, kms_ntp_s: int, *, keys_end_ntp_s: int) -> KmsContact:
        """Take the time of a contact with the home KMS."""
        contact = judge_kms_time(self._floor_ntp_s, kms_ntp_s, keys_end_ntp_s=keys_end_ntp_s)
        self._floor_ntp_s = contact.floor_ntp_s
        if contact.lowered:
            self._accept_after_ntp_s = kms_ntp_s
        elif self.time_unproven:
            self._accept_after_ntp_s = max(self._accept_after_ntp_s, kms_ntp_s)
        self._time_told = True
        return contact

    def contains(self, digest: bytes) -> bool:
        """Whether H(S(I)) has an entry."""
        return digest.hex() in self._replays

    def has_room(self, signer: str, *, now_ntp_s: int) -> bool:
        """Whether one more entry of this signer would be taken."""
        self._replays.drop_passed(min(self._floor_ntp_s, now_ntp_s))
        return self._replays.has_room(signer)

    def remember(self, digest: bytes, *, signer: str, expires_ntp_s: int, now_ntp_s: int) -> bool:
        """Write an entry; False if there is one already; raises RecordFullError without room."""
        if digest.hex() in self._replays:
            return False
        if not self.has_room(signer, now_ntp_s=now_ntp_s):
            raise RecordFullError(f"no room for another replay entry of {signer}")
        self._replays.add(digest.hex(), signer, expires_ntp_s)
        return True

    def mark(self, name: str) -> int:
        """The highest value ever raised for a name; 0 if none."""
        return self._marks.get(name, 0)

    def marks_named(self, prefix: str) -> Mapping[str, int]:
        """All marks whose names begin so."""
        return {name: value for name, value in self._marks.items() if name.startswith(prefix)}

    def raise_mark(self, name: str, value: int) -> None:
        """Keep a higher value; raises RecordError unless it is higher."""
        if value <= self.mark(name):
            raise RecordError(f"{name}: {value} is not above {self.mark(name)}")
        self._marks[name] = value

    def __len__(self) -> int:
        return len(self._replays)


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

    def take_repeat(self, request_hash: bytes, now_s: float) -> bool:
        """Count the Reject as sent once more; False if it must not be yet."""
        bucket = self._buckets.get(request_hash)
        if bucket is None:
            bucket = self._buckets[request_hash] = Bucket(REJECT_AGAIN, now_s)
        return bucket.take(now_s)

    def reject_for(self, request_hash: bytes) -> bytes | None:
        """The Reject this request got, None if it isn't known."""
        return self._rejects.get(request_hash)
