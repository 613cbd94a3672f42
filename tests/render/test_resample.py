# SPDX-License-Identifier: MIT
"""Area means: shares add up, blocks are exact, constants stay, no light is lost."""

from __future__ import annotations

import numpy as np
import pytest

from engine.render.resample import area_resized, area_weights, box_downsample

ROUNDING = 1e-6
SIZES = [(7, 3), (9, 4), (12, 8), (5, 5), (6, 2), (3, 1), (1, 1), (101, 37)]


@pytest.mark.parametrize(("n_from", "n_to"), SIZES)
def test_the_shares_of_a_target_pixel_add_up_to_one(n_from: int, n_to: int) -> None:
    weights = area_weights(n_from, n_to)
    assert weights.shape == (n_to, n_from) and weights.dtype == np.float32 and weights.min() >= 0.0
    assert np.abs(weights.sum(axis=1) - 1.0).max() < ROUNDING
    assert np.abs(weights.sum(axis=0) - n_to / n_from).max() < ROUNDING, "every source pixel counts the same"


def test_a_factor_of_one_and_a_half_splits_the_middle_pixel() -> None:
    assert np.allclose(area_weights(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])


def test_more_target_than_source_pixels_repeat_or_mix() -> None:
    assert np.allclose(area_weights(2, 4), [[1, 0], [1, 0], [0, 1], [0, 1]])
    assert np.allclose(area_weights(2, 3), [[1, 0], [0.5, 0.5], [0, 1]])


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_a_constant_stays_a_constant(rows: int, columns: int) -> None:
    image = np.full((rows, 2 * rows, 2), 0.7, dtype=np.float32)
    small = box_downsample(image, max(1, 2 * columns - 1), columns)
    assert small.shape == (columns, max(1, 2 * columns - 1), 2) and small.dtype == np.float32
    assert np.abs(small - 0.7).max() < ROUNDING


def test_whole_factors_are_block_means() -> None:
    image = np.random.default_rng(0).random((12, 6, 3)).astype(np.float32)
    small = box_downsample(image, 3, 4)
    for row in range(4):
        for column in range(3):
            block = image[3 * row : 3 * row + 3, 2 * column : 2 * column + 2].reshape(-1, 3)
            assert np.abs(small[row, column] - block.mean(axis=0)).max() < ROUNDING


def test_odd_sizes_equal_block_means_of_a_repeated_image() -> None:
    image = np.random.default_rng(1).random((7, 5, 4)).astype(np.float32)
    fine = image.repeat(3, axis=0).repeat(2, axis=1)  # 21 x 10 holds both 7 x 5 and 3 x 2
    assert np.abs(box_downsample(image, 2, 3) - box_downsample(fine, 2, 3)).max() < ROUNDING


def test_the_mean_of_the_picture_is_kept() -> None:
    image = np.random.default_rng(2).random((37, 53, 3)).astype(np.float32)
    small = box_downsample(image, 20, 11)
    assert np.abs(small.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < ROUNDING
    assert small.flags.c_contiguous


def test_one_to_one_is_the_same_picture() -> None:
    image = np.random.default_rng(3).random((5, 4, 3)).astype(np.float32)
    assert np.array_equal(box_downsample(image, 4, 5), image)


@pytest.mark.parametrize(("width", "height"), [(15, 10), (7, 3), (30, 13), (29, 19), (1, 1), (40, 27)])
def test_photos_and_pictures_average_exact_areas(width: int, height: int) -> None:
    photo = np.random.default_rng(4).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    fine = np.kron(photo, np.ones((height, width, 1)))  # every target pixel is now 20 x 30 whole pixels
    wanted = fine.reshape(height, 20, width, 30, 3).mean(axis=(1, 3))
    assert np.abs(box_downsample(photo, width, height) - wanted).max() < 255.0 * ROUNDING
    assert np.abs(area_resized(photo, width, height) - wanted).max() <= 0.502, "rounded to 8 bits, once"


def test_a_photo_of_the_wanted_size_is_returned_as_it_is() -> None:
    photo = np.zeros((20, 30, 3), dtype=np.uint8)
    assert area_resized(photo, 30, 20) is photo
