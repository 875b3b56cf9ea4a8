"""Lines, powers and multiples with the compiled kernels; they give the same results as the plain ones.

`security.sakke.kem` uses these in processes that run for long (`prepare_tables`): the kernels take a second to load,
and some ten seconds the first time on a machine, when they are compiled.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from gmpy2 import invert, mpz

from security.sakke import field_kernels as kernels
from security.sakke.curve import GENERATOR, FixedBase, Point, SakkePointError, signed_digits, sum_points
from security.sakke.montgomery import LIMBS, ONE, from_limbs, to_limbs
from security.sakke.pairing import GT_WINDOW_BITS, Q_DIGITS, Q_LAST_DIGIT, PowersOfG, final_power, reduce_pair
from security.sakke.parameters import P_MODULUS

_DIGITS: Final = np.array(Q_DIGITS, dtype=np.int8)
_LINES: Final = len(Q_DIGITS) + sum(digit != 0 for digit in Q_DIGITS)


class FastLines:
    """`security.sakke.pairing.PairingLines` by the kernels: the lines of a fixed point K of order q."""

    def __init__(self, point: Point) -> None:
        xk, yk = point
        start = to_limbs([xk, yk])
        slopes, constants, under = (np.empty((_LINES, LIMBS), np.uint64) for _ in range(3))
        negative_y = to_limbs([-yk % P_MODULUS])[0]
        end = kernels.miller_lines(_DIGITS, start, negative_y, ONE, slopes, constants, under)
        x, y, z = (from_limbs(row) for row in end)
        zz = z * z % P_MODULUS
        if not z or (x - xk * zz) % P_MODULUS or (y + Q_LAST_DIGIT * yk * zz * z) % P_MODULUS:
            raise SakkePointError("the point is not of order q")
        products = kernels.products_so_far(under, ONE)
        whole = from_limbs(products[-1])
        if not whole:
            raise SakkePointError("the point is not of order q")
        kernels.divide_lines(slopes, constants, under, products, to_limbs([invert(whole, P_MODULUS)])[0])
        self._slopes, self._constants = slopes, constants

    def pairing(self, point: Point) -> mpz:
        """<K, R> for a point R of the curve. Raises SakkePointError if the value has no representative."""
        x, y = point
        if y == 0:
            raise SakkePointError("the point is of order 2")
        y = invert(y, P_MODULUS)
        x_over_y, over_y = to_limbs([x * y, y])
        value = kernels.evaluate_lines(_DIGITS, self._slopes, self._constants, x_over_y, over_y, ONE)
        return final_power((from_limbs(value[0]), from_limbs(value[1])))


class FastPowersOfG:
    """`security.sakke.pairing.PowersOfG` by the kernels."""

    def __init__(self, powers: PowersOfG) -> None:
        width = (1 << GT_WINDOW_BITS) - 1
        self._tangents = to_limbs(t for row in powers.rows for t in row).reshape(-1, width, LIMBS)

    def power(self, k: int) -> mpz:
        """g^k in PF_p, 0 <= k < q."""
        mask = (1 << GT_WINDOW_BITS) - 1
        digits = np.array([int(k) >> (GT_WINDOW_BITS * row) & mask for row in range(len(self._tangents))], np.int64)
        value = kernels.power_by_rows(self._tangents, digits, ONE)
        return reduce_pair((from_limbs(value[0]), from_limbs(value[1])))


class FastTable:
    """The table of a `FixedBase` for the kernels."""

    def __init__(self, base: FixedBase) -> None:
        self.base = base
        width = len(base.rows[0])
        coordinates = (coordinate for row in base.rows for point in row for coordinate in point)
        self.limbs = to_limbs(coordinates).reshape(-1, width, 2, LIMBS)


def compile_kernels() -> None:
    """Compile every kernel, or load the compiled ones."""
    FastLines(GENERATOR).pairing(GENERATOR)
    tangents = np.zeros((1, 1, LIMBS), np.uint64)
    kernels.power_by_rows(tangents, np.zeros(1, np.int64), ONE)
    total = np.zeros((3, LIMBS), np.uint64)
    kernels.sum_by_rows(np.zeros((1, 1, 2, LIMBS), np.uint64), np.zeros(1, np.int64), total, False, ONE)


def sum_of_multiples(multiples: list[tuple[FastTable, int]]) -> Point | None:
    """[k1]P1 + [k2]P2 + ... for 0 <= k < 2^1025."""
    total = np.zeros((3, LIMBS), np.uint64)
    is_finite, went_well = False, True
    for table, k in multiples:
        digits = np.array(signed_digits(k, len(table.limbs)), np.int64)
        is_finite, went_well = kernels.sum_by_rows(table.limbs, digits, total, is_finite, ONE)
        if not went_well:
            return sum_points(term for table, k in multiples for term in table.base.terms(k))
    if not is_finite:
        return None
    x, y, z = (from_limbs(row) for row in total)
    over_z = invert(z, P_MODULUS)
    square = over_z * over_z % P_MODULUS
    return x * square % P_MODULUS, y * square * over_z % P_MODULUS
