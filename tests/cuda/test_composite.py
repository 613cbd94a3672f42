# SPDX-License-Identifier: MIT
"""Blending packed samples by the kernels for a GPU, run on the CPU, against the float64 twin."""

from __future__ import annotations

import pytest
import torch

from engine.cuda.composite import composite_fields
from engine.reference.composite import composite as twin
from tests.cuda.on_host import launcher

pytestmark = pytest.mark.usefixtures("host_compiler")

TOLERANCE = 1e-5  # of the largest of its kind; worst seen 1e-6, sums in float32
NAMES = ("rgb", "trans", "depth", "distortion", "weights")
LEAVES = ("density", "rgb", "background")


def arguments(dtype: torch.dtype, counts: list[int]) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    m, rays = sum(counts), len(counts)
    spacing = torch.cat([torch.rand(n).sort().values for n in [*counts, 0]])
    drawn = {
        "density": 10.0 ** (3.0 * torch.rand(m) - 1.0), "rgb": torch.rand(m, 3), "t": 3.0 * spacing,
        "delta": 0.1 * torch.rand(m), "background": torch.rand(rays, 3), "spacing": spacing, "width": 0.1 * torch.rand(m),
    }  # fmt: skip
    found = {name: a.to(dtype) for name, a in drawn.items()}
    for name in LEAVES:
        found[name].requires_grad_()
    return found | {"offsets": torch.tensor([0, *counts]).cumsum(dim=0)}


@pytest.mark.parametrize("spaced", [True, False])
@pytest.mark.parametrize("checks", [False, True])
def test_pictures_and_gradients_are_those_of_the_twin(spaced: bool, checks: bool) -> None:
    counts, found = [7, 0, 33, 1, 0] * 30, []
    for dtype in (torch.float32, torch.float64):
        given = arguments(dtype, counts)
        if not spaced:
            del given["spacing"], given["width"]
        if dtype == torch.float32:
            out = composite_fields(**given, launch=launcher(checks))
        else:
            exact = twin(**given)
            out = tuple(getattr(exact, name) for name in NAMES)
        shares = [torch.linspace(-1.0, 2.0, a.numel()).reshape(a.shape).to(dtype) for a in out]
        sum((a * share).sum() for a, share in zip(out, shares, strict=True)).backward()
        found.append([*(a.detach() for a in out), *(given[name].grad for name in LEAVES)])
    for k, (mine, wanted) in enumerate(zip(*found, strict=True)):
        assert mine.dtype == torch.float32 and (wanted.abs().max() > 0.0 or (k == 3 and not spaced))
        assert (mine - wanted).abs().max() <= TOLERANCE * wanted.abs().max()


def test_no_rays_are_no_launch() -> None:
    given = arguments(torch.float32, [])
    out = composite_fields(**given, launch=launcher())
    assert out[0].shape == (0, 3) and out[4].shape == (0,)
