# SPDX-License-Identifier: MIT
"""Shares and rates of the last seconds."""

from __future__ import annotations

import pytest

from engine.worker_meter import Meter


def test_shares_sum_to_one_when_training_and_viewing_alternate() -> None:
    meter = Meter(0.0)
    now = 0.0
    for _ in range(400):
        for kind, seconds in (("train", 0.015), ("view", 0.005)):
            now += seconds
            meter.record(kind, now, seconds)
    assert meter.share("train", now) == pytest.approx(0.75, abs=0.01)
    assert meter.share("view", now) == pytest.approx(0.25, abs=0.01)
    assert meter.rate("view", now) == pytest.approx(50.0, rel=0.02)
    meter.restart(now)
    assert meter.share("train", now + 1.0) == 0.0
