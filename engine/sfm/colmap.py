# SPDX-License-Identifier: MIT
"""The parts of COLMAP an import needs, through pycolmap, in calls of a few seconds: add photos, features, matches, poses.

pycolmap is imported when a `Colmap` is made, never before: it is the optional extra `sfm`. Calls cannot be cancelled
from Python and a fault in them ends the process, so an import makes them in a process of its own (`engine.sfm.child`).
"""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.sfm.photos import Photo

MISSING = (
    "Importing photos needs pycolmap, which is not installed. Install it with: pip install 'nerfviewer[sfm]'"
)
FIRST_OCTAVE = 0  # photos are not enlarged before the search: a quarter of the time, and matches as good
MIN_MODEL = 3  # photos that make a model
MODELS = 5  # tries to begin elsewhere, where photos fall into groups that do not overlap
SEED = 0


def require_pycolmap() -> None:
    """Raise UserError with the command that installs pycolmap if it is missing."""
    if importlib.util.find_spec("pycolmap") is None:
        raise UserError(MISSING)


@dataclass(frozen=True)
class Placed:
    """A model of some of the photos: their names, its quality, and how to write it."""

    names: tuple[str, ...]
    points: int
    error_px: float
    lenses: tuple[str, ...]
    write: Callable[[Path], None]


class Colmap:
    """One database and the photos it is about."""

    def __init__(self, database: Path, images: Path, threads: int) -> None:
        require_pycolmap()
        import pycolmap

        self._pc, self._path, self._images, self._threads = pycolmap, database, images, threads
        pycolmap.logging.minloglevel = pycolmap.logging.Level.ERROR.value
        pycolmap.set_random_seed(SEED)
        pycolmap.Database.open(database).close()  # makes the file

    def add_photos(self, lens_of: Sequence[tuple[str, Sequence[Photo]]]) -> None:
        """Add photos in groups (lens model, photos) that share one lens each; a group already there is skipped."""
        for model, photos in lens_of:
            reader = self._pc.ImageReaderOptions()
            reader.camera_model = model.upper()
            names = [photo.name for photo in photos if photo.name not in self._ids()]
            if names:
                mode = self._pc.CameraMode.SINGLE
                self._pc.import_images(self._path, self._images, mode, names, reader)

    def find_features(self, names: Sequence[str], max_size: int, max_features: int) -> None:
        """Find SIFT features in photos that were added; those that have some already are skipped."""
        extraction = self._pc.FeatureExtractionOptions()
        extraction.max_image_size, extraction.num_threads = max_size, self._threads
        extraction.sift.max_num_features = max_features
        extraction.sift.first_octave = FIRST_OCTAVE
        mode, reader, device = self._pc.CameraMode.AUTO, self._pc.ImageReaderOptions(), self._pc.Device.cpu
        self._pc.extract_features(self._path, self._images, list(names), mode, reader, extraction, device)

    def features(self) -> dict[str, int]:
        """Return how many features each photo has that was looked at."""
        ids = self._ids()
        rows = dict(self._query("SELECT image_id, rows FROM keypoints"))
        return {name: rows[i] for name, i in ids.items() if i in rows}

    def descriptors(self, name: str) -> np.ndarray:
        """Return the descriptors uint8 [D,128] of a photo."""
        rows = self._query("SELECT rows, cols, data FROM descriptors WHERE image_id = ?", self._ids()[name])
        if not rows or not rows[0][0]:
            return np.zeros((0, 128), np.uint8)
        count, width, data = rows[0]
        return np.frombuffer(data, np.uint8).reshape(count, width)

    def match(self, pairs: Sequence[tuple[str, str]], list_file: Path) -> None:
        """Match and verify pairs of photos; those that were matched already are skipped."""
        list_file.write_text("".join(f"{a} {b}\n" for a, b in pairs), encoding="utf-8")
        matching, pairing = self._pc.FeatureMatchingOptions(), self._pc.ImportedPairingOptions()
        matching.num_threads = self._threads
        pairing.match_list_path = str(list_file)
        verification = self._pc.TwoViewGeometryOptions()
        verification.ransac.random_seed = SEED
        device = self._pc.Device.cpu
        self._pc.match_image_pairs(self._path, matching, pairing, verification, device)

    def matched(self) -> dict[tuple[str, str], int]:
        """Return {(photo, photo): points they share} of the pairs that were compared."""
        names = {i: name for name, i in self._ids().items()}
        found = {}
        for pair_id, rows in self._query("SELECT pair_id, rows FROM two_view_geometries"):
            a, b = self._pc.pair_id_to_image_pair(pair_id)
            found[tuple(sorted((names[a], names[b])))] = rows
        return found

    def place(self, folder: Path, progress: Callable[[int], None]) -> list[Placed]:
        """Work out where photos were taken; return the models found, largest first. `progress(photos placed)`."""
        options = self._pc.IncrementalPipelineOptions()
        options.num_threads, options.random_seed = self._threads, SEED
        options.min_model_size, options.max_num_models = MIN_MODEL, MODELS
        folder.mkdir(parents=True, exist_ok=True)
        placed = [0]

        def began() -> None:
            placed[0] = 2
            progress(2)

        def another() -> None:
            placed[0] += 1
            progress(placed[0])

        models = self._pc.incremental_mapping(
            self._path, self._images, folder, options,
            initial_image_pair_callback=began, next_image_callback=another,
        )  # fmt: skip
        found = [self._placed(model) for model in models.values()]
        return sorted(found, key=lambda model: (-len(model.names), -model.points))

    def straighten(self, model: Path, folder: Path) -> None:
        """Write the photos of a model without distortion into a folder's images/, their model into its sparse/."""
        self._pc.undistort_images(folder, model, self._images, num_threads=self._threads, jpeg_quality=95)

    def _placed(self, model: Any) -> Placed:
        def write(folder: Path) -> None:
            folder.mkdir(parents=True, exist_ok=True)
            model.write_binary(folder)

        names = tuple(sorted(model.image(i).name for i in model.reg_image_ids()))
        used = {model.image(i).camera_id for i in model.reg_image_ids()}
        lenses = tuple(_lens_text(model.camera(i)) for i in sorted(used))
        return Placed(names, model.num_points3D(), model.compute_mean_reprojection_error(), lenses, write)

    def _ids(self) -> dict[str, int]:
        return dict(self._query("SELECT name, image_id FROM images"))

    def _query(self, sql: str, *values: int) -> list[Any]:
        connection = sqlite3.connect(self._path)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()


def _lens_text(camera: Any) -> str:
    numbers = " ".join(f"{value:.5g}" for value in camera.params)
    return f"{camera.model.name} {camera.width}x{camera.height}: {numbers}"
