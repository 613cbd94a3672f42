# SPDX-License-Identifier: MIT
"""Half precision in kernels: sixteen-bit arrays that are read as float32 lanes, for pictures of what is not trained any more.

Numba knows no float16 on a processor, so the bits travel as int16. The conversion is five whole-number operations on any
processor: the magnitude's bits moved under float32's exponent, times 2^112. Subnormal halves would be slow there on some, and
are below anything visible: `half_bits` writes them as 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.cpu.simd import LANES, f32x16

_LARGEST, _SMALLEST = 65504.0, 2.0**-14  # of a normal half
_SCALE = 2.0**112  # float32's exponents start 112 earlier than float16's


def half_bits(values: np.ndarray) -> np.ndarray:
    """Return int16, the bits of float16: clipped to its range, 0 below its smallest normal number."""
    values = np.clip(values, -_LARGEST, _LARGEST)
    values = np.where(np.abs(values) < _SMALLEST, np.float32(0.0), values)
    return np.ascontiguousarray(values, dtype=np.float16).view(np.int16)


def from_half_bits(bits: np.ndarray) -> np.ndarray:
    """Return the float32 values of what `half_bits` wrote."""
    return bits.view(np.float16).astype(np.float32)


def _load_halves(
    context: Any, builder: ir.IRBuilder, kind: Any, array: Any, index: Any, count: int
) -> ir.Value:
    """Return `count` float32 lanes of an int16 array from flat `index` on."""
    shorts, ints = ir.VectorType(ir.IntType(16), count), ir.VectorType(ir.IntType(32), count)
    floats = ir.VectorType(ir.FloatType(), count)

    def every(value: int) -> ir.Constant:
        return ir.Constant(ints, [value] * count)

    struct = context.make_array(kind)(context, builder, array)
    address = builder.gep(struct.data, [index])
    bits = builder.zext(builder.load(builder.bitcast(address, shorts.as_pointer()), align=2), ints)
    magnitude = builder.bitcast(builder.shl(builder.and_(bits, every(0x7FFF)), every(13)), floats)
    scaled = builder.bitcast(builder.fmul(magnitude, ir.Constant(floats, [_SCALE] * count)), ints)
    sign = builder.shl(builder.and_(bits, every(0x8000)), every(16))
    return builder.bitcast(builder.or_(scaled, sign), floats)


@intrinsic
def load_wide(typingctx: Any, array: Any, index: Any) -> Any:
    """Return sixteen lanes of a float32 array, or of an int16 one that holds halves. No bounds are checked."""
    half = array.dtype == types.int16

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        if half:
            return _load_halves(context, builder, sig.args[0], args[0], args[1], LANES)
        struct = context.make_array(sig.args[0])(context, builder, args[0])
        lanes = ir.VectorType(ir.FloatType(), LANES)
        address = builder.bitcast(builder.gep(struct.data, [args[1]]), lanes.as_pointer())
        return builder.load(address, align=4)

    return f32x16(array, types.int64), codegen


@intrinsic
def eight_halves(typingctx: Any, array: Any, index: Any) -> Any:
    """Return eight float32 numbers of an int16 array that holds halves, from flat `index` on, as a tuple."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        lanes = _load_halves(context, builder, sig.args[0], args[0], args[1], 8)
        numbers = [builder.extract_element(lanes, ir.Constant(ir.IntType(32), k)) for k in range(8)]
        return context.make_tuple(builder, sig.return_type, numbers)

    return types.UniTuple(types.float32, 8)(array, types.int64), codegen
