"""Errors between an operator, the KMS and a UE."""

from __future__ import annotations

from typing import ClassVar

from security.errors import FAILED, TIMEOUT, USAGE, SecurityError


class KmsConfigError(SecurityError):
    """The KMS home, its database or an operator's order is unusable."""

    exit_code: ClassVar[int] = USAGE


class KmsRefusal(SecurityError):
    """The KMS refuses a request; `code` is one of the protocol's refusal codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class KmsUnreachable(SecurityError):
    """The KMS does not answer, or not with TLS 1.3 under the lab CA."""

    exit_code: ClassVar[int] = FAILED


class KmsTimeout(KmsUnreachable):
    """The KMS does not answer in time."""

    exit_code: ClassVar[int] = TIMEOUT


class KmsProtocolError(SecurityError):
    """A message of the KMS protocol is malformed, too long, or has a forbidden value."""

    exit_code: ClassVar[int] = USAGE


class KeySetRejected(SecurityError):
    """Keys that came from a KMS fail the checks of RFC 6507 5.1.2 or RFC 6508 6.1.2."""


class AuditError(SecurityError):
    """The audit log has been altered, reordered or cut."""


class RowsAlteredError(SecurityError):
    """Rows of the database were altered, added, deleted or rolled back by another program than this one."""


class InterceptError(SecurityError):
    """An interception order is refused: not two operators, or messages outside of what the warrant names."""

    exit_code: ClassVar[int] = USAGE


class BackupError(SecurityError):
    """A backup can't be written, read or trusted."""

    exit_code: ClassVar[int] = USAGE


class SecretShareError(SecurityError):
    """Shares of a secret can't be read, or don't make it: too few, of different sets, or damaged."""

    exit_code: ClassVar[int] = USAGE


class TlsIdentityError(SecurityError):
    """A certificate, key or signing request can't be used."""

    exit_code: ClassVar[int] = USAGE
