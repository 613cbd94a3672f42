# SPDX-License-Identifier: MIT
"""Samples through the fields of their nodes and back: the kernels that go from chunk to chunk of samples sorted by slot.

Order of work, forward: `node_grid.gather_features` level by level; then, per chunk, the matrices are packed and tiles of
samples go through the density network and, where wanted, the colour network. Only features are kept. Backward runs the
networks again, leaves the features' gradients level by level for `node_grid.scatter_features`, and each chunk's gradients of
the networks in a row of its own; rows are added in the order of chunks, which does not depend on the threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.march_rays import write_basis
from engine.cpu.node_grid import feature_rows, store_pair
from engine.cpu.node_net import (
    APPEARANCE_ROW,
    COLOUR_ROW,
    FEATURE_ROW,
    FEATURES,
    HIDDEN,
    IN_T,
    PACKED,
    RGB,
    TILE,
    colour_backward,
    colour_forward,
    colours,
    densities,
    density_backward,
    density_forward,
    density_net_backward,
    pack,
    raw_backward,
    unpack,
)
from engine.cpu.simd import LANES, fetch_add, load, store
from engine.node_fields import N_SH

CHUNK = 1024  # samples that a thread takes at a time, all of one slot
SLOT, BEGIN, END = range(3)  # columns of a chunk


@njit(cache=True, nogil=True)
def sort_by_slot(slot, counts, order):
    """Sort samples by slot, keeping their order: counts int64 [S+1] becomes the first sample of each slot, order int32 [M]."""
    counts[:] = 0
    for i in range(slot.shape[0]):
        counts[slot[i] + 1] += 1
    for s in range(counts.shape[0] - 1):
        counts[s + 1] += counts[s]
    for i in range(slot.shape[0]):
        order[counts[slot[i]]] = i
        counts[slot[i]] += 1
    for s in range(counts.shape[0] - 1, 0, -1):
        counts[s] = counts[s - 1]
    counts[0] = 0


@njit(cache=True, nogil=True)
def direction_rows(counter, directions, rows):
    """Write the spherical harmonics of unit directions float32 [Q,3] to rows [Q,16]. Parallel over: runs of rays."""
    n = directions.shape[0]
    flat = rows.reshape(-1)
    while True:
        first = fetch_add(counter, 0, CHUNK)
        if first >= n:
            break
        for q in range(first, min(first + CHUNK, n)):
            write_basis(directions[q, 0], directions[q, 1], directions[q, 2], 3, flat, q * N_SH, 1)


@njit(cache=True, nogil=True, inline="always")
def colour_inputs(start, n, order, ray, sh, looks, net, colour):
    """Write SH and appearance of a tile's samples to its colour rows."""
    row, more = net[COLOUR_ROW], net[APPEARANCE_ROW]
    for s in range(n):
        q = np.int64(ray[order[start + s]])
        store(colour, s * row, load(sh, q * N_SH))
        for k in range(0, more, LANES):
            store(colour, s * row + N_SH + 16 + k, load(looks, q * more + k))


@njit(cache=True, nogil=True)
def field_forward(
    counter, chunks, order, mlp, mlp_size, net, unit, ray, sh, looks, want_colour, features, density, rgb
):  # fmt: skip
    """Evaluate samples.

    Inputs: chunks int64 [n,3]; order int32 [M]; mlp flat float32; ray int32 [M]; sh flat float32 [Q,16]; looks flat
    float32 [Q, APPEARANCE_ROW]; features flat float32 [L, M, 2], sorted.
    Outputs: density [M], rgb [M,3] in the samples' own order. Parallel over: chunks.
    """
    h, row = net[HIDDEN], net[FEATURE_ROW]
    m, n_levels = order.shape[0], net[FEATURES] // 2
    packed = np.zeros(net[PACKED], np.float32)
    x, h1, out = (
        np.zeros(TILE * row, np.float32),
        np.zeros(TILE * h, np.float32),
        np.zeros(TILE * 16, np.float32),
    )
    colour = np.zeros(TILE * net[COLOUR_ROW], np.float32)
    c1, c2 = np.zeros(TILE * h, np.float32), np.zeros(TILE * h, np.float32)
    raw, found, shown = (
        np.zeros(TILE, np.float32),
        np.zeros(TILE, np.float32),
        np.zeros(3 * TILE + 16, np.float32),
    )
    packed_slot = np.int64(-1)
    while True:
        chunk = fetch_add(counter, 0, 1)
        if chunk >= chunks.shape[0]:
            break
        slot = chunks[chunk, SLOT]
        if slot != packed_slot:
            pack(mlp, slot * mlp_size, net, packed)
            packed_slot = slot
        for start in range(chunks[chunk, BEGIN], chunks[chunk, END], TILE):
            n = min(TILE, chunks[chunk, END] - start)
            feature_rows(features, m, n_levels, start, n, row, x)
            density_forward(n, packed, net, x, h1, out)
            densities(n, out, unit, raw, found)
            for s in range(n):
                density[order[start + s]] = found[s]
            if want_colour:
                colour_inputs(start, n, order, ray, sh, looks, net, colour)
                colour_forward(n, packed, net, out, colour, c1, c2)
                colours(n, packed, net, c2, shown)
                for s in range(n):
                    for channel in range(RGB):
                        rgb[order[start + s], channel] = shown[RGB * s + channel]


@njit(cache=True, nogil=True)
def field_backward(
    counter, chunks, order, mlp, mlp_size, net, unit, ray, sh, looks, with_colour, features, rgb, v_density, v_rgb,
    v_features, partial, v_looks,
):  # fmt: skip
    """Turn gradients of densities and colours into those of features, networks and appearance.

    Inputs as `field_forward` had and left them; v_density [M], v_rgb [M,3] in the samples' own order.
    Outputs: v_features flat [L, M, 2] sorted; partial [n, mlp_size], a row per chunk; v_looks flat [M, APPEARANCE_ROW] in
    the samples' own order. Parallel over: chunks.
    """
    h, row, more = net[HIDDEN], net[FEATURE_ROW], net[APPEARANCE_ROW]
    n_samples, back = order.shape[0], 16 + more
    n_levels = net[FEATURES] // 2
    packed, grads = np.zeros(net[PACKED], np.float32), np.zeros(net[IN_T], np.float32)
    x, h1, out = (
        np.zeros(TILE * row, np.float32),
        np.zeros(TILE * h, np.float32),
        np.zeros(TILE * 16, np.float32),
    )
    colour = np.zeros(TILE * net[COLOUR_ROW], np.float32)
    c1, c2 = np.zeros(TILE * h, np.float32), np.zeros(TILE * h, np.float32)
    d1, d2 = np.zeros(TILE * h, np.float32), np.zeros(TILE * h, np.float32)
    v_in, v_out, v_x = (
        np.zeros(TILE * back, np.float32),
        np.zeros(TILE * 16, np.float32),
        np.zeros(TILE * row, np.float32),
    )
    v_raw, v_found = np.zeros(RGB * TILE, np.float32), np.zeros(TILE, np.float32)
    packed_slot = np.int64(-1)
    while True:
        chunk = fetch_add(counter, 0, 1)
        if chunk >= chunks.shape[0]:
            break
        slot = chunks[chunk, SLOT]
        if slot != packed_slot:
            pack(mlp, slot * mlp_size, net, packed)
            packed_slot = slot
        grads[:] = np.float32(0.0)
        for start in range(chunks[chunk, BEGIN], chunks[chunk, END], TILE):
            n = min(TILE, chunks[chunk, END] - start)
            feature_rows(features, n_samples, n_levels, start, n, row, x)
            density_forward(n, packed, net, x, h1, out)
            for s in range(n):
                v_found[s] = v_density[order[start + s]]
            if with_colour:
                colour_inputs(start, n, order, ray, sh, looks, net, colour)
                colour_forward(n, packed, net, out, colour, c1, c2)
                for s in range(n):
                    for channel in range(RGB):
                        value = rgb[order[start + s], channel]
                        v_raw[RGB * s + channel] = v_rgb[order[start + s], channel] * (value - value * value)
                colour_backward(n, packed, net, v_raw, colour, c1, c2, d1, d2, v_in, grads)
                for s in range(n):
                    for k in range(0, more, LANES):
                        store(v_looks, order[start + s] * more + k, load(v_in, s * back + 16 + k))
                density_backward(
                    n, packed, net, v_found, unit, x, h1, out, colour, v_in, v_out, d1, v_x, grads
                )
            else:
                raw_backward(n, v_found, unit, out, v_out)
                density_net_backward(n, (n + 7) & ~7, h, packed, net, x, h1, v_out, d1, v_x, grads)
            for s in range(n):
                for level in range(n_levels):
                    store_pair(v_features, 2 * (level * n_samples + start + s), v_x, s * row + 2 * level)
        unpack(grads, net, partial.reshape(-1), chunk * mlp_size)


@njit(cache=True, nogil=True)
def add_partial(counter, slots, first_chunk, partial, v_mlp):
    """Add each group's rows of `partial` to its slot's row of v_mlp [S, mlp_size]. Parallel over: groups.

    slots int32 [G]; first_chunk int64 [G+1].
    """
    while True:
        group = fetch_add(counter, 0, 1)
        if group >= slots.shape[0]:
            break
        for chunk in range(first_chunk[group], first_chunk[group + 1]):
            for k in range(partial.shape[1]):
                v_mlp[slots[group], k] += partial[chunk, k]


@njit(cache=True, nogil=True)
def add_looks(ray, v_samples, more, v_looks):
    """Add gradients of samples, flat [M, more], to those of their rays, flat [Q, more]."""
    for i in range(ray.shape[0]):
        for k in range(0, more, LANES):
            at = np.int64(ray[i]) * more + k
            store(v_looks, at, load(v_looks, at) + load(v_samples, i * more + k))
