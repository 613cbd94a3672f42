# SPDX-License-Identifier: MIT
"""PSNR as colours: ends in whole decibels, poor to good, levels that only change when it is worth drawing anew."""

from __future__ import annotations

import numpy as np
import pytest

from app.view import quality


def test_the_ends_are_whole_decibels_around_most_views() -> None:
    values = np.array([21.3, 22.0, 25.0, 28.0, 30.7, np.nan])
    low, high = quality.scale_of(values)
    assert (low, high) == (21.0, 31.0)


def test_one_stray_view_does_not_stretch_the_scale() -> None:
    values = np.concatenate([np.linspace(28.0, 32.0, 99), [5.0]])
    assert quality.scale_of(values)[0] >= 27.0


def test_views_that_are_alike_are_not_painted_as_if_they_differed() -> None:
    low, high = quality.scale_of(np.full(5, 30.0))
    assert high - low >= quality.LEAST_SPAN_DB
    assert len(set(quality.levels_of(np.array([30.0, 30.05]), (low, high)).tolist())) == 1


def test_nothing_known_has_no_scale() -> None:
    assert quality.scale_of(np.full(3, np.nan)) is None and quality.scale_of(np.zeros(0)) is None


def test_levels_grow_with_quality_and_end_at_the_scale() -> None:
    values = np.array([10.0, 20.0, 25.0, 30.0, 40.0, np.nan])
    levels = quality.levels_of(values, (20.0, 30.0)).tolist()
    assert levels[0] == levels[1] == 0 and levels[3] == levels[4] == quality.LEVELS - 1
    assert 0 < levels[2] < quality.LEVELS - 1 and levels[5] == -1


def lightness(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(float) @ [0.2126, 0.7152, 0.0722]


def test_poor_is_red_and_good_is_green() -> None:
    poor, good = quality.table()[[0, -1]].astype(int)
    assert poor[0] > 2 * poor[1] and good[1] > 1.5 * good[0]


@pytest.mark.parametrize("missing", [(0, 1), (1, 0)], ids=["no red", "no green"])
def test_the_safe_colours_differ_without_red_or_green(missing: tuple[int, int]) -> None:
    """A colour-blind eye gets one signal where others get red and green; blue and lightness must tell the ends apart."""
    poor, good = quality.table(safe=True)[[0, -1]].astype(int)
    lost, kept = missing
    seen = [np.where(np.arange(3) == lost, rgb[kept], rgb) for rgb in (poor, good)]
    assert np.abs(seen[0] - seen[1]).max() > 100
    assert np.unique(quality.table(safe=True), axis=0).shape[0] == quality.LEVELS
