# SPDX-License-Identifier: MIT
"""Colour maps as tables of 256 sRGB colours, drawn through a few anchor colours.

"turbo", "viridis", "cividis" and "magma" approximate the maps known by these names to a few grey levels. The latter three
grow evenly brighter; "cividis" looks much the same to people with and without colour blindness.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from engine.errors import OptionError

# Evenly spaced anchors from low to high, 8 bits a channel.
_ANCHORS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "turbo": (
        (48, 18, 59),
        (65, 69, 171),
        (70, 117, 237),
        (57, 162, 252),
        (27, 207, 212),
        (36, 236, 166),
        (97, 252, 108),
        (164, 252, 60),
        (209, 232, 52),
        (243, 198, 58),
        (254, 155, 45),
        (243, 99, 21),
        (217, 56, 6),
        (177, 25, 1),
        (122, 4, 3),
    ),
    "viridis": (
        (68, 1, 84),
        (72, 40, 120),
        (62, 74, 137),
        (49, 104, 142),
        (38, 130, 142),
        (31, 158, 137),
        (53, 183, 121),
        (109, 205, 89),
        (180, 222, 44),
        (253, 231, 37),
    ),
    "cividis": (
        (0, 32, 76),
        (0, 42, 102),
        (0, 52, 110),
        (39, 63, 108),
        (60, 74, 107),
        (76, 85, 107),
        (91, 95, 109),
        (104, 106, 112),
        (117, 117, 117),
        (131, 129, 120),
        (146, 140, 120),
        (161, 152, 118),
        (176, 165, 114),
        (192, 177, 109),
        (209, 191, 102),
        (225, 204, 92),
        (243, 219, 79),
        (255, 233, 69),
    ),
    "magma": (
        (0, 0, 4),
        (28, 16, 68),
        (79, 18, 123),
        (129, 37, 129),
        (181, 54, 122),
        (229, 80, 100),
        (251, 135, 97),
        (254, 194, 135),
        (252, 253, 191),
    ),
    "grey": ((0, 0, 0), (255, 255, 255)),
}

COLOUR_MAPS = tuple(_ANCHORS)


@cache
def colour_table(name: str) -> np.ndarray:
    """Return a colour map as [256,3] uint8, low to high; read-only."""
    if name not in _ANCHORS:
        raise OptionError(f"The colour map must be one of {', '.join(COLOUR_MAPS)}, got {name!r}.")
    anchors = np.array(_ANCHORS[name], dtype=np.float64)
    where = np.linspace(0.0, 1.0, len(anchors))
    at = np.linspace(0.0, 1.0, 256)
    table = np.stack([np.interp(at, where, channel) for channel in anchors.T], axis=1)
    table = np.round(table).astype(np.uint8)
    table.flags.writeable = False
    return table
