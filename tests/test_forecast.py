# SPDX-License-Identifier: MIT
"""Estimates grow with what they are made of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.forecast import (
    FIRST_STEPS,
    RENDERS_PER_STEP,
    SMALL_RENDERS_PER_LEVEL,
    first_picture_s,
    measured_speed,
    memory_bytes,
)
from engine.methods.svraster.config import SVRasterConfig, in_scene, preset
from tests.fakes import FakeClock, FakeMethod, make_scene


def steps_s(small_s: float, *steps_and_seconds: tuple[int, float], levels: int = 2) -> float:
    """Return the time of so many steps at pictures that take so long to render."""
    grown = SMALL_RENDERS_PER_LEVEL * levels * small_s
    return sum(n * (RENDERS_PER_STEP * s + grown) for n, s in steps_and_seconds)


def test_the_middle_of_three_renders_counts_at_each_of_three_sizes():
    clock = FakeClock()
    method = FakeMethod(make_scene(), FakeMethod.Config(), clock=clock)
    speed = measured_speed(method, clock)
    assert speed == pytest.approx((0.010, 0.010, 0.010))
    assert [camera.width for camera in method.rendered] == [3] * 3 + [6] * 3 + [12] * 3


def test_early_steps_look_at_small_pictures():
    fast, published = SVRasterConfig(), preset("published")
    speed = (0.001, 0.01, 0.1)
    assert first_picture_s(published, speed) == pytest.approx(steps_s(0.001, (FIRST_STEPS, 0.1), levels=0))
    assert first_picture_s(fast, speed) == pytest.approx(
        steps_s(0.001, (100, 0.001), (100, 0.01), (100, 0.1))
    )


def test_a_schedule_that_ends_later_than_the_first_picture_is_cut():
    config = SVRasterConfig()
    config = replace(config, schedule=replace(config.schedule, quarter_until=5000, half_until=9000))
    assert first_picture_s(config, (0.001, 1.0, 1.0)) == pytest.approx(steps_s(0.001, (FIRST_STEPS, 0.001)))


def test_a_scene_with_surroundings_grows_more_slowly():
    speed = (0.01, 0.02, 0.05)
    steps = (100, 0.01), (100, 0.02), (100, 0.05)
    assert first_picture_s(in_scene(SVRasterConfig(), 4), speed) == pytest.approx(
        steps_s(0.01, *steps, levels=0)
    )


def test_an_empty_background_makes_it_quicker():
    full, half = (first_picture_s(SVRasterConfig(), (0.1, 0.1, 0.1), filled) for filled in (1.0, 0.5))
    assert 0.5 * full < half < full


def test_a_method_without_a_schedule_is_estimated_too():
    assert first_picture_s(FakeMethod.Config(), (1.0, 1.0, 0.1)) == pytest.approx(
        steps_s(1.0, (FIRST_STEPS, 0.1))
    )


def test_memory_holds_what_is_there_the_photos_and_the_voxels_to_come():
    scene = make_scene()
    structure = FakeMethod(scene, FakeMethod.Config()).structure()
    now = memory_bytes(scene, structure, 1_000_000)
    assert now > 1_000_000 + 4 * 12 * 12 * 3 + structure.budget * structure.bytes / structure.voxels
    assert memory_bytes(scene, replace(structure, budget=2 * structure.budget), 1_000_000) > now
