# SPDX-License-Identifier: MIT
"""Reader of LLFF captures: forward-facing photos with `poses_bounds.npy`, 17 numbers a photo.

A row is the matrix [3,5] of camera axes (down, right, backwards), position and (height, width, focal length), then
the nearest and the farthest depth that the photo shows. Photos lie in images, images_4, images_8, ...; rows and
photos belong together in the order of the file names.

The data is recentred: its units are those of the file, its axes those of the average camera (x right, y up,
z backwards) with the average position as origin, so that depth runs along an axis of the voxels. In `Scene.extras`:
  "original_from_data" [4,4]  leads back to the coordinates of the file
  "bounds" [C,2] float64      near and far z-depth in data units, training views first, then held-out
  "ndc"                       `ndc.Ndc` in data units, for methods that want to see the scene that way
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.conventions import opencv_from_llff, opengl_from_opencv
from engine.datasets.assemble import Layout, build_scene
from engine.datasets.beside import choose_folder, photos_in, still_to_shrink, with_masks
from engine.datasets.checks import LARGEST_LENGTH, cannot_read, check_enough, pixels, pose, positive
from engine.datasets.images import Progress, photo_size
from engine.datasets.ndc import Ndc
from engine.datasets.npy import read_npy
from engine.datasets.options import SceneOptions
from engine.datasets.scene import Scene
from engine.datasets.shots import Lens, Shot, hold_out

FILE = "poses_bounds.npy"
OUTSIDE_LEVELS = 3  # what lies behind the bounds is far away and seen from one side only
MAX_PHOTOS = 100_000
_CLOSER = (
    0.9  # of the nearest depth: where the cube begins, so that points a little nearer than said have room
)
_NARROW = 0.35  # the least share of its distance that half the cube spans, for telephoto lenses
_WIDE = 0.7  # and the most, for wide ones
_SAME_ASPECT = 0.02  # of the ratio of width and height: what rounding of shrunk photos explains
_REMEDY = "export it again with LLFF's imgs2poses, or open the COLMAP model it was made from"


def load_llff(path: Path, options: SceneOptions, progress: Progress | None) -> Scene:
    """Return the scene of a `poses_bounds.npy`."""
    poses, sizes, bounds = read_poses_bounds(path)
    longest = float(sizes[0, :2].max())
    shots = _shots(path, poses, sizes, choose_folder(path.parent, longest, options))
    check_enough(path, shots)
    original_from_data = opengl_from_opencv(average_pose(poses))
    data_from_original = np.linalg.inv(original_from_data)
    shots = [replace(shot, world_from_cam=data_from_original @ shot.world_from_cam) for shot in shots]
    train, test = hold_out(with_masks(path.parent, shots))
    options = still_to_shrink(longest, shots, options)
    near, far = float(bounds[:, 0].min()), float(bounds[:, 1].max())
    layout = _layout(shots[0].lens, near, far)
    scene = build_scene(path, "llff", train, test, layout, options, (), progress)
    row_of = {shot.name: i for i, shot in enumerate(shots)}
    rows = [row_of[shot.name] for shot in (*train, *test)]
    lens = shots[0].lens
    ndc = Ndc(opengl_from_opencv(np.eye(4)), 0.5 * lens.width / lens.fx, 0.5 * lens.height / lens.fy, near)
    extras = {"original_from_data": original_from_data, "bounds": bounds[rows], "ndc": ndc}
    return replace(scene, extras={**scene.extras, **extras})


def read_poses_bounds(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return OpenCV poses [C,4,4], (height, width, focal length) [C,3] and near and far depth [C,2] of the file."""
    table = _table(path)
    poses, sizes = np.empty((len(table), 4, 4)), np.empty((len(table), 3))
    for row, values in enumerate(table):
        where = f"row {row}"
        matrix = values[:15].reshape(3, 5)
        poses[row] = pose(path, where, opencv_from_llff(np.vstack([matrix[:, :4], [0, 0, 0, 1]])).tolist())
        for column, key in enumerate(("height", "width", "focal length")):
            sizes[row, column] = positive(path, where, key, float(matrix[column, 4]))
        for column, key in enumerate(("height", "width")):
            sizes[row, column] = pixels(path, where, key, sizes[row, column])
        near, far = (
            positive(path, where, key, float(v)) for key, v in zip(("near", "far"), values[15:], strict=True)
        )
        if not 1.0 / LARGEST_LENGTH <= near < far <= LARGEST_LENGTH:
            problem = f"the bounds of {where} must be a nearer and a farther depth, got {near:g} and {far:g}"
            raise cannot_read(path, problem, _REMEDY)
    return poses, sizes, table[:, 15:]


def average_pose(poses: np.ndarray) -> np.ndarray:
    """Return the OpenCV pose [4,4] in the middle of poses [C,4,4] that look roughly the same way."""
    forward, down = poses[:, :3, 2].mean(axis=0), poses[:, :3, 1].mean(axis=0)
    if np.linalg.norm(forward) < 1e-6:  # cameras all around: no direction is the common one
        forward, down = poses[0, :3, 2], poses[0, :3, 1]
    forward = forward / np.linalg.norm(forward)
    right = np.cross(down, forward)
    if np.linalg.norm(right) < 1e-6:
        right = np.cross(poses[0, :3, 1] + 1e-3 * poses[0, :3, 0], forward)
    right = right / np.linalg.norm(right)
    result = np.eye(4)
    result[:3, 0], result[:3, 1], result[:3, 2] = right, np.cross(forward, right), forward
    result[:3, 3] = poses[:, :3, 3].mean(axis=0)
    return result


def _table(path: Path) -> np.ndarray:
    """Return the array [C,17] of the file."""
    wanted = "a table of 17 numbers a photo was expected"
    try:
        table = read_npy(path, MAX_PHOTOS * 17 * 8 + 4096)
    except OSError as error:
        problem = f"the file cannot be opened ({error.strerror or error})"
        raise cannot_read(path, problem, "check that it exists and may be read") from error
    except ValueError as error:
        raise cannot_read(path, f"{wanted} and the file is no such table ({error})", _REMEDY) from error
    if table.ndim != 2 or table.shape[1] != 17 or not len(table):
        came = " x ".join(str(n) for n in table.shape) or "a single value"
        raise cannot_read(path, f"{wanted}, got {came}", _REMEDY)
    return table.astype(np.float64)


def _shots(path: Path, poses: np.ndarray, sizes: np.ndarray, folder: Path | None) -> list[Shot]:
    if folder is None:
        problem = "photos were wanted beside it, in a folder images, images_4 or images_8, and there are none"
        raise cannot_read(path, problem, "put them there")
    photos = photos_in(folder)
    if len(photos) != len(poses):
        problem = (
            f"it has {len(poses)} poses and {folder.name} has {len(photos)} photos, one for each was wanted"
        )
        raise cannot_read(path, problem, "restore the photos that are missing or remove those without a pose")
    shots = []
    for world_from_cam, (height, width, focal), photo in zip(poses, sizes, photos, strict=True):
        name = f"{folder.name}/{photo.name}"
        full = Lens(int(width), int(height), focal, focal, 0.5 * int(width), 0.5 * int(height))
        size = photo_size(photo)
        if abs(full.width * size[1] / (full.height * size[0]) - 1.0) > _SAME_ASPECT:
            problem = f"{name} should be shaped like {full.width} x {full.height} pixels and is {size[0]} x {size[1]}"
            raise cannot_read(path, problem, "use the calibrated photos, unrotated and uncropped")
        shots.append(Shot(name, photo, full.resized(*size), world_from_cam))
    return shots


def _layout(lens: Lens, near: float, far: float) -> Layout:
    """Return a cube that begins at the near bound and is as wide as the picture at its centre, or ends at the far one."""
    slope = 0.5 * max(lens.width / lens.fx, lens.height / lens.fy)
    begin = _CLOSER * near
    distance = min(0.5 * (begin + far), begin / (1.0 - float(np.clip(slope, _NARROW, _WIDE))))
    centre = np.array([0.0, 0.0, -distance])  # data axes: the average camera looks along -z
    return Layout(centre, 2.0 * (distance - begin), "learned", OUTSIDE_LEVELS)
