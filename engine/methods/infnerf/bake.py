# SPDX-License-Identifier: MIT
"""A tree of fields as sparse voxels with spherical harmonics, for the rasteriser.

Order of work. Structure: cells are split as long as the finest node there resolves more, and kept where some place in them
hides light. Density: raw values of the mean around every corner.
Trim: voxels that no training view sees are dropped. Colour: for every voxel, the least squares of the field's colours along
the rays of the views that see it, each at the depth that the view sees.
What is baked is the finest field at every place; levels for distant views are not in the voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.cameras import Camera
from engine.constants import DENSITY_SCALE, EXP_LINEAR_KNEE, MAX_LEVEL
from engine.cpu.crew import crew
from engine.cpu.node_place import place_in_nodes
from engine.cpu.normal_equations import add_rows, solved
from engine.cpu.route import route
from engine.octree import Octree
from engine.sh import n_coefficients, sh_basis, view_directions

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF

Progress = Callable[[str, int, int], None]

_START_LEVEL = 5  # of the cube: cells a side 2^this, each probed in 4^3 places
_CHUNK = 1 << 18  # places that the fields are asked about at once
_FAMILY = 4  # times the voxels wanted may there be before what is empty or unseen is left out
_LEAST_RAW = -14.0
_OPAQUE = 10.0  # optical depth across a voxel from which more would only widen the thing's outline
_SEEN = 0.25  # share of the least weight from which a view has a say in the colour
_RIDGE = 0.02  # pulls coefficients that few directions determine to 0; of a voxel's whole weight
_GRID = np.stack(np.meshgrid(*[(np.arange(4) + 0.5) / 4.0 - 0.5] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
_OCTANTS = np.stack(np.meshgrid(*[(-0.25, 0.25)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


@dataclass(frozen=True)
class BakeOptions:
    """How finely, and what counts. `fineness` voxels in a row are as long as a finest cell of the finest node there."""

    degree: int = 2
    fineness: float = 1.0
    max_voxels: int = 1_500_000  # the heaviest stay
    opacity: float = 0.01  # a voxel that hides less than this nowhere is left out
    weight: float = 0.004  # a voxel that counts for less than this in every view is left out
    views: int = 100  # at most so many training views say what is seen


@dataclass(frozen=True, eq=False)
class Look:
    """What a view sees: voxels int32 [n] and their heaviest blending weights [n]."""

    camera: Camera
    voxels: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, eq=False)
class Baked:
    """Voxels: raw densities float32 [G] at the octree's points, coefficients float32 [V,K,3]."""

    octree: Octree
    density: np.ndarray
    sh: np.ndarray


def bake(model: InfNeRF, options: BakeOptions | None = None, progress: Progress | None = None) -> Baked:
    """Return the voxels that look like a model from its training views."""
    options = BakeOptions() if options is None else options
    report = progress or (lambda stage, done, total: None)
    octree, probes = _structure(model, options, report)
    density = _at_points(model, octree)
    views = _some(model, options.views)
    heaviest, looks = np.zeros(len(octree), np.float32), []
    for number, camera in enumerate(views):
        report("seeing", number, 2 * len(views))
        weight = weights_in(octree, density, camera)
        heaviest = np.maximum(heaviest, weight)
        seen = np.flatnonzero(weight >= _SEEN * options.weight).astype(np.int32)
        looks.append(Look(camera, seen, weight[seen]))
    kept, carry = octree.keep(_heaviest(heaviest, options))
    density = np.ascontiguousarray(density[carry.point_from[:, 0]])
    looks = [_after(look, carry.voxel_from, len(octree)) for look in looks]
    sh = _colours(model, kept, probes[carry.voxel_from], looks, options.degree, report)
    return Baked(kept, density, sh)


def _after(look: Look, voxel_from: np.ndarray, before: int) -> Look:
    """Return what a view sees of the voxels that were kept, `voxel_from [V]` of so many before."""
    now = np.full(before, -1, np.int32)
    now[voxel_from] = np.arange(len(voxel_from), dtype=np.int32)
    there = now[look.voxels] >= 0
    return Look(look.camera, now[look.voxels[there]], look.weight[there])


def _heaviest(weight: np.ndarray, options: BakeOptions) -> np.ndarray:
    """Return which voxels to keep, bool [V]: those that count in a view, at most so many, at least one."""
    keep = np.zeros(len(weight), dtype=bool)
    keep[np.argsort(-weight, kind="stable")[: max(1, options.max_voxels)]] = True
    counts = weight >= options.weight
    return keep & counts if counts.any() else weight == weight.max()


# --- structure and density ----------------------------------------------------------------------------------------


def _structure(model: InfNeRF, options: BakeOptions, report: Progress) -> tuple[Octree, np.ndarray]:
    """Return the octree, and the densities [V,8] in its voxels' octants."""
    outside = model.scene.outside_levels if model.has_background else 0
    octree, places = Octree.dense(_START_LEVEL, outside), _GRID
    finest = 0
    while True:
        report("splitting", finest, MAX_LEVEL)
        density = _probed(model, octree.center, octree.size, places)
        opacity = -np.expm1(-density.max(axis=1) * octree.size)
        keep = opacity >= options.opacity
        if not keep.any():
            keep[np.argmax(opacity)] = True
        octree, _ = octree.keep(keep)
        density = density[keep]
        wanted = _wanted_size(model, octree.center, options.fineness)
        split = (octree.size > 1.42 * wanted) & (octree.level < MAX_LEVEL)  # to the nearest power of two
        if len(octree) + 7 * int(split.sum()) > _FAMILY * options.max_voxels:
            split[:] = False
        if not split.any():
            return octree, density if places is _OCTANTS else _probed(
                model, octree.center, octree.size, _OCTANTS
            )
        octree, _ = octree.subdivide(split)
        places, finest = _OCTANTS, finest + 1


def _wanted_size(model: InfNeRF, centre: np.ndarray, fineness: float) -> np.ndarray:
    """Return the edge [V] of the finest cell of the finest node at places [V,3]."""
    tree, cells = model.tree, model.config.field.max_res * fineness
    nodes = route(tree, centre, np.zeros(len(centre), np.float32), None, crew())
    wanted = tree.edge(nodes) / cells
    if model.has_background:  # the root's grid is contracted: its cells are twice as long, and grow outside
        root = nodes == 0
        far = np.maximum(np.abs(centre[root] - tree.centre).max(axis=1) / tree.half, 1.0)
        wanted[root] *= 2.0 * far / (2.0 - 1.0 / far)
    return wanted


def _probed(model: InfNeRF, centre: np.ndarray, size: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return densities float32 [V,n] at places [n,3] of cubes, in edges [V] from middles [V,3], by the finest nodes."""
    n = len(places)
    found = np.empty((len(centre), n), np.float32)
    step = max(1, _CHUNK // n)
    for first in range(0, len(centre), step):
        part = slice(first, first + step)
        at = centre[part, None] + size[part, None, None] * places
        at = np.ascontiguousarray(at.reshape(-1, 3), dtype=np.float32)
        nodes = route(model.tree, at, np.zeros(len(at), np.float32), None, crew())
        density = model.density(nodes, at)
        density[_empty(model, nodes, at)] = 0.0
        found[part] = density.reshape(-1, n)
    return found


def _empty(model: InfNeRF, nodes: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return bool [M]: places whose node's grid says that nothing is there, so that rays are never asked about them."""
    cells = model.occupancy.resolution
    unit = place_in_nodes(model.tree, nodes, positions, crew(), background=model.has_background)
    x, y, z = np.minimum((unit * cells).astype(np.int64), cells - 1).T
    return model.occupancy.free[nodes, (x * cells + y) * cells + z] > 0


def _at_points(model: InfNeRF, octree: Octree) -> np.ndarray:
    """Return raw densities float32 [G]: of the mean over a box around each point, as long as the smallest voxel there.

    The mean and not the value in the middle: a thing's outline then stays where it is, wherever it cuts through voxels.
    """
    size = np.full(octree.n_points, np.inf, np.float32)
    np.minimum.at(size, octree.corner_idx.reshape(-1), np.repeat(octree.size, 8))
    density = _probed(model, octree.point_position, size, _OCTANTS).mean(axis=1)
    return np.maximum(raw_density(np.minimum(density, _OPAQUE / size)), _LEAST_RAW).astype(np.float32)


def raw_density(density: np.ndarray) -> np.ndarray:
    """Return the raw value whose activation is a density per engine unit: the inverse of DENSITY_SCALE exp_linear."""
    value = np.maximum(np.asarray(density, np.float64) / DENSITY_SCALE, 1e-12)
    knee = EXP_LINEAR_KNEE
    return np.where(value > knee, value, knee * (np.log(value / knee) + 1.0))


# --- what is seen, and its colours --------------------------------------------------------------------------------


def _some(model: InfNeRF, most: int) -> list[Camera]:
    """Return at most so many of the training cameras, evenly chosen."""
    views = model.scene.train.views
    chosen = np.unique(np.linspace(0, len(views) - 1, min(most, len(views))).astype(np.int64))
    return [views[int(i)].camera for i in chosen]


def weights_in(octree: Octree, density: np.ndarray, camera: Camera) -> np.ndarray:
    """Return each voxel's heaviest blending weight [V] in a view."""
    import torch

    from engine.render.rasterize import rasterize

    colours = torch.zeros((len(octree), 3))
    with torch.no_grad():
        seen = rasterize(octree, torch.from_numpy(density), colours, camera)
    return seen.max_weight.numpy()


def _colours(
    model: InfNeRF, octree: Octree, probes: np.ndarray, looks: Sequence[Look], degree: int, report: Progress
) -> np.ndarray:
    """Return coefficients float32 [V,K,3]: least squares over the views that see a voxel, by how much of it they see."""
    k = n_coefficients(degree)
    normal = np.zeros((len(octree), k * (k + 1) // 2), np.float32)
    right = np.zeros((len(octree), k, 3), np.float32)
    for number, look in enumerate(looks):
        report("colouring", len(looks) + number, 2 * len(looks))
        towards = view_directions(octree.center[look.voxels], look.camera)
        at = _seen_places(octree, probes, look.voxels, towards, number)
        colour = _asked(model, at, towards) - np.float32(0.5)
        add_rows(
            look.voxels, sh_basis(towards, degree).astype(np.float32), look.weight, colour, normal, right
        )
    return solved(normal, right, _RIDGE)


def _seen_places(
    octree: Octree, probes: np.ndarray, seen: np.ndarray, towards: np.ndarray, number: int
) -> np.ndarray:
    """Return a place [n,3] in each voxel seen along `towards [n,3]`: an octant's middle, by chance as it would be seen."""
    order = np.argsort(towards @ _OCTANTS.T, axis=1, kind="stable")  # front to back
    size = octree.size[seen, None]
    hides = -np.expm1(-np.take_along_axis(probes[seen], order, axis=1) * 0.5 * size)
    before = np.cumprod(np.concatenate([np.ones((len(seen), 1)), 1.0 - hides[:, :-1]], axis=1), axis=1)
    share = np.cumsum(before * hides + 1e-9, axis=1)
    drawn = np.random.default_rng([number, 5]).random((len(seen), 1)) * share[:, -1:]
    pick = np.minimum((share < drawn).sum(axis=1), 7)
    octant = order[np.arange(len(seen)), pick]
    return (octree.center[seen] + size * _OCTANTS[octant]).astype(np.float32)


def _asked(model: InfNeRF, at: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Return rgb float32 [n,3] of the finest nodes at places [n,3] seen along unit `towards [n,3]`."""
    rgb, towards = np.empty((len(at), 3), np.float32), np.ascontiguousarray(towards, dtype=np.float32)
    for first in range(0, len(at), _CHUNK):
        part = slice(first, first + _CHUNK)
        rgb[part] = model.query(at[part], np.zeros(len(at[part]), np.float32), towards[part])[1]
    return rgb
