# SPDX-License-Identifier: MIT
"""Gradients of a batch of rays: those of the float64 twin, of finite differences, and of the rasteriser on a whole picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.constants import (
    HUBER,
    HUBER_KNEE,
    L1,
    MSE,
    N_WEIGHTS,
    SUM_BACKGROUND,
    SUM_DISTORTION,
    SUM_PHOTO,
    SUM_R_CONCENTRATION,
    SUM_SQUARED,
    SUM_T_CONCENTRATION,
)
from engine.cpu import octree_rays_step
from engine.cpu.apply_step import FieldGradients
from engine.cpu.crew import Crew, crew
from engine.cpu.lists import VoxelTable, Workspace
from engine.cpu.octree_nodes import node_table
from engine.cpu.octree_rays import jitter_of
from engine.cpu.octree_rays_step import Quadrature, RayBatch, RayField, RayRoom, ray_gradients
from engine.cpu.raster_grad import ROW_PRIORITY, ROW_WEIGHT
from engine.cpu.shade import grouped, sh_rows
from engine.cpu.train_view import shaded_lists, view_gradients
from engine.cpu.update import pixel_size, sum_rows
from engine.octree import Octree
from engine.reference.octree_rays import RayOutput, render_rays
from engine.reference.rasterize import contract
from engine.reference.sh import rgb_from_sh
from tests.cpu.scenes import VIEWS, deep_octree, field_of, mixed_octree
from tests.cpu.test_octree_rays import coefficients, rays_of

TOLERANCE = 2e-5  # of the largest gradient: records are float32
BACKGROUND = np.array([0.2, 0.5, 0.9], dtype=np.float32)
SEED = 5


def scene(octree: Octree, contrast: float = 1.0) -> tuple[Tensor, np.ndarray, RayField]:
    """Return densities in float64, coefficients, and both as rays look at them."""
    density, _ = field_of(octree, high=0.5)
    sh = np.float32(contrast) * coefficients(octree)
    field = RayField(VoxelTable.of(octree), node_table(octree), density.float().numpy(), grouped(sh), 2)
    return density, sh, field


def batch_of(name: str, rays: int = 1) -> RayBatch:
    """Return a batch of a view's rays with random colours to reach and factors."""
    origins, directions = rays_of(VIEWS[name])
    n = len(origins) // rays**2
    rng = np.random.default_rng(3)
    targets, factors = rng.random((n, 3), np.float32), rng.uniform(0.5, 1.5, n).astype(np.float32)
    factors[::7] = 0.0
    scale = np.full(n, 1.0 / 47.0, np.float32)
    return RayBatch(origins[: n * rays**2], directions[: n * rays**2], scale, targets, factors, rays)


def run(
    field: RayField,
    batch: RayBatch,
    weights: np.ndarray,
    mode: int = MSE,
    team: Crew | None = None,
    **samples: int,
) -> tuple[FieldGradients, np.ndarray, np.ndarray]:
    """Run the kernels."""
    return ray_gradients(
        field, batch, Quadrature(**samples, seed=SEED), team or crew(), RayRoom(), mode=mode, background=BACKGROUND,
        weights=weights,
    )  # fmt: skip


def dense(gradients: FieldGradients, n_voxels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients [V,9,3] of the coefficients and the priorities [V]."""
    full = np.zeros((-(-n_voxels // 16), *gradients.coefficients.shape[1:]), np.float32)
    full[gradients.groups] = gradients.coefficients
    rows = full.transpose(0, 2, 1).reshape(-1, full.shape[1])[:n_voxels]
    return sh_rows(np.ascontiguousarray(full[:, :-1]), n_voxels), rows[:, -1]


def weights_of(photo: float, light: float = 0.0, spread: float = 0.0, distortion: float = 0.0) -> np.ndarray:
    """Return loss weights; the distortion is contracted from depth 1 on."""
    weights = np.zeros(N_WEIGHTS)
    weights[:] = photo, light, spread, distortion, 1.0
    return weights


def distortion(out: RayOutput, norm: Tensor) -> Tensor:
    """Return each ray's distortion [N], the double sum written out."""
    a, b = contract(out.t_in * norm), contract(out.t_out * norm)
    middle = 0.5 * (a + b)
    apart = (middle[:, :, None] - middle[:, None]).abs()
    both = (out.weight[:, :, None] * out.weight[:, None] * apart).sum(dim=(1, 2))
    return both + (out.weight**2 * (b - a) / 3.0).sum(dim=1)


def twin_loss(
    octree: Octree, density: Tensor, sh: Tensor, background: Tensor, batch: RayBatch, weights: np.ndarray, mode: int = MSE,
    coarse: int = 1, fine: int = 0,
) -> Tensor:  # fmt: skip
    """Return the loss in float64."""
    origins, directions, targets, factors = (
        torch.from_numpy(a).double() for a in (batch.origins, batch.directions, batch.targets, batch.factors)
    )
    jitter = torch.from_numpy(jitter_of(SEED, len(origins), fine))
    out = render_rays(
        octree, density, sh, 2, origins, directions, background=background, n_coarse=coarse, jitter=jitter
    )
    per_pixel = batch.rays**2
    error = out.rgb.reshape(-1, per_pixel, 3).mean(dim=1) - targets
    if mode == MSE:
        photo = error**2
    elif mode == L1:
        photo = error.abs()
    else:
        photo = torch.where(error.abs() < HUBER_KNEE, error**2, 2 * HUBER_KNEE * error.abs() - HUBER_KNEE**2)
    of_ray = factors.repeat_interleave(per_pixel)
    loss = weights[0] * (factors[:, None] * photo).sum()
    loss = loss + weights[1] * (of_ray * (out.trans * (1.0 - out.trans)) ** 2).sum()
    if weights[2] > 0.0:  # the weights in it are constants
        towards = torch.from_numpy(octree.center).double()[out.voxel_idx] - origins[:, None]
        unit = (towards / towards.norm(dim=-1, keepdim=True)).reshape(-1, 3)
        colours = rgb_from_sh(sh[out.voxel_idx.reshape(-1)], unit, 2).reshape(*out.voxel_idx.shape, 3)
        apart = ((colours - targets.repeat_interleave(per_pixel, 0)[:, None]) ** 2).sum(dim=-1)
        loss = loss + weights[2] * (of_ray * (out.weight.detach() * apart).sum(dim=1)).sum()
    if weights[3] > 0.0:
        loss = loss + weights[3] * (of_ray * distortion(out, directions.norm(dim=1, keepdim=True))).sum()
    return loss


@pytest.mark.parametrize(
    ("mode", "terms", "samples", "rays"),
    [
        (MSE, (1.0, 0.0, 0.0, 0.0), {}, 1),
        (MSE, (1.0, 0.3, 0.1, 0.2), {"coarse": 2, "fine": 8}, 1),
        (L1, (1.0, 0.0, 0.05, 0.0), {"fine": 5}, 2),
        (HUBER, (1.0, 0.1, 0.0, 0.0), {}, 2),
    ],
)
def test_gradients_and_sums_are_the_twins(mode: int, terms: tuple, samples: dict, rays: int) -> None:
    octree = mixed_octree()
    # the twin's second term hears a colour cut off at 0 by itself, the kernel both together: none is where it matters
    density, sh, field = scene(octree, 0.3 if terms[2] > 0.0 else 1.0)
    batch = batch_of("outside", rays)
    weights = weights_of(*(t / len(batch.targets) for t in terms))
    gradients, sums, _ = run(field, batch, weights, mode, **samples)
    leaves = [density.clone(), torch.from_numpy(sh).double(), torch.from_numpy(BACKGROUND).double()]
    for leaf in leaves:
        leaf.requires_grad_()
    loss = twin_loss(octree, *leaves, batch, weights, mode, **samples)
    loss.backward()
    total = sums[[SUM_PHOTO, SUM_T_CONCENTRATION, SUM_R_CONCENTRATION, SUM_DISTORTION]].sum()
    np.testing.assert_allclose(total, loss.item(), rtol=1e-5)
    found = gradients.v_density, dense(gradients, len(octree))[0], sums[SUM_BACKGROUND : SUM_BACKGROUND + 3]
    for mine, leaf in zip(found, leaves, strict=True):
        wanted = leaf.grad.numpy()
        np.testing.assert_allclose(mine, wanted, atol=TOLERANCE * np.abs(wanted).max())


def test_the_twins_gradients_are_finite_differences() -> None:
    octree = mixed_octree()
    density, sh, _ = scene(octree)
    batch, weights = batch_of("inside a voxel"), weights_of(1.0, 0.3, 0.0, 0.2)
    leaves = [density.clone(), torch.from_numpy(sh).double(), torch.from_numpy(BACKGROUND).double()]
    for leaf in leaves:
        leaf.requires_grad_()
    twin_loss(octree, *leaves, batch, weights, coarse=2).backward()
    rng = np.random.default_rng(0)
    for number in range(3):
        flat = leaves[number].grad.reshape(-1).numpy()
        for entry in rng.choice(np.flatnonzero(np.abs(flat) > 0.2 * np.abs(flat).max()), 3):
            ends = []
            for sign in (1.0, -1.0):
                moved = [leaf.detach().clone() for leaf in leaves]
                moved[number].reshape(-1)[entry] += sign * 1e-5
                ends.append(twin_loss(octree, *moved, batch, weights, coarse=2).item())
            np.testing.assert_allclose((ends[0] - ends[1]) / 2e-5, flat[entry], rtol=1e-4)


def test_a_whole_picture_of_rays_says_what_the_rasteriser_says() -> None:
    octree, camera = mixed_octree(), replace(VIEWS["outside"], width=36, height=28)
    _, _, field = scene(octree)
    origins, directions = rays_of(camera)
    pixels = np.arange(36 * 28).reshape(14, 2, 18, 2).transpose(0, 2, 1, 3).reshape(-1)  # two by two
    photo = np.random.default_rng(0).integers(0, 256, (14, 18, 3), dtype=np.uint8)
    n = 14 * 18
    weights = weights_of(1.0 / (3 * n), 0.2 / n, 0.1 / n, 0.05 / n)
    batch = RayBatch(
        origins[pixels], directions[pixels], np.full(n, 1.0 / camera.fx, np.float32),
        photo.reshape(-1, 3).astype(np.float32) / 255.0, np.ones(n, np.float32), 2,
    )  # fmt: skip
    gradients, sums, squared = run(field, batch, weights)
    room, table = Workspace(), field.table
    lists, rgb = shaded_lists(table, field.sh, 2, camera, crew(), room, keep_slots=True)
    live, rows, wanted_sums = view_gradients(
        table, field.density, lists, rgb, crew(), room, mode=MSE, shrink=2, target=photo, background=BACKGROUND,
        weights=weights, samples=1,
    )  # fmt: skip
    np.testing.assert_allclose(sums[:8], wanted_sums[:8], rtol=2e-4, atol=1e-8)
    np.testing.assert_allclose(squared.sum() * 3.0, wanted_sums[SUM_SQUARED], rtol=1e-4)
    total, (_, priority) = np.zeros(16, np.float32), dense(gradients, len(octree))
    for voxel in range(len(octree)):
        first = lists.first_pair[voxel]
        if first < 0 or not sum_rows(voxel, first, lists.rect, lists.pair_slot, live, rows, total):
            assert gradients.seen[1, voxel] == -np.inf
            continue
        np.testing.assert_allclose(gradients.seen[0, voxel], total[ROW_WEIGHT], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(priority[voxel], total[ROW_PRIORITY], rtol=2e-2, atol=1e-7)
        across = pixel_size(
            voxel, table.soa, table.stride, lists.view
        )  # at its centre; a ray tells where it passed
        assert abs(-gradients.seen[1, voxel] - across) < octree.size[voxel] / camera.fx


def test_any_number_of_threads_and_any_room_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, field = scene(deep_octree())
    batch, weights = batch_of("outside"), weights_of(1.0, 0.1, 0.1, 0.1)
    first = run(field, batch, weights, fine=4)
    monkeypatch.setattr(octree_rays_step, "_FIRST_ROOM", 8)  # everything is traced twice
    team = Crew(3)
    second = run(field, batch, weights, team=team, fine=4)
    team.close()
    for a, b in zip(vars(first[0]).values(), vars(second[0]).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(first[2], second[2])


def test_blocks_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    octree = deep_octree()
    _, _, field = scene(octree)
    batch, weights = batch_of("outside"), weights_of(1.0)
    whole, sums, squared = run(field, batch, weights, fine=3)
    monkeypatch.setattr(octree_rays_step, "BLOCK_PIXELS", 96)
    parts, part_sums, part_squared = run(field, batch, weights, fine=3)
    np.testing.assert_allclose(part_sums, sums, rtol=1e-12)
    np.testing.assert_array_equal(part_squared, squared)
    np.testing.assert_array_equal(parts.seen, whole.seen)
    np.testing.assert_allclose(parts.v_density, whole.v_density, atol=1e-6 * np.abs(whole.v_density).max())
    mine, wanted = dense(parts, len(octree))[0], dense(whole, len(octree))[0]
    np.testing.assert_allclose(mine, wanted, atol=1e-6 * np.abs(wanted).max())
