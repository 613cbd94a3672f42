# SPDX-License-Identifier: MIT
"""Small captures written to disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.cameras import look_at
from engine.conventions import opengl_from_opencv


def _ring(count: int, radius: float = 4.0, height: float = 1.0) -> list[np.ndarray]:
    """Return OpenCV poses on a ring around the origin, looking at it, z up."""
    angles = np.arange(count) * (2.0 * np.pi / count)
    places = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(count, height)], axis=1)
    return [look_at(place, np.zeros(3), np.array([0.0, 0.0, 1.0])) for place in places]


@pytest.fixture
def ring() -> Callable[..., list[np.ndarray]]:
    """The function that places cameras on a ring."""
    return _ring


@pytest.fixture
def capture(tmp_path: Path) -> Callable[..., Path]:
    """Write a capture of 10 photos, 24x16, and return its folder; `change(data)` may spoil the JSON object first."""

    def write(
        change: Callable[[dict[str, Any]], None] | None = None,
        *,
        file: str = "transforms.json",
        count: int = 10,
        mode: str = "RGB",
        size: tuple[int, int] = (24, 16),
        **globals_: Any,
    ) -> Path:
        folder = tmp_path / "capture"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        frames = []
        for i, pose in enumerate(_ring(count)):
            name = f"images/{i + 1}.png"
            colour = {"RGB": (i, 100, 200), "RGBA": (i, 100, 200, 0)}[mode]
            Image.new(mode, size, colour).save(folder / name)
            frames.append({"file_path": name, "transform_matrix": opengl_from_opencv(pose).tolist()})
        data: dict[str, Any] = {"camera_angle_x": 0.8, **globals_, "frames": frames}
        if change is not None:
            change(data)
        (folder / file).write_text(json.dumps(data))
        return folder

    return write
