# SPDX-License-Identifier: MIT
"""Hash grids on the CPU: eight corners of a cell as one vector of sixteen lanes, two features each, there and back.

Lane 2 c + f is feature f of corner c = 4 cx + 2 cy + cz. An entry's two features are read and written together. The way back
runs once per (slot, level), so that one thread alone writes a level's gradients, in the order of the samples: any number of
threads gives the same bits, and a level's gradients stay in the second-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from engine.cpu.simd import LANES, f32x16, fetch_add, store
from engine.node_fields import HASH_Y, HASH_Z

_F32 = ir.FloatType()
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_VEC = ir.VectorType(_F32, LANES)
_PAIR = ir.VectorType(_F32, 2)
_CORNERS = 8
FOLD = 8  # levels whose corners are summed at once, by `fold_levels`

# Columns of a level's numbers, int64: first entry, cells an axis, mask of the hash or 0 where the level is dense.
FIRST, CELLS, HASH_MASK, N_LEVEL = range(4)


def _pair_at(context: Any, builder: ir.IRBuilder, kind: types.Type, array: Any, at: ir.Value) -> ir.Value:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _PAIR.as_pointer())


def _splat(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    first = builder.insert_element(ir.Constant(_VEC, ir.Undefined), value, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(_VEC, ir.Undefined), zeros)


def _picked(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, picks: list[int]) -> ir.Value:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(picks)), picks))


@intrinsic
def load_corners(
    typingctx: Any, table: Any, first: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any
) -> Any:
    """Return the pairs of entries first + a .. first + h of a flat table as one vector. No bounds are checked."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        parts = []
        for k in range(_CORNERS):
            at = builder.shl(builder.add(args[1], args[2 + k]), ir.Constant(_I64, 1))
            parts.append(builder.load(_pair_at(context, builder, sig.args[0], args[0], at), align=4))
        while len(parts) > 1:
            picks = list(range(2 * parts[0].type.count))
            parts = [_picked(builder, parts[k], parts[k + 1], picks) for k in range(0, len(parts), 2)]
        return parts[0]

    return f32x16(table, *[types.int64] * 9), codegen


@intrinsic
def add_corners(
    typingctx: Any, table: Any, first: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, value: Any
) -> Any:  # fmt: skip
    """Add a vector's pairs to entries first + a .. first + h of a flat table, one after the other: some may be the same."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        for k in range(_CORNERS):
            at = builder.shl(builder.add(args[1], args[2 + k]), ir.Constant(_I64, 1))
            target = _pair_at(context, builder, sig.args[0], args[0], at)
            pair = _picked(builder, args[10], args[10], [2 * k, 2 * k + 1])
            builder.store(builder.fadd(builder.load(target, align=4), pair), target, align=4)
        return context.get_dummy_value()

    return types.void(table, *[types.int64] * 9, f32x16), codegen


@intrinsic
def corner_shares(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """Return the trilinear weights of the corners, each in two lanes, for a place x, y, z in [0,1]^3 of its cell."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        fma = builder.module.declare_intrinsic("llvm.fma.v16f32", [], ir.FunctionType(_VEC, [_VEC] * 3))
        total = None
        for axis in range(3):
            bits = [(lane // 2 >> (2 - axis)) & 1 for lane in range(LANES)]
            sign = ir.Constant(_VEC, [2.0 * bit - 1.0 for bit in bits])
            base = ir.Constant(_VEC, [1.0 - bit for bit in bits])
            part = builder.call(fma, [_splat(builder, args[axis]), sign, base])
            total = part if total is None else builder.fmul(total, part)
        return total

    return f32x16(*[types.float32] * 3), codegen


@intrinsic
def fold_levels(typingctx: Any, array: Any, index: Any) -> Any:
    """Sum eight vectors from array[index] on over their corners: lane 2 l + f is the sum of feature f of vector l."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        rows = []
        for k in range(FOLD):
            address = builder.gep(data, [builder.add(args[1], ir.Constant(_I64, LANES * k))])
            rows.append(builder.load(builder.bitcast(address, _VEC.as_pointer()), align=4))
        for width in (2, 4, 8):
            low, high = ([], [])
            for start in range(0, LANES, 2 * width):
                for picks, base in ((low, start), (high, start + width)):
                    picks += [base + k for k in range(width)] + [LANES + base + k for k in range(width)]
            rows = [
                builder.fadd(
                    _picked(builder, rows[n], rows[n + 1], low), _picked(builder, rows[n], rows[n + 1], high)
                )
                for n in range(0, len(rows), 2)
            ]
        return rows[0]

    return f32x16(array, types.int64), codegen


@intrinsic
def repeat_pair(typingctx: Any, array: Any, index: Any) -> Any:
    """Return array[index], array[index + 1] eight times over."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        pair = builder.load(_pair_at(context, builder, sig.args[0], args[0], args[1]), align=4)
        return _picked(builder, pair, pair, [0, 1] * _CORNERS)

    return f32x16(array, types.int64), codegen


@intrinsic
def store_pair(typingctx: Any, array: Any, index: Any, source: Any, at: Any) -> Any:
    """Copy source[at], source[at + 1] to array[index], array[index + 1]."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        pair = builder.load(_pair_at(context, builder, sig.args[2], args[2], args[3]), align=4)
        builder.store(pair, _pair_at(context, builder, sig.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, source, types.int64), codegen


@njit(cache=True, nogil=True, inline="always")
def corner_indices(i, j, k, cells, mask):
    """Return where the corners of cell i, j, k have their entries in their level."""
    if mask == 0:
        side = cells + 1
        first = i + side * (j + side * k)
        plane = side * side
        return (
            first, first + plane, first + side, first + side + plane,
            first + 1, first + plane + 1, first + side + 1, first + side + plane + 1,
        )  # fmt: skip
    y, z = j * HASH_Y, k * HASH_Z
    p, q, r, s = y ^ z, y ^ (z + HASH_Z), (y + HASH_Y) ^ z, (y + HASH_Y) ^ (z + HASH_Z)
    n = i + 1
    return (
        (i ^ p) & mask, (i ^ q) & mask, (i ^ r) & mask, (i ^ s) & mask,
        (n ^ p) & mask, (n ^ q) & mask, (n ^ r) & mask, (n ^ s) & mask,
    )  # fmt: skip


@njit(cache=True, nogil=True, inline="always")
def cell_of(u, cells):
    """Return the cell of a coordinate u in [0,1] and the place in it; 1 belongs to the last cell."""
    scaled = u * np.float32(cells)
    cell = min(np.int64(scaled), cells - 1)
    return cell, scaled - np.float32(cell)


@njit(cache=True, nogil=True, inline="always")
def encode(x, y, z, table, base, levels, parts, out, at):
    """Write the interpolated features of a place to out[at ..]: 16 values for every eight levels, spare ones 0.

    `table` flat float32, `base` the slot's first entry, `levels` int64 [L, N_LEVEL], `parts` float32 [16 x 8] scratch.
    """
    n_levels = levels.shape[0]
    for group in range(0, n_levels, FOLD):
        for level in range(group, min(group + FOLD, n_levels)):
            cells, mask = levels[level, CELLS], levels[level, HASH_MASK]
            i, fx = cell_of(x, cells)
            j, fy = cell_of(y, cells)
            k, fz = cell_of(z, cells)
            a, b, c, d, e, f, g, h = corner_indices(i, j, k, cells, mask)
            corners = load_corners(table, base + levels[level, FIRST], a, b, c, d, e, f, g, h)
            store(parts, (level - group) * LANES, corners * corner_shares(fx, fy, fz))
        store(out, at + 2 * group, fold_levels(parts, 0))


@njit(cache=True, nogil=True)
def clear_parts(parts, n_levels):
    """Zero the scratch of levels that are not there, once: `encode` never writes them."""
    if n_levels < FOLD:
        parts[n_levels * LANES :] = np.float32(0.0)


@njit(cache=True, nogil=True)
def scatter_features(counter, slots, offsets, levels, entries, places, v_features, v_tables, stride):
    """Add the gradients of features to the tables' gradients.

    Inputs: slots int32 [G], offsets int64 [G+1]: group g has samples offsets[g] .. offsets[g+1] - 1; places float32 [M,3]
    in that order; v_features flat float32 [L, stride, 2]; v_tables flat float32 [S entries 2].
    Parallel over: (level, group); the finest levels first, which take longest.
    """
    n_groups, n_levels = slots.shape[0], levels.shape[0]
    while True:
        unit = fetch_add(counter, 0, 1)
        if unit >= n_groups * n_levels:
            break
        level, group = n_levels - 1 - unit // n_groups, unit % n_groups
        cells, mask = levels[level, CELLS], levels[level, HASH_MASK]
        first = np.int64(slots[group]) * entries + levels[level, FIRST]
        for p in range(offsets[group], offsets[group + 1]):
            i, fx = cell_of(places[p, 0], cells)
            j, fy = cell_of(places[p, 1], cells)
            k, fz = cell_of(places[p, 2], cells)
            a, b, c, d, e, f, g, h = corner_indices(i, j, k, cells, mask)
            value = corner_shares(fx, fy, fz) * repeat_pair(v_features, 2 * (level * stride + p))
            add_corners(v_tables, first, a, b, c, d, e, f, g, h, value)
