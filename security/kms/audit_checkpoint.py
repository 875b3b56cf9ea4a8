"""A checkpoint: the signed state of a KMS's audit log and of its tagged rows, to be kept in a safe place elsewhere.

A holder of the audit key can write a new log and sign it; a holder of the database can cut its end, or put an old copy
in place. An exported checkpoint reveals all of that: every line that it names must still be there, and the database
must not be older. Operators can countersign: their keys are not the KMS's. They also do so at every interception order;
those countersignatures stay in the database and are checked with the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field

from security.kms.audit import AuditHead
from security.kms.row_tags import Root
from security.kms_wire.errors import AuditError, KmsProtocolError
from security.kms_wire.protocol import Message, Uri, decode, encode

CHECKPOINT_LABEL: Final = b"pc5lab kms audit checkpoint v1 "
COUNTERSIGNATURE_LABEL: Final = b"pc5lab kms audit countersignature v1 "
MAX_CHECKPOINT_OCTETS: Final = 1 << 20

Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hex128 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]


class StreamState(Message):
    """A stream's count and last hash."""

    stream: Annotated[str, Field(min_length=1, max_length=64)]
    lines: Count
    hash: Hex64

    @property
    def head(self) -> AuditHead:
        """As the log has it."""
        return AuditHead(stream=self.stream, count=self.lines, hash_hex=self.hash)


class CheckpointBody(Message):
    """The signed content."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    kms: Uri
    at: Annotated[str, Field(max_length=64)]
    audit_key: Hex64
    streams: Annotated[tuple[StreamState, ...], Field(min_length=1, max_length=4096)]
    rows_version: Count
    rows_tag: Hex64

    @property
    def root(self) -> Root:
        """The root of the rows' tags."""
        return Root(version=self.rows_version, tag=self.rows_tag)


class Countersignature(Message):
    """An operator's signature over the same octets."""

    operator: Annotated[str, Field(min_length=1, max_length=64)]
    public_key: Hex64
    signature: Hex128


class Checkpoint(Message):
    """A checkpoint file."""

    body: CheckpointBody
    signature: Hex128
    countersignatures: Annotated[tuple[Countersignature, ...], Field(max_length=64)] = ()

    @property
    def signed_octets(self) -> bytes:
        """The octets that the KMS and the operators sign."""
        return CHECKPOINT_LABEL + encode(self.body)

    def countersigned(self, name: str, key: Ed25519PrivateKey) -> Checkpoint:
        """The checkpoint with an operator's signature as well."""
        one = Countersignature(
            operator=name,
            public_key=key.public_key().public_bytes_raw().hex(),
            signature=key.sign(self.signed_octets).hex(),
        )
        others = tuple(other for other in self.countersignatures if other.operator != name)
        return self.model_copy(update={"countersignatures": (*others, one)})

    def check(self, key: Ed25519PublicKey) -> None:
        """Check the KMS's signature and every countersignature; raises AuditError."""
        if self.body.audit_key != key.public_bytes_raw().hex():
            raise AuditError("the checkpoint was signed with another audit key than this one")
        signatures = [(self.body.audit_key, self.signature, "the KMS")]
        signatures += [(one.public_key, one.signature, one.operator) for one in self.countersignatures]
        for public_key, signature, name in signatures:
            try:
                signer = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
                signer.verify(bytes.fromhex(signature), self.signed_octets)
            except (InvalidSignature, ValueError) as exc:
                raise AuditError(f"the checkpoint's signature of {name} does not verify: it was altered") from exc


def make_checkpoint(body: CheckpointBody, key: Ed25519PrivateKey) -> Checkpoint:
    """Sign a state."""
    return Checkpoint(body=body, signature=key.sign(CHECKPOINT_LABEL + encode(body)).hex())


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint file, unchecked; raises AuditError."""
    try:
        with path.open("rb") as file:
            return decode(Checkpoint, file.read(MAX_CHECKPOINT_OCTETS))
    except OSError as exc:
        raise AuditError(f"checkpoint {path}: {exc.strerror}") from exc
    except KmsProtocolError as exc:
        raise AuditError(f"checkpoint {path}: {exc}") from exc


def heads_of(checkpoints: Sequence[Checkpoint]) -> list[AuditHead]:
    """Every stream's head that a checkpoint names."""
    return [stream.head for checkpoint in checkpoints for stream in checkpoint.body.streams]


def countersigned_octets(*, number: int, step: str, lines: int, hash_hex: str) -> bytes:
    """The octets of the log's main stream that an operator signs with a step of an order."""
    return COUNTERSIGNATURE_LABEL + f"{number} {step} {lines} {hash_hex}".encode()
