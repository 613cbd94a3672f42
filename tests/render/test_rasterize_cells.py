# SPDX-License-Identifier: MIT
"""Cells of a grid through the rasteriser: kernels against the twin, and the twin against what cells promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.constants import DENSITY_SCALE
from engine.octree import Octree
from engine.reference.rasterize import trilinear_weights
from engine.render.output import RasterOutput
from engine.render.rasterize import rasterize_cells
from tests.cpu.scenes import VIEWS, camera_at, empty_octree, one_voxel

BACKGROUND = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
SAME = (
    3e-4  # float32 against float64, and limits (least, greatest opacity) per cell against per part: 9e-5 seen
)


def cells_of(seed: int = 0) -> Octree:
    """Return cells of one level, a fifth of them missing."""
    octree = Octree.dense(3)
    return octree.keep(np.random.default_rng(seed).random(len(octree)) < 0.8)[0]


def field_of(octree: Octree, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return raw densities [G] and colours [G,3] of points, a good part of both below 0, as float64."""
    rng = np.random.default_rng(seed)
    densities = rng.normal(-0.003, 0.02, octree.n_points).astype(np.float32)
    colours = rng.uniform(-0.3, 1.2, (octree.n_points, 3)).astype(np.float32)
    return torch.from_numpy(densities).double(), torch.from_numpy(colours).double()


def both(octree: Octree, view: str, samples: int) -> tuple[RasterOutput, RasterOutput]:
    """Return what the kernels and what the twin make of a view."""
    densities, colours = field_of(octree)
    options = {"samples_per_voxel": samples}
    exact = rasterize_cells(octree, densities, colours, VIEWS[view], background=BACKGROUND, **options)
    got = rasterize_cells(
        octree, densities.float(), colours.float(), VIEWS[view], background=BACKGROUND.float(), **options
    )
    return got, exact


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("view", VIEWS)
def test_kernels_equal_the_twin(view: str, samples: int) -> None:
    got, exact = both(cells_of(), view, samples)
    for name in ("rgb", "trans", "depth_z", "normal", "max_weight"):
        a, b = getattr(got, name).double(), getattr(exact, name)
        assert (a - b).abs().max() < SAME * max(1.0, float(b.abs().max())), name
    assert (got.count != exact.count).double().mean() < 0.02  # voxels at the least opacity that counts


def test_density_below_zero_is_nothing_and_does_not_make_light() -> None:
    octree = one_voxel()
    densities, colours = torch.full((8,), -5.0), torch.ones(8, 3)
    out = rasterize_cells(octree, densities, colours, camera_at((0.25, 0.25, -1.0)), background=0.25)
    assert torch.all(out.trans == 1.0) and torch.all(out.rgb == 0.25)


def test_density_is_cut_off_after_the_interpolation() -> None:
    """A cell from -1 on one face to +1 on the other is empty in its first half; averaged corners would be empty all over."""
    octree = one_voxel()
    along_z = torch.from_numpy(octree.point_position[:, 2]) > 0.25
    densities = torch.where(along_z, 0.01, -0.01)
    camera = camera_at((0.2, 0.2, -40.0), (0.2, 0.2, 0.0), size=(1, 1), fov=0.001)
    out = rasterize_cells(octree, densities, torch.ones(8, 3), camera, samples_per_voxel=2)
    depth = DENSITY_SCALE * 0.25 * 0.005  # the second part's midpoint has half the density of the far face
    assert abs(float(out.trans) - np.exp(-depth)) < 1e-4


def test_colour_is_cut_off_after_the_interpolation() -> None:
    octree = one_voxel()
    point = np.array([[0.2, 0.1, 0.3]])
    densities = torch.full((8,), 1e3)  # the first part hides what is behind it
    colours = torch.linspace(-0.9, 1.1, 24).reshape(8, 3) * torch.tensor([1.0, -1.0, 1.0])
    camera = camera_at((0.2, 0.1, -4000.0), tuple(point[0]), size=(1, 1), fov=1e-5)
    out = rasterize_cells(octree, densities, colours, camera, samples_per_voxel=1)
    order = np.argsort(octree.point_position @ [4, 2, 1])  # corner 4 cx + 2 cy + cz
    share = trilinear_weights(torch.tensor([[0.4, 0.2, 0.5]]))[0].float()
    expected = (share[:, None] * colours[order]).sum(dim=0).clamp(min=0.0)
    assert expected.min() == 0.0 and expected.max() > 0.0
    assert torch.allclose(out.rgb[0, 0], expected, atol=1e-3)


def test_no_cells_leave_the_background() -> None:
    octree = empty_octree()
    out = rasterize_cells(octree, torch.zeros(0), torch.zeros(0, 3), VIEWS["outside"], background=0.5)
    assert torch.all(out.rgb == 0.5) and torch.all(out.trans == 1.0)


def test_gradients_are_refused_where_there_are_none() -> None:
    octree = one_voxel()
    with pytest.raises(ValueError, match="no gradient"):
        rasterize_cells(octree, torch.zeros(8, requires_grad=True), torch.zeros(8, 3), VIEWS["outside"])


def test_colours_of_voxels_are_refused() -> None:
    octree = cells_of()
    with pytest.raises(ValueError, match="colours"):
        rasterize_cells(octree, torch.zeros(octree.n_points), torch.zeros(len(octree), 3), VIEWS["outside"])
