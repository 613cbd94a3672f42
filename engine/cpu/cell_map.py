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
from engine.cpu.simd import fetch_add
from engine.voxel_grid import Grid

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_EIGHT = 8


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
