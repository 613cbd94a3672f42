# SPDX-License-Identifier: MIT
"""What the files of a COLMAP model say, before it is judged: both readers, binary and text, fill these records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Model number in binary files -> name and number of parameters.
CAMERA_MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    12: ("SIMPLE_DIVISION", 4),
    13: ("DIVISION", 5),
    14: ("SIMPLE_FISHEYE", 3),
    15: ("FISHEYE", 4),
    16: ("EUCM", 6),
    17: ("EQUIRECTANGULAR", 2),
}
MODEL_SIZES = dict(CAMERA_MODELS.values())
LONGEST_NAME = 1024  # bytes of a photo's name: beyond what any file system accepts as one path


@dataclass(frozen=True)
class CameraRecord:
    """A calibrated camera: its model's name and parameters, the size of its photos in pixels."""

    id: int
    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True)
class ImageRecord:
    """A posed photo: the rotation (quaternion w x y z) and translation that lead from the world to the camera."""

    id: int
    quaternion: tuple[float, ...]
    translation: tuple[float, ...]
    camera_id: int
    name: str


@dataclass(frozen=True, eq=False)
class PointRecords:
    """Sparse points: `xyz [P,3]` float64, `rgb [P,3]` uint8, `error_px [P]` float64; their tracks one after another.

    The photos that see point p are the ids `track_ids[sum(counts[:p]) :][: counts[p]]`, `counts [P]` int64.
    """

    xyz: np.ndarray
    rgb: np.ndarray
    error_px: np.ndarray
    counts: np.ndarray
    track_ids: np.ndarray

    @classmethod
    def joined(cls, parts: list[PointRecords]) -> PointRecords:
        """Return the points of all parts in one."""
        empty = cls(
            np.zeros((0, 3)),
            np.zeros((0, 3), np.uint8),
            np.zeros(0),
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
        )
        names = ("xyz", "rgb", "error_px", "counts", "track_ids")
        return cls(*(np.concatenate([getattr(part, name) for part in (parts or [empty])]) for name in names))
