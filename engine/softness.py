# SPDX-License-Identifier: MIT
"""What makes the rasteriser soft, in numbers that all its implementations share: see `engine.reference.soft_rasterize`."""

from __future__ import annotations

import math
from typing import Any

from engine.constants import KAPPA
from engine.shapes import check_shapes

ORDERS = ("logistic", "softmax")


def spread_terms(sigma: float) -> tuple[float, float, float]:
    """Return (along, across, width): how often dilated voxels of one size count a uniform medium, as a ray's direction has it.

    Along a ray of direction d that is along + across * (k(r_1) + k(r_2)), where r are the two smaller of |d_x|, |d_y|, |d_z| over
    the largest and
        k(r) = 1 - (1 - r)^2 / (2 width r), for r below 1 / (1 + width) r (1 + width / 2).
    With G(e) the coverage and delta = KAPPA sigma it is the mean over all places of a ray among the voxels: the integral over
    e of -G'(e) M(e), and G(delta) M(delta), where M(e) is how much of a voxel dilated by delta lies on the lines that meet the
    voxel dilated by e. In units of the voxel's own volume
        M(e) = (1 + e)^2 ((1 + delta) + (k_1 + k_2) (delta - e)),
    exactly so for rays along an axis (k 0, 0), a face's diagonal (1, 0) and the cube's (1, 1). Between them k is the share of the
    lines that leave both boxes by one face, with e at delta / 2: within 2 % of the integral for sigma up to 1. At sigma 0 the
    terms are (1, 0, .).
    """
    delta = KAPPA * sigma
    least = math.exp(-0.5 * KAPPA * KAPPA)
    one = sigma * math.sqrt(0.5 * math.pi) * math.erf(KAPPA / math.sqrt(2.0))  # integrals of G, e G, e^2 G
    first = sigma * sigma * (1.0 - least)
    second = sigma * sigma * (one - delta * least)
    along = (1.0 + delta) * (1.0 + 2.0 * (one + first))
    across = delta + (2.0 * delta - 1.0) * one + (2.0 * delta - 4.0) * first - 3.0 * second
    return along, across, (4.0 + 2.0 * delta) / max(delta, 1e-6)


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
