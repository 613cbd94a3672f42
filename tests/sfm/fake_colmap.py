# SPDX-License-Identifier: MIT
"""A reconstructor that remembers what it was asked and "places" the photos it is told to; its memory is a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from engine.sfm.colmap import Placed
from engine.sfm.photos import Photo


class FakeColmap:
    """Places every photo whose name is not in `unplaceable`. `stop_after` calls of `match` it is interrupted."""

    unplaceable: tuple[str, ...] = ()
    features_each = 1000
    shared_each = 200
    stop_after: int | None = None

    def __init__(self, database: Path, images: Path, threads: int) -> None:
        self._file, self._images = database, images
        self.data = {"lenses": [], "features": {}, "matched": []}
        if database.is_file():
            self.data = json.loads(database.read_text())
        self.calls: list[tuple[str, int]] = []

    def add_photos(self, lens_of: Sequence[tuple[str, Sequence[Photo]]]) -> None:
        self.data["lenses"] = [[lens, [photo.name for photo in photos]] for lens, photos in lens_of]

    def find_features(self, names: Sequence[str], max_size: int, max_features: int) -> None:
        self.calls.append(("features", len(names)))
        assert all((self._images / name).is_file() for name in names)
        self.data["features"] |= {name: self.features_each for name in names}
        self._save()

    def features(self) -> dict[str, int]:
        return self.data["features"]

    def descriptors(self, name: str) -> np.ndarray:
        return np.random.default_rng(len(name)).integers(0, 255, (60, 128), dtype=np.uint8)

    def match(self, pairs: Sequence[tuple[str, str]], list_file: Path) -> None:
        if self.stop_after is not None and len(self.calls) >= self.stop_after:
            raise KeyboardInterrupt
        self.calls.append(("match", len(pairs)))
        self.data["matched"] += [list(pair) for pair in pairs]
        self._save()

    def matched(self) -> dict[tuple[str, str], int]:
        return {tuple(pair): self.shared_each for pair in self.data["matched"]}

    def place(self, folder: Path, progress: Callable[[int], None]) -> list[Placed]:
        self.calls.append(("place", 0))
        names = tuple(name for name in self.data["features"] if name not in self.unplaceable)
        progress(len(names))
        return [Placed(names, 321, 0.5, ("PINHOLE 8x6: 7",), _write_model)] if names else []

    def straighten(self, model: Path, folder: Path) -> None:
        _write_model(folder / "sparse")
        for photo in self._images.rglob("*.*"):
            target = folder / "images" / photo.relative_to(self._images)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(photo.read_bytes() + b"straight")

    def _save(self) -> None:
        self._file.write_text(json.dumps(self.data))


def _write_model(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("cameras", "images", "points3D"):
        (folder / f"{name}.bin").write_bytes(b"model")
