# SPDX-License-Identifier: MIT
"""Rays of photos at several scales: how many of each, where they point, what they should see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cpu.crew import crew
from engine.methods.infnerf.config import PyramidOptions
from engine.methods.infnerf.photos import PyramidPhotos, pyramid_of
from engine.methods.infnerf.rays import footprint_of
from engine.node_tree import FOOTPRINT_RADIUS
from tests.methods.plenoxels.boxes import Pictures, boxes_scene

SCENE = boxes_scene()  # 64 x 64 pixels
RAYS = 40_000


def photos(scene=SCENE, **values: int) -> PyramidPhotos:
    return PyramidPhotos(scene.train, np.arange(len(scene.train)), PyramidOptions(smallest=8, **values))


def drawn(source: PyramidPhotos, rays: int = RAYS, steps: int = 60, emphasis: float = 1.0):
    rng = np.random.default_rng(3)
    for step in range(steps):  # a photo more with every step
        source.draw(rng, step, 16, crew())
    return source.draw(rng, steps, rays, crew(), emphasis)


@pytest.mark.parametrize("emphasis", [1.0, 2.0])
def test_every_scale_has_four_times_the_rays_of_the_next(emphasis: float) -> None:
    """Or as many fewer as coarse scales are given more."""
    batch = drawn(photos(), emphasis=emphasis)
    scale = np.round(np.log2(batch.footprint / footprint_of(SCENE.train.views[0].camera))).astype(int)
    counts = np.bincount(scale)
    assert len(counts) == 4, "64, 32, 16 and 8 pixels"
    # The rarest scale has about 470 of 40,000 rays: its count is within 15 % in all but one of 1,000 draws.
    assert np.allclose(counts[:-1] / counts[1:], 4.0 / emphasis, rtol=0.15)


def test_scales_end_where_the_picture_gets_too_small() -> None:
    camera = SCENE.train.views[0].camera
    assert [c.width for c in pyramid_of(camera, PyramidOptions())] == [64, 32, 16]
    assert [c.width for c in pyramid_of(camera, PyramidOptions(scales=2))] == [64, 32]
    assert pyramid_of(camera, PyramidOptions(scales=1)) == [camera]


def test_rays_go_through_their_pixels_and_know_their_width() -> None:
    """Each ray is found again as a pixel's middle of a camera of its scale; its colour is that picture's mean there."""
    batch = drawn(photos(), 2_000)
    for q in range(0, 2_000, 37):
        view = int(batch.view[q])
        camera = SCENE.train.views[view].camera
        scales = pyramid_of(camera, PyramidOptions(smallest=8))
        k = int(np.argmin([abs(np.log(footprint_of(c) / batch.footprint[q])) for c in scales]))
        assert batch.footprint[q] == pytest.approx(FOOTPRINT_RADIUS / scales[k].fx, rel=1e-6)
        assert np.allclose(batch.rays_o[q], camera.position, atol=1e-6)
        point = batch.rays_o[q].astype(np.float64) + 1.7 * batch.rays_d[q]
        xy, z = scales[k].project(point[None])
        assert z[0] == pytest.approx(1.7, abs=1e-5), "directions have length 1 along the camera's axis"
        assert np.allclose(xy % 1.0, 0.5, atol=1e-3)
        x, y = np.floor(xy[0]).astype(int)
        n = 1 << k
        area = SCENE.train.images.load(view)[y * n : (y + 1) * n, x * n : (x + 1) * n]
        assert np.allclose(batch.target[q], area.mean(axis=(0, 1)), atol=0.6 / 255)


def test_masked_pixels_are_drawn_at_no_scale() -> None:
    images, masks = [], []
    for i in range(len(SCENE.train)):
        image, mask = SCENE.train.images.load(i).copy(), np.zeros((64, 64), np.uint8)
        mask[:24, :24] = 255
        image[:24, :24], image[24:], image[:, 24:] = 1.0, 0.0, 0.0
        images.append(image)
        masks.append(mask)
    scene = replace(SCENE, train=replace(SCENE.train, images=Pictures(images, masks)))
    batch = drawn(photos(scene), 4_000)
    assert batch.target.min() == 1.0
    assert len(np.unique(batch.footprint)) == 4


def test_views_that_are_left_out_are_not_drawn() -> None:
    source = photos()
    source.excluded = frozenset(range(2, len(SCENE.train)))
    assert set(drawn(source, 500).view) == {0, 1}
