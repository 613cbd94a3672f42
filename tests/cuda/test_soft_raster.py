# SPDX-License-Identifier: MIT
"""The soft rasteriser's kernels, run on the CPU: pictures and gradients, the pose's too, against the float64 twin."""

from __future__ import annotations

import pytest
import torch

from engine.cameras import Camera
from engine.cuda.soft_rasterize import soft_fields
from engine.octree import Octree
from engine.reference.soft_rasterize import soft_rasterize as twin
from engine.render.output import SoftOutput
from tests.cpu.scenes import VIEWS, camera_at, deep_octree, empty_octree, field_of, mixed_octree, one_voxel
from tests.cuda.on_host import host_table
from tests.reference.test_soft_rasterize import outcome
from tests.render.test_soft_rasterize import BACKGROUND, POSED, SOFT, assert_equal_to_twin

pytestmark = pytest.mark.usefixtures("host_compiler")

NAMES = ("rgb", "trans", "depth_z", "densities", "colours", "background", "pose")


def assert_soft(
    octree: Octree,
    camera: Camera,
    order: str,
    sigma: float,
    tau: float,
    samples: int,
    posed: bool = True,
    checks: bool = False,
    margin: float = 1.0,
    **field: float,
) -> None:
    inputs = [*field_of(octree, **field), BACKGROUND, torch.from_numpy(camera.world_from_cam)][: 3 + posed]
    exact_inputs = [t.clone().requires_grad_() for t in inputs]
    exact = twin(
        octree, *exact_inputs[:2], camera, sigma=sigma, temperature=tau, order=order, background=exact_inputs[2],
        pose=exact_inputs[3] if posed else None, samples_per_voxel=samples,
    )  # fmt: skip
    single = [
        t.clone().to(torch.float64 if k == 3 else torch.float32).requires_grad_()
        for k, t in enumerate(inputs)
    ]
    pose, table = single[3] if posed else None, host_table(octree, checks)
    got = SoftOutput(*soft_fields(*single[:3], pose, octree, camera, (sigma, tau, order, samples), table))
    pairs = []
    for picture, leaves in ((got, single), (exact, exact_inputs)):
        gradients = torch.autograd.grad(outcome(picture), leaves)
        pairs.append([picture.rgb, picture.trans, picture.depth_z, *gradients])
    assert_equal_to_twin(list(zip(NAMES, *pairs, strict=False)), margin)


@pytest.mark.parametrize("view", POSED)
@pytest.mark.parametrize(("order", "sigma", "tau", "samples"), SOFT)
def test_pictures_and_gradients_equal_the_twin(
    view: str, order: str, sigma: float, tau: float, samples: int
) -> None:
    if (order, view) == ("softmax", "inside a voxel") and tau < 0.2:
        tau = 0.3  # see tests/render/test_soft_rasterize.py
    assert_soft(mixed_octree(), POSED[view], order, sigma, tau, samples)


@pytest.mark.parametrize("order", ["logistic", "softmax"])
def test_gradients_without_a_pose_equal_the_twin(order: str) -> None:
    assert_soft(mixed_octree(), VIEWS["near plane cuts"], order, 0.5, 0.1, 1, posed=False)


def test_long_lists_and_opaque_voxels_equal_the_twin() -> None:
    camera = camera_at((0.61, -0.72, -1.3), size=(18, 17), fov=0.5, cx=8.7, cy=8.2)
    assert_soft(
        deep_octree(leaves=2500),
        camera,
        "logistic",
        1.0,
        0.03,
        1,
        posed=False,
        margin=6.0,
        low=-6.0,
        high=0.0,
    )


@pytest.mark.parametrize("octree", [one_voxel(), empty_octree()], ids=["one voxel", "none"])
@pytest.mark.parametrize("size", [(1, 1), (17, 3)])
def test_few_voxels_and_odd_images_equal_the_twin(octree: Octree, size: tuple[int, int]) -> None:
    camera = camera_at((0.8, 0.7, -1.4), (0.25, 0.25, 0.25), size=size)
    assert_soft(octree, camera, "logistic", 0.5, 0.1, 1, posed=False, checks=True)


@pytest.mark.parametrize("order", ["logistic", "softmax"])
@pytest.mark.parametrize("posed", [False, True])
def test_no_access_is_out_of_bounds_and_no_thread_races(order: str, posed: bool) -> None:
    assert_soft(mixed_octree(), POSED["outside"], order, 0.5, 0.05, 2, posed=posed, checks=True)


def test_gradients_that_must_not_be_left_to_chance_are_refused() -> None:
    octree, camera = one_voxel(), camera_at((0.8, 0.7, -1.4), (0.25, 0.25, 0.25), size=(4, 4))
    densities, colours = (t.float().requires_grad_() for t in field_of(octree))
    rgb, *_ = soft_fields(
        densities,
        colours,
        BACKGROUND.float(),
        None,
        octree,
        camera,
        (0.5, 0.1, "logistic", 1),
        host_table(octree),
    )
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(RuntimeError, match="order left to chance"):
            rgb.sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
