"""The I_MESSAGE of the `identity` profile: one fixed list of payloads, bound to a DCR, DCA or rekey by a hash.

A plain I_MESSAGE is not bound to the message that carries it: moved into another request, it would still verify. So the
profile adds a general extension with a kind and the SHA-256 of the octets that come before it in its PC5-S message
(PROFILE 4), and the signature covers that. A receiver takes exactly one form: these payloads in this order with these
lengths, identities that are the ones in the PC5-S message, KMSs that speak for them. All of that is checked before any
curve operation, and each check has a name that rows of the test matrix refer to.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import IntEnum

from security.eccsi.eccsi import SIGNATURE_OCTETS
from security.identifiers import KmsDomain, UserKeys
from security.mikey.codec import MapType, Prf
from security.mikey.errors import MikeyError, ProfileFormError
from security.mikey.i_message import RAND_OCTETS, IMessage, create_i_message, parse_i_message
from security.mikey.numbers import IdType, Role, TimestampType
from security.mikey.payloads import (
    GeneralExtension,
    IdentityRole,
    Rand,
    Sakke,
    Signature,
    Timestamp,
)
from security.random_source import RandomSource
from security.sakke.parameters import PARAMETER_SET, SED_OCTETS

EXTENSION_TYPE = 245
"""General extension of the private range: kind (1 octet) || binding hash (32) (P)."""
HASH_OCTETS = 32
LAYOUT = (
    Timestamp,
    Rand,
    IdentityRole,
    IdentityRole,
    IdentityRole,
    IdentityRole,
    GeneralExtension,
    Sakke,
    Signature,
)
ROLES = (Role.INITIATOR, Role.RESPONDER, Role.INITIATOR_KMS, Role.RESPONDER_KMS)


class Kind(IntEnum):
    """The purpose of an I_MESSAGE: first octet of the extension (P)."""

    REQUEST = 1
    ACCEPT = 2
    GROUP = 3
    REKEY_REQUEST = 4
    REKEY_RESPONSE = 5
    GROUP_ASK = 6


CSB_TAGS = {
    Kind.REQUEST: 0xD,
    Kind.ACCEPT: 0xE,
    Kind.GROUP: 0xC,
    Kind.REKEY_REQUEST: 0xD,
    Kind.REKEY_RESPONSE: 0xE,
    Kind.GROUP_ASK: 0xC,
}
"""Top four bits of the CSB-ID by kind (P)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileIMessage:
    """A profile I_MESSAGE whose form is right; its signature and its key are not checked yet."""

    i_message: IMessage
    kind: Kind
    binding_hash: bytes
    initiator_uri: str
    responder_uri: str
    initiator_kms_uri: str
    responder_kms_uri: str

    @property
    def ntp_s(self) -> float:
        """T in seconds since 1900-01-01."""
        return self.i_message.timestamp.ntp_s

    @property
    def signed_part(self) -> bytes:
        """S(I), octets (PROFILE 1)."""
        return self.i_message.signed_part


def build_profile_i_message(
    kind: int,
    binding_hash: bytes,
    *,
    keys: UserKeys,
    initiator_domain: KmsDomain,
    responder_uri: str,
    responder_domain: KmsDomain,
    ntp_s: float,
    ssv: bytes,
    random: RandomSource,
) -> bytes:
    """Make a profile I_MESSAGE of `keys`'s owner to `responder_uri`, carrying a hash of 32 octets.

    `random` gives the CSB-ID's 28 bits, RAND and the signature's entropy, in this order.
    Raises ProfileFormError, EncapsulationError, SigningKeyError, IdentityError, MikeyError.
    """
    if kind not in tuple(Kind) or len(binding_hash) != HASH_OCTETS:
        raise ProfileFormError("kind", f"kind {kind} or a binding hash of {len(binding_hash)} octets can't be")
    csb_id = CSB_TAGS[Kind(kind)] << 28 | int.from_bytes(random(4), "big") & 0x0FFFFFFF
    return create_i_message(
        keys=keys,
        initiator_domain=initiator_domain,
        responder_uri=responder_uri,
        responder_domain=responder_domain,
        ntp_s=ntp_s,
        ssv=ssv,
        csb_id=csb_id,
        random=random,
        extensions=(GeneralExtension(kind=EXTENSION_TYPE, data=bytes([kind]) + binding_hash),),
    )


def parse_profile_i_message(octets: bytes) -> ProfileIMessage:
    """Octets to a profile I_MESSAGE: exactly its payload list, its lengths and its header; raises ProfileFormError.

    `check` of the error is decode, payloads, header, time, identities, extension, kind, tag, sakke.
    """
    try:
        i_message = parse_i_message(octets)
    except MikeyError as exc:
        raise ProfileFormError("decode", str(exc)) from exc
    payloads = i_message.message.payloads
    if tuple(type(payload) for payload in payloads) != LAYOUT:
        names = ", ".join(payload.NAME for payload in payloads)
        raise ProfileFormError("payloads", f"not the profile's list of payloads: {names}")
    _check_header(i_message)
    kind, binding_hash = _read_extension(i_message)
    if i_message.csb_id >> 28 != CSB_TAGS[kind]:
        raise ProfileFormError("tag", f"CSB-ID 0x{i_message.csb_id:08x} is not of kind {kind}")
    _check_sakke(i_message)
    uris = _read_identities(i_message)
    return ProfileIMessage(
        i_message=i_message,
        kind=kind,
        binding_hash=binding_hash,
        initiator_uri=uris[0],
        responder_uri=uris[1],
        initiator_kms_uri=uris[2],
        responder_kms_uri=uris[3],
    )


def check_profile_i_message(
    octets: bytes,
    *,
    kind: int,
    binding_hash: bytes,
    initiator_uri: str,
    responder_uri: str,
    initiator_domain: KmsDomain,
    responder_domain: KmsDomain,
) -> ProfileIMessage:
    """Decode a profile I_MESSAGE and check that it belongs to this message. Raises ProfileFormError.

    Besides the names of `parse_profile_i_message`, `check` is kind, binding-hash, identities, kms, scheme. No curve
    operation is done.
    """
    parsed = parse_profile_i_message(octets)
    if parsed.kind != kind:
        raise ProfileFormError("kind", f"an I_MESSAGE of kind {parsed.kind} where kind {kind} belongs")
    if not hmac.compare_digest(parsed.binding_hash, binding_hash):
        raise ProfileFormError("binding-hash", "the I_MESSAGE was made for other octets than those before it")
    if (parsed.initiator_uri, parsed.responder_uri) != (initiator_uri, responder_uri):
        raise ProfileFormError("identities", "IDRi and IDRr are not the users the message names")
    if (parsed.initiator_kms_uri, parsed.responder_kms_uri) != (initiator_domain.uri, responder_domain.uri):
        raise ProfileFormError("kms", "IDRkmsi or IDRkmsr is not the KMS that speaks for its user")
    if parsed.i_message.sakke.scheme != responder_domain.uid_scheme:
        raise ProfileFormError(
            "scheme", f"identifier scheme {parsed.i_message.sakke.scheme} is not the receiver's KMS's"
        )
    return parsed


def _check_header(i_message: IMessage) -> None:
    header = i_message.message.header
    if header.v or header.prf != Prf.HMAC_SHA_256 or header.map_type != MapType.EMPTY or header.crypto_sessions:
        raise ProfileFormError("header", "HDR is not V 0, PRF-HMAC-SHA-256, no crypto sessions, empty map")
    if i_message.timestamp.kind != TimestampType.NTP_UTC:
        raise ProfileFormError("time", f"T is of type {i_message.timestamp.kind}, not NTP-UTC")
    if len(i_message.rand) != RAND_OCTETS:
        raise ProfileFormError("payloads", f"RAND has {len(i_message.rand)} octets, not {RAND_OCTETS}")


def _read_extension(i_message: IMessage) -> tuple[Kind, bytes]:
    (extension,) = i_message.extensions
    if extension.kind != EXTENSION_TYPE or len(extension.data) != 1 + HASH_OCTETS:
        raise ProfileFormError("extension", f"general extension of type {extension.kind}, {len(extension.data)} octets")
    if extension.data[0] not in tuple(Kind):
        raise ProfileFormError("kind", f"kind {extension.data[0]} is not known")
    return Kind(extension.data[0]), extension.data[1:]


def _check_sakke(i_message: IMessage) -> None:
    sakke = i_message.sakke
    if (
        sakke.parameters != PARAMETER_SET
        or len(sakke.data) != SED_OCTETS
        or len(i_message.signature) != SIGNATURE_OCTETS
    ):
        raise ProfileFormError("sakke", f"SAKKE parameter set {sakke.parameters} with {len(sakke.data)} octets")


def _read_identities(i_message: IMessage) -> tuple[str, str, str, str]:
    identities = [payload for payload in i_message.message.payloads if isinstance(payload, IdentityRole)]
    if tuple(identity.role for identity in identities) != ROLES or any(one.kind != IdType.URI for one in identities):
        raise ProfileFormError("identities", "the IDRs are not IDRi, IDRr, IDRkmsi, IDRkmsr, all URIs")
    try:
        uris = [i_message.role_uri(role) for role in ROLES]
    except MikeyError as exc:
        raise ProfileFormError("identities", str(exc)) from exc
    return (uris[0] or "", uris[1] or "", uris[2] or "", uris[3] or "")
