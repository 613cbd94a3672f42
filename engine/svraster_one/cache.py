# SPDX-License-Identifier: MIT
"""What inference mode draws from: the voxels in Morton order, in half precision, with nothing that only training needs.

On a processor a voxel takes 57 bytes and 6 for each coefficient of its colours: corner densities gathered (16), where it lies
(32), its place in the octree (9). Training takes 16 for each coefficient and for each of its 1.2 densities or so, and
the structure besides. A card keeps densities at the shared points, as its kernels read them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numba import njit
from torch import Tensor

from engine.cameras import Camera
from engine.cpu.crew import crew
from engine.cpu.halves import from_half_bits, half_bits
from engine.cpu.lists import VoxelTable, Workspace
from engine.cpu.octree_walk import find_points, node_table, table_depth, walk_ray
from engine.cpu.raster import PLANE_DEPTH, WANT_DEPTH
from engine.cpu.shade import grouped, sh_rows
from engine.cpu.train_view import render_lists, shaded_lists
from engine.octree import Octree
from engine.reference.rasterize import trilinear_weights
from engine.reference.sh import rgb_from_sh
from engine.render.rasterize import rasterize
from engine.svraster_one.rasterizer import SEEN, finished
from engine.svraster_one.voxels import SparseVoxelGrid

CROSSED = 4096  # leaves of a ray are found this many at a time


@dataclass(frozen=True)
class Looks:
    """How the cache is drawn."""

    background: tuple[float, float, float]
    samples: int = 1
    supersample: int = 1


def key_of(grid: SparseVoxelGrid) -> tuple[object, ...]:
    """Return what changes whenever the values of a grid do, in place or not."""
    parameters = (grid.densities, grid.sh)
    return (id(grid.octree), *((id(p), p.data_ptr(), p._version) for p in parameters))


@njit(cache=True, nogil=True)
def finish(image, plane, rays, background, extent, seen, rgb, depth, alpha):  # type: ignore[no-untyped-def]
    """Average `rays` x `rays` rays a pixel, lay the colour over a background, divide the depth by what is seen.

    image [H rays, W rays, 4] and plane [H rays, W rays] to rgb [H,W,3], depth and alpha [H,W].
    """
    share = np.float32(1.0 / (rays * rays))
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            trans = r = g = b = z = np.float32(0.0)
            for i in range(y * rays, (y + 1) * rays):
                for j in range(x * rays, (x + 1) * rays):
                    trans += image[i, j, 0]
                    r += image[i, j, 1]
                    g += image[i, j, 2]
                    b += image[i, j, 3]
                    z += plane[i, j]
            trans *= share
            rgb[y, x, 0] = r * share + trans * background[0]
            rgb[y, x, 1] = g * share + trans * background[1]
            rgb[y, x, 2] = b * share + trans * background[2]
            alpha[y, x] = 1.0 - trans
            depth[y, x] = extent * z * share / (1.0 - trans) if 1.0 - trans > seen else 0.0


@dataclass(eq=False)
class InferenceCache:
    """A grid made small. `sh` int16 [groups, 3K, 16] and `corners` int16 [V,8] are the bits of halves.

    On a card `octree`, `densities [G]` float32 and `half_sh [V,K,3]` float16 stand for them.
    """

    key: tuple[object, ...]
    degree: int
    table: VoxelTable
    nodes: np.ndarray
    depth: int
    sh: np.ndarray
    corners: np.ndarray
    room: Workspace
    octree: Octree | None = None
    densities: Tensor | None = None
    half_sh: Tensor | None = None

    @classmethod
    def of(cls, grid: SparseVoxelGrid) -> InferenceCache:
        """Make the cache of a grid, whose own arrays it shares where they are the same."""
        octree = grid.octree
        depth = table_depth(len(octree))
        with torch.no_grad():
            corners = half_bits(grid.densities.detach().float().cpu().numpy())[octree.corner_idx]
            sh = half_bits(grouped(grid.sh.detach().float().cpu().numpy()))
        table = replace(VoxelTable.of(octree), corner_idx=None)
        made = cls(
            key_of(grid),
            grid.sh_degree,
            table,
            node_table(octree.path, depth),
            depth,
            sh,
            corners,
            Workspace(),
        )
        if grid.densities.is_cuda:
            made.octree, made.densities = octree, grid.densities.detach().float()
            made.half_sh = grid.sh.detach().half()
        return made

    def __len__(self) -> int:
        return self.table.n_voxels

    def arrays(self) -> list[np.ndarray]:
        """Return the arrays held in the computer's memory, some of them the octree's own."""
        table, octree = self.table, self.octree
        held = [
            table.path,
            table.level,
            table.soa,
            table.box,
            table.chunks,
            self.nodes,
            self.sh,
            self.corners,
        ]
        return held if octree is None else [*held, octree.corner_idx, octree.point_ijk]

    def nbytes(self) -> int:
        """Return the bytes held, the arrays that frames are drawn in left out."""
        on_card = sum(t.nbytes for t in (self.densities, self.half_sh) if t is not None)
        return sum(array.nbytes for array in self.arrays()) + on_card

    # --- pictures -------------------------------------------------------------------------------------------------

    def blend(self, camera: Camera, looks: Looks, depth: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Return image [H,W,4], T and rgb before nothing, and planes [n,H,W] with every ray, valid until the next call."""
        fine = camera if looks.supersample == 1 else camera.scaled(float(looks.supersample))
        lists, rgb = shaded_lists(self.table, self.sh, self.degree, fine, crew(), self.room)
        want = WANT_DEPTH if depth else 0
        return render_lists(lists, self.table, self.corners, rgb, crew(), self.room, looks.samples, want)

    def picture(self, camera: Camera, looks: Looks, extent: float = 1.0) -> dict[str, Tensor]:
        """Return `rgb [H,W,3]`, `depth [H,W]` in scene units, of which `extent` make one of the engine's, and `alpha`."""
        if self.densities is not None:
            return finished(*self._on_card(camera, looks), extent)
        image, planes = self.blend(camera, looks)
        rgb = np.empty((camera.height, camera.width, 3), dtype=np.float32)
        depth, alpha = (np.empty((camera.height, camera.width), dtype=np.float32) for _ in range(2))
        background = np.array(looks.background, dtype=np.float32)
        finish(image, planes[PLANE_DEPTH], looks.supersample, background, extent, SEEN, rgb, depth, alpha)
        fields = {"rgb": rgb, "depth": depth, "alpha": alpha}
        return {name: torch.from_numpy(array) for name, array in fields.items()}

    @torch.no_grad()
    def _on_card(self, camera: Camera, looks: Looks) -> tuple[Tensor, Tensor, Tensor]:
        position = torch.from_numpy(camera.position.copy()).to(self.densities)
        towards = torch.from_numpy(self.octree.center).to(self.densities) - position
        directions = towards / towards.norm(dim=1, keepdim=True).clamp(min=1e-12)
        colours = rgb_from_sh(self.half_sh.float(), directions, self.degree)
        out = rasterize(
            self.octree, self.densities, colours, camera,
            background=self.densities.new_tensor(looks.background), samples_per_voxel=looks.samples,
            supersample=float(looks.supersample),
        )  # fmt: skip
        return out.rgb, out.trans, out.depth_z

    # --- points and rays ------------------------------------------------------------------------------------------

    def find(self, points: np.ndarray) -> np.ndarray:
        """Return int32 [N]: the voxel that holds each of `points [N,3]`, engine units, or -1."""
        table, out = self.table, np.empty(len(points), dtype=np.int32)
        points = np.ascontiguousarray(points, dtype=np.float64)
        find_points(points, table.path, table.level, self.nodes, self.depth, table.root_size, out)
        return out

    def raw_density(self, points: np.ndarray, voxel: np.ndarray) -> np.ndarray:
        """Return the raw density [N] float32 interpolated at points inside the voxels that `find` gave."""
        box = self.table.box[voxel]
        place = torch.from_numpy((points - box[:, :3]) / box[:, 3:])
        weights = trilinear_weights(place.clamp(0.0, 1.0)).float().numpy()
        return np.einsum("nc,nc->n", weights, from_half_bits(self.corners[voxel]))

    def coefficients(self, voxel: np.ndarray) -> np.ndarray:
        """Return the coefficients float32 [N,K,3] of voxels."""
        group, lane = voxel >> 4, voxel & 15
        rows = from_half_bits(self.sh[group, :, lane])
        return rows.reshape(len(voxel), -1, 3)

    def walk(
        self, origin: np.ndarray, direction: np.ndarray, t_near: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the voxels int32 [n] that a ray crosses, nearest first, and where: t [n,2] in lengths of `direction`."""
        table, most = self.table, CROSSED
        origin, direction = np.asarray(origin, dtype=np.float64), np.asarray(direction, dtype=np.float64)
        while True:
            voxels, spans = np.empty(most, dtype=np.int32), np.empty((most, 2))
            n = walk_ray(origin, direction, table.path, table.level, table.root_size, t_near, voxels, spans)
            if n < most:
                return voxels[:n].copy(), spans[:n].copy()
            most *= 4

    def unpacked_sh(self) -> np.ndarray:
        """Return all coefficients float32 [V,K,3]."""
        return sh_rows(from_half_bits(self.sh), len(self))
