# SPDX-License-Identifier: MIT
"""The list that each pixel of a tile keeps of the voxels over it: filled in the tile's order, then sorted by depth.

A list's entries are keys: the bits of the depth, which is above 0, over the place in `records` the entry came from. `lists` holds
`room` keys a pixel, `counts [256]` of them in use.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from engine.cpu.simd import mask_bits
from engine.cpu.soft_order import ALPHA, BLUE, DEPTH, GREEN, RED, X

# Floats per record. The first four of each lane stand side by side, so that an entry is one place in memory: alpha, depth, and
# what comes back, weight and dL/dalpha. Behind them sixteen slopes dalpha/draw and sixteen gradients of the depth.
RECORD = 96
R_ALPHA, R_DEPTH, R_WEIGHT, R_V_ALPHA = range(4)
R_SLOPE, R_V_DEPTH = 64, 80
_PLACE = (1 << 32) - 1
_RUN = 16  # entries sorted by insertion before runs are merged


@intrinsic
def _depth_bits(typingctx, value):
    """Return the bits of a float32 above 0 as int64: ascending as the numbers are."""

    def codegen(context, builder, sig, args):
        return builder.zext(builder.bitcast(args[0], ir.IntType(32)), ir.IntType(64))

    return types.int64(types.float32), codegen


@njit(cache=True, nogil=True)
def place_of(key):
    """Return where in `records` a key's entry came from: the alpha of its lane."""
    return key & _PLACE


@njit(cache=True, nogil=True)
def append(lists, room, counts, first, pitch, on, records, at):
    """Append the lanes `on` of the record at `at` to the lists of the window's pixels; return the longest list's length."""
    bits, most = mask_bits(on), 0
    for lane in range(16):
        if bits & (1 << lane):
            pixel = first + pitch * (lane >> 2) + (lane & 3)
            n = counts[pixel]
            lists[pixel * room + n] = (_depth_bits(records[at + 4 * lane + R_DEPTH]) << 32) | (at + 4 * lane)
            counts[pixel] = n + 1
            most = max(most, n + 1)
    return most


@njit(cache=True, nogil=True)
def grown_lists(lists, room, counts):
    """Return the lists with twice the room."""
    bigger = np.empty(2 * lists.shape[0], dtype=np.int64)
    for pixel in range(256):
        for k in range(counts[pixel]):
            bigger[2 * room * pixel + k] = lists[room * pixel + k]
    return bigger


@njit(cache=True, nogil=True)
def _insert(keys, start, end):
    for i in range(start + 1, end):
        key = keys[i]
        j = i - 1
        while j >= start and keys[j] > key:
            keys[j + 1] = keys[j]
            j -= 1
        keys[j + 1] = key


@njit(cache=True, nogil=True)
def sort(keys, first, n, spare):
    """Sort keys[first : first + n], which are nearly sorted; `spare` has room for n."""
    for start in range(first, first + n, _RUN):
        _insert(keys, start, min(start + _RUN, first + n))
    run = _RUN
    while run < n:
        for start in range(first, first + n - run, 2 * run):
            middle, end = start + run, min(start + 2 * run, first + n)
            if keys[middle - 1] <= keys[middle]:
                continue
            for k in range(start, middle):
                spare[k - start] = keys[k]
            left, right, out = 0, middle, start
            while left < run:
                if right < end and keys[right] < spare[left]:
                    keys[out] = keys[right]
                    right += 1
                else:
                    keys[out] = spare[left]
                    left += 1
                out += 1
        run *= 2


@njit(cache=True, nogil=True)
def gather(lists, first, n, records, record_keys, pair_voxel, rgb, inv_tau, entries, pitch, start):
    """Write a pixel's sorted list to entries from `start` on, and fillers of alpha 0 behind it."""
    nearest = records[place_of(lists[first]) + R_DEPTH]
    for k in range(n):
        place = place_of(lists[first + k])
        voxel = pair_voxel[record_keys[place // RECORD] >> 9]
        at, z = start + k, records[place + R_DEPTH]
        entries[X * pitch + at] = (z - nearest) * inv_tau
        entries[ALPHA * pitch + at] = records[place]
        entries[RED * pitch + at] = rgb[voxel, 0, 0]
        entries[GREEN * pitch + at] = rgb[voxel, 0, 1]
        entries[BLUE * pitch + at] = rgb[voxel, 0, 2]
        entries[DEPTH * pitch + at] = z
    for at in range(start + n, (start + n + 15) & ~15):
        entries[X * pitch + at] = entries[X * pitch + start + n - 1]
        for field in (ALPHA, RED, GREEN, BLUE, DEPTH):
            entries[field * pitch + at] = np.float32(0.0)
