# SPDX-License-Identifier: MIT
"""Regions as people set them: presets, their angle about the scene's up, and their text in the data's own coordinates."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from engine.cameras import Camera
from engine.errors import UserError
from engine.region import Region

LEAST_HALF, MOST_HALF = 1e-3, 64.0  # engine units
VOXELS_AROUND = 4.0  # edges of the picked voxel on each side of it
_SAMPLES = 4000  # pixels that "what I see" looks at
_OUTLIERS = 0.5  # per cent of them left out at each side: a few specks would blow the box up
_MARGIN = 1.05


def scene_box() -> Region:
    """Return the box that holds the foreground."""
    return Region((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))


def around(centre: tuple[float, float, float], edge: float, up: np.ndarray) -> Region:
    """Return an upright box around a voxel and its neighbours."""
    half = max((VOXELS_AROUND + 0.5) * edge, LEAST_HALF)
    return Region(centre, (half, half, half), upright(up))  # type: ignore[arg-type]


def seen(camera: Camera, depth_z: np.ndarray, up: np.ndarray) -> Region | None:
    """Return an upright box around the surfaces in a picture of `depth_z [h,w]` (inf: nothing); None if there are none."""
    small = camera.resized(depth_z.shape[1], depth_z.shape[0])
    rows, columns = np.nonzero(np.isfinite(depth_z))
    if len(rows) == 0:
        return None
    some = slice(None, None, -(-len(rows) // _SAMPLES))
    rows, columns = rows[some], columns[some]
    depth = depth_z[rows, columns].astype(np.float64)
    local = np.stack(
        [(columns + 0.5 - small.cx) / small.fx, (rows + 0.5 - small.cy) / small.fy, np.ones(len(rows))],
        axis=1,
    )
    local *= [1.0, 1.0, 1.0] if small.orthographic else depth[:, None]
    local[:, 2] = depth
    rotation = upright(up)
    places = (local @ small.world_from_cam[:3, :3].T + small.position) @ rotation
    low, high = np.percentile(places, [_OUTLIERS, 100.0 - _OUTLIERS], axis=0)
    half = np.clip(0.5 * _MARGIN * (high - low), 0.01, MOST_HALF)
    return Region(rotation @ (0.5 * (low + high)), half, rotation)  # type: ignore[arg-type]


def upright(up: np.ndarray) -> np.ndarray:
    """Return the turn [3,3] that leads the engine's axis nearest to `up` onto it, the shortest way."""
    up = np.asarray(up, dtype=np.float64) / np.linalg.norm(up)
    axis = int(np.argmax(np.abs(up)))
    start = np.sign(up[axis]) * np.eye(3)[axis]
    return _turn(np.cross(start, up), float(np.arccos(np.clip(start @ up, -1.0, 1.0))))


def angle_rad(region: Region, up: np.ndarray) -> float:
    """Return how far a region is turned about `up`, -pi .. pi: its turn without what tilts it."""
    up = np.asarray(up, dtype=np.float64) / np.linalg.norm(up)
    rotation = np.array(region.rotation)
    twist = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0],
                      rotation[1, 0] - rotation[0, 1]])  # fmt: skip
    # A quaternion q has twist = 4 w v and 1 + trace = 4 w^2.
    return (
        float(np.arctan2(twist @ up, 1.0 + np.trace(rotation)) * 2.0) if np.trace(rotation) > -1.0 else np.pi
    )


def turned(region: Region, up: np.ndarray, by_rad: float) -> Region:
    """Return a region turned about its middle and `up`."""
    return replace(region, rotation=_turn(up, by_rad) @ np.array(region.rotation))


def _turn(axis: np.ndarray, angle: float) -> np.ndarray:
    """Return the turn [3,3] by an angle about an axis [3]; about none, none."""
    length = float(np.linalg.norm(axis))
    if length < 1e-12:
        return np.eye(3)
    x, y, z = np.asarray(axis, dtype=np.float64) / length
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)


def text_of(region: Region, data_from_engine: np.ndarray) -> str:
    """Return a region as text in the data's coordinates, so that it can be pasted into another session on them."""
    return json.dumps({"region": region.mapped(data_from_engine).as_json()})


def region_of_text(text: str, data_from_engine: np.ndarray) -> Region:
    """Return the region that `text_of` wrote, in engine units; UserError if the text holds none."""
    try:
        region = Region.from_json(json.loads(text)["region"])
    except UserError as error:
        raise UserError(f"Cannot paste a region: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            "Cannot paste a region: the clipboard holds other text. Copy a region first, with Copy in the Region panel."
        ) from error
    return in_engine(region, data_from_engine)


def in_engine(region: Region, data_from_engine: np.ndarray) -> Region:
    """Return a region of the data's coordinates in engine units."""
    return region.mapped(np.linalg.inv(data_from_engine))
