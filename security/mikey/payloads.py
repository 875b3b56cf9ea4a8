"""MIKEY payloads as values: each writes its body (without the next-payload octet) and reads it back.

Reading is total: octets are either refused with MikeyError, or kept so that writing gives the same octets again.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import ClassVar, Self

from security.identifiers import NTP_EPOCH
from security.mikey.errors import ErrorNumber, MikeyError
from security.mikey.numbers import (
    MAC_OCTETS,
    ROLE_NAMES,
    SIGNATURE_TYPE_ECCSI,
    TIMESTAMP_OCTETS,
    IdType,
    PayloadType,
    TimestampType,
)
from security.mikey.wire import Reader, counted, number
from security.sakke.parameters import PARAMETER_SET, SED_OCTETS

ECCSI_PARTS = (("Signature: r", 32), ("Signature: s", 32), ("Signature: PVT", 65))
"""RFC 6507 3.3."""
ECCSI_OCTETS = sum(length for _, length in ECCSI_PARTS)
SED_PARTS = (
    ("SAKKE data: R, point form", 1),
    ("SAKKE data: R_x", 128),
    ("SAKKE data: R_y", 128),
    ("SAKKE data: H", 16),
)
"""RFC 6508 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """T (RFC 3830 6.6): NTP time as 64 bits (seconds since 1900, fraction), or a counter of 32 bits."""

    TYPE: ClassVar[int] = PayloadType.T
    NAME: ClassVar[str] = "T"
    CLAUSE: ClassVar[str] = "RFC 3830 6.6"
    kind: int = TimestampType.NTP_UTC
    value: int

    def body(self) -> bytes:
        """TS type, TS value."""
        return number(self.kind, 1, "TS type") + number(self.value, _timestamp_octets(self.kind), "TS value")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError."""
        kind = reader.number(1, "TS type", {0: "NTP-UTC", 1: "NTP", 2: "counter"})
        timestamp = cls(kind=kind, value=reader.number(_timestamp_octets(kind), "TS value"))
        if kind != TimestampType.COUNTER:
            reader.reword((NTP_EPOCH + dt.timedelta(seconds=timestamp.ntp_s)).isoformat())
        return timestamp

    @property
    def ntp_s(self) -> float:
        """Seconds since 1900-01-01; raises MikeyError for a counter."""
        if self.kind == TimestampType.COUNTER:
            raise MikeyError("a counter in T gives no time", ErrorNumber.INVALID_TIMESTAMP)
        return self.value / (1 << 32)


def _timestamp_octets(kind: int) -> int:
    if kind not in tuple(TimestampType):
        raise MikeyError(f"TS type {kind} is not known", ErrorNumber.INVALID_TIMESTAMP)
    return TIMESTAMP_OCTETS[TimestampType(kind)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rand:
    """RAND (RFC 3830 6.11): 0..255 random octets, 16 or more by its rules."""

    TYPE: ClassVar[int] = PayloadType.RAND
    NAME: ClassVar[str] = "RAND"
    CLAUSE: ClassVar[str] = "RFC 3830 6.11"
    rand: bytes

    def body(self) -> bytes:
        """The octets of RAND length, RAND."""
        return counted(self.rand, 1, "RAND")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError."""
        return cls(rand=reader.take(reader.number(1, "RAND len"), "RAND"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """ID (RFC 3830 6.7): an identity without a role."""

    TYPE: ClassVar[int] = PayloadType.ID
    NAME: ClassVar[str] = "ID"
    CLAUSE: ClassVar[str] = "RFC 3830 6.7"
    kind: int = IdType.URI
    data: bytes

    def body(self) -> bytes:
        """The octets of ID type, ID length, ID data."""
        return number(self.kind, 1, "ID type") + counted(self.data, 2, "ID data")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError."""
        kind = reader.number(1, "ID type", {0: "NAI", 1: "URI"})
        return cls(kind=kind, data=_identity_data(reader))


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRole:
    """IDR (RFC 6043 6.6): an identity and its role."""

    TYPE: ClassVar[int] = PayloadType.IDR
    NAME: ClassVar[str] = "IDR"
    CLAUSE: ClassVar[str] = "RFC 6043 6.6"
    role: int
    kind: int = IdType.URI
    data: bytes

    def body(self) -> bytes:
        """The octets of ID role, ID type, ID length, ID data."""
        return number(self.role, 1, "ID role") + number(self.kind, 1, "ID type") + counted(self.data, 2, "ID data")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError."""
        role = reader.number(1, "ID role", {int(role): name for role, name in ROLE_NAMES.items()})
        kind = reader.number(1, "ID type", {0: "NAI", 1: "URI"})
        return cls(role=role, kind=kind, data=_identity_data(reader))


def _identity_data(reader: Reader) -> bytes:
    data = reader.take(reader.number(2, "ID len"), "ID data")
    if data and all(0x21 <= octet <= 0x7E for octet in data):
        reader.reword(data.decode("ascii"))
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """CERT (RFC 3830 6.7): kept as octets, not decoded."""

    TYPE: ClassVar[int] = PayloadType.CERT
    NAME: ClassVar[str] = "CERT"
    CLAUSE: ClassVar[str] = "RFC 3830 6.7"
    kind: int
    data: bytes

    def body(self) -> bytes:
        """The octets of Cert type, length, data."""
        return number(self.kind, 1, "Cert type") + counted(self.data, 2, "Cert data")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError."""
        kind = reader.number(1, "Cert type")
        return cls(kind=kind, data=reader.take(reader.number(2, "Cert len"), "Cert data"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityPolicy:
    """SP (RFC 3830 6.10): a numbered policy of a protocol, as (type, value) parameters."""

    TYPE: ClassVar[int] = PayloadType.SP
    NAME: ClassVar[str] = "SP"
    CLAUSE: ClassVar[str] = "RFC 3830 6.10"
    policy_no: int
    protocol: int
    parameters: tuple[tuple[int, bytes], ...]

    def body(self) -> bytes:
        """The octets of Policy no, Prot type, length, parameters of type, length, value."""
        parameters = b"".join(
            number(kind, 1, "policy param type") + counted(value, 1, "policy param") for kind, value in self.parameters
        )
        numbers = number(self.policy_no, 1, "Policy no") + number(self.protocol, 1, "Prot type")
        return numbers + counted(parameters, 2, "policy params")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError (number 10 where the parameters don't fill their length)."""
        policy_no = reader.number(1, "Policy no")
        protocol = reader.number(1, "Prot type", {0: "SRTP"})
        end = reader.number(2, "Policy param length") + reader.offset
        parameters = []
        while reader.offset < end:
            if end - reader.offset < 2:
                raise MikeyError("SP: a parameter is cut short", ErrorNumber.INVALID_SP_PARAMETER)
            kind = reader.number(1, "policy param type")
            length = reader.number(1, "policy param length")
            if length > end - reader.offset:
                raise MikeyError(f"SP: parameter {kind} runs past the payload", ErrorNumber.INVALID_SP_PARAMETER)
            parameters.append((kind, reader.take(length, "policy param value")))
        return cls(policy_no=policy_no, protocol=protocol, parameters=tuple(parameters))


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralExtension:
    """General extension (RFC 3830 6.15): a type and its data."""

    TYPE: ClassVar[int] = PayloadType.GENERAL_EXTENSION
    NAME: ClassVar[str] = "General Extension"
    CLAUSE: ClassVar[str] = "RFC 3830 6.15"
    kind: int
    data: bytes

    def body(self) -> bytes:
        """The octets of type, length, data."""
        return number(self.kind, 1, "extension type") + counted(self.data, 2, "extension data")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError."""
        kind = reader.number(1, "Type", {0: "vendor ID", 1: "SDP IDs", 7: "MCX key parameters", 245: "pc5lab binding"})
        return cls(kind=kind, data=reader.take(reader.number(2, "Length"), "Data"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sakke:
    """SAKKE (RFC 6509 4.2): parameter set, identifier scheme, encapsulated data."""

    TYPE: ClassVar[int] = PayloadType.SAKKE
    NAME: ClassVar[str] = "SAKKE"
    CLAUSE: ClassVar[str] = "RFC 6509 4.2"
    parameters: int = 1
    scheme: int
    data: bytes

    def body(self) -> bytes:
        """The octets of SAKKE params, ID scheme, length, data."""
        numbers = number(self.parameters, 1, "SAKKE params") + number(self.scheme, 1, "ID scheme")
        return numbers + counted(self.data, 2, "SAKKE data")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError."""
        parameters = reader.number(1, "SAKKE params", {1: "parameter set 1"})
        scheme = reader.number(1, "ID scheme", {1: "tel URI with monthly keys", 2: "33.180 hashed UID"})
        length = reader.number(2, "SAKKE data length")
        if parameters == PARAMETER_SET and length == SED_OCTETS:
            return cls(parameters=parameters, scheme=scheme, data=reader.take_parts(SED_PARTS))
        return cls(parameters=parameters, scheme=scheme, data=reader.take(length, "SAKKE data"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorNotice:
    """ERR (RFC 3830 6.12): an error number; 16 reserved bits."""

    TYPE: ClassVar[int] = PayloadType.ERR
    NAME: ClassVar[str] = "ERR"
    CLAUSE: ClassVar[str] = "RFC 3830 6.12"
    error_number: int
    reserved: int = 0

    def body(self) -> bytes:
        """The octets of Error no, reserved."""
        return number(self.error_number, 1, "Error no") + number(self.reserved, 2, "reserved")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError."""
        meanings = {int(error): error.name.replace("_", " ").lower() for error in ErrorNumber}
        return cls(error_number=reader.number(1, "Error no", meanings), reserved=reader.number(2, "Reserved"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kemac:
    """KEMAC (RFC 3830 6.2) of the pre-shared and public key methods: carried, not opened."""

    TYPE: ClassVar[int] = PayloadType.KEMAC
    NAME: ClassVar[str] = "KEMAC"
    CLAUSE: ClassVar[str] = "RFC 3830 6.2"
    encryption: int
    data: bytes
    mac_algorithm: int
    mac: bytes

    def body(self) -> bytes:
        """The octets of Encr alg, length, data, MAC alg, MAC."""
        data = number(self.encryption, 1, "Encr alg") + counted(self.data, 2, "Encr data")
        return data + number(self.mac_algorithm, 1, "Mac alg") + self.mac

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError."""
        encryption = reader.number(1, "Encr alg", {0: "NULL", 1: "AES-CM-128", 2: "AES-KW-128"})
        data = reader.take(reader.number(2, "Encr data len"), "Encr data")
        algorithm = reader.number(1, "Mac alg", {0: "NULL", 1: "HMAC-SHA-1-160"})
        return cls(encryption=encryption, data=data, mac_algorithm=algorithm, mac=_mac(reader, algorithm))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """V (RFC 3830 6.9) of the pre-shared and public key methods: carried, not checked."""

    TYPE: ClassVar[int] = PayloadType.V
    NAME: ClassVar[str] = "V"
    CLAUSE: ClassVar[str] = "RFC 3830 6.9"
    mac_algorithm: int
    mac: bytes

    def body(self) -> bytes:
        """The octets of Auth alg, Ver data."""
        return number(self.mac_algorithm, 1, "Auth alg") + self.mac

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError."""
        algorithm = reader.number(1, "Auth alg", {0: "NULL", 1: "HMAC-SHA-1-160"})
        return cls(mac_algorithm=algorithm, mac=_mac(reader, algorithm))


def _mac(reader: Reader, algorithm: int) -> bytes:
    if algorithm not in MAC_OCTETS:
        raise MikeyError(f"{reader.payload}: MAC algorithm {algorithm} is not known", ErrorNumber.INVALID_MAC)
    return reader.take(MAC_OCTETS[algorithm], "MAC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """SIGN (RFC 3830 6.5, RFC 6509 4.3): always last, it has no next-payload octet."""

    TYPE: ClassVar[int] = PayloadType.SIGN
    NAME: ClassVar[str] = "SIGN"
    CLAUSE: ClassVar[str] = "RFC 3830 6.5, RFC 6509 4.3"
    kind: int = SIGNATURE_TYPE_ECCSI
    signature: bytes

    def body(self) -> bytes:
        """S type (4 bits) and length (12 bits), signature."""
        if not 0 <= self.kind < 16 or len(self.signature) > 0xFFF:
            raise MikeyError(f"SIGN: type {self.kind} or length {len(self.signature)} out of range")
        return number(self.kind << 12 | len(self.signature), 2, "SIGN header") + self.signature

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the body; raises MikeyError."""
        header = reader.number(2, "S type, signature len")
        kind, length = header >> 12, header & 0xFFF
        reader.reword(f"type {kind}{' (ECCSI)' if kind == SIGNATURE_TYPE_ECCSI else ''}, {length} octets")
        if kind == SIGNATURE_TYPE_ECCSI and length == ECCSI_OCTETS:
            return cls(kind=kind, signature=reader.take_parts(ECCSI_PARTS))
        return cls(kind=kind, signature=reader.take(length, "Signature"))


Payload = (
    Timestamp
    | Rand
    | Identity
    | IdentityRole
    | Certificate
    | SecurityPolicy
    | GeneralExtension
    | Sakke
    | ErrorNotice
    | Kemac
    | Verification
    | Signature
)
PAYLOADS: tuple[type[Payload], ...] = (
    Timestamp,
    Rand,
    Identity,
    IdentityRole,
    Certificate,
    SecurityPolicy,
    GeneralExtension,
    Sakke,
    ErrorNotice,
    Kemac,
    Verification,
    Signature,
)
