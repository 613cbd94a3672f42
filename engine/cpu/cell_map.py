# SPDX-License-Identifier: MIT
"""The map that rays cross empty space by: one byte per cell, and what a cell's eight corners hold.

A cell is the space between eight neighbouring voxel centres. Its byte is 0 if one of its corners has a row, else n, the
steps to the nearest such cell (255 at most): all cells within n - 1 steps are empty. Bytes lie in blocks of 4 x 4 x 4
cells, 64 bytes or one cache line each, so that a ray finds its next few cells where it found the last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from engine.cpu.crew import Crew
from engine.cpu.simd import LANES, f32x16, fetch_add
from engine.voxel_grid import Grid

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_EIGHT = 8
_WHOLES = ir.VectorType(_I32, LANES)


def _at(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, index: Any) -> ir.Value:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


@intrinsic
def peek(typingctx: Any, array: Any, index: Any) -> Any:
    """Return array[index] of a flat array: no bounds, and no negative index, which costs Numba a comparison, are seen to."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.load(_at(context, builder, sig.args[0], args[0], args[1]))

    return array.dtype(array, types.int64), codegen


@intrinsic
def poke(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Set array[index] of a flat array; see `peek`."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        builder.store(args[2], _at(context, builder, sig.args[0], args[0], args[1]))
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), codegen


def _whole(value: int) -> ir.Constant:
    return ir.Constant(_WHOLES, [value] * LANES)


def _spread(builder: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    """Return an int64 in all lanes of a vector of int32."""
    first = builder.insert_element(
        ir.Constant(_WHOLES, ir.Undefined), builder.trunc(scalar, _I32), ir.Constant(_I32, 0)
    )
    return builder.shuffle_vector(first, first, _whole(0))


def _low_and_part(builder: ir.IRBuilder, p: ir.Value, size: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Return (the lower value's index, how far beyond it) of coordinates along an axis, clamped to the values' range."""
    end = builder.sitofp(builder.sub(size, _whole(1)), p.type)
    zero = ir.Constant(p.type, [0.0] * LANES)
    p = builder.select(builder.fcmp_ordered(">", p, zero), p, zero)
    p = builder.select(builder.fcmp_ordered("<", p, end), p, end)
    low, last = builder.fptosi(p, _WHOLES), builder.sub(size, _whole(2))
    low = builder.select(builder.icmp_signed("<", low, last), low, last)
    return low, builder.fsub(p, builder.sitofp(low, p.type))


@intrinsic
def sixteen_cells(
    typingctx: Any,
    cell_map: Any,
    x: Any,
    y: Any,
    z: Any,
    size_x: Any,
    size_y: Any,
    size_z: Any,
    cells: Any,
    parts: Any,
) -> Any:
    """Look sixteen points up in the map; return which lanes' cells have rows as bits 0..15, and lane 15's byte above them.

    Writes the cells' indices to cells int32 [16] and the positions in them to parts float32 [48]: x, then y, then z.
    """

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        sizes = [_spread(builder, size) for size in args[4:7]]
        lows, two = [], _whole(2)
        out = _at(context, builder, sig.args[8], args[8], ir.Constant(_I64, 0))
        for axis in range(3):
            low, part = _low_and_part(builder, args[1 + axis], sizes[axis])
            lows.append(low)
            there = builder.gep(out, [ir.Constant(_I64, axis * LANES)])
            builder.store(part, builder.bitcast(there, part.type.as_pointer()), align=4)
        cell, block = lows[0], builder.lshr(lows[0], two)
        inside = builder.and_(lows[0], _whole(3))
        for axis in (1, 2):
            cell = builder.add(builder.mul(cell, sizes[axis]), lows[axis])
            blocks = builder.lshr(builder.add(sizes[axis], _whole(3)), two)
            block = builder.add(builder.mul(block, blocks), builder.lshr(lows[axis], two))
            inside = builder.or_(builder.shl(inside, two), builder.and_(lows[axis], _whole(3)))
        place = builder.or_(builder.shl(block, _whole(6)), inside)
        out = _at(context, builder, sig.args[7], args[7], ir.Constant(_I64, 0))
        builder.store(cell, builder.bitcast(out, _WHOLES.as_pointer()), align=4)
        found = ir.Constant(ir.VectorType(ir.IntType(8), LANES), ir.Undefined)
        for lane in range(LANES):
            index = builder.zext(builder.extract_element(place, ir.Constant(_I32, lane)), _I64)
            byte = builder.load(_at(context, builder, sig.args[0], args[0], index))
            found = builder.insert_element(found, byte, ir.Constant(_I32, lane))
        full = builder.icmp_signed("==", found, ir.Constant(found.type, [0] * LANES))
        bits = builder.zext(builder.bitcast(full, ir.IntType(LANES)), _I64)
        return builder.or_(bits, builder.shl(builder.zext(byte, _I64), ir.Constant(_I64, LANES)))

    kinds = (*(f32x16,) * 3, *(types.int64,) * 3)
    return types.int64(cell_map, *kinds, cells, parts), codegen


@intrinsic
def lowest_bit(typingctx: Any, bits: Any) -> Any:
    """Return the number of the lowest set bit of an integer that is not 0."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


def _picked(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, picks: list[int]) -> ir.Value:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(picks)), picks))


def _corner_links(
    context: Any, builder: ir.IRBuilder, kind: Any, links: Any, cell: Any, row_y: Any, row_x: Any
) -> ir.Value:
    """Return a vector of the links of a cell's corners: four pairs, each from one load."""
    pairs, pair = [], ir.VectorType(_I32, 2)
    x_y = builder.add(row_x, row_y)
    for step in (None, row_y, row_x, x_y):
        index = cell if step is None else builder.add(cell, step)
        address = builder.bitcast(_at(context, builder, kind, links, index), pair.as_pointer())
        pairs.append(builder.load(address, align=4))
    halves = [_picked(builder, pairs[n], pairs[n + 1], [0, 1, 2, 3]) for n in (0, 2)]
    return _picked(builder, *halves, list(range(_EIGHT)))


def _mixed(builder: ir.IRBuilder, values: ir.Value, share: Any) -> ir.Value:
    """Return the odd lanes' share and the even lanes' rest of pairs: half as many lanes."""
    n = values.type.count // 2
    low = _picked(builder, values, values, [2 * k for k in range(n)])
    high = _picked(builder, values, values, [2 * k + 1 for k in range(n)])
    lanes = ir.Constant(low.type, ir.Undefined)
    for k in range(n):
        lanes = builder.insert_element(lanes, share, ir.Constant(_I32, k))
    return builder.fadd(low, builder.fmul(builder.fsub(high, low), lanes))


@intrinsic
def corner_rows(typingctx: Any, links: Any, cell: Any, row_y: Any, row_x: Any, rows: Any, at: Any) -> Any:
    """Write the links of a cell's eight corners to rows[at : at + 8]; links int32 is flat, row_y and row_x its strides."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        corners = _corner_links(context, builder, sig.args[0], *args[:4])
        out = _at(context, builder, sig.args[4], args[4], args[5])
        builder.store(corners, builder.bitcast(out, corners.type.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(links, types.int64, types.int64, types.int64, rows, types.int64), codegen


@intrinsic
def copy_rows(typingctx: Any, source: Any, at: Any, target: Any, to: Any) -> Any:
    """Copy eight int32 entries."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        kind = ir.VectorType(_I32, _EIGHT).as_pointer()
        address = _at(context, builder, sig.args[0], args[0], args[1])
        value = builder.load(builder.bitcast(address, kind), align=4)
        out = _at(context, builder, sig.args[2], args[2], args[3])
        builder.store(value, builder.bitcast(out, kind), align=4)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64), codegen


@intrinsic
def rows_density(typingctx: Any, rows: Any, at: Any, density: Any, fx: Any, fy: Any, fz: Any) -> Any:
    """Return the density between the corners rows[at : at + 8] of a cell, an empty (negative) one counting as 0."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        kind = ir.VectorType(_I32, _EIGHT)
        address = _at(context, builder, sig.args[0], args[0], args[1])
        corners = builder.load(builder.bitcast(address, kind.as_pointer()), align=4)
        zeros = ir.Constant(kind, [0] * _EIGHT)
        taken = builder.icmp_signed(">=", corners, zeros)
        safe = builder.select(taken, corners, zeros)
        values = ir.Constant(ir.VectorType(_F32, _EIGHT), ir.Undefined)
        for k in range(_EIGHT):
            row = builder.zext(builder.extract_element(safe, ir.Constant(_I32, k)), _I64)
            value = builder.load(_at(context, builder, sig.args[2], args[2], row))
            values = builder.insert_element(values, value, ir.Constant(_I32, k))
        values = builder.select(taken, values, ir.Constant(values.type, [0.0] * _EIGHT))
        for share in (args[5], args[4], args[3]):
            values = _mixed(builder, values, share)
        return builder.extract_element(values, ir.Constant(_I32, 0))

    return types.float32(rows, types.int64, density, *(types.float32,) * 3), codegen


@njit(cache=True, nogil=True)
def blocks_of(size):
    """Return how many blocks of four cells lie along an axis of `size` voxels."""
    return (size + 3) >> 2


@njit(cache=True, nogil=True)
def place_of(x, y, z, blocks_y, blocks_z):
    """Return where cell x, y, z has its byte."""
    block = ((x >> 2) * blocks_y + (y >> 2)) * blocks_z + (z >> 2)
    return (block << 6) | ((x & 3) << 4) | ((y & 3) << 2) | (z & 3)


@njit(cache=True, nogil=True)
def _write_map(counter, links, cells):
    """Write the bytes of a grid's cells: the least of the corners' distances is the cell's. Parallel over: planes of X."""
    size_x, size_y, size_z = links.shape
    blocks_y, blocks_z = blocks_of(size_y), blocks_of(size_z)
    while True:
        x = fetch_add(counter, 0, 1)
        if x >= size_x - 1:
            break
        for y in range(size_y - 1):
            before = 0
            for z in range(size_z):
                low = max(
                    max(links[x, y, z], links[x, y + 1, z]), max(links[x + 1, y, z], links[x + 1, y + 1, z])
                )
                steps = -min(low, np.int32(0))
                if z > 0:
                    cells[place_of(x, y, z - 1, blocks_y, blocks_z)] = min(min(steps, before), 255)
                before = steps


def cell_map(grid: Grid, crew: Crew) -> np.ndarray:
    """Return the bytes uint8 of a grid's cells, made when its links were replaced and then kept with it."""
    if grid.derived is None or grid.derived[0] is not grid.links:
        x, y, z = (blocks_of(size) for size in grid.resolution)
        cells = np.zeros(x * y * z * 64, dtype=np.uint8)
        crew.run(_write_map, grid.links, cells)
        grid.derived = (grid.links, cells)
    return grid.derived[1]
