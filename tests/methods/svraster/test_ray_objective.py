# SPDX-License-Identifier: MIT
"""Steps on rays: they learn what pictures teach, take turns with them, resume exactly, and honour masks and exposure."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engine.cpu.crew import crew, set_threads
from engine.datasets.scene import Scene, Split
from engine.errors import UserError
from engine.methods.svraster import SVRaster
from engine.methods.svraster.ray_objective import VIEWS, survey
from tests.methods.test_svraster import Pictures, config, held_out, make_scene

RAYS = {
    "objective__kind": "rays",
    "objective__rays_per_step": 1_024,
    "objective__fine_samples": 4,
    "schedule__supersample_from": 1_000,
}


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene()


def trained(scene: Scene, steps: int, seed: int = 1, **values: object) -> SVRaster:
    """Return a model after some steps, on rays unless `values` say otherwise."""
    method = SVRaster(scene, config(**(RAYS | values)), seed=seed)
    for _ in range(steps):
        method.train_step()
    return method


def same(one: SVRaster, other: SVRaster) -> None:
    """Assert that two models are equal bit by bit."""
    for (name, a), (_, b) in zip(one.state()[0].items(), other.state()[0].items(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_rays_learn_views_they_have_not_seen_and_drop_empty_space(scene: Scene) -> None:
    method = trained(scene, 80)
    assert held_out(method) > 24.5  # 26.3 seen; pictures reach 26.5
    assert method.structure().occupancy < 0.3


def test_objectives_take_turns_and_each_goes_on_improving(scene: Scene) -> None:
    method = trained(scene, 0, adapt__until_step=30)
    quality = [held_out(method)]
    for kind, steps in (("raster", 20), ("rays", 30), ("raster", 30)):
        method.set_options({"objective.kind": kind})
        for _ in range(steps):
            report = method.train_step()
        quality.append(held_out(method))
        assert np.isfinite(report.psnr)
    assert quality == sorted(quality), quality
    assert quality[-1] > 25.0
    assert int(method.field.sh_age.max()) > 60  # the same Adam rows all along


def test_resuming_on_rays_continues_exactly(scene: Scene) -> None:
    whole = trained(scene, 60)
    half = trained(scene, 40)
    tensors, header = half.state()
    other = trained(scene, 0, seed=9)
    other.load_state({name: array.copy() for name, array in tensors.items()}, header)
    for _ in range(20):
        other.train_step()
    same(whole, other)


def test_any_number_of_threads_takes_the_same_steps(scene: Scene) -> None:
    one, threads = trained(scene, 30), crew().n
    try:
        set_threads(3)
        same(one, trained(scene, 30))
    finally:
        set_threads(threads)


def test_a_step_draws_from_several_views_and_none_that_is_left_out(scene: Scene) -> None:
    method = trained(scene, 0)
    method.exclude(frozenset({0, 3, 5}))
    for _ in range(3):
        report = method.train_step()
        views = [report.view, *(view for view, _ in report.others)]
        assert len(set(views)) == len(views) == min(VIEWS, 13)
        assert not {0, 3, 5} & set(views)
    assert np.isnan(method.errors.of(3)).all()
    assert np.isfinite(method.errors.of(1)).any()


def test_before_pruning_every_view_is_looked_through(scene: Scene) -> None:
    method = trained(scene, 25, adapt__every_steps=1_000)
    sampled = method.field.heaviest.copy()
    survey(method)
    heaviest = method.field.heaviest
    assert (heaviest >= sampled).all() and (heaviest > sampled + 0.05).sum() > 100
    assert method.window_views == len(scene.train)
    before = len(method.octree)
    method.set_options({"adapt.every_steps": 26})
    assert [method.train_step().adapted for _ in range(2)][1].pruned > 0.3 * before


class HalfMasked(Pictures):
    """Every photo's left half is covered, and black there."""

    def load(self, index: int) -> np.ndarray:
        image = self.images[index].copy()
        image[:, : image.shape[1] // 2] = 0.0
        return image

    def load_mask(self, index: int) -> np.ndarray:
        mask = np.full(self.images[index].shape[:2], 255, dtype=np.uint8)
        mask[:, : mask.shape[1] // 2] = 0
        return mask


def test_what_a_mask_covers_is_not_learned_from_rays(scene: Scene) -> None:
    masked = dataclasses.replace(scene, train=Split(scene.train.views, HalfMasked(scene.train.images.images)))
    method = trained(masked, 60)
    assert held_out(method) > 22.0  # black halves, learned, give 5 dB


def test_exposures_are_fitted_on_the_way(scene: Scene) -> None:
    darker = [image * (0.7 if k % 2 else 1.0) for k, image in enumerate(scene.train.images.images)]
    drifting = dataclasses.replace(scene, train=Split(scene.train.views, Pictures(darker)))
    method = trained(drifting, 60, exposure__on=True, exposure__from_step=20, exposure__every_steps=8)
    gain = method.exposure.gain.mean(axis=1)
    assert (method.exposure.fitted_at >= 20).all()
    assert 0.6 < gain[1::2].mean() / gain[::2].mean() < 0.85


def test_pictures_feed_the_error_map_too(scene: Scene) -> None:
    method = trained(scene, 40, objective__kind="raster", adapt__until_step=0)
    method.set_options({"rates.density": 0.0, "rates.sh0": 0.0, "rates.shs": 0.0})
    for _ in range(6 * len(scene.train)):  # nothing moves any more, and the map finds out how it is
        method.train_step()
    squared = ((method.render(scene.train.views[2].camera).rgb - scene.train.images.load(2)) ** 2).mean(
        axis=2
    )
    tiles = squared.reshape(3, 16, 3, 16).mean(axis=(1, 3))  # one ray a pixel: a tile is two blocks wide
    np.testing.assert_allclose(method.errors.of(2), np.kron(tiles, np.ones((2, 2))), rtol=0.02, atol=1e-5)


def test_total_variation_and_a_learned_background_work_on_rays() -> None:
    method = trained(make_scene(background="learned"), 60, losses__total_variation=1e-3)
    assert np.abs(method.background - 1.0).max() < 0.25  # white, from grey


def test_a_graphics_card_says_that_it_takes_no_rays(scene: Scene) -> None:
    method = trained(scene, 0)
    method.card = "a card"
    with pytest.raises(UserError, match=r"objective\.kind=rays"):
        method.train_step()
    assert method.step == 0
