"""Signing and verifying statements of an identity map: ECCSI as `sip:identity-map@<KMS host>` (PROFILE 12).

A KMS never issues keys of this identity, and no message of it is accepted (`identifiers.is_map_signer`). So no
signature of a user can be taken for a statement, and no statement for a message. Its identifier is the hashed UID of TS
33.180 F.2.1 whatever the KMS's scheme is, since identifiers of scheme 1 are for tel URIs alone; a KMS of scheme 1 puts
its month number in, with period and offset 0. The key period is that of `issued`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from security.eccsi import eccsi
from security.identifiers import MAP_SIGNER_USER, IdentityError, KmsDomain, canonical_identity, hashed_uid
from security.identity_map.statement import MapStatement, StatementError
from security.random_source import RandomSource

_KMS_HOST: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:(?!\d+(?:/|$)))?(?://)?(?:[^/@]*@)?(\[[^\]]*\]|[^/:;?]+).*")
"""A KMS URI's host: after scheme and user part, before port, path and parameters."""


def map_signer(kms_uri: str) -> str:
    """The identity as which a KMS signs its map. Raises IdentityError for a KMS URI without a host."""
    found = _KMS_HOST.fullmatch(kms_uri)
    if found is None:
        raise IdentityError(f"KMS {kms_uri} has no host to sign an identity map for")
    return canonical_identity(f"sip:{MAP_SIGNER_USER}@{found[1].lower()}")


def map_signer_uid(domain: KmsDomain, period_no: int) -> bytes:
    """The identifier with which a KMS signs its map in a key period (32 octets). Raises IdentityError."""
    signer = map_signer(domain.uri)
    return hashed_uid(signer, domain.uri, domain.key_period_s, domain.key_period_offset_s, period_no)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSigningKeys:
    """A KMS's own keys to sign its map in one key period; they never leave it."""

    key_period_no: int
    uid: bytes
    ssk: bytes = field(repr=False)
    pvt: bytes


def sign_statement(statement: MapStatement, *, keys: MapSigningKeys, kpak: bytes, random: RandomSource) -> bytes:
    """The statement followed by its signature. Raises StatementError, SigningKeyError.

    `keys`: those of the key period of `issued`.
    """
    octets = statement.encode()
    return octets + eccsi.sign(
        octets, ssk=keys.ssk, pvt=keys.pvt, uid=keys.uid, kpak=kpak, entropy=random(eccsi.ENTROPY_OCTETS)
    )


def split_signed(signed: bytes) -> tuple[MapStatement, bytes]:
    """The statement in signed octets, and its signature, which is not verified; raises StatementError."""
    if len(signed) <= eccsi.SIGNATURE_OCTETS:
        raise StatementError("a signed statement of an identity map is cut short")
    return MapStatement.decode(signed[: -eccsi.SIGNATURE_OCTETS]), signed[-eccsi.SIGNATURE_OCTETS :]


def verify_statement(statement: MapStatement, signature: bytes, domain: KmsDomain) -> None:
    """Verify a statement of a trusted KMS; raises SignatureError, IdentityError."""
    uid = map_signer_uid(domain, domain.period_of(statement.issued_ntp_s))
    eccsi.verify(statement.encode(), signature, uid=uid, kpak=domain.kpak)
