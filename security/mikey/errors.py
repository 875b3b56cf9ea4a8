"""Faults of a MIKEY message; each error has its number on the wire (RFC 3830 6.12)."""

from __future__ import annotations

from enum import IntEnum

from security.errors import SecurityError


class ErrorNumber(IntEnum):
    """Error no of the ERR payload (RFC 3830 6.12; 13: RFC 4563 and after)."""

    AUTHENTICATION_FAILURE = 0
    INVALID_TIMESTAMP = 1
    INVALID_PRF = 2
    INVALID_MAC = 3
    INVALID_EA = 4
    INVALID_HASH = 5
    INVALID_DH = 6
    INVALID_ID = 7
    INVALID_CERTIFICATE = 8
    INVALID_SP = 9
    INVALID_SP_PARAMETER = 10
    INVALID_DATA_TYPE = 11
    UNSPECIFIED = 12
    UNSUPPORTED_TYPE = 13


class MikeyError(SecurityError):
    """A MIKEY message can't be encoded, decoded or used; `number` is that of an error message."""

    def __init__(self, message: str, number: ErrorNumber = ErrorNumber.UNSPECIFIED) -> None:
        super().__init__(message)
        self.number = number


class ProfileFormError(SecurityError):
    """An I_MESSAGE doesn't have the form of the `identity` profile; `check` names the failed check."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check
