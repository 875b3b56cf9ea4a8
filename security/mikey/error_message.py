"""MIKEY's error message: HDR of data type 6, T, ERR, the policies that are supported, maybe SIGN (RFC 3830 5.1.2)."""

from __future__ import annotations

from dataclasses import dataclass

from security.eccsi import eccsi
from security.eccsi.eccsi import SIGNATURE_OCTETS, SignatureError
from security.errors import SecurityError
from security.identifiers import IdentityError, NoKeysError, UserKeys
from security.mikey.codec import DataType, Header, MikeyMessage, Prf, decode, encode
from security.mikey.errors import ErrorNumber, MikeyError
from security.mikey.i_message import ntp_timestamp, sign_message
from security.mikey.numbers import SIGNATURE_TYPE_ECCSI
from security.mikey.payloads import ErrorNotice, SecurityPolicy, Signature, Timestamp
from security.sakke import DecapsulationError


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMessage:
    """A decoded error message. Unless it has a verified signature, any sender may have made it.

    `csb_id` names the I_MESSAGE that it answers; `signed_part` and `signature` are empty if it isn't signed.
    """

    csb_id: int
    timestamp: Timestamp
    number: int
    policies: tuple[SecurityPolicy, ...] = ()
    signed_part: bytes = b""
    signature: bytes = b""


def create_error_message(
    number: ErrorNumber,
    *,
    csb_id: int,
    ntp_s: float,
    prf: int = Prf.HMAC_SHA_256,
    policies: tuple[SecurityPolicy, ...] = (),
) -> bytes:
    """An unsigned error message about the I_MESSAGE with this CSB-ID. Raises MikeyError.

    `policies`: the supported ones, if those of the I_MESSAGE weren't. An error to an unauthenticated sender is
    optional, and never signed, because any sender could cause that work (RFC 3830 5.1.2).
    """
    return encode(_message(number, csb_id, ntp_s, prf, policies))


def create_signed_error_message(
    number: ErrorNumber,
    *,
    keys: UserKeys,
    kpak: bytes,
    entropy: bytes,
    csb_id: int,
    ntp_s: float,
    prf: int = Prf.HMAC_SHA_256,
    policies: tuple[SecurityPolicy, ...] = (),
) -> bytes:
    """Like `create_error_message`, signed with ECCSI; `entropy` has 32 fresh octets.

    Raises MikeyError, SigningKeyError.
    """
    return sign_message(_message(number, csb_id, ntp_s, prf, policies), keys=keys, kpak=kpak, entropy=entropy)


def _message(
    number: ErrorNumber, csb_id: int, ntp_s: float, prf: int, policies: tuple[SecurityPolicy, ...]
) -> MikeyMessage:
    return MikeyMessage(
        header=Header(data_type=DataType.ERROR, csb_id=csb_id, prf=prf),
        payloads=(Timestamp(value=ntp_timestamp(ntp_s)), ErrorNotice(error_number=number), *policies),
    )


def parse_error_message(octets: bytes) -> ErrorMessage:
    """Decode an error message.

    Raises MikeyError unless it has T, one ERR, SPs, at most one ECCSI SIGN (RFC 3830 5.1.2).
    """
    message = decode(octets)
    if message.header.data_type != DataType.ERROR:
        raise MikeyError(f"data type {message.header.data_type} is no error message", ErrorNumber.INVALID_DATA_TYPE)
    payloads = list(message.payloads)
    signature = b""
    if payloads and isinstance(payloads[-1], Signature):
        sign = payloads.pop()
        if not isinstance(sign, Signature) or sign.kind != SIGNATURE_TYPE_ECCSI:
            raise MikeyError("the error message is not signed with ECCSI", ErrorNumber.AUTHENTICATION_FAILURE)
        signature = sign.signature
        if len(signature) != SIGNATURE_OCTETS:
            raise MikeyError(f"SIGN with {len(signature)} octets", ErrorNumber.AUTHENTICATION_FAILURE)
    policies = tuple(payload for payload in payloads[2:] if isinstance(payload, SecurityPolicy))
    match payloads[:2]:
        case [Timestamp() as timestamp, ErrorNotice() as notice] if len(policies) == len(payloads) - 2:
            return ErrorMessage(
                csb_id=message.header.csb_id,
                timestamp=timestamp,
                number=notice.error_number,
                policies=policies,
                signed_part=octets[: -len(signature)] if signature else b"",
                signature=signature,
            )
    raise MikeyError("an error message is HDR, T, ERR, SPs and maybe SIGN")


def verify_error_message(error: ErrorMessage, *, uid: bytes, kpak: bytes) -> None:
    """Verify an error message's signature under this identifier (octets).

    Raises SignatureError, also if there is none.
    """
    if not error.signature:
        raise SignatureError("the error message is not signed")
    eccsi.verify(error.signed_part, error.signature, uid=uid, kpak=kpak)


def error_number(error: SecurityError) -> ErrorNumber:
    """The error number for this error in an error message (RFC 3830 6.12, RFC 6509 2.2)."""
    match error:
        case MikeyError():
            return error.number
        case SignatureError() | DecapsulationError():
            return ErrorNumber.AUTHENTICATION_FAILURE
        case IdentityError() | NoKeysError():
            return ErrorNumber.INVALID_ID
    return ErrorNumber.UNSPECIFIED
