# SPDX-License-Identifier: MIT
"""A background that is learned goes where its gradient says, and survives a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from engine.methods.svraster.background import Background
from engine.methods.svraster.config import RateOptions

RATES = RateOptions(background=0.1, half_life=0.0, drop_at=0, beta1=0.5, beta2=0.9)


def corrections(step: int) -> tuple[float, float]:
    return 1.0 / (1.0 - RATES.beta1**step), 1.0 / (1.0 - RATES.beta2**step)


@pytest.mark.parametrize(("kind", "value"), [("white", 1.0), ("black", 0.0), ("learned", 0.5)])
def test_it_starts_as_the_scene_says(kind: str, value: float):
    background = Background(kind)
    assert np.array_equal(background.rgb, np.full(3, value, np.float32))
    assert background.learned == (kind == "learned")


def test_the_first_step_is_as_long_as_the_rate_against_the_gradient():
    background = Background("learned")
    background.update(np.array([1e-3, -2.0, 0.0], np.float32), RATES, 1, corrections(1))
    assert background.rgb == pytest.approx([0.4, 0.6, 0.5], abs=1e-6)


def test_it_stays_a_colour():
    background = Background("learned")
    for step in range(1, 20):
        background.update(np.array([1.0, -1.0, 0.0], np.float32), RATES, step, corrections(step))
    assert background.rgb == pytest.approx([0.0, 1.0, 0.5])


def test_a_checkpoint_continues_exactly():
    first, second = Background("learned"), Background("learned")
    gradients = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    for step, gradient in enumerate(gradients[:3], start=1):
        first.update(gradient, RATES, step, corrections(step))
    second.load_rows(first.rows())
    for step, gradient in enumerate(gradients[3:], start=4):
        first.update(gradient, RATES, step, corrections(step))
        second.update(gradient, RATES, step, corrections(step))
    assert np.array_equal(first.rgb, second.rgb)
