# SPDX-License-Identifier: MIT
"""Named sets of options. "fast" is the defaults, for a CPU; "published" has the sizes, samples and rates of the publication.

A node of "published" has 12.2 million parameters: it is meant for a graphics card and days.
"""

from __future__ import annotations

from typing import Any

from engine.methods.infnerf.config import InfNeRFConfig
from engine.options import updated

_PUBLISHED: dict[str, Any] = {
    "field.levels": 16,
    "field.log2_table": 19,
    "field.base_res": 16,
    "field.max_res": 2048,
    "field.hidden": 64,
    "field.appearance": 32,
    "tree.max_depth": 4,
    "tree.gsd_divisor": 2.0,
    "sampling.rounds": "192 96",
    "sampling.candidates": 192,
    "sampling.samples": 48,
    "sampling.view_samples": 48,
    "losses.nodes": 4,
    "losses.points": 2_048,
    "losses.every": 1,
    "rates.start": 1e-2,
    "rates.end": 1e-4,
    "rates.decay_steps": 200_000,
    "rates.networks": 1.0,
    "rates.beta2": 0.999,
    "rates.epsilon": 1e-15,
    "pyramid.scales": 5,
    "schedule.rays": 65_536,
}

PRESETS: dict[str, dict[str, Any]] = {
    "fast": {},
    "published": _PUBLISHED,
    "city": {"tree.max_depth": 5, "sampling.near": 0.001},
    "root": {"tree.max_depth": 1, "field.max_res": 256, "field.log2_table": 18},
}


def preset(name: str) -> InfNeRFConfig:
    """Return a named set of options; see PRESETS."""
    return updated(InfNeRFConfig(), PRESETS[name])
