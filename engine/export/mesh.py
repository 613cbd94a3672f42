# SPDX-License-Identifier: MIT
"""A mesh of fused distances: marching cubes brick by brick, one list of vertices, loose pieces dropped, a file.

Marching cubes are scikit-image's, files and simplification trimesh's; both come with the extra `mesh`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import UserError
from engine.export import ply
from engine.export.options import MeshOptions
from engine.export.tsdf import Brick, Volume
from engine.files import saved_file

if TYPE_CHECKING:
    from engine.datasets.scene import Scene

_WELD = 512.0  # vertices closer than a cell over this are one
_SIMPLIFIER = "fast_simplification"


@dataclass(frozen=True, eq=False)
class Mesh:
    """`vertices [n,3]` float64, `faces [m,3]` int64 seen counter-clockwise from outside, `colours [n,3]` uint8."""

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray


def require_tools(simplify: bool = False) -> None:
    """Raise UserError if what makes meshes is not installed."""
    names = {"trimesh": "trimesh", "skimage": "scikit-image"} | (
        {_SIMPLIFIER: "fast-simplification"} if simplify else {}
    )
    missing = [title for name, title in names.items() if find_spec(name) is None]
    if missing:
        raise UserError(
            f"A mesh needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed; "
            "run: pip install 'nerfviewer[mesh]'."
        )


def surface_of(volume: Volume, report: Callable[[int, int], None] | None = None) -> Mesh:
    """Return the surface of a volume in engine units, or raise UserError where there is none."""
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    bricks = volume.bricks()
    count = 0
    for number, brick in enumerate(bricks):
        if report is not None:
            report(number, volume.n_bricks)
        found = _of_brick(brick)
        if found is not None:
            vertices, faces, colours = found
            parts.append((vertices + brick.first, faces + count, colours))
            count += len(vertices)
    if not parts:
        raise UserError(
            "There is no surface in the box that the views agree on; train longer, or take more views."
        )
    vertices, faces, colours = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    welded = _welded(Mesh(vertices, faces, colours))
    return replace(welded, vertices=volume.place(welded.vertices))


def _of_brick(brick: Brick) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return vertices in cells of the brick, faces and colours; None without a surface."""
    from skimage.measure import marching_cubes

    known = brick.seen > 0
    cells = known[:-1, :-1, :-1].copy()
    for corner in range(1, 8):
        a, b, c = corner >> 2, (corner >> 1) & 1, corner & 1
        n = len(known) - 1
        cells &= known[a : a + n, b : b + n, c : c + n]
    mask = np.zeros(known.shape, dtype=bool)
    mask[1:, 1:, 1:] = cells  # marching cubes asks at a cell's last corner
    distance = np.where(known, brick.distance, 1.0)
    if not cells.any() or distance.min() >= 0.0:
        return None
    try:
        vertices, faces, _, _ = marching_cubes(
            distance, 0.0, mask=mask, gradient_direction="descent", allow_degenerate=True
        )
    except RuntimeError:  # no surface among the known cells
        return None
    vertices = vertices.astype(np.float64)
    return vertices, faces.astype(np.int64), _colours(brick, vertices)


def _colours(brick: Brick, vertices: np.ndarray) -> np.ndarray:
    """Return uint8 [n,3]: colours between the cells around each vertex that were near a surface."""
    low = np.clip(np.floor(vertices).astype(np.int64), 0, len(brick.distance) - 2)
    share = vertices - low
    total, weight_sum = np.zeros((len(vertices), 3)), np.full((len(vertices), 1), 1e-9)
    for corner in range(8):
        offset = np.array([corner >> 2, (corner >> 1) & 1, corner & 1])
        at = tuple((low + offset).T)
        weight = np.prod(np.where(offset == 1, share, 1.0 - share), axis=1) * (brick.near[at] > 0) + 1e-12
        total += weight[:, None] * brick.rgb[at]
        weight_sum += weight[:, None]
    return np.clip(np.rint(total / weight_sum / 257.0), 0, 255).astype(np.uint8)


def _welded(mesh: Mesh) -> Mesh:
    """Return a mesh in which vertices at one place are one, without triangles that have no area by that."""
    key = np.rint(mesh.vertices * _WELD).astype(np.int64) @ np.array([1 << 42, 1 << 21, 1], dtype=np.int64)
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    faces = index[mesh.faces]
    a, b, c = faces.T
    return _compacted(Mesh(mesh.vertices[first], faces[(a != b) & (b != c) & (c != a)], mesh.colours[first]))


def _compacted(mesh: Mesh) -> Mesh:
    """Return a mesh without vertices that no triangle has."""
    used = np.zeros(len(mesh.vertices), dtype=bool)
    used[mesh.faces.reshape(-1)] = True
    number = np.cumsum(used) - 1
    return Mesh(mesh.vertices[used], number[mesh.faces], mesh.colours[used])


def without_loose_pieces(mesh: Mesh, share: float) -> Mesh:
    """Return the pieces that have at least this share of the largest one's triangles."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if share <= 0.0 or not len(mesh.faces):
        return mesh
    ones = np.ones(2 * len(mesh.faces), dtype=bool)
    edges = np.concatenate([mesh.faces[:, :2], mesh.faces[:, 1:]])
    shape = (len(mesh.vertices), len(mesh.vertices))
    _, piece = connected_components(coo_matrix((ones, edges.T), shape), directed=False)
    of_face = piece[mesh.faces[:, 0]]
    count = np.bincount(of_face)
    keep = count[of_face] >= share * count.max()
    return _compacted(replace(mesh, faces=mesh.faces[keep]))


def simplified(mesh: Mesh, triangles: int) -> Mesh:
    """Return a mesh of about so many triangles; each vertex takes the colour of the old one nearest to it."""
    if not 0 < triangles < len(mesh.faces):
        return mesh
    require_tools(simplify=True)
    import trimesh
    from scipy.spatial import cKDTree

    fewer = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).simplify_quadric_decimation(
        face_count=max(4, triangles)
    )
    vertices = np.asarray(fewer.vertices, dtype=np.float64)
    _, nearest = cKDTree(mesh.vertices).query(vertices)
    return Mesh(vertices, np.asarray(fewer.faces, dtype=np.int64), mesh.colours[nearest])


def finished(mesh: Mesh, options: MeshOptions) -> Mesh:
    """Return a mesh as its options ask for."""
    return simplified(without_loose_pieces(mesh, options.pieces), options.triangles)


def write(path: str | Path, mesh: Mesh, scene: Scene) -> int:
    """Write a mesh in engine units as .ply, .obj or .glb in the data's coordinates; return the bytes.

    A .glb has a node that turns the scene's up into y, which is up in that format; its vertices are the data's as well.
    """
    path = Path(path)
    places = ply.moved(mesh.vertices, scene.data_from_engine)
    if path.suffix.lower() == ".ply":
        return _write_ply(path, replace(mesh, vertices=places))
    content = _content(path.suffix.lower()[1:], replace(mesh, vertices=places), scene.up)
    with saved_file(path) as temporary:
        temporary.write_bytes(content)
    return len(content)


def _write_ply(path: Path, mesh: Mesh) -> int:
    rows = np.zeros(len(mesh.vertices), ply.POINT_FIELDS)
    for axis, name in enumerate("xyz"):
        rows[name] = mesh.vertices[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        rows[name] = mesh.colours[:, channel]
    faces = mesh.faces.astype(np.int32)
    return ply.write(path, ply.POINT_FIELDS, len(rows), [rows], [faces], len(faces), ["mesh of nerfviewer"])


def _content(kind: str, mesh: Mesh, up: np.ndarray) -> bytes:
    """Return the bytes of a file that trimesh makes."""
    import trimesh

    opaque = np.concatenate([mesh.colours, np.full((len(mesh.colours), 1), 255, np.uint8)], axis=1)
    made: Any = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=opaque, process=False)
    if kind == "glb":
        turned = trimesh.geometry.align_vectors(up / np.linalg.norm(up), [0.0, 1.0, 0.0])
        scene = trimesh.Scene()
        scene.add_geometry(made, node_name="nerfviewer", geom_name="mesh", transform=turned)
        made = scene
    content = made.export(file_type=kind)
    return content.encode() if isinstance(content, str) else content
