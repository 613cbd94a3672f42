# SPDX-License-Identifier: MIT
"""Small models with something in them, rays through them, and a trainer of the toy scene."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.datasets.scene import Scene
from engine.inf_nerf import InfNeRF, InfNeRFConfig, InfNeRFTrainer, InfNeRFTrainerConfig
from engine.inf_nerf.octree import TreeTensors
from tests.plenoxels.toy import toy_scene

SMALL = dict(
    max_depth=3, hidden_dim=16, num_samples=8, grid_size=16, base_resolution=4, grid_levels=3, log2_hashmap_size=10
)  # fmt: skip
QUICK = dict(
    rays_batch_size=128, checkpoint_dir="", regularised_points=32, pyramid_levels=3, validate_views=1, log_every=0
)  # fmt: skip


def small_config(**values: Any) -> InfNeRFConfig:
    """Return settings of fields of a few thousand numbers."""
    return InfNeRFConfig(**(SMALL | values))


def small_model(**values: Any) -> InfNeRF:
    """Return a model of the root, its 8 children and two of these one's, of random fields that differ from node to node."""
    model = InfNeRF(small_config(**values))
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    deep = np.array([[0.25, 0.25, 0.25], [0.75, 0.25, 0.25]])
    bound, gsd = model.config.scene_bound, model.tree.root_gsd
    points = np.concatenate([corners, deep]) * bound + np.asarray(model.config.scene_center)
    model.build_octree(points, np.concatenate([np.full(8, 0.9 * gsd), np.full(2, 0.3 * gsd)]))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        model.fields.tables.copy_(0.8 * torch.randn(model.fields.tables.shape, generator=generator))
        model.fields.appearance.copy_(torch.randn(model.fields.appearance.shape, generator=generator))
    return model


def some_rays(n: int = 40, bound: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return rays [n,3] from around a cube of this half edge, towards places in it."""
    generator = torch.Generator().manual_seed(7)
    rays_o = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1) * 3.0 * bound
    target = (torch.rand(n, 3, generator=generator) - 0.5) * bound
    return rays_o, torch.nn.functional.normalize(target - rays_o, dim=-1)


@cache
def scene() -> Scene:
    """Return the toy scene, once."""
    return toy_scene()


def small_trainer(model: dict[str, Any] | None = None, **values: Any) -> InfNeRFTrainer:
    """Return a trainer of a fresh model on the toy scene."""
    config = small_config(**({"scene_bound": 0.5} | (model or {})))
    return InfNeRFTrainer(InfNeRF(config), scene(), InfNeRFTrainerConfig(**(QUICK | values)))


def tensors_of(tree: Any) -> TreeTensors:
    """Return a tree's tensors."""
    return TreeTensors(tree)
