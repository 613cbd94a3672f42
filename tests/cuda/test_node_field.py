# SPDX-License-Identifier: MIT
"""The hash grids' kernels for a GPU, run on the CPU: features, fields and gradients against the float64 twin."""

from __future__ import annotations

import pytest
import torch

from engine.cuda.node_field import encode
from engine.node_fields import FieldShape
from engine.reference import node_field as twin
from engine.render.node_field import fields_by_group
from tests.cpu.field_scenes import SMALL, lively_fields, random_samples
from tests.cuda.on_host import launcher

pytestmark = pytest.mark.usefixtures("host_compiler")

FEATURE = 5e-6  # of features up to 1; worst seen 1.3e-6: the rounding of a place times 21 cells
GRADIENT = 2e-5  # of the largest of its kind, as for the CPU's kernels; worst seen 2e-6
DENSE = FieldShape(levels=2, log2_table=12, base_res=3, max_res=9, hidden=16)


def arguments(shape: FieldShape, dtype: torch.dtype, m: int = 300) -> dict[str, torch.Tensor]:
    fields, samples = lively_fields(shape, 4), random_samples(shape, 4, m)
    return {
        "tables": torch.tensor(fields.tables, dtype=dtype, requires_grad=True),
        "mlp": torch.tensor(fields.mlp, dtype=dtype, requires_grad=True),
        "slot": torch.from_numpy(samples.slot).long(),
        "place": torch.tensor(samples.place, dtype=dtype),
        "directions": torch.tensor(samples.directions[samples.ray], dtype=dtype),
        "appearance": torch.randn(m, shape.appearance, generator=torch.Generator().manual_seed(1)).to(dtype),
    }


@pytest.mark.parametrize("checks", [False, True])
@pytest.mark.parametrize("shape", [SMALL, DENSE], ids=["hashed", "dense"])
def test_features_and_their_gradients_are_those_of_the_twin(shape: FieldShape, checks: bool) -> None:
    found = []
    for dtype in (torch.float32, torch.float64):
        given = arguments(shape, dtype)
        more = {"launch": launcher(checks)} if dtype == torch.float32 else {}
        function = encode if more else twin.encode
        features = function(shape, given["tables"], given["slot"], given["place"], **more)
        share = torch.linspace(-1.0, 1.0, features.numel()).reshape(features.shape).to(dtype)
        (features * share).sum().backward()
        found.append((features.detach(), given["tables"].grad))
    (mine, v_mine), (wanted, v_wanted) = found
    assert mine.dtype == torch.float32 and wanted.abs().max() > 0.1
    assert (mine - wanted).abs().max() < FEATURE
    assert (v_mine - v_wanted).abs().max() < GRADIENT * v_wanted.abs().max()


def test_whole_fields_by_group_are_those_of_the_twin() -> None:
    found = []
    for dtype in (torch.float32, torch.float64):
        given = arguments(SMALL, dtype)
        more = {"launch": launcher()} if dtype == torch.float32 else {}
        density, rgb = (fields_by_group if more else twin.node_field)(SMALL, **given, **more)
        (density.square().sum() + (rgb * torch.tensor([1.0, -2.0, 3.0])).sum()).backward()
        found.append((density.detach(), rgb.detach(), given["tables"].grad, given["mlp"].grad))
    for mine, wanted in zip(*found, strict=True):
        assert wanted.abs().max() > 0.1
        assert (mine - wanted).abs().max() < GRADIENT * wanted.abs().max()


def test_no_samples_are_no_launch() -> None:
    given = arguments(SMALL, torch.float32, 0)
    features = encode(SMALL, given["tables"], given["slot"], given["place"], launcher())
    features.sum().backward()
    assert features.shape == (0, 6) and not given["tables"].grad.any()


def test_gradients_that_must_not_be_left_to_chance_are_refused() -> None:
    given = arguments(SMALL, torch.float32, 5)
    features = encode(SMALL, given["tables"], given["slot"], given["place"], launcher())
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(RuntimeError, match="order left to chance"):
            features.sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
