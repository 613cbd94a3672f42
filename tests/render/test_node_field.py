# SPDX-License-Identifier: MIT
"""The public op of nodes' fields: float32 against float64 through autograd, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from engine.render.node_field import node_field
from tests.cpu.field_scenes import SMALL, lively_fields, random_samples

VALUE, GRADIENT = 1e-5, 2e-5  # relative to the largest; worst seen 1e-6 and 3e-6


def _arguments(dtype: torch.dtype, m: int = 70) -> dict[str, torch.Tensor]:
    fields, samples = lively_fields(SMALL, 4), random_samples(SMALL, 4, m)
    leaves = {"tables": fields.tables, "mlp": fields.mlp, "appearance": samples.appearance}
    found = {name: torch.tensor(a, dtype=dtype, requires_grad=True) for name, a in leaves.items()}
    rest = {"place": samples.place, "directions": samples.directions}
    found |= {name: torch.tensor(a, dtype=dtype) for name, a in rest.items()}
    return found | {"slot": torch.from_numpy(samples.slot), "ray": torch.from_numpy(samples.ray)}


def test_float32_has_the_values_and_gradients_of_float64():
    found = []
    for dtype in (torch.float32, torch.float64):
        named = _arguments(dtype)
        out = node_field(SMALL, **named)
        loss = out.density.square().sum() + (out.rgb * torch.tensor([1.0, -2.0, 3.0])).sum()
        loss.backward()
        leaves = [named[name].grad for name in ("tables", "mlp", "appearance")]
        found.append([out.density.detach(), out.rgb.detach(), *leaves])
    for k, (mine, wanted) in enumerate(zip(*found, strict=True)):
        assert mine.dtype == torch.float32 and wanted.dtype == torch.float64 and wanted.abs().max() > 0.0
        assert (mine - wanted).abs().max() < (VALUE if k < 2 else GRADIENT) * wanted.abs().max()


def test_density_alone_needs_no_rays_and_carries_gradients():
    named = {
        k: v for k, v in _arguments(torch.float32).items() if k not in ("ray", "directions", "appearance")
    }
    whole = node_field(SMALL, **_arguments(torch.float32))
    out = node_field(SMALL, **named)
    out.density.sum().backward()
    assert out.rgb is None and torch.equal(out.density, whole.density)
    double = {k: v for k, v in _arguments(torch.float64).items() if k in named}
    node_field(SMALL, **double).density.sum().backward()
    for name in ("tables", "mlp"):
        wanted = double[name].grad
        assert (named[name].grad - wanted).abs().max() < GRADIENT * wanted.abs().max()


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("tables", lambda a: a[:, :-1], "tables must have shape"),
        ("slot", lambda a: a + 2, "slot must be 0 to 3"),
        ("ray", lambda a: a - 1, "ray must be 0 to 6"),
        ("place", lambda a: a * 1.01, r"place must be in \[0,1\]"),
        ("appearance", lambda a: a[:, :2], "appearance must have shape"),
        ("directions", lambda a: None, "ray and directions go together"),
    ],
)
def test_what_does_not_fit_is_refused(name, wrong, says):
    named = _arguments(torch.float32)
    with pytest.raises(ValueError, match=says):
        node_field(SMALL, **named | {name: wrong(named[name])})
