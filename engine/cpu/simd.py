# SPDX-License-Identifier: MIT
"""Sixteen float32 lanes as a value inside Numba kernels.

Why this file exists: Numba leaves vectorising to LLVM's loop vectoriser, which silently gives up on the rasteriser's inner
loop (a select, a bit-cast or an aliasing doubt is enough) and then runs sixteen times slower. Here `F32x16` is a Numba type
that *is* an LLVM vector, so `t = (lo - o) * inv` in a kernel compiles to one vector instruction or as many narrower
ones as the processor needs (AVX-512: one, AVX2: two, NEON: four). Nothing is left to a heuristic.

In kernels: `load(a, i)`, `store(a, i, v)`, `splat(x)`, `+ - * /` between vectors and scalars, comparisons giving a `Mask`,
`& | ~`, `select`, `fma`, `vmin`, `vmax`, `vsqrt`, `vexp`, `any_lane`, `lane_sum`, `lane_max`, `sums_of_12`, `mask_bits`.
`fetch_add(counter, 0, n)` hands out work to threads.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16
_F32 = ir.FloatType()
_I32 = ir.IntType(32)
_VEC = ir.VectorType(_F32, LANES)
_QUARTER = ir.VectorType(_F32, LANES // 4)
_VECI = ir.VectorType(_I32, LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)


class F32x16Type(types.Type):
    """Numba's type of sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="F32x16")


class MaskType(types.Type):
    """Numba's type of sixteen yes/no lanes."""

    def __init__(self) -> None:
        super().__init__(name="Mask16")


f32x16 = F32x16Type()
mask16 = MaskType()


@register_model(F32x16Type)
class _F32x16Model(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VEC)


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _BITS)


def _splat(builder: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    first = builder.insert_element(ir.Constant(_VEC, ir.Undefined), scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, ir.Constant(_VEC, ir.Undefined), ir.Constant(_VECI, [0] * LANES))


def _as_vector(builder: ir.IRBuilder, value: ir.Value, kind: types.Type) -> ir.Value:
    """Widen a scalar argument to all lanes; float64 and integers are rounded to float32 first."""
    if isinstance(kind, F32x16Type):
        return value
    if isinstance(kind, types.Integer):
        value = builder.sitofp(value, _F32)
    elif kind == types.float64:
        value = builder.fptrunc(value, _F32)
    return _splat(builder, value)


_SCALARS = (types.float32, types.float64, types.int64)
_PAIRS = [(f32x16, f32x16), *[(f32x16, s) for s in _SCALARS], *[(s, f32x16) for s in _SCALARS]]


def _register_binary(op: Callable, emit: Callable, result: types.Type) -> None:
    @infer_global(op)
    class Template(ConcreteTemplate):
        key = op
        cases = [signature(result, a, b) for a, b in _PAIRS]  # noqa: RUF012

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        a = _as_vector(builder, args[0], sig.args[0])
        b = _as_vector(builder, args[1], sig.args[1])
        return emit(builder, a, b)

    for a, b in _PAIRS:
        lower_builtin(op, a, b)(lower)


for _op, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _register_binary(_op, lambda b, x, y, name=_name: getattr(b, name)(x, y), f32x16)
_register_binary(operator.iadd, lambda b, x, y: b.fadd(x, y), f32x16)
for _op, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
):
    _register_binary(_op, lambda b, x, y, sign=_sign: b.fcmp_ordered(sign, x, y), mask16)


def _register_mask(op: Callable, name: str) -> None:
    @infer_global(op)
    class Template(ConcreteTemplate):
        key = op
        cases = [signature(mask16, mask16, mask16)]  # noqa: RUF012

    lower_builtin(op, mask16, mask16)(lambda context, builder, sig, args: getattr(builder, name)(*args))


_register_mask(operator.and_, "and_")
_register_mask(operator.or_, "or_")


@infer_global(operator.invert)
class _InvertTemplate(ConcreteTemplate):
    key = operator.invert
    cases = [signature(mask16, mask16)]  # noqa: RUF012


@lower_builtin(operator.invert, mask16)
def _lower_invert(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    return builder.not_(args[0])


@infer_global(operator.neg)
class _NegTemplate(ConcreteTemplate):
    key = operator.neg
    cases = [signature(f32x16, f32x16)]  # noqa: RUF012


@lower_builtin(operator.neg, f32x16)
def _lower_neg(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    return builder.fneg(args[0])


def _concatenated(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    picks = list(range(2 * a.type.count))
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(picks)), picks))


def _call(builder: ir.IRBuilder, name: str, result: ir.Type, args: list[ir.Value]) -> ir.Value:
    fn = builder.module.declare_intrinsic(name, [], ir.FunctionType(result, [a.type for a in args]))
    return builder.call(fn, args)


def _address(context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, index: Any) -> ir.Value:
    struct = context.make_array(array_type)(context, builder, array)
    return builder.gep(struct.data, [index])


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """Return array[index : index + 16] of a float32 array. No bounds are checked."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        address = _address(context, builder, sig.args[0], args[0], args[1])
        pointer = builder.bitcast(address, _VEC.as_pointer())
        return builder.load(pointer, align=4)

    return f32x16(array, types.int64), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write sixteen lanes to array[index : index + 16] of a float32 array. No bounds are checked."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        address = _address(context, builder, sig.args[0], args[0], args[1])
        pointer = builder.bitcast(address, _VEC.as_pointer())
        builder.store(args[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, f32x16), codegen


@intrinsic
def load_window(typingctx: Any, array: Any, index: Any, pitch: Any) -> Any:
    """Return four runs of four entries, `pitch` apart: lane 4 y + x is array[index + y pitch + x]. No bounds are checked."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        runs, start = [], args[1]
        for _ in range(4):
            address = _address(context, builder, sig.args[0], args[0], start)
            runs.append(builder.load(builder.bitcast(address, _QUARTER.as_pointer()), align=4))
            start = builder.add(start, args[2])
        halves = [_concatenated(builder, runs[0], runs[1]), _concatenated(builder, runs[2], runs[3])]
        return _concatenated(builder, *halves)

    return f32x16(array, types.int64, types.int64), codegen


@intrinsic
def store_window(typingctx: Any, array: Any, index: Any, pitch: Any, value: Any) -> Any:
    """Write sixteen lanes where `load_window` with the same arguments would read them."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        start = args[1]
        for row in range(4):
            picks = ir.Constant(ir.VectorType(_I32, 4), [4 * row + k for k in range(4)])
            address = _address(context, builder, sig.args[0], args[0], start)
            run = builder.shuffle_vector(args[3], args[3], picks)
            builder.store(run, builder.bitcast(address, _QUARTER.as_pointer()), align=4)
            start = builder.add(start, args[2])
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, f32x16), codegen


@intrinsic
def splat(typingctx: Any, scalar: Any) -> Any:
    """Return the scalar in all lanes."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return _as_vector(builder, args[0], sig.args[0])

    return f32x16(scalar), codegen


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, rounded once; scalars are widened."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        lanes = [_as_vector(builder, value, kind) for value, kind in zip(args, sig.args, strict=True)]
        return _call(builder, "llvm.fma.v16f32", _VEC, lanes)

    return f32x16(a, b, c), codegen


def _minmax(sign: str) -> Any:
    def typed(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            x, y = (_as_vector(builder, value, kind) for value, kind in zip(args, sig.args, strict=True))
            return builder.select(builder.fcmp_ordered(sign, x, y), x, y)

        return f32x16(a, b), codegen

    return typed


vmin = intrinsic(_minmax("<"))
vmax = intrinsic(_minmax(">"))


@intrinsic
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """Return a where the mask is set, else b; scalars are widened."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        a_lanes = _as_vector(builder, args[1], sig.args[1])
        return builder.select(args[0], a_lanes, _as_vector(builder, args[2], sig.args[2]))

    return f32x16(mask16, a, b), codegen


@intrinsic
def vsqrt(typingctx: Any, a: Any) -> Any:
    """Return the square root of each lane."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return _call(builder, "llvm.sqrt.v16f32", _VEC, list(args))

    return f32x16(f32x16), codegen


def _rounding(name: str) -> Any:
    def typed(typingctx: Any, a: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            return _call(builder, f"llvm.{name}.v16f32", _VEC, list(args))

        return f32x16(f32x16), codegen

    return typed


vround = intrinsic(_rounding("rint"))  # to the nearest whole number, halves to even
vfloor = intrinsic(_rounding("floor"))
vceil = intrinsic(_rounding("ceil"))


@intrinsic
def store_int(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write sixteen lanes, truncated to whole numbers, to array[index : index + 16] of an int32 array."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        address = _address(context, builder, sig.args[0], args[0], args[1])
        pointer = builder.bitcast(address, _VECI.as_pointer())
        builder.store(builder.fptosi(args[2], _VECI), pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, f32x16), codegen


@intrinsic
def power_of_two(typingctx: Any, n: Any) -> Any:
    """Return 2**n for lanes holding whole numbers in [-126, 127], by writing the exponent bits."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        whole = builder.fptosi(args[0], _VECI)
        biased = builder.add(whole, ir.Constant(_VECI, [127] * LANES))
        return builder.bitcast(builder.shl(biased, ir.Constant(_VECI, [23] * LANES)), _VEC)

    return f32x16(f32x16), codegen


@intrinsic
def mask_bits(typingctx: Any, mask: Any) -> Any:
    """Return the mask as the low sixteen bits of an integer, lane 0 lowest."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(64))

    return types.int64(mask16), codegen


@njit(cache=True, nogil=True)
def any_lane(mask):
    """Say whether any lane of the mask is set."""
    return mask_bits(mask) != 0


def _half(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, width: int, odd: bool) -> ir.Value:
    """Concatenate, for every group of 2*width lanes, the low (or high) `width` lanes of a's group then of b's."""
    picks: list[int] = []
    for start in range(0, LANES, 2 * width):
        base = start + (width if odd else 0)
        picks += [base + k for k in range(width)] + [LANES + base + k for k in range(width)]
    return builder.shuffle_vector(a, b, ir.Constant(_VECI, picks))


def _fold(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, width: int) -> ir.Value:
    return builder.fadd(_half(builder, a, b, width, False), _half(builder, a, b, width, True))


@intrinsic
def sums_of_12(
    typingctx: Any,
    a: Any,
    b: Any,
    c: Any,
    d: Any,
    e: Any,
    f: Any,
    g: Any,
    h: Any,
    i: Any,
    j: Any,
    k: Any,
    m: Any,
) -> Any:
    """Return one vector whose lanes 0..11 are the lane sums of twelve vectors; lanes 12..15 are zero.

    A tree of pairwise folds: 11 additions instead of 48, and the order of summation is fixed by the code.
    """

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        zero = ir.Constant(_VEC, [0.0] * LANES)
        rows = [*args, zero, zero, zero, zero]
        for width in (1, 2, 4, 8):
            rows = [_fold(builder, rows[n], rows[n + 1], width) for n in range(0, len(rows), 2)]
        return rows[0]

    return f32x16(*[f32x16] * 12), codegen


def _reduce(emit: Callable) -> Any:
    def typed(typingctx: Any, a: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            value = args[0]
            for width in (8, 4, 2, 1):
                picks = [(n + width) % LANES for n in range(LANES)]
                value = emit(builder, value, builder.shuffle_vector(value, value, ir.Constant(_VECI, picks)))
            return builder.extract_element(value, ir.Constant(_I32, 0))

        return types.float32(f32x16), codegen

    return typed


lane_sum = intrinsic(_reduce(lambda b, x, y: b.fadd(x, y)))
lane_max = intrinsic(_reduce(lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), x, y)))


@njit(cache=True, nogil=True)
def vexp(x):
    """Return e**x per lane for x in [-87, 88], relative error below 2.5e-7 + 1.4e-8 |x|; clamped outside.

    x = (n + f) ln 2 with n whole and |f| <= 1/2; 2**f by a degree-6 polynomial (Taylor in f ln 2, last terms balanced).
    1 / ln 2 is one float32, hence the part that grows with |x|: kernels take the exponential of small numbers only.
    """
    x = vmin(vmax(x, -87.0), 88.0)
    n = vround(x * 1.4426950408889634)
    f = fma(x, 1.4426950408889634, -n)
    p = fma(f, 1.5403530393381606e-4, 1.3333558146428443e-3)
    p = fma(p, f, 9.618129107628477e-3)
    p = fma(p, f, 5.550410866482158e-2)
    p = fma(p, f, 2.402265069591007e-1)
    p = fma(p, f, 6.931471805599453e-1)
    p = fma(p, f, 1.0)
    return p * power_of_two(n)


def _rgb_bytes(channel: int, repeat: int) -> Any:
    def typed(typingctx: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            row = ir.VectorType(ir.IntType(8), 3 * LANES // repeat)
            address = _address(context, builder, sig.args[0], args[0], args[1])
            pixels = builder.load(builder.bitcast(address, row.as_pointer()), align=1)
            picks = ir.Constant(_VECI, [3 * (lane // repeat) + channel for lane in range(LANES)])
            return builder.uitofp(builder.shuffle_vector(pixels, pixels, picks), _VEC)

        return f32x16(array, types.int64), codegen

    return intrinsic(typed)


# One channel of sixteen neighbouring pixels of a flat uint8 rgb image, from array[index] on, as 0 .. 255; no bounds are checked.
load_red, load_green, load_blue = (_rgb_bytes(channel, 1) for channel in range(3))
# The same of eight pixels, each in two lanes.
load_red_twice, load_green_twice, load_blue_twice = (_rgb_bytes(channel, 2) for channel in range(3))


@intrinsic
def swap_pairs(typingctx: Any, a: Any) -> Any:
    """Return the lanes with each two neighbours exchanged."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.shuffle_vector(
            args[0], args[0], ir.Constant(_VECI, [lane ^ 1 for lane in range(LANES)])
        )

    return f32x16(f32x16), codegen


@intrinsic
def count_lanes(typingctx: Any, mask: Any) -> Any:
    """Return how many lanes of the mask are set."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.zext(builder.ctpop(builder.bitcast(args[0], ir.IntType(LANES))), ir.IntType(64))

    return types.int64(mask16), codegen


@intrinsic
def store_pixels(typingctx: Any, array: Any, index: Any, pitch: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Write pixels (a, b, c, d) of sixteen lanes: lanes 4 y .. 4 y + 3 to array[index + y pitch : index + y pitch + 16]."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        row_start = args[1]
        for row in range(4):
            pairs = [row * 4 + half + side for half in range(4) for side in (0, LANES)]
            picks = ir.Constant(ir.VectorType(_I32, 8), pairs)
            ab, cd = (builder.shuffle_vector(args[k], args[k + 1], picks) for k in (3, 5))
            merged = [k + side for k in (0, 2, 4, 6) for side in (0, 1, 8, 9)]
            pixels = builder.shuffle_vector(ab, cd, ir.Constant(_VECI, merged))
            address = _address(context, builder, sig.args[0], args[0], row_start)
            builder.store(pixels, builder.bitcast(address, _VEC.as_pointer()), align=4)
            row_start = builder.add(row_start, args[2])
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, *[f32x16] * 4), codegen


def _one_of_four(field: int) -> Any:
    def typed(typingctx: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            picks = ir.Constant(ir.VectorType(_I32, 8), [4 * lane + field for lane in range(8)])
            halves = []
            for start in (0, 2 * LANES):
                parts = []
                for more in (start, start + LANES):
                    at = builder.add(args[1], ir.Constant(args[1].type, more))
                    address = _address(context, builder, sig.args[0], args[0], at)
                    parts.append(builder.load(builder.bitcast(address, _VEC.as_pointer()), align=4))
                halves.append(builder.shuffle_vector(*parts, picks))
            return _concatenated(builder, *halves)

        return f32x16(array, types.int64), codegen

    return intrinsic(typed)


# One of the four values that stand side by side for each of sixteen lanes, as `store_pixels` with a pitch of 16 writes them.
load_1_of_4, load_2_of_4, load_3_of_4, load_4_of_4 = (_one_of_four(field) for field in range(4))


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of flat element `index`, which will be read soon. Any index is safe."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        address = _address(context, builder, sig.args[0], args[0], args[1])
        pointer = builder.bitcast(address, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, *[_I32] * 3])
        fn = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        builder.call(fn, [pointer, *(ir.Constant(_I32, value) for value in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


@intrinsic
def fetch_add(typingctx: Any, counter: Any, index: Any, step: Any) -> Any:
    """Atomically add `step` to counter[index] (int64 array) and return what it was: hands out work to threads."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        address = _address(context, builder, sig.args[0], args[0], args[1])
        return builder.atomic_rmw("add", address, args[2], "monotonic")

    return types.int64(counter, types.int64, types.int64), codegen
