"""The audit log: every extraction and every order is one signed line that names the hash of the line before it.

A removed, reordered or altered line breaks the chain; lines cut from the end are found by the count kept apart, and for
certain by comparing with a head hash noted elsewhere. The log holds no keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from security.kms.errors import AuditError

GENESIS_HASH = "0" * 64
SIGNING_LABEL = b"pc5lab kms audit v1 "

Detail = Mapping[str, str | int | bool | list[int] | list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """How many lines there are, and the hash of the last."""

    count: int = 0
    hash_hex: str = GENESIS_HASH


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One line as stored: canonical JSON and an Ed25519 signature over it (hex)."""

    text: str
    signature_hex: str

    @property
    def hash_hex(self) -> str:
        """SHA-256 of the line, hex: what the next line names."""
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


def next_line(
    head: AuditHead,
    *,
    at: str,
    actor: str,
    action: str,
    subject: str,
    detail: Detail,
    key: Ed25519PrivateKey,
) -> tuple[AuditLine, AuditHead]:
    """The line that follows `head`, signed, and the head after it. `at` is UTC as ISO 8601."""
    fields = {
        "seq": head.count + 1,
        "previous": head.hash_hex,
        "at": at,
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": dict(detail),
    }
    text = _canonical(fields)
    line = AuditLine(text=text, signature_hex=key.sign(SIGNING_LABEL + text.encode()).hex())
    return line, AuditHead(count=head.count + 1, hash_hex=line.hash_hex)


def verify_chain(lines: Iterable[AuditLine], *, key: Ed25519PublicKey, kept_count: int | None = None) -> AuditHead:
    """Check every line's signature, number and link; returns the head, raises AuditError naming the first bad line."""
    head = AuditHead()
    for line in lines:
        place = f"audit line {head.count + 1}"
        try:
            key.verify(bytes.fromhex(line.signature_hex), SIGNING_LABEL + line.text.encode())
        except (InvalidSignature, ValueError) as exc:
            raise AuditError(f"{place}: altered (its signature does not verify)") from exc
        fields = line.fields
        if fields.get("seq") != head.count + 1:
            raise AuditError(f"{place}: carries number {fields.get('seq')}; a line was removed or moved")
        if fields.get("previous") != head.hash_hex:
            raise AuditError(f"{place}: does not follow the line before it")
        head = AuditHead(count=head.count + 1, hash_hex=line.hash_hex)
    if kept_count is not None and head.count != kept_count:
        raise AuditError(f"{head.count} audit lines found, {kept_count} were written; the end was cut")
    return head


def _canonical(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
