# SPDX-License-Identifier: MIT
"""Shrunk photos and their cameras show the same thing, and do not fill the memory."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cameras import Camera
from engine.datasets.scene import ImageSource, Split, View
from engine.methods.svraster.targets import Targets, camera_of_target, halved, halved_mask

CAMERA = Camera.from_fov(14, 9, 0.8, np.eye(4))


class Photos(ImageSource):
    """Photos of noise, different for each view."""

    def load(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).random((9, 14, 3)).astype(np.float32)

    def nbytes(self) -> int:
        return 0


def split() -> Split:
    return Split(tuple(View(str(i), CAMERA) for i in range(3)), Photos())


def test_an_odd_edge_is_repeated():
    image = np.arange(9.0).reshape(3, 3, 1)
    assert np.array_equal(halved(image)[..., 0], [[2.0, 3.5], [6.5, 8.0]])


@pytest.mark.parametrize(("shrink", "shape"), [(1, (9, 14, 3)), (2, (5, 7, 3)), (4, (3, 4, 3))])
def test_a_photo_is_shrunk(shrink: int, shape: tuple[int, ...]):
    target = Targets(split()).get(0, shrink)
    assert target.shape == shape and target.dtype == np.uint8


def test_no_more_is_held_than_allowed():
    one = 9 * 14 * 3
    targets = Targets(split(), limit_bytes=2 * one)
    first = targets.get(0, 1)
    for view in (1, 0, 2):
        targets.get(view, 1)
    assert targets.nbytes() == 2 * one
    assert targets.get(0, 1) is first  # 1 was used least recently


class Masked(Photos):
    """Photos whose upper left 5 x 6 pixels do not count; the second has no mask, in the third everything counts."""

    def load_mask(self, index: int) -> np.ndarray | None:
        mask = np.full((9, 14), 255, dtype=np.uint8)
        if index == 0:
            mask[:5, :6] = 0
        return None if index == 1 else mask


def masked() -> Targets:
    return Targets(Split(split().views, Masked()))


def test_a_shrunk_pixel_counts_if_all_it_is_made_of_counts():
    assert np.array_equal(halved_mask(np.array([[9, 9, 0], [9, 9, 9], [9, 9, 9]])), [[9, 0], [9, 9]])


@pytest.mark.parametrize(("shrink", "rows", "columns"), [(1, 5, 6), (2, 3, 3), (4, 2, 2)])
def test_a_mask_has_the_size_of_its_photo(shrink: int, rows: int, columns: int):
    targets = masked()
    mask = targets.mask(0, shrink)
    assert mask.shape == targets.get(0, shrink).shape[:2] and mask.dtype == np.uint8
    wanted = np.full(mask.shape, 255)
    wanted[:rows, :columns] = 0
    assert np.array_equal(mask, wanted)


def test_a_mask_that_leaves_everything_is_none():
    targets = masked()
    assert targets.mask(1, 1) is None and targets.mask(2, 1) is None
    assert targets.mask(1, 1) is None, "remembered as well"
    assert targets.nbytes() == 0


@pytest.mark.parametrize(("shrink", "rays"), [(1, 1), (1, 2), (2, 2), (4, 1)])
def test_the_camera_of_a_shrunk_photo_sees_the_same_thing(shrink: int, rays: int):
    target = Targets(split()).get(0, shrink)
    camera = camera_of_target(CAMERA, target, shrink, rays)
    assert (camera.width, camera.height) == (target.shape[1] * rays, target.shape[0] * rays)
    for lens, whole in ((camera.fx, CAMERA.fx), (camera.cx, CAMERA.cx), (camera.cy, CAMERA.cy)):
        assert lens == pytest.approx(whole * rays / shrink)
