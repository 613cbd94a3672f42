# SPDX-License-Identifier: MIT
"""The tree's structure for people: which nodes would go or be split, pruning by regions. A friend of `model.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.methods.common import CAPABILITIES, AdaptReport
from engine.methods.infnerf import structure
from engine.methods.inspection import Inspection
from engine.region import Region

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF

_CAN = ("preview_boxes", "prune_region", "undo")
_FIELDS = "InfNeRF is made of fields in a tree, not of voxels; look at a baked copy of it instead."
_WHY = {
    "train_region": "The fields of InfNeRF reach beyond any region, so a region alone cannot be trained.",
    "delete_region": "The parents of deleted nodes would show in their place; InfNeRF can only be pruned by regions.",
    "subdivide_region": "InfNeRF splits a node only where its photos ask for more detail.",
}


class InfNeRFInspection(Inspection):
    """What can be done with the tree."""

    method: InfNeRF

    @property
    def cannot(self) -> dict[str, str]:
        """What this model cannot do, each with a sentence that says why."""
        return {name: _WHY.get(name, _FIELDS) for name in CAPABILITIES if name not in _CAN}

    def preview(self, limit: int, region: Region | None) -> tuple[AdaptReport, np.ndarray, np.ndarray]:
        """Say what pruning, then splitting, would do."""
        model = self.method
        gone, chosen = structure.thin_leaves(model, region), structure.asking_nodes(model, region)
        report = structure.preview_of(model, gone, chosen)
        return (
            report,
            structure.boxes_at(model.tree, gone, limit),
            structure.boxes_at(model.tree, chosen, limit),
        )

    def prune(self, region: Region) -> AdaptReport:
        """Drop the leaves in a region that show nothing."""
        return structure.prune(self.method, "prune in region", region)
