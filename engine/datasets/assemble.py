# SPDX-License-Identifier: MIT
"""The last step of every reader: from shots in data units to a scene in engine units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from engine.cameras import Camera
from engine.conventions import move_pose
from engine.datasets.beside import with_masks
from engine.datasets.box import chosen_box
from engine.datasets.checks import cannot_read, first_few
from engine.datasets.distortion import straight_lens
from engine.datasets.images import Photo, PhotoSource, Progress
from engine.datasets.normalise import engine_from_data, estimate_up
from engine.datasets.options import SceneOptions
from engine.datasets.scene import Points, Scene, Split, View
from engine.datasets.shots import Lens, Shot


@dataclass(frozen=True, eq=False)
class Layout:
    """Where a reader puts the foreground cube (data units), and what "auto" options mean for its scene."""

    centre: np.ndarray
    edge: float
    background: str
    outside_levels: int


def build_scene(
    path: Path,
    kind: str,
    train: Sequence[Shot],
    test: Sequence[Shot],
    layout: Layout,
    options: SceneOptions,
    warnings: Sequence[str] = (),
    progress: Progress | None = None,
    points: Points | None = None,
) -> Scene:
    """Return a scene, its photos decoded as far as the cache holds them. `path` is the file of the shots.

    `points` are in data units; their views are counted through `train`, then `test`.
    """
    train, test = with_masks(path.parent, train), with_masks(path.parent, test)
    background = layout.background if options.background == "auto" else options.background
    outside = layout.outside_levels if options.outside_levels < 0 else options.outside_levels
    matrix = engine_from_data(*chosen_box(options, layout.centre, layout.edge))
    prepared = [_prepare(path, shots, matrix, background, options) for shots in (train, test)]
    wanted = [sum(photo.nbytes for photo in photos) for _, photos in prepared]
    cache_bytes = options.cache_mb * 1_000_000
    splits = []
    for (views, photos), nbytes in zip(prepared, wanted, strict=True):
        source = PhotoSource(photos, int(cache_bytes * nbytes / max(1, sum(wanted))))
        splits.append(Split(tuple(views), source))
    for split, stage in zip(splits, ("Reading training photos", "Reading held-out photos"), strict=True):
        split.images.prefetch(progress, stage)
    notes = list(warnings)
    if sum(wanted) > cache_bytes:
        notes.append(
            f"Decoded photos need {sum(wanted) / 1e6:,.0f} MB and {options.cache_mb:,} MB are allowed, so "
            "they are read again and again, which is slow; raise cache_mb or downscale."
        )
    unmasked = [shot.name for shot in (*train, *test) if shot.mask is None]
    if 0 < len(unmasked) < len(train) + len(test):
        notes.append(f"{len(unmasked)} photos have no mask and count as a whole ({first_few(unmasked)}).")
    if not test:
        notes.append("Too few photos to hold any out, so no quality is measured.")
    poses = np.stack([shot.world_from_cam for shot in (*train, *test)])
    return Scene(
        name=path.resolve().parent.name,
        path=str(path.parent),
        kind=kind,
        train=splits[0],
        test=splits[1],
        background=background,
        outside_levels=outside,
        data_from_engine=np.linalg.inv(matrix),
        up=estimate_up(poses),
        warnings=tuple(notes),
        points=None if points is None else _moved(points, matrix),
    )


def target_size(width: int, height: int, options: SceneOptions) -> tuple[int, int]:
    """Return the size of a photo after `downscale` and `max_size`."""
    factor = float(options.downscale)
    if options.max_size:
        factor = max(factor, max(width, height) / options.max_size)
    return max(1, round(width / factor)), max(1, round(height / factor))


def _moved(points: Points, engine_from_data: np.ndarray) -> Points:
    xyz = points.xyz @ engine_from_data[:3, :3].T + engine_from_data[:3, 3]
    return replace(points, xyz=xyz.astype(np.float32))


def _prepare(
    path: Path, shots: Sequence[Shot], engine_from_data: np.ndarray, background: str, options: SceneOptions
) -> tuple[list[View], list[Photo]]:
    straight_of = lru_cache(maxsize=None)(straight_lens)
    engine_per_data = float(np.cbrt(np.linalg.det(engine_from_data[:3, :3])))
    views, photos = [], []
    for shot in shots:
        straight = _straight(path, shot, straight_of)
        lens = straight.resized(*target_size(straight.width, straight.height, options))
        pose = move_pose(engine_from_data, shot.world_from_cam)
        camera = Camera(lens.width, lens.height, lens.fx, lens.fy, lens.cx, lens.cy, pose)
        views.append(View(shot.name, camera, shot.path))
        grey = 0 if background == "black" else 255
        factor = shot.depth_scale * engine_per_data
        photos.append(Photo(shot.path, shot.lens, lens, grey, shot.mask, shot.depth, factor))
    return views, photos


def _straight(path: Path, shot: Shot, straight_of: lru_cache[Lens]) -> Lens:
    try:
        return straight_of(shot.lens)
    except ValueError as error:
        lens = shot.lens
        problem = (
            f"the lens distortion of {shot.name} cannot be undone ({error}): k1 {lens.k1:g}, k2 {lens.k2:g}, "
            f"k3 {lens.k3:g}, p1 {lens.p1:g}, p2 {lens.p2:g}"
        )
        raise cannot_read(path, problem, "correct the calibration or undistort the photos first") from error
