# SPDX-License-Identifier: MIT
"""The training kernels, run on the CPU: each loss, its sum and its gradients against the same loss written in torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import constants
from engine.cameras import Camera
from engine.constants import (
    DISTORTION_KNEE,
    GIVEN,
    HUBER,
    L1,
    MSE,
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
from engine.cpu import raster, tile_loss, update
from engine.cuda.gradients import Goal, gradients
from engine.cuda.lists import build_lists, pack
from tests.cpu.scenes import VIEWS, field_of
from tests.cpu.test_raster_grad import (
    BACKGROUND,
    CAMERA,
    OCTREE,
    assert_close,
    blend,
    distortion_of,
    errors_of,
    huber,
    spread_of,
    target_of,
    torch_pass,
)
from tests.cuda.on_host import host_table

pytestmark = pytest.mark.usefixtures("host_compiler")

SUM = 1e-6  # of a loss sum, added in float32 within a tile; 2.5e-7 seen
LOSSES = [SUM_PHOTO, SUM_T_CONCENTRATION, SUM_R_CONCENTRATION, SUM_DISTORTION]
ALL = {W_PHOTO: 1e-3, W_T_CONCENTRATION: 3e-3, W_R_CONCENTRATION: 2e-3, W_DISTORTION: 5e-3}


@pytest.fixture(params=[False, True], ids=["atomics", "ordered"])
def ordered(request: pytest.FixtureRequest) -> bool:
    return request.param


def kernel_pass(
    camera: Camera,
    densities: Tensor,
    colours: Tensor,
    weights: dict[int, float],
    ordered: bool,
    samples: int = 1,
    checks: bool = False,
    **goal: object,
) -> dict[str, np.ndarray]:
    """Return gradients of corners (of points, when added with atomics) and colours, sums, priority, heaviest weights."""
    table = host_table(OCTREE, checks)
    lists = build_lists(table, camera)
    pack(table, lists, densities.float(), colours.float())
    shares = torch.zeros(N_WEIGHTS)
    shares[DISTORTION_KNEE] = 1.0
    for index, value in weights.items():
        shares[index] = value
    arrays = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in goal.items()}
    priority = torch.zeros(len(OCTREE))
    v_density = torch.zeros(OCTREE.n_points)
    what = Goal(torch.from_numpy(BACKGROUND), shares, **arrays)
    got = gradients(table, lists, what, samples, v_density=v_density, priority=priority, ordered=ordered)
    seen = lists.n_tiles > 0
    v_colours, heaviest = got.v_colours, torch.zeros(len(OCTREE))
    if v_colours is None:
        v_colours = torch.zeros(len(OCTREE), 3)
        v_colours[seen] = got.v_slot[:, :3]
    heaviest[seen] = got.v_slot[:, 3]
    out = {"corners": got.v_corners, "points": v_density, "colours": v_colours, "sums": got.sums}
    out |= {"priority": priority, "heaviest": heaviest}
    return {name: tensor.numpy() for name, tensor in out.items() if tensor is not None}


def assert_pass(
    loss: Callable,
    columns: list[int],
    weights: dict[int, float],
    ordered: bool,
    *,
    camera: Camera = CAMERA,
    samples: int = 1,
    eight: bool = False,
    **kernel: object,
) -> np.ndarray:
    """Compare gradients and loss with torch's, with 1/1000 as the loss weight; return the kernel's sums."""
    densities, colours = field_of(OCTREE, eight)
    got = kernel_pass(camera, densities, colours, weights, ordered, samples, **kernel)
    corners, exact_colours, value = torch_pass(camera, densities, colours, lambda b: 1e-3 * loss(b), samples)
    if ordered:
        exact_density, density = corners, got["corners"]
    else:
        exact_density = torch.zeros(OCTREE.n_points, dtype=torch.float64)
        index = torch.from_numpy(OCTREE.corner_idx).long()
        exact_density.index_add_(0, index.reshape(-1), corners.reshape(-1))
        density = got["points"]
    for mine, exact in ((density, exact_density), (got["colours"], exact_colours)):
        if exact.any():
            assert_close(mine, exact)
        else:
            assert not mine.any()
    assert abs(got["sums"][columns].sum() - value) < SUM * abs(value)
    return got["sums"]


def test_both_backends_number_losses_and_rates_alike() -> None:
    names = ["GIVEN", "MSE", "L1", "HUBER", "HUBER_KNEE", "N_WEIGHTS", "N_SUMS", "DISTORTION_KNEE"]
    names += [name for name in vars(constants) if name.startswith(("W_", "SUM_"))]
    for name in names:
        assert getattr(constants, name) == getattr(tile_loss, name), name
    for name in ("BETA1", "BETA2", "EPS", "RATE_DENSITY", "RATE_SH0", "RATE_SHS", "TV", "N_ADAM"):
        assert getattr(constants, name) == getattr(update, name), name
    for name in ("WANT_DEPTH", "WANT_MEDIAN", "WANT_NORMAL", "WANT_COUNT", "WANT_WEIGHT"):
        assert getattr(constants, name) == getattr(raster, name), name


@pytest.mark.parametrize("shrink", [1, 2])
@pytest.mark.parametrize(
    ("mode", "of_error"), [(MSE, torch.square), (L1, torch.abs), (HUBER, huber)], ids=["mse", "l1", "huber"]
)
def test_photometric_losses_equal_autograd(mode: int, of_error: Callable, shrink: int, ordered: bool) -> None:
    target = target_of(CAMERA, shrink)
    sums = assert_pass(
        lambda b: of_error(errors_of(b, CAMERA, target, shrink)).sum(), [SUM_PHOTO], {W_PHOTO: 1e-3}, ordered,
        mode=mode, target=target, shrink=shrink,
    )  # fmt: skip
    squared = torch_pass(
        CAMERA, *field_of(OCTREE), lambda b: errors_of(b, CAMERA, target, shrink).square().sum()
    )[2]
    assert abs(sums[SUM_SQUARED] - squared) < SUM * squared


@pytest.mark.parametrize("view", ["inside a voxel", "orthographic"])
def test_squared_error_equals_autograd_in_hard_views(view: str, ordered: bool) -> None:
    camera = VIEWS[view]
    target = target_of(camera)
    assert_pass(
        lambda b: errors_of(b, camera, target).square().sum(), [SUM_PHOTO], {W_PHOTO: 1e-3}, ordered,
        camera=camera, samples=2, eight=True, mode=MSE, target=target,
    )  # fmt: skip


def test_the_backgrounds_gradient_is_reported() -> None:
    densities, colours = field_of(OCTREE)
    target = target_of(CAMERA)
    sums = kernel_pass(CAMERA, densities, colours, {W_PHOTO: 1e-3}, False, mode=MSE, target=target)["sums"]
    b = blend(CAMERA, densities[torch.from_numpy(OCTREE.corner_idx).long()], colours)
    v_rgb = 2e-3 * errors_of(b, CAMERA, target).reshape(-1, 3)
    exact = (v_rgb * b["trans"][:, None]).sum(0).numpy()
    assert np.abs(sums[SUM_BACKGROUND : SUM_BACKGROUND + 3] - exact).max() < 2e-5 * np.abs(exact).max()


@pytest.mark.parametrize("which", ["rgb", "trans"])
def test_a_gradient_from_outside_is_added_to_the_loss(which: str, ordered: bool) -> None:
    shape = (CAMERA.height, CAMERA.width, 3) if which == "rgb" else (CAMERA.height, CAMERA.width)
    outside = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    flat, target = torch.from_numpy(outside).double().reshape(-1, *shape[2:]), target_of(CAMERA)
    densities, colours = field_of(OCTREE)
    got = kernel_pass(
        CAMERA, densities, colours, {W_PHOTO: 1e-3}, True, mode=MSE, target=target,
        **{f"v_{which}": outside * np.float32(1e-3)},
    )  # fmt: skip
    exact = torch_pass(
        CAMERA, densities, colours,
        lambda b: 1e-3 * (errors_of(b, CAMERA, target).square().sum() + (b[which] * flat).sum()),
    )  # fmt: skip
    assert_close(got["corners"], exact[0])
    assert_close(got["colours"], exact[1])


def test_transmittance_concentration_equals_autograd(ordered: bool) -> None:
    assert_pass(
        lambda b: (b["trans"] ** 2 * (1 - b["trans"]) ** 2).sum(), [SUM_T_CONCENTRATION],
        {W_T_CONCENTRATION: 1e-3}, ordered, mode=GIVEN,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("samples", "eight", "shrink"), [(1, False, 1), (3, False, 1), (2, True, 1), (1, False, 2)]
)
def test_colour_spread_moves_colours_alone(samples: int, eight: bool, shrink: int, ordered: bool) -> None:
    target = target_of(CAMERA, shrink)
    assert_pass(
        lambda b: spread_of(b, CAMERA, target, shrink), [SUM_R_CONCENTRATION], {W_R_CONCENTRATION: 1e-3},
        ordered, samples=samples, eight=eight, mode=MSE, target=target, shrink=shrink,
    )  # fmt: skip


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("view", ["far", "inside a voxel", "orthographic"])
def test_distortion_equals_autograd(view: str, samples: int, ordered: bool) -> None:
    assert_pass(
        distortion_of, [SUM_DISTORTION], {W_DISTORTION: 1e-3}, ordered,
        camera=CAMERA if view == "far" else VIEWS[view], samples=samples, mode=GIVEN,
    )  # fmt: skip


@pytest.mark.parametrize("shrink", [1, 2])
def test_masked_pixels_count_in_no_loss_and_no_gradient(shrink: int, ordered: bool) -> None:
    target = target_of(CAMERA, shrink)
    keep = (np.random.default_rng(4).random(target.shape[:2]) < 0.7).astype(np.uint8) * 255
    on = torch.from_numpy(keep.repeat(shrink, 0).repeat(shrink, 1).reshape(-1) > 0)
    wide = target.repeat(shrink, 0).repeat(shrink, 1)
    goal = torch.from_numpy(wide).double().reshape(-1, 1, 3)[on] / 255.0

    def loss(b: dict[str, Tensor]) -> Tensor:
        error = errors_of(b, CAMERA, target, shrink).square() * torch.from_numpy(keep > 0)[..., None]
        kept = {key: b[key][on] for key in ("weight", "near", "far", "trans", "colour")}
        spread = (kept["weight"].detach() * ((kept["colour"] - goal) ** 2).sum(-1)).sum()
        rest = 3 * (kept["trans"] ** 2 * (1 - kept["trans"]) ** 2).sum() + 5 * distortion_of(kept)
        return error.sum() + rest + 2 * spread

    assert_pass(loss, LOSSES, ALL, ordered, mode=MSE, target=target, shrink=shrink, keep=keep)


def test_all_losses_add_up_and_the_checked_build_finds_nothing(ordered: bool) -> None:
    target = target_of(CAMERA, 2)

    def loss(b: dict[str, Tensor]) -> Tensor:
        rest = 3 * (b["trans"] ** 2 * (1 - b["trans"]) ** 2).sum() + 5 * distortion_of(b)
        return errors_of(b, CAMERA, target, 2).square().sum() + rest + 2 * spread_of(b, CAMERA, target, 2)

    assert_pass(loss, LOSSES, ALL, ordered, mode=MSE, target=target, shrink=2, checks=True)


def test_priority_and_heaviest_weight_are_the_twins(ordered: bool) -> None:
    densities, colours = field_of(OCTREE)
    target = target_of(CAMERA)
    got = kernel_pass(CAMERA, densities, colours, {W_PHOTO: 1e-3}, ordered, mode=MSE, target=target)
    corners = densities[torch.from_numpy(OCTREE.corner_idx).long()].clone().requires_grad_()
    b = blend(CAMERA, corners, colours)
    b["depth"].retain_grad()
    (1e-3 * errors_of(b, CAMERA, target).square().sum()).backward()
    # dL/dalpha alpha = dL/dI alpha / (1 - alpha)
    share = (b["depth"].grad.abs() * b["alpha"] / (1.0 - b["alpha"])).detach().numpy()
    priority, weight = np.zeros(len(OCTREE)), np.zeros(len(OCTREE))
    np.add.at(priority, b["voxel"].numpy(), share)
    np.maximum.at(weight, b["voxel"].numpy(), b["weight"].detach().numpy())
    assert np.abs(got["priority"] - priority).max() < 2e-5 * priority.max()
    assert np.abs(got["heaviest"] - weight).max() < 2e-5
