# SPDX-License-Identifier: MIT
"""How a scene is read: resolution, background, the size of the foreground cube, memory for photos."""

from __future__ import annotations

from dataclasses import dataclass

from engine.options import option


@dataclass(frozen=True)
class SceneOptions:
    """Options of every scene reader."""

    downscale: int = option(
        1, "Divide the photos' width and height by this, averaging areas.", minimum=1, maximum=64
    )
    max_size: int = option(
        0,
        "Shrink photos whose longest side is larger than this; 0 keeps them.",
        minimum=0,
        maximum=65536,
        unit="px",
    )
    background: str = option(
        "auto",
        "What lies behind everything; auto is white for cut-out objects and learned for photographs.",
        choices=("auto", "white", "black", "learned"),
    )
    scene_scale: float = option(
        1.0, "Make the finely resolved foreground cube this many times as large.", minimum=0.01, maximum=100.0
    )
    box_centre: str = option(
        "", "Centre of the foreground cube in the data's units, such as 0.5,0,-2; empty chooses it."
    )
    box_edge: float = option(
        0.0,
        "Edge of the foreground cube in the data's units; 0 chooses it, and scene_scale then applies.",
        minimum=0.0,
        maximum=1e9,
    )
    outside_levels: int = option(
        -1,
        "Shells around the foreground cube, each doubling it; -1 chooses by the kind of scene.",
        minimum=-1,
        maximum=8,
    )
    cache_mb: int = option(2048, "Memory for decoded photos.", minimum=16, maximum=1_000_000, unit="MB")
    allow_outside: bool = option(
        False,
        "Read files outside the scene folder too, where its files name some; only for scenes you trust.",
    )
    depth_unit: float = option(
        0.0,
        "What one step of the depth maps is in units of the poses; 0: as the file says, or 0.001 in pictures, 1 in .npy files.",
        minimum=0.0,
        maximum=1e6,
    )
