# SPDX-License-Identifier: MIT
"""nerfviewer as a library: open a scene, train a radiance field on it, render it. No window, no thread.

    import nerfviewer as nv

    scene = nv.load_scene("lego")
    method = nv.create_method("svraster", scene)
    for _ in range(1000):
        method.train_step()
    picture = method.render(scene.test.views[0].camera).rgb  # [H,W,3] float32, sRGB in [0,1]

The names live in `engine/`; this page is their table of contents. Those of the Plenoxels, SVRaster One and
InfNeRF documents (`docs/plenoxels.md`, `docs/svraster_one.md`, `docs/inf_nerf.md`) can be had from here as well:
`nv.PlenoxelModel`, `nv.SVRasterOne`, `nv.InfNeRF`.
"""

from typing import Any

import engine
from engine.cameras import Camera, look_at
from engine.checkpoint import load as load_checkpoint
from engine.checkpoint import save as save_checkpoint
from engine.conventions import move_pose
from engine.datasets import Scene, SceneOptions, Split, View, load_scene
from engine.errors import CheckpointError, OptionError, SceneError, UserError
from engine.methods.common import (
    Buffers,
    Method,
    StepReport,
    StructureStats,
    create_method,
    method_class,
    method_names,
)
from engine.options import OptionInfo, build, describe, updated
from engine.training import open_trained

__all__ = [
    "Buffers",
    "Camera",
    "CheckpointError",
    "Method",
    "OptionError",
    "OptionInfo",
    "Scene",
    "SceneError",
    "SceneOptions",
    "Split",
    "StepReport",
    "StructureStats",
    "UserError",
    "View",
    "build",
    "create_method",
    "describe",
    "load_checkpoint",
    "load_scene",
    "look_at",
    "method_class",
    "method_names",
    "move_pose",
    "open_trained",
    "save_checkpoint",
    "updated",
]


def __getattr__(name: str) -> Any:
    """Import a library of the documents when one of its names is first asked for."""
    if name in (*engine.PLENOXELS, *engine.SVRASTER_ONE, *engine.INF_NERF):
        return getattr(engine, name)
    raise AttributeError(f"module 'nerfviewer' has no attribute {name!r}")
