# SPDX-License-Identifier: MIT
"""What a step asks for follows from the options and the step alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.methods.svraster.config import RateOptions, SoftOptions, SVRasterConfig
from engine.methods.svraster.schedule import (
    adam_values,
    photo_shrink,
    rate_share,
    rays_per_pixel_side,
    sh_degree,
    softness,
)
from engine.options import updated


def config(**values: object) -> SVRasterConfig:
    return updated(SVRasterConfig(), {name.replace("__", "."): value for name, value in values.items()})


def test_the_degree_rises_at_its_steps_and_never_beyond_the_models():
    options = config(schedule__sh1_from=10, schedule__sh2_from=20, schedule__sh3_from=30, model__sh_degree=2)
    assert [sh_degree(options, step) for step in (0, 9, 10, 19, 20, 30, 1000)] == [0, 0, 1, 1, 2, 2, 2]


def test_photos_are_small_at_first():
    options = config(schedule__quarter_until=10, schedule__half_until=20)
    assert [photo_shrink(options, step) for step in (0, 9, 10, 19, 20)] == [4, 4, 2, 2, 1]


def test_supersampling_begins_at_its_step():
    options = config(schedule__supersample_from=10, model__supersample=2)
    assert [rays_per_pixel_side(options, step) for step in (9, 10)] == [1, 2]


def test_rates_halve_after_their_half_life_and_stop_at_the_floor():
    rates = RateOptions(half_life=100.0, floor=0.25, drop_at=0)
    assert [rate_share(rates, step) for step in (0, 100, 300, 10_000)] == [1.0, 0.5, 0.25, 0.25]
    assert rate_share(RateOptions(half_life=0.0, drop_at=0), 10_000) == 1.0


def test_rates_drop_to_a_tenth_at_the_drop():
    rates = RateOptions(half_life=0.0, drop_at=50)
    assert [rate_share(rates, step) for step in (49, 50)] == [1.0, pytest.approx(0.1)]


def test_total_variation_stops_and_rates_fall_in_what_the_kernels_read():
    options = config(
        losses__total_variation=1e-3,
        losses__total_variation_until=100,
        rates__half_life=100.0,
        rates__floor=0.0,
    )
    early, late = adam_values(options, 0, 50), adam_values(options, 100, 50)
    assert early[-1] == np.float32(2e-5) and late[-1] == 0.0
    assert np.allclose(late[3:6], 0.5 * early[3:6]) and np.array_equal(late[:3], early[:3])


def test_blurs_fall_evenly_in_the_logarithm_and_stay_at_their_ends():
    soft = SoftOptions(sigma=1.0, sigma_end=0.01, temperature=0.1, temperature_end=0.0, anneal_until=100)
    assert softness(soft, 0) == pytest.approx((1.0, 0.1))
    assert softness(soft, 50) == pytest.approx((0.1, 0.05))  # to 0 no logarithm leads
    assert softness(soft, 100) == softness(soft, 999) == pytest.approx((0.01, 0.0))
    assert softness(replace(soft, anneal=False), 999) == (1.0, 0.1)
