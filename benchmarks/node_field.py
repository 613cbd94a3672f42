# SPDX-License-Identifier: MIT
"""How many samples a second the fields of nodes take: forward, backward and Adam, part by part, and density alone.

    python benchmarks/node_field.py [--samples 200000] [--slots 16] [--hidden 32] [--threads 2]

One JSON line per part: median, best and worst of the rounds, in million samples a second, and the best of samples per second of
processor time of one thread, which other programs disturb less. "whole step" has gradients of tables in memory, "whole
step, waiting" adds them up in Adam's step. The last two lines compare the same networks forward: our tiles, and torch's
matrix products group by group.
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
from engine.cpu.node_net import net_numbers
from engine.cpu.node_pass import field_forward
from engine.node_fields import FieldShape, NodeFields, fresh_fields

ROUNDS = 15


def _measure(name: str, samples: int, call: Callable[[], object]) -> float:
    """Print the rates of a call and return the median in samples a second."""
    call()
    spent, busy = [], []
    for _ in range(ROUNDS):
        begin, processor = time.perf_counter(), time.process_time()
        call()
        spent.append(time.perf_counter() - begin)
        busy.append(time.process_time() - processor)
    rates = sorted(samples / s / 1e6 for s in spent)
    middle, core = rates[len(rates) // 2], samples / min(busy) / 1e6
    numbers = {"part": name, "median": middle, "best": rates[-1], "worst": rates[0], "per_core": core}
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
    gradients, late, moments = (
        FieldGradients.of(fields),
        FieldGradients.of(fields, waiting=True),
        FieldMoments.of(fields),
    )
    v_density, v_rgb = rng.normal(size=n).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32)
    kept = forward(fields, inputs, crew, room, keep=True)

    def back() -> None:
        backward(fields, inputs, kept, v_density, v_rgb, gradients, crew, room)

    def whole(into: FieldGradients) -> None:
        found = Inputs.of(fields, slot, place, ray, directions)
        out = forward(fields, found, crew, room, keep=True)
        backward(fields, found, out, v_density, v_rgb, into, crew, room)
        adam_touched(fields, into, moments, crew, table_rate=1e-6, mlp_rate=1e-6)

    def networks() -> None:
        shape, rgb = fields.shape, kept.rgb
        crew.run(
            field_forward, inputs.groups.chunks, inputs.groups.order, fields.mlp.reshape(-1), shape.mlp_size,
            net_numbers(shape), np.float32(1.0), inputs.ray, kept.sh, kept.looks, True, kept.features, kept.density, rgb,
        )  # fmt: skip

    _measure("sorting", n, lambda: Inputs.of(fields, slot, place, ray, directions))
    _measure("density only", n, lambda: forward(fields, density_only, crew, room))
    _measure("forward", n, lambda: forward(fields, inputs, crew, room, keep=True))
    _measure("backward", n, back)
    _measure("whole step", n, lambda: whole(gradients))
    _measure("whole step, waiting", n, lambda: whole(late))
    _measure("tiles, networks forward only", n, networks)
    _measure(
        "torch, networks forward only", n, _torch_networks(fields, np.bincount(slot, minlength=given.slots))
    )


if __name__ == "__main__":
    main()
