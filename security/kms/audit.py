"""The audit log: every extraction and every order is one signed line that names the hash of the line before it.

The log is made of streams: the main one, and one for each serving worker, so that workers don't wait for each other. A
line belongs to one stream and says so. The main stream holds the opening of every other stream and, at intervals, its
count and last hash. A removed, reordered or altered line breaks its chain; lines cut from the end are found by the
count kept apart and by the main stream's checkpoints, and for certain by comparing with a head hash noted elsewhere.
The log holds no keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from security.kms_wire.errors import AuditError

GENESIS_HASH: Final = "0" * 64
SIGNING_LABEL: Final = b"pc5lab kms audit v2 "
MAIN_STREAM: Final = "main"
OPEN_STREAM: Final = "open-stream"
CHECKPOINT: Final = "checkpoint"

Detail = Mapping[str, str | int | bool | list[int] | list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """The content of a line. `at` is UTC as ISO 8601."""

    at: str
    actor: str
    action: str
    subject: str
    detail: Detail


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """The number of lines of a stream, and the hash of the last one."""

    stream: str = MAIN_STREAM
    count: int = 0
    hash_hex: str = GENESIS_HASH


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """The heads of a complete log, the main stream's first.

    `key_hex`, `key_from`: the verifying key and its source. `rows`: number of tagged rows that were checked.
    """

    heads: tuple[AuditHead, ...]
    key_hex: str = ""
    key_from: str = ""
    rows: int | None = None

    @property
    def count(self) -> int:
        """Lines in all streams."""
        return sum(head.count for head in self.heads)

    @property
    def hash_hex(self) -> str:
        """Hash of the main stream's last line, to be noted in another place."""
        return self.heads[0].hash_hex


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One line as stored: canonical JSON and an Ed25519 signature over it (hex)."""

    text: str
    signature_hex: str

    @property
    def hash_hex(self) -> str:
        """SHA-256 of the line, hex, which the next line names."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def fields(self) -> dict[str, object]:
        """The line's content; raises AuditError if it is not one JSON object."""
        try:
            fields = json.loads(self.text)
        except (ValueError, RecursionError) as exc:
            raise AuditError("a line is not JSON") from exc
        if not isinstance(fields, dict):
            raise AuditError("a line is not a JSON object")
        return fields


def next_line(head: AuditHead, entry: AuditEntry, *, key: Ed25519PrivateKey) -> tuple[AuditLine, AuditHead]:
    """The line that follows `head` in its stream, signed, and the head after it."""
    fields = {
        "stream": head.stream,
        "seq": head.count + 1,
        "previous": head.hash_hex,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "detail": dict(entry.detail),
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    line = AuditLine(text=text, signature_hex=key.sign(SIGNING_LABEL + text.encode()).hex())
    return line, AuditHead(stream=head.stream, count=head.count + 1, hash_hex=line.hash_hex)


class StreamCheck:
    """Checks one stream's lines as they come, and collects the main stream's entries about the others."""

    def __init__(self, stream: str, *, key: Ed25519PublicKey) -> None:
        self._key = key
        self._head = AuditHead(stream=stream)
        self.opened: set[str] = set()
        self.checkpoints: dict[str, dict[int, str]] = {}

    def take(self, line: AuditLine) -> AuditHead:
        """Check one line's signature, stream, number and link. Returns the head after it; raises AuditError."""
        place = self._place(self._head.count + 1)
        try:
            self._key.verify(bytes.fromhex(line.signature_hex), SIGNING_LABEL + line.text.encode())
        except (InvalidSignature, ValueError) as exc:
            raise AuditError(f"{place}: altered (its signature does not verify)") from exc
        fields = line.fields
        if fields.get("stream") != self._head.stream:
            raise AuditError(f"{place}: belongs to stream {fields.get('stream')}")
        if fields.get("seq") != self._head.count + 1:
            raise AuditError(f"{place}: carries number {fields.get('seq')}; a line was removed or moved")
        if fields.get("previous") != self._head.hash_hex:
            raise AuditError(f"{place}: does not follow the line before it")
        self._head = AuditHead(stream=self._head.stream, count=self._head.count + 1, hash_hex=line.hash_hex)
        if self._head.stream == MAIN_STREAM:
            self._note(fields)
        return self._head

    def end(self, kept_count: int | None) -> AuditHead:
        """The head at the end of the stream; raises AuditError if another number of lines was written."""
        if kept_count is not None and self._head.count != kept_count:
            raise AuditError(
                f"audit stream {self._head.stream}: {self._head.count} lines found, {kept_count} were written; "
                f"the end was cut"
            )
        return self._head

    def _place(self, number: int) -> str:
        return f"audit stream {self._head.stream}, line {number}"

    def _note(self, fields: Mapping[str, object]) -> None:
        subject, detail = str(fields.get("subject")), fields.get("detail")
        if fields.get("action") == OPEN_STREAM:
            self.opened.add(subject)
        elif fields.get("action") == CHECKPOINT and isinstance(detail, dict):
            self.checkpoints.setdefault(subject, {})[detail["lines"]] = detail["hash"]


def verify_stream(
    lines: Iterable[AuditLine],
    *,
    key: Ed25519PublicKey,
    stream: str = MAIN_STREAM,
    kept_count: int | None = None,
    checkpoints: Mapping[int, str] | None = None,
) -> tuple[AuditHead, StreamCheck]:
    """Check every line of a stream, its length and its checkpoints; raises AuditError naming the first bad line."""
    check = StreamCheck(stream, key=key)
    expected = dict(checkpoints or {})
    for line in lines:
        head = check.take(line)
        noted = expected.pop(head.count, head.hash_hex)
        if noted != head.hash_hex:
            raise AuditError(f"audit stream {stream}, line {head.count}: is not the line its checkpoint names")
    head = check.end(kept_count)
    if expected:
        raise AuditError(f"audit stream {stream}: {head.count} lines found, {max(expected)} were; the end was cut")
    return head, check
