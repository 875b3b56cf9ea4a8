"""The loops of SAKKE over compiled arithmetic: Miller's loop, powers of g, sums of table entries.

They are the ones of `security.sakke.pairing` and `security.sakke.curve`, formula by formula, over the numbers of
`security.sakke.montgomery`; tests hold the two equal. They branch on digits of q, which is public, and of scalars
(SECURITY.md says what is not promised about time). Shapes: a number (16,), a point (3, 16) or (2, 16).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from security.sakke.montgomery import Limbs, add, mul, mul_add_mul, sub


@njit(cache=True, nogil=True)
def is_zero(value: Limbs) -> bool:
    """Whether a number is 0."""
    any_bit = np.uint64(0)
    for limb in value:
        any_bit |= limb
    return any_bit == 0


@njit(cache=True, nogil=True)
def double_point(x: Limbs, y: Limbs, z: Limbs, zz: Limbs, m: Limbs, w: Limbs) -> None:
    """(x, y, z) doubled in place, Jacobian, a = -3; leaves the earlier Z^2 in zz and 3(X - ZZ)(X + ZZ) in m.

    w: (4, 16) to work in; w[3] holds the earlier Y^2 afterwards.
    """
    mul(zz, z, z)
    sub(w[0], x, zz)
    add(w[1], x, zz)
    mul(w[0], w[0], w[1])
    add(m, w[0], w[0])
    add(m, m, w[0])
    mul(w[3], y, y)
    mul(z, y, z)
    add(z, z, z)
    mul(w[0], x, w[3])
    add(w[0], w[0], w[0])
    add(w[0], w[0], w[0])
    mul(x, m, m)
    sub(x, x, w[0])
    sub(x, x, w[0])
    sub(w[0], w[0], x)
    mul(w[0], m, w[0])
    mul(w[1], w[3], w[3])
    add(w[1], w[1], w[1])
    add(w[1], w[1], w[1])
    add(w[1], w[1], w[1])
    sub(y, w[0], w[1])


@njit(cache=True, nogil=True)
def add_affine(x: Limbs, y: Limbs, z: Limbs, xk: Limbs, yk: Limbs, r: Limbs, w: Limbs) -> bool:
    """(x, y, z) + (xk, yk) in place; leaves r, the slope's numerator. False, with z = 0, where both x are equal.

    w: (4, 16) to work in.
    """
    mul(w[0], z, z)
    mul(w[1], xk, w[0])
    sub(w[1], w[1], x)  # h
    mul(w[0], w[0], z)
    mul(w[0], yk, w[0])
    sub(r, w[0], y)
    mul(w[0], w[1], w[1])  # hh
    mul(w[2], w[1], w[0])  # hhh
    mul(w[0], x, w[0])  # v
    mul(x, r, r)
    sub(x, x, w[2])
    sub(x, x, w[0])
    sub(x, x, w[0])
    sub(w[0], w[0], x)
    mul(w[0], r, w[0])
    mul(w[2], y, w[2])
    sub(y, w[0], w[2])
    mul(z, z, w[1])
    return not is_zero(w[1])


@njit(cache=True, nogil=True)
def miller_lines(
    digits: NDArray[np.int8], start: Limbs, negative_y: Limbs, one: Limbs, slopes: Limbs, constants: Limbs, under: Limbs
) -> Limbs:
    """The lines of Miller's loop for the point `start` (x, y): numerators and what divides them, a row a line.

    Returns the point the loop ends at, (3, 16), Jacobian.
    """
    point = np.empty((3, 16), np.uint64)
    point[0], point[1], point[2] = start[0], start[1], one
    x, y, z = point[0], point[1], point[2]
    w = np.empty((4, 16), np.uint64)
    zz, m, r, before = (
        np.empty(16, np.uint64),
        np.empty(16, np.uint64),
        np.empty(16, np.uint64),
        np.empty(16, np.uint64),
    )
    line = 0
    for digit in digits:
        before[:] = x
        double_point(x, y, z, zz, m, w)
        mul(slopes[line], m, zz)
        mul(constants[line], m, before)
        sub(constants[line], constants[line], w[3])
        sub(constants[line], constants[line], w[3])
        mul(under[line], z, zz)
        line += 1
        if digit != 0:
            yk = start[1] if digit > 0 else negative_y
            add_affine(x, y, z, start[0], yk, r, w)
            slopes[line] = r
            mul(constants[line], r, start[0])
            mul(w[0], yk, z)
            sub(constants[line], constants[line], w[0])
            under[line] = z
            line += 1
    return point


@njit(cache=True, nogil=True)
def products_so_far(values: Limbs, one: Limbs) -> Limbs:
    """products[i] = values[0] * ... * values[i - 1]; shape (n + 1, 16)."""
    products = np.empty((len(values) + 1, 16), np.uint64)
    products[0] = one
    for i in range(len(values)):
        mul(products[i + 1], products[i], values[i])
    return products


@njit(cache=True, nogil=True)
def divide_lines(slopes: Limbs, constants: Limbs, under: Limbs, products: Limbs, inverse: Limbs) -> None:
    """Divide each line by its `under`, with the inverse of the product of them all (Montgomery's trick)."""
    left = inverse.copy()
    own = np.empty(16, np.uint64)
    for i in range(len(under) - 1, -1, -1):
        mul(own, left, products[i])
        mul(left, left, under[i])
        mul(slopes[i], slopes[i], own)
        mul(constants[i], constants[i], own)


@njit(cache=True, nogil=True)
def evaluate_lines(digits: NDArray[np.int8], slopes: Limbs, constants: Limbs, x: Limbs, y: Limbs, one: Limbs) -> Limbs:
    """Miller's loop with ready lines, each slope * x + constant * y + i: the value (a, b) of a + ib, (2, 16)."""
    value = np.zeros((2, 16), np.uint64)
    value[0] = one
    a, b = value[0], value[1]
    s, t, u = np.empty(16, np.uint64), np.empty(16, np.uint64), np.empty(16, np.uint64)
    line = 0
    for digit in digits:
        sub(s, a, b)
        add(t, a, b)
        mul(b, a, b)
        add(b, b, b)
        mul(a, s, t)
        for _ in range(2 if digit != 0 else 1):
            mul_add_mul(t, slopes[line], x, constants[line], y)
            line += 1
            mul(s, a, t)
            mul(u, b, t)
            sub(s, s, b)
            add(b, a, u)
            a[:] = s
    return value


@njit(cache=True, nogil=True)
def power_by_rows(tangents: Limbs, digits: NDArray[np.int64], one: Limbs) -> Limbs:
    """The product of 1 + i tangents[row, digit - 1] over all rows with a digit: (a, b), (2, 16)."""
    value = np.zeros((2, 16), np.uint64)
    value[0] = one
    a, b = value[0], value[1]
    s, t = np.empty(16, np.uint64), np.empty(16, np.uint64)
    for row in range(len(digits)):
        if digits[row] > 0:
            mul(s, b, tangents[row, digits[row] - 1])
            mul(t, a, tangents[row, digits[row] - 1])
            sub(a, a, s)
            add(b, b, t)
    return value


@njit(cache=True, nogil=True)
def sum_by_rows(
    table: Limbs, digits: NDArray[np.int64], total: Limbs, is_finite: bool, one: Limbs
) -> tuple[bool, bool]:
    """Add table[row, |digit| - 1], negated for a negative digit, over all rows, to the Jacobian point `total` (3, 16).

    `is_finite`: False while the sum is still empty. Returns that, and whether all went well: adding equal or opposite
    points is left to the caller's other way.
    """
    x, y, z = total[0], total[1], total[2]
    w = np.empty((4, 16), np.uint64)
    r, yk, zero = np.empty(16, np.uint64), np.empty(16, np.uint64), np.zeros(16, np.uint64)
    for row in range(len(digits)):
        digit = digits[row]
        if digit == 0:
            continue
        place = abs(digit) - 1
        yk[:] = table[row, place, 1]
        if digit < 0:
            sub(yk, zero, yk)
        if not is_finite:
            x[:], y[:], z[:] = table[row, place, 0], yk, one
            is_finite = True
        elif not add_affine(x, y, z, table[row, place, 0], yk, r, w):
            return is_finite, False
    return is_finite, True
