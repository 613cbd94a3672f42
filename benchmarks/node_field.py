# SPDX-License-Identifier: MIT
"""How many samples a second the fields of nodes take: forward, backward and Adam, part by part, and density alone.

    python benchmarks/node_field.py [--samples 200000] [--slots 16] [--hidden 32] [--threads 2]

One JSON line per part: median, best and worst of the rounds, in million samples a second. The last line compares the tiles'
matrix products with torch's, group by group, for the same two networks forward.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch

from engine.cpu.crew import Crew, default_threads
from engine.cpu.lists import Workspace
from engine.cpu.node_adam import FieldMoments, adam_touched
from engine.cpu.node_field import FieldGradients, Inputs, backward, forward
from engine.node_fields import FieldShape, NodeFields, fresh_fields

ROUNDS = 15


def _measure(name: str, samples: int, call: Callable[[], object]) -> float:
    """Print the rates of a call and return the median in samples a second."""
    call()
    spent = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        call()
        spent.append(time.perf_counter() - begin)
    rates = sorted(samples / s / 1e6 for s in spent)
    middle = rates[len(rates) // 2]
    numbers = {"part": name, "median": middle, "best": rates[-1], "worst": rates[0]}
    print(json.dumps({k: round(v, 2) if isinstance(v, float) else v for k, v in numbers.items()}), flush=True)
    return middle * 1e6


def _along_rays(rng: np.random.Generator, samples: int, slots: int) -> tuple[np.ndarray, ...]:
    """Return slots, places, rays and directions: runs of 16 neighbouring samples of a ray in one node."""
    rays = max(1, samples // 64)
    ray = np.sort(rng.integers(0, rays, samples)).astype(np.int32)
    run = np.arange(samples) // 16
    slot = rng.integers(0, slots, run[-1] + 1)[run].astype(np.int32)
    start, step = rng.random((run[-1] + 1, 3))[run], rng.normal(size=(run[-1] + 1, 3))[run] * 0.01
    place = np.clip(start + step * (np.arange(samples) % 16)[:, None], 0.0, 1.0).astype(np.float32)
    directions = rng.normal(size=(rays, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return slot, place, ray, directions.astype(np.float32)


def _torch_networks(fields: NodeFields, groups_of: np.ndarray) -> Callable[[], object]:
    """Return the two networks forward by torch, one product per matrix and group."""
    x = torch.randn(int(groups_of.sum()), fields.shape.levels * 2).split(groups_of.tolist())
    sh = torch.randn(int(groups_of.sum()), 16).split(groups_of.tolist())
    nets = [[torch.from_numpy(fields.matrix(s, k)) for k in range(5)] for s in range(fields.slots)]

    def call() -> None:
        with torch.no_grad():
            for features, harmonics, w in zip(x, sh, nets, strict=True):
                out = (features @ w[0]).relu_() @ w[1]
                colour = torch.cat([harmonics, out[:, 1:].sigmoid()], dim=1)
                (((colour @ w[2]).relu_() @ w[3]).relu_() @ w[4]).sigmoid_()

    return call


def main() -> None:
    """Measure the parts and the whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--threads", type=int, default=default_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rng = np.random.default_rng(0)
    n, crew, room = given.samples, Crew(given.threads), Workspace()
    fields = fresh_fields(FieldShape(hidden=given.hidden), given.slots, rng)
    slot, place, ray, directions = _along_rays(rng, n, given.slots)
    inputs = Inputs.of(fields, slot, place, ray, directions)
    density_only = Inputs.of(fields, slot, place)
    gradients, moments = FieldGradients.of(fields), FieldMoments.of(fields)
    v_density, v_rgb = rng.normal(size=n).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32)
    kept = forward(fields, inputs, crew, room, keep=True)

    def back() -> None:
        backward(fields, inputs, kept, v_density, v_rgb, gradients, crew, room)

    def step() -> None:
        gradients.touched[:] = 1
        adam_touched(fields, gradients, moments, crew, table_rate=1e-6, mlp_rate=1e-6)

    def whole() -> None:
        found = Inputs.of(fields, slot, place, ray, directions)
        out = forward(fields, found, crew, room, keep=True)
        backward(fields, found, out, v_density, v_rgb, gradients, crew, room)
        adam_touched(fields, gradients, moments, crew, table_rate=1e-6, mlp_rate=1e-6)

    _measure("sorting", n, lambda: Inputs.of(fields, slot, place, ray, directions))
    _measure("density only", n, lambda: forward(fields, density_only, crew, room))
    _measure("forward", n, lambda: forward(fields, inputs, crew, room, keep=True))
    _measure("backward", n, back)
    _measure("adam, gradients everywhere 0", n, step)
    _measure("whole step", n, whole)
    _measure(
        "torch, networks forward only", n, _torch_networks(fields, np.bincount(slot, minlength=given.slots))
    )


if __name__ == "__main__":
    main()
