# SPDX-License-Identifier: MIT
"""What an import is asked for: the source, the scene folder, and how thoroughly to look."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from engine.options import build, flatten, option

QUALITIES = {  # longest side photos are searched at, and features kept of each
    "low": (1200, 2048),
    "medium": (2000, 4096),
    "high": (3200, 8192),
}
ALL_PAIRS_UP_TO = 150  # photos; beyond, comparing all with all costs more than it finds


@dataclass(frozen=True)
class ImportOptions:
    """Options of `nerfviewer import`."""

    quality: str = option(
        "medium", "How finely photos are searched for points they share.", choices=tuple(QUALITIES)
    )
    camera: str = option(
        "auto",
        "Which photos share one lens; auto: those of the same size, camera and focal length.",
        choices=("auto", "shared", "folder", "photo"),
    )
    lens: str = option(
        "auto",
        "The lens model; auto is opencv for lenses with 10 photos or more, else simple_radial.",
        choices=("auto", "pinhole", "simple_radial", "opencv", "opencv_fisheye"),
    )
    pairs: str = option(
        "auto",
        f"Which photos are compared; auto is all with all under {ALL_PAIRS_UP_TO} photos, else the nearby ones.",
        choices=("auto", "all", "nearby"),
    )
    frames: int = option(
        150, "Frames taken from a video, the sharpest of as many equal parts.", minimum=3, maximum=5000
    )
    downscale: int = option(
        1, "Save the photos smaller: width and height divided by this.", minimum=1, maximum=16
    )
    undistort: bool = option(
        False,
        "Save straightened photos, for other programs; nerfviewer straightens them itself when it opens a scene.",
    )


@dataclass(frozen=True)
class ImportJob:
    """One import. `source` is a folder of photos or a video, `scene` the folder that becomes a COLMAP scene."""

    source: str
    scene: str
    options: ImportOptions = ImportOptions()
    threads: int = 2
    again: bool = False  # throw earlier work in the scene folder away

    def to_json(self) -> dict[str, Any]:
        """Return the job as plain data."""
        return {
            "source": self.source,
            "scene": self.scene,
            "options": flatten(self.options),
            "threads": self.threads,
            "again": self.again,
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> ImportJob:
        """Return the job that `to_json` described."""
        options = build(ImportOptions, data["options"])
        return ImportJob(data["source"], data["scene"], options, data["threads"], data["again"])


def usable_cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
