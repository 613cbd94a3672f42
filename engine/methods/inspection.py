# SPDX-License-Identifier: MIT
"""What a person can do with a method's structure beyond training it: look into it, pick from it, change it by regions.

A method that offers some of that has an `inspection` of its own; here is the one that can do nothing and says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.cameras import Camera
from engine.errors import UserError
from engine.methods.common import CAPABILITIES, AdaptReport, Histogram, Method, PickedVoxel, method_title
from engine.region import Region, Shown

_ALWAYS = ("undo",)  # any method can, by its state


class Inspection:
    """The structure of one method's model. `cannot` holds, by capability, the sentence why not; all others it can."""

    train_region: Region | None = None

    def __init__(self, method: Method) -> None:
        self.method = method

    @property
    def cannot(self) -> dict[str, str]:
        """The capabilities that this model does not have, each with a sentence that says why."""
        why = f"{method_title(self.method.name)} cannot do that."
        return {name: why for name in CAPABILITIES if name not in _ALWAYS}

    @property
    def can(self) -> frozenset[str]:
        """The capabilities that this model has."""
        return frozenset(CAPABILITIES) - frozenset(self.cannot)

    def need(self, capability: str) -> None:
        """Raise UserError with the sentence that says why the model cannot do something, if it cannot."""
        if capability in self.cannot:
            raise self._refusal(capability)

    def _refusal(self, capability: str) -> UserError:
        return UserError(self.cannot[capability])

    def preview(self, limit: int, region: Region | None) -> tuple[AdaptReport, np.ndarray, np.ndarray]:
        """Say what pruning and splitting would do, with boxes [n,4] float32 of what would go and what would be split."""
        raise self._refusal("preview_boxes")

    def pick(self, camera: Camera, x: float, y: float, shown: Shown) -> PickedVoxel | None:
        """Return the voxel that weighs most in the pixel x, y of a camera, None where there is nothing."""
        raise self._refusal("pick")

    def details(self, levels: tuple[int, ...]) -> tuple[Histogram, ...]:
        """Return how the numbers of VALUE_MODES are distributed over the voxels of some levels, none given: of all."""
        raise self._refusal("details")

    def set_train_region(self, region: Region | None) -> None:
        """Train only what is in a region from now on, None: everything."""
        self.need("train_region")

    def delete(self, region: Region, outside: bool) -> AdaptReport:
        """Delete the voxels in a region, or all outside it."""
        raise self._refusal("delete_region")

    def prune(self, region: Region) -> AdaptReport:
        """Drop the voxels in a region that are below the pruning threshold."""
        raise self._refusal("prune_region")

    def subdivide(self, region: Region) -> AdaptReport:
        """Split every voxel in a region once."""
        raise self._refusal("subdivide_region")


def inspection_of(method: Any) -> Inspection:
    """Return what can be done with a method's structure."""
    return getattr(method, "inspection", None) or Inspection(method)
