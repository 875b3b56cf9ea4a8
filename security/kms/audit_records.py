"""The audit log's streams and lines in the database, within one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import sqlalchemy as sa

from security.kms.audit import MAIN_STREAM, AuditHead, AuditLine
from security.kms.guarded_rows import ROWS_AT_ONCE, GuardedRows
from security.kms.row_guard import RowGuard
from security.kms.table_access import TableAccess
from security.kms.tables import audit_stream_table, audit_table
from security.kms_wire.errors import AuditError

AUDIT_HEAD: Final = (
    sa.select(audit_stream_table).where(audit_stream_table.c.stream == sa.bindparam("of_stream")).with_for_update()
)
MOVE_AUDIT_HEAD: Final = (
    sa.update(audit_stream_table)
    .where(audit_stream_table.c.stream == sa.bindparam("of_stream"))
    .values(lines=sa.bindparam("count"), hash=sa.bindparam("hash_hex"))
)
ADD_AUDIT_LINES: Final = sa.insert(audit_table)
LINE_HASHES: Final = sa.select(audit_table.c.line).where(
    audit_table.c.stream == sa.bindparam("of_stream"), audit_table.c.seq == sa.bindparam("number")
)


class AuditRecords(TableAccess):
    """Reads and writes of the audit log."""

    def __init__(
        self, connection: sa.Connection, guarded: GuardedRows | None = None, guard: RowGuard | None = None
    ) -> None:
        super().__init__(connection, guarded)
        self._guard_of_process = guard
        self.moved_streams: dict[str, AuditHead] = {}

    def open_audit_stream(self, stream: str) -> AuditHead:
        """Make an empty stream of the audit log. Raises AuditError if it exists already."""
        self._check_seen(AuditHead(stream=stream))
        head = AuditHead(stream=stream)
        self.insert(audit_stream_table, stream=stream, lines=head.count, hash=head.hash_hex)
        return head

    def audit_head(self, stream: str = MAIN_STREAM) -> AuditHead | None:
        """Count and last hash of an audit stream, locked until the transaction ends; None if it does not exist.

        Raises AuditError if the stream is shorter than this process has seen it, or ends otherwise.
        """
        row = self.connection.execute(AUDIT_HEAD, {"of_stream": stream}).one_or_none()
        if row is None:
            return None
        head = AuditHead(stream=row.stream, count=row.lines, hash_hex=row.hash)
        if stream not in self.moved_streams:
            self._check_seen(head)
        return head

    def audit_heads(self) -> dict[str, AuditHead]:
        """Every stream's count and last hash, stored apart from the lines."""
        return {
            row.stream: AuditHead(stream=row.stream, count=row.lines, hash_hex=row.hash)
            for row in self.connection.execute(sa.select(audit_stream_table).order_by(audit_stream_table.c.stream))
        }

    def append_audit(self, lines: Iterable[AuditLine], head: AuditHead) -> None:
        """Add the lines that lead to `head` to its stream."""
        texts = list(lines)
        first = head.count - len(texts) + 1
        rows = [
            {"stream": head.stream, "seq": seq, "line": line.text, "signature": line.signature_hex}
            for seq, line in enumerate(texts, start=first)
        ]
        self.connection.execute(ADD_AUDIT_LINES, rows)
        self.connection.execute(
            MOVE_AUDIT_HEAD, {"of_stream": head.stream, "count": head.count, "hash_hex": head.hash_hex}
        )
        self.moved_streams[head.stream] = head

    def audit_lines(self, stream: str | None = None) -> Iterator[AuditLine]:
        """The lines of one stream in order, or of all streams one behind the other."""
        query = sa.select(audit_table).order_by(audit_table.c.stream, audit_table.c.seq)
        if stream is not None:
            query = query.where(audit_table.c.stream == stream)
        for row in self.connection.execute(query, execution_options={"yield_per": ROWS_AT_ONCE}):
            yield AuditLine(text=row.line, signature_hex=row.signature)

    def check_audit_reaches(self, heads: Iterable[AuditHead]) -> None:
        """Check that every one of these earlier heads is still in the log. Raises AuditError."""
        for head in heads:
            text = self.connection.scalar(LINE_HASHES, {"of_stream": head.stream, "number": head.count})
            if head.count and (text is None or AuditLine(text=str(text), signature_hex="").hash_hex != head.hash_hex):
                raise AuditError(
                    f"audit stream {head.stream}: line {head.count} is not the one seen before; "
                    f"the log was cut, rewritten or rolled back"
                )

    def _check_seen(self, head: AuditHead) -> None:
        seen = self._guard_of_process.stream_seen(head.stream) if self._guard_of_process else None
        if seen is None:
            return
        if head.count < seen.count or (head.count == seen.count and head.hash_hex != seen.hash_hex):
            raise AuditError(
                f"audit stream {head.stream} ends at line {head.count}; this program has seen it end at line "
                f"{seen.count}: the log was cut, rewritten or rolled back"
            )
