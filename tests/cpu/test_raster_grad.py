# SPDX-License-Identifier: MIT
"""The training pass: each loss, summed and differentiated in the kernel, against the same loss written in torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.constants import DENSITY_SCALE, MAX_ALPHA, MIN_ALPHA, STOP_TRANS
from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable, build_lists
from engine.cpu.raster_grad import COLOUR_ROW, ROW, ROW_PRIORITY, ROW_WEIGHT, raster_gradients
from engine.cpu.reduce import reduce_rows
from engine.cpu.tile_loss import (
    DISTORTION_KNEE,
    GIVEN,
    HUBER,
    HUBER_KNEE,
    L1,
    MSE,
    N_SUMS,
    N_WEIGHTS,
    SUM_BACKGROUND,
    SUM_DISTORTION,
    SUM_PHOTO,
    SUM_R_CONCENTRATION,
    SUM_SQUARED,
    SUM_T_CONCENTRATION,
    W_DISTORTION,
    W_PHOTO,
    W_R_CONCENTRATION,
    W_T_CONCENTRATION,
)
from engine.octree import Octree
from engine.reference.rasterize import contract, exp_linear, trilinear_weights
from engine.reference.rasterize import rasterize as twin
from engine.reference.segments import find_segments
from engine.render.rasterize import rasterize
from tests.cpu.scenes import VIEWS, camera_at, field_of, mixed_octree

GRADIENT = 2e-5  # of the largest entry; 6.3e-6 seen
SUM = 3e-7  # of a loss sum; 8e-8 seen

BACKGROUND = np.array([0.2, 0.7, 0.4], dtype=np.float32)
CAMERA = camera_at((0.9, -0.7, -1.4), size=(38, 26))
OCTREE = mixed_octree()


def kernel_pass(
    camera: Camera,
    densities: Tensor,
    colours: Tensor,
    mode: int,
    weights: dict[int, float],
    target: np.ndarray | None = None,
    shrink: int = 1,
    samples: int = 1,
    v_rgb: np.ndarray | None = None,
    threads: int = 1,
    keep: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return v_corners [V,8], v_colours, the loss sums and the raw arrays of one training pass."""
    table, team = VoxelTable.of(OCTREE), Crew(threads)
    lists = build_lists(table, camera, team, keep_slots=True)
    rgb = colours.float().numpy()
    rgb = rgb if rgb.ndim == 3 else rgb[:, None]
    pairs, eight = lists.n_pairs, rgb.shape[1] == 8
    live, rows = np.full(pairs, 7, dtype=np.uint8), np.full(pairs * ROW, np.nan, dtype=np.float32)
    colour_rows = np.full((pairs if eight else 1, COLOUR_ROW), np.nan, dtype=np.float32)
    tile_sums = np.full((len(lists.tile_start) - 1, N_SUMS), np.nan)
    shares = np.zeros(N_WEIGHTS)
    shares[DISTORTION_KNEE] = 1.0
    for index, value in weights.items():
        shares[index] = value
    given = v_rgb is not None
    plane = np.zeros((camera.height, camera.width), dtype=np.float32)
    team.run(
        raster_gradients, lists.view, lists.tile_start, lists.pair_voxel, lists.rect, table.box, table.corner_idx,
        densities.float().numpy(), rgb, eight or None, samples, mode, shrink,
        np.zeros((1, 1, 3), dtype=np.uint8) if target is None else target,
        keep is not None, np.ones((1, 1), dtype=np.uint8) if keep is None else keep,
        given, v_rgb if given else np.zeros((1, 1, 3), dtype=np.float32), plane, plane,
        BACKGROUND, shares, live, rows, colour_rows, tile_sums,
    )  # fmt: skip
    team.close()
    v_corners, v_colours = np.zeros((len(OCTREE), 8), dtype=np.float32), np.zeros_like(rgb)
    reduce_rows(lists.rect, lists.first_pair, lists.pair_slot, live, rows, colour_rows, v_corners, v_colours)
    raw = {
        "live": live,
        "rows": rows.reshape(-1, ROW),
        "pair_voxel": lists.pair_voxel,
        "tile_sums": tile_sums,
    }
    return v_corners, v_colours, tile_sums.sum(axis=0), raw


def blend(camera: Camera, corners: Tensor, colours: Tensor, samples: int = 1) -> dict[str, Tensor]:
    """Return weights, colours, voxels and contracted ends [N,S] of every ray's segments, and trans [N], in torch."""
    rays = find_segments(OCTREE, camera)
    voxel = torch.from_numpy(rays.voxel_idx)
    t_in, t_out = torch.from_numpy(rays.t_in), torch.from_numpy(rays.t_out)
    low = OCTREE.center.astype(float) - 0.5 * OCTREE.size[:, None]
    depth, colour = torch.zeros_like(t_in), torch.zeros(*t_in.shape, 3, dtype=torch.float64)
    for k in range(samples):
        t = rays.t_in + (k + 0.5) / samples * (rays.t_out - rays.t_in)
        point = rays.origins[:, None] + t[..., None] * rays.directions[:, None]
        share = trilinear_weights(
            torch.from_numpy((point - low[rays.voxel_idx]) / OCTREE.size[rays.voxel_idx, None])
        )
        depth = depth + exp_linear((share * corners[voxel]).sum(-1))
        at = colours[voxel] if colours.ndim == 2 else (share[..., None] * colours[voxel]).sum(2)
        colour = colour + at / samples
    depth = depth * DENSITY_SCALE * (t_out - t_in) / samples
    alpha = (1.0 - torch.exp(-depth)).clamp(max=MAX_ALPHA)
    alpha = torch.where(alpha >= MIN_ALPHA, alpha, 0.0)
    before = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1.0 - alpha], dim=1), dim=1)
    alpha = torch.where(before[:, :-1] >= STOP_TRANS, alpha, 0.0)
    before = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1.0 - alpha], dim=1), dim=1)
    weight = before[:, :-1] * alpha
    ends = {"near": contract(t_in), "far": contract(t_out)}
    rgb = (weight[..., None] * colour).sum(1) + before[:, -1:] * torch.from_numpy(BACKGROUND).double()
    extras = {"alpha": alpha, "depth": depth, "voxel": voxel}
    return {"weight": weight, "colour": colour, "trans": before[:, -1], "rgb": rgb, **ends, **extras}


def torch_pass(
    camera: Camera,
    densities: Tensor,
    colours: Tensor,
    loss: Callable[[dict[str, Tensor]], Tensor],
    samples: int = 1,
) -> tuple[Tensor, Tensor, float]:
    """Return the gradients of corner densities [V,8] and colours, and the loss."""
    corners = densities[torch.from_numpy(OCTREE.corner_idx).long()].clone().requires_grad_()
    colours = colours.clone().requires_grad_()
    value = loss(blend(camera, corners, colours, samples))
    v_corners, v_colours = torch.autograd.grad(
        value, (corners, colours), allow_unused=True, materialize_grads=True
    )
    return v_corners, v_colours, value.item()


def target_of(camera: Camera, shrink: int = 1, seed: int = 5) -> np.ndarray:
    """Return a random photo of the view, or of every `shrink`th pixel."""
    shape = (camera.height // shrink, camera.width // shrink, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def errors_of(b: dict[str, Tensor], camera: Camera, target: np.ndarray, shrink: int = 1) -> Tensor:
    """Return picture less target, the picture averaged over shrink x shrink rays."""
    rows, columns = camera.height // shrink, camera.width // shrink
    picture = b["rgb"].reshape(rows, shrink, columns, shrink, 3).mean(dim=(1, 3))
    return picture - torch.from_numpy(target).double() / 255.0


def huber(error: Tensor) -> Tensor:
    size = error.abs()
    return torch.where(size < HUBER_KNEE, error**2, 2 * HUBER_KNEE * size - HUBER_KNEE**2)


def spread_of(b: dict[str, Tensor], camera: Camera, target: np.ndarray, shrink: int = 1) -> Tensor:
    """Return sum_i w_i |c_i - target|^2 over all rays, the weights held fixed."""
    goal = torch.from_numpy(target.repeat(shrink, 0).repeat(shrink, 1)).double().reshape(-1, 1, 3) / 255.0
    return (b["weight"].detach() * ((b["colour"] - goal) ** 2).sum(-1)).sum()


def distortion_of(b: dict[str, Tensor]) -> Tensor:
    """Return sum_ij w_i w_j |m_i - m_j| + 1/3 sum_i w_i^2 length_i over all rays, pair by pair."""
    w, m, length = b["weight"], 0.5 * (b["near"] + b["far"]), b["far"] - b["near"]
    between = (w[:, :, None] * w[:, None, :] * (m[:, :, None] - m[:, None, :]).abs()).sum()
    return between + (w * w * length).sum() / 3.0


def assert_close(got: np.ndarray, exact: Tensor) -> None:
    exact = exact.numpy().reshape(got.shape)
    scale = np.abs(exact).max()
    assert scale > 0.0
    assert np.abs(got - exact).max() < GRADIENT * scale


def assert_pass(
    camera: Camera,
    loss: Callable,
    column: int,
    *,
    samples: int = 1,
    eight: bool = False,
    only_colours: bool = False,
    **kernel: object,
) -> np.ndarray:
    """Run both sides with 1/1000 as the loss weight, compare gradients and the loss; return the kernel's sums."""
    densities, colours = field_of(OCTREE, eight)
    v_corners, v_colours, sums, _ = kernel_pass(camera, densities, colours, samples=samples, **kernel)
    exact_corners, exact_colours, value = torch_pass(
        camera, densities, colours, lambda b: 1e-3 * loss(b), samples
    )
    if only_colours:
        assert not v_corners.any() and not exact_corners.any()
    else:
        assert_close(v_corners, exact_corners)
    if exact_colours.any():
        assert_close(v_colours, exact_colours)
    else:
        assert not v_colours.any()
    assert abs(sums[column] - value) < SUM * abs(value)
    return sums


# --- the blend above is the twin's --------------------------------------------------------------------------------


def test_the_blend_of_this_file_is_the_twins() -> None:
    densities, colours = field_of(OCTREE)
    b = blend(CAMERA, densities[torch.from_numpy(OCTREE.corner_idx).long()], colours)
    out = twin(OCTREE, densities, colours, CAMERA, background=torch.from_numpy(BACKGROUND).double())
    assert torch.allclose(b["rgb"].reshape(out.rgb.shape), out.rgb, atol=1e-12)
    assert torch.allclose(distortion_of(b), out.distortion.sum(), rtol=1e-10)


# --- photometric losses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shrink", [1, 2])
@pytest.mark.parametrize(
    ("mode", "of_error"), [(MSE, torch.square), (L1, torch.abs), (HUBER, huber)], ids=["mse", "l1", "huber"]
)
def test_photometric_losses_equal_autograd(mode: int, of_error: Callable, shrink: int) -> None:
    target = target_of(CAMERA, shrink)
    sums = assert_pass(
        CAMERA, lambda b: of_error(errors_of(b, CAMERA, target, shrink)).sum(), SUM_PHOTO,
        mode=mode, weights={W_PHOTO: 1e-3}, target=target, shrink=shrink,
    )  # fmt: skip
    densities, colours = field_of(OCTREE)
    squared = torch_pass(
        CAMERA, densities, colours, lambda b: errors_of(b, CAMERA, target, shrink).square().sum()
    )[2]
    assert abs(sums[SUM_SQUARED] - squared) < SUM * squared, "the squared error is reported whatever the loss"


def test_huber_is_tested_on_both_sides_of_its_knee() -> None:
    densities, colours = field_of(OCTREE)
    b = blend(CAMERA, densities[torch.from_numpy(OCTREE.corner_idx).long()], colours)
    size = errors_of(b, CAMERA, target_of(CAMERA)).abs()
    assert (size < HUBER_KNEE).sum() > 50 and (size > HUBER_KNEE).sum() > 50


@pytest.mark.parametrize("view", ["inside a voxel", "orthographic"])
def test_squared_error_equals_autograd_in_hard_views(view: str) -> None:
    camera = VIEWS[view]
    target = target_of(camera)
    assert_pass(
        camera, lambda b: errors_of(b, camera, target).square().sum(), SUM_PHOTO,
        samples=2, eight=True, mode=MSE, weights={W_PHOTO: 1e-3}, target=target,
    )  # fmt: skip


def test_the_backgrounds_gradient_is_reported() -> None:
    densities, colours = field_of(OCTREE)
    target = target_of(CAMERA)
    sums = kernel_pass(CAMERA, densities, colours, MSE, {W_PHOTO: 1e-3}, target)[2]
    b = blend(CAMERA, densities[torch.from_numpy(OCTREE.corner_idx).long()], colours)
    v_rgb = 2e-3 * errors_of(b, CAMERA, target).reshape(-1, 3)
    exact = (v_rgb * b["trans"][:, None]).sum(0).numpy()
    assert np.abs(sums[SUM_BACKGROUND : SUM_BACKGROUND + 3] - exact).max() < GRADIENT * np.abs(exact).max()


def test_a_gradient_from_outside_is_added_to_the_loss() -> None:
    densities, colours = field_of(OCTREE)
    target = target_of(CAMERA)
    v_rgb = np.random.default_rng(2).normal(size=(CAMERA.height, CAMERA.width, 3)).astype(np.float32) * 1e-3
    v_corners, v_colours, _, _ = kernel_pass(
        CAMERA, densities, colours, MSE, {W_PHOTO: 1e-3}, target, v_rgb=v_rgb
    )
    outside = torch.from_numpy(v_rgb).double().reshape(-1, 3)
    exact = torch_pass(
        CAMERA,
        densities,
        colours,
        lambda b: 1e-3 * errors_of(b, CAMERA, target).square().sum() + (b["rgb"] * outside).sum(),
    )
    assert_close(v_corners, exact[0])
    assert_close(v_colours, exact[1])


# --- the other losses ---------------------------------------------------------------------------------------------


def test_transmittance_concentration_equals_autograd() -> None:
    assert_pass(
        CAMERA, lambda b: (b["trans"] ** 2 * (1 - b["trans"]) ** 2).sum(), SUM_T_CONCENTRATION,
        mode=GIVEN, weights={W_T_CONCENTRATION: 1e-3},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("samples", "eight", "shrink"), [(1, False, 1), (3, False, 1), (2, True, 1), (1, False, 2)]
)
def test_colour_spread_moves_colours_alone(samples: int, eight: bool, shrink: int) -> None:
    target = target_of(CAMERA, shrink)
    assert_pass(
        CAMERA, lambda b: spread_of(b, CAMERA, target, shrink), SUM_R_CONCENTRATION, samples=samples, eight=eight,
        only_colours=True, mode=MSE, weights={W_R_CONCENTRATION: 1e-3}, target=target, shrink=shrink,
    )  # fmt: skip


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("view", ["far", "inside a voxel", "orthographic"])
def test_distortion_equals_autograd(view: str, samples: int) -> None:
    camera = CAMERA if view == "far" else VIEWS[view]
    assert_pass(
        camera, distortion_of, SUM_DISTORTION, samples=samples, mode=GIVEN, weights={W_DISTORTION: 1e-3}
    )


@pytest.mark.parametrize("shrink", [1, 2])
def test_masked_pixels_count_in_no_loss_and_no_gradient(shrink: int) -> None:
    target = target_of(CAMERA, shrink)
    keep = (np.random.default_rng(4).random(target.shape[:2]) < 0.7).astype(np.uint8) * 255
    on = torch.from_numpy(keep.repeat(shrink, 0).repeat(shrink, 1).reshape(-1) > 0)

    def loss(b: dict[str, Tensor]) -> Tensor:
        error = errors_of(b, CAMERA, target, shrink).square() * torch.from_numpy(keep > 0)[..., None]
        kept = {
            key: value[on] for key, value in b.items() if key in ("weight", "near", "far", "trans", "colour")
        }
        goal = (
            torch.from_numpy(target.repeat(shrink, 0).repeat(shrink, 1)).double().reshape(-1, 1, 3)[on]
            / 255.0
        )
        spread = (kept["weight"].detach() * ((kept["colour"] - goal) ** 2).sum(-1)).sum()
        rest = 3 * (kept["trans"] ** 2 * (1 - kept["trans"]) ** 2).sum() + 5 * distortion_of(kept)
        return error.sum() + rest + 2 * spread

    weights = {W_PHOTO: 1e-3, W_T_CONCENTRATION: 3e-3, W_R_CONCENTRATION: 2e-3, W_DISTORTION: 5e-3}
    densities, colours = field_of(OCTREE)
    v_corners, v_colours, sums, _ = kernel_pass(
        CAMERA, densities, colours, MSE, weights, target, shrink, keep=keep
    )
    exact = torch_pass(CAMERA, densities, colours, lambda b: 1e-3 * loss(b))
    assert_close(v_corners, exact[0])
    assert_close(v_colours, exact[1])
    losses = [SUM_PHOTO, SUM_T_CONCENTRATION, SUM_R_CONCENTRATION, SUM_DISTORTION]
    assert abs(sums[losses].sum() - exact[2]) < SUM * exact[2]


def test_all_losses_add_up() -> None:
    target, shrink = target_of(CAMERA, 2), 2
    weights = {W_PHOTO: 1e-3, W_T_CONCENTRATION: 3e-3, W_R_CONCENTRATION: 2e-3, W_DISTORTION: 5e-3}

    def loss(b: dict[str, Tensor]) -> Tensor:
        rest = 3 * (b["trans"] ** 2 * (1 - b["trans"]) ** 2).sum() + 5 * distortion_of(b)
        return errors_of(b, CAMERA, target, 2).square().sum() + rest + 2 * spread_of(b, CAMERA, target, 2)

    densities, colours = field_of(OCTREE)
    v_corners, v_colours, sums, _ = kernel_pass(CAMERA, densities, colours, MSE, weights, target, shrink)
    exact_corners, exact_colours, value = torch_pass(CAMERA, densities, colours, lambda b: 1e-3 * loss(b))
    assert_close(v_corners, exact_corners)
    assert_close(v_colours, exact_colours)
    columns = [SUM_PHOTO, SUM_T_CONCENTRATION, SUM_R_CONCENTRATION, SUM_DISTORTION]
    assert abs(sums[columns].sum() - value) < SUM * value


# --- what else a row holds ----------------------------------------------------------------------------------------


def test_rows_hold_priority_and_heaviest_weight() -> None:
    densities, colours = field_of(OCTREE)
    target = target_of(CAMERA)
    raw = kernel_pass(CAMERA, densities, colours, MSE, {W_PHOTO: 1e-3}, target)[3]
    on = raw["live"] == 1
    assert set(np.unique(raw["live"])) <= {0, 1} and on.any()
    got_priority, got_weight = np.zeros(len(OCTREE)), np.zeros(len(OCTREE))
    np.add.at(got_priority, raw["pair_voxel"][on], raw["rows"][on, ROW_PRIORITY])
    np.maximum.at(got_weight, raw["pair_voxel"][on], raw["rows"][on, ROW_WEIGHT])

    corners = densities[torch.from_numpy(OCTREE.corner_idx).long()].clone().requires_grad_()
    b = blend(CAMERA, corners, colours)
    b["depth"].retain_grad()
    (1e-3 * errors_of(b, CAMERA, target).square().sum()).backward()
    # dL/dalpha alpha = dL/dI alpha / (1 - alpha)
    priority = (b["depth"].grad.abs() * b["alpha"] / (1.0 - b["alpha"])).detach().numpy()
    exact_priority, exact_weight = np.zeros(len(OCTREE)), np.zeros(len(OCTREE))
    np.add.at(exact_priority, b["voxel"].numpy(), priority)
    np.maximum.at(exact_weight, b["voxel"].numpy(), b["weight"].detach().numpy())
    assert np.abs(got_priority - exact_priority).max() < GRADIENT * exact_priority.max()
    assert np.abs(got_weight - exact_weight).max() < GRADIENT


def test_rows_are_the_same_bits_for_any_number_of_threads() -> None:
    densities, colours = field_of(OCTREE, eight=True)
    weights = {W_PHOTO: 1e-3, W_T_CONCENTRATION: 3e-3, W_R_CONCENTRATION: 2e-3, W_DISTORTION: 5e-3}
    runs = [
        kernel_pass(CAMERA, densities, colours, MSE, weights, target_of(CAMERA), samples=2, threads=n)
        for n in (1, 2, 3)
    ]
    for other in runs[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(runs[0][:3], other[:3], strict=True))
        assert np.array_equal(runs[0][3]["tile_sums"], other[3]["tile_sums"])


def test_many_records_in_one_tile_are_kept() -> None:
    """More (voxel, block) records than the scratch starts with: it must grow and lose nothing."""
    octree = Octree.dense(3)
    camera = camera_at((0.1, 0.05, -9.0), size=(16, 16), fov=0.12)  # 512 voxels, two pixels wide, in one tile
    densities, colours = field_of(octree, low=-9.0, high=-7.0)
    tensors = [t.float().requires_grad_() for t in (densities, colours)]
    got = torch.autograd.grad(rasterize(octree, *tensors, camera).rgb.sum(), tensors)
    exact_tensors = [t.requires_grad_() for t in (densities, colours)]
    exact_rgb = twin(octree, *exact_tensors, camera, background=torch.zeros(3).double()).rgb
    for a, b in zip(got, torch.autograd.grad(exact_rgb.sum(), exact_tensors), strict=True):
        assert_close(a.numpy(), b)
