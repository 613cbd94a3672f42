# SPDX-License-Identifier: MIT
"""Gradients of the module agree with float64 and with finite differences; units, sizes and modes mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.cameras import Camera, look_at
from engine.metrics import psnr
from engine.render.rasterize import rasterize
from engine.svraster_one import SVRasterOne, switch_to_inference_mode, switch_to_training_mode
from tests.svraster_one.small import small_config, small_model, view

TWIN = 2e-3  # float32 kernels to the float64 twin, of the largest gradient; 4e-4 seen
STEP = 1e-5  # of central differences in float64
DIFFERENCES = 1e-5  # those to autograd, of the largest; 2e-7 seen
SOFT_DB = 45.0  # as the soft rasteriser promises for sigma and temperature towards 0
HALVES_DB = 60.0  # pictures from halves to pictures from float32; 70 seen


def loss_of(model: SVRasterOne, camera_matrix=None) -> torch.Tensor:
    """Return a loss of a picture of the training mode that weighs every pixel, channel and the depth differently."""
    seen, intrinsics, _ = view(model)
    out = model.forward(seen if camera_matrix is None else camera_matrix, intrinsics, mode="training")
    weight = torch.linspace(-1.0, 1.0, out["rgb"].numel(), dtype=out["rgb"].dtype).reshape(out["rgb"].shape)
    return (out["rgb"] * weight).sum() + (0.1 * out["depth"] * weight[..., 0]).sum()


@pytest.mark.parametrize("soft", [False, True])
def test_gradients_in_float32_are_those_in_float64(soft):
    single, double = small_model(soft_rasterization=soft), small_model(soft_rasterization=soft).double()
    for model in (single, double):
        loss_of(model).backward()
    for name in ("densities", "sh"):
        found, wanted = (getattr(m.voxel_grid, name).grad.double() for m in (single, double))
        assert wanted.abs().max() > 0.0
        assert (found - wanted).abs().max() < TWIN * wanted.abs().max()


def test_the_gradient_of_a_voxels_density_is_that_of_raising_its_corners_together():
    model = small_model(soft_rasterization=False).double()
    grid = model.voxel_grid
    loss_of(model).backward()
    found = grid.voxel_features.grad
    assert found.shape == (64, 1 + 3 * 4)
    for voxel in (5, 21, 42, 63):
        values = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                before = grid.densities.clone()
                grid.densities[grid.corner_idx[voxel]] += sign * STEP
                values.append(float(loss_of(model).detach()))
                grid.densities.copy_(before)
        difference = (values[0] - values[1]) / (2.0 * STEP)
        assert float(found[voxel, 0]) == pytest.approx(
            difference, abs=DIFFERENCES * float(found[:, 0].abs().max())
        )
    assert torch.equal(found[:, 1:], grid.sh.grad.flatten(1))


def test_features_are_the_mean_density_and_the_colours():
    grid = small_model().voxel_grid
    features = grid.voxel_features
    assert features.grad is None
    corners = grid.densities.detach().numpy()[grid.octree.corner_idx]
    np.testing.assert_allclose(features[:, 0].numpy(), corners.mean(axis=1), rtol=1e-5)
    assert torch.equal(features[:, 1:], grid.sh.detach().flatten(1))


def test_the_cameras_gradient_in_scene_units_agrees_with_finite_differences():
    model = small_model(supersample=1).double()
    camera_matrix = view(model)[0].double().requires_grad_(True)
    loss_of(model, camera_matrix).backward()
    found = camera_matrix.grad
    assert model.frame.extent == 2.56
    for axis in range(3):
        ends = []
        for sign in (1.0, -1.0):
            moved = camera_matrix.detach().clone()
            moved[axis, 3] += sign * STEP
            ends.append(float(loss_of(model, moved).detach()))
        difference = (ends[0] - ends[1]) / (2.0 * STEP)
        assert float(found[axis, 3]) == pytest.approx(difference, abs=1e-3 * float(found[:3, 3].abs().max()))


def test_pictures_are_the_engines_in_scene_units():
    model = small_model(soft_rasterization=False)
    model.config.voxel.scene_center = (1.0, -2.0, 0.5)
    pose = look_at(
        np.array([1.0, -2.0, 0.5]) + 2.56 * np.array([0.3, 1.4, 0.2]),
        np.array([1.0, -2.0, 0.5]),
        np.eye(3)[2],
    )
    lens = torch.tensor([[38.0, 0, 16.5], [0, 37.0, 11.5], [0, 0, 1]])
    out = model.forward(torch.from_numpy(pose).float(), lens, mode="training")
    inside = pose.copy()
    inside[:3, 3] = (pose[:3, 3] - np.array([1.0, -2.0, 0.5])) / 2.56
    camera = Camera(32, 24, 38.0, 37.0, 16.5, 11.5, inside)
    grid = model.voxel_grid
    colours = model.rasterizer.colours(grid, torch.from_numpy(inside).float()).detach()
    wanted = rasterize(grid.octree, grid.densities.detach(), colours, camera, background=1.0)
    assert torch.allclose(out["rgb"].detach(), wanted.rgb, atol=1e-5)
    seen = wanted.trans < 0.9
    depth = 2.56 * wanted.depth_z / (1.0 - wanted.trans)
    assert torch.allclose(out["depth"].detach()[seen], depth[seen], rtol=1e-4)


def test_inference_pictures_are_the_hard_ones_of_training():
    model = small_model(soft_rasterization=False, supersample=2)
    camera_matrix, intrinsics, _ = view(model)
    trained = model.forward(camera_matrix, intrinsics, mode="training")
    shown = model.forward(camera_matrix, intrinsics, mode="inference")
    assert psnr(shown["rgb"].numpy(), trained["rgb"].detach().numpy()) > HALVES_DB
    assert (shown["depth"] - trained["depth"].detach()).abs().max() < 0.02
    assert (shown["alpha"] - trained["alpha"].detach()).abs().max() < 2e-3


def test_soft_pictures_without_softness_are_the_hard_ones():
    model = small_model(use_soft_sorting=False, sigma=0.0)
    camera_matrix, intrinsics, _ = view(model)
    soft = model.forward(camera_matrix, intrinsics, mode="training")["rgb"].detach()
    hard = model.forward(camera_matrix, intrinsics, mode="inference")["rgb"]
    assert psnr(soft.numpy(), hard.numpy()) > SOFT_DB


def test_the_cache_follows_changes_in_place():
    model = small_model()
    camera_matrix, intrinsics, _ = view(model)
    model.eval()
    before, cache = model(camera_matrix, intrinsics)["rgb"], model.inference_cache()
    assert model(camera_matrix, intrinsics)["rgb"].equal(before)
    assert model.inference_cache() is cache
    with torch.no_grad():
        model.voxel_grid.sh += 0.2
    assert model.inference_cache() is not cache
    assert float((model(camera_matrix, intrinsics)["rgb"] - before).mean()) > 0.01
    model.train()
    assert model._cache is None


def test_parameters_come_back_from_inference_mode_bit_by_bit():
    model = small_model()
    values = [p.detach().clone() for p in model.parameters()]
    corners = model.voxel_grid.octree.corner_idx.copy()
    camera_matrix, intrinsics, _ = view(model)
    loss_of(model).backward()
    switch_to_inference_mode(model)
    assert all(p.grad is None for p in model.parameters())
    shown = model(camera_matrix, intrinsics)["rgb"]
    with pytest.raises(ValueError, match="switch_to_training_mode"):
        model(camera_matrix, intrinsics, mode="training")
    switch_to_training_mode(model)
    assert all(torch.equal(a, b) for a, b in zip(values, model.parameters()))
    assert np.array_equal(model.voxel_grid.octree.corner_idx, corners)
    assert not isinstance(model.voxel_grid.octree.corner_idx, np.memmap)
    loss_of(model).backward()
    assert model.voxel_grid.sh.grad.abs().max() > 0.0
    assert torch.equal(model(camera_matrix, intrinsics, mode="inference")["rgb"], shown)


def test_a_picture_in_chunks_and_of_another_size_is_the_same_view():
    model = small_model()
    camera_matrix, intrinsics, _ = view(model)
    whole = model.render_image(camera_matrix, intrinsics)
    model.config.rendering.inference_chunk_size = 256  # eight rows of 32
    parts = model.render_image(camera_matrix, intrinsics)
    for name in ("rgb", "depth", "alpha"):
        assert parts[name].shape == whole[name].shape
        assert torch.allclose(parts[name], whole[name], atol=1e-4)
    large = model.render_image(camera_matrix, intrinsics, size=(96, 128))
    assert large["rgb"].shape == (96, 128, 3)
    small = large["rgb"].reshape(24, 4, 32, 4, 3).mean(dim=(1, 3))
    assert psnr(small.numpy(), whole["rgb"].numpy()) > 25.0


def test_wrong_cameras_and_modes_are_refused_in_a_sentence():
    model = small_model()
    camera_matrix, intrinsics, _ = view(model)
    for matrix, lens, match in (
        (camera_matrix[:3], intrinsics, "camera_matrix must have shape"),
        (2.0 * camera_matrix, intrinsics, "must be a rotation"),
        (camera_matrix, -intrinsics, "focal lengths above 0"),
    ):
        with pytest.raises(ValueError, match=match):
            model(matrix, lens)
    with pytest.raises(ValueError, match="training, inference"):
        model(camera_matrix, intrinsics, mode="both")


def test_without_alpha_blending_rgb_is_premultiplied():
    model = small_model(soft_rasterization=False)
    camera_matrix, intrinsics, _ = view(model)
    over = model(camera_matrix, intrinsics)
    model.config.rendering.alpha_blending = False
    for mode in ("training", "inference"):
        alone = model(camera_matrix, intrinsics, mode=mode)
        assert torch.allclose(alone["rgb"] + (1.0 - alone["alpha"])[..., None], over["rgb"], atol=2e-3)


def test_a_state_of_another_structure_is_taken_over():
    model, other = small_model(), SVRasterOne(small_config())
    model.voxel_grid.adaptive_subdivision(torch.rand(64, generator=torch.Generator().manual_seed(1)))
    other.load_state_dict(model.state_dict())
    assert len(other.voxel_grid) == len(model.voxel_grid) > 64
    camera_matrix, intrinsics, _ = view(model)
    pictures = [m(camera_matrix, intrinsics, mode="inference")["rgb"] for m in (model, other)]
    assert torch.equal(*pictures)


def test_points_and_rays_find_their_voxels():
    model = small_model()
    model.voxel_grid.adaptive_subdivision(torch.rand(64, generator=torch.Generator().manual_seed(1)))
    model.voxel_grid.keep(np.arange(len(model.voxel_grid)) % 3 > 0)
    octree = model.voxel_grid.octree
    points = 2.7 * (torch.rand(500, 3, generator=torch.Generator().manual_seed(2)) - 0.5)
    found = model.query_points(points)
    voxel = octree.find(points.double().numpy() / 2.56)
    assert np.array_equal(found["voxel"].numpy(), voxel)
    held = voxel >= 0
    assert 0 < held.sum() < 500
    assert torch.isinf(found["density"][~torch.from_numpy(held)]).all()
    origin, direction = torch.tensor([-2.0, 0.1, 0.3]), torch.tensor([1.0, 0.13, -0.21])
    voxels, spans = model.walk_ray(origin, direction)
    assert len(voxels) > 3
    middles = origin + spans.mean(dim=1, keepdim=True) * direction
    assert torch.equal(model.query_points(middles)["voxel"], voxels)
    assert (spans[1:, 0] - spans[:-1, 1]).min() > -1e-9
    along = torch.linspace(0.0, 5.0, 4001)[:, None]
    crossed = model.query_points(origin + along * direction)["voxel"]
    assert set(crossed.tolist()) - {-1} <= set(voxels.tolist())
