# SPDX-License-Identifier: MIT
"""Looking into SVRaster's structure and changing it by regions: against models without the voxels, the twin, brute force."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from engine.constants import DENSITY_SCALE, MAX_ALPHA, MIN_ALPHA
from engine.cpu.crew import crew
from engine.cpu.voxel_values import count_bins
from engine.errors import UserError
from engine.methods.common import NO_COLOUR, VALUE_MODES
from engine.methods.svraster import SVRaster
from engine.methods.svraster.pick import exp_linear, ray_of_pixel
from engine.methods.svraster.voxel_values import values_of
from engine.reference.rasterize import rasterize
from engine.region import EVERYTHING, Region, Shown, Slice
from tests.methods.test_svraster import config, make_scene

BOX = Region.between((-0.1, -0.5, -0.5), (0.5, 0.5, 0.5))
WANT = frozenset({"depth_z", "normal", "count", "level", "density"})
TWIN = 2e-4  # of the largest value, float32 against float64; 2e-5 seen
CHOICES = [
    Shown(levels=(5,)),
    Shown(crop=BOX),
    Shown(crop=BOX, crop_outside=True),
    Shown(slice=Slice((0.0, 0.0, 0.0), (0.0, 1.0, 1.0), 0.1)),
    Shown(levels=(16,)),
]


@pytest.fixture(scope="module")
def trained() -> SVRaster:
    method = SVRaster(make_scene(8), config(), seed=1)
    for _ in range(60):
        method.train_step()
    return method


def copy_of(method: SVRaster) -> SVRaster:
    other = SVRaster(method.scene, method.config, method.seed)
    other.load_state(*method.state())
    return other


def camera(method: SVRaster) -> object:
    return method.scene.test.views[0].camera


@pytest.mark.parametrize("shown", CHOICES, ids=["levels", "crop", "around", "slab", "nothing"])
def test_what_is_hidden_looks_as_if_it_had_been_deleted(trained: SVRaster, shown: Shown) -> None:
    seen = trained.render(camera(trained), WANT, shown=shown)
    keep = shown.mask(trained.octree.center, trained.octree.level)
    if not keep.any():
        assert (seen.trans == 1.0).all()
        return
    other = copy_of(trained)
    other.move_to(*other.octree.keep(keep))
    alone = other.render(camera(trained), WANT)
    for name in ("rgb", "trans", "depth_z", "normal", "count", "level", "value"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(alone, name), err_msg=name)


def test_hiding_changes_no_later_picture_and_no_step(trained: SVRaster) -> None:
    one, two = copy_of(trained), copy_of(trained)
    one.render(camera(one), shown=CHOICES[1])
    for method in (one, two):
        method.train_step()
    np.testing.assert_array_equal(one.render(camera(one)).rgb, two.render(camera(two)).rgb)


@pytest.mark.parametrize("name", VALUE_MODES)
def test_a_number_of_voxels_is_drawn_as_the_twin_blends_it(trained: SVRaster, name: str) -> None:
    small = camera(trained).resized(16, 16)
    seen = trained.render(small, frozenset({name}), supersample=1.0)
    value = torch.from_numpy(values_of(trained, name).astype(np.float64))
    density = torch.from_numpy(trained.field.density.astype(np.float64))
    out = rasterize(
        trained.octree, density, value[:, None].expand(-1, 3), small,
        background=torch.zeros(3, dtype=torch.float64), samples_per_voxel=trained.config.model.samples_per_voxel,
    )  # fmt: skip
    blended = out.rgb[..., 0].numpy() / np.maximum(1.0 - out.trans.numpy(), 1e-6)
    np.testing.assert_allclose(seen.value, blended, atol=TWIN * blended.max())


@pytest.mark.parametrize("names", [{"density"}, {"level", "depth_z"}, {"size", "normal", "weight"}])
def test_numbers_are_the_same_where_nobody_looks_at_colours(trained: SVRaster, names: set[str]) -> None:
    both, alone = (
        trained.render(camera(trained), frozenset(names | extra)) for extra in (set(), {NO_COLOUR})
    )
    for name in ("trans", "level", "size", "value", "depth_z", "normal"):
        mine, its = getattr(alone, name), getattr(both, name)
        assert (mine is None) == (its is None)
        if mine is not None:
            np.testing.assert_array_equal(mine, its, err_msg=name)


def test_age_counts_from_when_a_voxel_was_made(trained: SVRaster) -> None:
    method = copy_of(trained)
    ages = values_of(method, "age")
    assert set(np.unique(ages)) <= {60.0, 36.0, 12.0}, "made at the start, or split at step 24 or 48"
    path, old = method.octree.path.copy(), method.born.copy()
    method.inspection.subdivide(Region.between((0.0, -0.1, -0.1), (0.2, 0.1, 0.1)))
    same = np.isin(method.octree.path, path) & (method.octree.level <= method.octree.level.max())
    fresh = method.born == 60
    assert fresh.any() and set(np.unique(method.born[~fresh])) <= set(np.unique(old)) and same.any()
    other = copy_of(method)
    np.testing.assert_array_equal(other.born, method.born)


def test_a_checkpoint_of_earlier_versions_is_as_old_as_its_run(trained: SVRaster) -> None:
    tensors, header = trained.state()
    del tensors["born"], header["train_region"]
    other = SVRaster(trained.scene, trained.config, 1)
    other.load_state(tensors, header)
    assert (values_of(other, "age") == 60.0).all()


def test_a_voxel_is_picked_that_brute_force_finds_heaviest(trained: SVRaster) -> None:
    octree, density, view = trained.octree, trained.field.density.astype(np.float64), camera(trained)
    low, size = (
        (octree.center - 0.5 * octree.size[:, None]).astype(np.float64),
        octree.size.astype(np.float64),
    )
    found = 0
    for x, y in np.random.default_rng(0).uniform(12, 36, (20, 2)):
        origin, direction, near = ray_of_pixel(view, x, y)
        walls = np.stack([(low - origin) / direction, (low + size[:, None] - origin) / direction])
        enter, leave = np.maximum(walls.min(axis=0).max(axis=1), near), walls.max(axis=0).min(axis=1)
        on = np.flatnonzero(leave > enter)
        on = on[np.argsort(enter[on])]
        # a corner's weight in the middle of the segment
        q = (origin + 0.5 * (enter + leave)[on, None] * direction - low[on]) / size[on, None]
        raw = np.zeros(len(on))
        for corner in range(8):
            side = np.array([corner >> 2, corner >> 1 & 1, corner & 1])
            raw += density[octree.corner_idx[on, corner]] * np.where(side, q, 1.0 - q).prod(axis=1)
        alpha = np.minimum(-np.expm1(-DENSITY_SCALE * exp_linear(raw) * (leave - enter)[on]), MAX_ALPHA)
        alpha[alpha < MIN_ALPHA] = 0.0
        weight = alpha * np.concatenate([[1.0], np.cumprod(1.0 - alpha)[:-1]])
        picked = trained.inspection.pick(view, x, y, EVERYTHING)
        if weight.max(initial=0.0) < 1e-3:
            continue
        found += 1
        assert (picked.index, picked.level) == (on[weight.argmax()], octree.level[on[weight.argmax()]])
        assert picked.contribution == pytest.approx(weight.max(), abs=1e-6)
        assert picked.depth == pytest.approx(enter[picked.index])
    assert found >= 5


def test_picking_passes_over_what_is_hidden_and_finds_nothing_in_the_void(trained: SVRaster) -> None:
    seen = trained.inspection.pick(camera(trained), 24.5, 24.5, EVERYTHING)
    hidden = Shown(crop=Region(seen.centre, (seen.edge, seen.edge, seen.edge)), crop_outside=True)
    behind = trained.inspection.pick(camera(trained), 24.5, 24.5, hidden)
    assert behind is None or behind.index != seen.index
    assert trained.inspection.pick(camera(trained), 24.5, 24.5, Shown(levels=(16,))) is None


def test_the_preview_shows_the_boxes_that_would_change(trained: SVRaster) -> None:
    method = copy_of(trained)
    threshold = np.quantile(values_of(method, "weight"), 0.2)
    method.use(dataclasses.replace(method.config, adapt=dataclasses.replace(
        method.config.adapt, prune_start=float(threshold), prune_threshold=float(threshold))))  # fmt: skip
    report, prune, split = method.inspection.preview(1_000_000, None)
    assert 0 < report.pruned == len(prune) and 0 < report.split == len(split)
    assert report == method.preview_adapt()
    before = {tuple(box) for box in method.boxes(tuple(range(17)), 1_000_000).tolist()}
    assert method.prune_now().pruned == report.pruned
    after = {tuple(box) for box in method.boxes(tuple(range(17)), 1_000_000).tolist()}
    assert before - after == {tuple(box) for box in prune.tolist()}
    _, _, few = method.inspection.preview(7, BOX)
    assert len(few) == 7 and BOX.contains(few[:, :3]).all()


def test_deleting_a_region_leaves_its_surroundings_alone_and_the_other_way_round(trained: SVRaster) -> None:
    inside = int(BOX.contains(trained.octree.center).sum())
    for outside in (False, True):
        method = copy_of(trained)
        report = method.inspection.delete(BOX, outside)
        left = BOX.contains(method.octree.center)
        assert left.all() if outside else not left.any()
        assert len(left) == (inside if outside else report.before - inside) == report.after


def test_a_region_is_split_once_within_the_budget(trained: SVRaster) -> None:
    method = copy_of(trained)
    small = Region.between((0.0, -0.1, -0.1), (0.2, 0.1, 0.1))
    inside = small.contains(method.octree.center)
    report = method.inspection.subdivide(small)
    assert report.split == inside.sum() > 0 and report.after == len(inside) + 7 * report.split
    with pytest.raises(UserError, match="budget is 20,000"):
        method.inspection.subdivide(Region((0, 0, 0), (0.5, 0.5, 0.5)))
    assert len(method.octree) == report.after


def test_a_region_without_voxels_is_refused(trained: SVRaster) -> None:
    empty = Region((0.49, 0.49, 0.49), (1e-3, 1e-3, 1e-3))
    for change in (
        lambda tools: tools.subdivide(empty),
        lambda tools: tools.delete(empty, True),
        lambda tools: tools.set_train_region(empty),
    ):
        with pytest.raises(UserError, match="no voxel"):
            change(trained.inspection)


def test_histograms_count_every_voxel_of_their_levels_once(trained: SVRaster) -> None:
    level = trained.octree.level
    for histogram in trained.inspection.details((4, 5)):
        assert histogram.counts.sum(axis=1).tolist() == [int((level == 4).sum()), int((level == 5).sum())]
        assert len(histogram.edges) == 65 and (np.diff(histogram.edges) > 0).all()
    names = {histogram.name for histogram in trained.inspection.details((5,))}
    assert names == set(VALUE_MODES)


@pytest.mark.parametrize("top", [1.0, 300.0])
def test_bins_are_numpys(top: float) -> None:
    rng = np.random.default_rng(5)
    values = (top * rng.random(5_000) ** 8).astype(np.float32)
    values[:3] = 0.0, top, 1e-30
    edges = np.geomspace(1e-6 * top, top, 65).astype(np.float32)
    row = np.where(np.arange(17) == 4, 0, -1)
    level = np.where(np.arange(5_000) % 5, 4, 3).astype(np.int8)
    counts = count_bins(values, level, row, 1, edges, crew())
    mine = np.clip(values[level == 4], edges[0], edges[-1])
    np.testing.assert_array_equal(counts[0], np.histogram(mine, edges)[0])


def test_a_model_at_rest_shows_what_it_still_knows(trained: SVRaster) -> None:
    method = copy_of(trained)
    method.rest()
    assert method.render(camera(method), frozenset({"density"})).value.max() > 0.0
    assert method.render(camera(method), frozenset({"priority"})).value is None
    assert method.inspection.pick(camera(method), 24.5, 24.5, EVERYTHING).weight is None
    assert {h.name for h in method.inspection.details((5,))} == {"density", "age"}
