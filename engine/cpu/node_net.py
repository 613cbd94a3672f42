# SPDX-License-Identifier: MIT
"""A field's two networks on a tile of samples, there and back: products of small matrices that stay in the caches.

A tile holds one row per sample. Its colour inputs are [16 SH | density and geometry through a sigmoid | appearance], so the
density network's sixteen outputs go in as they lie: the density's row of the colour matrix is 0. Matrices are laid out once
per chunk of samples (`pack`), padded to sixteen columns and transposed where the way back wants them so.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from engine.cpu.simd import fma, load, select, store, sums_of_12, vexp, vmin
from engine.cpu.tile_matmul import multiply, multiply_add, multiply_gated, multiply_relu
from engine.node_fields import N_SH, RAW_LIMIT, FieldShape

TILE = 64  # samples of a tile
RGB = 3

# Entries of a net's numbers, int64: true sizes, padded sizes, then where the packed matrices begin. Gradients are packed
# like the first five matrices.
(
    FEATURES, GEOMETRY, APPEARANCE, HIDDEN, FEATURE_ROW, APPEARANCE_ROW, COLOUR_ROW,
    IN, OUT, COLOUR, MIDDLE, RGB_T, IN_T, OUT_T, COLOUR_T, MIDDLE_T, PACKED, N_NET,
) = range(18)  # fmt: skip


@cache
def net_numbers(shape: FieldShape) -> np.ndarray:
    """Return the numbers that the kernels read a shape's networks from."""
    h, features = shape.hidden, shape.levels * shape.features
    feature_row, appearance_row = -(-features // 16) * 16, -(-shape.appearance // 16) * 16
    colour_row = N_SH + 16 + appearance_row
    sizes = (
        feature_row * h, h * 16, colour_row * h, h * h, RGB * h,
        h * feature_row, 16 * h, h * (16 + appearance_row), h * h,
    )  # fmt: skip
    net = np.zeros(N_NET, dtype=np.int64)
    net[:IN] = (
        features, shape.geometry, shape.appearance, h, feature_row, appearance_row, colour_row,
    )  # fmt: skip
    net[IN + 1 :] = np.cumsum(sizes)
    return net


@njit(cache=True, nogil=True)
def pack(mlp, at, net, out):
    """Lay out a slot's matrices, from flat mlp[at] on, in out [PACKED]."""
    features, geometry, appearance, h = net[FEATURES], net[GEOMETRY], net[APPEARANCE], net[HIDDEN]
    row, back = net[FEATURE_ROW], 16 + net[APPEARANCE_ROW]
    out[: net[PACKED]] = np.float32(0.0)
    for i in range(features):
        for j in range(h):
            out[net[IN] + i * h + j] = out[net[IN_T] + j * row + i] = mlp[at]
            at += 1
    for i in range(h):
        for j in range(1 + geometry):
            out[net[OUT] + i * 16 + j] = out[net[OUT_T] + j * h + i] = mlp[at]
            at += 1
    for i in range(N_SH + geometry + appearance):
        place = colour_row(i, geometry)
        for j in range(h):
            out[net[COLOUR] + place * h + j] = mlp[at]
            if place >= N_SH:
                out[net[COLOUR_T] + j * back + place - N_SH] = mlp[at]
            at += 1
    for i in range(h):
        for j in range(h):
            out[net[MIDDLE] + i * h + j] = out[net[MIDDLE_T] + j * h + i] = mlp[at]
            at += 1
    for i in range(h):
        for j in range(RGB):
            out[net[RGB_T] + j * h + i] = mlp[at]
            at += 1


@njit(cache=True, nogil=True, inline="always")
def colour_row(i, geometry):
    """Return where input i of the colour network stands in a padded row."""
    if i < N_SH:
        return i
    return i + 1 if i < N_SH + geometry else i - geometry + 16


@njit(cache=True, nogil=True)
def unpack(packed, net, mlp, at):
    """Write packed gradients to flat mlp[at ..], as a slot's matrices lie."""
    features, geometry, appearance, h = net[FEATURES], net[GEOMETRY], net[APPEARANCE], net[HIDDEN]
    for i in range(features * h):
        mlp[at + i] = packed[net[IN] + i]
    at += features * h
    for i in range(h):
        for j in range(1 + geometry):
            mlp[at] = packed[net[OUT] + i * 16 + j]
            at += 1
    for i in range(N_SH + geometry + appearance):
        for j in range(h):
            mlp[at] = packed[net[COLOUR] + colour_row(i, geometry) * h + j]
            at += 1
    for i in range(h * h):
        mlp[at + i] = packed[net[MIDDLE] + i]
    at += h * h
    for i in range(h):
        for j in range(RGB):
            mlp[at] = packed[net[RGB_T] + j * h + i]
            at += 1


@njit(cache=True, nogil=True, inline="always")
def sigmoid(x):
    """Return 1 / (1 + e^-x) per lane."""
    return 1.0 / (1.0 + vexp(-x))


@njit(cache=True, nogil=True)
def density_forward(n, packed, net, x, h1, out):
    """From features x [n, FEATURE_ROW] to hidden values h1 and outputs [n,16]; rows up to the next multiple of 8 are written."""
    rows, h = (n + 7) & ~7, net[HIDDEN]
    multiply_relu(x, 0, net[FEATURE_ROW], 1, packed, net[IN], h, net[FEATURES], h1, 0, h, rows, h, h1)
    multiply(h1, 0, h, 1, packed, net[OUT], 16, h, out, 0, 16, rows, 16, out)


@njit(cache=True, nogil=True)
def densities(n, out, unit, raw, density):
    """Write unit exp(min(raw, RAW_LIMIT)) of n samples to density [TILE], their raw values to raw [TILE]."""
    for s in range(n):
        raw[s] = out[16 * s]
    for s in range(0, n, 16):
        store(density, s, vexp(vmin(load(raw, s), RAW_LIMIT)) * unit)


@njit(cache=True, nogil=True)
def colour_forward(n, packed, net, out, colour, c1, c2):
    """From outputs [n,16] and colour rows, whose SH and appearance are there, to the hidden values c1, c2 [n, HIDDEN]."""
    rows, h, row = (n + 7) & ~7, net[HIDDEN], net[COLOUR_ROW]
    for s in range(n):
        store(colour, s * row + N_SH, sigmoid(load(out, 16 * s)))
    multiply_relu(colour, 0, row, 1, packed, net[COLOUR], h, row, c1, 0, h, rows, h, c1)
    multiply_relu(c1, 0, h, 1, packed, net[MIDDLE], h, h, c2, 0, h, rows, h, c2)


@njit(cache=True, nogil=True, inline="always")
def _along(c2, at, packed, first, h):
    """Return lanes whose sum is one channel of one sample."""
    total = load(c2, at) * load(packed, first)
    for k in range(16, h, 16):
        total = fma(load(c2, at + k), load(packed, first + k), total)
    return total


@njit(cache=True, nogil=True)
def colours(n, packed, net, c2, rgb):
    """Write the colours of n samples to rgb [3 n], four samples at a time; rgb has room for 16 values behind."""
    h, r = net[HIDDEN], net[RGB_T]
    g, b = r + h, r + 2 * h
    for s in range(0, n, 4):
        i = s * h
        j, k, m = i + h, i + 2 * h, i + 3 * h
        raw = sums_of_12(
            _along(c2, i, packed, r, h), _along(c2, i, packed, g, h), _along(c2, i, packed, b, h),
            _along(c2, j, packed, r, h), _along(c2, j, packed, g, h), _along(c2, j, packed, b, h),
            _along(c2, k, packed, r, h), _along(c2, k, packed, g, h), _along(c2, k, packed, b, h),
            _along(c2, m, packed, r, h), _along(c2, m, packed, g, h), _along(c2, m, packed, b, h),
        )  # fmt: skip
        store(rgb, 3 * s, sigmoid(raw))


@njit(cache=True, nogil=True)
def colour_backward(n, packed, net, v_raw, colour, c1, c2, d1, d2, v_in, grads):
    """Add the colour matrices' gradients to grads; write those of the colour rows' tail to v_in [n, 16 + APPEARANCE_ROW].

    v_raw [3 n]: gradients of the colours before their sigmoid. d1, d2: scratch like c1, c2.
    """
    rows, h, row = (n + 7) & ~7, net[HIDDEN], net[COLOUR_ROW]
    back, first = 16 + net[APPEARANCE_ROW], net[RGB_T]
    for k in range(0, h, 16):
        w_r, w_g, w_b = load(packed, first + k), load(packed, first + h + k), load(packed, first + 2 * h + k)
        s_r, s_g, s_b = (
            load(grads, first + k), load(grads, first + h + k), load(grads, first + 2 * h + k),
        )  # fmt: skip
        for s in range(n):
            v_r, v_g, v_b = v_raw[3 * s], v_raw[3 * s + 1], v_raw[3 * s + 2]
            value = load(c2, s * h + k)
            s_r, s_g, s_b = fma(value, v_r, s_r), fma(value, v_g, s_g), fma(value, v_b, s_b)
            v = fma(w_r, v_r, fma(w_g, v_g, w_b * v_b))
            store(d2, s * h + k, select(value > 0.0, v, 0.0))
        store(grads, first + k, s_r)
        store(grads, first + h + k, s_g)
        store(grads, first + 2 * h + k, s_b)
    multiply_add(c1, 0, 1, h, d2, 0, h, n, grads, net[MIDDLE], h, h, h, c1)
    multiply_gated(d2, 0, h, 1, packed, net[MIDDLE_T], h, h, d1, 0, h, rows, h, c1)
    multiply_add(colour, 0, 1, row, d1, 0, h, n, grads, net[COLOUR], h, row, h, c1)
    multiply(d1, 0, h, 1, packed, net[COLOUR_T], back, h, v_in, 0, back, rows, back, c1)


@njit(cache=True, nogil=True)
def density_backward(n, packed, net, v_density, unit, x, h1, out, colour, v_in, v_out, d1, v_x, grads):
    """Add the density matrices' gradients to grads and write those of the features to v_x [n, FEATURE_ROW].

    v_density [n]; v_in as `colour_backward` left it, whose first 16 columns are the outputs' through the sigmoid.
    """
    rows, h, row, back = (n + 7) & ~7, net[HIDDEN], net[COLOUR_ROW], 16 + net[APPEARANCE_ROW]
    for s in range(n):
        value = load(colour, s * row + N_SH)
        store(v_out, 16 * s, load(v_in, s * back) * (value - value * value))
    raw_backward(n, v_density, unit, out, v_out)
    density_net_backward(n, rows, h, packed, net, x, h1, v_out, d1, v_x, grads)


@njit(cache=True, nogil=True)
def raw_backward(n, v_density, unit, out, v_out):
    """Write column 0 of v_out: v_density unit exp(raw held within +- RAW_LIMIT)."""
    for s in range(0, n, 16):
        store(v_density, s, load(v_density, s) * unit)
    for s in range(n):
        raw = min(max(out[16 * s], np.float32(-RAW_LIMIT)), np.float32(RAW_LIMIT))
        v_out[16 * s] = v_density[s] * np.exp(raw)


@njit(cache=True, nogil=True)
def density_net_backward(n, rows, h, packed, net, x, h1, v_out, d1, v_x, grads):
    """The density network from its outputs' gradients v_out [n,16] back."""
    row = net[FEATURE_ROW]
    multiply_add(h1, 0, 1, h, v_out, 0, 16, n, grads, net[OUT], 16, h, 16, h1)
    multiply_gated(v_out, 0, 16, 1, packed, net[OUT_T], h, 1 + net[GEOMETRY], d1, 0, h, rows, h, h1)
    multiply_add(x, 0, 1, row, d1, 0, h, n, grads, net[IN], h, row, h, h1)
    multiply(d1, 0, h, 1, packed, net[IN_T], row, h, v_x, 0, row, rows, row, h1)
