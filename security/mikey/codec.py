"""MIKEY messages to octets and back: the common header, and the chain of payloads behind it.

A message is HDR and payloads; each payload begins with the type of the one after it, and SIGN comes last. Decoding is
total: it gives a message or raises MikeyError with the number that the RFC has for the fault, bounds the number of
payloads and the length, and takes nothing behind the last payload. A message that decodes encodes to the same octets:
that matters because signatures cover octets. While reading, every field notes its place and meaning (`annotate`); dumps
and the tests of the Wireshark plug-in use these notes, and there is no second parser.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from security.mikey.errors import ErrorNumber, MikeyError
from security.mikey.numbers import PayloadType
from security.mikey.payloads import PAYLOADS, Payload, Signature
from security.mikey.wire import Annotation, Reader, counted, number

VERSION = 1
"""RFC 3830 6.1."""
MAX_PAYLOADS = 64
"""More payloads in a chain than any method has (P)."""
MAX_MESSAGE_OCTETS = 65_535

_BY_TYPE = {payload.TYPE: payload for payload in PAYLOADS}
_TYPE_NAMES = {int(kind): kind.name.replace("_", " ") for kind in PayloadType}


class DataType(IntEnum):
    """Data type of the header (RFC 3830 6.1, RFC 6509 4.1)."""

    PRE_SHARED = 0
    PRE_SHARED_VERIFICATION = 1
    ERROR = 6
    SAKKE = 26


class Prf(IntEnum):
    """PRF func (RFC 3830 6.1, RFC 6043 6.1)."""

    HMAC_SHA_1 = 0
    HMAC_SHA_256 = 1


class MapType(IntEnum):
    """CS ID map type (RFC 3830 6.1, RFC 4563 4, RFC 6043 6.1.1)."""

    SRTP_ID = 0
    EMPTY = 1
    GENERIC_ID = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SrtpCryptoSession:
    """An entry of the SRTP-ID map (RFC 3830 6.1.1)."""

    policy_no: int
    ssrc: int
    roc: int

    def encode(self) -> bytes:
        """Policy no, SSRC, ROC (9 octets)."""
        return number(self.policy_no, 1, "Policy no") + number(self.ssrc, 4, "SSRC") + number(self.roc, 4, "ROC")


@dataclass(frozen=True, slots=True, kw_only=True)
class GenericCryptoSession:
    """An entry of the GENERIC-ID map (RFC 6043 6.1.1); `session_specific` is its S bit."""

    cs_id: int
    protocol: int
    session_specific: bool = False
    policies: bytes = b""
    session_data: bytes = b""
    spi: bytes = b""

    def encode(self) -> bytes:
        """The octets of CS ID, Prot type, S and #P, Ps, session data, SPI (RFC 6043 6.1.1)."""
        if len(self.policies) > 0x7F:
            raise MikeyError(f"GENERIC-ID: {len(self.policies)} policies, at most 127")
        return (
            number(self.cs_id, 1, "CS ID")
            + number(self.protocol, 1, "Prot type")
            + number(self.session_specific << 7 | len(self.policies), 1, "S, #P")
            + self.policies
            + counted(self.session_data, 2, "session data")
            + counted(self.spi, 1, "SPI")
        )


CryptoSession = SrtpCryptoSession | GenericCryptoSession
_SESSIONS: dict[int, type[CryptoSession]] = {
    MapType.SRTP_ID: SrtpCryptoSession,
    MapType.GENERIC_ID: GenericCryptoSession,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """HDR (RFC 3830 6.1) without the next-payload octet, which follows from the payloads."""

    data_type: int = DataType.SAKKE
    v: bool = False
    prf: int = Prf.HMAC_SHA_256
    csb_id: int
    map_type: int = MapType.EMPTY
    crypto_sessions: tuple[CryptoSession, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MikeyMessage:
    """A message: HDR and payloads in order."""

    header: Header
    payloads: tuple[Payload, ...]


def encode(message: MikeyMessage) -> bytes:
    """A message's octets; raises MikeyError for a value that has no place on the wire."""
    payloads = message.payloads
    followers = [*(int(payload.TYPE) for payload in payloads), int(PayloadType.LAST)]
    if any(isinstance(payload, Signature) for payload in payloads[:-1]):
        raise MikeyError("SIGN can only be the last payload")
    octets = _encode_header(message.header, followers[0])
    for payload, follower in zip(payloads, followers[1:], strict=True):
        octets += payload.body() if isinstance(payload, Signature) else bytes([follower]) + payload.body()
    return octets


def decode(octets: bytes) -> MikeyMessage:
    """Octets to a message; `encode` gives the same octets back. Raises MikeyError."""
    return _read(octets, [])


def annotate(octets: bytes) -> tuple[list[Annotation], MikeyMessage | None, MikeyError | None]:
    """The fields of a message as far as it can be read, with their octets.

    Returns (fields, the message or None, the fault or None).
    """
    annotations: list[Annotation] = []
    try:
        return annotations, _read(octets, annotations), None
    except MikeyError as error:
        return annotations, None, error


def _read(octets: bytes, annotations: list[Annotation]) -> MikeyMessage:
    if len(octets) > MAX_MESSAGE_OCTETS:
        raise MikeyError(f"a message of {len(octets)} octets is too long")
    reader = Reader(octets)
    reader.annotations = annotations
    header, follower = _read_header(reader)
    payloads: list[Payload] = []
    while follower != PayloadType.LAST:
        kind = _BY_TYPE.get(follower)
        if kind is None:
            raise MikeyError(f"payload type {follower} is not supported", ErrorNumber.UNSUPPORTED_TYPE)
        if len(payloads) == MAX_PAYLOADS:
            raise MikeyError(f"more than {MAX_PAYLOADS} payloads")
        reader.payload, reader.clause = kind.NAME, kind.CLAUSE
        follower = PayloadType.LAST if kind is Signature else _read_follower(reader)
        payloads.append(kind.read(reader))
    if reader.left:
        raise MikeyError(f"{reader.left} octets behind the last payload")
    return MikeyMessage(header=header, payloads=tuple(payloads))


def _read_follower(reader: Reader) -> int:
    return reader.number(1, "Next payload", _TYPE_NAMES)


def _encode_header(header: Header, follower: int) -> bytes:
    count = len(header.crypto_sessions)
    expected = _SESSIONS.get(header.map_type, ())
    if not all(isinstance(session, expected) for session in header.crypto_sessions):
        raise MikeyError(f"the crypto sessions don't fit CS ID map type {header.map_type}")
    return (
        number(VERSION, 1, "version")
        + number(header.data_type, 1, "data type")
        + number(follower, 1, "next payload")
        + number(header.v << 7 | header.prf, 1, "V, PRF func")
        + number(header.csb_id, 4, "CSB ID")
        + number(count, 1, "#CS")
        + number(header.map_type, 1, "CS ID map type")
        + b"".join(session.encode() for session in header.crypto_sessions)
    )


def _read_header(reader: Reader) -> tuple[Header, int]:
    reader.payload, reader.clause = "HDR", "RFC 3830 6.1"
    version = reader.number(1, "version")
    if version != VERSION:
        raise MikeyError(f"MIKEY version {version} is not supported")
    data_type = reader.number(1, "data type", {0: "pre-shared", 1: "pre-shared, verification", 6: "error", 26: "SAKKE"})
    follower = _read_follower(reader)
    v_prf = reader.number(1, "V, PRF func")
    prf = v_prf & 0x7F
    if prf not in tuple(Prf):
        raise MikeyError(f"PRF function {prf} is not known", ErrorNumber.INVALID_PRF)
    reader.reword(f"V={v_prf >> 7}, PRF {prf} ({Prf(prf).name.replace('_', '-')})")
    csb_id = reader.number(4, "CSB ID")
    reader.reword(f"0x{csb_id:08x} ({purpose_of(csb_id)})")
    count = reader.number(1, "#CS")
    map_type = reader.number(1, "CS ID map type", {int(kind): kind.name.replace("_", "-") for kind in MapType})
    sessions = tuple(_read_crypto_session(reader, map_type) for _ in range(count))
    header = Header(
        data_type=data_type, v=bool(v_prf >> 7), prf=prf, csb_id=csb_id, map_type=map_type, crypto_sessions=sessions
    )
    return header, follower


def _read_crypto_session(reader: Reader, map_type: int) -> CryptoSession:
    if map_type == MapType.SRTP_ID:
        policy_no = reader.number(1, "CS: Policy no")
        return SrtpCryptoSession(
            policy_no=policy_no, ssrc=reader.number(4, "CS: SSRC"), roc=reader.number(4, "CS: ROC")
        )
    if map_type != MapType.GENERIC_ID:
        raise MikeyError(f"CS ID map type {map_type} can't hold crypto sessions")
    cs_id = reader.number(1, "CS: CS ID")
    protocol = reader.number(1, "CS: Prot type", {0: "SRTP"})
    s_p = reader.number(1, "CS: S, #P")
    policies = reader.take(s_p & 0x7F, "CS: policies")
    session_data = reader.take(reader.number(2, "CS: session data length"), "CS: session data")
    return GenericCryptoSession(
        cs_id=cs_id,
        protocol=protocol,
        session_specific=bool(s_p >> 7),
        policies=policies,
        session_data=session_data,
        spi=reader.take(reader.number(1, "CS: SPI length"), "CS: SPI"),
    )


PURPOSES = {
    0x0: "33.180 GMK, group call",
    0x1: "33.180 PCK, private call",
    0x2: "33.180 CSK, client to server",
    0x3: "33.180 SPK, between servers",
    0x4: "33.180 MKFC, group floor control",
    0x5: "33.180 MSCCK, group call control",
    0x6: "33.180 MuSiK, multicast signalling",
    0xC: "pc5lab group keying",
    0xD: "pc5lab link request",
    0xE: "pc5lab link accept",
}
"""The purpose of a key by the four top bits of the CSB-ID (TS 33.180 5.2; 0xC..0xE: `identity` profile)."""


def purpose_of(csb_id: int) -> str:
    """The purpose tag of a CSB-ID in words."""
    return PURPOSES.get(csb_id >> 28, f"purpose tag {csb_id >> 28:#x} not known")
