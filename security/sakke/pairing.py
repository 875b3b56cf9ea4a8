"""The pairing <P, Q> of RFC 6508 3.2: by its definition, and with precomputed lines of one argument.

The pairing takes two points of order q and gives an element of PF_p, the multiplicative group of F_p^2 over that of
F_p. It is bilinear: <[a]P, [b]Q> = <P, Q>^(ab). Miller's loop computes it: it goes through multiples of P up to [q]P by
doubling and adding. At each step the line through the two points is evaluated at Q and multiplied into the value. At
the end the value is raised to (p + 1) / q = 4.

Values of PF_p are kept as b/a of a + ib. Factors in F_p don't change that, so denominators and vertical lines can be
left out. The lines depend on P only. A receiver's own key is the same in every message, and the pairing is symmetric.
So `PairingLines` keeps the lines of the key, and a message costs their evaluation and no curve arithmetic. The loop
also shows whether the point has order q, which is checked when the lines are made.
"""

from __future__ import annotations

from gmpy2 import invert, mpz

from security.sakke.curve import Point, SakkePointError, add, double_jacobian, invert_all
from security.sakke.parameters import G_PAIRING, P_MODULUS, Q_ORDER

FieldPair = tuple[mpz, mpz]
"""a + ib of F_p^2, i^2 = -1."""
GT_WINDOW_BITS = 6


def multiply_pairs(left: FieldPair, right: FieldPair) -> FieldPair:
    """Product in F_p^2."""
    (a, b), (c, d) = left, right
    return (a * c - b * d) % P_MODULUS, (a * d + b * c) % P_MODULUS


def square_pair(value: FieldPair) -> FieldPair:
    """Square in F_p^2."""
    a, b = value
    return (a - b) * (a + b) % P_MODULUS, 2 * a * b % P_MODULUS


def reduce_pair(value: FieldPair) -> mpz:
    """b/a, the representative of a + ib in PF_p; raises SakkePointError where a = 0."""
    if value[0] % P_MODULUS == 0:
        raise SakkePointError("the pairing value has no representative")
    return value[1] * invert(value[0], P_MODULUS) % P_MODULUS


def final_power(value: FieldPair) -> mpz:
    """value^c in PF_p with c = (p + 1)/q = 4."""
    return reduce_pair(square_pair(square_pair(value)))


def pairing_plain(p: Point, q: Point) -> mpz:
    """<P, Q> by the algorithm of RFC 6508 3.2, affine, line by line: the definition of `PairingLines`."""
    value: FieldPair = (mpz(1), mpz(0))
    c: Point | None = p
    for bit in bin(Q_ORDER - 1)[3:]:
        value = multiply_pairs(square_pair(value), _line(c, c, q))
        c = add(c, c)
        if bit == "1":
            value = multiply_pairs(value, _line(c, p, q))
            c = add(c, p)
    return final_power(value)


def _line(left: Point | None, right: Point | None, q: Point) -> FieldPair:
    """The line through two points of multiples of P, at (-x_Q, i y_Q)."""
    if left is None or right is None:
        return mpz(1), mpz(0)
    (x1, y1), (x2, y2) = left, right
    if x1 != x2:
        slope = (y2 - y1) * invert(x2 - x1, P_MODULUS)
    elif y1 == y2 and y1 != 0:
        slope = 3 * (x1 * x1 - 1) * invert(2 * y1, P_MODULUS)
    else:
        return mpz(1), mpz(0)
    return (slope * (q[0] + x1) - y1) % P_MODULUS, q[1]


class PairingLines:
    """The lines of Miller's loop for a fixed point K of order q: <K, R> = <R, K> for any R costs no curve arithmetic.

    The loop runs over the non-adjacent form of q; its last line is vertical. Each line is (slope, slope * x - y).
    """

    def __init__(self, point: Point) -> None:
        xk, yk = point
        numerators: list[tuple[mpz, mpz]] = []
        denominators: list[mpz] = []
        running = (xk, yk, mpz(1))
        for digit in Q_DIGITS:
            x, y, z = running
            zz = z * z % P_MODULUS
            m = 3 * (x - zz) * (x + zz) % P_MODULUS
            running = double_jacobian(running)
            numerators.append((m * zz, m * x - 2 * y * y))
            denominators.append(running[2] * zz % P_MODULUS)
            if digit:
                x, y, z = running
                ys = yk if digit > 0 else -yk
                zz = z * z % P_MODULUS
                h = (xk * zz - x) % P_MODULUS
                r = (ys * zz * z - y) % P_MODULUS
                hh = h * h % P_MODULUS
                hhh = h * hh % P_MODULUS
                v = x * hh % P_MODULUS
                x3 = (r * r - hhh - 2 * v) % P_MODULUS
                z3 = z * h % P_MODULUS
                running = (x3, (r * (v - x3) - y * hhh) % P_MODULUS, z3)
                numerators.append((r, r * xk - ys * z3))
                denominators.append(z3)
        x, y, z = running
        zz = z * z % P_MODULUS
        if not z or (x - xk * zz) % P_MODULUS or (y + Q_LAST_DIGIT * yk * zz * z) % P_MODULUS:
            raise SakkePointError("the point is not of order q")
        if not all(denominators):
            raise SakkePointError("the point is not of order q")
        inverses = invert_all(denominators)
        lines = iter(
            [
                (slope * inverse % P_MODULUS, constant * inverse % P_MODULUS)
                for (slope, constant), inverse in zip(numerators, inverses, strict=True)
            ]
        )
        self._steps = [(*next(lines), *(next(lines) if digit else (None, None))) for digit in Q_DIGITS]

    def pairing(self, point: Point) -> mpz:
        """<K, R> for a point R of the curve. Raises SakkePointError if the value has no representative.

        Each line's value, slope * x_R + constant + i y_R, is divided by y_R of F_p: this saves multiplications.
        """
        p = P_MODULUS
        x, y = point
        if y == 0:
            raise SakkePointError("the point is of order 2")
        y = invert(y, p)
        x = x * y % p
        a, b = mpz(1), mpz(0)
        for slope, constant, chord_slope, chord_constant in self._steps:
            t = (slope * x + constant * y) % p
            a, b = (a - b) * (a + b) % p, 2 * a * b % p
            a, b = (a * t - b) % p, (a + b * t) % p
            if chord_slope is not None:
                t = (chord_slope * x + chord_constant * y) % p
                a, b = (a * t - b) % p, (a + b * t) % p
        return final_power((a, b))


def _non_adjacent_form(k: int) -> list[int]:
    """Digits -1, 0, 1 of k, most significant first, no two neighbours both non-zero."""
    digits = []
    while k:
        digit = 2 - k % 4 if k % 2 else 0
        digits.append(digit)
        k = (k - digit) // 2
    return digits[::-1]


_NAF = _non_adjacent_form(int(Q_ORDER))
Q_DIGITS = [*_NAF[1:-1], 0]
"""The digits of Miller's loop, one for each doubling; the last one, with a vertical line, is left out."""
Q_LAST_DIGIT = _NAF[-1]


def power_plain(t: mpz, k: int) -> mpz:
    """t^k in PF_p for t = b/a, by square and multiply: the definition of `PowersOfG`."""
    value: FieldPair = (mpz(1), mpz(0))
    for bit in bin(int(k))[2:]:
        value = square_pair(value)
        if bit == "1":
            value = multiply_pairs(value, (mpz(1), t))
    return reduce_pair(value)


class PowersOfG:
    """g^(d * 2^(6i)) as 1 + it, d = 1..63: g^k becomes at most 171 products by such values."""

    def __init__(self) -> None:
        pairs: list[FieldPair] = []
        base: FieldPair = (mpz(1), G_PAIRING)
        for _ in range(-(-Q_ORDER.bit_length() // GT_WINDOW_BITS)):
            power = base
            for _ in range((1 << GT_WINDOW_BITS) - 1):
                pairs.append(power)
                power = multiply_pairs(power, base)
            base = power
        inverses = invert_all([a for a, _ in pairs])
        tangents = [b * inverse % P_MODULUS for (_, b), inverse in zip(pairs, inverses, strict=True)]
        width = (1 << GT_WINDOW_BITS) - 1
        self.rows = [tangents[start : start + width] for start in range(0, len(tangents), width)]

    def power(self, k: int) -> mpz:
        """g^k in PF_p, 0 <= k < q."""
        p = P_MODULUS
        a, b = mpz(1), mpz(0)
        k = int(k)
        for row in self.rows:
            digit = k & ((1 << GT_WINDOW_BITS) - 1)
            k >>= GT_WINDOW_BITS
            if digit:
                t = row[digit - 1]
                a, b = (a - b * t) % p, (b + a * t) % p
        return reduce_pair((a, b))
