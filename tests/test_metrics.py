# SPDX-License-Identifier: MIT
"""PSNR and SSIM against their definitions and an independent filter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from engine.metrics import SSIM_C1, SSIM_C2, psnr, ssim

EXACT = 1e-9  # both sides are float64; worst seen 1e-15


def noisy_pair(shape: tuple[int, ...], noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    image = random.random(shape)
    return image, np.clip(image + noise * random.standard_normal(shape), 0.0, 1.0)


def ssim_by_scipy(x: np.ndarray, y: np.ndarray) -> float:
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights /= weights.sum()

    def blur(field: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(field, weights, axis=0), weights, axis=1)[5:-5, 5:-5]

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    top = (2 * mx * my + SSIM_C1) * (2 * vxy + SSIM_C2)
    return float(np.mean(top / ((mx * mx + my * my + SSIM_C1) * (vx + vy + SSIM_C2))))


def test_psnr_of_a_constant_difference_is_its_decibels() -> None:
    assert psnr(np.full((4, 5, 3), 0.5), np.full((4, 5, 3), 0.6)) == pytest.approx(20.0, abs=EXACT)


def test_psnr_clamps_what_a_screen_would_clamp() -> None:
    target = np.ones((4, 4, 3), np.float32)
    assert psnr(target * 3.0, target) == 100.0
    assert psnr(target * -7.0, target) == pytest.approx(0.0, abs=EXACT)


def test_psnr_of_equal_images_is_finite() -> None:
    image, _ = noisy_pair((8, 8, 3), 0.0)
    assert psnr(image, image) == 100.0


def test_psnr_takes_eight_bit_rounding_into_account_as_float() -> None:
    image = np.full((2, 2, 3), 128 / 255, np.float32)
    assert psnr(image, image + np.float32(1 / 255)) == pytest.approx(20 * np.log10(255), abs=1e-3)


@pytest.mark.parametrize("shape", [(11, 11, 3), (23, 40, 3), (37, 12, 1)])
def test_ssim_equals_an_independent_filter(shape: tuple[int, ...]) -> None:
    x, y = noisy_pair(shape, 0.2)
    assert ssim(x, y) == pytest.approx(ssim_by_scipy(x, y), abs=EXACT)


def test_ssim_of_equal_images_is_one_and_it_is_symmetric() -> None:
    x, y = noisy_pair((20, 24, 3), 0.3)
    assert ssim(x, x) == pytest.approx(1.0, abs=EXACT)
    assert ssim(x, y) == pytest.approx(ssim(y, x), abs=EXACT)


def test_ssim_falls_as_noise_grows_and_turns_negative_for_a_negative() -> None:
    values = [ssim(*noisy_pair((32, 32, 3), noise)) for noise in (0.02, 0.1, 0.4)]
    assert values == sorted(values, reverse=True)
    x, _ = noisy_pair((32, 32, 3), 0.0)
    assert ssim(x, 1.0 - x) < 0.0


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 40, 3), (40, 7, 3)])
def test_ssim_of_an_image_smaller_than_its_window_is_defined(shape: tuple[int, ...]) -> None:
    x, y = noisy_pair(shape, 0.2)
    assert ssim(x, x) == pytest.approx(1.0, abs=EXACT)
    assert -1.0 <= ssim(x, y) < 1.0


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_images_of_different_sizes_are_refused_with_both_sizes(measure: object) -> None:
    with pytest.raises(ValueError, match=r"\(4, 4, 3\) and \(4, 5, 3\)"):
        measure(np.zeros((4, 4, 3)), np.zeros((4, 5, 3)))  # type: ignore[operator]


def test_pixels_outside_the_mask_change_nothing() -> None:
    image, target = noisy_pair((30, 40, 3), 0.1)
    mask = np.zeros((30, 40), dtype=np.uint8)
    mask[4:24, 9:33] = 255
    spoiled = np.where(mask[..., None] > 0, image, 0.7)
    assert psnr(spoiled, target, mask) == pytest.approx(
        psnr(image[4:24, 9:33], target[4:24, 9:33]), abs=EXACT
    )
    assert ssim(spoiled, target, mask) == pytest.approx(
        ssim(image[4:24, 9:33], target[4:24, 9:33]), abs=EXACT
    )
    assert psnr(spoiled, target) != pytest.approx(psnr(image, target), abs=0.1)


def test_a_mask_too_thin_for_a_window_is_still_measured() -> None:
    image, target = noisy_pair((30, 40, 3), 0.1)
    mask = np.zeros((30, 40), dtype=bool)
    mask[12, 20] = True
    assert 0.0 < ssim(image, target, mask) < 1.0
    with pytest.raises(ValueError, match="pixels that count"):
        psnr(image, target, np.zeros((30, 40), dtype=bool))
