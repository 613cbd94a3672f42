# SPDX-License-Identifier: MIT
"""How heavily every cell weighs in the training views: looked over a few rays at a time, beside training.

Before a finer grid begins, its densities are interpolated, and those are looked at, as published; without a finer grid, the
grid in training is, which changes a little meanwhile.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera
from engine.methods.plenoxels.space import Cube
from engine.voxel_grid import Grid

SLICE_RAYS = 5_000  # rays looked along beside a training step: a few ms


# Raises heaviest [N] of a grid's rows along rays [Q,3]: (grid, rays_o, rays_d, heaviest).
Look = Callable[[Grid, np.ndarray, np.ndarray, np.ndarray], None]


@dataclass(eq=False)
class Survey:
    """A look along the rays of all training views, `shrink` times fewer a side. `heaviest [N]` belongs to grid's rows."""

    grid: Grid
    heaviest: np.ndarray
    finer: bool  # `grid` is the next one
    at: int  # the step that it is for
    shrink: int
    view: int = 0  # the next view and
    row: int = 0  # row of its pixels

    @classmethod
    def begin(cls, grid: Grid, finer: bool, at: int, shrink: int) -> Survey:
        """Return a survey that has seen nothing yet."""
        return cls(grid, np.zeros(grid.n_voxels, dtype=np.float32), finer, at, shrink)

    def advance(self, cameras: list[Camera | None], space: Cube, look: Look) -> None:
        """Look along about SLICE_RAYS more rays; None stands for a view that is left out."""
        left = SLICE_RAYS
        while left > 0 and self.view < len(cameras):
            camera = cameras[self.view]
            rows = 0 if camera is None else shrunk_height(camera, self.shrink)
            if camera is None or self.row >= rows:
                self.view, self.row = self.view + 1, 0
                continue
            small = camera.resized(max(1, camera.width // self.shrink), rows)
            n = min(rows - self.row, max(1, left // small.width))
            part = dataclasses.replace(small, height=n, cy=small.cy - self.row)
            rays = (rays.reshape(-1, 3) for rays in part.rays())
            look(self.grid, *space.rays(*rays), self.heaviest)
            self.row += n
            left -= n * small.width

    def is_done(self, n_views: int) -> bool:
        """Whether all views were looked at."""
        return self.view >= n_views


def shrunk_height(camera: Camera, shrink: int) -> int:
    """Return the rows of a view in a survey."""
    return max(1, camera.height // shrink)


def steps_needed(cameras: list[Camera | None], shrink: int) -> int:
    """Return by how many steps a survey has to begin earlier."""
    rays = sum((c.width // shrink) * shrunk_height(c, shrink) for c in cameras if c is not None)
    return -(-rays // SLICE_RAYS) + 1
