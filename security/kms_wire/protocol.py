"""The JSON face of the KMS: paths, message forms and their bounds. Hex is lower case; times are NTP seconds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from security.kms_wire.errors import KmsProtocolError

VERSION: Final = 1
KEYS_VERSION: Final = 2
"""Version of answers with keys: from 2 on they hold DUIK, DUSK and DUCK of discovery; before, DUIK only."""
PATH_ENROL = "/pc5lab/v1/enrol"
PATH_PARAMETERS = "/pc5lab/v1/parameters"
PATH_KEYS = "/pc5lab/v1/keys"
PATH_MAP = "/pc5lab/v1/map"
MAX_REQUEST_OCTETS = 16 * 1024
MAX_RESPONSE_OCTETS = 4 * 1024 * 1024
MAX_DENIED = 8192
MAX_PEERS = 4096
MAX_DISCOVERY_GROUPS = 64
MAX_GROUPS = 64
MAX_USES = 3
MAX_KEY_SETS = 3
MAX_IDENTITIES = 64
MAX_NUMBERS = 256
"""Most telephone numbers in one request."""
MAX_SIGNED_STATEMENT_HEX = 2 * (1024 + 129)
POINT_256_HEX = 2 * 65
POINT_1024_HEX = 2 * 257
DISCOVERY_KEY_HEX = 2 * 32


class Refusal(StrEnum):
    """Codes of refusals."""

    BAD_REQUEST = "bad-request"
    TOKEN_INVALID = "token-invalid"
    CERTIFICATE_NEEDED = "certificate-needed"
    CERTIFICATE_UNKNOWN = "certificate-unknown"
    ACCESS_TOKEN_INVALID = "access-token-invalid"
    USER_REVOKED = "user-revoked"
    IDENTITY_REVOKED = "identity-revoked"
    NOT_AUTHORISED = "not-authorised"
    NOT_FOUND = "not-found"
    BUSY = "busy"
    INTERNAL = "internal"


HTTP_STATUS: dict[Refusal, int] = {
    Refusal.BAD_REQUEST: 400,
    Refusal.TOKEN_INVALID: 403,
    Refusal.CERTIFICATE_NEEDED: 401,
    Refusal.CERTIFICATE_UNKNOWN: 403,
    Refusal.ACCESS_TOKEN_INVALID: 401,
    Refusal.USER_REVOKED: 403,
    Refusal.IDENTITY_REVOKED: 403,
    Refusal.NOT_AUTHORISED: 403,
    Refusal.NOT_FOUND: 404,
    Refusal.BUSY: 503,
    Refusal.INTERNAL: 500,
}


def _hex(min_length: int, max_length: int | None = None) -> object:
    return Field(pattern=r"^([0-9a-f]{2})+$", min_length=min_length, max_length=max_length or min_length)


Uri = Annotated[str, Field(min_length=3, max_length=252, pattern=r"^[\x21-\x7e]+$")]
UserName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
GroupName = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,64}$")]
UseName = Literal["one-to-one", "group", "out-of-coverage"]
Number = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{0,14}$")]
SignedStatement = Annotated[str, _hex(2, MAX_SIGNED_STATEMENT_HEX)]
NtpSeconds = Annotated[int, Field(ge=0, lt=2**36)]
Pem = Annotated[str, Field(min_length=64, max_length=8192, pattern=r"^[\x0a\x0d\x20-\x7e]+$")]
SecretHex = Field(repr=False)


class Message(BaseModel):
    """Base of all forms: nothing unknown, nothing converted, values never shown in errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Ticket(Message):
    """The operator's ticket for a UE, good for one enrolment. It names the CA, so that the UE recognises the KMS."""

    version: Annotated[int, Field(ge=VERSION, le=VERSION)] = VERSION
    user: UserName
    token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$", repr=False)]
    ca_pem: Pem
    identities: Annotated[tuple[Uri, ...], Field(max_length=MAX_IDENTITIES)]


class EnrolmentNames(Message):
    """The names in an operator's enrolment order."""

    user: UserName
    identities: Annotated[tuple[Uri, ...], Field(min_length=1, max_length=MAX_IDENTITIES)]
    peers: Annotated[tuple[Uri, ...], Field(max_length=MAX_PEERS)]
    discovery_groups: Annotated[tuple[GroupName, ...], Field(max_length=MAX_DISCOVERY_GROUPS)]


class NamedDiscoveryGroup(Message):
    """The name in an operator's order about a discovery group."""

    group: GroupName
    users: Annotated[tuple[UserName, ...], Field(min_length=1, max_length=MAX_PEERS)]


class NamedGroup(Message):
    """The name in an operator's order about a group identity."""

    group_uri: Uri
    members: Annotated[tuple[Uri, ...], Field(min_length=1, max_length=MAX_PEERS)]


class EnrolRequest(Message):
    """Token and certificate signing request."""

    token: Annotated[str, Field(min_length=1, max_length=128, repr=False)]
    csr_pem: Pem


class EnrolResponse(Message):
    """The client certificate, and the name of its user."""

    user: UserName
    certificate_pem: Pem


class DomainForm(Message):
    """A KMS's public parameters, as sent and as stored in its database."""

    uri: Uri
    z: Annotated[str, _hex(POINT_1024_HEX)]
    kpak: Annotated[str, _hex(POINT_256_HEX)]
    uid_scheme: Annotated[int, Field(ge=1, le=2)]
    key_period_s: Annotated[int, Field(ge=0, lt=2**32)]
    key_period_offset_s: Annotated[int, Field(ge=0, lt=2**32)]
    namespace: Annotated[tuple[Uri, ...], Field(min_length=1, max_length=64)]
    lab_deterministic: bool


class ParametersResponse(Message):
    """Public parameters, the KMS's time, the deny list."""

    version: Annotated[int, Field(ge=VERSION, le=VERSION)] = VERSION
    domain: DomainForm
    time_ntp_s: NtpSeconds
    deny_list: Annotated[tuple[Uri, ...], Field(max_length=MAX_DENIED)]


class KeysRequest(Message):
    """Asks for the key sets of one identity, for every period open for issue."""

    uri: Uri


class KeySetForm(Message):
    """One identity's keys for one period (RFC 6507 5.1.1, RFC 6508 6.1.1)."""

    key_period_no: Annotated[int, Field(ge=0, lt=2**32)]
    uid: Annotated[str, _hex(2, 1024)]
    rsk: Annotated[str, _hex(POINT_1024_HEX), SecretHex]
    ssk: Annotated[str, _hex(64), SecretHex]
    pvt: Annotated[str, _hex(POINT_256_HEX)]


class GroupKeyForm(Message):
    """A group identity's RSK for one period, as each member gets it (RFC 6508 6.1.1)."""

    group_uri: Uri
    key_period_no: Annotated[int, Field(ge=0, lt=2**32)]
    uid: Annotated[str, _hex(2, 1024)]
    rsk: Annotated[str, _hex(POINT_1024_HEX), SecretHex]


class DiscoveryKeysForm(Message):
    """A discovery group's keys for one period: MIC, scrambling and confidentiality of PC5_DISCOVERY."""

    group: GroupName
    key_period_no: Annotated[int, Field(ge=0, lt=2**32)]
    duik: Annotated[str, _hex(DISCOVERY_KEY_HEX), SecretHex]
    dusk: Annotated[str, _hex(DISCOVERY_KEY_HEX), SecretHex]
    duck: Annotated[str, _hex(DISCOVERY_KEY_HEX), SecretHex]


class KeysResponse(Message):
    """Key sets, their uses and end, keys of group identities, and discovery keys.

    The response also holds the authorised peers (null: all authorised identities), the KMS's time and the deny list.
    """

    version: Annotated[int, Field(ge=KEYS_VERSION, le=KEYS_VERSION)] = KEYS_VERSION
    uri: Uri
    time_ntp_s: NtpSeconds
    key_sets: Annotated[tuple[KeySetForm, ...], Field(max_length=MAX_KEY_SETS)]
    next_issue_ntp_s: NtpSeconds
    uses: Annotated[tuple[UseName, ...], Field(max_length=MAX_USES)]
    not_after_ntp_s: NtpSeconds | None
    group_keys: Annotated[tuple[GroupKeyForm, ...], Field(max_length=MAX_GROUPS * MAX_KEY_SETS)]
    discovery_keys: Annotated[tuple[DiscoveryKeysForm, ...], Field(max_length=MAX_DISCOVERY_GROUPS * MAX_KEY_SETS)]
    peers: Annotated[tuple[Uri, ...], Field(max_length=MAX_PEERS)] | None
    deny_list: Annotated[tuple[Uri, ...], Field(max_length=MAX_DENIED)]


class MapRequest(Message):
    """Asks for the identities of telephone numbers."""

    numbers: Annotated[tuple[Number, ...], Field(min_length=1, max_length=MAX_NUMBERS)]


class MapResponse(Message):
    """Signed statements of the numbers that the KMS knows (`security.identity_map`), in hex, and its time."""

    version: Annotated[int, Field(ge=VERSION, le=VERSION)] = VERSION
    time_ntp_s: NtpSeconds
    statements: Annotated[tuple[SignedStatement, ...], Field(max_length=MAX_NUMBERS)]


class RefusalResponse(Message):
    """A refusal with its reason in words."""

    refusal: Refusal
    message: Annotated[str, Field(max_length=500)]


M = TypeVar("M", bound=Message)


_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def decode(form: type[M], octets: bytes) -> M:
    """Read one message; raises KmsProtocolError naming the field, never its value."""
    if octets.startswith(_BYTE_ORDER_MARKS):
        raise KmsProtocolError(f"{form.__name__}: begins with a byte order mark: it is UTF-8 without one")
    try:
        return form.model_validate_json(octets)
    except ValidationError as exc:
        raise KmsProtocolError(f"{form.__name__}: {explain(exc)}") from None


def explain(error: ValidationError) -> str:
    """The first thing wrong with a message, in words; never its value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "message"
    return f"{place}: {first['msg']}"


def encode(message: Message) -> bytes:
    """Write one message as JSON."""
    return message.model_dump_json().encode()
