# SPDX-License-Identifier: MIT
"""Named sets of options. "fast" is the defaults; "syn", "llff", "tnt" and "custom" weigh losses and pruning as published for
such captures, with the defaults' grids and rates; "published-..." are the published schedules, number for number.

"published-small" is that of synthetic scenes for small photos and a CPU: end it at 12,800 steps.
"""

from __future__ import annotations

from typing import Any

from engine.methods.plenoxels.config import PlenoxelsConfig
from engine.options import updated

_PUBLISHED: dict[str, Any] = {
    "model.sh_degree": 2,
    "model.initial_density": 0.1,
    "model.step_size": 0.5,
    "model.stop_trans": 1e-7,
    "model.density_cut": 1e-8,
    "rates.optimiser": "rmsprop",
    "rates.density": 30.0,
    "rates.density_final": 0.05,
    "rates.sh": 1e-2,
    "rates.sh_final": 5e-6,
    "rates.sh_rest": 1.0,
    "rates.decay_steps": 250_000,
    "rates.delay_steps": 15_000,
    "rates.delay_start": 0.01,
    "rates.beta2": 0.95,
    "rates.epsilon": 1e-8,
    "losses.tv_share": 0.01,
    "losses.tv_early_only": False,
    "losses.tv_decay": 1.0,
    "prune.by": "weight",
    "prune.weight": 0.256,
    "prune.density": 5.0,
    "prune.dilations": 2,
    "prune.survey_shrink": 1,
    "prune.survey_stop": 0.2,
    "prune.steps": "",
    "prune.max_cells": 44_000_000,
    "schedule.rays": 5_000,
    "schedule.tile": 1,
    "spheres.layers": 64,
    "spheres.height": 1024,
    "spheres.density": 3.0,
    "spheres.density_final": 3e-3,
    "spheres.colour": 0.1,
    "spheres.colour_final": 5e-6,
    "spheres.initial_density": 0.1,
}
_SYNTHETIC = {
    "model.background": "white",
    "schedule.resolutions": "256 512",
    "schedule.upsample_at": "38400",
    "losses.tv_density": 1e-5,
    "losses.tv_sh": 1e-3,
    "losses.tv_early_only": True,
}
_SMALL = {  # a tenth of the steps, a quarter of the resolution
    "rates.decay_steps": 25_000,
    "rates.delay_steps": 1_500,
    "prune.survey_shrink": 4,
    "schedule.resolutions": "64 128",
    "schedule.upsample_at": "3840",
}
_FORWARD = {
    "model.background": "grey",
    "schedule.upsample_at": "38400 76800",
    "forward.resolutions": "256x256x128 512x512x128 1408x1156x128",
    "forward.tv_density": 5e-4,
    "forward.tv_sh": 5e-3,
    "forward.tv_early_only": False,
    "forward.prune_by": "density",
    "losses.sparsity": 1e-12,
}
_TANKS = {
    "model.background": "white",
    "model.sphere": True,
    "schedule.resolutions": "128 256 512 640",
    "schedule.upsample_at": "25600 51200 76800",
    "prune.weight": 1.28,
    "losses.tv_density": 5e-5,
    "losses.tv_sh": 5e-3,
    "losses.sparsity": 1e-11,
    "losses.beta": 1e-5,
    "spheres.tv_density": 1e-3,
    "spheres.tv_colour": 1e-3,
}
_CUSTOM = {
    "model.background": "grey",
    "model.near": 0.35,
    "rates.delay_steps": 0,
    "schedule.resolutions": "128 256 512",
    "schedule.upsample_at": "25600 51200",
    "prune.weight": 1.28,
    "losses.tv_density": 5e-3,
    "losses.tv_sh": 5e-3,
    "losses.tv_decay": 0.5,
    "losses.sparsity": 1e-11,
    "losses.beta": 1e-5,
    "spheres.tv_density": 5e-3,
    "spheres.tv_colour": 5e-3,
    "spheres.inside_from": 1_000,
}
_WEIGHTS = ("losses.", "forward.tv", "prune.weight", "model.background", "model.near", "spheres.tv")


def _weights(published: dict[str, Any]) -> dict[str, Any]:
    """Return what a published schedule says of weights alone."""
    return {name: value for name, value in (_PUBLISHED | published).items() if name.startswith(_WEIGHTS)}


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {},
    "syn": _weights(_SYNTHETIC),
    "llff": _weights(_FORWARD),
    "tnt": _weights(_TANKS),
    "custom": _weights(_CUSTOM) | {"spheres.inside_from": 40},
    "published-syn": _PUBLISHED | _SYNTHETIC,
    "published-small": _PUBLISHED | _SYNTHETIC | _SMALL,
    "published-llff": _PUBLISHED | _FORWARD,
    "published-tnt": _PUBLISHED | _TANKS,
    "published-custom": _PUBLISHED | _CUSTOM,
}


def preset(name: str) -> PlenoxelsConfig:
    """Return a named set of options; see PRESETS."""
    return updated(PlenoxelsConfig(), PRESETS[name])
