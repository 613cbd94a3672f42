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


def shares(schedule: str, **values: object) -> list[float]:
    rates = RateOptions(schedule=schedule, decay_steps=100, floor=0.1, drop_at=0, **values)
    return [rate_share(rates, step) for step in (0, 25, 30, 50, 65, 100, 1000)]


def test_exponential_rates_lose_the_same_share_in_every_step_down_to_the_floor():
    assert shares("exponential") == pytest.approx([1.0, 0.1**0.25, 0.1**0.3, 0.1**0.5, 0.1**0.65, 0.1, 0.1])


def test_cosine_rates_are_half_way_in_the_middle():
    found = shares("cosine")
    assert (found[0], found[3], found[5], found[6]) == pytest.approx((1.0, 0.55, 0.1, 0.1))
    assert found[1] > 0.1**0.25  # it falls late


def test_one_cycle_rises_to_its_height_before_it_falls():
    assert shares("one_cycle") == pytest.approx([0.04, 0.935692, 1.0, 0.830570, 0.55, 0.1, 0.1], abs=1e-6)


def test_constant_rates_stay_and_the_default_falls_as_before():
    assert shares("constant") == [1.0] * 7
    assert RateOptions().schedule == "inverse" and RateOptions().warm_up == 0


def test_every_schedule_rises_in_proportion_to_the_step_while_it_warms_up():
    rates = RateOptions(schedule="constant", warm_up=10, drop_at=0)
    assert [rate_share(rates, step) for step in (0, 4, 9, 10, 50)] == [0.1, 0.5, 1.0, 1.0, 1.0]


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
