# SPDX-License-Identifier: MIT
"""What was marched along a camera's rays, as the buffers that a viewer asks for."""

from __future__ import annotations

from collections.abc import Callable

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


def view(
    tree: NodeTree, camera: Camera, want: frozenset[str], supersample: float, march: March, chunk: int
) -> tuple[Buffers, np.ndarray]:
    """Return a view with the fields that are wanted, and which nodes it touched, int32, ascending.

    `march` returns what rays see, background included; it gets `chunk` rays at a time.
    """
    fine = camera if supersample == 1.0 else camera.scaled(supersample)
    colours = node_colours(tree) if "node" in want else None
    rays, touched, planes = rays_of(fine, tree), [np.zeros(0, np.int32)], []
    for first in range(0, len(rays.rays_o), chunk):
        seen = march(rays.part(first, first + chunk))
        touched.append(seen.touched)
        planes.append(_planes(seen, rays.back))
        if colours is not None:
            planes[-1] = np.concatenate([planes[-1], _tinted(seen, colours)], axis=1)
    picture = np.concatenate(planes).reshape(fine.height, fine.width, -1)
    picture = box_downsample(picture, camera.width, camera.height)
    return _buffers(picture, camera, want), np.unique(np.concatenate(touched))


def node_colours(tree: NodeTree) -> np.ndarray:
    """Return a colour [N,3] for every node: neighbours have hues far apart, coarser nodes are darker."""
    family = (tree.cell >> 1).astype(np.int64) @ (73, 151, 283) + 31 * tree.depth
    hue = ((tree.cell & 1) @ (4, 2, 1) / 8.0 + family * 0.6180339887498949) % 1.0
    pure = np.clip(np.abs((6.0 * hue[:, None] + (0.0, 4.0, 2.0)) % 6.0 - 3.0) - 1.0, 0.0, 1.0)
    value = 0.55 + 0.45 * (tree.depth + 1) / tree.levels
    return ((0.25 + 0.75 * pure) * value[:, None]).astype(np.float32)


def _planes(seen: Marched, back: float) -> np.ndarray:
    """Return what can be averaged over pixels, float32 [Q,9]."""
    opacity = 1.0 - seen.trans
    columns = (
        seen.trans, seen.depth - back * opacity, np.where(seen.median > 0.0, seen.median - back, 0.0),
        np.diff(seen.samples.offsets), seen.level, seen.size,
    )  # fmt: skip
    return np.concatenate([seen.rgb, np.stack(columns, axis=1)], axis=1).astype(np.float32)


def _tinted(seen: Marched, colours: np.ndarray) -> np.ndarray:
    """Return what rays see [Q,3] if every node has a colour [N,3] of its own, with a fifth of the picture in it."""
    samples, count = seen.samples, len(seen.rgb)
    of_nodes = colours[seen.shown] * seen.weights[:, None]
    blended = np.stack(
        [np.bincount(samples.ray, weights=of_nodes[:, k], minlength=count) for k in range(3)], axis=1
    )
    return (0.8 * blended + 0.2 * (1.0 - seen.trans[:, None]) * seen.rgb).astype(np.float32)


def _buffers(picture: np.ndarray, camera: Camera, want: frozenset[str]) -> Buffers:
    """Return a picture's planes [H,W,9] as buffers."""
    rgb, trans = np.ascontiguousarray(picture[..., :3]), np.ascontiguousarray(picture[..., 3])
    opacity = np.maximum(1.0 - trans, _SOME)
    there, some = trans < _CLEAR, trans < 1.0 - _SOME
    fields: dict[str, np.ndarray] = {"soft": rgb}
    if "node" in want:
        fields["node"] = np.ascontiguousarray(picture[..., 9:12])
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
