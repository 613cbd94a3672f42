# SPDX-License-Identifier: MIT
"""InfNeRF's kernels, used once on fields of a few entries; see `engine.methods.compiling`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.methods.compiling import tiny_scene
from engine.options import updated

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF

STAGES = ("training kernels", "view kernels")
_SMALL = {
    "field.log2_table": 8,
    "schedule.rays": 64,
    "sampling.probes": 64,
    "losses.every": 1,
    "tree.max_depth": 2,
}


def stages(model: InfNeRF, together: bool = False) -> Iterator[None]:
    """Do the work of each of STAGES on a small twin of a model; it never trains `together` with other processes."""
    twin = type(model)(tiny_scene(model.scene.background), updated(model.config, _SMALL), seed=0)
    twin.train_step()
    yield
    twin.render(twin.scene.train.views[0].camera, frozenset({"depth_z"}))
    yield
