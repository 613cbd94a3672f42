# SPDX-License-Identifier: MIT
"""What was marched along a camera's rays, as the buffers that a viewer asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera
from engine.methods.common import Buffers
from engine.methods.infnerf.march import Marched
from engine.methods.infnerf.rays import Rays, rays_of
from engine.methods.plenoxels.march_view import normals
from engine.node_tree import NodeTree
from engine.render.resample import box_downsample

_CLEAR = 0.999  # where more light than this is left, there is nothing to have a depth
_SOME = 1e-6  # opacity above which there is something to have a level

March = Callable[[Rays], Marched]


@dataclass(frozen=True)
class Touched:
    """What a picture needed of a model: `nodes` int32, ascending, `bytes` of their fields, `share` of all nodes."""

    nodes: np.ndarray
    bytes: int
    share: float

    @classmethod
    def of(cls, nodes: np.ndarray, of_nodes: int, node_bytes: int) -> Touched:
        """Return the summary of some nodes of a tree that has `of_nodes`."""
        return cls(nodes, len(nodes) * node_bytes, len(nodes) / of_nodes)


def view(
    tree: NodeTree, camera: Camera, want: frozenset[str], supersample: float, march: March, chunk: int
) -> tuple[Buffers, np.ndarray]:
    """Return a view with the fields that are wanted, and which nodes it touched, int32, ascending.

    `march` returns what rays see, background included; it gets `chunk` rays at a time.
    """
    fine = camera if supersample == 1.0 else camera.scaled(supersample)
    rays, touched, planes = rays_of(fine, tree), [np.zeros(0, np.int32)], []
    for first in range(0, len(rays.rays_o), chunk):
        seen = march(rays.part(first, first + chunk))
        touched.append(seen.touched)
        planes.append(_planes(seen, rays.back))
    picture = np.concatenate(planes).reshape(fine.height, fine.width, -1)
    picture = box_downsample(picture, camera.width, camera.height)
    return _buffers(picture, camera, want), np.unique(np.concatenate(touched))


def _planes(seen: Marched, back: float) -> np.ndarray:
    """Return what can be averaged over pixels, float32 [Q,9]."""
    opacity = 1.0 - seen.trans
    columns = (
        seen.trans, seen.depth - back * opacity, np.where(seen.median > 0.0, seen.median - back, 0.0),
        np.diff(seen.samples.offsets), seen.level, seen.size,
    )  # fmt: skip
    return np.concatenate([seen.rgb, np.stack(columns, axis=1)], axis=1).astype(np.float32)


def _buffers(picture: np.ndarray, camera: Camera, want: frozenset[str]) -> Buffers:
    """Return a picture's planes [H,W,9] as buffers."""
    rgb, trans = np.ascontiguousarray(picture[..., :3]), np.ascontiguousarray(picture[..., 3])
    opacity = np.maximum(1.0 - trans, _SOME)
    there, some = trans < _CLEAR, trans < 1.0 - _SOME
    fields: dict[str, np.ndarray] = {"soft": rgb}
    fields["depth_z"] = np.where(there, picture[..., 4] / opacity, 0.0).astype(np.float32)
    fields["depth_median"] = np.where(there, picture[..., 5], 0.0).astype(np.float32)
    fields["count"] = np.round(picture[..., 6]).astype(np.int32)
    fields["level"], fields["size"] = (
        np.where(some, picture[..., k] / opacity, 0.0).astype(np.float32) for k in (7, 8)
    )
    if "normal" in want:
        rays_o, rays_d = camera.rays()
        along = rays_d / (rays_d @ camera.forward)[..., None]
        points = rays_o + along * (picture[..., 4] / opacity)[..., None]
        fields["normal"] = normals(points, rays_d, trans)
    return Buffers(rgb, trans, **{name: fields[name] for name in want if name in fields})
