# SPDX-License-Identifier: MIT
"""Adam's steps on the fields of nodes: the kernels. What they compute stands in `node_adam`."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from engine.cpu.node_grid import (
    CELLS,
    FIRST,
    HASH_MASK,
    add_corners,
    corner_shares,
    find_corners,
    repeat_pair,
)
from engine.cpu.node_waiting import FEATURES, PLACES, ROOM, SAMPLES
from engine.cpu.simd import (
    LANES,
    any_lane,
    f32x16,
    fetch_add,
    fma,
    load,
    select,
    splat,
    store,
    swap_pairs,
    vexp,
    vmin,
    vsqrt,
)

BLOCK = 4096  # entries that a thread takes at a time
OLDEST = 65535  # updates that an age counts: the correction is 1 long before
_CORNERS = 8
# Entries of `adam`, float32.
TABLE_RATE, MLP_RATE, BETA1, BETA2, EPS, LOG_BETA1, LOG_BETA2, N_ADAM = range(8)


@intrinsic
def load_ages(typingctx: Any, array: Any, index: Any) -> Any:
    """Return eight uint16 ages from array[index] on as float32, each in two lanes. No bounds are checked."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        kind = ir.VectorType(ir.IntType(16), LANES // 2)
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        ages = builder.load(builder.bitcast(builder.gep(data, [args[1]]), kind.as_pointer()), align=2)
        picks = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [lane // 2 for lane in range(LANES)])
        return builder.uitofp(builder.shuffle_vector(ages, ages, picks), ir.VectorType(ir.FloatType(), LANES))

    return f32x16(array, types.int64), codegen


@intrinsic
def store_ages(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write ages where `load_ages` would read them."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        kind = ir.VectorType(ir.IntType(16), LANES // 2)
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        picks = ir.Constant(ir.VectorType(ir.IntType(32), LANES // 2), list(range(0, LANES, 2)))
        ages = builder.fptoui(builder.shuffle_vector(args[2], args[2], picks), kind)
        builder.store(ages, builder.bitcast(builder.gep(data, [args[1]]), kind.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(array, types.int64, f32x16), codegen


@njit(cache=True, nogil=True, inline="always")
def _step_lanes(entry, on, g, adam, p, m, v, age):
    """One step of eight entries' sixteen values in the lanes of `on`."""
    at = 2 * entry
    old_age, old_m, old_v, old = load_ages(age, entry), load(m, at), load(v, at), load(p, at)
    new_age = vmin(old_age + 1.0, OLDEST)
    new_m = fma(old_m, adam[BETA1], g * (np.float32(1.0) - adam[BETA1]))
    new_v = fma(old_v, adam[BETA2], g * g * (np.float32(1.0) - adam[BETA2]))
    rate = adam[TABLE_RATE] / (1.0 - vexp(new_age * adam[LOG_BETA1]))
    spread = vsqrt(new_v / (1.0 - vexp(new_age * adam[LOG_BETA2]))) + adam[EPS]
    store(m, at, select(on, new_m, old_m))
    store(v, at, select(on, new_v, old_v))
    store(p, at, select(on, old - rate * new_m / spread, old))
    store_ages(age, entry, select(on, new_age, old_age))


@njit(cache=True, nogil=True, inline="always")
def _touched(g):
    """Say which lanes belong to entries with a gradient; one that is not a number counts, so that it shows."""
    return ~((g == 0.0) & (swap_pairs(g) == 0.0))


@njit(cache=True, nogil=True, inline="always")
def step_entries(first, n, g, g_first, adam, p, m, v, age, tail, tail_age):
    """Step the touched ones of n entries from `first` on, whose gradients begin at entry g_first of g, and set those to 0.

    tail float32 [4,16], tail_age uint16 [8]: scratch for a last part of fewer than eight entries.
    """
    whole = n - n % 8
    for k in range(0, whole, 8):
        grad = load(g, 2 * (g_first + k))
        on = _touched(grad)
        if any_lane(on):
            _step_lanes(first + k, on, grad, adam, p, m, v, age)
            store(g, 2 * (g_first + k), splat(0.0))
    if whole < n:
        at, g_at, rest = 2 * (first + whole), 2 * (g_first + whole), n - whole
        tail[:] = np.float32(0.0)
        for k in range(2 * rest):
            tail[0, k], tail[1, k], tail[2, k], tail[3, k] = p[at + k], m[at + k], v[at + k], g[g_at + k]
            g[g_at + k] = np.float32(0.0)
        for k in range(rest):
            tail_age[k] = age[first + whole + k]
        grad = load(tail[3], 0)
        _step_lanes(0, _touched(grad), grad, adam, tail[0], tail[1], tail[2], tail_age)
        for k in range(2 * rest):
            p[at + k], m[at + k], v[at + k] = tail[0, k], tail[1, k], tail[2, k]
        for k in range(rest):
            age[first + whole + k] = tail_age[k]


@njit(cache=True, nogil=True)
def step_tables(counter, slots, entries, adam, p, g, m, v, age):
    """Step the touched entries of slots int32 [n]; p, g, m, v flat [S entries 2], age uint16 flat [S entries].

    Parallel over: blocks of entries.
    """
    blocks = (entries + BLOCK - 1) // BLOCK
    tail, tail_age = np.zeros((4, LANES), np.float32), np.zeros(8, np.uint16)
    while True:
        unit = fetch_add(counter, 0, 1)
        if unit >= blocks * slots.shape[0]:
            break
        skip = unit % blocks * BLOCK
        first = np.int64(slots[unit // blocks]) * entries + skip
        step_entries(first, min(BLOCK, entries - skip), g, first, adam, p, m, v, age, tail, tail_age)


@njit(cache=True, nogil=True)
def scatter_and_step(counter, slots, levels, entries, passes, spans, places, v_features, adam, p, m, v, age):
    """Add up the gradients of passes that wait and step the touched entries, level by level of each slot.

    Inputs: slots int32 [n]; levels int64 [L, N_LEVEL]; passes int64 [P, N_PASS]; spans int64 [P, S, 2]: first and end of each
    slot's samples; places and v_features flat float32, every pass's as `scatter_features` has them from its offset on.
    A level's gradients exist only here, in the second-level cache, and are added in the order in which `scatter_features`
    would add them. Parallel over: (level, slot), the finest levels first.
    """
    n_slots, n_levels = slots.shape[0], levels.shape[0]
    indices, parts = np.empty(_CORNERS * LANES, np.int32), np.empty(3 * LANES, np.float32)
    tail, tail_age = np.zeros((4, LANES), np.float32), np.zeros(8, np.uint16)
    largest = entries - levels[n_levels - 1, FIRST]
    for level in range(n_levels - 1):
        largest = max(largest, levels[level + 1, FIRST] - levels[level, FIRST])
    g = np.zeros(2 * largest, np.float32)
    while True:
        unit = fetch_add(counter, 0, 1)
        if unit >= n_slots * n_levels:
            break
        level, slot = n_levels - 1 - unit // n_slots, np.int64(slots[unit % n_slots])
        cells, mask = levels[level, CELLS], levels[level, HASH_MASK]
        for k in range(passes.shape[0]):
            room, samples, origin = passes[k, ROOM], passes[k, SAMPLES], passes[k, PLACES]
            end = spans[k, slot, 1]
            for start in range(spans[k, slot, 0], end, LANES):
                find_corners(places, room, origin + start, cells, mask, indices, parts)
                at = passes[k, FEATURES] + 2 * (level * samples + start)
                for s in range(min(LANES, end - start)):
                    shares = corner_shares(parts[s], parts[LANES + s], parts[2 * LANES + s])
                    add_corners(g, 0, indices, s, shares * repeat_pair(v_features, at + 2 * s))
        first = levels[level, FIRST]
        n = (levels[level + 1, FIRST] if level + 1 < n_levels else entries) - first
        step_entries(slot * entries + first, n, g, 0, adam, p, m, v, age, tail, tail_age)


@njit(cache=True, nogil=True)
def step_networks(counter, slots, adam, p, g, m, v, age):
    """Step all parameters of the networks of slots int32 [n]; arrays [S, mlp_size], age uint16 [S]. Parallel over: slots."""
    size = p.shape[1]
    one = np.float32(1.0)
    while True:
        unit = fetch_add(counter, 0, 1)
        if unit >= slots.shape[0]:
            break
        s = slots[unit]
        rounds = min(np.int64(age[s]) + 1, OLDEST)
        age[s] = rounds
        rate = np.float32(adam[MLP_RATE] / (1.0 - np.float64(adam[BETA1]) ** rounds))
        c2 = np.float32(1.0 / (1.0 - np.float64(adam[BETA2]) ** rounds))
        for k in range(size):
            m[s, k] = adam[BETA1] * m[s, k] + (one - adam[BETA1]) * g[s, k]
            v[s, k] = adam[BETA2] * v[s, k] + (one - adam[BETA2]) * g[s, k] * g[s, k]
            p[s, k] -= rate * m[s, k] / (np.sqrt(v[s, k] * c2) + adam[EPS])
            g[s, k] = np.float32(0.0)
