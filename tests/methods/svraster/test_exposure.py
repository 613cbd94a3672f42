# SPDX-License-Identifier: MIT
"""Exposures are found again, relative to their mean, and leave alone what says nothing of them."""

from __future__ import annotations

import numpy as np
import pytest

from engine.methods.svraster.config import ExposureOptions
from engine.methods.svraster.exposure import Exposure

FITTED = 0.02  # of gain and offset: the pull towards (1, 0) and 8 bits leave 0.013 at worst, over 20 seeds
GREY_LEVELS = 3  # of a photo brought back, for the same reason
ON = ExposureOptions(on=True, from_step=10, every_steps=100)


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 0.8, (20, 30, 3)).astype(np.float32)


def taken(scene: np.ndarray, gain: float, offset: float) -> np.ndarray:
    """Return the photo of a scene."""
    return np.round(255.0 * np.clip(gain * scene + offset, 0.0, 1.0)).astype(np.uint8)


def test_gain_and_offset_are_found():
    exposure = Exposure(1)
    exposure.fit(0, picture(), taken(picture(), 1.15, -0.05), None, 5)
    assert exposure.gain[0] == pytest.approx([1.15] * 3, abs=FITTED)
    assert exposure.offset[0] == pytest.approx([-0.05] * 3, abs=FITTED)


def test_photos_are_brought_to_their_mean_exposure():
    exposure = Exposure(2)
    photos = [taken(picture(), 0.8, 0.0), taken(picture(), 1.25, 0.0)]
    for view, photo in enumerate(photos):
        exposure.fit(view, picture(), photo, None, 5)
    for view, photo in enumerate(photos):
        error = exposure.neutral(view, photo).astype(float) - taken(picture(), 1.0, 0.0)
        assert np.abs(error).max() <= GREY_LEVELS


def test_equal_exposures_change_no_photo():
    exposure = Exposure(3)
    for view in range(3):
        exposure.fit(view, picture(), taken(picture(), 0.9, 0.02), None, 5)
    photo = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(exposure.neutral(1, photo), photo)


def test_clipped_and_masked_pixels_have_no_say():
    photo = taken(picture(), 1.1, 0.0)
    spoiled, mask = photo.copy(), np.full(photo.shape[:2], 255, dtype=np.uint8)
    spoiled[:5], spoiled[5:8] = 255, 90
    mask[5:8] = 0
    exposure = Exposure(1)
    exposure.fit(0, picture(), spoiled, mask, 5)
    assert exposure.gain[0] == pytest.approx([1.1] * 3, abs=FITTED)


def test_a_photo_without_usable_pixels_keeps_its_exposure():
    exposure = Exposure(1)
    exposure.fit(0, picture(), np.full((20, 30, 3), 255, dtype=np.uint8), None, 5)
    assert (exposure.gain == 1.0).all() and (exposure.offset == 0.0).all()


def test_a_fit_is_due_when_on_and_not_too_often():
    exposure = Exposure(2)
    assert not exposure.due(0, 50, ExposureOptions())
    assert not exposure.due(0, 9, ON)
    assert exposure.due(0, 10, ON)
    exposure.fit(0, picture(), taken(picture(), 1.0, 0.0), None, 10)
    assert not exposure.due(0, 109, ON) and exposure.due(0, 110, ON) and exposure.due(1, 11, ON)


def test_rows_bring_everything_back():
    exposure, other = Exposure(2), Exposure(2)
    exposure.fit(1, picture(), taken(picture(), 1.2, 0.03), None, 77)
    other.load_rows(exposure.rows())
    assert np.array_equal(other.gain, exposure.gain) and np.array_equal(other.offset, exposure.offset)
    assert np.array_equal(other.fitted_at, [-1, 77])
