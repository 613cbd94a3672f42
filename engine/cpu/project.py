# SPDX-License-Identifier: MIT
"""Voxels to screen rectangles, and their front-to-back order, chunk by chunk.

A *chunk* is an octree node with at most CHUNK_LEAVES leaves: a contiguous range of the Morton-sorted voxels. Chunks are
the unit of parallel work, and their keys sort like leaves' keys, so ordering all voxels is: sort the few chunks, and
inside each chunk sort the visible voxels by the digits below the node. No global sort, and memory stays local.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import MAX_LEVEL
from engine.cpu.simd import (
    fetch_add,
    fma,
    load,
    mask_bits,
    select,
    splat,
    store_int,
    vceil,
    vfloor,
    vmax,
    vmin,
)
from engine.morton import order_key

CHUNK_LEAVES = 512
PAD = 16  # voxel arrays are this much longer than they need to be, so that the last lanes may be loaded

# Layout of the view array (float64): rotation rows of cam_from_world, position, lens, size, near, orthographic flag.
VIEW_ROT, VIEW_POS, VIEW_FX, VIEW_FY, VIEW_CX, VIEW_CY = 0, 9, 12, 13, 14, 15
VIEW_W, VIEW_H, VIEW_NEAR, VIEW_ORTHO = 16, 17, 18, 19
VIEW_SIZE = 20

_PIXEL_SLACK = (
    2e-3  # rectangles grow by this much: covers float32 rounding of u = fx x / z + cx up to 4096 pixels
)


@njit(cache=True, nogil=True)
def cut_into_chunks(path, level, chunks):
    """Fill chunks [n,4] int64 (start, end, node path, node level) and return n."""
    n = 0
    stack = np.empty((8 * (MAX_LEVEL + 2), 4), dtype=np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = 0, path.shape[0], 0, 0
    top = 1
    while top > 0:
        top -= 1
        start, end, node, depth = stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3]
        if end - start <= CHUNK_LEAVES or level[start] <= depth:
            chunks[n, 0], chunks[n, 1], chunks[n, 2], chunks[n, 3] = start, end, node, depth
            n += 1
            continue
        shift = 3 * (MAX_LEVEL - depth - 1)
        upper = end
        for child in range(7, -1, -1):  # pushed last to first, so that chunks come out in Morton order
            first = node | (child << shift)
            lower = start + np.searchsorted(path[start:upper], first)
            if lower < upper:
                stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3] = lower, upper, first, depth + 1
                top += 1
            upper = lower
    return n


@njit(cache=True, nogil=True)
def _spread(view, row, scale, centre):
    """Return how far a box of half edge 1 reaches along scale * row + centre * (camera z row)."""
    total = 0.0
    for j in range(3):
        total += abs(scale * view[row + j] + centre * view[6 + j])
    return total


@njit(cache=True, nogil=True)
def _rectangle(view, x, y, z, half, out):
    """Write pixel rectangles (x0, y0, x1, y1) of sixteen boxes to out [4 x 16] int32; return the mask of visible ones.

    x, y, z: box centres relative to the camera, world axes. A rectangle holds every pixel centre that a ray through the
    box can have. Boxes that reach behind the near plane get the whole screen unless they miss the frustum's side planes.
    """
    fx, fy, cx, cy = view[12], view[13], view[14], view[15]
    near = view[18]
    xc = fma(x, view[0], fma(y, view[1], z * view[2]))
    yc = fma(x, view[3], fma(y, view[4], z * view[5]))
    zc = fma(x, view[6], fma(y, view[7], z * view[8]))
    reach = half * (abs(view[6]) + abs(view[7]) + abs(view[8]))
    seen = zc + reach > near
    straddles = zc - reach < near * 1.001
    u0, v0 = splat(1e9), splat(1e9)
    u1, v1 = splat(-1e9), splat(-1e9)
    ortho = view[19] > 0.5
    for corner in range(8):
        sx = 1.0 if corner & 4 else -1.0
        sy = 1.0 if corner & 2 else -1.0
        sz = 1.0 if corner & 1 else -1.0
        px = fma(half, sx * view[0] + sy * view[1] + sz * view[2], xc)
        py = fma(half, sx * view[3] + sy * view[4] + sz * view[5], yc)
        if not ortho:
            pz = fma(half, sx * view[6] + sy * view[7] + sz * view[8], zc)
            inverse = 1.0 / vmax(pz, near * 0.5)
            px, py = px * inverse, py * inverse
        u0, u1 = vmin(u0, px), vmax(u1, px)
        v0, v1 = vmin(v0, py), vmax(v1, py)
    width, height = view[16], view[17]
    u0, u1 = fma(u0, fx, cx - 0.5 - _PIXEL_SLACK), fma(u1, fx, cx - 0.5 + _PIXEL_SLACK)
    v0, v1 = fma(v0, fy, cy - 0.5 - _PIXEL_SLACK), fma(v1, fy, cy - 0.5 + _PIXEL_SLACK)
    if not ortho and mask_bits(straddles) != 0:
        left = fma(xc, fx, zc * cx) + half * _spread(view, 0, fx, cx) > 0.0
        right = fma(xc, -fx, zc * (width - cx)) + half * _spread(view, 0, -fx, width - cx) > 0.0
        above = fma(yc, fy, zc * cy) + half * _spread(view, 3, fy, cy) > 0.0
        below = fma(yc, -fy, zc * (height - cy)) + half * _spread(view, 3, -fy, height - cy) > 0.0
        seen = seen & (~straddles | (left & right & above & below))
        u0, v0 = select(straddles, -1.0, u0), select(straddles, -1.0, v0)
        u1, v1 = select(straddles, width, u1), select(straddles, height, v1)
    u0, v0 = vceil(vmin(vmax(u0, 0.0), width)), vceil(vmin(vmax(v0, 0.0), height))
    u1, v1 = vfloor(vmin(vmax(u1, -1.0), width - 1.0)), vfloor(vmin(vmax(v1, -1.0), height - 1.0))
    store_int(out, 0, u0)
    store_int(out, 16, v0)
    store_int(out, 32, u1)
    store_int(out, 48, v1)
    return seen & (u0 <= u1) & (v0 <= v1)


@njit(cache=True, nogil=True)
def _sort_by_key(items, n, low_bit, bits, spare):
    """Sort items[:n] by the `bits` bits above `low_bit`, stably; the result is in the returned array, items or spare."""
    if n <= 24:
        for i in range(1, n):
            item = items[i]
            j = i - 1
            while j >= 0 and (items[j] >> low_bit) > (item >> low_bit):
                items[j + 1] = items[j]
                j -= 1
            items[j + 1] = item
        return items
    passes = (bits + 9) // 10
    width = (bits + passes - 1) // max(passes, 1)
    count = np.empty(1025, dtype=np.int32)
    source, target = items, spare
    for digit in range(passes):
        shift = low_bit + digit * width
        mask = (1 << width) - 1
        count[: mask + 2] = 0
        for i in range(n):
            count[((source[i] >> shift) & mask) + 1] += 1
        for k in range(mask):
            count[k + 1] += count[k]
        for i in range(n):
            k = (source[i] >> shift) & mask
            target[count[k]] = source[i]
            count[k] += 1
        source, target = target, source
    return source


@njit(cache=True, nogil=True)
def project_chunks(
    counter,
    chunks,
    n_chunks,
    soa,
    stride,
    path,
    level,
    view,
    code,
    visible,
    n_visible,
    n_pairs,
    rect,
    first_pair,
):
    """Find each chunk's visible voxels, their screen rectangles and their front-to-back order.

    Computes: for every chunk, visible[start : start + n_visible[chunk]] = its visible voxels, nearest first;
    rect[voxel] = (x0, y0, x1, y1) inclusive pixels; first_pair[voxel] = 0, or -1 when unseen;
    n_pairs[chunk] = how many (voxel, tile) pairs they make.
    Inputs: chunks [n,4]; soa float32 [4 * stride] centre x, y, z and half edge; path, level [V]; view, see VIEW_*;
    code, see `engine.morton.order_code`. Parallel over: chunks.
    """
    out = np.empty(64, dtype=np.int32)
    # the camera in two float32 parts an axis: what is near it stays exact however far it is from the origin
    high_x, high_y, high_z = np.float32(view[9]), np.float32(view[10]), np.float32(view[11])
    low_x, low_y, low_z = view[9] - high_x, view[10] - high_y, view[11] - high_z
    items = np.empty(CHUNK_LEAVES + PAD, dtype=np.int64)
    spare = np.empty(CHUNK_LEAVES + PAD, dtype=np.int64)
    while True:
        first = fetch_add(counter, 0, 4)
        if first >= n_chunks:
            break
        for chunk in range(first, min(first + 4, n_chunks)):
            start, end, depth = chunks[chunk, 0], chunks[chunk, 1], chunks[chunk, 3]
            n, pairs, finest = 0, 0, 0
            for i in range(start, end, 16):
                x = (load(soa, i) - high_x) - low_x
                y = (load(soa, stride + i) - high_y) - low_y
                z = (load(soa, 2 * stride + i) - high_z) - low_z
                bits = mask_bits(_rectangle(view, x, y, z, load(soa, 3 * stride + i), out))
                for lane in range(min(16, end - i)):
                    voxel = i + lane
                    first_pair[voxel] = -1
                    if bits & (1 << lane):
                        first_pair[voxel] = 0
                        x0, y0, x1, y1 = out[lane], out[16 + lane], out[32 + lane], out[48 + lane]
                        rect[voxel, 0], rect[voxel, 1], rect[voxel, 2], rect[voxel, 3] = x0, y0, x1, y1
                        pairs += ((x1 >> 4) - (x0 >> 4) + 1) * ((y1 >> 4) - (y0 >> 4) + 1)
                        items[n] = voxel - start
                        finest = max(finest, level[voxel])
                        n += 1
            shift = 3 * (MAX_LEVEL - finest)
            bits_below = max(0, 3 * (finest - depth))
            mask = (1 << bits_below) - 1
            for k in range(n):
                key = order_key(path[start + items[k]], code)
                items[k] |= ((key >> shift) & mask) << 10
            in_order = _sort_by_key(items, n, 10, bits_below, spare)
            for k in range(n):
                visible[start + k] = start + (in_order[k] & 1023)
            n_visible[chunk] = n
            n_pairs[chunk] = pairs


@njit(cache=True, nogil=True)
def chunk_keys(chunks, n_chunks, code, keys):
    """Write the order key of every chunk's node."""
    for chunk in range(n_chunks):
        keys[chunk] = order_key(chunks[chunk, 2], code)
