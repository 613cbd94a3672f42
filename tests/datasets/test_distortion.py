# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.datasets.distortion import covered, distort, jacobian, remap_table, straight_lens, undistort
from engine.datasets.shots import Lens

PHONE = Lens(108, 192, 137.5, 137.4, 55.4, 96.5, 0.0578, -0.0805, 0.0, -0.00098, 0.000156)
BARREL = Lens(160, 120, 120.0, 121.0, 79.0, 61.0, -0.25, 0.06, 0.0, 0.001, -0.002)
PINCUSHION = Lens(160, 120, 120.0, 121.0, 79.0, 61.0, 0.15, 0.02, 0.001)
LENSES = [PHONE, BARREL, PINCUSHION]

# Bilinear sampling of a wave of 20 pixels errs by (pi / 20)^2 / 2 = 1.2 % of its amplitude at most, and rounding to
# 8 bits adds half a level: twice 100 * 0.012 + 0.5, rounded up.
WORST_LEVELS = 4.0


def plane(lens: Lens) -> tuple[np.ndarray, np.ndarray]:
    x = (np.arange(lens.width) + 0.5 - lens.cx) / lens.fx
    y = (np.arange(lens.height) + 0.5 - lens.cy) / lens.fy
    return np.meshgrid(x, y)


def scene(lens: Lens, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the colours that straight rays (x, y, 1) see: waves of about 20 pixels in each channel."""
    phase = 2.0 * np.pi * lens.fx / 20.0
    waves = [np.sin(phase * x), np.sin(phase * y), np.sin(phase * 0.7 * (x + y))]
    return 127.0 + 100.0 * np.stack(waves, axis=-1)


@pytest.mark.parametrize("lens", LENSES)
def test_undistort_inverts_distort(lens):
    x, y = plane(lens)
    back = undistort(lens, *distort(lens, x, y))
    np.testing.assert_allclose(back, (x, y), atol=1e-9)


@pytest.mark.parametrize("lens", LENSES)
def test_jacobian_equals_finite_differences(lens):
    x, y = plane(lens)
    step = 1e-6
    along_x = [
        (p - m) / (2 * step)
        for p, m in zip(distort(lens, x + step, y), distort(lens, x - step, y), strict=True)
    ]
    along_y = [
        (p - m) / (2 * step)
        for p, m in zip(distort(lens, x, y + step), distort(lens, x, y - step), strict=True)
    ]
    a, b, d = jacobian(lens, x, y)
    np.testing.assert_allclose((a, b, b, d), (along_x[0], along_x[1], along_y[0], along_y[1]), atol=1e-8)


def test_distortion_terms_have_the_signs_of_the_published_model():
    one = Lens(2, 2, 1, 1, 1, 1)
    x, y = np.array([0.5]), np.array([0.25])  # r^2 = 0.3125
    assert distort(replace(one, k1=1.0), x, y)[0][0] == pytest.approx(0.5 * 1.3125)
    assert distort(replace(one, k3=1.0), x, y)[1][0] == pytest.approx(0.25 * (1 + 0.3125**3))
    np.testing.assert_allclose(np.ravel(distort(replace(one, p1=1.0), x, y)), [0.75, 0.25 + 0.3125 + 0.125])
    np.testing.assert_allclose(np.ravel(distort(replace(one, p2=1.0), x, y)), [0.5 + 0.3125 + 0.5, 0.5])


@pytest.mark.parametrize("lens", LENSES)
def test_a_bent_photo_becomes_the_photo_a_pinhole_would_have_taken(lens):
    bent = scene(lens, *undistort(lens, *plane(lens))).round().astype(np.uint8)
    straight = straight_lens(lens)
    made = remap_table(lens, straight).apply(bent)
    wanted = scene(lens, *plane(straight))
    assert np.abs(made - wanted).max() < WORST_LEVELS
    not_straightened = remap_table(
        Lens(lens.width, lens.height, lens.fx, lens.fy, lens.cx, lens.cy), straight
    ).apply(bent)
    assert np.abs(not_straightened - wanted).max() > 5 * WORST_LEVELS


@pytest.mark.parametrize("lens", LENSES)
def test_the_straight_photo_has_no_invented_border_and_touches_each_side(lens):
    straight = straight_lens(lens)
    assert (straight.fx, straight.fy) == (lens.fx, lens.fy)
    xd, yd = distort(lens, *plane(straight))
    u, v = xd * lens.fx + lens.cx, yd * lens.fy + lens.cy
    slack = 0.05  # the border is sampled at 129 places, between which it may bulge by this many pixels
    assert u.min() > 0.5 - slack and u.max() < lens.width - 0.5 + slack
    assert v.min() > 0.5 - slack and v.max() < lens.height - 0.5 + slack
    # A larger box would look outside: every side comes within two pixels of the bent photo's border somewhere.
    assert u[:, 0].min() < 2.5 and u[:, -1].max() > lens.width - 2.5
    assert v[0].min() < 2.5 and v[-1].max() > lens.height - 2.5


def test_a_lens_without_distortion_stays_as_it_is():
    lens = Lens(10, 20, 5.0, 5.0, 5.0, 10.0)
    assert straight_lens(lens) is lens


@pytest.mark.parametrize("k1", [-9.0, -2.0, 80.0])
def test_absurd_coefficients_raise(k1):
    with pytest.raises(ValueError, match=r"folds over|would be left|times as large"):
        straight_lens(replace(PHONE, k1=k1))


def test_remapping_onto_the_same_lens_is_the_identity():
    lens = Lens(31, 70, 30.0, 30.0, 15.0, 35.0)
    image = np.random.default_rng(0).integers(0, 256, (70, 31, 3), dtype=np.uint8)
    np.testing.assert_array_equal(remap_table(lens, lens).apply(image), image)


WIDE = Lens(200, 160, 63.66, 63.7, 101.0, 79.0, fisheye=True)  # 180 degrees across
GOPRO = Lens(400, 300, 180.0, 181.0, 199.0, 152.0, 0.05, -0.012, 0.004, k4=-0.001, fisheye=True)
OVER = Lens(
    400, 400, 100.0, 100.0, 200.0, 200.0, fisheye=True
)  # 229 degrees: the corners lie behind the camera
RATIONAL = Lens(160, 120, 120.0, 121.0, 79.0, 61.0, 0.3, 0.05, 0.01, 0.002, -0.003, 0.35, False, 0.06, 0.02)
STRONG = Lens(160, 120, 80.0, 81.0, 79.0, 61.0, -0.3, 0.06)  # a barrel whose inner box would lose a fifth
MORE = [WIDE, GOPRO, OVER, RATIONAL, STRONG]


@pytest.mark.parametrize("lens", [*LENSES, *MORE])
def test_every_pixel_comes_back_within_a_twentieth_of_a_pixel(lens):
    bent = np.stack(plane(lens))
    straight = undistort(lens, *bent)
    seen = np.isfinite(straight[0])
    back = np.stack(distort(lens, straight[0][seen], straight[1][seen]))
    error = (back - bent[:, seen]) * np.array([[lens.fx], [lens.fy]])
    assert np.abs(error).max() < 0.05
    if not lens.fisheye:
        assert seen.all()
    else:  # exactly the pixels within 88 degrees of the axis, by the model's own formula
        a = 1.53
        reach = a * (1 + a**2 * (lens.k1 + a**2 * (lens.k2 + a**2 * (lens.k3 + a**2 * lens.k4))))
        assert seen[np.hypot(*bent) < reach].all()


@pytest.mark.parametrize("lens", [GOPRO, RATIONAL, WIDE])
def test_jacobian_of_the_other_models_equals_finite_differences(lens):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-2.0, 2.0, (2, 500))
    x[:3], y[:3] = (
        [0.0, 1e-5, 1e-3],
        [0.0, 2e-5, 0.0],
    )  # at and around the centre, where quotients lose their digits
    step = 1e-6
    plus, minus = distort(lens, x + step, y), distort(lens, x - step, y)
    up, down = distort(lens, x, y + step), distort(lens, x, y - step)
    a, b, d = jacobian(lens, x, y)
    np.testing.assert_allclose((a, b), (np.array(plus) - minus) / (2 * step), atol=1e-8)
    np.testing.assert_allclose((b, d), (np.array(up) - down) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("lens", MORE)
def test_a_strongly_bent_photo_becomes_a_pinholes_where_it_is_covered(lens):
    x, y = undistort(lens, *plane(lens))
    wave = replace(lens, fx=lens.fx / 3.0)  # longer waves: a fisheye's rim is squeezed by up to 3
    bent = np.nan_to_num(scene(wave, x, y)).round().astype(np.uint8)
    straight = straight_lens(lens)
    good = covered(lens, straight)
    made, wanted = remap_table(lens, straight).apply(bent), scene(wave, *plane(straight))
    assert np.abs(made - wanted)[good].max() < WORST_LEVELS
    assert good.mean() > 0.6


@pytest.mark.parametrize("lens", [WIDE, GOPRO, OVER])
def test_a_fisheye_keeps_at_most_110_degrees_and_its_focal_length(lens):
    straight = straight_lens(lens)
    assert (straight.fx, straight.fy) == (lens.fx, lens.fy)
    degrees = np.rad2deg(2 * np.arctan(0.5 * straight.width / straight.fx))
    assert 90.0 < degrees < 110.6
    assert straight.width <= 2 * lens.width and straight.height <= 2 * lens.height


def test_a_box_that_would_lose_much_gives_way_to_a_masked_border():
    straight = straight_lens(STRONG)
    good = covered(STRONG, straight)
    x, y = undistort(STRONG, *plane(STRONG))
    u, v = x * straight.fx + straight.cx, y * straight.fy + straight.cy
    shown = (u > 0) & (v > 0) & (u < straight.width) & (v < straight.height)
    assert shown.mean() > 0.99 and 0.6 < good.mean() < 0.99
    for lens in (PHONE, PINCUSHION):
        assert covered(lens, straight_lens(lens)).all()


@pytest.mark.parametrize("k1", [-9.0, 5.0])
def test_a_fisheye_with_absurd_coefficients_still_gives_a_photo_or_a_reason(k1):
    try:
        straight = straight_lens(replace(WIDE, k1=k1))
    except ValueError as error:
        assert "folds over" in str(error)
    else:
        assert 1 <= straight.width <= 400 and covered(replace(WIDE, k1=k1), straight).any()
