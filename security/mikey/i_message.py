"""The I_MESSAGE of MIKEY-SAKKE (RFC 6509 2): made, taken apart, verified and opened, each a step of its own.

One message brings a key from an initiator to a responder: HDR, T (time), RAND, IDRs (both ends and their KMSs), maybe
CERT, SP and extensions, SAKKE (the encapsulated key), SIGN (ECCSI over all octets before the signature). A receiver
goes through it in the order of cost: parse, look at identities and time, verify the signature, and only then open the
SAKKE payload, which is a pairing. The steps are separate functions, since each caller has its own checks in between.

The identifiers of both ends depend on the key period at T and on the scheme of each end's own KMS, so the signature is
verified under the initiator's KMS and SAKKE opened under the responder's. Only `signed_part` is ever hashed or
remembered: a signature can be changed into another good one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from security import sakke
from security.eccsi import eccsi
from security.eccsi.eccsi import SIGNATURE_OCTETS, SignatureError
from security.identifiers import KmsDomain, UserKeys, identity_octets
from security.mikey.codec import CryptoSession, DataType, Header, MapType, MikeyMessage, Prf, decode, encode
from security.mikey.errors import ErrorNumber, MikeyError
from security.mikey.numbers import SIGNATURE_TYPE_ECCSI, Role
from security.mikey.payloads import (
    Certificate,
    GeneralExtension,
    IdentityRole,
    Payload,
    Rand,
    Sakke,
    SecurityPolicy,
    Signature,
    Timestamp,
)
from security.random_source import RandomSource
from security.sakke.parameters import PARAMETER_SET

RAND_OCTETS = 16
NTP_FRACTION = 1 << 32

P = TypeVar("P", Timestamp, Rand, Sakke)


@dataclass(frozen=True, slots=True, kw_only=True)
class IMessage:
    """A decoded I_MESSAGE: `octets` as received, `signed_part` up to and including the SIGN header."""

    octets: bytes
    signed_part: bytes
    message: MikeyMessage
    timestamp: Timestamp
    rand: bytes
    sakke: Sakke
    signature: bytes

    @property
    def csb_id(self) -> int:
        """CSB ID of the header (32 bits)."""
        return self.message.header.csb_id

    @property
    def extensions(self) -> tuple[GeneralExtension, ...]:
        """General extensions in order."""
        return tuple(payload for payload in self.message.payloads if isinstance(payload, GeneralExtension))

    def role(self, *roles: int) -> bytes | None:
        """ID data (octets) of the first IDR with one of these roles, or None (RFC 6043 6.6)."""
        for payload in self.message.payloads:
            if isinstance(payload, IdentityRole) and payload.role in roles:
                return payload.data
        return None

    def role_uri(self, *roles: int) -> str | None:
        """ID data of the first IDR with one of these roles, as text. Raises MikeyError if it is not visible ASCII."""
        data = self.role(*roles)
        return None if data is None else _as_uri(data)

    def role_uris(self, role: int) -> tuple[str, ...]:
        """All IDRs with a role as text; raises MikeyError where one is no visible ASCII."""
        identities = (payload for payload in self.message.payloads if isinstance(payload, IdentityRole))
        return tuple(_as_uri(identity.data) for identity in identities if identity.role == role)


def _as_uri(data: bytes) -> str:
    if not data or not all(0x21 <= octet <= 0x7E for octet in data):
        raise MikeyError("an identity is not visible ASCII", ErrorNumber.INVALID_ID)
    return data.decode("ascii")


def parse_i_message(octets: bytes) -> IMessage:
    """Decode an I_MESSAGE. Raises MikeyError unless it has T, RAND, one SAKKE and an ECCSI SIGN (RFC 6509 2.1)."""
    message = decode(octets)
    if message.header.data_type != DataType.SAKKE:
        raise MikeyError(
            f"data type {message.header.data_type} is no MIKEY-SAKKE I_MESSAGE (26)", ErrorNumber.INVALID_DATA_TYPE
        )
    payloads = message.payloads
    if not payloads or not isinstance(payloads[0], Timestamp):
        raise MikeyError("T must be the first payload behind HDR", ErrorNumber.INVALID_TIMESTAMP)
    sign = payloads[-1]
    if not isinstance(sign, Signature):
        raise MikeyError("the I_MESSAGE is not signed", ErrorNumber.AUTHENTICATION_FAILURE)
    if sign.kind != SIGNATURE_TYPE_ECCSI or len(sign.signature) != SIGNATURE_OCTETS:
        raise MikeyError(
            f"SIGN of type {sign.kind} with {len(sign.signature)} octets is no ECCSI signature",
            ErrorNumber.AUTHENTICATION_FAILURE,
        )
    return IMessage(
        octets=octets,
        signed_part=octets[: -len(sign.signature)],
        message=message,
        timestamp=_only(payloads, Timestamp),
        rand=_only(payloads, Rand).rand,
        sakke=_only(payloads, Sakke),
        signature=sign.signature,
    )


def signed_part(i_message: bytes) -> bytes:
    """S(I): HDR up to and including the 2-octet SIGN header; raises MikeyError (RFC 3830 5.2)."""
    return parse_i_message(i_message).signed_part


def _only(payloads: tuple[Payload, ...], kind: type[P]) -> P:
    found = [payload for payload in payloads if isinstance(payload, kind)]
    if len(found) != 1:
        raise MikeyError(f"an I_MESSAGE has one {kind.NAME} payload, this one {len(found)}")
    return found[0]


def sign_message(
    message: MikeyMessage, *, keys: UserKeys, kpak: bytes, entropy: bytes, with_sign_header: bool = True
) -> bytes:
    """Append an ECCSI SIGN payload to a message and encode it; raises SigningKeyError, MikeyError.

    The signature covers all octets before it; `with_sign_header=False` leaves out the SIGN header, as some others do.
    """
    unsigned = replace(message, payloads=(*message.payloads, Signature(signature=bytes(SIGNATURE_OCTETS))))
    covered = encode(unsigned)[:-SIGNATURE_OCTETS]
    signed = covered if with_sign_header else covered[:-2]
    signature = eccsi.sign(signed, ssk=keys.ssk, pvt=keys.pvt, uid=keys.uid, kpak=kpak, entropy=entropy)
    return covered + signature


def create_i_message(
    *,
    keys: UserKeys,
    initiator_domain: KmsDomain,
    responder_uri: str,
    responder_domain: KmsDomain,
    ntp_s: float,
    ssv: bytes,
    csb_id: int,
    random: RandomSource,
    identities: tuple[IdentityRole, ...] | None = None,
    certificates: tuple[Certificate, ...] = (),
    policies: tuple[SecurityPolicy, ...] = (),
    extensions: tuple[GeneralExtension, ...] = (),
    crypto_sessions: tuple[CryptoSession, ...] = (),
    map_type: int = MapType.EMPTY,
    prf: int = Prf.HMAC_SHA_256,
) -> bytes:
    """Make an I_MESSAGE: HDR, T, RAND, IDRs, CERT, SP, extensions, SAKKE, SIGN (RFC 6509 2.1).

    The 16-octet `ssv` is encapsulated to `responder_uri` in its KMS's key period of `ntp_s`; `keys` sign. `random`
    gives RAND and the signature's entropy. Raises EncapsulationError, SigningKeyError, IdentityError, MikeyError.
    """
    if identities is None:
        identities = uri_identities(keys.uri, responder_uri, initiator_domain, responder_domain)
    payloads: tuple[Payload, ...] = (
        Timestamp(value=ntp_timestamp(ntp_s)),
        Rand(rand=random(RAND_OCTETS)),
        *identities,
        *certificates,
        *policies,
        *extensions,
        Sakke(
            parameters=PARAMETER_SET,
            scheme=responder_domain.uid_scheme,
            data=sakke.encapsulate(ssv, responder_domain.uid(responder_uri, ntp_s), responder_domain.z),
        ),
    )
    header = Header(prf=prf, csb_id=csb_id, map_type=map_type, crypto_sessions=crypto_sessions)
    message = MikeyMessage(header=header, payloads=payloads)
    entropy = random(eccsi.ENTROPY_OCTETS)
    return sign_message(message, keys=keys, kpak=initiator_domain.kpak, entropy=entropy)


def uri_identities(
    initiator_uri: str, responder_uri: str, initiator_domain: KmsDomain, responder_domain: KmsDomain
) -> tuple[IdentityRole, ...]:
    """IDRi, IDRr, IDRkmsi, IDRkmsr with URIs (RFC 6509 2.1)."""
    return (
        IdentityRole(role=Role.INITIATOR, data=identity_octets(initiator_uri)),
        IdentityRole(role=Role.RESPONDER, data=identity_octets(responder_uri)),
        IdentityRole(role=Role.INITIATOR_KMS, data=identity_octets(initiator_domain.uri)),
        IdentityRole(role=Role.RESPONDER_KMS, data=identity_octets(responder_domain.uri)),
    )


def uid_identities(
    initiator_uid: bytes, responder_uid: bytes, initiator_domain: KmsDomain, responder_domain: KmsDomain
) -> tuple[IdentityRole, ...]:
    """The identities as UIDs, which don't show the users' URIs, and the KMSs as URIs (TS 33.180 E.2)."""
    return (
        IdentityRole(role=Role.INITIATOR_UID, data=initiator_uid),
        IdentityRole(role=Role.RESPONDER_UID, data=responder_uid),
        IdentityRole(role=Role.INITIATOR_KMS, data=identity_octets(initiator_domain.uri)),
        IdentityRole(role=Role.RESPONDER_KMS, data=identity_octets(responder_domain.uri)),
    )


def ntp_timestamp(ntp_s: float) -> int:
    """Seconds since 1900 as a 64-bit NTP time; raises MikeyError out of era 0 (RFC 5905 6)."""
    value = int(ntp_s * NTP_FRACTION)
    if not 0 <= value < 1 << 64:
        raise MikeyError(f"{ntp_s} s is outside of NTP era 0", ErrorNumber.INVALID_TIMESTAMP)
    return value


def verify_i_message(
    i_message: IMessage, *, uid: bytes, kpak: bytes, tolerate_unsigned_sign_header: bool = False
) -> None:
    """Verify the ECCSI signature as the signer with this identifier; raises SignatureError (RFC 6509 4.3).

    `tolerate_unsigned_sign_header` also takes signatures that leave out the SIGN header, as some implementations make.
    """
    try:
        eccsi.verify(i_message.signed_part, i_message.signature, uid=uid, kpak=kpak)
    except SignatureError:
        if not tolerate_unsigned_sign_header:
            raise
        eccsi.verify(i_message.signed_part[:-2], i_message.signature, uid=uid, kpak=kpak)


def extract_ssv(i_message: IMessage, *, rsk: bytes, uid: bytes, z: bytes) -> bytes:
    """Open the SAKKE payload: the 16-octet SSV (RFC 6509 3.1).

    Raises DecapsulationError, ReceiverKeyError, MikeyError.
    """
    if i_message.sakke.parameters != PARAMETER_SET:
        raise MikeyError(
            f"SAKKE parameter set {i_message.sakke.parameters} is not supported", ErrorNumber.UNSUPPORTED_TYPE
        )
    return sakke.decapsulate(i_message.sakke.data, rsk=rsk, uid=uid, z=z)
