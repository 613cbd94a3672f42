# SPDX-License-Identifier: MIT
"""An import from beginning to end: photos -> features -> matches -> poses -> scene; finished stages are not repeated.

Within the long stages work is done in batches that the database keeps, so that even an interrupted stage goes on
where it stopped. Everything runs on the caller's thread; `engine.sfm.child` gives it a process.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine.datasets.photo_files import photo_size
from engine.datasets.recognise import recognise
from engine.errors import SceneError, UserError
from engine.sfm import frames
from engine.sfm.colmap import Colmap, Placed
from engine.sfm.options import ALL_PAIRS_UP_TO, QUALITIES, ImportJob
from engine.sfm.pairs import all_pairs, nearby_pairs
from engine.sfm.photos import Photo, find_photos, gather
from engine.sfm.report import MIN_PLACED, ImportReport, too_few, why_too_few
from engine.sfm.state import REPORT_FILE, open_state, write_json

STAGES = ("photos", "features", "matches", "poses", "scene")
FEATURE_BATCH = 4  # photos between two reports of progress
MATCH_BATCH = 40  # pairs
OPENCV_FROM = 10  # photos with one lens from which its four distortions are well determined

Progress = Callable[[str, int, int], None]


class Reconstructor(Protocol):
    """What the pipeline needs of COLMAP; see `engine.sfm.colmap.Colmap`."""

    def add_photos(self, lens_of: Sequence[tuple[str, Sequence[Photo]]]) -> None:
        """Add photos in groups that share a lens."""

    def find_features(self, names: Sequence[str], max_size: int, max_features: int) -> None:
        """Find features in some photos."""

    def features(self) -> dict[str, int]:
        """Return the number of features of each photo that was looked at."""

    def descriptors(self, name: str) -> np.ndarray:
        """Return a photo's descriptors."""

    def match(self, pairs: Sequence[tuple[str, str]], list_file: Path) -> None:
        """Compare pairs of photos."""

    def matched(self) -> dict[tuple[str, str], int]:
        """Return the shared points of each pair that was compared."""

    def place(self, folder: Path, progress: Callable[[int], None]) -> list[Placed]:
        """Return the models found, largest first."""

    def straighten(self, model: Path, folder: Path) -> None:
        """Write undistorted photos and their model."""


class Pipeline:
    """One import. `progress(stage, done, total)` and `say(sentence)` are called from the thread that runs it."""

    def __init__(
        self,
        job: ImportJob,
        progress: Progress,
        say: Callable[[str], None],
        reconstructor: Callable[[Path, Path, int], Reconstructor] = Colmap,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job, self._progress, self._say = job, progress, say
        self._reconstructor, self._clock = reconstructor, clock

    def run(self) -> ImportReport:
        """Import; return the report. Raises UserError with the reason if there is no scene in the end."""
        source = Path(self._job.source)
        if not source.exists():
            raise SceneError(f"Cannot import {source}: nothing is there. Name a folder of photos or a video.")
        self._state = open_state(self._job)
        self._work = self._state.work
        if all(self._state.has(stage) for stage in STAGES):
            self._say(f"{self._job.scene} is imported already; --again does it anew.")
            return ImportReport.from_json(self._read(Path(self._job.scene) / REPORT_FILE))
        if self._state.resumed:
            self._say("The earlier import goes on where it stopped.")
        elif self._state.replaced:
            self._say("The earlier import in this folder is thrown away; a new one begins.")
        self._images = (
            self._work / "photos" if self._job.options.undistort else Path(self._job.scene, "images")
        )
        photos, left_out = self._take_photos(source)
        colmap = self._reconstructor(self._work / "colmap.db", self._images, self._job.threads)
        self._find_features(colmap, photos)
        self._match(colmap, [photo.name for photo in photos])
        placed = self._place(colmap, len(photos))
        return self._finish(colmap, photos, left_out, placed)

    def _take_photos(self, source: Path) -> tuple[list[Photo], list[tuple[str, str]]]:
        record = self._work / "photos.json"
        if not self._state.has("photos"):
            with self._stage("photos"):
                photos, left_out = self._from_source(source)
                if len(photos) < MIN_PLACED:
                    raise SceneError(_no_photos(source, len(photos), left_out))
                write_json(record, {"photos": [asdict(photo) for photo in photos], "left_out": left_out})
        data = self._read(record)
        return [Photo(**photo) for photo in data["photos"]], [(a, b) for a, b in data["left_out"]]

    def _from_source(self, source: Path) -> tuple[list[Photo], list[tuple[str, str]]]:
        found = find_photos(source, besides=Path(self._job.scene).resolve()) if source.is_dir() else None
        if found is not None and found.names:
            return gather(found, self._images, self._job.options.downscale, self._tell("taking photos"))
        what = recognise(source)  # of a folder without photos: whether there is one video in it
        if what.kind == "video":
            return self._from_video(what.path), []
        if found is not None:
            return [], list(found.left_out)
        raise SceneError(
            f"Cannot import {source}: a folder of photos or a video was wanted. {what.sentence} "
            "Name the folder that the photos are in."
        )

    def _from_video(self, video: Path) -> list[Photo]:
        options = self._job.options
        values = frames.measure(video, self._tell("looking for sharp frames"))
        chosen = frames.choose(values, options.frames)
        files = frames.extract(video, chosen, self._images, options.downscale, self._tell("saving frames"))
        return [Photo(file.name, str(video), *photo_size(file), "video") for file in files]

    def _find_features(self, colmap: Reconstructor, photos: list[Photo]) -> None:
        if self._state.has("features"):
            return
        with self._stage("features"):
            colmap.add_photos(group_by_lens(photos, self._job.options.camera, self._job.options.lens))
            known = colmap.features()
            todo = [photo.name for photo in photos if photo.name not in known]
            tell, total = self._tell("finding features"), len(photos)
            tell(total - len(todo), total)
            for start in range(0, len(todo), FEATURE_BATCH):
                batch = todo[start : start + FEATURE_BATCH]
                colmap.find_features(batch, *QUALITIES[self._job.options.quality])
                tell(total - len(todo) + start + len(batch), total)

    def _match(self, colmap: Reconstructor, names: list[str]) -> None:
        if self._state.has("matches"):
            return
        with self._stage("matches"):
            done = set(colmap.matched())
            pairs = [tuple(sorted((names[a], names[b]))) for a, b in self._pairs(colmap, names)]
            todo = [pair for pair in pairs if pair not in done]
            tell, total = self._tell("comparing photos"), len(pairs)
            tell(total - len(todo), total)
            for start in range(0, len(todo), MATCH_BATCH):
                batch = todo[start : start + MATCH_BATCH]
                colmap.match(batch, self._work / "pairs.txt")
                tell(total - len(todo) + start + len(batch), total)

    def _pairs(self, colmap: Reconstructor, names: list[str]) -> list[tuple[int, int]]:
        kind = self._job.options.pairs
        if kind == "all" or (kind == "auto" and len(names) < ALL_PAIRS_UP_TO):
            return all_pairs(len(names))
        return nearby_pairs(lambda i: colmap.descriptors(names[i]), len(names))

    def _place(self, colmap: Reconstructor, photos: int) -> dict[str, Any]:
        record = self._work / "poses.json"
        if not self._state.has("poses"):
            with self._stage("poses"):
                tell = self._tell("placing cameras")
                tell(0, photos)
                models = colmap.place(self._work / "models", lambda placed: tell(placed, photos))
                placed = len(models[0].names) if models else 0
                if too_few(placed, photos):
                    raise SceneError(why_too_few(placed, photos, colmap.features(), colmap.matched()))
                best = models[0]
                best.write(self._work / "model")
                others = [len(model.names) for model in models[1:]]
                data = {"names": best.names, "points": best.points, "error_px": best.error_px}
                write_json(record, data | {"lenses": best.lenses, "other_models": others})
        return self._read(record)

    def _finish(
        self,
        colmap: Reconstructor,
        photos: list[Photo],
        left_out: list[tuple[str, str]],
        placed: dict[str, Any],
    ) -> ImportReport:
        self._progress("writing the scene", 0, 1)
        names = set(placed["names"])
        unplaced = tuple(photo.name for photo in photos if photo.name not in names)
        with self._stage("scene"):
            self._write_scene(colmap)
            report = ImportReport(
                scene=self._job.scene,
                photos=len(photos),
                placed=len(photos) - len(unplaced),
                error_px=placed["error_px"],
                points=placed["points"],
                unplaced=unplaced,
                left_out=tuple(left_out),
                lenses=tuple(placed["lenses"]),
                other_models=tuple(placed["other_models"]),
                seconds=self._state.seconds,
            )
            write_json(Path(self._job.scene) / REPORT_FILE, report.to_json())
        shutil.rmtree(self._work, ignore_errors=True)
        self._progress("writing the scene", 1, 1)
        return report

    def _write_scene(self, colmap: Reconstructor) -> None:
        """Put the model, and with `undistort` straightened photos, where scenes have them."""
        scene, model = Path(self._job.scene), self._work / "model"
        shutil.rmtree(scene / "sparse", ignore_errors=True)
        (scene / "sparse").mkdir()
        if self._job.options.undistort:
            straight = self._work / "straight"
            colmap.straighten(model, straight)
            shutil.rmtree(scene / "images", ignore_errors=True)
            shutil.move(straight / "images", scene / "images")
            model = straight / "sparse"
        shutil.copytree(model, scene / "sparse" / "0")

    def _tell(self, stage: str) -> Callable[[int, int], None]:
        return lambda done, total: self._progress(stage, done, total)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Do a stage; it is finished when the block ends well."""
        began = self._clock()
        yield
        self._state.finish(name, self._clock() - began)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"Cannot go on with the import in {self._job.scene}: {path.name} is damaged. "
                "Add --again to begin anew."
            ) from error


def group_by_lens(photos: Sequence[Photo], camera: str, lens: str) -> list[tuple[str, list[Photo]]]:
    """Return (lens model, photos) groups; photos of different sizes never share a lens."""
    key = {
        "auto": lambda photo: photo.device,
        "shared": lambda photo: "",
        "folder": lambda photo: photo.folder,
        "photo": lambda photo: photo.name,
    }[camera]
    groups: dict[Any, list[Photo]] = defaultdict(list)
    for photo in photos:
        groups[(photo.width, photo.height, key(photo))].append(photo)
    return [(_lens(lens, len(group)), group) for group in groups.values()]


def _lens(lens: str, photos: int) -> str:
    if lens == "auto":
        return "opencv" if photos >= OPENCV_FROM else "simple_radial"
    return lens


def _no_photos(source: Path, count: int, left_out: Sequence[tuple[str, str]]) -> str:
    because = f" ({left_out[0][0]}: {left_out[0][1]})" if left_out else ""
    came = "there are none" if count == 0 else f"there is {count}" if count == 1 else f"there are {count}"
    wanted = f"at least {MIN_PLACED} readable photos were wanted"
    return f"Cannot import {source}: {wanted} and {came}{because}. Choose another folder."
