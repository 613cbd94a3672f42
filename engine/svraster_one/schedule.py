# SPDX-License-Identifier: MIT
"""What learning rates and softness are at a step: functions of the step alone, so nothing has to be stored."""

from __future__ import annotations

import math

from engine.svraster_one.settings import TrainingConfig

RISE = 0.3  # share of a run in which one-cycle rates rise
LOWEST = 0.04  # of the highest: where one-cycle rates start


def rate_share(config: TrainingConfig, step: int, total: int) -> float:
    """Return what learning rates are multiplied by at a step of `total`.

    constant: 1. exponential: falls to `final_rate`, by the same factor each step. cosine: falls to `final_rate` along half a
    cosine. one_cycle: rises from a twenty-fifth to 1 in the first 30 % of a run, then falls to `final_rate`, both along
    half a cosine. In the first `warmup_steps` all are multiplied by (step + 1) / warmup_steps besides.
    """
    done = min(step / max(total, 1), 1.0)
    warm = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.scheduler == "exponential":
        return warm * config.final_rate**done
    if config.scheduler == "cosine":
        return warm * _along_cosine(1.0, config.final_rate, done)
    if config.scheduler == "one_cycle":
        if done < RISE:
            return warm * _along_cosine(LOWEST, 1.0, done / RISE)
        return warm * _along_cosine(1.0, config.final_rate, (done - RISE) / (1.0 - RISE))
    return warm


def softness(config: TrainingConfig, step: int, total: int) -> float:
    """Return what sigma and temperature are multiplied by at a step: 1, or with `anneal` falling geometrically."""
    if not config.anneal:
        return 1.0
    return config.final_softness ** min(step / max(total - 1, 1), 1.0)


def _along_cosine(first: float, last: float, done: float) -> float:
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * done))
