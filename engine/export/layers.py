# SPDX-License-Identifier: MIT
"""Depth and normals beside a film's colours: files that tools can compute with, and say what they hold.

Depths are in the data's units, along the camera's axis (in a 360-degree picture along the ray), 0 where nothing is. A 16-bit
PNG holds whole multiples of `depth_scale`, a power of two that its metadata names; a .npy file holds float32.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from engine import files
from engine.cameras import Camera
from engine.export.sequence import PngFolder

DEPTHS = ("none", "16-bit PNG", "float32 .npy")
_MOST = 65_535  # that 16 bits hold


class DepthFolder:
    """`frame_00000.png` or `.npy` and so on. `data_scale` is how many of the data's units an engine unit has."""

    def __init__(self, path: Path, kind: str, data_scale: float) -> None:
        self.path, self._kind, self._data_scale = path, kind, data_scale
        self._pngs = PngFolder(path)

    def write(
        self, index: int, depth: np.ndarray, camera: Camera | None = None, sphere: bool = False
    ) -> None:
        """Write the depth [H,W] of a picture, engine units; `camera` is told in a PNG's metadata."""
        depth = np.asarray(depth, np.float32) * np.float32(self._data_scale)
        depth = np.where(np.isfinite(depth), depth, np.float32(0.0))
        if self._kind == DEPTHS[2]:
            self.path.mkdir(parents=True, exist_ok=True)
            partial = self.path / f".frame_{index:05d}.partial.npy"
            np.save(partial, depth)
            files.replace(partial, self.path / f"frame_{index:05d}.npy")
            return
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        scale = depth_scale(float(depth.max(initial=0.0)))
        told = {"depth_scale": scale, "unit": "dataset units", "zero": "nothing is there"}
        told["measured"] = "along the ray" if sphere else "along the camera's axis"
        if camera is not None:
            told |= {name: getattr(camera, name) for name in ("fx", "fy", "cx", "cy")}
        info = PngInfo()
        info.add_text("nerfviewer:depth", json.dumps(told))
        counts = np.clip(np.round(depth / np.float32(scale)), 0, _MOST).astype(np.uint16)
        # What is there must not look like nothing, however near it is.
        counts[(counts == 0) & (depth > 0.0)] = 1
        self._pngs.write_image(index, Image.fromarray(counts), pnginfo=info)


def depth_scale(largest: float) -> float:
    """Return the smallest power of two of which 65,535 reach the largest depth."""
    return float(2.0 ** np.ceil(np.log2(max(largest, 1e-6) / _MOST)))


def read_depth(file: Path | str) -> np.ndarray:
    """Return the depths [H,W] float32, in the data's units, of a file that `DepthFolder` wrote."""
    file = Path(file)
    if file.suffix == ".npy":
        return np.load(file, allow_pickle=False)
    from PIL import Image

    with Image.open(file) as image:
        told = json.loads(image.text["nerfviewer:depth"])
        return np.asarray(image, dtype=np.float32) * np.float32(told["depth_scale"])


def normal_colours(normal: np.ndarray) -> np.ndarray:
    """Return normals [H,W,3], right up and towards the viewer, as the usual bluish picture uint8; mid-grey where none is."""
    return np.clip(np.round(127.5 + 127.5 * normal), 0, 255).astype(np.uint8)
