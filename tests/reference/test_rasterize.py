# SPDX-License-Identifier: MIT
"""The reference rasteriser against closed forms, a slow loop over one pixel at a time, and finite differences.

Finite differences use a scene of low alphas without thresholds (min_alpha, stop_trans), whose kinks they would straddle;
the densities stay off the knee of the activation, where the second derivative jumps but the first does not.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.cameras import Camera, look_at
from engine.constants import DENSITY_SCALE, EXP_LINEAR_KNEE, MAX_ALPHA, NEAR, STOP_TRANS
from engine.octree import Octree
from engine.reference.rasterize import corner_normals, exp_linear, rasterize, trilinear_weights
from engine.reference.segments import box_intervals, find_segments

WHITE = torch.ones(3, dtype=torch.float64)
BLACK = torch.zeros(3, dtype=torch.float64)
UP = np.array([0.0, -1.0, 0.0])


def _camera(
    position: tuple, target: tuple = (0, 0, 0), size: int = 8, fov: float = 0.6, **changes: object
) -> Camera:
    camera = Camera.from_fov(
        size, size, fov, look_at(np.array(position, dtype=float), np.array(target, dtype=float), UP)
    )
    return replace(camera, **changes)


def _mixed_octree(seed: int = 0) -> Octree:
    octree, rng = Octree.dense(2), np.random.default_rng(seed)
    octree, _ = octree.subdivide(rng.random(len(octree)) < 0.3)
    return octree.keep(rng.random(len(octree)) < 0.6)[0]


def _field(
    octree: Octree, seed: int = 0, low: float = -8.0, high: float = -1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random densities [G] and colours [V,3]."""
    generator = torch.Generator().manual_seed(seed)
    densities = low + (high - low) * torch.rand(octree.n_points, generator=generator, dtype=torch.float64)
    return densities, torch.rand(len(octree), 3, generator=generator, dtype=torch.float64)


def _one_voxel() -> Octree:
    """Return the voxel [0,0.5]^3."""
    return Octree.from_leaves([7 << 45], [1])


CASES = {
    "outside": _camera((0.9, -0.7, -1.4)),
    "inside": _camera((0.11, 0.07, -0.13), (0.4, 0.1, 0.3), fov=1.6),
    "on a node plane": _camera((0.0, 0.25, -0.3), (0.2, 0.0, 0.3), fov=1.2),
    "along an axis": _camera((0.1, 0.06, -1.3), (0.1, 0.06, 0.0), size=5),
    "orthographic": _camera((0.6, -0.5, -1.4), fx=9.0, fy=8.0, orthographic=True),
}


# --- small parts --------------------------------------------------------------------------------------------------


def test_exp_linear_is_the_identity_above_the_knee_and_smooth_at_it() -> None:
    x = torch.tensor([-10.0, EXP_LINEAR_KNEE, 3.0, 1e4], dtype=torch.float64, requires_grad=True)
    y = exp_linear(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(
        y, torch.tensor([4.56e-5, EXP_LINEAR_KNEE, 3.0, 1e4], dtype=torch.float64), rtol=1e-3
    )
    assert torch.allclose(slope, torch.tensor([4.145e-5, 1.0, 1.0, 1.0], dtype=torch.float64), rtol=1e-3)


def test_trilinear_weights_pick_corners_and_reproduce_affine_functions() -> None:
    corners = torch.tensor([[c >> 2, c >> 1 & 1, c & 1] for c in range(8)], dtype=torch.float64)
    assert torch.equal(trilinear_weights(corners), torch.eye(8, dtype=torch.float64))
    q = torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(trilinear_weights(q) @ corners, q)


def test_normals_oppose_the_density_gradient_and_vanish_without_one() -> None:
    corners = torch.tensor([[c >> 2, c >> 1 & 1, c & 1] for c in range(8)], dtype=torch.float64)
    for axis in range(3):
        expected = -torch.eye(3, dtype=torch.float64)[axis]
        assert torch.allclose(corner_normals(corners[None, :, axis])[0], expected)
    assert torch.equal(corner_normals(torch.ones(1, 8)), torch.zeros(1, 3))


def test_a_ray_within_a_shared_face_meets_one_voxel() -> None:
    low = np.array([[-0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
    t_in, t_out = box_intervals(np.array([[0.0, 0.25, -1.0]]), np.array([[0.0, 0.0, 1.0]]), low, low + 0.5)
    assert (t_out > t_in).tolist() == [[False, True]]
    assert (t_in[0, 1], t_out[0, 1]) == (1.0, 1.5)


@pytest.mark.parametrize("case", CASES)
def test_segments_are_disjoint_and_front_to_back(case: str) -> None:
    rays = find_segments(_mixed_octree(), CASES[case])
    full = rays.t_out > rays.t_in
    assert full.sum() > 30
    assert np.all((rays.t_in * rays.z_per_t[:, None])[full] >= NEAR * (1 - 1e-12))
    both = full[:, 1:]
    assert np.all(rays.t_out[:, :-1][both] <= rays.t_in[:, 1:][both] + 1e-12)


# --- closed forms -------------------------------------------------------------------------------------------------


def _axis_camera(x: float = 0.25, y: float = 0.25) -> Camera:
    """Return one pixel that looks along +z from z = -1."""
    return _camera((x, y, -1.0), (x, y, 0.0), size=1)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_one_voxel_of_constant_density_has_the_closed_form(samples: int) -> None:
    octree, raw = _one_voxel(), 0.02
    densities = torch.full((8,), raw, dtype=torch.float64) - 3.0
    colour = torch.tensor([[0.2, 0.5, 0.9]], dtype=torch.float64)
    out = rasterize(octree, densities, colour, _axis_camera(), background=WHITE, samples_per_voxel=samples)
    depth = DENSITY_SCALE * 0.5 * math.exp((raw - 3.0) / 1.1 - 1 + math.log(1.1))
    alpha = 1 - math.exp(-depth)
    assert math.isclose(out.trans.item(), 1 - alpha, rel_tol=1e-12)
    assert torch.allclose(out.rgb[0, 0], alpha * colour[0] + (1 - alpha))
    assert math.isclose(out.depth_z.item(), alpha * 1.25, rel_tol=1e-12)
    assert math.isclose(out.depth_median.item(), 1.0 + 0.5 * math.log(2) / depth, rel_tol=1e-12)
    assert math.isclose(out.max_weight.item(), alpha, rel_tol=1e-12)
    assert out.count.item() == 1 and out.count.dtype == torch.int32
    assert torch.equal(out.normal, torch.zeros(1, 1, 3, dtype=torch.float64))
    # far end at t = 1.5 contracts to 2 - 1/1.5
    assert math.isclose(out.distortion.item(), alpha**2 * (1 - 1 / 1.5) / 3, rel_tol=1e-12)


def test_the_median_is_zero_where_half_the_light_gets_through() -> None:
    out = rasterize(
        _one_voxel(), torch.full((8,), -6.0), torch.ones(1, 3), _axis_camera(), background=torch.ones(3)
    )
    assert out.trans.item() > 0.5 and out.depth_median.item() == 0.0


def test_a_full_voxel_stops_at_the_largest_alpha() -> None:
    out = rasterize(
        _one_voxel(),
        torch.full((8,), 9.0).double(),
        torch.ones(1, 3).double(),
        _axis_camera(),
        background=BLACK,
    )
    assert math.isclose(out.trans.item(), 1 - MAX_ALPHA, rel_tol=1e-9)


def test_the_normal_faces_where_the_density_falls() -> None:
    octree = _one_voxel()
    densities = torch.tensor(
        octree.point_position[:, 2], dtype=torch.float64
    )  # denser with z: seen from below
    out = rasterize(octree, densities, torch.ones(1, 3).double(), _axis_camera(), background=BLACK)
    assert torch.allclose(out.normal[0, 0] / (1 - out.trans.item()), torch.tensor([0.0, 0.0, -1.0]).double())


@pytest.mark.parametrize("octree", [Octree.dense(1).keep(np.zeros(8, bool))[0], _one_voxel()])
def test_rays_that_meet_nothing_show_the_background(octree: Octree) -> None:
    camera = _camera((0, 0, -1), (0, 0, -2))
    background = torch.tensor([0.1, 0.2, 0.3])
    colours = torch.ones(len(octree), 3)
    out = rasterize(octree, torch.zeros(octree.n_points), colours, camera, background=background)
    assert torch.equal(out.rgb, background.expand(8, 8, 3)) and torch.equal(out.trans, torch.ones(8, 8))
    assert out.depth_z.abs().max() == out.depth_median.abs().max() == out.count.max() == 0
    assert torch.equal(out.max_weight, torch.zeros(len(octree)))


def test_a_camera_inside_a_voxel_sees_from_the_near_plane_on() -> None:
    octree, densities = _one_voxel(), torch.full((8,), -3.0, dtype=torch.float64)
    out = rasterize(
        octree,
        densities,
        torch.ones(1, 3).double(),
        _camera((0.25, 0.25, 0.1), (0.25, 0.25, 1), size=1),
        background=BLACK,
    )
    depth = DENSITY_SCALE * (0.4 - NEAR) * exp_linear(densities[:1]).item()
    assert math.isclose(out.trans.item(), math.exp(-depth), rel_tol=1e-9)


def test_the_near_plane_is_flat() -> None:
    octree, densities = Octree.dense(1), torch.full((27,), -3.0, dtype=torch.float64)
    camera = _camera((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), fov=1.5)
    rays = find_segments(octree, camera)
    assert np.allclose(rays.t_in[:, 0] * rays.z_per_t, NEAR, rtol=1e-12)
    assert rays.t_in[:, 0].max() > 1.2 * NEAR
    assert rasterize(octree, densities, torch.ones(8, 3).double(), camera, background=BLACK).trans.max() < 1


def test_a_pixel_stops_behind_an_opaque_voxel() -> None:
    octree = Octree.dense(2)
    densities = torch.full((octree.n_points,), 1.0, dtype=torch.float64)
    colours = torch.rand(64, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out = rasterize(octree, densities, colours, _axis_camera(0.1, 0.1), background=WHITE)
    assert out.count.item() == 1 and out.trans.item() < STOP_TRANS
    assert int((out.max_weight > 0).sum()) == 1


def test_voxels_too_faint_are_passed_over() -> None:
    densities = torch.full((8,), -19.0, dtype=torch.float64)
    seen = rasterize(_one_voxel(), densities, torch.ones(1, 3).double(), _axis_camera(), background=BLACK)
    all_in = rasterize(
        _one_voxel(), densities, torch.ones(1, 3).double(), _axis_camera(), background=BLACK, min_alpha=0.0
    )
    assert seen.trans.item() == 1.0 and seen.count.item() == 0
    assert 0 < 1 - all_in.trans.item() < 1e-5 and all_in.count.item() == 1


# --- a slow loop --------------------------------------------------------------------------------------------------


def _slow_pixel(
    octree: Octree,
    densities: np.ndarray,
    colours: np.ndarray,
    o: np.ndarray,
    d: np.ndarray,
    cos: float,
    K: int,
):
    """Return (rgb over black, trans, depth_z, distortion) of one ray, its segments sorted by distance."""
    low = octree.center.astype(float) - 0.5 * octree.size[:, None]
    t_in, t_out = box_intervals(o[None], d[None], low, low + octree.size[:, None])
    t_in = np.maximum(t_in[0], NEAR / cos)
    hits = sorted((t_in[v], t_out[0, v], v) for v in range(len(octree)) if t_out[0, v] > t_in[v])
    rgb, trans, depth, spread = np.zeros(3), 1.0, 0.0, []
    for a, b, v in hits:
        tau, colour = 0.0, np.zeros(3)
        for k in range(K):
            x, y, z = (o + (a + (k + 0.5) * (b - a) / K) * d - low[v]) / octree.size[v]
            w = np.array(
                [
                    (x, 1 - x)[1 - cx] * (y, 1 - y)[1 - cy] * (z, 1 - z)[1 - cz]
                    for cx in (0, 1)
                    for cy in (0, 1)
                    for cz in (0, 1)
                ]
            )
            raw = w @ densities[octree.corner_idx[v]]
            tau += DENSITY_SCALE * (b - a) / K * (raw if raw > 1.1 else 1.1 * np.exp(raw / 1.1 - 1))
            colour += (w @ colours[v] if colours.ndim == 3 else colours[v]) / K
        alpha = min(MAX_ALPHA, 1 - np.exp(-tau))
        if alpha < 1e-5 or trans < STOP_TRANS:
            continue
        rgb, depth = rgb + trans * alpha * colour, depth + trans * alpha * (a + b) / 2 * cos
        ends = [t / 2 if t / 2 < 1 else 2 - 2 / t for t in (a, b)]
        spread.append((trans * alpha, sum(ends) / 2, ends[1] - ends[0]))
        trans *= 1 - alpha
    distortion = sum(w * u * abs(m - n) for w, m, _ in spread for u, n, _ in spread)
    return rgb, trans, depth, distortion + sum(w * w * length for w, _, length in spread) / 3


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("samples", "eight"), [(1, False), (3, True)])
def test_every_pixel_equals_a_loop_over_its_voxels(case: str, samples: int, eight: bool) -> None:
    octree, camera = _mixed_octree(), CASES[case]
    densities, colours = _field(octree)
    if eight:
        colours = torch.rand(
            len(octree), 8, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64
        )
    out = rasterize(octree, densities, colours, camera, background=BLACK, samples_per_voxel=samples, knee=2.0)
    origins, directions = camera.rays()
    for row, column in [(0, 0), (3, 4), (4, 2), (camera.height - 1, camera.width - 1)]:
        o, d = origins[row, column], directions[row, column]
        rgb, trans, depth, distortion = _slow_pixel(
            octree, densities.numpy(), colours.numpy(), o, d, d @ camera.forward, samples
        )
        assert np.allclose(out.rgb[row, column], rgb, atol=1e-12)
        assert np.isclose(out.trans[row, column], trans, atol=1e-12)
        assert np.isclose(out.depth_z[row, column], depth, atol=1e-12)
        assert np.isclose(out.distortion[row, column], distortion, atol=1e-12)
    assert 0.05 < out.trans.mean() < 0.95


def test_equal_corner_colours_are_one_colour() -> None:
    octree = _mixed_octree()
    densities, colours = _field(octree)
    one = rasterize(octree, densities, colours, CASES["outside"], background=WHITE)
    eight = rasterize(octree, densities, colours[:, None].repeat(1, 8, 1), CASES["outside"], background=WHITE)
    assert torch.allclose(one.rgb, eight.rgb)


def test_float32_follows_float64() -> None:
    octree = _mixed_octree()
    densities, colours = _field(octree)
    exact = rasterize(octree, densities, colours, CASES["outside"], background=WHITE)
    single = rasterize(octree, densities.float(), colours.float(), CASES["outside"], background=WHITE.float())
    assert single.rgb.dtype == torch.float32
    assert (single.rgb - exact.rgb).abs().max() < 1e-5  # worst seen 4e-7; a skipped faint voxel may add 1e-5


# --- gradients ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("eight", [False, True])
def test_gradients_equal_finite_differences(samples: int, eight: bool) -> None:
    octree = Octree.dense(1).subdivide(np.arange(8) == 3)[0].keep(np.arange(15) % 3 > 0)[0]
    densities, colours = _field(octree, low=-6.0, high=-3.0)
    if eight:
        colours = colours[:, None] * torch.linspace(0.5, 1.0, 8, dtype=torch.float64)[:, None]
    camera = _camera((0.9, -0.7, -1.4), size=3)

    def outputs(
        densities: torch.Tensor, colours: torch.Tensor, background: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        out = rasterize(
            octree,
            densities,
            colours,
            camera,
            background=background,
            samples_per_voxel=samples,
            stop_trans=0.0,
            min_alpha=0.0,
        )
        return out.rgb, out.trans, out.depth_z, out.normal, out.distortion

    inputs = (densities.requires_grad_(), colours.detach().requires_grad_(), WHITE.clone().requires_grad_())
    assert torch.autograd.gradcheck(outputs, inputs)


def test_gradients_stay_finite_from_empty_to_opaque() -> None:
    octree = _mixed_octree()
    densities, colours = _field(octree, low=-20.0, high=60.0)
    densities.requires_grad_()
    out = rasterize(octree, densities, colours, CASES["inside"], background=WHITE)
    (v_densities,) = torch.autograd.grad(out.rgb.sum() + out.distortion.sum() + out.normal.sum(), densities)
    assert torch.isfinite(v_densities).all() and v_densities.abs().max() > 0


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"densities": torch.zeros(9)}, r"one per point, \[8\], got \[9\]"),
        ({"colours": torch.zeros(1, 4)}, r"\[1, 3\] or \[1, 8, 3\], got \[1, 4\]"),
        ({"background": torch.zeros(1)}, r"background must be \[3\]"),
        ({"samples_per_voxel": 0}, "at least 1, got 0"),
    ],
)
def test_wrong_shapes_are_refused(changes: dict, message: str) -> None:
    arguments = {
        "densities": torch.zeros(8),
        "colours": torch.zeros(1, 3),
        "background": torch.zeros(3),
    } | changes
    with pytest.raises(ValueError, match=message):
        rasterize(_one_voxel(), camera=_axis_camera(), **arguments)
