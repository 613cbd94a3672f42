# SPDX-License-Identifier: MIT
"""Less memory: colours in a file on the disk for drawing, rays drawn again on the way back, training in parts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import OptionError
from engine.plenoxels.settings import PlenoxelConfig


def optimize_cuda_memory(
    model: nn.Module, config: PlenoxelConfig, memory_fraction: float | None = None
) -> nn.Module:
    """Return the same model, using less memory as `config` says; on the processor too.

    `use_memory_mapping`: colours move into a file that goes away with the model, as float16, and cannot be trained any more;
    densities stay float32, whose range they need. `use_gradient_checkpointing`: rays are marched once more on the way
    back, in chunks of `max_rays_per_batch`. `memory_fraction` of a card is all that torch may take from then on.
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        if memory_fraction is not None:
            torch.cuda.set_per_process_memory_fraction(memory_fraction)
    name = "sh" if hasattr(model, "sh") else "color_grid"
    colours = getattr(model, name, None)
    if config.use_memory_mapping and colours is not None:
        if colours.is_cuda:
            raise OptionError(
                "Memory mapping keeps colours on the disk; move the model to the processor first."
            )
        mapped = create_memory_mapped_grid(tuple(colours.shape))
        mapped.copy_(colours.detach())
        setattr(model, name, nn.Parameter(mapped, requires_grad=False))
    model.config.use_gradient_checkpointing = config.use_gradient_checkpointing
    model.config.max_rays_per_batch = config.max_rays_per_batch
    return model


def create_memory_mapped_grid(shape: Sequence[int], dtype: np.dtype | type = np.float16) -> Tensor:
    """Return a tensor whose memory is a temporary file. The file goes when the tensor does; no name of it is left."""
    with tempfile.TemporaryFile() as file:
        return torch.from_numpy(np.memmap(file, dtype=dtype, mode="w+", shape=tuple(shape)))


def prune_voxels_cuda(density_grid: Tensor, threshold: float = 0.01) -> tuple[Tensor, Tensor]:
    """Return indices [V,3] int64 and densities [V] of the voxels above a threshold, in row-major order."""
    mask = density_grid > threshold
    return torch.nonzero(mask), density_grid[mask]


class CUDABatchTrainer:
    """Takes training steps in chunks whose gradients add up, so that only one chunk's memory is needed at a time.

    The chunks follow one another on one stream: on several, each would add to the same gradients at the same time.
    """

    def __init__(self, model: nn.Module, config: Any = None, chunks: int = 4) -> None:
        self.model, self.config, self.chunks = model, config, chunks

    def train_step_cuda(self, batch_data: dict[str, Tensor]) -> Tensor:
        """Return the mean squared error of a batch; the gradients of it are then in the parameters, and only they.

        `batch_data` holds `ray_origins`, `ray_directions` and `target_rgb`, [N,3] each. The optimiser's step is the caller's.
        """
        rays_o, rays_d, target = (
            batch_data[k].to(next(self.model.parameters()).device)
            for k in ("ray_origins", "ray_directions", "target_rgb")
        )
        if len(rays_o) == 0:
            raise OptionError("train_step_cuda() needs at least one ray, got none.")
        self.model.zero_grad(set_to_none=True)
        render = getattr(self.model, "render_cuda", None)
        total = torch.zeros((), device=rays_o.device)
        for part in torch.arange(len(rays_o), device=rays_o.device).tensor_split(
            min(self.chunks, len(rays_o))
        ):
            rays = dict(ray_origins=rays_o[part], ray_directions=rays_d[part])
            out = self.model(*rays.values()) if render is None else render(**rays)
            loss = nn.functional.mse_loss(out["rgb"], target[part]) * (len(part) / len(rays_o))
            if loss.requires_grad:  # else none of these rays meets anything
                loss.backward()
            total = total + loss.detach()
        return total
