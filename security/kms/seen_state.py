"""The state of its database that a KMS's home folder knows: the root of the tags, and the heads of the audit log.

The database may be in other hands than the folder. An old copy of it is consistent in itself, tags included, so only
data in another place shows that it is old: `kms.seen` in the home folder, which only rises. It carries an HMAC under
the row key, so that it can't be forged. If it is replaced by an older one together with the database, this can't be
detected here. Exported checkpoints of the audit log (`audit_checkpoint`) detect it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from security.at_rest.atomic_file import replace_file
from security.kms.audit import AuditHead
from security.kms.row_tags import Root, RowKey
from security.kms_wire.errors import KmsConfigError, KmsProtocolError, RowsAlteredError
from security.kms_wire.protocol import Message, decode, encode

SEEN_FILE: Final = "kms.seen"
LOCK_FILE: Final = "kms.seen.lock"

_log = logging.getLogger(__name__)

Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]


class SeenStream(Message):
    """An audit stream's head."""

    stream: Annotated[str, Field(min_length=1, max_length=64)]
    lines: Count
    hash: Hex64


class SeenState(Message):
    """The newest known state of a database. `mac`: HMAC under the row key over the rest."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    root_version: Count
    root_tag: Hex64
    streams: Annotated[tuple[SeenStream, ...], Field(max_length=4096)]
    mac: Hex64 = "0" * 64

    @property
    def root(self) -> Root:
        """The root of the tags."""
        return Root(version=self.root_version, tag=self.root_tag)

    @property
    def heads(self) -> dict[str, AuditHead]:
        """The heads of the audit log."""
        return {
            seen.stream: AuditHead(stream=seen.stream, count=seen.lines, hash_hex=seen.hash) for seen in self.streams
        }

    def expected_mac(self, key: RowKey) -> str:
        """The right value of `mac`."""
        return key.tag(
            ["seen", self.root_version, self.root_tag, [[*one.model_dump().values()] for one in self.streams]]
        )


def read_seen(folder: Path, key: RowKey) -> SeenState | None:
    """The state that the folder knows; None if there is none yet. Raises RowsAlteredError for a file from elsewhere."""
    path = folder / SEEN_FILE
    try:
        seen = decode(SeenState, path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise KmsConfigError(f"{path}: {exc.strerror}") from exc
    except KmsProtocolError as exc:
        raise RowsAlteredError(f"{path}: {exc}") from exc
    if not hmac.compare_digest(seen.mac, seen.expected_mac(key)):
        raise RowsAlteredError(f"{path}: was not written by this KMS, or altered")
    return seen


def raise_seen(folder: Path, key: RowKey, root: Root, heads: Mapping[str, AuditHead]) -> None:
    """Store a newer state; an older one than the stored one changes nothing.

    If the folder can't be written, the order that is done already stays done; a logged warning reports it.
    """
    try:
        if _newer(read_seen(folder, key), root, heads) is None:
            return
        with _locked(folder):
            state = _newer(read_seen(folder, key), root, heads)
            if state is not None:
                replace_file(folder / SEEN_FILE, encode(state.model_copy(update={"mac": state.expected_mac(key)})))
    except OSError as exc:
        _log.warning(
            "%s: %s; if the database were rolled back to before this moment, the next program would not recognise it",
            folder / SEEN_FILE,
            exc.strerror,
        )


def _newer(before: SeenState | None, root: Root, heads: Mapping[str, AuditHead]) -> SeenState | None:
    """The state to store instead of the present one; None if there is nothing new."""
    newest = before.heads if before else {}
    for stream, head in heads.items():
        if stream not in newest or head.count > newest[stream].count:
            newest[stream] = head
    top = before.root if before and before.root_version >= root.version else root
    if before is not None and (top, newest) == (before.root, before.heads):
        return None
    return SeenState(
        root_version=top.version,
        root_tag=top.tag,
        streams=tuple(
            SeenStream(stream=stream, lines=head.count, hash=head.hash_hex) for stream, head in sorted(newest.items())
        ),
    )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time, over processes and threads."""
    handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
