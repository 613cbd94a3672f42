# SPDX-License-Identifier: MIT
"""The public rasteriser: float32 kernels against the float64 twin, pictures and gradients, for views that are hard."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.cpu.crew import crew, set_threads
from engine.octree import Octree
from engine.reference.rasterize import rasterize as twin
from engine.render.output import RasterOutput
from engine.render.rasterize import rasterize
from tests.cpu.scenes import VIEWS, camera_at, empty_octree, field_of, mixed_octree, one_voxel

# Three times the worst seen over all cases here. Most of it is single contributions within float32 rounding of MIN_ALPHA,
# which one side takes and the other skips: 1e-5 each.
PICTURE = 2.5e-5  # 7.7e-6 seen
DEPTH = 4e-5  # 1.4e-5 seen
MEDIAN = 3e-5  # 1.1e-5 seen
WEIGHT = 1e-5  # 3.4e-6 seen
DENSE = 4.0  # times as much where an optical depth of thousands per unit multiplies the rounding of a short segment
GRADIENT = 2e-5  # of the largest entry; 5e-6 seen
SLOPE = 1e-4  # of a finite difference

MODES = [(1, False), (3, False), (1, True), (2, True)]  # samples per voxel, eight colours a voxel
BACKGROUND = torch.tensor([0.2, 0.7, 0.4], dtype=torch.float64)


def both(
    octree: Octree, camera: Camera, eight: bool = False, samples: int = 1, **field: float
) -> tuple[RasterOutput, RasterOutput]:
    """Return the kernels' and the twin's output of a random field."""
    densities, colours = field_of(octree, eight, **field)
    options = {"background": BACKGROUND, "samples_per_voxel": samples}
    exact = twin(octree, densities, colours, camera, **options)
    return rasterize(octree, densities.float(), colours.float(), camera, **options), exact


def worst(got: Tensor, exact: Tensor) -> float:
    """Return the largest difference, 0 for empty tensors."""
    assert got.shape == exact.shape
    return float((got.double() - exact.double()).abs().max()) if got.numel() else 0.0


def assert_same(got: RasterOutput, exact: RasterOutput, margin: float = 1.0) -> None:
    assert worst(got.rgb, exact.rgb) < PICTURE * margin
    assert worst(got.trans, exact.trans) < PICTURE * margin
    assert worst(got.depth_z, exact.depth_z) < DEPTH * margin
    assert worst(got.normal, exact.normal) < PICTURE * margin
    assert worst(got.max_weight, exact.max_weight) < WEIGHT * margin
    # a ray through an edge, or an alpha at the threshold, may count one voxel more or less
    assert (got.count - exact.count).abs().max() <= 1
    assert (got.count != exact.count).double().mean() < 0.02
    crosses = (exact.trans - 0.5).abs() > 1e-4
    assert worst(got.depth_median[crosses], exact.depth_median[crosses]) < MEDIAN


# --- pictures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "eight"), MODES)
@pytest.mark.parametrize("view", VIEWS)
def test_every_output_equals_the_twin(view: str, samples: int, eight: bool) -> None:
    got, exact = both(mixed_octree(), VIEWS[view], eight, samples)
    assert 0.02 < exact.trans.mean() < 0.98
    assert_same(got, exact)


@pytest.mark.parametrize("view", ["outside", "inside a voxel", "orthographic from within"])
def test_shells_around_the_cube_equal_the_twin(view: str) -> None:
    octree = mixed_octree(outside_levels=2)
    assert octree.size.max() == 1.0 and octree.size.min() <= 0.125
    got, exact = both(octree, VIEWS[view], low=-10.0, high=-4.0)
    assert_same(got, exact)


def test_a_dense_field_stops_where_the_twin_stops() -> None:
    got, exact = both(mixed_octree(), VIEWS["outside"], low=0.0, high=9.0)
    assert exact.trans.min() < 1e-4
    assert_same(got, exact, margin=DENSE)


@pytest.mark.parametrize("octree", [empty_octree(), one_voxel()], ids=["no voxel", "one voxel"])
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 33)])
def test_few_voxels_and_odd_images_equal_the_twin(octree: Octree, size: tuple[int, int]) -> None:
    got, exact = both(
        octree, camera_at((0.25, 0.2, -1.0), (0.25, 0.25, 0.0), size=size, fov=0.6), low=-5.0, high=-2.0
    )
    assert_same(got, exact)
    assert (exact.count.max() > 0) == (len(octree) > 0)


def test_a_camera_that_looks_away_sees_the_background() -> None:
    got, _ = both(mixed_octree(), camera_at((0.0, 0.0, -1.0), (0.0, 0.0, -2.0)))
    assert torch.equal(got.rgb, BACKGROUND.float().expand_as(got.rgb)) and got.count.max() == 0


# --- gradients ----------------------------------------------------------------------------------------------------


def gradients(
    render: object, octree: Octree, camera: Camera, inputs: list[Tensor], seed: int = 1, **options: object
) -> list[Tensor]:
    """Return the gradients of densities, colours, background of random sums of rgb, trans and depth."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    output = render(octree, leaves[0], leaves[1], camera, background=leaves[2], **options)
    generator = torch.Generator().manual_seed(seed)
    loss = sum(
        (field * torch.randn(field.shape, generator=generator, dtype=torch.float64).to(field.dtype)).sum()
        for field in (output.rgb, output.trans, output.depth_z)
    )
    return list(torch.autograd.grad(loss, leaves))


def assert_gradients_same(got: list[Tensor], exact: list[Tensor]) -> None:
    for name, a, b in zip(("densities", "colours", "background"), got, exact, strict=True):
        assert a.shape == b.shape, name
        if b.numel():
            assert b.abs().max() > 0.0, name
            assert worst(a, b) < GRADIENT * float(b.abs().max()), name


@pytest.mark.parametrize(("samples", "eight"), MODES)
@pytest.mark.parametrize("view", VIEWS)
def test_gradients_equal_the_twin(view: str, samples: int, eight: bool) -> None:
    octree = mixed_octree()
    inputs = [*field_of(octree, eight), BACKGROUND]
    exact = gradients(twin, octree, VIEWS[view], inputs, samples_per_voxel=samples)
    got = gradients(rasterize, octree, VIEWS[view], [t.float() for t in inputs], samples_per_voxel=samples)
    assert_gradients_same(got, exact)


@pytest.mark.parametrize("octree", [empty_octree(), one_voxel()], ids=["no voxel", "one voxel"])
def test_gradients_of_few_voxels_equal_the_twin(octree: Octree) -> None:
    camera = camera_at((0.25, 0.2, -1.0), (0.25, 0.25, 0.0), size=(17, 5), fov=0.6)
    inputs = [*field_of(octree, low=-5.0, high=-2.0), BACKGROUND]
    got = gradients(rasterize, octree, camera, [t.float() for t in inputs])
    assert_gradients_same(got, gradients(twin, octree, camera, inputs))


def test_gradients_behind_a_full_voxel_equal_the_twin() -> None:
    octree = mixed_octree()
    inputs = [*field_of(octree, low=0.0, high=9.0), BACKGROUND]  # alphas at MAX_ALPHA, pixels that stop early
    got = gradients(rasterize, octree, VIEWS["outside"], [t.float() for t in inputs])
    assert_gradients_same(got, gradients(twin, octree, VIEWS["outside"], inputs))


def test_gradients_equal_finite_differences() -> None:
    octree, camera, step = mixed_octree(), camera_at((0.9, -0.7, -1.4), size=(9, 7)), 1e-5
    inputs = [*field_of(octree, low=-5.0, high=-3.0), BACKGROUND]
    exact = gradients(rasterize, octree, camera, [t.float() for t in inputs])
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(s, generator=generator, dtype=torch.float64) for s in ((7, 9, 3), (7, 9), (7, 9))]

    def value(*at: Tensor) -> float:
        out = twin(octree, at[0], at[1], camera, background=at[2])
        return float(
            sum((f * w).sum() for f, w in zip((out.rgb, out.trans, out.depth_z), weights, strict=True))
        )

    for which, gradient in enumerate(exact):
        for entry in gradient.flatten().abs().topk(2).indices.tolist():
            ends = []
            for side in (-step, step):
                moved = [t.clone() for t in inputs]
                moved[which].view(-1)[entry] += side
                ends.append(value(*moved))
            slope = (ends[1] - ends[0]) / (2 * step)
            assert abs(slope - float(gradient.flatten()[entry])) < SLOPE * abs(slope)


def test_only_the_stated_outputs_carry_a_gradient() -> None:
    octree = mixed_octree()
    densities, colours = (t.float().requires_grad_() for t in field_of(octree))
    out = rasterize(octree, densities, colours, VIEWS["outside"])
    carries = {name for name, field in vars(out).items() if field is not None and field.requires_grad}
    assert carries == {"rgb", "trans", "depth_z"}


def test_the_same_bits_come_from_any_number_of_threads() -> None:
    octree, hired, runs = mixed_octree(outside_levels=1), crew().n, []
    inputs = [t.float() for t in (*field_of(octree, eight=True), BACKGROUND)]
    camera = camera_at((0.9, -0.7, -1.4), size=(48, 40))
    try:
        for threads in (1, 2, 3):
            set_threads(threads)
            out = rasterize(octree, inputs[0], inputs[1], camera, background=inputs[2], samples_per_voxel=2)
            fields = [field for field in vars(out).values() if field is not None]
            runs.append([*fields, *gradients(rasterize, octree, camera, inputs, samples_per_voxel=2)])
    finally:
        set_threads(hired)
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))


# --- several rays a pixel -----------------------------------------------------------------------------------------


def block_means(field: Tensor, supersample: float) -> Tensor:
    """Return the means of 2 x 2 pixels, or of 1.5 x 1.5: 3 x 3 of a picture doubled in size."""
    n = int(supersample) if supersample.is_integer() else 3
    fine = field if supersample.is_integer() else field.repeat_interleave(2, 0).repeat_interleave(2, 1)
    rows, columns = fine.shape[0] // n, fine.shape[1] // n
    return fine.reshape(rows, n, columns, n, -1).mean(dim=(1, 3)).squeeze(-1)


def averaged_twin(
    octree: Octree, densities: Tensor, colours: Tensor, camera: Camera, **options: object
) -> RasterOutput:
    """Return the twin's means over a camera's finer pixels."""
    supersample = options.pop("supersample")
    out = twin(octree, densities, colours, camera.scaled(supersample), **options)
    means = {
        name: block_means(field.to(densities.dtype), supersample)
        for name, field in vars(out).items()
        if name != "max_weight"
    }
    return RasterOutput(max_weight=out.max_weight, **means)


@pytest.mark.parametrize("supersample", [2.0, 1.5])
def test_supersampling_averages_finer_pixels(supersample: float) -> None:
    octree, camera = mixed_octree(), camera_at((0.9, -0.7, -1.4), size=(24, 18))
    inputs = [*field_of(octree), BACKGROUND]
    singles = [t.float() for t in inputs]
    got = rasterize(octree, singles[0], singles[1], camera, background=singles[2], supersample=supersample)
    exact = averaged_twin(octree, inputs[0], inputs[1], camera, background=inputs[2], supersample=supersample)
    assert worst(got.rgb, exact.rgb) < PICTURE and worst(got.trans, exact.trans) < PICTURE
    assert worst(got.depth_z, exact.depth_z) < DEPTH and worst(got.depth_median, exact.depth_median) < MEDIAN
    assert worst(got.normal, exact.normal) < PICTURE and worst(got.count, exact.count) < 1e-4
    assert worst(got.max_weight, exact.max_weight) < WEIGHT
    assert_gradients_same(
        gradients(rasterize, octree, camera, singles, supersample=supersample),
        gradients(averaged_twin, octree, camera, inputs, supersample=supersample),
    )


def test_float64_runs_the_twin() -> None:
    octree = mixed_octree()
    densities, colours = field_of(octree)
    out = rasterize(octree, densities, colours, VIEWS["outside"], background=0.5)
    exact = twin(octree, densities, colours, VIEWS["outside"], background=torch.full((3,), 0.5).double())
    assert torch.equal(out.rgb, exact.rgb) and out.rgb.dtype == torch.float64


# --- wrong arguments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"densities": torch.zeros(9)}, r"densities must have shape \[8\], got \[9\]"),
        ({"densities": torch.zeros(8, 1)}, r"densities must have shape \[8\], got \[8, 1\]"),
        ({"colours": torch.zeros(1, 4)}, r"colours must have shape \[1, 3\], got \[1, 4\]"),
        ({"colours": torch.zeros(1, 7, 3)}, r"colours must have shape \[1, 8, 3\], got \[1, 7, 3\]"),
        ({"background": torch.zeros(4)}, r"background must be one value or \[3\], got \[4\]"),
        ({"samples_per_voxel": 4}, "must be 1, 2 or 3, got 4"),
        ({"supersample": 0.0}, "must be above 0, got 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(changes: dict, message: str) -> None:
    arguments = {"densities": torch.zeros(8), "colours": torch.zeros(1, 3)} | changes
    with pytest.raises(ValueError, match=message) as caught:
        rasterize(one_voxel(), camera=VIEWS["outside"], **arguments)
    text = str(caught.value)
    assert text.startswith("rasterize(): ") and text.endswith(".") and "\n" not in text
