"""The forms of an interception: the order that two operators sign, its present state, and the product of its export.

Both signatures are over the octets of the order's body as they are stored, not over a form that is made again from
them. A label comes before the octets, another one for each kind of signature, so that none can stand for the other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from security.kms_wire.errors import InterceptError, KmsProtocolError
from security.kms_wire.protocol import (
    MAX_IDENTITIES,
    Message,
    NtpSeconds,
    Uri,
    UserName,
    decode,
)

MAX_MESSAGES: Final = 256
MAX_MESSAGE_OCTETS: Final = 8192
REQUEST_LABEL: Final = b"pc5lab kms intercept v1 request "
APPROVAL_LABEL: Final = b"pc5lab kms intercept v1 approval "

Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
MessageHex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$", max_length=2 * MAX_MESSAGE_OCTETS)]


class InterceptBody(Message):
    """The body of an interception order: the fields that both operators sign."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    kms: Uri
    warrant: Annotated[str, Field(pattern=r"^[\x21-\x7e]([\x20-\x7e]{0,126}[\x21-\x7e])?$")]
    identities: Annotated[tuple[Uri, ...], Field(min_length=1, max_length=MAX_IDENTITIES)]
    key_period_no: Annotated[int, Field(ge=0, lt=2**32)]
    messages: Annotated[tuple[MessageHex, ...], Field(min_length=1, max_length=MAX_MESSAGES)]


class OpenedSession(Message):
    """One opened I_MESSAGE. `signed_part_sha256` names it: signatures can be altered without breaking them."""

    signed_part_sha256: Hex64
    csb_id: Annotated[int, Field(ge=0, lt=2**32)]
    time_ntp_s: NtpSeconds
    initiator: str | None
    responder: Uri
    signature: Literal["verified", "does not verify", "signer's KMS is not trusted here"]
    ssv: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", repr=False)]


class InterceptProduct(Message):
    """The result of an export: session keys of the named messages, and nothing that opens any other one."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    kms: Uri
    order: int
    warrant: str
    requested_by: UserName
    approved_by: UserName
    sessions: tuple[OpenedSession, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InterceptOrder:
    """The present state of an order."""

    number: int
    body_text: str
    requested_by: str
    request_signature: str
    approved_by: str | None
    approval_signature: str | None

    @property
    def body(self) -> InterceptBody:
        """The signed fields. Raises InterceptError if the database holds something else."""
        try:
            return decode(InterceptBody, self.body_text.encode())
        except KmsProtocolError as exc:
            raise InterceptError(f"interception order {self.number}: {exc}") from exc

    @property
    def digest(self) -> str:
        """SHA-256 of the signed octets, hex."""
        return hashlib.sha256(self.body_text.encode()).hexdigest()

    @property
    def approval_octets(self) -> bytes:
        """The octets that the second operator signs: the order, its number and the first operator."""
        return APPROVAL_LABEL + f"{self.number} {self.requested_by} {self.body_text}".encode()
