# SPDX-License-Identifier: MIT
"""Looking into a grid and changing it by regions: crops, picks, deletions, training a part alone."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import UserError
from engine.methods.common import CAPABILITIES
from engine.methods.plenoxels import Plenoxels, PlenoxelsConfig
from engine.methods.plenoxels.inspection import places_of
from engine.options import updated
from engine.region import EVERYTHING, Region, Shown, Slice
from tests.methods.plenoxels.boxes import BOXES
from tests.methods.plenoxels.test_model import QUICK, SCENE

RED = Region(BOXES[0][0], tuple(1.3 * h for h in BOXES[0][1]))
ALL = Region((0.0, 0.0, 0.0), (0.6, 0.6, 0.6))
CAMERA = SCENE.test.views[0].camera


def trained(steps: int = 80, **values: object) -> Plenoxels:
    chosen = QUICK | {name.replace("__", "."): value for name, value in values.items()}
    made = Plenoxels(SCENE, updated(PlenoxelsConfig(), chosen), 1)
    while made.step < steps:
        made.train_step()
    return made


@pytest.fixture(scope="module")
def model() -> Plenoxels:
    return trained()


def copy_of(model: Plenoxels) -> Plenoxels:
    other = Plenoxels(SCENE, model.config, 1)
    other.load_state(*model.state())
    return other


def test_what_it_can_and_cannot_do_is_said_in_sentences(model: Plenoxels) -> None:
    tools = model.inspection
    assert tools.can == frozenset(CAPABILITIES) - {"age", "weight", "priority", "subdivide_region"}
    assert all(sentence.endswith(".") for sentence in tools.cannot.values())
    with pytest.raises(UserError, match="one size"):
        tools.subdivide(RED)


def test_a_crop_around_everything_hides_nothing(model: Plenoxels) -> None:
    whole = model.render(CAMERA, frozenset({"depth_z"}))
    cropped = model.render(CAMERA, frozenset({"depth_z"}), shown=Shown(crop=ALL))
    np.testing.assert_array_equal(whole.rgb, cropped.rgb)
    np.testing.assert_array_equal(whole.depth_z, cropped.depth_z)
    level = model.structure().per_level.index(model.grid.n_voxels)
    assert (model.render(CAMERA, shown=Shown(levels=(level + 1,))).trans == 1.0).all()
    np.testing.assert_array_equal(model.render(CAMERA, shown=Shown(levels=(level,))).rgb, whole.rgb)


def test_a_crop_shows_only_what_rays_through_it_can_meet(model: Plenoxels) -> None:
    seen = model.render(CAMERA, shown=Shown(crop=RED))
    edge = model.cells().edge
    wider = Region(RED.centre, tuple(h + edge for h in RED.half))
    hit = wider.hit_by(*CAMERA.rays())
    assert (seen.trans[~hit] == 1.0).all() and seen.trans[hit].min() < 0.5
    cut = model.render(
        CAMERA, shown=Shown(slice=Slice(RED.centre, CAMERA.forward))
    )  # all that is behind is hidden
    assert cut.trans.mean() > model.render(CAMERA).trans.mean()


def test_densities_are_drawn_and_counted(model: Plenoxels) -> None:
    value = model.render(CAMERA, frozenset({"density"})).value
    assert 0.0 < value.max() <= model.grid.density.max() * 1.001
    (histogram,) = model.inspection.details((5,))
    assert histogram.counts.sum() == (model.grid.density > 0.0).sum()


def test_a_picked_cell_is_where_the_picture_has_its_depth_and_colour(model: Plenoxels) -> None:
    seen = model.render(CAMERA, frozenset({"depth_median"}))
    found = 0
    for row, column in np.argwhere(seen.trans < 0.05)[::40]:
        voxel = model.inspection.pick(CAMERA, column + 0.5, row + 0.5, EVERYTHING)
        towards = CAMERA.rays()[1][row, column] @ CAMERA.forward
        reach = seen.depth_median[row, column] / towards
        assert voxel.depth == pytest.approx(reach, abs=4.0 * voxel.edge)
        assert np.abs(np.array(voxel.colour) - seen.rgb[row, column]).max() < 0.35
        assert 0.0 < voxel.contribution <= voxel.alpha <= 1.0
        found += 1
    assert found > 5
    assert model.inspection.pick(CAMERA, 0.5, 0.5, Shown(levels=(9,))) is None


def test_what_a_region_holds_is_deleted_or_kept_alone(model: Plenoxels) -> None:
    inside = RED.contains(places_of(model.grid)).reshape(model.grid.links.shape) & (model.grid.links >= 0)
    for outside in (False, True):
        other = copy_of(model)
        report = other.inspection.delete(RED, outside)
        left = other.grid.links >= 0
        assert report.after == left.sum() == other.grid.n_voxels
        assert (left == (inside if outside else (model.grid.links >= 0) & ~inside)).all()
        other.train_step()


def test_pruning_a_region_drops_what_its_preview_shows() -> None:
    made, half = trained(50, prune__steps=""), Region.between((-0.6, -0.6, -0.6), (0.0, 0.6, 0.6))
    report, goes, _ = made.inspection.preview(1_000_000, half)
    assert report.pruned == len(goes) > 0 and half.contains(goes[:, :3]).all()
    assert made.inspection.preview(0, None)[0].pruned > report.pruned
    assert made.inspection.prune(half).pruned == report.pruned


def test_outside_a_region_trained_alone_every_value_keeps_its_bits() -> None:
    made = trained(62)
    made.inspection.set_train_region(RED)
    outside = ~RED.contains(places_of(made.grid)).reshape(made.grid.links.shape) & (made.grid.links >= 0)
    rows = made.grid.links[outside]
    density, sh, red = made.grid.density.copy(), made.grid.sh.copy(), np.setdiff1d(made.grid.links, rows)
    for _ in range(20):
        made.train_step()
    np.testing.assert_array_equal(made.grid.density[rows], density[rows])
    np.testing.assert_array_equal(made.grid.sh[rows], sh[rows])
    inside = red[red >= 0]
    assert (made.grid.density[inside] != density[inside]).mean() > 0.3
    other = copy_of(made)
    assert other.inspection.train_region == RED
    for each in (made, other):
        each.train_step()
    np.testing.assert_array_equal(made.grid.density, other.grid.density)
