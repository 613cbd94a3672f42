# SPDX-License-Identifier: MIT
"""The public op of blending packed samples: float32 against float64 through autograd, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from engine.render.composite import composite

TOLERANCE = 5e-6  # relative to the largest; worst seen 5e-7


def _arguments(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    counts = [7, 0, 20, 1]
    m = sum(counts)
    spacing = torch.cat([torch.rand(n).sort().values for n in counts])
    found = {
        "density": 30.0 * torch.rand(m), "rgb": torch.rand(m, 3), "t": 2.0 * spacing, "delta": 0.1 * torch.rand(m),
        "background": torch.rand(3), "spacing": spacing, "width": 0.1 * torch.rand(m),
    }  # fmt: skip
    found = {name: a.to(dtype) for name, a in found.items()}
    for name in ("density", "rgb", "background"):
        found[name].requires_grad_()
    return found | {"offsets": torch.tensor([0, *counts]).cumsum(dim=0)}


def test_float32_has_the_values_and_gradients_of_float64():
    found = []
    for dtype in (torch.float32, torch.float64):
        named = _arguments(dtype)
        out = composite(**named)
        loss = (
            out.rgb.square().sum() + out.trans.sum() + out.depth.square().sum() + 2.0 * out.distortion.sum()
        )
        (loss + out.weights.square().sum()).backward()
        values = [getattr(out, name).detach() for name in ("rgb", "trans", "depth", "distortion", "weights")]
        found.append([*values, *(named[name].grad for name in ("density", "rgb", "background"))])
    for mine, wanted in zip(*found, strict=True):
        assert mine.dtype == torch.float32 and wanted.dtype == torch.float64 and wanted.abs().max() > 0.0
        assert (mine - wanted).abs().max() < TOLERANCE * wanted.abs().max()


def test_without_spacing_there_is_no_distortion():
    named = {k: v for k, v in _arguments(torch.float32).items() if k not in ("spacing", "width")}
    assert not composite(**named).distortion.any()


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("offsets", lambda a: a[:-1], "offsets must ascend from 0 to the 28 samples"),
        ("rgb", lambda a: a[:, :2], "rgb must have shape"),
        ("width", lambda a: None, "spacing and width go together"),
        ("background", lambda a: torch.zeros(2, 3), "background must be one value"),
    ],
)
def test_what_does_not_fit_is_refused(name, wrong, says):
    named = _arguments(torch.float32)
    with pytest.raises(ValueError, match=says):
        composite(**named | {name: wrong(named[name])})
