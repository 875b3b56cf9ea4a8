"""ECCSI (RFC 6507) over P-256 and SHA-256, N = 32: identity-based signatures, and the keys a KMS extracts for them.

A verifier needs no certificate: it computes the signer's public key from the signer's identity and the KMS's public
key. Symbols of the RFC and where they are here: KSAK, KPAK the KMS's secret and public authentication key; SSK, PVT a
user's secret signing key and public validation token; ID the identifier `uid`; HS, HE hashes; Y the point that stands
for the user's public key.

* Extraction: the KMS draws v, PVT = [v]G, HS = H(G || KPAK || ID || PVT), SSK = KSAK + HS v mod q. It is a Schnorr
  signature of the KMS on the identity, handed out as a key. The user checks KPAK = [SSK]G - [HS]PVT.
* Signing: J = [j]G, r = J_x, HE = H(HS || r || M), s = j / (HE + r SSK) mod q; the signature is r || s || PVT.
* Verifying: Y = [HS]PVT + KPAK, which is [SSK]G; then J = [s]([HE]G + [r]Y) must have x = r.

Invariants. A nonce j that repeats, or that is known, gives SSK away, so j is a hash of SSK, fresh entropy and the
message (`sign`). (r, q - s) is another good signature of the same message, so nothing may depend on a signature's
octets: only signed parts are hashed or remembered. `verify` returns nothing and raises where the signature is bad.
Points come from peers: each is checked to be on the curve before use. SECURITY.md says what is not constant time.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from gmpy2 import invert, mpz

from security.eccsi import p256
from security.eccsi.p256 import Point
from security.errors import SecurityError
from security.random_source import RandomSource, random_scalar

SCALAR_OCTETS = 32
PVT_OCTETS = p256.POINT_OCTETS
SIGNATURE_OCTETS = 2 * SCALAR_OCTETS + PVT_OCTETS
"""r || s || PVT (RFC 6507 3.3)."""
ENTROPY_OCTETS = 32
VERIFIER_CACHE_ENTRIES = 1024

_ECDSA = ec.ECDSA(Prehashed(hashes.SHA256()))


class SignatureError(SecurityError):
    """An ECCSI signature does not verify, or is malformed."""


class SigningKeyError(SecurityError):
    """Signing keys fail the check of RFC 6507 5.1.2, or can't be extracted with this v."""


def generate_master_keys(random: RandomSource) -> tuple[bytes, bytes]:
    """Make a KMS's ECCSI key pair (KSAK 32 octets, KPAK 65 octets), RFC 6507 4.2."""
    ksak = random_scalar(random, int(p256.Q))
    return ksak.to_bytes(SCALAR_OCTETS, "big"), p256.encode_point(p256.multiply_base(ksak))


def public_authentication_key(ksak: bytes) -> bytes:
    """KPAK = [KSAK]G (65 octets, 04||x||y) of a KSAK of 32 octets, RFC 6507 4.2.

    Raises SigningKeyError for a KSAK out of range.
    """
    return p256.encode_point(p256.multiply_base(_scalar(ksak, "KSAK")))


def extract_signing_keys(ksak: bytes, uid: bytes, v: bytes) -> tuple[bytes, bytes]:
    """A user's (SSK 32 octets, PVT 65 octets) from KSAK, identifier and a fresh secret v of 32 octets, 1 <= v < q.

    Raises SigningKeyError where HS or SSK is zero or v out of range: the KMS then takes another v (RFC 6507 5.1.1).
    """
    secret = _scalar(ksak, "KSAK")
    nonce = _scalar(v, "v")
    pvt = p256.encode_point(p256.multiply_base(nonce))
    hs = hash_hs(public_authentication_key(ksak), uid, pvt)
    ssk = (secret + int.from_bytes(hs, "big") * nonce) % p256.Q
    if ssk == 0 or int.from_bytes(hs, "big") % p256.Q == 0:
        raise SigningKeyError("HS or SSK is zero; take another v")
    return int(ssk).to_bytes(SCALAR_OCTETS, "big"), pvt


def validate_signing_keys(*, ssk: bytes, pvt: bytes, uid: bytes, kpak: bytes) -> None:
    """Check KPAK = [SSK]G - [HS]PVT (RFC 6507 5.1.2), as a user does with new keys.

    Args:
        ssk: SSK, 32 octets.
        pvt: PVT, 65 octets.
        uid: ID, the identifier in a key period.
        kpak: KPAK, 65 octets.

    Raises:
        SigningKeyError: the keys are malformed, or not of this identity under this KPAK.
    """
    try:
        expected = p256.add(p256.multiply(_hs_scalar(kpak, uid, pvt), p256.decode_point(pvt)), p256.decode_point(kpak))
        actual = p256.multiply_base(_scalar(ssk, "SSK"))
    except p256.PointError as exc:
        raise SigningKeyError(f"signing keys rejected: {exc}") from exc
    if actual != expected:
        raise SigningKeyError("SSK and PVT do not belong to this identity under this KPAK")


def hash_hs(kpak: bytes, uid: bytes, pvt: bytes) -> bytes:
    """HS = H(G || KPAK || ID || PVT) (32 octets), RFC 6507 5.1.1 step 3."""
    return hashlib.sha256(p256.G_OCTETS + kpak + uid + pvt).digest()


def sign(message: bytes, *, ssk: bytes, pvt: bytes, uid: bytes, kpak: bytes, entropy: bytes) -> bytes:
    """Sign octets: r || s || PVT, 129 octets (RFC 6507 5.2.1).

    The nonce is hedged: j = HMAC-SHA-512(SSK, counter || lp(entropy) || lp(message)) mod (q-1) + 1, counter
    from 1, so that neither repeated nor weak entropy gives SSK away. `entropy`: 32 fresh octets.
    Raises SigningKeyError for malformed keys or entropy of another length.
    """
    if len(entropy) != ENTROPY_OCTETS:
        raise SigningKeyError(f"signing takes {ENTROPY_OCTETS} octets of entropy, got {len(entropy)}")
    if len(pvt) != PVT_OCTETS:
        raise SigningKeyError(f"PVT has {PVT_OCTETS} octets, got {len(pvt)}")
    secret = _scalar(ssk, "SSK")
    hs = hash_hs(kpak, uid, pvt)
    for counter in range(1, 256):
        signature = sign_with_nonce(message, ssk=secret, hs=hs, j=_hedged_nonce(ssk, counter, entropy, message))
        if signature is not None:
            return signature + pvt
    raise SigningKeyError("no usable nonce")


def sign_with_nonce(message: bytes, *, ssk: int, hs: bytes, j: int) -> bytes | None:
    """r || s, 64 octets, for a given nonce; None if RFC 6507 5.2.1 asks for another one.

    The nonce must never repeat.
    """
    r = int(p256.multiply_base(j)[0])
    he = hash_he(hs, r, message)
    denominator = (int.from_bytes(he, "big") + r * mpz(ssk)) % p256.Q
    if denominator == 0 or r == 0:
        return None
    s = int(invert(denominator, p256.Q) * j % p256.Q)
    return r.to_bytes(SCALAR_OCTETS, "big") + s.to_bytes(SCALAR_OCTETS, "big")


def hash_he(hs: bytes, r: int, message: bytes) -> bytes:
    """HE = H(HS || r || M) (32 octets), RFC 6507 5.2.1 step 4."""
    return hashlib.sha256(hs + r.to_bytes(SCALAR_OCTETS, "big") + message).digest()


def verify(message: bytes, signature: bytes, *, uid: bytes, kpak: bytes) -> None:
    """Verify r || s || PVT over octets by an identifier; raises SignatureError (RFC 6507 5.2.2).

    J = [s]([HE]G + [r]Y) has x = r: an ECDSA verification with public key Y and pair (r, 1/s mod q), except that ECDSA
    compares modulo q and ECCSI modulo p; the 2^-32 part of all r where that differs is computed here.
    """
    if len(signature) != SIGNATURE_OCTETS:
        raise SignatureError(f"an ECCSI signature has {SIGNATURE_OCTETS} octets, got {len(signature)}")
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:64], "big")
    if not 1 <= r < p256.P:
        raise SignatureError("r is not in 1..p-1")
    if not 1 <= s < p256.Q:
        raise SignatureError("s is not in 1..q-1")
    hs, y, key = _verifier(signature[64:], uid, kpak)
    he = hash_he(hs, r, message)
    if r >= p256.Q or r + p256.Q < p256.P:
        verify_modulo_p(r, s, int.from_bytes(he, "big"), y)
        return
    try:
        key.verify(encode_dss_signature(r, int(invert(s, p256.Q))), he, _ECDSA)
    except InvalidSignature as exc:
        raise SignatureError("the ECCSI signature does not verify") from exc


def verify_modulo_p(r: int, s: int, he: int, y: Point) -> None:
    """The check of RFC 6507 5.2.2 by itself: J = [s]([HE]G + [r]Y), J_x = r; raises SignatureError."""
    j = p256.add(p256.multiply(s * he, p256.G), p256.multiply(s * r, y))
    if j is None or j[0] != r:
        raise SignatureError("the ECCSI signature does not verify")


def verification_point(pvt: bytes, uid: bytes, kpak: bytes) -> Point:
    """Y = [HS]PVT + KPAK, RFC 6507 5.2.2 step 3; raises SignatureError for bad points or Y at infinity."""
    return _verifier(pvt, uid, kpak)[1]


@lru_cache(maxsize=VERIFIER_CACHE_ENTRIES)
def _verifier(pvt: bytes, uid: bytes, kpak: bytes) -> tuple[bytes, Point, ec.EllipticCurvePublicKey]:
    """(HS, Y, Y as an OpenSSL key) of a signer in a key period."""
    try:
        point = p256.decode_point(pvt)
        y = p256.add(p256.multiply(_hs_scalar(kpak, uid, pvt), point), p256.decode_point(kpak))
    except p256.PointError as exc:
        raise SignatureError(f"PVT or KPAK rejected: {exc}") from exc
    if y is None:
        raise SignatureError("Y is the point at infinity")
    return hash_hs(kpak, uid, pvt), y, p256.public_key(y)


def _hs_scalar(kpak: bytes, uid: bytes, pvt: bytes) -> int:
    return int.from_bytes(hash_hs(kpak, uid, pvt), "big")


def _hedged_nonce(ssk: bytes, counter: int, entropy: bytes, message: bytes) -> int:
    seed = bytes([counter]) + len(entropy).to_bytes(4, "big") + entropy + len(message).to_bytes(4, "big") + message
    return int.from_bytes(hmac.digest(ssk, seed, "sha512"), "big") % int(p256.Q - 1) + 1


def _scalar(octets: bytes, name: str) -> int:
    value = int.from_bytes(octets, "big")
    if len(octets) != SCALAR_OCTETS or not 1 <= value < p256.Q:
        raise SigningKeyError(f"{name} is not {SCALAR_OCTETS} octets in the range 1..q-1")
    return value
