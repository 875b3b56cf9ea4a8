"""The curve of parameter set 1: points and octets, the plain group law, sums of many points, fixed-base tables.

y^2 = x^3 - 3x over a 1024-bit field. An inversion costs as much as some tens of multiplications, so this module shares
inversions. A multiple of a fixed point is a sum of at most 171 entries of a table of its multiples (signed digits to
base 64), and those are added pair by pair in a tree: all additions of one level share one inversion (Montgomery's
trick). `multiply_plain` is the definition, and tests compare with it. Points from octets are checked to be
uncompressed, below p and on the curve; that they have order q is checked where a table or lines of them are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gmpy2 import invert, mpz

from security.errors import SecurityError
from security.sakke.parameters import FIELD_OCTETS, P_MODULUS, P_X, P_Y, POINT_OCTETS, Q_ORDER

Point = tuple[mpz, mpz]
"""Affine coordinates below p; the point at infinity is None."""
Jacobian = tuple[mpz, mpz, mpz]
"""(X, Y, Z) for x = X/Z^2, y = Y/Z^3; infinity has Z = 0."""

GENERATOR: Point = (P_X, P_Y)
WINDOW_BITS = 6
"""Digits of a fixed-base scalar: -32..32, 171 of them; a table holds 171 x 32 points, about 2 MB."""


class SakkePointError(SecurityError):
    """Octets that are no point of the SAKKE curve in uncompressed form."""


def decode_point(octets: bytes) -> Point:
    """Octets 04||x||y (257) to a point; raises SakkePointError (other form, coordinate >= p, off the curve)."""
    if len(octets) != POINT_OCTETS or octets[0] != 4:
        raise SakkePointError(f"a SAKKE point is 04||x||y, {POINT_OCTETS} octets; got {len(octets)} octets")
    x = mpz(int.from_bytes(octets[1 : 1 + FIELD_OCTETS], "big"))
    y = mpz(int.from_bytes(octets[1 + FIELD_OCTETS :], "big"))
    if x >= P_MODULUS or y >= P_MODULUS:
        raise SakkePointError("a coordinate of the SAKKE point is not below p")
    if (y * y - (x * x - 3) * x) % P_MODULUS:
        raise SakkePointError("the point is not on the SAKKE curve")
    return x, y


def encode_point(point: Point) -> bytes:
    """A point to 04||x||y (257 octets)."""
    return b"\x04" + encode_field(point[0]) + encode_field(point[1])


def encode_field(value: mpz) -> bytes:
    """An element of F_p or PF_p with its full length, leading zero octets included (128 octets), RFC 6508 4."""
    return int(value).to_bytes(FIELD_OCTETS, "big")


def add(left: Point | None, right: Point | None) -> Point | None:
    """Sum of two points (affine chord and tangent)."""
    if left is None or right is None:
        return left if right is None else right
    (x1, y1), (x2, y2) = left, right
    if x1 == x2:
        if y1 != y2 or y1 == 0:
            return None
        slope = 3 * (x1 * x1 - 1) * invert(2 * y1, P_MODULUS) % P_MODULUS
    else:
        slope = (y2 - y1) * invert(x2 - x1, P_MODULUS) % P_MODULUS
    x3 = (slope * slope - x1 - x2) % P_MODULUS
    return x3, (slope * (x1 - x3) - y1) % P_MODULUS


def multiply_plain(k: int, point: Point | None) -> Point | None:
    """[k]point by double and add, k >= 0: the definition with which tests compare the tables."""
    product = None
    for bit in bin(int(k))[2:]:
        product = add(product, product)
        if bit == "1":
            product = add(product, point)
    return product


def double_jacobian(point: Jacobian) -> Jacobian:
    """Twice a point, for a = -3."""
    x, y, z = point
    zz = z * z % P_MODULUS
    yy = y * y % P_MODULUS
    s = 4 * x * yy % P_MODULUS
    m = 3 * (x - zz) * (x + zz) % P_MODULUS
    x3 = (m * m - 2 * s) % P_MODULUS
    return x3, (m * (s - x3) - 8 * yy * yy) % P_MODULUS, 2 * y * z % P_MODULUS


def invert_all(values: Sequence[mpz]) -> list[mpz]:
    """The inverses of non-zero elements of F_p with one inversion (Montgomery's trick)."""
    if not values:
        return []
    products = [mpz(1)]
    for value in values:
        products.append(products[-1] * value % P_MODULUS)
    inverse = invert(products.pop(), P_MODULUS)
    inverses: list[mpz] = []
    for value, product in zip(reversed(values), reversed(products), strict=True):
        inverses.append(inverse * product % P_MODULUS)
        inverse = inverse * value % P_MODULUS
    inverses.reverse()
    return inverses


def add_pairwise(lefts: Sequence[Point], rights: Sequence[Point]) -> list[Point | None]:
    """left + right for each pair, with one inversion in all."""
    differences = [right[0] - left[0] for left, right in zip(lefts, rights, strict=True)]
    inverses = iter(invert_all([difference for difference in differences if difference]))
    sums: list[Point | None] = []
    for left, right, difference in zip(lefts, rights, differences, strict=True):
        if not difference:
            sums.append(add(left, right))
            continue
        slope = (right[1] - left[1]) * next(inverses) % P_MODULUS
        x3 = (slope * slope - left[0] - right[0]) % P_MODULUS
        sums.append((x3, (slope * (left[0] - x3) - left[1]) % P_MODULUS))
    return sums


def sum_points(points: Iterable[Point]) -> Point | None:
    """The sum of many points, pair by pair: one inversion a level of the tree."""
    level: list[Point] = list(points)
    while len(level) > 1:
        half = len(level) // 2
        sums = add_pairwise(level[:half], level[half : 2 * half])
        level = [point for point in sums if point is not None] + level[2 * half :]
    return level[0] if level else None


class FixedBase:
    """Precomputed multiples d * 2^(6i) of one point, d = 1..32: [k]point becomes a sum of at most 171 table entries."""

    def __init__(self, point: Point) -> None:
        bases = _powers(point)
        columns = [bases, [_finite(add(base, base)) for base in bases]]
        for _ in range(3, (1 << (WINDOW_BITS - 1)) + 1):
            columns.append([_finite(total) for total in add_pairwise(columns[-1], bases)])
        self.rows = list(zip(*columns, strict=True))

    def terms(self, k: int) -> list[Point]:
        """Table entries whose sum is [k]point, for 0 <= k < 2^1025."""
        terms: list[Point] = []
        for row, digit in zip(self.rows, signed_digits(k, len(self.rows)), strict=True):
            if digit > 0:
                terms.append(row[digit - 1])
            elif digit < 0:
                x, y = row[-digit - 1]
                terms.append((x, P_MODULUS - y))
        return terms

    def multiply(self, k: int) -> Point | None:
        """[k]point for 0 <= k < 2^1025."""
        return sum_points(self.terms(k))


def signed_digits(k: int, count: int) -> list[int]:
    """k as `count` digits of -32..32 in base 64, least significant first."""
    digits = []
    carry = 0
    octets = int(k)
    half = 1 << (WINDOW_BITS - 1)
    for _ in range(count):
        digit = (octets & (2 * half - 1)) + carry
        octets >>= WINDOW_BITS
        carry = digit > half
        digits.append(digit - 2 * half if carry else digit)
    return digits


def _powers(point: Point) -> list[Point]:
    """[2^(6i)]point for all rows of a table."""
    running: Jacobian = (*point, mpz(1))
    jacobians = [running]
    for _ in range(-(-(Q_ORDER.bit_length() + 1) // WINDOW_BITS) - 1):
        for _ in range(WINDOW_BITS):
            running = double_jacobian(running)
        jacobians.append(running)
    if any(z == 0 for _, _, z in jacobians):
        raise SakkePointError("the point has a small order")
    inverses = invert_all([z for _, _, z in jacobians])
    return [
        (x * w * w % P_MODULUS, y * w * w * w % P_MODULUS) for (x, y, _), w in zip(jacobians, inverses, strict=True)
    ]


def _finite(point: Point | None) -> Point:
    if point is None:
        raise SakkePointError("the point has a small order")
    return point
