"""Verification of a whole audit log: every stream, against the key, and against heads and checkpoints kept elsewhere.

The main stream is checked first: signatures, numbers, links of the hash chain, and its stored number of lines. It names
every other stream when that is opened, and holds their heads at intervals. So the streams in the database must be
exactly the named ones, and each stream must contain the lines that the main stream has noted. Further heads come from
outside: a hash noted by a user, exported checkpoints, and the countersignatures that operators give with every
interception order. Each of these must be a line of its stream. Two different signed heads with one number prove that
the log was rewritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from security.kms.audit import MAIN_STREAM, AuditHead, AuditLine, AuditReport, verify_stream
from security.kms.audit_checkpoint import (
    Checkpoint,
    CheckpointBody,
    StreamState,
    countersigned_octets,
    make_checkpoint,
)
from security.kms.intercept import Operator, check_operator
from security.kms.records import Records
from security.kms.service import KmsService
from security.kms_wire.errors import AuditError, RowsAlteredError


def verify_log(
    records: Records,
    *,
    key: Ed25519PublicKey,
    noted_hash: str | None = None,
    heads: Iterable[AuditHead] = (),
    countersigned: bool = True,
) -> AuditReport:
    """Check the main stream, then every stream that it or the database names; raises AuditError.

    `noted_hash`: the hash of some line noted elsewhere, which must still be in the log. `heads`: of streams, known from
    elsewhere; each must be a line of its stream. `countersigned`: check those heads too that operators countersigned.
    """
    kept = records.audit_heads()
    noted = {noted_hash} - {None}
    expected: dict[str, dict[int, str]] = {}
    for head in (*heads, *(_countersigned(records) if countersigned else ())):
        if head.count:
            known = expected.setdefault(head.stream, {}).setdefault(head.count, head.hash_hex)
            if known != head.hash_hex:
                raise AuditError(f"audit stream {head.stream}: two different lines {head.count} were signed")

    def lines(stream: str) -> Iterator[AuditLine]:
        for line in records.audit_lines(stream):
            noted.discard(line.hash_hex)
            yield line

    if MAIN_STREAM not in kept:
        raise AuditError("the main stream of the audit log is gone")
    main, said = verify_stream(
        lines(MAIN_STREAM), key=key, kept_count=kept[MAIN_STREAM].count, checkpoints=expected.pop(MAIN_STREAM, {})
    )
    others = set(kept) - {MAIN_STREAM}
    if others != said.opened:
        strange = sorted(others ^ said.opened)[0]
        raise AuditError(f"audit stream {strange} is {'gone' if strange in said.opened else 'none that was opened'}")
    heads_found = [
        verify_stream(
            lines(stream),
            key=key,
            stream=stream,
            kept_count=kept[stream].count,
            checkpoints={**said.checkpoints.get(stream, {}), **expected.pop(stream, {})},
        )[0]
        for stream in sorted(others)
    ]
    for stream in expected:
        raise AuditError(f"audit stream {stream} is gone; it was there before")
    if noted:
        raise AuditError(f"no line has the noted hash {noted_hash}; the end was cut or rewritten")
    return AuditReport(heads=(main, *heads_found))


def checkpoint_of(service: KmsService, operator: Operator | None = None) -> Checkpoint:
    """The state of a KMS's log and rows, checked and signed, and countersigned by an operator registered here.

    Raises AuditError, RowsAlteredError; InterceptError for an operator's false key.
    """
    with service.database.read() as records:
        if records.guarded is None:
            raise RowsAlteredError("the rows of this database are not tagged")
        report = verify_log(records, key=service.audit_key.public_key())
        records.guarded.check_all()
        root = records.guarded.root()
        if operator is not None:
            check_operator(records, operator)
    body = CheckpointBody(
        kms=service.authority.domain.uri,
        at=service.clocks.wall().isoformat(timespec="seconds"),
        audit_key=service.audit_key.public_key().public_bytes_raw().hex(),
        streams=tuple(StreamState(stream=head.stream, lines=head.count, hash=head.hash_hex) for head in report.heads),
        rows_version=root.version,
        rows_tag=root.tag,
    )
    made = make_checkpoint(body, service.audit_key)
    return made if operator is None else made.countersigned(operator.name, operator.key)


def check_against(records: Records, checkpoint: Checkpoint) -> None:
    """Countersignatures must be of operators as registered here, and the rows of no state before the checkpoint.

    The rows' state is known where the secrets are opened. Raises AuditError, RowsAlteredError.
    """
    operators = records.operators() if checkpoint.countersignatures else {}
    for one in checkpoint.countersignatures:
        if operators.get(one.operator) != one.public_key:
            raise AuditError(f"the checkpoint's countersignature is not of operator {one.operator} as registered here")
    if records.guarded is None:
        return
    root, noted = records.guarded.root(), checkpoint.body.root
    if root.version < noted.version or (root.version == noted.version and root.tag != noted.tag):
        raise RowsAlteredError(
            f"the database is at version {root.version}; the checkpoint of {checkpoint.body.at} has seen version "
            f"{noted.version}: it was rolled back"
        )


def _countersigned(records: Records) -> Iterator[AuditHead]:
    """The heads that operators countersigned with their orders; raises AuditError for a false signature."""
    operators = records.operators()
    for row in records.countersignatures():
        octets = countersigned_octets(number=row.number, step=row.step, lines=row.lines, hash_hex=row.hash)
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(operators[row.operator]))
            key.verify(bytes.fromhex(row.signature), octets)
        except (InvalidSignature, ValueError, KeyError) as exc:
            raise AuditError(
                f"interception order {row.number}: the head that operator {row.operator} countersigned was altered"
            ) from exc
        yield AuditHead(stream=MAIN_STREAM, count=row.lines, hash_hex=row.hash)
