# SPDX-License-Identifier: MIT
"""InfNeRF as a library, by the names of its document. Thin: what trains fast is `engine.methods.infnerf`.

settings.py   InfNeRFConfig, the trainer's, the renderer's, the loss's
model.py      InfNeRF: a torch module             octree.py     nodes, and which of them evaluates a sample
fields.py     hash grids in all nodes, or fields of one's own   sampling.py, chance.py  samples along rays, seeded
volume.py     VolumeRenderer: compositing, losses regularisers.py  levels agree, the unseen is transparent
renderer.py   InfNeRFRenderer, render_demo_images trajectories.py  orbit, spiral, fly_through, zoom_out
trainer.py    InfNeRFTrainer                      photos.py     rays of photos and of their halved copies
files.py      checkpoints                         conversion.py to and from the app's models
pruning.py    nodes that nobody misses            optimizer.py  Adam on touched entries
pictures.py   files of pictures and videos

All of them can be had from `engine` as well. Each name is imported when it is first asked for: renderer and model know neither
trainer nor datasets, and can be shipped without them. docs/inf_nerf.md has an example of each, and what was settled where
the document leaves something open.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.inf_nerf.fields import CustomFields, HashFields
    from engine.inf_nerf.model import InfNeRF
    from engine.inf_nerf.octree import OctreeNode, build_octree
    from engine.inf_nerf.photos import PyramidRays
    from engine.inf_nerf.renderer import InfNeRFRenderer, render_demo_images
    from engine.inf_nerf.settings import (
        InfNeRFConfig,
        InfNeRFRendererConfig,
        InfNeRFTrainerConfig,
        VolumeRendererConfig,
    )
    from engine.inf_nerf.trainer import InfNeRFTrainer
    from engine.inf_nerf.trajectories import fly_through, orbit, spiral, zoom_out
    from engine.inf_nerf.volume import VolumeRenderer

_HOMES = {
    "CustomFields": "fields",
    "HashFields": "fields",
    "InfNeRF": "model",
    "InfNeRFConfig": "settings",
    "InfNeRFRenderer": "renderer",
    "InfNeRFRendererConfig": "settings",
    "InfNeRFTrainer": "trainer",
    "InfNeRFTrainerConfig": "settings",
    "OctreeNode": "octree",
    "PyramidRays": "photos",
    "VolumeRenderer": "volume",
    "VolumeRendererConfig": "settings",
    "build_octree": "octree",
    "fly_through": "trajectories",
    "orbit": "trajectories",
    "render_demo_images": "renderer",
    "spiral": "trajectories",
    "zoom_out": "trajectories",
}

__all__ = [
    "CustomFields",
    "HashFields",
    "InfNeRF",
    "InfNeRFConfig",
    "InfNeRFRenderer",
    "InfNeRFRendererConfig",
    "InfNeRFTrainer",
    "InfNeRFTrainerConfig",
    "OctreeNode",
    "PyramidRays",
    "VolumeRenderer",
    "VolumeRendererConfig",
    "build_octree",
    "fly_through",
    "orbit",
    "render_demo_images",
    "spiral",
    "zoom_out",
]


def __getattr__(name: str) -> Any:
    """Import the module of a name when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(f"engine.inf_nerf.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'engine.inf_nerf' has no attribute {name!r}")
