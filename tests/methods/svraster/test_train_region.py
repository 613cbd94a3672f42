# SPDX-License-Identifier: MIT
"""Training only a region: inside it learns, outside keeps its bits, through structure changes, checkpoints and back."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cpu.shade import sh_rows
from engine.errors import UserError
from engine.methods.svraster import SVRaster
from engine.methods.svraster.train_region import TrainRegion
from engine.region import Region
from tests.methods.test_svraster import config, make_scene

HALF = Region.between((-0.05, -0.5, -0.5), (0.5, 0.5, 0.5))
CORNER = Region((0.49, 0.49, 0.49), (1e-3, 1e-3, 1e-3))


def trained(steps: int = 30, **values: object) -> SVRaster:
    method = SVRaster(make_scene(8), config(**values), seed=1)
    for _ in range(steps):
        method.train_step()
    return method


def looks(method: SVRaster, region: Region) -> dict[tuple[int, int], bytes]:
    """Return what is drawn of each voxel outside a region: its coefficients and corner densities, by path and level."""
    octree = method.octree
    rows, corners = sh_rows(method.field.sh, len(octree)), method.field.density[octree.corner_idx]
    outside = np.flatnonzero(~region.contains(octree.center))
    return {
        (int(octree.path[v]), int(octree.level[v])): rows[v].tobytes() + corners[v].tobytes() for v in outside
    }


@pytest.mark.parametrize("values", [{}, {"objective__views_per_step": 2}, {"losses__ssim": 0.1}])
def test_outside_the_region_every_bit_stays_while_inside_learns(values: dict[str, object]) -> None:
    method = trained(**values)
    before = looks(method, HALF)
    density, background = method.field.density.copy(), method.background.copy()
    method.inspection.set_train_region(HALF)
    reports = [method.train_step() for _ in range(30)]  # with a structure change at step 48
    assert any(report.adapted is not None and report.adapted.split for report in reports)
    # a voxel on the border may be split into children with their centres beyond it
    assert before.items() <= looks(method, HALF).items()
    assert len(method.field.density) != len(density) or (method.field.density != density).any()
    np.testing.assert_array_equal(method.background, background)
    assert np.mean([r.psnr for r in reports[-8:]]) > np.mean([r.psnr for r in reports[:8]])


def test_only_views_that_look_at_the_region_are_drawn() -> None:
    method = trained(2)
    method.inspection.set_train_region(HALF)
    method.region._views = [view in (1, 3) for view in range(8)]
    assert {method.train_step().view for _ in range(6)} == {1, 3}


def test_a_pixel_counts_where_its_ray_passes_the_region() -> None:
    method = trained(0)
    camera = method.scene.train.views[0].camera
    small = Region((0.1, 0.0, 0.0), (0.1, 0.2, 0.1))
    hit = TrainRegion(small, [camera]).pixels(0, camera.scaled(2.0), None, 2)
    origins, directions = camera.rays()
    assert (hit.shape, hit.dtype) == ((48, 48), np.uint8)
    np.testing.assert_array_equal(hit > 0, small.hit_by(origins, directions))
    assert 0 < (hit > 0).sum() < 48 * 48


def test_a_part_of_a_view_teaches_what_the_whole_view_would() -> None:
    small = Region((0.25, 0.0, 0.1), (0.08, 0.08, 0.08))
    models, sizes = [trained(20, schedule__half_until=0) for _ in range(2)], []
    for method, whole in zip(models, (False, True), strict=True):
        method.inspection.set_train_region(small)
        if whole:
            pixels = method.region.pixels
            method.region.part = lambda view, camera, target, mask, rays, pixels=pixels: (
                camera, target, pixels(view, camera, mask, rays),
            )  # fmt: skip
        sizes.append(method._look_at(1).terms.target.size)
        for _ in range(3):
            method.train_step()
    assert sizes[0] < sizes[1]
    part, full = (method.field.density for method in models)
    assert (full != trained(20, schedule__half_until=0).field.density).any()
    # Adam's first steps follow the signs of tiny gradients; sums are made in another order
    assert np.mean(np.abs(part - full) > 1e-3) < 1e-3


def test_a_checkpoint_goes_on_with_the_region() -> None:
    method = trained(10)
    method.inspection.set_train_region(HALF)
    method.train_step()
    other = SVRaster(method.scene, method.config, 1)
    other.load_state(*method.state())
    assert other.inspection.train_region == HALF
    for model in (method, other):
        model.train_step()
    np.testing.assert_array_equal(method.field.density, other.field.density)


def test_without_the_region_all_is_trained_again_and_nothing_unseen_is_pruned() -> None:
    method = trained(26)
    before = looks(method, HALF)
    method.inspection.set_train_region(HALF)
    for _ in range(24):  # with a structure change at step 48
        method.train_step()
    weights = method._weights_seen()[~HALF.contains(method.octree.center)]
    assert (weights > 0.0).mean() > 0.5, "what is outside is still known to be seen"
    method.inspection.set_train_region(None)
    assert method.inspection.train_region is None and before.items() <= looks(method, HALF).items()
    method.train_step()
    assert not before.items() <= looks(method, HALF).items()


def test_what_cannot_be_trained_alone_is_refused_in_one_sentence() -> None:
    method = trained(1)
    with pytest.raises(UserError, match="no voxel"):
        method.inspection.set_train_region(CORNER)
    away = Region((0.0, 0.0, 9.0), (0.1, 0.1, 0.1))
    with pytest.raises(UserError, match="No training view looks"):
        method.inspection.set_train_region(away)
    method.inspection.set_train_region(HALF)
    with pytest.raises(UserError, match="No other view looks"):
        method.exclude(method.region.views)
    with pytest.raises(UserError, match=r"objective\.kind=rays"):
        method.set_options({"objective.kind": "rays"})
    assert method.config.objective.kind == "raster"
