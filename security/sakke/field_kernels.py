"""Compiled arithmetic for SAKKE: numbers of F_p as sixteen 64-bit limbs in Montgomery form, and the loops over them.

A number a is held as a * 2^1024 mod p, least significant limb first, always below p. Then a product needs no division:
limb by limb a multiple of p is added that clears the lowest limb, which is dropped (P. L. Montgomery, "Modular
multiplication without trial division", 1985). Numba has no 64 x 64 -> 128 bit product, so the three operations of the
field are written in LLVM's own language, as rows of such products with the limbs of p as constants; the processor's
carry chain does the rest. Nothing branches on the values in them.

The loops above them (Miller's loop, powers of g, sums of table entries) are the ones of `security.sakke.pairing` and
`security.sakke.curve`, formula by formula; tests hold the two equal. They do branch: on digits of q, which all know,
and of scalars (SECURITY.md says what is not promised about time).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from gmpy2 import mpz
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from security.sakke.parameters import FIELD_OCTETS, P_MODULUS

Limbs = NDArray[np.uint64]
"""Shape (..., 16)."""
LIMBS: Final = 16
_WORD: Final = 64
_R: Final = mpz(1) << (LIMBS * _WORD)
_R_INVERSE: Final = pow(_R, -1, P_MODULUS)
_P_LIMBS: Final = tuple(int(P_MODULUS >> (_WORD * i)) & ((1 << _WORD) - 1) for i in range(LIMBS))
_P_NEGATIVE_INVERSE: Final = int(-pow(P_MODULUS, -1, 1 << _WORD) % (1 << _WORD))
_I64, _I128 = ir.IntType(64), ir.IntType(128)
_POINTER = _I64.as_pointer()


def to_limbs(values: Iterable[mpz]) -> Limbs:
    """Numbers below p in Montgomery form; shape (n, 16)."""
    octets = b"".join(int(value * _R % P_MODULUS).to_bytes(FIELD_OCTETS, "little") for value in values)
    return np.frombuffer(octets, dtype="<u8").reshape(-1, LIMBS).astype(np.uint64)


def from_limbs(limbs: Limbs) -> mpz:
    """The number of one row of limbs in Montgomery form."""
    return mpz(int.from_bytes(limbs.astype("<u8").tobytes(), "little")) * _R_INVERSE % P_MODULUS


ONE: Final = to_limbs([mpz(1)])[0]


def _number(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _split(b: ir.IRBuilder, total: ir.Value) -> tuple[ir.Value, ir.Value]:
    """A 128-bit sum's low and high 64 bits."""
    return b.trunc(total, _I64), b.trunc(b.lshr(total, ir.Constant(_I128, _WORD)), _I64)


def _multiply_add(b: ir.IRBuilder, x: ir.Value, y: ir.Value, *more: ir.Value) -> tuple[ir.Value, ir.Value]:
    """x * y and up to two more numbers added: low and high limb; it can't overflow."""
    total = b.mul(b.zext(x, _I128), b.zext(y, _I128))
    for one in more:
        total = b.add(total, b.zext(one, _I128))
    return _split(b, total)


def _add(b: ir.IRBuilder, x: ir.Value, y: ir.Value, carry: ir.Value) -> tuple[ir.Value, ir.Value]:
    return _split(b, b.add(b.add(b.zext(x, _I128), b.zext(y, _I128)), b.zext(carry, _I128)))


def _less_p(b: ir.IRBuilder, limbs: list[ir.Value]) -> tuple[list[ir.Value], ir.Value]:
    """Limbs minus p, and the borrow."""
    return _subtract(b, limbs, [_number(limb) for limb in _P_LIMBS])


def _subtract(b: ir.IRBuilder, left: list[ir.Value], right: list[ir.Value]) -> tuple[list[ir.Value], ir.Value]:
    borrow: ir.Value = _number(0)
    difference = []
    for x, y in zip(left, right, strict=True):
        total = b.sub(b.sub(b.zext(x, _I128), b.zext(y, _I128)), b.zext(borrow, _I128))
        low, high = _split(b, total)
        difference.append(low)
        borrow = b.and_(high, _number(1))
    return difference, borrow


def _below_p(b: ir.IRBuilder, limbs: list[ir.Value], top: ir.Value) -> list[ir.Value]:
    """A number below 2p (limbs and one more on top) reduced by p if it is not below it."""
    reduced, borrow = _less_p(b, limbs)
    is_below = b.icmp_unsigned("<", top, borrow)
    return [b.select(is_below, x, y) for x, y in zip(limbs, reduced, strict=True)]


def _product(b: ir.IRBuilder, left: ir.Value, right: ir.Value) -> list[ir.Value]:
    """A loop over the limbs of `right`; the sums go round in it as values, not in memory."""
    before = b.block
    loop = b.append_basic_block("row")
    behind = b.append_basic_block("rows_done")
    b.branch(loop)
    b.position_at_end(loop)
    row, top, *sums = (b.phi(_I64) for _ in range(2 + LIMBS))
    going_round = [row, top, *sums]
    for value in going_round:
        value.add_incoming(_number(0), before)
    y = b.load(b.gep(right, [row]))
    carry: ir.Value = _number(0)
    for j in range(LIMBS):
        sums[j], carry = _multiply_add(b, b.load(b.gep(left, [_number(j)])), y, sums[j], carry)
    top, over = _add(b, top, carry, _number(0))
    factor = b.mul(sums[0], _number(_P_NEGATIVE_INVERSE))
    _, carry = _multiply_add(b, factor, _number(_P_LIMBS[0]), sums[0])
    for j in range(1, LIMBS):
        sums[j - 1], carry = _multiply_add(b, factor, _number(_P_LIMBS[j]), sums[j], carry)
    sums[LIMBS - 1], carry = _add(b, top, carry, _number(0))
    top = b.add(over, carry)
    following = b.add(row, _number(1))
    for value, next_value in zip(going_round, [following, top, *sums], strict=True):
        value.add_incoming(next_value, loop)
    b.cbranch(b.icmp_unsigned("<", following, _number(LIMBS)), loop, behind)
    b.position_at_end(behind)
    return _below_p(b, sums, top)


def _loaded(b: ir.IRBuilder, pointer: ir.Value) -> list[ir.Value]:
    return [b.load(b.gep(pointer, [_number(i)])) for i in range(LIMBS)]


def _sum(b: ir.IRBuilder, left: ir.Value, right: ir.Value) -> list[ir.Value]:
    carry: ir.Value = _number(0)
    sums = []
    for x, y in zip(_loaded(b, left), _loaded(b, right), strict=True):
        low, carry = _add(b, x, y, carry)
        sums.append(low)
    return _below_p(b, sums, carry)


def _difference(b: ir.IRBuilder, left: ir.Value, right: ir.Value) -> list[ir.Value]:
    difference, borrow = _subtract(b, _loaded(b, left), _loaded(b, right))
    mask = b.sub(_number(0), borrow)
    carry: ir.Value = _number(0)
    again = []
    for x, limb in zip(difference, _P_LIMBS, strict=True):
        low, carry = _add(b, x, b.and_(_number(limb), mask), carry)
        again.append(low)
    return again


_OPERATIONS: Final = {"product": _product, "sum": _sum, "difference": _difference}


def _function(module: ir.Module, name: str) -> ir.Function:
    """The function of an operation in a module: (out, left, right), pointers to 16 limbs each; out may be an input."""
    full_name = f"pc5lab_sakke_{name}"
    if full_name in module.globals:
        return module.globals[full_name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_POINTER] * 3), full_name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    b = ir.IRBuilder(function.append_basic_block())
    out, left, right = function.args
    for i, limb in enumerate(_OPERATIONS[name](b, left, right)):
        b.store(limb, b.gep(out, [_number(i)]))
    b.ret_void()
    return function


def _operation(name: str) -> Any:
    def typed(_context: Any, out: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            arrays = zip(signature.args, arguments, strict=True)
            data = [context.make_array(kind)(context, builder, value).data for kind, value in arrays]
            builder.call(_function(builder.module, name), data)
            return context.get_dummy_value()

        return types.void(out, left, right), generate

    return typed


@intrinsic
def mul(typingctx: Any, out: Any, left: Any, right: Any) -> Any:
    """out = left * right in F_p, Montgomery form; arrays of 16 limbs without gaps."""
    return _operation("product")(typingctx, out, left, right)


@intrinsic
def add(typingctx: Any, out: Any, left: Any, right: Any) -> Any:
    """out = left + right in F_p."""
    return _operation("sum")(typingctx, out, left, right)


@intrinsic
def sub(typingctx: Any, out: Any, left: Any, right: Any) -> Any:
    """out = left - right in F_p."""
    return _operation("difference")(typingctx, out, left, right)


@njit(cache=True, nogil=True)
def is_zero(value: Limbs) -> bool:
    """Whether a number is 0."""
    any_bit = np.uint64(0)
    for limb in value:
        any_bit |= limb
    return any_bit == 0


@njit(cache=True, nogil=True)
def double_point(x: Limbs, y: Limbs, z: Limbs, zz: Limbs, m: Limbs, w: Limbs) -> None:
    """(x, y, z) doubled in place, Jacobian, a = -3; leaves Z^2 of before in zz and 3(X - ZZ)(X + ZZ) in m.

    w: (4, 16) to work in; w[3] is left with Y^2 of before.
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
            mul(s, slopes[line], x)
            mul(t, constants[line], y)
            add(t, s, t)
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
