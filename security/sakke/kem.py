"""SAKKE (RFC 6508): a shared secret value (SSV) encapsulated to an identity, opening it, and the keys a KMS extracts.

A sender needs the receiver's identity and the KMS's public key, nothing of the receiver's. Symbols of the RFC and where
they are here: z, Z the KMS's master secret and public key; ID the identifier `uid`, b its value as an integer; K the
receiver secret key RSK; P the generator of the curve, g = <P, P> its pairing; q the order.

* Extraction: K = [1 / (z + b)]P. The receiver checks <[b]P + Z, K> = g.
* Encapsulation: r = HashToIntegerRange(SSV || ID, q), R = [r]([b]P + Z), H = SSV xor HashToIntegerRange(g^r, 2^128);
  the encapsulated data is R || H.
* Opening: w = <R, K> = g^r, so SSV = H xor HashToIntegerRange(w, 2^128). Then r is computed from that SSV, and R made
  again: only data that was made for this identity by the rule is opened, and R that was chosen to probe K is not.

Cost: almost all of it is the pairing and the multiples of fixed points. What depends on one point only (lines of the
pairing for K; tables of multiples of P, Z and [b]P + Z; powers of g) is computed once and kept, each cache bounded.
Lines of an RSK are as secret as the RSK: they go when it does (`forget_receiver_key`). The same is computed in two
ways, with big integers and with compiled kernels (`prepare_tables`), and tests hold them equal. Neither is constant
time; SECURITY.md says what that means.
"""

from __future__ import annotations

import contextlib
import hmac
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final, Protocol

from gmpy2 import invert, mpz

from security.errors import SecurityError
from security.random_source import RandomSource, random_scalar
from security.sakke.curve import (
    GENERATOR,
    FixedBase,
    Point,
    SakkePointError,
    decode_point,
    encode_field,
    encode_point,
    sum_points,
)
from security.sakke.hashing import hash_to_integer_range
from security.sakke.pairing import PairingLines, PowersOfG
from security.sakke.parameters import (
    FIELD_OCTETS,
    G_PAIRING,
    POINT_OCTETS,
    Q_ORDER,
    SED_OCTETS,
    SSV_BITS,
    SSV_OCTETS,
)

if TYPE_CHECKING:
    from security.sakke.fast_tables import FastTable

KMS_CACHE_ENTRIES = 8
RSK_CACHE_ENTRIES = 16
POINT_CACHE_ENTRIES = 4
"""Some 5 MB each."""


class EncapsulationError(SecurityError):
    """An SSV can't be encapsulated: its length, or the KMS's public key, is wrong."""


class DecapsulationError(SecurityError):
    """Encapsulated data is malformed, or was not made for this identity."""


class ReceiverKeyError(SecurityError):
    """An RSK or a KMS's master key is malformed, or fails the check of RFC 6508 6.1.2."""


def generate_master_secret(random: RandomSource) -> tuple[bytes, bytes]:
    """Make a KMS's SAKKE key pair (z 128 octets, Z 257 octets), RFC 6508 6.1."""
    z_secret = random_scalar(random, int(Q_ORDER)).to_bytes(FIELD_OCTETS, "big")
    return z_secret, public_master_key(z_secret)


def public_master_key(z_secret: bytes) -> bytes:
    """Z = [z]P (257 octets, 04||x||y) of a z of 128 octets, RFC 6508 6.1.

    Raises ReceiverKeyError for a z out of range.
    """
    return encode_point(_finite(_generator_table().multiply(_master_scalar(z_secret))))


def extract_rsk(z_secret: bytes, uid: bytes) -> bytes:
    """A user's receiver secret key K = [(b + z)^-1]P (257 octets); raises ReceiverKeyError (RFC 6508 6.1.1)."""
    denominator = (_identifier_scalar(uid) + _master_scalar(z_secret)) % Q_ORDER
    if denominator == 0:
        raise ReceiverKeyError("b + z is zero modulo q: this identity has no key")
    return encode_point(_finite(_generator_table().multiply(int(invert(denominator, Q_ORDER)))))


def validate_rsk(rsk: bytes, uid: bytes, z: bytes) -> None:
    """Check <[b]P + Z, K> = g (RFC 6508 6.1.2), as a user does with a new key.

    Args:
        rsk: K, 257 octets.
        uid: ID, the identifier in a key period.
        z: Z, 257 octets.

    Raises:
        ReceiverKeyError: the key is malformed, or not of this identity under this Z.
    """
    try:
        receiver = receiver_multiple(1, uid, z)
        value = _rsk_lines(rsk).pairing(receiver)
    except SakkePointError as exc:
        raise ReceiverKeyError(f"RSK or Z rejected: {exc}") from exc
    if not hmac.compare_digest(encode_field(value), encode_field(G_PAIRING)):
        forget_receiver_key(rsk)
        raise ReceiverKeyError("the RSK does not belong to this identity under this Z")


def encapsulate(ssv: bytes, uid: bytes, z: bytes) -> bytes:
    """Encapsulate a 16-octet SSV to an identifier under Z: R || H, 273 octets (RFC 6508 6.2.1).

    Raises EncapsulationError.
    """
    if len(ssv) != SSV_OCTETS:
        raise EncapsulationError(f"an SSV has {SSV_OCTETS} octets, got {len(ssv)}")
    r = sender_scalar(ssv, uid)
    try:
        return encode_point(receiver_multiple(r, uid, z)) + mask_with(ssv, powers_of_g().power(r))
    except SakkePointError as exc:
        raise EncapsulationError(f"Z rejected: {exc}") from exc


def decapsulate(sed: bytes, *, rsk: bytes, uid: bytes, z: bytes) -> bytes:
    """Open encapsulated data (273 octets) with the receiver's RSK: the 16-octet SSV (RFC 6508 6.2.2).

    R must lie on the curve, and encapsulating the SSV again must give R: an SSV that fails is not returned. Raises
    DecapsulationError; ReceiverKeyError for a malformed RSK.
    """
    if len(sed) != SED_OCTETS:
        raise DecapsulationError(f"encapsulated data has {SED_OCTETS} octets, got {len(sed)}")
    lines = own_lines(rsk)
    try:
        ssv = mask_with(sed[POINT_OCTETS:], lines.pairing(decode_point(sed[:POINT_OCTETS])))
        again = encode_point(receiver_multiple(sender_scalar(ssv, uid), uid, z))
    except (SakkePointError, EncapsulationError) as exc:
        raise DecapsulationError(f"encapsulated data rejected: {exc}") from exc
    if not hmac.compare_digest(again, sed[:POINT_OCTETS]):
        raise DecapsulationError("encapsulated data was not made for this identity, or is damaged")
    return ssv


def prepare_tables(z: bytes, rsk: bytes | None = None, uid: bytes | None = None) -> None:
    """Compute now all tables that messages need, and use compiled kernels from now on. Raises ReceiverKeyError.

    The tables are those of P, g and Z, the lines of each RSK (257 octets), and a table of [b]P + Z for its identifier.
    The call is for processes that run for long: without it the same is computed with big integers, which needs no
    preparation and is two to three times slower (`security.sakke.fast_tables`).

    It takes some 0.3 s and 10 MB in a process, and 5 MB more for each identifier, once the kernels are compiled. A
    process that forks afterwards shares the tables with its children. They are not kept on disk: reading them back
    would save little, and an altered table would reveal keys.
    """
    _use_kernels()
    powers_of_g()
    try:
        receiver_multiple(1, b"\1", z)
    except SakkePointError as exc:
        raise ReceiverKeyError(f"Z rejected: {exc}") from exc
    if rsk is not None:
        if _kernels() is not None and isinstance(_LINES.get(rsk), PairingLines):
            forget_receiver_key(rsk)
        own_lines(rsk)
    if uid is not None:
        _keep_point(uid, z)


def forget_receiver_keys() -> None:
    """Drop the lines kept of all RSKs."""
    _LINES.clear()


def forget_receiver_key(rsk: bytes) -> None:
    """Drop the kept lines of an RSK (257 octets): its key period is over, or its holder drops it."""
    _LINES.pop(rsk, None)


def holds_lines_of(rsk: bytes) -> bool:
    """Whether lines of this RSK (257 octets) are kept."""
    return rsk in _LINES


def mask_with(octets: bytes, value: mpz) -> bytes:
    """octets XOR HashToIntegerRange(value, 2^n): H from SSV, SSV from H."""
    mask = hash_to_integer_range(encode_field(value), 1 << SSV_BITS)
    return (int.from_bytes(octets, "big") ^ mask).to_bytes(SSV_OCTETS, "big")


def sender_scalar(ssv: bytes, uid: bytes) -> int:
    """r = HashToIntegerRange(SSV || ID, q); raises EncapsulationError for r = 0 (RFC 6508 6.2.1)."""
    r = hash_to_integer_range(ssv + uid, int(Q_ORDER))
    if r == 0:
        raise EncapsulationError("r is zero; take another SSV")
    return r


def receiver_multiple(r: int, uid: bytes, z: bytes) -> Point:
    """The point [r]([b]P + Z) as [rb]P + [r]Z; raises SakkePointError (RFC 6508 6.2.1)."""
    rb = int(r * _identifier_scalar(uid) % Q_ORDER)
    by_kernels = _kernels()
    own = _POINTS.get((z, uid))
    if by_kernels is not None and own is not None:
        multiple: Point | None = by_kernels.sum_of_multiples([(own, r)])
        return _finite(multiple)
    if by_kernels is None:
        return _finite(sum_points(_generator_table().terms(rb) + _master_key_table(z).terms(r)))
    product: Point | None = by_kernels.sum_of_multiples([(_generator_limbs(), rb), (_master_key_limbs(z), r)])
    return _finite(product)


def _identifier_scalar(uid: bytes) -> mpz:
    return mpz(int.from_bytes(uid, "big")) % Q_ORDER


def _master_scalar(z_secret: bytes) -> int:
    value = int.from_bytes(z_secret, "big")
    if len(z_secret) != FIELD_OCTETS or not 1 <= value < Q_ORDER:
        raise ReceiverKeyError(f"z is not {FIELD_OCTETS} octets in the range 1..q-1")
    return value


def own_lines(rsk: bytes) -> Lines:
    """The pairing lines of an RSK (257 octets), kept for the next message. Raises ReceiverKeyError."""
    try:
        return _rsk_lines(rsk)
    except SakkePointError as exc:
        raise ReceiverKeyError(f"RSK rejected: {exc}") from exc


def _finite(point: Point | None) -> Point:
    if point is None:
        raise SakkePointError("a multiple is the point at infinity")
    return point


@lru_cache(maxsize=1)
def _generator_table() -> FixedBase:
    return FixedBase(GENERATOR)


class Powers(Protocol):
    """Powers of g."""

    def power(self, k: int) -> mpz:
        """g^k in PF_p, 0 <= k < q."""


class Lines(Protocol):
    """The pairing with one fixed point."""

    def pairing(self, point: Point) -> mpz:
        """Its value for a point of the curve; raises SakkePointError."""


def powers_of_g() -> Powers:
    """The table of powers of g."""
    return _plain_powers_of_g() if _kernels() is None else _fast_powers_of_g()


@lru_cache(maxsize=1)
def _plain_powers_of_g() -> PowersOfG:
    return PowersOfG()


@lru_cache(maxsize=1)
def _fast_powers_of_g() -> Powers:
    fast: Powers = _loaded_kernels().FastPowersOfG(_plain_powers_of_g())
    return fast


@lru_cache(maxsize=KMS_CACHE_ENTRIES)
def _master_key_table(z: bytes) -> FixedBase:
    table = FixedBase(decode_point(z))
    if table.multiply(int(Q_ORDER)) is not None:
        raise SakkePointError("the point is not of order q")
    return table


@lru_cache(maxsize=1)
def _generator_limbs() -> FastTable:
    table: FastTable = _loaded_kernels().FastTable(_generator_table())
    return table


@lru_cache(maxsize=KMS_CACHE_ENTRIES)
def _master_key_limbs(z: bytes) -> FastTable:
    table: FastTable = _loaded_kernels().FastTable(_master_key_table(z))
    return table


_KERNELS: Final[list[ModuleType]] = []
"""`security.sakke.fast_tables` once it is in use: loading it takes longer than one message by big integers."""


def _use_kernels() -> None:
    """Load and compile the kernels; if a machine can't (no place to keep them), big integers are used."""
    if not _KERNELS:
        with contextlib.suppress(ImportError, OSError, RuntimeError):
            fast_tables = import_module("security.sakke.fast_tables")
            fast_tables.compile_kernels()
            _KERNELS.append(fast_tables)


def _kernels() -> ModuleType | None:
    return _KERNELS[0] if _KERNELS else None


def _loaded_kernels() -> ModuleType:
    return _KERNELS[0]


_POINTS: Final[dict[tuple[bytes, bytes], FastTable]] = {}
"""Tables of [b]P + Z by Z and own identifier: they halve the additions of the check when the UE opens data."""


def _keep_point(uid: bytes, z: bytes) -> None:
    if _kernels() is not None and (z, uid) not in _POINTS:
        table: FastTable = _loaded_kernels().FastTable(FixedBase(receiver_multiple(1, uid, z)))
        _POINTS[z, uid] = table
        for oldest in list(_POINTS)[:-POINT_CACHE_ENTRIES]:
            _POINTS.pop(oldest, None)


_LINES: Final[dict[bytes, Lines]] = {}
"""Lines by RSK, the one used longest ago first. They are as secret as the RSK, so each can be dropped by itself."""


def _rsk_lines(rsk: bytes) -> Lines:
    lines = _LINES.pop(rsk, None) or _lines_of(decode_point(rsk))
    _LINES[rsk] = lines
    for oldest in list(_LINES)[:-RSK_CACHE_ENTRIES]:
        _LINES.pop(oldest, None)
    return lines


def _lines_of(point: Point) -> Lines:
    by_kernels = _kernels()
    if by_kernels is None:
        return PairingLines(point)
    fast: Lines = by_kernels.FastLines(point)
    return fast
