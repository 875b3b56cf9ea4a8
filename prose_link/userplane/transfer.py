"""A bulk transfer over UDP that survives loss: chunks, a poll, a map of what is missing, and a hash of the whole.

The sender offers a transfer (length and SHA-256), sends all chunks, and polls. The receiver answers a poll with a map
of the chunks it lacks; the sender sends those and polls again, until nothing is missing and the hash agrees. A poll
that is not answered is repeated ever more slowly, a bounded number of times. Nothing is acknowledged in between, so on
a half-duplex link the receiver stays silent while it hears. Lengths and numbers are bounded before memory is taken.

Sans-IO: datagrams in, datagrams out, time passed in. One sender and one receiver for each transfer.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from prose_link.instant import Instant
from prose_link.userplane.events import TransferEvent, TransferFailed, TransferReceived, TransferSent
from prose_link.userplane.ipv6 import PacketError

TRANSFER_PORT = 5005
CHUNK_OCTETS = 1184
"""Data octets in a chunk: 40 (IPv6) + 8 (UDP) + 7 (chunk header) + data stays below the IPv6 minimum MTU of 1280."""
FIRST_POLL_TIMEOUT_S, LONGEST_POLL_TIMEOUT_S = 0.3, 2.0
"""An unanswered poll is sent again after so long, after twice as long each further time."""
POLL_TRIES = 20
MAX_TRANSFER_OCTETS = 64 * 1024 * 1024
_OFFER, _CHUNK, _POLL, _STATE = 1, 2, 3, 4
_HEAD = struct.Struct("!BH")
_OFFER_BODY = struct.Struct("!I32s")
_CHUNK_BODY = struct.Struct("!I")
_STATE_BODY = struct.Struct("!B")
_UNKNOWN, _INCOMPLETE, _COMPLETE, _CORRUPT = 0, 1, 2, 3


class TransferSender:
    """Pushes one block of octets to a peer.

    `take_datagrams` hands out what may go out now; `receive` takes the peer's answers; `handle_timer` polls anew.
    """

    def __init__(self, transfer_id: int, content: bytes, now: Instant) -> None:
        self.transfer_id = transfer_id
        self.event: TransferEvent | None = None
        self._content = content
        self._digest = hashlib.sha256(content).digest()
        self._pending = list(range(_n_chunks(len(content))))
        self._offer_due = True
        self._poll_due = True
        self._tries_left = POLL_TRIES
        self._timeout_s = FIRST_POLL_TIMEOUT_S
        self._timer_s: float | None = None
        self._chunks_sent = 0
        self._started_s = now.mono_s

    def take_datagrams(self, room: int, now: Instant) -> list[bytes]:
        """Hand out up to `room` datagrams that may be sent now."""
        out: list[bytes] = []
        if self.event is not None:
            return out
        if self._offer_due and room > 0:
            out.append(self._head(_OFFER) + _OFFER_BODY.pack(len(self._content), self._digest))
            self._offer_due = False
        n_chunks = max(0, min(room - len(out), len(self._pending)))
        out += [self._chunk(index) for index in self._pending[:n_chunks]]
        del self._pending[:n_chunks]
        self._chunks_sent += n_chunks
        if self._poll_due and not self._pending and len(out) < room:
            out.append(self._head(_POLL))
            self._poll_due = False
            self._timer_s = now.mono_s + self._timeout_s
        return out

    @property
    def pending_octets(self) -> int:
        """Octets that are to be sent as soon as there is room, near enough."""
        return len(self._pending) * CHUNK_OCTETS if self.event is None else 0

    def next_timer(self) -> float | None:
        """When the answer to a poll is overdue, None if none is awaited."""
        return self._timer_s if self.event is None else None

    def handle_timer(self, now: Instant) -> None:
        """Poll anew where an answer is overdue, or give up."""
        if self.event is None and self._timer_s is not None and now.mono_s >= self._timer_s:
            self._on_timeout()

    def receive(self, datagram: bytes, now: Instant) -> None:
        """Take a STATE; anything else is ignored."""
        kind, transfer_id, body = _split(datagram)
        if kind != _STATE or transfer_id != self.transfer_id or self.event is not None or len(body) < 1:
            return
        status, received = body[0], body[1:]
        self._tries_left = POLL_TRIES
        self._timeout_s = FIRST_POLL_TIMEOUT_S
        self._timer_s = None
        if status == _COMPLETE:
            self.event = TransferSent(
                transfer_id=self.transfer_id,
                octets=len(self._content),
                sha256=self._digest.hex(),
                chunks_sent=self._chunks_sent,
                started_s=self._started_s,
                finished_s=now.mono_s,
            )
        elif status == _CORRUPT:
            self.event = TransferFailed(transfer_id=self.transfer_id, why="the receiver's hash does not agree")
        else:
            self._offer_due = status == _UNKNOWN
            self._pending = [i for i in range(_n_chunks(len(self._content))) if not _bit(received, i)]
            self._poll_due = True

    def _on_timeout(self) -> None:
        self._timer_s = None
        self._timeout_s = min(2 * self._timeout_s, LONGEST_POLL_TIMEOUT_S)
        self._tries_left -= 1
        self._poll_due = True
        if self._tries_left == 0:
            self.event = TransferFailed(transfer_id=self.transfer_id, why=f"no answer to {POLL_TRIES} polls")

    def _head(self, kind: int) -> bytes:
        return _HEAD.pack(kind, self.transfer_id)

    def _chunk(self, index: int) -> bytes:
        start = index * CHUNK_OCTETS
        return self._head(_CHUNK) + _CHUNK_BODY.pack(index) + self._content[start : start + CHUNK_OCTETS]


class TransferReceiver:
    """Takes one offered block of octets; answers polls with what has arrived."""

    def __init__(self, transfer_id: int) -> None:
        self.transfer_id = transfer_id
        self.event: TransferEvent | None = None
        self.content = b""
        self._octets: int | None = None
        self._digest = b""
        self._chunks: dict[int, bytes] = {}
        self._started_s = 0.0

    def receive(self, datagram: bytes, now: Instant) -> list[bytes]:
        """Take one datagram; returns the datagrams to answer with."""
        kind, transfer_id, body = _split(datagram)
        if transfer_id != self.transfer_id:
            return []
        if kind == _OFFER:
            self._take_offer(body, now)
        elif kind == _CHUNK:
            self._take_chunk(body)
        elif kind == _POLL:
            return [self._state(now)]
        return []

    def _take_offer(self, body: bytes, now: Instant) -> None:
        if len(body) != _OFFER_BODY.size or self._octets is not None:
            return
        octets, digest = _OFFER_BODY.unpack(body)
        if octets <= MAX_TRANSFER_OCTETS:
            self._octets, self._digest, self._started_s = octets, digest, now.mono_s

    def _take_chunk(self, body: bytes) -> None:
        if self._octets is None or len(body) < _CHUNK_BODY.size:
            return
        (index,) = _CHUNK_BODY.unpack_from(body)
        data = body[_CHUNK_BODY.size :]
        if index < _n_chunks(self._octets) and len(data) == min(CHUNK_OCTETS, self._octets - index * CHUNK_OCTETS):
            self._chunks.setdefault(index, data)

    def _state(self, now: Instant) -> bytes:
        head = _HEAD.pack(_STATE, self.transfer_id)
        if self._octets is None:
            return head + _STATE_BODY.pack(_UNKNOWN)
        total = _n_chunks(self._octets)
        if len(self._chunks) < total:
            received = bytearray((total + 7) // 8)
            for index in self._chunks:
                received[index // 8] |= 1 << index % 8
            return head + _STATE_BODY.pack(_INCOMPLETE) + bytes(received)
        return head + _STATE_BODY.pack(_COMPLETE if self._finish(now) else _CORRUPT)

    def _finish(self, now: Instant) -> bool:
        if self.event is None:
            self.content = b"".join(self._chunks[i] for i in range(len(self._chunks)))
            digest = hashlib.sha256(self.content).digest()
            if hmac.compare_digest(digest, self._digest):
                self.event = TransferReceived(
                    transfer_id=self.transfer_id,
                    octets=len(self.content),
                    sha256=digest.hex(),
                    started_s=self._started_s,
                    finished_s=now.mono_s,
                )
            else:
                self.event = TransferFailed(transfer_id=self.transfer_id, why="the content's hash does not agree")
        return isinstance(self.event, TransferReceived)


def transfer_id_of(datagram: bytes) -> int:
    """The transfer a datagram belongs to. Raises PacketError where it is too short to tell."""
    return _split(datagram)[1]


def is_from_sender(datagram: bytes) -> bool:
    """Whether a datagram is one that a sender sends (offer, chunk, poll)."""
    return _split(datagram)[0] in (_OFFER, _CHUNK, _POLL)


def _split(datagram: bytes) -> tuple[int, int, bytes]:
    if len(datagram) < _HEAD.size:
        raise PacketError(f"a transfer datagram of {len(datagram)} octets has no header")
    kind, transfer_id = _HEAD.unpack_from(datagram)
    return kind, transfer_id, datagram[_HEAD.size :]


def _n_chunks(octets: int) -> int:
    return -(-octets // CHUNK_OCTETS)


def _bit(bitmap: bytes, index: int) -> bool:
    return index // 8 < len(bitmap) and bool(bitmap[index // 8] >> index % 8 & 1)
