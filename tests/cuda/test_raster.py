# SPDX-License-Identifier: MIT
"""The rasteriser's kernels, run on the CPU: pictures and gradients against the float64 twin, in views that are hard."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.constants import LATTICE, MAX_ALPHA
from engine.cuda.lists import build_lists, pack, render_lists
from engine.cuda.rasterize import rasterize_fields
from engine.morton import path_from_ijk
from engine.octree import Octree
from engine.reference.rasterize import rasterize as twin
from engine.render.output import RasterOutput
from tests.cpu.scenes import VIEWS, camera_at, empty_octree, field_of, mixed_octree, one_voxel
from tests.cuda.on_host import host_table

pytestmark = pytest.mark.usefixtures("host_compiler")

# Three times the worst seen over all cases here; as for the CPU's kernels most of it is single contributions within
# float32 rounding of MIN_ALPHA, which one side takes and the other skips.
PICTURE = 2.5e-5
DEPTH = 4e-5
MEDIAN = 3e-5
WEIGHT = 1e-5
GRADIENT = 2e-5  # of the largest entry

BACKGROUND = torch.tensor([0.2, 0.7, 0.4], dtype=torch.float64)
MODES = [(1, False), (3, False), (1, True), (2, True)]  # samples per voxel, eight colours a voxel


def worst(got: Tensor, exact: Tensor) -> float:
    assert got.shape == exact.shape
    return float((got.detach().double() - exact.detach().double()).abs().max()) if got.numel() else 0.0


def assert_picture(
    octree: Octree,
    camera: Camera,
    eight: bool = False,
    samples: int = 1,
    checks: bool = False,
    **field: float,
) -> None:
    densities, colours = field_of(octree, eight, **field)
    exact = twin(octree, densities, colours, camera, background=BACKGROUND, samples_per_voxel=samples)
    table = host_table(octree, checks)
    got = RasterOutput(
        *rasterize_fields(
            densities.float(), colours.float(), BACKGROUND.float(), octree, camera, samples, table
        )
    )
    margin = 4.0 if field else 1.0  # optical depths of thousands multiply the rounding of a short segment
    assert worst(got.rgb, exact.rgb) < PICTURE * margin
    assert worst(got.trans, exact.trans) < PICTURE * margin
    assert worst(got.depth_z, exact.depth_z) < DEPTH * margin
    assert worst(got.normal, exact.normal) < PICTURE * margin
    assert worst(got.max_weight, exact.max_weight) < WEIGHT * margin
    assert (got.count - exact.count).abs().max() <= 1
    assert (got.count != exact.count).double().mean() < 0.02
    crosses = (exact.trans - 0.5).abs() > 1e-4
    assert worst(got.depth_median[crosses], exact.depth_median[crosses]) < MEDIAN


@pytest.mark.parametrize(("samples", "eight"), MODES)
@pytest.mark.parametrize("view", VIEWS)
def test_every_output_equals_the_twin(view: str, samples: int, eight: bool) -> None:
    assert_picture(mixed_octree(), VIEWS[view], eight, samples)


def test_a_dense_field_stops_where_the_twin_stops() -> None:
    assert_picture(mixed_octree(), camera_at((0.9, -0.7, -1.4), size=(40, 30)), low=-2.0, high=40.0)


@pytest.mark.parametrize("octree", [one_voxel(), empty_octree()], ids=["one voxel", "none"])
@pytest.mark.parametrize("size", [(1, 1), (17, 3), (16, 16)])
def test_few_voxels_and_odd_images_equal_the_twin(octree: Octree, size: tuple[int, int]) -> None:
    assert_picture(octree, camera_at((0.8, 0.7, -1.4), (0.25, 0.25, 0.25), size=size), checks=True)


@pytest.mark.parametrize("view", ["outside", "inside a voxel"])
@pytest.mark.parametrize("eight", [False, True])
def test_no_access_is_out_of_bounds_and_no_thread_races(view: str, eight: bool) -> None:
    assert_picture(mixed_octree(), VIEWS[view], eight, 2, checks=True)


def test_more_voxels_in_a_tile_than_a_batch_are_blended() -> None:
    octree = Octree.dense(3)
    assert_picture(octree, camera_at((0.1, 0.05, -9.0), size=(16, 16), fov=0.12), low=-9.0, high=-7.0)


@pytest.mark.parametrize("eight", [False, True])
def test_the_picture_without_fields_or_with_depth_alone_is_the_same_bits(eight: bool) -> None:
    octree, camera = mixed_octree(), VIEWS["outside"]
    densities, colours = (t.float() for t in field_of(octree, eight))
    table = host_table(octree, checks=True)
    lists = build_lists(table, camera)
    pack(table, lists, densities, colours)
    image, planes = render_lists(table, lists, 2, fields=True)
    assert torch.equal(render_lists(table, lists, 2)[0], image)
    alone, depth = render_lists(table, lists, 2, depth=True)
    assert torch.equal(alone, image) and torch.equal(depth, planes[:1])


# --- gradients --------------------------------------------------------------------------------------------------------


def outcome(out: RasterOutput, seed: int = 3) -> Tensor:
    """Return a scalar in which every pixel of every differentiable output has its own share."""
    random = torch.Generator().manual_seed(seed)

    def shares(like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=random, dtype=torch.float64).to(like.dtype) - 0.3

    return sum((field * shares(field)).sum() for field in (out.rgb, out.trans, out.depth_z))


def assert_gradients(
    octree: Octree,
    camera: Camera,
    eight: bool = False,
    samples: int = 1,
    checks: bool = False,
    **field: float,
) -> None:
    inputs = [*field_of(octree, eight, **field), BACKGROUND]
    exact_inputs = [t.clone().requires_grad_() for t in inputs]
    picture = twin(octree, *exact_inputs[:2], camera, background=exact_inputs[2], samples_per_voxel=samples)
    exact = torch.autograd.grad(outcome(picture), exact_inputs)
    single = [t.float().requires_grad_() for t in inputs]
    fields = rasterize_fields(*single, octree, camera, samples, host_table(octree, checks))
    got = torch.autograd.grad(outcome(RasterOutput(*fields)), single)
    for name, a, b in zip(("densities", "colours", "background"), got, exact, strict=True):
        assert float(b.abs().max()) > 0.0
        assert worst(a, b) < GRADIENT * float(b.abs().max()), name


@pytest.fixture(params=[False, True], ids=["atomics", "ordered"])
def ordered(request: pytest.FixtureRequest) -> bool:
    torch.use_deterministic_algorithms(request.param)
    yield request.param
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("samples", "eight"), MODES)
@pytest.mark.parametrize("view", ["outside", "inside a voxel", "orthographic", "near plane cuts"])
def test_gradients_equal_the_twin(view: str, samples: int, eight: bool, ordered: bool) -> None:
    assert_gradients(mixed_octree(), VIEWS[view], eight, samples)


def test_gradients_of_one_voxel_equal_the_twin(ordered: bool) -> None:
    assert_gradients(one_voxel(), camera_at((0.8, 0.7, -1.4), (0.25, 0.25, 0.25)), True, 3)


def test_gradients_of_more_voxels_than_a_batch_equal_the_twin(ordered: bool) -> None:
    camera = camera_at((0.1, 0.05, -9.0), size=(16, 16), fov=0.12)
    assert_gradients(Octree.dense(3), camera, low=-9.0, high=-7.0)


def test_gradients_above_the_knee_of_the_activation_equal_the_twin(ordered: bool) -> None:
    """Fine voxels: their optical depth is not yet saturated where the raw density counts linearly."""
    cells = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    octree = Octree.from_leaves(path_from_ijk(LATTICE // 2 + (cells << 6)), np.full(27, 10))
    camera = camera_at((0.012, 0.009, -0.03), (0.0015, 0.0015, 0.0015), size=(24, 20), fov=0.2)
    assert_gradients(octree, camera, low=0.6, high=4.0)


def test_a_voxel_at_the_largest_alpha_has_no_gradient_of_density(ordered: bool) -> None:
    camera = camera_at((0.8, 0.7, -1.4), (0.25, 0.25, 0.25), size=(8, 8), fov=0.02)
    inputs = [
        t.float().requires_grad_() for t in (*field_of(one_voxel(), low=900.0, high=1000.0), BACKGROUND)
    ]
    fields = rasterize_fields(*inputs, one_voxel(), camera, 1, host_table(one_voxel()))
    picture = RasterOutput(*fields)
    assert torch.allclose(picture.trans, torch.tensor(1.0 - MAX_ALPHA), rtol=0.01)
    density, colours, _ = torch.autograd.grad(outcome(picture), inputs)
    assert not density.any() and colours.all()


@pytest.mark.parametrize("eight", [False, True])
def test_the_way_back_stays_in_bounds_and_does_not_race(eight: bool, ordered: bool) -> None:
    assert_gradients(mixed_octree(), VIEWS["outside"], eight, 2, checks=True)


def test_ordered_gradients_are_the_same_bits_in_any_order_of_blocks_and_threads() -> None:
    octree, camera, runs = mixed_octree(), VIEWS["outside"], []
    torch.use_deterministic_algorithms(True)
    try:
        for seed in (0, 1, 2):
            inputs = [t.float().requires_grad_() for t in (*field_of(octree, True), BACKGROUND)]
            fields = rasterize_fields(*inputs, octree, camera, 2, host_table(octree, seed=seed))
            runs.append(torch.autograd.grad(outcome(RasterOutput(*fields)), inputs))
    finally:
        torch.use_deterministic_algorithms(False)
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))
