# SPDX-License-Identifier: MIT
"""Rays through the octree: the kernels see what the twin sees and, without fine samples, what the rasteriser draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.cpu.crew import crew, set_threads
from engine.cpu.lists import VoxelTable
from engine.cpu.octree_nodes import node_table
from engine.cpu.octree_rays import jitter_of, see_rays, sorted_by_place
from engine.cpu.shade import grouped
from engine.octree import Octree
from engine.reference.octree_rays import blended, fine_samples, render_rays
from engine.reference.sh import rgb_from_sh
from engine.render.rasterize import rasterize
from engine.sh import view_directions
from tests.cpu.scenes import VIEWS, camera_at, deep_octree, empty_octree, field_of, mixed_octree

TOLERANCE = (
    2e-5  # float32 results of float64 arithmetic, and the step at STOP_TRANS: light of 1e-4 more or less
)
OF_RASTER = 6e-5  # the rasteriser computes in float32 and stops likewise
PERSPECTIVE = [name for name, camera in VIEWS.items() if not camera.orthographic]
BACKGROUND = np.array([0.2, 0.5, 0.9])


def rays_of(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Return the rays of all pixels, exact in float32, as t counts in z."""
    origins, directions = (a.reshape(-1, 3) for a in camera.rays())
    directions = directions / (directions @ camera.forward)[:, None]
    return origins.astype(np.float32), directions.astype(np.float32)


def coefficients(octree: Octree, seed: int = 1) -> np.ndarray:
    """Return coefficients [V,9,3] of degree 2."""
    return (0.3 * np.random.default_rng(seed).normal(size=(len(octree), 9, 3))).astype(np.float32)


def seen(
    octree: Octree, density: Tensor, sh: np.ndarray, rays: tuple[np.ndarray, np.ndarray], **samples: int
) -> np.ndarray:
    """Return what the kernels see, before BACKGROUND."""
    rgb, trans = see_rays(
        VoxelTable.of(octree), node_table(octree), density.float().numpy(), grouped(sh), 2, *rays, crew(), **samples
    )  # fmt: skip
    return rgb + trans[:, None] * BACKGROUND


def twin(
    octree: Octree, density: Tensor, sh: np.ndarray, rays: tuple[np.ndarray, np.ndarray], **options: object
) -> Tensor:
    """Return what the twin sees in float64."""
    rays = tuple(torch.from_numpy(a).double() for a in rays)
    background = torch.from_numpy(BACKGROUND)
    return render_rays(
        octree, density, torch.from_numpy(sh).double(), 2, *rays, background=background, **options
    ).rgb


@pytest.mark.parametrize("name", PERSPECTIVE)
def test_the_kernels_see_what_the_twin_sees(name: str) -> None:
    octree = deep_octree()
    density, _ = field_of(octree, high=2.0)
    sh, rays = coefficients(octree), rays_of(VIEWS[name])
    np.testing.assert_allclose(
        seen(octree, density, sh, rays), twin(octree, density, sh, rays), atol=TOLERANCE
    )
    jitter = torch.from_numpy(jitter_of(7, len(rays[0]), 12))
    wanted = twin(octree, density, sh, rays, n_coarse=2, jitter=jitter)
    np.testing.assert_allclose(
        seen(octree, density, sh, rays, n_coarse=2, n_fine=12, seed=7), wanted, atol=TOLERANCE
    )


@pytest.mark.parametrize("name", PERSPECTIVE)
def test_without_fine_samples_rays_see_the_rasterisers_pixels(name: str) -> None:
    octree, camera = mixed_octree(outside_levels=1), VIEWS[name]
    density, _ = field_of(octree, high=1.0)
    sh = coefficients(octree)
    colours = rgb_from_sh(
        torch.from_numpy(sh), torch.from_numpy(view_directions(octree.center, camera)).float(), 2
    )
    for n_coarse in (1, 3):
        drawn = rasterize(
            octree, density.float(), colours, camera, background=torch.from_numpy(BACKGROUND).float(),
            samples_per_voxel=n_coarse,
        ).rgb.reshape(-1, 3)  # fmt: skip
        np.testing.assert_allclose(
            seen(octree, density, sh, rays_of(camera), n_coarse=n_coarse), drawn, atol=OF_RASTER
        )


def test_fine_samples_come_nearer_to_a_dense_quadrature_than_coarse_ones_alone() -> None:
    octree = mixed_octree()
    density, _ = field_of(octree, low=-6.0, high=2.0)
    sh, rays = coefficients(octree), rays_of(camera_at((0.9, -0.7, -1.4), size=(25, 19)))
    dense = seen(octree, density, sh, rays, n_coarse=64)

    def error(**samples: int) -> float:
        return float(np.abs(seen(octree, density, sh, rays, **samples) - dense).mean())

    coarse, fine, finer = error(), error(n_fine=16), error(n_fine=256)
    assert fine < 0.6 * coarse
    assert finer < 0.4 * fine


def test_ending_a_ray_early_changes_nothing_to_be_seen() -> None:
    octree = deep_octree()
    density, _ = field_of(octree, high=2.0)
    sh, rays = coefficients(octree), rays_of(VIEWS["outside"])
    whole = twin(octree, density, sh, rays, stop_trans=0.0, min_alpha=0.0)
    difference = np.abs(seen(octree, density, sh, rays) - whole.numpy())
    assert difference.max() < 3e-4  # STOP_TRANS of a colour of up to two, and 100 times MIN_ALPHA


def test_light_that_fine_samples_let_through_is_followed_further() -> None:
    octree = Octree.dense(1)
    density = torch.full((octree.n_points,), -20.0, dtype=torch.float64)
    middle = np.flatnonzero((octree.point_ijk == 1 << 15).all(axis=1))
    density[middle] = 40.0  # opaque where rays pass the centre, which the coarse samples lie near to
    rays = np.array([[-1.0, 0.1, 0.1]], np.float32), np.array([[1.0, 0.0, 0.0]], np.float32)
    sh = coefficients(octree)
    jitter = torch.from_numpy(jitter_of(3, 1, 2))
    wanted = twin(octree, density, sh, rays, jitter=jitter)
    np.testing.assert_allclose(seen(octree, density, sh, rays, n_fine=2, seed=3), wanted, atol=TOLERANCE)


def test_fine_samples_follow_the_weights() -> None:
    weight, _ = blended(torch.tensor([[0.1, 0.0, 2.0, 0.4]], dtype=torch.float64))
    t_in = torch.tensor([[0.0, 1.0, 2.0, 5.0]], dtype=torch.float64)
    t_out = torch.tensor([[1.0, 2.0, 4.0, 6.0]], dtype=torch.float64)
    segment, t = fine_samples(weight, t_in, t_out, torch.from_numpy(jitter_of(0, 1, 4000)))
    share = np.bincount(segment[0].numpy(), minlength=4) / 4000
    np.testing.assert_allclose(share, (weight / weight.sum())[0].numpy(), atol=1e-3)
    assert (t[0, 1:] >= t[0, :-1]).all()
    inside = t[segment == 2]
    np.testing.assert_allclose(inside.mean(), 3.0, atol=0.02)


def test_any_number_of_threads_sees_the_same_and_an_empty_octree_shows_the_background() -> None:
    octree, rays = deep_octree(), rays_of(VIEWS["outside"])
    density, _ = field_of(octree)
    sh = coefficients(octree)
    one = seen(octree, density, sh, rays, n_fine=4)
    before = crew().n
    try:
        set_threads(3)
        np.testing.assert_array_equal(seen(octree, density, sh, rays, n_fine=4), one)
    finally:
        set_threads(before)
    nothing = empty_octree()
    picture = seen(nothing, torch.zeros(0), np.zeros((0, 9, 3), np.float32), rays, n_fine=4)
    np.testing.assert_allclose(picture, np.broadcast_to(BACKGROUND, picture.shape))


def test_rays_are_sorted_by_where_they_enter_the_cube() -> None:
    rng = np.random.default_rng(0)
    origins = np.tile([[-2.0, 0.0, 0.0]], (200, 1)).astype(np.float32)
    directions = np.concatenate([np.ones((200, 1)), rng.uniform(-0.2, 0.2, (200, 2))], axis=1).astype(
        np.float32
    )
    order = sorted_by_place(origins, directions, 1.0)
    entry = (origins + 1.5 * directions)[:, 1:]

    def jump(rows: np.ndarray) -> float:
        return float(np.linalg.norm(np.diff(rows, axis=0), axis=1).mean())

    assert sorted(order.tolist()) == list(range(200))
    assert jump(entry[order]) < 0.3 * jump(entry)
