# SPDX-License-Identifier: MIT
"""The SSIM kernel against the float64 metric and its finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from engine.losses import ssim_and_gradient
from engine.metrics import ssim

SINGLE = 1e-4  # one pixel: nothing averages out the float32 rounding of a variance that is 0, over C2 = 9e-4
VALUE = 2e-6  # float32 sums of a few hundred terms; worst seen 3e-8
GRADIENT = 2e-4  # of the largest component: float32 cancellation in the variances; worst seen 3e-6


def pair(shape: tuple[int, ...], seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two images well inside (0,1): the metric's clamp stays idle, so differences are exact."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(0.2, 0.7, shape[1])[None, :, None]
    image = ramp + 0.2 * random.random(shape)
    return image.astype(np.float32), (image + 0.05 * random.standard_normal(shape)).clip(0.05, 0.95).astype(
        np.float32
    )


def finite_difference(image: np.ndarray, target: np.ndarray) -> np.ndarray:
    x, y, step = image.astype(np.float64), target.astype(np.float64), 1e-5
    gradient = np.empty_like(x)
    for index in np.ndindex(*x.shape):
        kept = x[index]
        x[index] = kept + step
        above = ssim(x, y)
        x[index] = kept - step
        gradient[index] = (above - ssim(x, y)) / (2 * step)
        x[index] = kept
    return gradient


@pytest.mark.parametrize("shape", [(11, 11, 3), (31, 18, 3), (12, 50, 3), (5, 20, 3)])
def test_the_value_equals_the_metric(shape: tuple[int, ...]) -> None:
    image, target = pair(shape)
    assert ssim_and_gradient(image, target)[0] == pytest.approx(ssim(image, target), abs=VALUE)


@pytest.mark.parametrize("shape", [(13, 16, 3), (24, 11, 1), (5, 14, 3)])
def test_the_gradient_equals_finite_differences_everywhere_borders_included(shape: tuple[int, ...]) -> None:
    image, target = pair(shape)
    expected = finite_difference(image, target)
    _, gradient = ssim_and_gradient(image, target)
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, expected, atol=GRADIENT * np.abs(expected).max())


def test_one_single_pixel_has_a_value() -> None:
    image, target = pair((1, 1, 3))
    assert ssim_and_gradient(image, target)[0] == pytest.approx(ssim(image, target), abs=SINGLE)


def test_the_gradient_vanishes_at_the_target() -> None:
    image, target = pair((20, 20, 3))
    scale = np.abs(ssim_and_gradient(image, target)[1]).max()
    assert np.abs(ssim_and_gradient(target, target)[1]).max() < 1e-3 * scale


def test_a_small_step_along_the_gradient_raises_ssim() -> None:
    image, target = pair((30, 30, 3))
    value, gradient = ssim_and_gradient(image, target)
    assert ssim_and_gradient(image + 0.01 * gradient / np.abs(gradient).max(), target)[0] > value


def test_the_inputs_stay_as_they_were_and_twice_gives_the_same_bits() -> None:
    image, target = pair((20, 21, 3))
    kept = image.copy(), target.copy()
    first, second = ssim_and_gradient(image, target), ssim_and_gradient(image, target)
    assert first[0] == second[0] and np.array_equal(first[1], second[1])
    assert np.array_equal(image, kept[0]) and np.array_equal(target, kept[1])


def test_a_view_that_is_not_contiguous_is_read_right() -> None:
    image, target = pair((22, 26, 3))
    flipped = ssim_and_gradient(image[::-1, ::2], target[::-1, ::2])
    copied = ssim_and_gradient(image[::-1, ::2].copy(), target[::-1, ::2].copy())
    assert flipped[0] == copied[0] and np.array_equal(flipped[1], copied[1])


def test_images_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        ssim_and_gradient(np.zeros((4, 4, 3)), np.zeros((5, 4, 3)))
