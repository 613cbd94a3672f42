# SPDX-License-Identifier: MIT
"""The soft rasteriser's kernels themselves: threads, lists, the order's two paths, and a training step's gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.cpu import soft_order
from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable, Workspace
from engine.cpu.soft_lists import grown_lists, sort
from engine.cpu.soft_view import density_gradients, render_soft, soft_array, soft_lists, soft_view_gradients
from engine.cpu.tile_loss import SUM_PHOTO
from engine.cpu.update import owners_of_points, pixel_size
from engine.reference.soft_rasterize import soft_rasterize, soft_weights
from tests.cpu.scenes import VIEWS, camera_at, field_of, mixed_octree

CAMERA = camera_at((0.83, -0.71, -1.37), (0.03, 0.02, -0.01), size=(39, 35), cx=19.3, cy=17.2)
GRADIENT = 4e-5  # as in tests/render/test_soft_rasterize.py


def gradients(threads: int = 1, **options: object) -> tuple:
    """Return (found, v_density) of mixed_octree against a random photo."""
    octree = mixed_octree()
    densities, colours = (t.float().numpy() for t in field_of(octree))
    table, team, room = VoxelTable.of(octree), Crew(threads), Workspace()
    target = np.random.default_rng(3).integers(0, 256, (CAMERA.height, CAMERA.width, 3)).astype(np.uint8)
    found = soft_view_gradients(
        table, densities, CAMERA, colours[:, None], team, room, **dict(sigma=0.5, temperature=0.05) | options,
        target=target, background=np.array([0.2, 0.7, 0.4], dtype=np.float32), weight=1e-3, want_pose=True, want_picture=True,
    )  # fmt: skip
    owners = owners_of_points(table.corner_idx, octree.n_points)
    v_density = density_gradients(found, owners, team, room)
    team.close()
    return found, v_density, target


# --- lists ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 33, 200])
def test_keys_are_sorted_and_their_neighbours_left_alone(n: int) -> None:
    rng = np.random.default_rng(n)
    keys = rng.integers(0, 1 << 60, n + 7)
    nearly = np.sort(keys[3 : 3 + n]) + rng.integers(0, 1 << 57, n)
    keys[3 : 3 + n] = nearly
    expected = keys.copy()
    expected[3 : 3 + n] = np.sort(nearly)
    sort(keys, 3, n, np.empty(max(1, n), dtype=np.int64))
    assert np.array_equal(keys, expected)


def test_nothing_is_lost_when_lists_grow() -> None:
    lists, counts = np.arange(256 * 4, dtype=np.int64), np.full(256, 4, dtype=np.int64)
    bigger = grown_lists(lists, 4, counts)
    assert len(bigger) == 2 * len(lists)
    assert np.array_equal(bigger.reshape(256, 8)[:, :4], lists.reshape(256, 4))


# --- the order ------------------------------------------------------------------------------------------------------


def _entries(alpha: np.ndarray, z: np.ndarray, tau: float) -> tuple[np.ndarray, int, int]:
    """Return (entries, pitch, start) of one sorted pixel, with garbage around it."""
    n, start = len(z), 16
    pitch = start + (n + 15) // 16 * 16 + 16
    entries = np.full(soft_order.N_ENTRY_FIELDS * pitch, np.nan, dtype=np.float32)
    rows = entries.reshape(soft_order.N_ENTRY_FIELDS, pitch)
    rows[:, start : pitch - 16] = 0.0
    rows[soft_order.X, start : start + n] = (z - z[0]) / max(tau, 1e-9)
    rows[soft_order.X, start + n : pitch - 16] = rows[soft_order.X, start + n - 1]
    rows[soft_order.ALPHA, start : start + n] = alpha
    return entries, pitch, start


@pytest.mark.parametrize("n", [1, 5, 16, 17, 90])
@pytest.mark.parametrize(
    ("name", "order", "tau"),
    [
        ("logistic", 1, 0.3),
        ("logistic", 1, 0.01),
        ("logistic", 1, 1e-4),
        ("softmax", 2, 0.2),
        ("hard", 0, 0.0),
    ],
)
def test_what_entries_receive_and_their_gradients_equal_the_twin(
    name: str, order: int, tau: float, n: int
) -> None:
    """A small temperature makes blocks of sixteen too wide for one exponential an entry."""
    rng = np.random.default_rng(n)
    z = np.sort(rng.random(n)).astype(np.float32).astype(float) + 1.0
    alpha = (rng.random(n) ** 3 * 0.9).astype(np.float32).astype(float)
    gain, v_end = rng.standard_normal(n), 0.7
    entries, pitch, start = _entries(alpha, z, tau)
    rows = entries.reshape(-1, pitch)
    end = soft_order.receive(entries, pitch, start, n, order)
    rows[soft_order.GAIN, start : start + n] = gain
    inv_tau = np.float32(1.0 / tau if tau else 0.0)
    trans = rows[soft_order.TRANS, start : start + n].copy()
    soft_order.give_back(entries, pitch, start, n, order, np.float32(end * v_end), inv_tau, True)

    a, depth = (torch.tensor(x[None]).requires_grad_() for x in (alpha, z))
    weight, light = soft_weights(a, depth, tau, "logistic" if name == "hard" else name)
    loss = (weight * torch.tensor(gain)).sum() + light.sum() * v_end
    v_alpha, v_z = torch.autograd.grad(loss, (a, depth), allow_unused=True)
    assert np.allclose(trans * alpha, weight[0].detach(), atol=2e-5) and math.isclose(
        end, light.item(), rel_tol=1e-4
    )
    found = rows[soft_order.V_ALPHA, start : start + n]
    assert np.allclose(found, v_alpha[0], atol=1e-4 * float(v_alpha.abs().max()))
    if v_z is not None:
        limit = 1e-3 * float(v_z.abs().max()) + 1e-5 * float(inv_tau)
        assert np.allclose(rows[soft_order.V_DEPTH, start : start + n], v_z[0], atol=limit)


# --- a view ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["logistic", "softmax"])
def test_the_same_bits_come_from_any_number_of_threads(order: str) -> None:
    one, density, _ = gradients(1, order=order)
    for threads in (2, 3):
        other, other_density, _ = gradients(threads, order=order)
        for name in ("v_corners", "v_colours", "priority", "seen", "sums", "v_pose", "rgb"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
        assert np.array_equal(density, other_density)


@pytest.mark.parametrize("masked", [False, True])
def test_a_training_step_has_the_gradients_of_the_squared_error(masked: bool) -> None:
    keep = None
    if masked:
        keep = (np.random.default_rng(4).random((CAMERA.height, CAMERA.width)) < 0.6).astype(np.uint8)
    found, v_density, target = gradients(keep=keep)
    octree = mixed_octree()
    inputs = [t.requires_grad_() for t in field_of(octree)]
    pose = torch.from_numpy(CAMERA.world_from_cam).requires_grad_()
    tail = torch.tensor([0.2, 0.7, 0.4], dtype=torch.float64)
    out = soft_rasterize(octree, *inputs, CAMERA, sigma=0.5, temperature=0.05, background=tail, pose=pose)
    error = out.rgb - torch.from_numpy(target) / 255.0
    counts = torch.ones(1) if keep is None else torch.from_numpy(keep)[..., None]
    loss = 1e-3 * (error.square() * counts).sum()
    exact = torch.autograd.grad(loss, [*inputs, pose])
    assert math.isclose(found.sums[SUM_PHOTO], loss.item(), rel_tol=1e-5)
    for got, wanted in zip((v_density, found.v_colours), exact[:2], strict=True):
        assert np.abs(got - wanted.numpy()).max() < GRADIENT * float(wanted.abs().max())
    assert np.abs(found.v_pose - exact[2][:3].numpy()).max() < 2e-4 * float(exact[2].abs().max())
    if not masked:
        assert np.abs(found.rgb - out.rgb.detach().numpy()).max() < 2e-5


def test_voxels_out_of_sight_have_no_gradients_and_seen_ones_their_pixel_size() -> None:
    found, _, _ = gradients()
    seen = np.isfinite(found.seen[1])
    assert 50 < seen.sum() < len(seen) or seen.all()
    assert (
        not found.v_corners[~seen].any()
        and not found.priority[~seen].any()
        and not found.seen[0, ~seen].any()
    )
    assert np.all(found.seen[0, seen] > 0.0) and found.seen[0].max() < 1.0 and np.all(found.priority >= 0.0)
    table, view = VoxelTable.of(mixed_octree()), soft_lists(
        VoxelTable.of(mixed_octree()), CAMERA, 0.5, Crew(1), Workspace()
    ).view  # fmt: skip
    voxel = int(np.flatnonzero(seen)[0])
    assert -found.seen[1, voxel] == pixel_size(voxel, table.soa, table.stride, view)


def test_the_picture_alone_is_the_picture_of_a_step() -> None:
    found, _, _ = gradients()
    octree = mixed_octree()
    densities, colours = (t.float().numpy() for t in field_of(octree))
    table, team, room = VoxelTable.of(octree), Crew(1), Workspace()
    lists = soft_lists(table, CAMERA, 0.5, team, room)
    image, _ = render_soft(
        table, densities, colours[:, None], lists, team, room, soft_array(0.5, 0.05, "logistic")
    )
    tail = np.array([0.2, 0.7, 0.4], dtype=np.float32)
    assert np.array_equal(image[..., 1:4] + image[..., :1] * tail, found.rgb)


def test_soft_lists_hold_more_than_the_footprints() -> None:
    table, team = VoxelTable.of(mixed_octree()), Crew(1)
    hard, wide = (soft_lists(table, VIEWS["outside"], s, team, Workspace()) for s in (0.0, 0.5))
    assert wide.n_pairs > hard.n_pairs
    left = hard.rect[:, 0].astype(int) - wide.rect[:, 0]
    assert np.all(left >= 0) and left.max() > 0
