"""The memory by which a UE works on no request twice (PROFILE 2, 6, 10).

Two stores hold it. The *record* lasts: it is on disk, one for all processes and carriers of a device. It holds a replay
entry for each request that passed its verification, the time floor, and marks that only rise. An entry is written
before the UE acts on the request, so that a restart can't make it new. The *ring of refused requests* is in memory: it
keeps the Rejects of the last refused requests, so that the same octets get the same answer without another
verification.
"""

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
"""Most refused requests that are remembered; the same octets get the same Reject again (PROFILE 6, step 11)."""


class Record(Protocol):
    """The lasting record: replay entries, the time floor, rising marks. Each change is on disk when the call returns.

    Every method may raise `security.device.record.RecordError`; the caller must then not act on the message.
    `security.device.record.DeviceRecord` is one implementation, `MemoryRecord` another.
    """

    @property
    def time_floor_ntp_s(self) -> int:
        """The last time known to be true; it judges the own clock."""

    @property
    def accept_after_ntp_s(self) -> int:
        """A message with T up to this time may have been accepted before; 0 with a complete record."""

    @property
    def time_unproven(self) -> bool:
        """Whether the record was lost, and the home KMS has not given the time since."""

    def kms_contact(self, kms_ntp_s: int, *, keys_end_ntp_s: int) -> KmsContact:
        """Take the time of a contact with the home KMS (`security.device.time_floor`)."""

    def raise_floor(self, ntp_s: int) -> None:
        """Raise the time floor; a lower time changes nothing."""

    def contains(self, digest: bytes) -> bool:
        """Whether H(S(I)) has an entry."""

    def has_room(self, signer: str, *, now_ntp_s: int) -> bool:
        """Whether the record would accept one more entry of this signer."""

    def remember(self, digest: bytes, *, signer: str, expires_ntp_s: int, now_ntp_s: int) -> bool:
        """Write an entry until T + W, kept W longer.

        Returns False if there is one already. Raises RecordFullError.
        """

    def mark(self, name: str) -> int:
        """The highest value recorded for a name (group epochs, T of groups, PTK IDs); 0 if there is none."""

    def marks_named(self, prefix: str) -> Mapping[str, int]:
        """All marks whose names begin with this prefix."""

    def raise_mark(self, name: str, value: int) -> None:
        """Write a higher value. Raises RecordError unless it is higher."""


class MemoryRecord:
    """A record in memory only: for tests, and for UEs that may forget."""

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
        """A message with T up to this time may have been accepted before; 0 with a complete record."""
        return self._accept_after_ntp_s

    @property
    def time_unproven(self) -> bool:
        """Whether the record was lost, and the home KMS has not given the time since."""
        return self._accept_after_ntp_s > 0 and not self._time_told

    def raise_floor(self, ntp_s: int) -> None:
        """Raise the time floor; a lower time changes nothing."""
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
        """Whether the record would accept one more entry of this signer."""
        self._replays.drop_passed(min(self._floor_ntp_s, now_ntp_s))
        return self._replays.has_room(signer)

    def remember(self, digest: bytes, *, signer: str, expires_ntp_s: int, now_ntp_s: int) -> bool:
        """Write an entry. Returns False if there is one already. Raises RecordFullError without room."""
        if digest.hex() in self._replays:
            return False
        if not self.has_room(signer, now_ntp_s=now_ntp_s):
            raise RecordFullError(f"no room for another replay entry of {signer}")
        self._replays.add(digest.hex(), signer, expires_ntp_s)
        return True

    def mark(self, name: str) -> int:
        """The highest value recorded for a name; 0 if there is none."""
        return self._marks.get(name, 0)

    def marks_named(self, prefix: str) -> Mapping[str, int]:
        """All marks whose names begin with this prefix."""
        return {name: value for name, value in self._marks.items() if name.startswith(prefix)}

    def raise_mark(self, name: str, value: int) -> None:
        """Keep a higher value. Raises RecordError unless it is higher."""
        if value <= self.mark(name):
            raise RecordError(f"{name}: {value} is not above {self.mark(name)}")
        self._marks[name] = value

    def __len__(self) -> int:
        return len(self._replays)


class RefusedRing:
    """The Rejects of the last refused requests, by HR: the same octets get the same answer without verification.

    Any sender can send copies of a request. So each Reject has a bucket of its own, and copies can't make this UE fill
    the air.
    """

    def __init__(self, size: int = REFUSED_RING) -> None:
        self._size = size
        self._rejects: OrderedDict[bytes, bytes] = OrderedDict()
        self._buckets: dict[bytes, Bucket] = {}

    def add(self, request_hash: bytes, reject: bytes) -> None:
        """Remember the Reject octets of a request; the oldest entry is dropped when it is full."""
        self._rejects[request_hash] = reject
        if len(self._rejects) > self._size:
            oldest, _ = self._rejects.popitem(last=False)
            self._buckets.pop(oldest, None)

    def take_repeat(self, request_hash: bytes, now_s: float) -> bool:
        """Count one more transmission of the Reject. Returns False if it is too early for it."""
        bucket = self._buckets.get(request_hash)
        if bucket is None:
            bucket = self._buckets[request_hash] = Bucket(REJECT_AGAIN, now_s)
        return bucket.take(now_s)

    def reject_for(self, request_hash: bytes) -> bytes | None:
        """The Reject that this request got; None if it isn't known."""
        return self._rejects.get(request_hash)
