"""Sixteen 16-bit lanes as one value inside numba kernels.

A kernel holds such values in local variables, and LLVM keeps them in registers; nothing depends on its loop
vectoriser. All operations are generic LLVM, so they run on any processor; `permute` alone picks instructions, by what
this processor has.

Why not leave it to a vectorising compiler: the recursions of the decoders go step by step, and what is parallel in them
(states of a trellis, windows of a block, sixteen blocks) is not a loop that a vectoriser finds. Written as a value of
sixteen lanes, each step is one instruction a state. Arithmetic does not saturate; each decoder proves that its values
stay inside 16 bits.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from llvmlite import binding, ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

N_LANES = 16
_I8, _I16, _I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_LANES = ir.VectorType(_I16, N_LANES)
_OCTETS = ir.VectorType(_I8, 2 * N_LANES)


Lanes: TypeAlias = Any
"""A value of sixteen int16 lanes. Only compiled code has such values, so Python has no type for them."""


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name="v16i16")


vector = _Vector()
register_model(_Vector)(
    type(
        "_VectorModel",
        (models.PrimitiveModel,),
        {"__init__": lambda self, dmm, fe_type: models.PrimitiveModel.__init__(self, dmm, fe_type, _LANES)},
    )
)


def has_byte_shuffle() -> bool:
    """Whether numba compiles for this processor, and it has AVX2 shuffles of octets in 32-octet registers."""
    if config.CPU_NAME not in (None, "", "host") or config.CPU_FEATURES:
        return False
    return bool(binding.get_host_cpu_features().get("avx2", False))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """Sixteen consecutive int16 of a flat array, from element `index` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        value = builder.load(builder.bitcast(pointer, _LANES.as_pointer()))
        value.align = 2
        return value

    return vector(array, index), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write the sixteen int16 lanes to a flat array, from element `index` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], builder.bitcast(pointer, _LANES.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


@intrinsic
def splat(typingctx: Any, value: Any) -> Any:
    """The same int16 in every lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        narrow = context.cast(builder, args[0], signature.args[0], types.int16)
        one = builder.insert_element(ir.Constant(_LANES, ir.Undefined), narrow, ir.Constant(_I32, 0))
        zeros = ir.Constant(ir.VectorType(_I32, N_LANES), [0] * N_LANES)
        return builder.shuffle_vector(one, ir.Constant(_LANES, ir.Undefined), zeros)

    return vector(value), codegen


@intrinsic
def add(typingctx: Any, a: Any, b: Any) -> Any:
    """a + b, wrapping."""
    return vector(vector, vector), lambda context, builder, signature, args: builder.add(args[0], args[1])


@intrinsic
def sub(typingctx: Any, a: Any, b: Any) -> Any:
    """a - b, wrapping."""
    return vector(vector, vector), lambda context, builder, signature, args: builder.sub(args[0], args[1])


@intrinsic
def mul(typingctx: Any, a: Any, b: Any) -> Any:
    """a * b, wrapping."""
    return vector(vector, vector), lambda context, builder, signature, args: builder.mul(args[0], args[1])


@intrinsic
def maximum(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of a and b in each lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.icmp_signed(">", args[0], args[1]), args[0], args[1])

    return vector(vector, vector), codegen


@intrinsic
def minimum(typingctx: Any, a: Any, b: Any) -> Any:
    """The smaller of a and b in each lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.icmp_signed("<", args[0], args[1]), args[0], args[1])

    return vector(vector, vector), codegen


@intrinsic
def three_quarters(typingctx: Any, a: Any) -> Any:
    """a - floor(a / 4)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sub(args[0], builder.ashr(args[0], ir.Constant(_LANES, [2] * N_LANES)))

    return vector(vector), codegen


@intrinsic
def shift_in_positive(typingctx: Any, bits: Any, a: Any) -> Any:
    """2 bits + 1 in the lanes where a > 0, 2 bits in the others, wrapping."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        is_positive = builder.icmp_signed(">", args[1], ir.Constant(_LANES, [0] * N_LANES))
        return builder.sub(builder.add(args[0], args[0]), builder.sext(is_positive, _LANES))

    return vector(vector, vector), codegen


@intrinsic
def mask_greater(typingctx: Any, a: Any, b: Any) -> Any:
    """uint16 whose bit l says whether a > b in lane l."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.icmp_signed(">", args[0], args[1]), _I16)

    return types.uint16(vector, vector), codegen


@intrinsic
def zip_low(typingctx: Any, a: Any, b: Any) -> Any:
    """a0 b0 a1 b1 ... a7 b7."""
    return vector(vector, vector), _zip(0)


@intrinsic
def zip_high(typingctx: Any, a: Any, b: Any) -> Any:
    """a8 b8 a9 b9 ... a15 b15."""
    return vector(vector, vector), _zip(N_LANES // 2)


def _zip(first: int) -> Any:
    order = [lane for i in range(first, first + N_LANES // 2) for lane in (i, N_LANES + i)]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.shuffle_vector(args[0], args[1], ir.Constant(ir.VectorType(_I32, N_LANES), order))

    return codegen


@intrinsic
def permute(typingctx: Any, value: Any, selectors: Any, index: Any) -> Any:
    """Lanes in another order; `selectors` uint8 as `lane_selectors` makes them, 32 octets from `index` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[1], args[1], args[2])
        selector = builder.load(builder.bitcast(pointer, _OCTETS.as_pointer()))
        selector.align = 1
        shuffle = _shuffle_octets if has_byte_shuffle() else _shuffle_one_by_one
        return shuffle(builder, args[0], selector)

    return vector(vector, selectors, index), codegen


def _shuffle_octets(builder: Any, value: Any, selector: Any) -> Any:
    """Duplicate each half of the register, then shuffle both; a selector octet with its top bit set gives 0."""
    function_type = ir.FunctionType(_OCTETS, [_OCTETS, _OCTETS])
    shuffle = cgutils.get_or_insert_function(builder.module, function_type, "llvm.x86.avx2.pshuf.b")
    undefined = ir.Constant(_LANES, ir.Undefined)
    halves = []
    for half in (0, 1):
        order = [half * 8 + i for i in range(8)] * 2
        doubled = builder.shuffle_vector(value, undefined, ir.Constant(ir.VectorType(_I32, N_LANES), order))
        halves.append(builder.bitcast(doubled, _OCTETS))
    low = builder.call(shuffle, [halves[0], selector])
    flipped = builder.xor(selector, ir.Constant(_OCTETS, [0x80] * (2 * N_LANES)))
    high = builder.call(shuffle, [halves[1], flipped])
    return builder.bitcast(builder.or_(low, high), _LANES)


def _shuffle_one_by_one(builder: Any, value: Any, selector: Any) -> Any:
    result = ir.Constant(_LANES, ir.Undefined)
    for lane in range(N_LANES):
        octet = builder.extract_element(selector, ir.Constant(_I32, 2 * lane))
        low = builder.lshr(builder.and_(octet, ir.Constant(_I8, 0x0E)), ir.Constant(_I8, 1))
        source = builder.or_(low, builder.lshr(builder.and_(octet, ir.Constant(_I8, 0x80)), ir.Constant(_I8, 4)))
        element = builder.extract_element(value, builder.zext(source, _I32))
        result = builder.insert_element(result, element, ir.Constant(_I32, lane))
    return result
