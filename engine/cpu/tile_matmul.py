# SPDX-License-Identifier: MIT
"""Products of small matrices that lie in the first-level cache: what the fields' networks are made of.

Computes C[i, j] = sum over p of A[i, p] B[p, j] for flat float32 arrays with strides of their own: A by single values (so
that its transpose costs nothing), B and C by vectors of sixteen columns. A block of C stays in registers while p runs: per
step two vectors of B and as many values of A as the block has rows. Numba's own loops reach a tenth of this.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.cpu.simd import LANES

_F32 = ir.FloatType()
_I64 = ir.IntType(64)
_VEC = ir.VectorType(_F32, LANES)
_ROUND = ir.VectorType(ir.IntType(32), LANES)

# 32 registers of sixteen lanes hold a block of 8 rows by 2 vectors; processors without them do better with 4 rows by 1.
_WIDE = bool(llvmlite.binding.get_host_cpu_features().get("avx512f", False))
BLOCK_ROWS = 8  # rows of a product are multiples of this
_PLAIN, _RELU, _MASK, _ADD = range(4)  # what happens to a finished block


def _finished(
    builder: ir.IRBuilder, kind: int, value: ir.Value, target: ir.Value, gate: ir.Value
) -> ir.Value:
    """Return what is written for a finished vector of C: see `multiply_*`."""
    zero = ir.Constant(_VEC, [0.0] * LANES)
    if kind == _RELU:
        return builder.select(builder.fcmp_ordered(">", value, zero), value, zero)
    if kind == _MASK:
        return builder.select(builder.fcmp_ordered(">", builder.load(gate, align=4), zero), value, zero)
    if kind == _ADD:
        return builder.fadd(builder.load(target, align=4), value)
    return value


def _block(rows: int, vectors: int, kind: int) -> Any:
    """Return the intrinsic that computes `rows` x 16 `vectors` of C."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        _, a_at, a_row, a_step, _, b_at, b_row, steps, _, c_at, c_row, _ = args
        data = {k: context.make_array(sig.args[k])(context, builder, args[k]).data for k in (0, 4, 8, 11)}

        def vector(which: int, at: ir.Value) -> ir.Value:
            return builder.bitcast(builder.gep(data[which], [at]), _VEC.as_pointer())

        zero = ir.Constant(_VEC, [0.0] * LANES)
        held = [[cgutils.alloca_once_value(builder, zero) for _ in range(vectors)] for _ in range(rows)]
        starts = [builder.add(a_at, builder.mul(a_row, ir.Constant(_I64, i))) for i in range(rows)]
        fma = builder.module.declare_intrinsic("llvm.fma.v16f32", [], ir.FunctionType(_VEC, [_VEC] * 3))
        with cgutils.for_range(builder, steps) as loop:
            row = builder.add(b_at, builder.mul(loop.index, b_row))
            right = [
                builder.load(vector(4, builder.add(row, ir.Constant(_I64, LANES * j))), align=4)
                for j in range(vectors)
            ]
            along = builder.mul(loop.index, a_step)
            for i in range(rows):
                value = builder.load(builder.gep(data[0], [builder.add(starts[i], along)]))
                lanes = builder.insert_element(ir.Constant(_VEC, ir.Undefined), value, ir.Constant(_I64, 0))
                lanes = builder.shuffle_vector(
                    lanes, ir.Constant(_VEC, ir.Undefined), ir.Constant(_ROUND, [0] * LANES)
                )
                for j in range(vectors):
                    total = builder.load(held[i][j])
                    builder.store(builder.call(fma, [lanes, right[j], total]), held[i][j])
        for i in range(rows):
            for j in range(vectors):
                more = builder.add(builder.mul(c_row, ir.Constant(_I64, i)), ir.Constant(_I64, LANES * j))
                at = builder.add(c_at, more)
                target = vector(8, at)
                value = _finished(builder, kind, builder.load(held[i][j]), target, vector(11, at))
                builder.store(value, target, align=4)
        return context.get_dummy_value()

    def typed(
        typingctx: Any, a: Any, a_at: Any, a_row: Any, a_step: Any, b: Any, b_at: Any, b_row: Any, steps: Any, c: Any,
        c_at: Any, c_row: Any, gate: Any,
    ) -> Any:  # fmt: skip
        i = types.int64
        return types.void(a, i, i, i, b, i, i, i, c, i, i, gate), codegen

    return intrinsic(typed)


def _product(kind: int) -> Any:
    """Return the kernel that computes all of C by blocks."""
    pair = _block(BLOCK_ROWS, 2, kind) if _WIDE else None
    single = _block(BLOCK_ROWS if _WIDE else 4, 1, kind)
    tall = BLOCK_ROWS if _WIDE else 4

    @njit(nogil=True)
    def product_wide(a, a_at, a_row, a_step, b, b_at, b_row, steps, c, c_at, c_row, rows, columns, gate):
        for j in range(0, columns - 16, 32):
            for i in range(0, rows, 8):
                pair(
                    a, a_at + i * a_row, a_row, a_step, b, b_at + j, b_row, steps, c, c_at + i * c_row + j, c_row, gate
                )  # fmt: skip
        if columns & 16:
            j = columns - 16
            for i in range(0, rows, 8):
                single(
                    a, a_at + i * a_row, a_row, a_step, b, b_at + j, b_row, steps, c, c_at + i * c_row + j, c_row, gate
                )  # fmt: skip

    @njit(nogil=True)
    def product_narrow(a, a_at, a_row, a_step, b, b_at, b_row, steps, c, c_at, c_row, rows, columns, gate):
        for j in range(0, columns, 16):
            for i in range(0, rows, tall):
                single(
                    a, a_at + i * a_row, a_row, a_step, b, b_at + j, b_row, steps, c, c_at + i * c_row + j, c_row, gate
                )  # fmt: skip

    return product_wide if _WIDE else product_narrow


# Each takes (A, first value, row stride, column stride, B, first, row stride, steps of p, C, first, row stride, rows,
# columns, gate): rows a multiple of BLOCK_ROWS, columns of 16. They write C = AB, max(0, AB), AB where gate > 0 (gate
# lies as C does; the others ignore it), C + AB.
multiply, multiply_relu, multiply_gated, multiply_add = (_product(kind) for kind in range(4))
