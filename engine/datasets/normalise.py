# SPDX-License-Identifier: MIT
"""Where the scene is and which way is up, guessed from the cameras and, where there are any, sparse points.

The foreground cube gets the finest voxels and becomes [-0.5, 0.5]^3. It is centred on what the cameras look
at, the point nearest to all optical axes, and its edge is 1.2 times their median distance to that point:
cameras that circle an object stand just outside the cube, and the object fills a good share of it.

Cameras whose axes do not meet (a forward-facing row, a panorama from inside) give no such point. There the
cube is put in front of them, as far away as the sparse points of the capture lie; without points at six times
their spread, where handheld forward-facing captures tend to have their middle. Forward-facing axes that do
meet, but far from where the points are, meet by chance: there too the points decide.
"""

from __future__ import annotations

import numpy as np

from engine.conventions import similarity

EDGE_PER_DISTANCE = 1.2
FORWARD_DISTANCE = 6.0  # camera spreads to the centre of the cube when the axes do not meet
_LEAST_CROSSING = 0.004  # mean sin^2 between the axes and their common direction: 3.6 degrees; below is noise
_FARTHEST = 30.0  # camera spreads: a meeting point beyond is a rounding error of parallel axes
_SAME_DEPTH = 2.0  # points this many times nearer or farther than the meeting point contradict it
_CONE = 0.5  # points within this tangent of the axis count as looked at
_MOST_POINTS = 4096  # enough for a median
_LEAST_POINTS = 4  # a camera that looks at fewer has no say
_MIN_UP_GAP = 0.02  # second smallest mean squared right component: below, the right vectors leave `up` open


def foreground_cube(poses: np.ndarray, points: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """Return centre [3] and edge of the cube worth fine voxels, from OpenCV poses [C,4,4] in data units.

    `points [P,3]` are sparse points of the capture in the same units; stray ones do no harm, medians are taken.
    """
    centres, forward = poses[:, :3, 3], poses[:, :3, 2]
    middle = np.median(centres, axis=0)
    spread = float(np.linalg.norm(centres - middle, axis=1).max())
    depth = None if points is None else _depth_of_points(poses, points)
    focus = _meeting_point(centres, forward)
    if focus is not None and np.linalg.norm(focus - middle) <= _FARTHEST * spread:
        distance = float(np.median(np.linalg.norm(centres - focus, axis=1)))
        by_chance = depth is not None and not 1.0 / _SAME_DEPTH < depth / distance < _SAME_DEPTH
        if not (by_chance and np.quantile(forward @ forward.T, 0.05) > 0.0):
            return focus, EDGE_PER_DISTANCE * distance
    distance = depth or FORWARD_DISTANCE * spread or 1.0
    return middle + distance * forward.mean(axis=0), EDGE_PER_DISTANCE * distance


def engine_from_data(centre: np.ndarray, edge: float) -> np.ndarray:
    """Return the similarity [4,4] that makes a cube [-0.5, 0.5]^3. Axes keep their directions."""
    return similarity(1.0 / edge, -np.asarray(centre) / edge)


def sees(poses: np.ndarray, fov_rad: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Return [C] whether `point [3]` lies before each camera, in a cone of full angle `fov_rad [C]`."""
    to_point = point - poses[:, :3, 3]
    distance = np.maximum(np.linalg.norm(to_point, axis=1), 1e-12)
    return np.einsum("ci,ci->c", to_point, poses[:, :3, 2]) > distance * np.cos(0.5 * fov_rad)


def estimate_up(poses: np.ndarray) -> np.ndarray:
    """Return the unit direction [3] that is up, from OpenCV poses [C,4,4].

    People hold cameras level: `up` is at right angles to all right vectors, on the side of the mean up.
    Where the right vectors all agree they only fix a plane; the part of the mean up vector in it serves.
    """
    right, up = poses[:, :3, 0], -poses[:, :3, 1].mean(axis=0)
    values, vectors = np.linalg.eigh(right.T @ right / len(right))
    candidate = vectors[:, 0] * (1.0 if vectors[:, 0] @ up >= 0.0 else -1.0)
    length = np.linalg.norm(up)
    if length < 1e-6:  # cameras up and down in equal parts: nothing says which side is up
        return candidate
    agrees = candidate @ up > 0.5 * length
    if values[1] > _MIN_UP_GAP and agrees:
        return candidate
    common = vectors[:, 2]
    level = up - (up @ common) * common if values[1] <= _MIN_UP_GAP else up
    return level / np.linalg.norm(level) if np.linalg.norm(level) > 1e-6 else up / length


def _depth_of_points(poses: np.ndarray, points: np.ndarray) -> float | None:
    """Return the median over the cameras of the median depth of the points that each looks at; None where none does."""
    points = np.asarray(points, dtype=np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    points = points[:: max(1, len(points) // _MOST_POINTS)]
    depths = []
    for pose in poses:
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        ahead = local[np.hypot(local[:, 0], local[:, 1]) < _CONE * local[:, 2], 2]
        if len(ahead) >= _LEAST_POINTS:
            depths.append(float(np.median(ahead)))
    return float(np.median(depths)) if depths else None


def _meeting_point(centres: np.ndarray, forward: np.ndarray) -> np.ndarray | None:
    """Return the point with the least sum of distances to the axes, or None where they do not meet in front.

    Iteratively reweighted least squares: squares alone would follow a few cameras that look elsewhere.
    """
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    if np.linalg.eigvalsh(across.mean(axis=0))[0] < _LEAST_CROSSING:
        return None
    targets = np.einsum("cij,cj->ci", across, centres)
    weights = np.ones(len(centres))
    for _ in range(30):
        normal = np.einsum("c,cij->ij", weights, across)
        focus = np.linalg.solve(normal, weights @ targets)
        misses = np.linalg.norm(np.einsum("cij,cj->ci", across, focus - centres), axis=1)
        weights = 1.0 / np.maximum(misses, 1e-3 * misses.mean() + 1e-12)
        weights /= weights.max()
    in_front = np.einsum("ci,ci->c", focus - centres, forward) > 0.0
    return focus if in_front.mean() > 0.75 else None
