# SPDX-License-Identifier: MIT
"""Adam for the fields of nodes: table entries that have a gradient, and the networks of slots that had samples.

m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, p <- p - rate (m / (1 - b1^n)) / (sqrt(v / (1 - b2^n)) + eps), with n counted
per entry (per slot for networks): one that is rarely seen is corrected by how often it was updated. An entry whose gradient
is 0 keeps value, moments and age. Consumed gradients are set back to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from engine.cpu.crew import Crew
from engine.cpu.node_field import FieldGradients
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
    vmax,
    vmin,
    vsqrt,
)
from engine.node_fields import NodeFields

BLOCK = 4096  # entries that a thread takes at a time
OLDEST = 65535  # updates that an age counts: the correction is 1 long before
# Entries of `adam`, float32.
TABLE_RATE, MLP_RATE, BETA1, BETA2, EPS, LOG_BETA1, LOG_BETA2, N_ADAM = range(8)


@dataclass(eq=False)
class FieldMoments:
    """Adam's state: m and v of tables [S, entries, F] and mlp [S, mlp_size]; ages uint16 [S, entries] and [S]: updates so far."""

    table_m: np.ndarray
    table_v: np.ndarray
    table_age: np.ndarray
    mlp_m: np.ndarray
    mlp_v: np.ndarray
    mlp_age: np.ndarray

    @classmethod
    def of(cls, fields: NodeFields) -> FieldMoments:
        """Return the state before the first step."""
        slots, entries = fields.tables.shape[:2]
        return cls(
            np.zeros_like(fields.tables), np.zeros_like(fields.tables), np.zeros((slots, entries), np.uint16),
            np.zeros_like(fields.mlp), np.zeros_like(fields.mlp), np.zeros(slots, np.uint16),
        )  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, as a checkpoint holds them."""
        return dict(vars(self))


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
    """Say which lanes belong to entries with a gradient."""
    size = vmax(g, -g)
    return vmax(size, swap_pairs(size)) > 0.0


@njit(cache=True, nogil=True)
def step_tables(counter, slots, entries, adam, p, g, m, v, age):
    """Step the touched entries of slots int32 [n]; p, g, m, v flat [S entries 2], age uint16 flat [S entries].

    Parallel over: blocks of entries. A last part of fewer than eight entries is stepped in a copy.
    """
    blocks = (entries + BLOCK - 1) // BLOCK
    tail, tail_age = np.zeros((4, LANES), np.float32), np.zeros(8, np.uint16)
    while True:
        unit = fetch_add(counter, 0, 1)
        if unit >= blocks * slots.shape[0]:
            break
        base = np.int64(slots[unit // blocks]) * entries
        first, end = base + unit % blocks * BLOCK, base + min(entries, (unit % blocks + 1) * BLOCK)
        whole = end - (end - first) % 8
        for entry in range(first, whole, 8):
            grad = load(g, 2 * entry)
            on = _touched(grad)
            if any_lane(on):
                _step_lanes(entry, on, grad, adam, p, m, v, age)
                store(g, 2 * entry, splat(0.0))
        if whole < end:
            n, at = end - whole, 2 * whole
            tail[:] = np.float32(0.0)
            for k in range(2 * n):
                tail[0, k], tail[1, k], tail[2, k], tail[3, k] = p[at + k], m[at + k], v[at + k], g[at + k]
            tail_age[:n] = age[whole:end]
            grad = load(tail[3], 0)
            _step_lanes(0, _touched(grad), grad, adam, tail[0], tail[1], tail[2], tail_age)
            for k in range(2 * n):
                p[at + k], m[at + k], v[at + k], g[at + k] = (
                    tail[0, k],
                    tail[1, k],
                    tail[2, k],
                    np.float32(0.0),
                )
            age[whole:end] = tail_age[:n]


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


def adam_touched(
    fields: NodeFields,
    gradients: FieldGradients,
    moments: FieldMoments,
    crew: Crew,
    *,
    table_rate: float,
    mlp_rate: float,
    betas: tuple[float, float] = (0.9, 0.99),
    eps: float = 1e-15,
) -> None:
    """Take one Adam step with the gradients and set them to 0. Rates are this call's, so a schedule is the caller's."""
    slots = np.flatnonzero(gradients.touched).astype(np.int32)
    adam = np.zeros(N_ADAM, dtype=np.float32)
    adam[:] = table_rate, mlp_rate, *betas, eps, *np.log(betas)
    crew.run(
        step_tables, slots, fields.shape.entries, adam, fields.tables.reshape(-1),
        gradients.tables.reshape(-1), moments.table_m.reshape(-1), moments.table_v.reshape(-1),
        moments.table_age.reshape(-1),
    )  # fmt: skip
    crew.run(
        step_networks, slots, adam, fields.mlp, gradients.mlp, moments.mlp_m, moments.mlp_v,
        moments.mlp_age,
    )  # fmt: skip
    gradients.touched[slots] = 0
