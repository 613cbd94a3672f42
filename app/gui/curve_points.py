# SPDX-License-Identifier: MIT
"""What the curves panel draws: points of one model or of two, smoothed, and the ends of an axis. No widgets."""

from __future__ import annotations

import math

from app.gui.session_feed import HELD_OUT_PSNR, HELD_OUT_SSIM, PSNR, VOXELS
from app.session import CurvePoint, Session

BESIDE = "beside "  # before the name of a curve of the model beside
LOSSES = "Loss terms"
# What the first plot shows besides loss terms: title -> curve -> (label, factor to the title's unit)
WATCHED = {
    "Gradients": {"gradient_densities": ("densities", 1.0), "gradient_colours": ("colours", 1.0)},
    "Dead voxels (%)": {"dead": ("below the pruning threshold", 100.0)},
    "Step (ms)": {"step_ms": ("mean of a step", 1.0)},
    "Threads waiting (%)": {"waiting": ("at the end of kernels", 100.0)},
    "Memory (MB)": {"memory_mb": ("whole program", 1.048576)},
}
QUALITY = {  # curve -> the plot that it is drawn in, what it says of the one open model
    PSNR: ("psnr", "training view"),
    HELD_OUT_PSNR: ("psnr", "held out"),
    HELD_OUT_SSIM: ("ssim", "held out"),
}
_WATCH = {curve: (family, *look) for family, curves in WATCHED.items() for curve, look in curves.items()}


def family_of(curve: str) -> str:
    """Return what the first plot must show for a curve to be in it."""
    return _WATCH[curve][0] if curve in _WATCH else LOSSES


def label_of(curve: str) -> str:
    """Return how a curve of the first plot is called."""
    return _WATCH[curve][1] if curve in _WATCH else curve.replace("_", " ")


def factor_of(curve: str) -> float:
    """Return what a curve's values are multiplied by to be in the unit of its title."""
    return _WATCH[curve][2] if curve in _WATCH else 1.0


def curves_of_both(session: Session) -> dict[str, list[CurvePoint]]:
    """Return the curves of the open model, and those of the one beside with BESIDE before their names."""
    one = session.beside
    other = {} if one is None else {BESIDE + name: points for name, points in one.curves.items()}
    return session.curves | other


def ssim_limits(values: list[float]) -> tuple[float, float]:
    """Return the ends of an axis for values of SSIM: from a little below the lowest to 1."""
    lowest = min(values, default=0.0)
    return max(0.0, lowest - max(0.02, 0.1 * (1.0 - lowest))), 1.0


def smoothed(values: list[float], smoothing: float) -> list[float]:
    """Return the exponential running mean; early values are not drawn towards zero (each is divided by its weight)."""
    result, mean, weight = [], 0.0, 0.0
    for value in values:
        mean = smoothing * mean + (1.0 - smoothing) * value
        weight = smoothing * weight + (1.0 - smoothing)
        result.append(mean / weight)
    return result


def step_below(value: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, ... that is at most `value`, which is at least 1."""
    decade = 10.0 ** int(math.log10(value) + 1e-9)
    return max(step * decade for step in (1.0, 2.0, 5.0) if step * decade <= value)


def far_label(end: float) -> float:
    """Return where the second label of a narrow axis stands, which ends at `end`, at least 1: not so far that it is cut off."""
    return step_below(max(1.0, 0.85 * end))


def drawn_here(name: str) -> bool:
    """Whether a curve has a place: of the model beside only quality has, other losses say nothing side by side."""
    return name != VOXELS and (not name.startswith(BESIDE) or name.removeprefix(BESIDE) in QUALITY)
