# SPDX-License-Identifier: MIT
"""The twin of blending against hand-made cases, its definition and finite differences."""

from __future__ import annotations

import math

import torch

from engine.reference.composite import composite

EXACT = 1e-12  # float64
STEP, SLOPE = 1e-6, 1e-8  # central differences of functions of order one


def _rays(*counts: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    m = sum(counts)
    spacing = torch.cat([torch.rand(n, dtype=torch.float64).sort().values for n in counts])
    return {
        "offsets": torch.tensor([0, *counts]).cumsum(dim=0),
        "density": 20.0 * torch.rand(m, dtype=torch.float64),
        "rgb": torch.rand(m, 3, dtype=torch.float64),
        "t": 3.0 * spacing,
        "delta": 0.1 * torch.rand(m, dtype=torch.float64),
        "background": torch.rand(3, dtype=torch.float64),
        "spacing": spacing,
        "width": 0.1 * torch.rand(m, dtype=torch.float64),
    }


def test_two_samples_blend_as_one_computes_by_hand():
    rays = _rays(2)
    a, b = (1.0 - math.exp(-float(s * d)) for s, d in zip(rays["density"], rays["delta"], strict=True))
    out = composite(**rays)
    weights = torch.tensor([a, (1.0 - a) * b], dtype=torch.float64)
    left = (1.0 - a) * (1.0 - b)
    assert (out.weights - weights).abs().max() < EXACT and abs(out.trans.item() - left) < EXACT
    assert (out.rgb[0] - (weights @ rays["rgb"] + left * rays["background"])).abs().max() < EXACT
    assert abs(out.depth.item() - float(weights @ rays["t"])) < EXACT
    gap, width = float(rays["spacing"][1] - rays["spacing"][0]), rays["width"]
    bend = 2.0 * weights[0] * weights[1] * gap + (weights.square() * width).sum() / 3.0
    assert abs(out.distortion.item() - bend) < EXACT


def test_a_ray_knows_nothing_of_its_neighbours():
    both, first = _rays(4, 5), _rays(4, 5)
    first = {k: v[:4] for k, v in first.items() if k not in ("offsets", "background")}
    alone = composite(torch.tensor([0, 4]), **first, background=both["background"])
    out = composite(**both)
    assert torch.equal(out.rgb[:1], alone.rgb) and torch.equal(out.weights[:4], alone.weights)


def test_the_distortion_of_a_density_in_one_place_is_smaller_than_of_one_in_two():
    rays = _rays(6)
    rays["spacing"], rays["width"] = torch.linspace(0.0, 1.0, 6, dtype=torch.float64), torch.full((6,), 0.2)
    rays["delta"] = torch.ones(6, dtype=torch.float64)
    together, apart = (torch.zeros(6, dtype=torch.float64) for _ in range(2))
    together[:2], apart[[0, 5]] = (
        torch.tensor([0.7, 9.0], dtype=torch.float64),
        torch.tensor([0.7, 9.0]).double(),
    )
    bends = [composite(**rays | {"density": d}).distortion.item() for d in (together, apart)]
    assert bends[0] < 0.5 * bends[1]


def test_gradients_are_those_of_finite_differences():
    rays = _rays(5, 0, 3)
    for name in ("density", "rgb", "background"):
        rays[name].requires_grad_()

    def loss() -> torch.Tensor:
        out = composite(**rays)
        shown = (out.rgb * torch.arange(9.0).reshape(3, 3)).sum() + out.trans.square().sum() + out.depth.sum()
        return shown + 3.0 * out.distortion.sum() + (out.weights * out.weights).sum()

    loss().backward()
    for name in ("density", "rgb", "background"):
        flat, wanted = rays[name].data.view(-1), rays[name].grad.view(-1)
        for k in range(len(flat)):
            before, values = flat[k].item(), []
            for step in (STEP, -STEP):
                flat[k] = before + step
                values.append(loss().item())
            flat[k] = before
            assert abs((values[0] - values[1]) / (2.0 * STEP) - wanted[k].item()) < SLOPE
