# SPDX-License-Identifier: MIT
"""What the options ask for at a step: resolution, rays, degree of the colours, learning rates."""

from __future__ import annotations

import math

import numpy as np

from engine.cpu.update import N_ADAM
from engine.methods.svraster.config import RateOptions, SoftOptions, SVRasterConfig

_RISE, _ONE_CYCLE_START = 0.3, 0.04  # share of one cycle in which rates rise, and from where; as published
_LEAST_FLOOR = 1e-4  # an exponential never reaches 0
ADAM_EPSILON = 1e-15  # keeps a row that never had a gradient from dividing by zero


def sh_degree(config: SVRasterConfig, step: int) -> int:
    """Return the degree of the colours in use."""
    s = config.schedule
    starts = (s.sh1_from, s.sh2_from, s.sh3_from)[: config.model.sh_degree]
    return sum(step >= start for start in starts)


def photo_shrink(config: SVRasterConfig, step: int) -> int:
    """Return how many times smaller (4, 2 or 1) the photos are that are trained on."""
    s = config.schedule
    return 4 if step < s.quarter_until else (2 if step < s.half_until else 1)


def rays_per_pixel_side(config: SVRasterConfig, step: int) -> int:
    """Return the rays per pixel side."""
    return config.model.supersample if step >= config.schedule.supersample_from else 1


def softness(soft: SoftOptions, step: int) -> tuple[float, float]:
    """Return (sigma in half-widths, temperature in scene units) at a step; annealing falls evenly in the logarithm."""
    if not soft.anneal:
        return soft.sigma, soft.temperature
    share = min(1.0, step / soft.anneal_until)
    return _between(soft.sigma, soft.sigma_end, share), _between(
        soft.temperature, soft.temperature_end, share
    )


def _between(start: float, end: float, share: float) -> float:
    if start <= 0.0 or end <= 0.0:
        return start + share * (end - start)
    return start * (end / start) ** share


def rate_share(rates: RateOptions, step: int) -> float:
    """Return the share of their start that learning rates have."""
    share = _fallen(rates, step)
    if step < rates.warm_up:
        share *= (step + 1) / rates.warm_up
    return share * (0.1 if rates.drop_at and step >= rates.drop_at else 1.0)


def _fallen(rates: RateOptions, step: int) -> float:
    """Return what the schedule alone leaves of the rates: 1 at its height, `floor` at its end."""
    if rates.schedule == "inverse":
        return 1.0 if rates.half_life <= 0.0 else max(rates.floor, 1.0 / (1.0 + step / rates.half_life))
    done = min(1.0, step / rates.decay_steps)
    if rates.schedule == "exponential":
        return max(rates.floor, _LEAST_FLOOR) ** done
    if rates.schedule == "one_cycle":
        if done < _RISE:
            return _ONE_CYCLE_START + (1.0 - _ONE_CYCLE_START) * _eased(done / _RISE)
        done = (done - _RISE) / (1.0 - _RISE)
    elif rates.schedule == "constant":
        return 1.0
    return 1.0 - (1.0 - rates.floor) * _eased(done)


def _eased(done: float) -> float:
    """Return half a cosine from 0 to 1."""
    return 0.5 - 0.5 * math.cos(math.pi * done)


def adam_values(config: SVRasterConfig, step: int, photo_pixels: int) -> np.ndarray:
    """Return [N_ADAM] float32 as the update kernels read them; `photo_pixels` are those of a whole photo.

    What a voxel of a pixel's size hears from the photos is one pixel's share of their mean; so total variation is
    divided by the pixels too, and one weight serves all sizes.
    """
    rates, share, losses = config.rates, rate_share(config.rates, step), config.losses
    tv = losses.total_variation / photo_pixels if step < losses.total_variation_until else 0.0
    steps = (rates.density * share, rates.sh0 * share, rates.shs * share)
    values = (rates.beta1, rates.beta2, ADAM_EPSILON, *steps, tv)
    assert len(values) == N_ADAM
    return np.array(values, dtype=np.float32)
