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

from engine.constants import HASH_Y, HASH_Z
from engine.cpu.simd import LANES, f32x16, fetch_add, load, prefetch, store, vfloor, vmin

_F32 = ir.FloatType()
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_VEC = ir.VectorType(_F32, LANES)
_PAIR = ir.VectorType(_F32, 2)
_CORNERS = 8
FOLD = 8  # levels that fill a vector
_WORTH_ALL = 32  # a chunk with a sample per so many entries asks for the whole level at once
_RUN = 4096  # samples that a thread sorts at a time

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


def _entry(context: Any, builder: ir.IRBuilder, sig: Any, args: Any, corner: int) -> ir.Value:
    """Return the address of a corner's pair, for (table, first entry, indices, at) as the first arguments."""
    base = builder.gep(
        context.make_array(sig.args[0])(context, builder, args[0]).data,
        [builder.shl(args[1], ir.Constant(_I64, 1))],
    )
    where = context.make_array(sig.args[2])(context, builder, args[2]).data
    index = builder.load(builder.gep(where, [builder.add(args[3], ir.Constant(_I64, LANES * corner))]))
    return builder.bitcast(
        builder.gep(base, [builder.shl(builder.zext(index, _I64), ir.Constant(_I64, 1))]), _PAIR.as_pointer()
    )


def _joined(builder: ir.IRBuilder, parts: list[ir.Value]) -> ir.Value:
    while len(parts) > 1:
        picks = list(range(2 * parts[0].type.count))
        parts = [_picked(builder, parts[k], parts[k + 1], picks) for k in range(0, len(parts), 2)]
    return parts[0]


@intrinsic
def load_corners(typingctx: Any, table: Any, first: Any, indices: Any, at: Any) -> Any:
    """Return the pairs of entries first + indices[at + 16 c], c = 0 .. 7, of a flat table. No bounds are checked."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        places = [_entry(context, builder, sig, args, corner) for corner in range(_CORNERS)]
        return _joined(builder, [builder.load(place, align=4) for place in places])

    return f32x16(table, types.int64, indices, types.int64), codegen


@intrinsic
def add_corners(typingctx: Any, table: Any, first: Any, indices: Any, at: Any, value: Any) -> Any:
    """Add a vector's pairs where `load_corners` would read them, one after the other: some may be the same."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        for corner in range(_CORNERS):
            target = _entry(context, builder, sig, args, corner)
            pair = _picked(builder, args[4], args[4], [2 * corner, 2 * corner + 1])
            builder.store(builder.fadd(builder.load(target, align=4), pair), target, align=4)
        return context.get_dummy_value()

    return types.void(table, types.int64, indices, types.int64, f32x16), codegen


@intrinsic
def load_pairs(
    typingctx: Any, array: Any, first: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any
) -> Any:
    """Return the pairs first + a .. first + h of a flat array as one vector. No bounds are checked."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        parts = []
        for k in range(_CORNERS):
            at = builder.shl(builder.add(args[1], args[2 + k]), ir.Constant(_I64, 1))
            parts.append(builder.load(_pair_at(context, builder, sig.args[0], args[0], at), align=4))
        return _joined(builder, parts)

    return f32x16(array, *[types.int64] * 9), codegen


@intrinsic
def store_indices(typingctx: Any, indices: Any, i: Any, j: Any, k: Any, cells: Any, mask: Any) -> Any:
    """Write where the corners of sixteen cells have their entries: corner c of lane n goes to indices[16 c + n], int32.

    i, j, k: whole numbers in float32 lanes. With a mask of 0 the level is dense, (cells + 1)^3 entries; else it hashes.
    """

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        whole = ir.VectorType(_I32, LANES)

        def lanes(value: ir.Value) -> ir.Value:
            first = builder.insert_element(ir.Constant(whole, ir.Undefined), value, ir.Constant(_I32, 0))
            return builder.shuffle_vector(
                first, ir.Constant(whole, ir.Undefined), ir.Constant(whole, [0] * LANES)
            )

        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        side = builder.add(builder.trunc(args[4], _I32), ir.Constant(_I32, 1))
        mask = builder.trunc(args[5], _I32)
        dense = builder.icmp_signed("==", mask, ir.Constant(_I32, 0))
        steps = [
            ir.Constant(_I32, 1),
            builder.select(dense, side, ir.Constant(_I32, HASH_Y)),
            builder.select(dense, builder.mul(side, side), ir.Constant(_I32, HASH_Z)),
        ]
        low = [builder.mul(builder.fptosi(args[1 + axis], whole), lanes(steps[axis])) for axis in range(3)]
        ends = [(low[axis], builder.add(low[axis], lanes(steps[axis]))) for axis in range(3)]

        def write(mix: Any) -> None:
            for corner in range(_CORNERS):
                x, y, z = (ends[axis][(corner >> (2 - axis)) & 1] for axis in range(3))
                target = builder.gep(data, [ir.Constant(_I64, LANES * corner)])
                builder.store(mix(x, y, z), builder.bitcast(target, whole.as_pointer()), align=4)

        with builder.if_else(dense) as (then, otherwise):
            with then:
                write(lambda x, y, z: builder.add(x, builder.add(y, z)))
            with otherwise:
                write(lambda x, y, z: builder.and_(builder.xor(x, builder.xor(y, z)), lanes(mask)))
        return context.get_dummy_value()

    return types.void(indices, *[f32x16] * 3, types.int64, types.int64), codegen


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
def store_corner_sum(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a vector's sum over corners, one value per feature, to array[index], array[index + 1]."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        value = args[2]
        for width in (8, 4, 2):
            low, high = (_picked(builder, value, value, list(range(at, at + width))) for at in (0, width))
            value = builder.fadd(low, high)
        builder.store(value, _pair_at(context, builder, sig.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, f32x16), codegen


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
def find_corners(places, room, p, cells, mask, indices, parts):
    """Write indices [128] and parts [48], the places in their cells, of samples p .. p + 15 at places flat [3, room].

    A coordinate of 1 belongs to the last cell.
    """
    last = np.float32(cells - 1)
    x, y, z = load(places, p), load(places, room + p), load(places, 2 * room + p)
    x, y, z = x * cells, y * cells, z * cells
    i, j, k = vmin(vfloor(x), last), vmin(vfloor(y), last), vmin(vfloor(z), last)
    store(parts, 0, x - i)
    store(parts, LANES, y - j)
    store(parts, 2 * LANES, z - k)
    store_indices(indices, i, j, k, cells, mask)


@njit(cache=True, nogil=True)
def sort_places(counter, place, order, room, places):
    """Write place float32 [M,3] to places flat [3, room], sorted by order int32 [M]. Parallel over: runs of samples."""
    n = order.shape[0]
    while True:
        first = fetch_add(counter, 0, _RUN)
        if first >= n:
            break
        for p in range(first, min(first + _RUN, n)):
            for axis in range(3):
                places[axis * room + p] = place[order[p], axis]


@njit(cache=True, nogil=True)
def gather_features(counter, chunks, levels, entries, tables, places, room, m, features):
    """Interpolate the features of samples.

    Inputs: chunks int64 [n,3]: slot, first and end of samples sorted by slot; tables flat float32 [S entries 2]; places as
    `sort_places` wrote them, with room for 16 more. Output: features flat [L, M, 2], sorted.
    Parallel over: (level, chunk), level after level: a level's entries stay in the second-level cache. (To read the corners
    once for neighbouring samples of one cell is slower: the processor guesses wrong whether they share it.)
    """
    n_chunks, n_levels = chunks.shape[0], levels.shape[0]
    indices, parts = np.empty(_CORNERS * LANES, np.int32), np.empty(3 * LANES, np.float32)
    while True:
        unit = fetch_add(counter, 0, 1)
        if unit >= n_chunks * n_levels:
            break
        level, chunk = unit // n_chunks, unit % n_chunks
        cells, mask = levels[level, CELLS], levels[level, HASH_MASK]
        first = chunks[chunk, 0] * entries + levels[level, FIRST]
        end = chunks[chunk, 2]
        behind = (levels[level + 1, FIRST] if level + 1 < n_levels else entries) - levels[level, FIRST]
        if end - chunks[chunk, 1] >= behind // _WORTH_ALL:
            for entry in range(first, first + behind, 8):
                prefetch(tables, 2 * entry)
        for start in range(chunks[chunk, 1], end, LANES):
            find_corners(places, room, start, cells, mask, indices, parts)
            at = 2 * (level * m + start)
            for s in range(min(LANES, end - start)):
                corners = load_corners(tables, first, indices, s)
                shares = corner_shares(parts[s], parts[LANES + s], parts[2 * LANES + s])
                store_corner_sum(features, at + 2 * s, corners * shares)


@njit(cache=True, nogil=True, inline="always")
def feature_rows(features, m, n_levels, start, n, row, x):
    """Copy features flat [L, m, 2] of samples start .. start + n - 1 to rows x [n, row]; spare columns are not 0."""
    last = n_levels - 1
    for group in range(0, n_levels, FOLD):
        a, b = m * group, m * min(group + 1, last)
        c, d = m * min(group + 2, last), m * min(group + 3, last)
        e, f = m * min(group + 4, last), m * min(group + 5, last)
        g, h = m * min(group + 6, last), m * min(group + 7, last)
        for s in range(n):
            store(x, s * row + 2 * group, load_pairs(features, start + s, a, b, c, d, e, f, g, h))


@njit(cache=True, nogil=True)
def scatter_features(counter, slots, offsets, levels, entries, places, room, v_features, m, v_tables):
    """Add the gradients of features to the tables' gradients.

    Inputs: slots int32 [G], offsets int64 [G+1]: group g has samples offsets[g] .. offsets[g+1] - 1; places as
    `gather_features` had them; v_features flat float32 [L, M, 2]. In and out: v_tables flat float32 [S entries 2].
    Parallel over: (level, group); the finest levels first, which take longest.
    """
    n_groups, n_levels = slots.shape[0], levels.shape[0]
    indices, parts = np.empty(_CORNERS * LANES, np.int32), np.empty(3 * LANES, np.float32)
    while True:
        unit = fetch_add(counter, 0, 1)
        if unit >= n_groups * n_levels:
            break
        level, group = n_levels - 1 - unit // n_groups, unit % n_groups
        cells, mask = levels[level, CELLS], levels[level, HASH_MASK]
        first = np.int64(slots[group]) * entries + levels[level, FIRST]
        end = offsets[group + 1]
        for start in range(offsets[group], end, LANES):
            find_corners(places, room, start, cells, mask, indices, parts)
            at = 2 * (level * m + start)
            for s in range(min(LANES, end - start)):
                shares = corner_shares(parts[s], parts[LANES + s], parts[2 * LANES + s])
                add_corners(v_tables, first, indices, s, shares * repeat_pair(v_features, at + 2 * s))
