# SPDX-License-Identifier: MIT
"""The public op: the kernels against the float64 twin, pictures and gradients, and against the hard rasteriser."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.octree import Octree
from engine.reference.soft_rasterize import soft_rasterize as twin
from engine.render.rasterize import rasterize
from engine.render.soft_rasterize import soft_rasterize
from tests.cpu.scenes import VIEWS, camera_at, deep_octree, empty_octree, field_of, mixed_octree, one_voxel
from tests.reference.test_soft_rasterize import TO_HARD, outcome, psnr

BACKGROUND = torch.tensor([0.2, 0.7, 0.4], dtype=torch.float64)

# Three times the worst seen: 6e-6 in pictures, 2e-5 in depths, 1e-5 in gradients by the largest entry. Most of it is entries
# within float32 rounding of MIN_ALPHA, and what STOP_TRANS leaves out.
PICTURE = 2e-5
DEPTH = 6e-5
GRADIENT = 4e-5
POSE = 2e-4  # a ray within float32 rounding of an edge of a dilated box takes another face than the twin's

SOFT = [
    ("logistic", 0.5, 0.1, 1), ("logistic", 0.3, 0.02, 3), ("logistic", 0.0, 0.05, 1), ("logistic", 0.4, 0.0, 2),
    ("softmax", 0.5, 0.1, 1), ("softmax", 0.2, 0.3, 2),
]  # fmt: skip
# Off the axes, and no ray through a corner of the lattice: there the pose's gradient jumps.
POSED = {
    "outside": VIEWS["outside"],
    "inside a voxel": camera_at((0.11, 0.07, -0.13), (0.43, 0.14, 0.31), fov=1.6, cx=17.3, cy=15.1),
    "orthographic": camera_at(
        (0.63, -0.52, -1.41), (0.02, 0.03, 0.01), fx=24.0, fy=21.0, cx=18.21, cy=14.13, orthographic=True
    ),
}


def both(
    octree: Octree, camera: Camera, order: str, sigma: float, tau: float, samples: int, posed: bool, **field: float
) -> list[tuple[str, Tensor, Tensor]]:  # fmt: skip
    """Return (name, of the kernels, of the twin) of pictures and gradients."""
    inputs = [*field_of(octree, **field), BACKGROUND, torch.from_numpy(camera.world_from_cam)]
    found = []
    for dtype in (torch.float32, torch.float64):
        leaves = [t.to(dtype).clone().requires_grad_() for t in inputs]
        leaves[3] = inputs[3].clone().requires_grad_()  # a pose is float64 whatever the field is
        out = soft_rasterize(
            octree, *leaves[:2], camera, sigma=sigma, temperature=tau, order=order, background=leaves[2],
            pose=leaves[3] if posed else None, samples_per_voxel=samples,
        )  # fmt: skip
        wanted = leaves if posed else leaves[:3]
        found.append([out.rgb, out.trans, out.depth_z, *torch.autograd.grad(outcome(out), wanted)])
    names = ("rgb", "trans", "depth_z", "densities", "colours", "background", "pose")
    return list(zip(names, *found, strict=False))


def assert_equal_to_twin(pairs: list[tuple[str, Tensor, Tensor]], margin: float = 1.0) -> None:
    for name, got, exact in pairs:
        assert got.shape == exact.shape
        limit = {"rgb": PICTURE, "trans": PICTURE, "depth_z": DEPTH, "pose": POSE}.get(
            name, GRADIENT
        ) * margin
        if not exact.numel():
            continue
        whole = name in ("rgb", "trans", "depth_z", "background")  # the last is a sum of transmittances
        scale = 1.0 if whole else float(exact.detach().abs().max())
        error = float((got.detach().double() - exact.detach()).abs().max())
        assert error <= limit * scale, (name, error / max(scale, 1e-30))


@pytest.mark.parametrize("view", POSED)
@pytest.mark.parametrize(("order", "sigma", "tau", "samples"), SOFT)
def test_pictures_and_gradients_equal_the_twin(
    view: str, order: str, sigma: float, tau: float, samples: int
) -> None:
    if (order, view) == ("softmax", "inside a voxel") and tau < 0.2:
        tau = 0.3  # at a small temperature, whether the nearest entry's alpha is MIN_ALPHA decides the pixel
    pairs = both(mixed_octree(), POSED[view], order, sigma, tau, samples, posed=True)
    assert float(pairs[-1][2].abs().max()) > 0.1
    assert_equal_to_twin(pairs)


@pytest.mark.parametrize("view", [name for name in VIEWS if name not in POSED])
def test_views_along_the_lattice_equal_the_twin(view: str) -> None:
    assert_equal_to_twin(both(mixed_octree(), VIEWS[view], "logistic", 0.5, 0.05, 1, posed=False))


@pytest.mark.parametrize("order", ["logistic", "softmax"])
def test_long_lists_and_opaque_voxels_equal_the_twin(order: str) -> None:
    """More entries a pixel than lists have room for at first, and light that ends within the scene."""
    camera = camera_at((0.61, -0.72, -1.3), size=(18, 17), fov=0.5, cx=8.7, cy=8.2)
    octree = deep_octree(leaves=2500)
    assert_equal_to_twin(both(octree, camera, order, 1.0, 0.03, 1, posed=False, low=-6.0, high=0.0), 6.0)


@pytest.mark.parametrize("octree", [one_voxel(), empty_octree()], ids=["one voxel", "none"])
@pytest.mark.parametrize("size", [(1, 1), (17, 3), (16, 16)])
def test_few_voxels_and_odd_images_equal_the_twin(octree: Octree, size: tuple[int, int]) -> None:
    camera = camera_at((0.8, 0.7, -1.4), (0.25, 0.25, 0.25), size=size)
    assert_equal_to_twin(both(octree, camera, "logistic", 0.5, 0.1, 1, posed=False))


@pytest.mark.parametrize("view", ["outside", "inside a voxel", "orthographic"])
def test_annealing_ends_at_the_hard_rasteriser(view: str) -> None:
    octree = mixed_octree()
    densities, colours = (t.float() for t in field_of(octree))
    hard = rasterize(octree, densities, colours, VIEWS[view], background=1.0).rgb
    seen = []
    for sigma, tau in [*TO_HARD, (0.0, 0.0)]:
        soft = soft_rasterize(
            octree, densities, colours, VIEWS[view], sigma=sigma, temperature=tau, background=1.0
        )
        seen.append(psnr(soft.rgb, hard))
    assert all(a < b for a, b in pairwise(seen))
    assert seen[-2] > 45.0 and seen[-1] > 90.0


def test_a_pose_stands_for_the_cameras_own() -> None:
    octree, camera, other = mixed_octree(), VIEWS["outside"], VIEWS["inside a voxel"]
    densities, colours = (t.float() for t in field_of(octree))
    options = dict(sigma=0.4, temperature=0.05, background=0.5)
    moved = soft_rasterize(octree, densities, colours, camera.moved(other.world_from_cam), **options)
    pose = torch.from_numpy(other.world_from_cam)
    for given in (pose, pose[:3], pose.float()):
        got = soft_rasterize(octree, densities, colours, camera, pose=given, **options)
        assert torch.allclose(got.rgb, moved.rgb, atol=1e-5)


def test_a_gradient_flows_to_a_pose_of_three_rows() -> None:
    octree, camera = mixed_octree(), VIEWS["outside"]
    densities, colours = (t.float() for t in field_of(octree))
    whole = torch.from_numpy(camera.world_from_cam).requires_grad_()
    gradients = []
    for pose in (whole, whole[:3]):
        out = soft_rasterize(octree, densities, colours, camera, sigma=0.4, temperature=0.05, pose=pose)
        gradients.append(torch.autograd.grad(outcome(out), whole)[0])
    assert torch.equal(*gradients) and gradients[0][:3].all() and not gradients[0][3].any()


def test_equal_depths_are_shared_whatever_the_voxels_are_called() -> None:
    """Mirrored at the plane between two voxels side by side, a picture is the mirrored picture."""
    octree = Octree.dense(1).keep(np.array([0, 0, 0, 1, 0, 0, 0, 1], dtype=bool))[0]
    densities, colours = (
        torch.full((octree.n_points,), -5.0),
        torch.tensor([[1.0, 0.2, 0.1], [0.3, 0.5, 0.9]]),
    )
    camera = camera_at((0.0, 0.25, -1.5), (0.0, 0.25, 0.0), size=(24, 8))
    options = dict(sigma=0.8, temperature=0.1)
    picture = soft_rasterize(octree, densities, colours, camera, **options).rgb
    mirrored = soft_rasterize(octree, densities, colours.flip(0), camera, **options).rgb
    assert (picture - mirrored).abs().max() > 0.1
    assert torch.allclose(picture.flip(1), mirrored, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma": -0.1}, "sigma and temperature must be at least 0"),
        ({"temperature": float("nan")}, "sigma and temperature must be at least 0"),
        ({"order": "sorted"}, "order must be one of logistic, softmax, got 'sorted'"),
        ({"samples_per_voxel": 4}, "samples_per_voxel must be 1, 2 or 3"),
        ({"pose": torch.eye(3)}, r"pose must be \[4, 4\] or \[3, 4\], got \[3, 3\]"),
        ({"background": torch.zeros(2)}, r"background must be one value or \[3\]"),
        ({"colours": torch.zeros(2, 3)}, "colours must have shape"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict, message: str) -> None:
    octree = one_voxel()
    arguments = dict(sigma=0.5, temperature=0.1, colours=torch.zeros(1, 3)) | changes
    with pytest.raises(ValueError, match=message):
        soft_rasterize(octree, torch.zeros(8), camera=VIEWS["outside"], **arguments)


def test_float64_is_the_twin() -> None:
    octree = mixed_octree()
    densities, colours = field_of(octree)
    got = soft_rasterize(
        octree, densities, colours, VIEWS["outside"], sigma=0.5, temperature=0.1, background=0.3
    )
    tail = torch.full((3,), 0.3, dtype=torch.float64)
    exact = twin(octree, densities, colours, VIEWS["outside"], sigma=0.5, temperature=0.1, background=tail)
    assert torch.equal(got.rgb, exact.rgb)
