# SPDX-License-Identifier: MIT
"""The grid splits, prunes and carries as it says, within its budget and resolution; settings are checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import OptionError
from engine.svraster_one import (
    DifferentiableVoxelRasterizer,
    MortonCode,
    RenderingConfig,
    SparseVoxelGrid,
    SVRasterOneConfig,
    TrainingConfig,
    VoxelConfig,
)
from tests.svraster_one.small import small_model


def test_codes_lead_there_and_back_in_order():
    ijk = torch.randint(0, 65536, (50, 3), generator=torch.Generator().manual_seed(0))
    code = MortonCode.encode(ijk)
    assert torch.equal(MortonCode.decode(code).long(), ijk)
    assert MortonCode.encode(torch.tensor([[0, 0, 1], [0, 1, 0], [1, 0, 0]])).tolist() == [1, 2, 4]


def test_the_grid_starts_coarse_and_within_its_budget():
    assert VoxelConfig().start_level == 5
    assert VoxelConfig(max_voxels=5_000).start_level == 3
    assert VoxelConfig(grid_resolution=8).start_level == 3
    assert VoxelConfig(initial_level=2).start_level == 2
    assert VoxelConfig(grid_resolution=200).finest_level == 8
    assert VoxelConfig().extent == pytest.approx(2.56)
    assert len(SparseVoxelGrid(VoxelConfig(max_voxels=5_000))) == 512


def test_the_largest_gradients_are_split_within_the_budget():
    grid = small_model().voxel_grid
    size = torch.zeros(64)
    size[[3, 20, 40]] = torch.tensor([1.0, 0.9, 0.05])
    assert grid.adaptive_subdivision(size) == 2  # the third is below a tenth of the largest
    assert len(grid) == 64 + 14
    grid.config.max_voxels = len(grid) + 7
    before = grid.octree
    size = torch.linspace(0.1, 1.0, len(grid))
    assert grid.adaptive_subdivision(size) == 1
    assert not np.isin(before.path[-1], grid.octree.path[grid.octree.level == before.level[-1]])


def test_nothing_is_split_beyond_the_resolution_or_when_it_is_off():
    grid = small_model().voxel_grid
    grid.config.grid_resolution = 8
    assert grid.adaptive_subdivision(torch.ones(64)) == 64
    assert grid.adaptive_subdivision(torch.ones(len(grid))) == 0
    grid.config.grid_resolution, grid.config.adaptive_subdivision = 32, False
    assert grid.adaptive_subdivision(torch.ones(len(grid))) == 0


def test_values_between_points_are_kept_when_voxels_are_split():
    model = small_model()
    points = 2.5 * (torch.rand(200, 3, generator=torch.Generator().manual_seed(2)) - 0.5)
    before = model.query_points(points)["density"]
    model.voxel_grid.adaptive_subdivision(torch.rand(64))
    after = model.query_points(points)["density"]
    assert (before - after).abs().max() < 0.02  # halves have 11 bits: 0.004 at -8, more after interpolation


def test_voxels_of_low_density_are_pruned_and_never_all():
    grid = small_model().voxel_grid
    with torch.no_grad():
        grid.densities.fill_(-20.0)
        grid.densities[grid.corner_idx[10]] = 1.0
    kept = {v for v in range(64) if set(grid.octree.corner_idx[v]) & set(grid.octree.corner_idx[10])}
    assert grid.adaptive_pruning() == 64 - len(kept)
    with torch.no_grad():
        grid.densities.fill_(-20.0)
    grid.adaptive_pruning()
    assert len(grid) >= 1


def test_a_fresh_grid_is_not_pruned():
    """Else the document's own loop would empty it before it had learned anything."""
    grid = SparseVoxelGrid(VoxelConfig(max_voxels=5_000))
    with torch.no_grad():
        grid.densities += torch.linspace(0.0, 0.5, len(grid.densities))
    assert grid.adaptive_pruning() == 0


def test_soft_order_becomes_the_hard_one_and_blends_like_it():
    rasterizer = DifferentiableVoxelRasterizer()
    depths, alphas = torch.tensor([2.0, 1.0, 3.0]), torch.tensor([0.5, 0.3, 0.9])
    colours = torch.eye(3)
    order = torch.argsort(depths)
    wanted = rasterizer.alpha_blending(alphas[order], colours[order])
    assert torch.allclose(wanted, torch.tensor([0.7 * 0.5, 0.3, 0.7 * 0.5 * 0.9]))
    hard = rasterizer.alpha_blending(alphas, colours, rasterizer.soft_depth_sorting(depths, 1e-4))
    assert torch.allclose(hard, wanted, atol=1e-6)
    soft = rasterizer.soft_depth_sorting(depths)
    assert torch.allclose(soft + soft.T, 1.0 - torch.eye(3))
    equal = rasterizer.soft_depth_sorting(torch.ones(2), 0.1)
    assert equal[0, 1] == equal[1, 0] == 0.5


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: VoxelConfig(grid_resolutoin=4), "Did you mean grid_resolution"),
        (lambda: VoxelConfig(voxel_size=0.0), r"VoxelConfig\.voxel_size must be"),
        (lambda: VoxelConfig(grid_resolution=65536, outside_levels=2), "more than 16 levels"),
        (lambda: RenderingConfig(depth_sorting="random"), "back_to_front, front_to_back"),
        (lambda: RenderingConfig(soft_rasterization=1), "True or False"),
        (lambda: RenderingConfig(background=(1.0, 2.0)), "a number or three"),
        (lambda: TrainingConfig(scheduler="linear"), "one_cycle"),
        (lambda: TrainingConfig(learning_rate=-1.0), r"TrainingConfig\.learning_rate"),
        (lambda: SVRasterOneConfig(voxel=RenderingConfig()), "must be a VoxelConfig"),
        (lambda: SVRasterOneConfig.from_dict({"voxels": {}}), "has no voxels"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(make, match):
    with pytest.raises(OptionError, match=match):
        make()


def test_a_refused_value_leaves_the_one_before():
    config = SVRasterOneConfig()
    with pytest.raises(OptionError):
        config.rendering.image_width = 0
    assert config.rendering.image_width == 800


def test_settings_come_back_from_a_dictionary():
    config = SVRasterOneConfig()
    config.rendering.background, config.training.anneal = (0.1, 0.2, 0.3), True
    config.voxel.grid_resolution = 77
    again = SVRasterOneConfig.from_dict(config.to_dict())
    assert again.to_dict() == config.to_dict()
    assert again.rendering.background == (0.1, 0.2, 0.3)
