# SPDX-License-Identifier: MIT
"""The soft rasteriser's twin against closed forms, brute force, the hard rasteriser in the limit, and finite differences.

Finite differences use cameras off the axes and no min_alpha: what is left are the kinks of max and abs, which single rays of
a random view do not meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.constants import DENSITY_SCALE, KAPPA
from engine.octree import Octree
from engine.reference.rasterize import rasterize
from engine.reference.soft_rasterize import (
    camera_rays,
    coverage,
    dilated_segment,
    soft_rasterize,
    soft_weights,
    spread,
)
from tests.cpu.scenes import VIEWS, camera_at, empty_octree, field_of, mixed_octree, one_voxel

BACKGROUND = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
GENERIC = camera_at((0.83, -0.71, -1.37), (0.03, 0.02, -0.01), size=(7, 6), cx=3.31, cy=2.87)
FLAT = camera_at((0.63, -0.52, -1.41), size=(7, 6), fx=5.3, fy=4.9, cx=3.31, cy=2.87, orthographic=True)
EXACT = 1e-12
TO_HARD = [(0.5, 0.1), (0.25, 0.05), (0.1, 0.02), (0.05, 0.01), (0.02, 0.004), (0.005, 0.001)]


def psnr(a: Tensor, b: Tensor) -> float:
    return -10.0 * math.log10(float((a - b).square().mean()) + 1e-30)


# --- the parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0])
@pytest.mark.parametrize(
    "d", [(1, 0, 0), (1, 1, 0), (1, 1, 1), (0.2, 1, -0.1), (-0.5, 0.3, 1), (0.2, 0.2, 1)]
)
def test_the_spread_is_what_a_ray_at_random_meets(sigma: float, d: tuple[float, ...]) -> None:
    """The integral of coverage * chord over the places of a ray, over the voxel's volume, by 300 x 300 rays."""
    along = torch.nn.functional.normalize(torch.tensor([d], dtype=torch.float64) + 1e-7, dim=1)
    across = torch.linalg.svd(along)[2][1:]
    reach = (1.0 + KAPPA * sigma) * math.sqrt(3.0)
    steps = ((torch.arange(300, dtype=torch.float64) + 0.5) / 150 - 1.0) * reach
    places = torch.cartesian_prod(steps, steps) @ across + 50.0 * along
    half = torch.ones(len(places), dtype=torch.float64)
    t_in, t_out = dilated_segment(places, along, half * (1.0 + KAPPA * sigma))
    met = (t_out - t_in).clamp(min=0.0) * coverage(places, along, half, sigma)
    assert math.isclose(met.mean() * (2 * reach) ** 2 / 8, spread(along, sigma), rel_tol=0.02)


def test_nothing_is_spread_without_sigma() -> None:
    assert torch.equal(
        spread(torch.rand(20, 3, dtype=torch.float64), 0.0), torch.ones(20, dtype=torch.float64)
    )


def test_coverage_is_a_gaussian_of_the_dilation_at_which_the_ray_touches_the_box() -> None:
    random = torch.Generator().manual_seed(0)
    p = torch.rand(200, 3, generator=random, dtype=torch.float64) * 0.8 - 0.4 + torch.tensor([0.0, 0.0, 2.0])
    d = torch.rand(200, 3, generator=random, dtype=torch.float64) * 0.4 - 0.2 + torch.tensor([0.0, 0.0, 1.0])
    half, sigma = torch.full((200,), 0.1, dtype=torch.float64), 0.7
    low, high = torch.zeros_like(half), torch.full_like(half, 20.0)
    for _ in range(60):  # bisection of the dilation
        middle = 0.5 * (low + high)
        t_in, t_out = dilated_segment(p, d, half * (1.0 + middle))
        low, high = torch.where(t_out > t_in, low, middle), torch.where(t_out > t_in, middle, high)
    assert (high > 0.5).sum() > 50 and (high < 1e-9).sum() > 5
    expected = torch.exp(-high.square() / (2 * sigma**2))
    assert torch.allclose(coverage(p, d, half, sigma), expected, atol=1e-9)


def test_a_ray_beside_a_voxel_has_the_closed_form() -> None:
    """One pixel along z passes the voxel [0,0.5]^3 at x = -0.1: 0.4 half edges beside it."""
    sigma, raw = 0.5, -3.0
    camera = camera_at((-0.1, 0.25, -1.0), (-0.1, 0.25, 0.0), size=(1, 1))
    colour = torch.tensor([[0.2, 0.5, 0.9]], dtype=torch.float64)
    densities = torch.full((8,), raw, dtype=torch.float64)
    out = soft_rasterize(
        one_voxel(), densities, colour, camera, sigma=sigma, temperature=0.1, background=BACKGROUND
    )
    chord = 0.5 * (1 + KAPPA * sigma) / float(spread(torch.tensor([[0.0, 0.0, 1.0]]), sigma))
    depth = DENSITY_SCALE * chord * math.exp(raw / 1.1 - 1 + math.log(1.1))
    alpha = math.exp(-(0.4**2) / (2 * sigma**2)) * (1 - math.exp(-depth))
    assert math.isclose(out.trans.item(), 1 - alpha, rel_tol=1e-7)
    assert torch.allclose(out.rgb[0, 0], alpha * colour[0] + (1 - alpha) * BACKGROUND)
    assert math.isclose(out.depth_z.item(), alpha * 1.25, rel_tol=1e-7)


def test_rays_are_the_cameras_rays_with_camera_depth_one() -> None:
    for camera in (GENERIC, FLAT):
        origins, directions = camera_rays(camera, torch.from_numpy(camera.world_from_cam))
        exact_origins, exact = (a.reshape(-1, 3) for a in camera.rays())
        assert np.allclose(origins, exact_origins)
        assert np.allclose(directions, exact / (exact @ camera.forward)[:, None])


def _slow_weights(alpha: np.ndarray, z: np.ndarray, tau: float) -> np.ndarray:
    weights = np.empty(len(z))
    for i in range(len(z)):
        weights[i] = alpha[i]
        for j in range(len(z)):
            if j != i:
                weights[i] *= 1.0 - alpha[j] / (1.0 + math.exp(-(z[i] - z[j]) / tau))
    return weights


def test_the_logistic_order_is_its_product() -> None:
    rng = np.random.default_rng(1)
    alpha, z = rng.random(9), rng.random(9)
    weight, trans = soft_weights(torch.tensor(alpha)[None], torch.tensor(z)[None], 0.2, "logistic")
    assert np.allclose(weight[0], _slow_weights(alpha, z, 0.2)) and math.isclose(trans[0], np.prod(1 - alpha))


def test_the_softmax_order_shares_out_all_the_light_by_nearness() -> None:
    alpha = torch.tensor([[0.5, 0.3, 0.0, 0.2]], dtype=torch.float64)
    z = torch.tensor([[1.0, 1.1, 0.5, 2.0]], dtype=torch.float64)
    weight, trans = soft_weights(alpha, z, 0.1, "softmax")
    share = alpha * torch.exp(-z / 0.1)
    assert torch.allclose(weight, (1 - trans) * share / share.sum())
    assert math.isclose(float(trans + weight.sum()), 1.0)


@pytest.mark.parametrize("order", ["logistic", "softmax"])
def test_equal_depths_share_alike_whatever_their_order(order: str) -> None:
    rng = np.random.default_rng(2)
    alpha = torch.tensor(rng.random((1, 8)))
    z = torch.tensor(np.repeat(rng.random((1, 4)), 2, axis=1))
    swapped = torch.tensor([1, 0, 3, 2, 5, 4, 7, 6])
    weight, _ = soft_weights(alpha, z, 0.05, order)
    other, _ = soft_weights(alpha[:, swapped], z[:, swapped], 0.05, order)
    assert torch.allclose(other[:, swapped], weight, rtol=EXACT)
    same, _ = soft_weights(torch.full_like(alpha, 0.4), z, 0.05, order)
    assert torch.allclose(same[:, ::2], same[:, 1::2], rtol=EXACT)


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("order", ["logistic", "softmax"])
def test_no_softness_is_the_hard_rasteriser(view: str, order: str) -> None:
    octree = mixed_octree()
    densities, colours = field_of(octree)
    hard = rasterize(octree, densities, colours, VIEWS[view], background=BACKGROUND)
    soft = soft_rasterize(
        octree,
        densities,
        colours,
        VIEWS[view],
        sigma=0.0,
        temperature=0.0,
        order=order,
        background=BACKGROUND,
    )
    for name in ("rgb", "trans", "depth_z"):
        assert torch.allclose(getattr(soft, name), getattr(hard, name), atol=1e-9), name


@pytest.mark.parametrize("view", ["outside", "inside a voxel", "orthographic"])
def test_both_together_converge_to_the_hard_rasteriser(view: str) -> None:
    octree = mixed_octree()
    densities, colours = field_of(octree)
    hard = rasterize(octree, densities, colours, VIEWS[view], background=BACKGROUND).rgb
    seen = []
    for sigma, tau in TO_HARD:
        soft = soft_rasterize(
            octree, densities, colours, VIEWS[view], sigma=sigma, temperature=tau, background=BACKGROUND
        )
        seen.append(psnr(soft.rgb, hard))
    assert all(a < b for a, b in pairwise(seen)) and seen[-1] > 45.0


def test_a_falling_temperature_gives_the_hard_order() -> None:
    octree = mixed_octree()
    densities, colours = field_of(octree)

    def picture(tau: float) -> Tensor:
        return soft_rasterize(
            octree, densities, colours, GENERIC, sigma=0.3, temperature=tau, background=BACKGROUND
        ).rgb

    seen = [psnr(picture(tau), picture(0.0)) for tau in (0.1, 0.03, 0.01, 0.003, 1e-3, 1e-4)]
    assert all(a < b for a, b in pairwise(seen)) and seen[-1] > 50.0


def test_a_falling_sigma_gives_the_hard_footprint() -> None:
    octree = mixed_octree()
    densities, colours = field_of(octree)

    def trans(sigma: float) -> Tensor:
        return soft_rasterize(
            octree, densities, colours, GENERIC, sigma=sigma, temperature=0.05, background=BACKGROUND
        ).trans

    hard = rasterize(octree, densities, colours, GENERIC, background=BACKGROUND).trans
    seen = [psnr(trans(sigma), hard) for sigma in (0.5, 0.2, 0.05, 0.01, 1e-3)]
    assert all(a < b for a, b in pairwise(seen)) and seen[-1] > 55.0


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
def test_a_uniform_medium_keeps_its_transmittance(sigma: float) -> None:
    octree = Octree.dense(4)
    densities = torch.full((octree.n_points,), -6.5, dtype=torch.float64)
    colours = torch.ones(len(octree), 3, dtype=torch.float64)
    camera = camera_at((0.4, -0.3, -1.9), size=(9, 9), fov=0.2)  # well within the cube's sides
    hard = rasterize(octree, densities, colours, camera, background=BACKGROUND).trans
    soft = soft_rasterize(
        octree, densities, colours, camera, sigma=sigma, temperature=0.02, background=BACKGROUND
    ).trans
    assert hard.mean() < 0.75
    assert abs(float((soft / hard).mean()) - 1.0) < 0.01 and float((soft / hard - 1.0).abs().max()) < 0.06


# --- gradients ------------------------------------------------------------------------------------------------------


def outcome(out: object, seed: int = 3) -> Tensor:
    """Return a scalar in which every pixel of every output has its own share."""
    random = torch.Generator().manual_seed(seed)
    fields = (out.rgb, out.trans, out.depth_z)
    return sum(
        (f * (torch.rand(f.shape, generator=random, dtype=torch.float64) - 0.3).to(f)).sum() for f in fields
    )


def _difference(f: Callable[[Tensor], Tensor], x: Tensor, at: tuple[int, ...], step: float) -> float:
    forth, back = x.clone(), x.clone()
    forth[at] += step
    back[at] -= step
    return float((f(forth) - f(back)) / (2 * step))


@pytest.mark.parametrize("camera", [GENERIC, FLAT], ids=["perspective", "orthographic"])
@pytest.mark.parametrize(
    ("order", "sigma", "tau", "samples"),
    [
        ("logistic", 0.5, 0.1, 1),
        ("softmax", 0.4, 0.2, 2),
        ("logistic", 0.3, 0.0, 1),
        ("logistic", 0.0, 0.1, 1),
    ],
)
def test_gradients_equal_finite_differences(
    camera: object, order: str, sigma: float, tau: float, samples: int
) -> None:
    octree = mixed_octree().keep(np.arange(len(mixed_octree())) % 3 == 0)[0]
    densities, colours = field_of(octree)
    inputs = [densities, colours, BACKGROUND, torch.from_numpy(camera.world_from_cam)]

    def value(*tensors: Tensor) -> Tensor:
        out = soft_rasterize(
            octree, *tensors[:2], camera, sigma=sigma, temperature=tau, order=order, background=tensors[2],
            pose=tensors[3], samples_per_voxel=samples, min_alpha=0.0,
        )  # fmt: skip
        return outcome(out)

    leaves = [t.clone().requires_grad_() for t in inputs]
    gradients = torch.autograd.grad(value(*leaves), leaves)
    rng = np.random.default_rng(5)
    for which, gradient in enumerate(gradients[:3]):
        flat = np.argsort(-gradient.abs().reshape(-1).numpy())
        for pick in rng.choice(flat[: max(3, len(flat) // 4)], 2, replace=False):
            at = tuple(int(i) for i in np.unravel_index(pick, gradient.shape))

            def moved(x: Tensor, which: int = which) -> Tensor:
                return value(*inputs[:which], x, *inputs[which + 1 :])

            found = _difference(moved, inputs[which], at, 1e-5)
            assert math.isclose(found, float(gradient[at]), rel_tol=1e-5, abs_tol=1e-8), (which, at)
    size = float(gradients[3][:3].abs().max())
    assert size > 1e-3 and not gradients[3][3].any()
    for at in [(row, column) for row in range(3) for column in range(4)]:
        found = _difference(lambda x: value(*inputs[:3], x), inputs[3], at, 1e-7)
        assert abs(found - float(gradients[3][at])) < 1e-4 * size, at


def test_a_turned_camera_changes_what_its_gradient_says() -> None:
    """Along a rotation, as pose refinement takes it: R exp(angle [axis])."""
    octree = mixed_octree()
    densities, colours = field_of(octree)
    axis = torch.tensor([[0.0, -0.3, 0.5], [0.3, 0.0, -0.8], [-0.5, 0.8, 0.0]], dtype=torch.float64)

    def value(angle: Tensor) -> Tensor:
        pose = torch.from_numpy(GENERIC.world_from_cam).clone()
        pose = torch.cat([pose[:, :3] @ torch.matrix_exp(angle * axis), pose[:, 3:]], dim=1)
        out = soft_rasterize(
            octree, densities, colours, GENERIC, sigma=0.5, temperature=0.1, background=BACKGROUND, pose=pose, min_alpha=0.0
        )  # fmt: skip
        return outcome(out)

    angle = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(angle), angle)
    step = torch.tensor(1e-6, dtype=torch.float64)
    found = (value(step) - value(-step)) / (2 * step)
    assert abs(float(gradient)) > 0.1 and math.isclose(found, gradient, rel_tol=1e-4)


def test_no_voxels_are_background() -> None:
    octree = empty_octree()
    out = soft_rasterize(
        octree, torch.zeros(0, dtype=torch.float64), torch.zeros(0, 3, dtype=torch.float64), GENERIC, sigma=0.5,
        temperature=0.1, background=BACKGROUND,
    )  # fmt: skip
    assert torch.equal(out.rgb, BACKGROUND.expand_as(out.rgb)) and torch.all(out.trans == 1.0)
