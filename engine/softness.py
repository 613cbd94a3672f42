# SPDX-License-Identifier: MIT
"""What makes the rasteriser soft, in numbers that all its implementations share: see `engine.reference.soft_rasterize`."""

from __future__ import annotations

import math
from typing import Any

from engine.constants import KAPPA
from engine.shapes import check_shapes

ORDERS = ("logistic", "softmax")


def spread_of(sigma: float) -> float:
    """Return by how much dilated voxels of equal size count a uniform medium too often, along the axes; 1 at sigma 0.

    With delta = KAPPA sigma: (1 + delta) (1 + 2 * integral from 0 to delta of (1 + e) exp(-e^2 / (2 sigma^2)) de), the longer
    chord times the mean of the coverages that lie on a ray.
    """
    gauss = sigma * math.sqrt(0.5 * math.pi) * math.erf(KAPPA / math.sqrt(2.0))
    ring = sigma * sigma * (1.0 - math.exp(-0.5 * KAPPA * KAPPA))
    return (1.0 + KAPPA * sigma) * (1.0 + 2.0 * (gauss + ring))


def check_soft(
    octree: Any, densities: Any, colours: Any, sigma: float, temperature: float, order: str, samples_per_voxel: int
) -> None:  # fmt: skip
    """Raise ValueError where the inputs of `soft_rasterize` do not fit the octree, or its softness cannot be."""
    check_shapes(
        "soft_rasterize", densities=(densities, str(octree.n_points)), colours=(colours, f"{len(octree)} 3")
    )
    if not (0.0 <= sigma < math.inf and 0.0 <= temperature < math.inf):
        raise ValueError(
            f"soft_rasterize(): sigma and temperature must be at least 0 and finite, got {sigma} and {temperature}."
        )
    if order not in ORDERS:
        raise ValueError(f"soft_rasterize(): order must be one of {', '.join(ORDERS)}, got {order!r}.")
    if samples_per_voxel not in (1, 2, 3):
        raise ValueError(f"soft_rasterize(): samples_per_voxel must be 1, 2 or 3, got {samples_per_voxel}.")
