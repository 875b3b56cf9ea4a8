"""NIST P-256 (FIPS 186-4 D.1.2.3) as ECCSI needs it: exact scalar multiples, by OpenSSL where it can give them.

ECCSI needs [k]Q with both coordinates for points Q that peers send. OpenSSL's Python binding has no such function; it
has ECDH, which gives the x coordinate of [k]Q, in constant time. From x([k]Q), x([k+1]Q) and Q itself the y coordinate
follows by one formula, so two ECDH calls give the point. Multiples of the generator come from key derivation, which
gives both coordinates. `multiply_plain` is the definition, and serves the few scalars and points for which the formula
divides by zero.

Every point that comes in as octets is checked: uncompressed, coordinates below p, on the curve. The curve's order is
prime and its cofactor 1, so a point on the curve is in the group.
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from gmpy2 import invert, mpz

from security.errors import SecurityError

P = mpz(0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF)
Q = mpz(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)
A = P - 3
B = mpz(0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B)
G_OCTETS = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
COORDINATE_OCTETS = 32
POINT_OCTETS = 65

Point = tuple[mpz, mpz]
"""Affine coordinates, both below p; the point at infinity is None."""

_CURVE = ec.SECP256R1()
_ECDH = ec.ECDH()


class PointError(SecurityError):
    """Octets that are no point of the curve in uncompressed form."""


def decode_point(octets: bytes) -> Point:
    """Octets 04||x||y to a point of P-256; raises PointError (RFC 6507 3.2)."""
    if len(octets) != POINT_OCTETS or octets[0] != 4:
        raise PointError(f"a P-256 point is 04||x||y, {POINT_OCTETS} octets; got {len(octets)} octets")
    x = mpz(int.from_bytes(octets[1:33], "big"))
    y = mpz(int.from_bytes(octets[33:], "big"))
    if x >= P or y >= P:
        raise PointError("a coordinate of the P-256 point is not below p")
    if (y * y - (x * x + A) * x - B) % P:
        raise PointError("the point is not on P-256")
    return x, y


def encode_point(point: Point) -> bytes:
    """A point to 04||x||y (65 octets)."""
    x, y = point
    return b"\x04" + int(x).to_bytes(COORDINATE_OCTETS, "big") + int(y).to_bytes(COORDINATE_OCTETS, "big")


G: Point = decode_point(G_OCTETS)


def add(left: Point | None, right: Point | None) -> Point | None:
    """Sum of two points (affine chord and tangent)."""
    if left is None or right is None:
        return left if right is None else right
    (x1, y1), (x2, y2) = left, right
    if x1 == x2:
        if y1 != y2 or y1 == 0:
            return None
        slope = (3 * x1 * x1 + A) * invert(2 * y1, P) % P
    else:
        slope = (y2 - y1) * invert(x2 - x1, P) % P
    x3 = (slope * slope - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


def multiply_plain(k: int, point: Point | None) -> Point | None:
    """[k]point by double and add: the definition of `multiply`, also used for its edge cases."""
    product = None
    for bit in bin(int(k % Q))[2:]:
        product = add(product, product)
        if bit == "1":
            product = add(product, point)
    return product


def multiply(k: int, point: Point) -> Point | None:
    """[k]point from two x-only multiples of OpenSSL's ECDH, x([k]Q) and x([k+1]Q), and y from both."""
    k = int(k % Q)
    if k in (0, 1, int(Q) - 1):
        return multiply_plain(k, point)
    x, y = point
    public = public_key(point)
    x1 = _shared_x(k, public)
    x2 = _shared_x(k + 1, public)
    difference = x - x1
    if difference == 0:
        return multiply_plain(k, point)
    numerator = 2 * B + (A + x * x1) * (x + x1) - x2 * difference * difference
    return x1, numerator * invert(2 * y, P) % P


def multiply_base(k: int) -> Point:
    """[k]G for 1 <= k < q, by OpenSSL's key derivation. Raises PointError for k out of range."""
    if not 1 <= k < Q:
        raise PointError("the scalar is not in 1..q-1")
    numbers = ec.derive_private_key(int(k), _CURVE).public_key().public_numbers()
    return mpz(numbers.x), mpz(numbers.y)


def public_key(point: Point) -> ec.EllipticCurvePublicKey:
    """The OpenSSL key object of a point; raises PointError where OpenSSL refuses it."""
    try:
        return ec.EllipticCurvePublicNumbers(int(point[0]), int(point[1]), _CURVE).public_key()
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise PointError("OpenSSL refuses the P-256 point") from exc


def _shared_x(k: int, public: ec.EllipticCurvePublicKey) -> mpz:
    return mpz(int.from_bytes(ec.derive_private_key(k, _CURVE).exchange(_ECDH, public), "big"))
