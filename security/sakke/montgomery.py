"""Compiled arithmetic of F_p for SAKKE: numbers as sixteen 64-bit limbs in Montgomery form.

A number a is held as a * 2^1024 mod p, least significant limb first, always below p. Then a product needs no division:
limb by limb a multiple of p is added that clears the lowest limb, which is dropped (P. L. Montgomery, "Modular
multiplication without trial division", 1985). Numba has no 64 x 64 -> 128 bit product, so the three operations of the
field are written in LLVM's own language, as rows of such products with the limbs of p as constants; the processor's
carry chain does the rest. Nothing branches on the values in them.

A product takes some 0.3 us, where multiplying and dividing with big integers takes 1 to 1.5 us.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from gmpy2 import mpz
from llvmlite import ir
from numba import types
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


def _products(b: ir.IRBuilder, *factors: ir.Value) -> list[ir.Value]:
    """The sum of one or two products, reduced once: factors are (left, right) or (left, right, left, right).

    A loop over the limbs of the right factors; the sums go round in it as values, not in memory. Two products leave
    less than 2.2 p, so p is taken off as often as there are products.
    """
    pairs = list(zip(factors[::2], factors[1::2], strict=True))
    before = b.block
    loop = b.append_basic_block("row")
    behind = b.append_basic_block("rows_done")
    b.branch(loop)
    b.position_at_end(loop)
    row, top, *sums = (b.phi(_I64) for _ in range(2 + LIMBS))
    going_round = [row, top, *sums]
    for value in going_round:
        value.add_incoming(_number(0), before)
    over: ir.Value = _number(0)
    for left, right in pairs:
        y = b.load(b.gep(right, [row]))
        carry: ir.Value = _number(0)
        for j in range(LIMBS):
            sums[j], carry = _multiply_add(b, b.load(b.gep(left, [_number(j)])), y, sums[j], carry)
        top, more = _add(b, top, carry, _number(0))
        over = b.add(over, more)
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
    for _ in pairs:
        sums = _below_p(b, sums, top)
        top = _number(0)
    return sums


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


_OPERATIONS: Final = {
    "product": (2, _products),
    "products": (4, _products),
    "sum": (2, _sum),
    "difference": (2, _difference),
}
"""Number of inputs of each operation, and the function that generates its code."""


def _function(module: ir.Module, name: str) -> ir.Function:
    """The function of an operation in a module: (out, inputs), pointers to 16 limbs each; out may be an input."""
    inputs, make = _OPERATIONS[name]
    full_name = f"pc5lab_sakke_{name}"
    if full_name in module.globals:
        return module.globals[full_name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_POINTER] * (1 + inputs)), full_name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    b = ir.IRBuilder(function.append_basic_block())
    out, *factors = function.args
    for i, limb in enumerate(make(b, *factors)):
        b.store(limb, b.gep(out, [_number(i)]))
    b.ret_void()
    return function


def _operation(name: str) -> Any:
    def typed(*kinds: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            arrays = zip(signature.args, arguments, strict=True)
            data = [context.make_array(kind)(context, builder, value).data for kind, value in arrays]
            builder.call(_function(builder.module, name), data)
            return context.get_dummy_value()

        return types.void(*kinds), generate

    return typed


@intrinsic
def mul(_context: Any, out: Any, left: Any, right: Any) -> Any:
    """out = left * right in F_p, Montgomery form; arrays of 16 limbs without gaps."""
    return _operation("product")(out, left, right)


@intrinsic
def mul_add_mul(_context: Any, out: Any, left: Any, right: Any, other_left: Any, other_right: Any) -> Any:
    """out = left * right + other_left * other_right in F_p, with one reduction."""
    return _operation("products")(out, left, right, other_left, other_right)


@intrinsic
def add(_context: Any, out: Any, left: Any, right: Any) -> Any:
    """out = left + right in F_p."""
    return _operation("sum")(out, left, right)


@intrinsic
def sub(_context: Any, out: Any, left: Any, right: Any) -> Any:
    """out = left - right in F_p."""
    return _operation("difference")(out, left, right)
