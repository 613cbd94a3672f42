# SPDX-License-Identifier: MIT
"""Adam for the fields of nodes: table entries that have a gradient, and the networks of slots that had samples.

m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, p <- p - rate (m / (1 - b1^n)) / (sqrt(v / (1 - b2^n)) + eps), with n counted
per entry (per slot for networks): one that is rarely seen is corrected by how often it was updated. An entry whose gradient
is 0 keeps value, moments and age. Consumed gradients are set back to 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from engine.cpu.crew import Crew
from engine.cpu.node_field import FieldGradients
from engine.cpu.simd import any_lane, fetch_add, fma, load, select, splat, store, swap_pairs, vmax, vsqrt
from engine.cpu.update import bias_corrections
from engine.node_fields import NodeFields

BLOCK = 4096  # entries that a thread takes at a time
ROUNDS = 4096  # updates after which the correction is taken for 1
TABLE_RATE, MLP_RATE, BETA1, BETA2, EPS, N_ADAM = range(6)  # entries of `adam`, float32


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


@njit(cache=True, nogil=True, inline="always")
def _step_lanes(at, on, g, rate, c2, adam, p, m, v):
    """One step of sixteen values in the lanes of `on`; `rate` holds the rate times m's correction, c2 v's correction."""
    old_m, old_v, old = load(m, at), load(v, at), load(p, at)
    new_m = fma(old_m, adam[BETA1], g * (np.float32(1.0) - adam[BETA1]))
    new_v = fma(old_v, adam[BETA2], g * g * (np.float32(1.0) - adam[BETA2]))
    new = old - rate * new_m / (vsqrt(new_v * c2) + adam[EPS])
    store(m, at, select(on, new_m, old_m))
    store(v, at, select(on, new_v, old_v))
    store(p, at, select(on, new, old))


@njit(cache=True, nogil=True)
def step_tables(counter, slots, entries, adam, corrections, p, g, m, v, age):
    """Step the touched entries of slots int32 [n]; p, g, m, v flat [S entries 2], age uint16 flat [S entries].

    corrections float32 [2, ROUNDS]. Parallel over: blocks of entries. What is left behind the last eight goes one by one.
    """
    blocks = (entries + BLOCK - 1) // BLOCK
    last = corrections.shape[1] - 1
    c1, c2 = np.zeros(16, np.float32), np.zeros(16, np.float32)
    padded = np.zeros((4, 16), np.float32)
    while True:
        unit = fetch_add(counter, 0, 1)
        if unit >= blocks * slots.shape[0]:
            break
        first = np.int64(slots[unit // blocks]) * entries + unit % blocks * BLOCK
        end = np.int64(slots[unit // blocks]) * entries + min(entries, (unit % blocks + 1) * BLOCK)
        for entry in range(first, end, 8):
            n = min(8, end - entry)
            if n == 8:
                grad = load(g, 2 * entry)
            else:
                for k in range(16):
                    padded[0, k] = g[2 * entry + k] if k < 2 * n else np.float32(0.0)
                grad = load(padded.reshape(-1), 0)
            size = vmax(grad, -grad)
            on = vmax(size, swap_pairs(size)) > 0.0
            if not any_lane(on):
                continue
            for k in range(n):
                touched = g[2 * (entry + k)] != 0.0 or g[2 * (entry + k) + 1] != 0.0
                rounds = min(np.int64(age[entry + k]) + 1, last)
                if touched:
                    age[entry + k] = rounds
                c1[2 * k] = c1[2 * k + 1] = corrections[0, rounds] * adam[TABLE_RATE]
                c2[2 * k] = c2[2 * k + 1] = corrections[1, rounds]
            if n == 8:
                _step_lanes(2 * entry, on, grad, load(c1, 0), load(c2, 0), adam, p, m, v)
                store(g, 2 * entry, splat(0.0))
            else:
                _step_tail(2 * entry, 2 * n, on, grad, c1, c2, adam, padded, p, g, m, v)


@njit(cache=True, nogil=True)
def _step_tail(at, n, on, grad, c1, c2, adam, padded, p, g, m, v):
    """The same for fewer than sixteen values, in a copy."""
    for k in range(n):
        padded[1, k], padded[2, k], padded[3, k] = p[at + k], m[at + k], v[at + k]
    _step_lanes(0, on, grad, load(c1, 0), load(c2, 0), adam, padded[1], padded[2], padded[3])
    for k in range(n):
        p[at + k], m[at + k], v[at + k], g[at + k] = padded[1, k], padded[2, k], padded[3, k], np.float32(0.0)


@njit(cache=True, nogil=True)
def step_networks(counter, slots, adam, corrections, p, g, m, v, age):
    """Step all parameters of the networks of slots int32 [n]; arrays [S, mlp_size], age uint16 [S]. Parallel over: slots."""
    size = p.shape[1]
    one = np.float32(1.0)
    while True:
        unit = fetch_add(counter, 0, 1)
        if unit >= slots.shape[0]:
            break
        s = slots[unit]
        rounds = min(np.int64(age[s]) + 1, corrections.shape[1] - 1)
        age[s] = rounds
        rate, c2 = corrections[0, rounds] * adam[MLP_RATE], corrections[1, rounds]
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
    adam[:] = table_rate, mlp_rate, *betas, eps
    corrections = np.stack([bias_corrections(beta, ROUNDS) for beta in betas])
    crew.run(
        step_tables, slots, fields.shape.entries, adam, corrections, fields.tables.reshape(-1),
        gradients.tables.reshape(-1), moments.table_m.reshape(-1), moments.table_v.reshape(-1),
        moments.table_age.reshape(-1),
    )  # fmt: skip
    crew.run(
        step_networks, slots, adam, corrections, fields.mlp, gradients.mlp, moments.mlp_m, moments.mlp_v,
        moments.mlp_age,
    )  # fmt: skip
    gradients.touched[slots] = 0
