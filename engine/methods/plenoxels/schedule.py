# SPDX-License-Identifier: MIT
"""What the options ask for at a step: learning rates, total variation, the grid. Lengths become engine units here."""

from __future__ import annotations

import numpy as np

from engine.methods.plenoxels.config import (
    LossOptions,
    PlenoxelsConfig,
    RateOptions,
    parse_resolutions,
    parse_steps,
)

UNIT = 2.0  # published units of length in the foreground cube's edge: densities per engine unit are this times larger


def delay(rates: RateOptions, step: int) -> float:
    """Return the share of its full size that a delayed rate has: from `delay_start` to 1, a quarter of a sine."""
    if rates.delay_steps <= 0:
        return 1.0
    rise = np.sin(0.5 * np.pi * min(max(step / rates.delay_steps, 0.0), 1.0))
    return rates.delay_start + (1.0 - rates.delay_start) * float(rise)


def decayed(start: float, end: float, step: int, steps: int) -> float:
    """Return a rate that falls from start to end in equal ratios, and stays there."""
    share = min(max(step / steps, 0.0), 1.0)
    if start <= 0.0 or end <= 0.0:
        return start + (end - start) * share
    return float(np.exp((1.0 - share) * np.log(start) + share * np.log(end)))


def density_rate(rates: RateOptions, step: int) -> float:
    """Return the learning rate of densities, in published units."""
    return delay(rates, step) * decayed(rates.density, rates.density_final, step, rates.decay_steps)


def sh_rate(rates: RateOptions, step: int) -> float:
    """Return the learning rate of colour coefficients."""
    return decayed(rates.sh, rates.sh_final, step, rates.decay_steps)


def finer_grids_by(config: PlenoxelsConfig, step: int) -> int:
    """Return how many of the finer grids the schedule has begun by a step."""
    finer = len(parse_resolutions(config.schedule.resolutions)) - 1
    return min(finer, sum(step >= at for at in parse_steps(config.schedule.upsample_at)))


def tv_weights(losses: LossOptions, finer: int) -> tuple[float, float]:
    """Return the weights of total variation of densities and colours after so many finer grids."""
    if losses.tv_early_only and finer > 0:
        return 0.0, 0.0
    share = losses.tv_decay**finer
    return losses.tv_density * share, losses.tv_sh * share


def resolutions(config: PlenoxelsConfig) -> tuple[tuple[int, int, int], ...]:
    """Return the cells along X, Y, Z of the grids, coarse to fine."""
    return parse_resolutions(config.schedule.resolutions)
