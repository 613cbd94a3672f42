# SPDX-License-Identifier: MIT
"""Says what a path holds by looking at its content: scene, run, checkpoint, photos, video, camera path, points.

Pure and cheap: it reads the first bytes of a file or the names in a folder, never a whole photo or model. The window,
the command line and `load_scene` all dispatch on its answer.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from engine.datasets.beside import photos_in
from engine.datasets.signatures import kind_of_bytes
from engine.errors import SceneError

BUILT_IN = ("demo", "city")  # words in place of a path: scenes that the project computes itself
SCENES = (*BUILT_IN, "blender", "transforms", "colmap", "llff")
_HEAD_BYTES = 1 << 16
_MOST_JSON_BYTES = 256 << 20
_MOST_ENTRIES = 20_000  # names looked at in a folder
_VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts")
_BLENDER_FILES = ("transforms_train.json", "transforms_test.json", "transforms_val.json")
_COLMAP_PLACES = ("sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", ".")
_TRIED = (
    "transforms_train.json (Blender), transforms.json (nerfstudio, instant-ngp), cameras and images in sparse/0 or "
    "colmap/sparse/0 (COLMAP), poses_bounds.npy (LLFF), run.json (a run), photos, videos"
)
_FILES = {  # signature -> kind, sentence
    "photo": ("photo", "This is a single photo."),
    "video": ("video", "This is a video."),
    "ply": ("ply", "This is a .ply file of points or a model."),
    "npz": ("array", "This is an archive of arrays."),
    "torch": ("torch", "This is a model that PyTorch saved."),
    "voxels": ("run", "This is a compact file of voxels of nerfviewer."),
    "empty": ("empty", "This file is empty."),
}
_REMEDIES = {
    "run": 'open it with "nerfviewer {path}" or the command Open run',
    "checkpoint": "open the run folder that it belongs to",
    "photos": 'find out where they were taken from with "nerfviewer import {path} -o SCENE" and open SCENE',
    "photo": 'put 20 or more photos of the scene into a folder and run "nerfviewer import FOLDER -o SCENE"',
    "video": 'choose its frames and poses with "nerfviewer import {path} -o SCENE" and open SCENE',
    "camera_path": 'film a run along it with "nerfviewer render RUN --path {path} -o film.mp4"',
    "ply": "open the folder of posed photos that it was made from",
    "array": "save its arrays as photos and a transforms.json",
    "torch": "open a folder of posed photos and train, as models of other programs are not read",
    "part": "complete it, or make poses anew with nerfviewer import",
    "inside": "open {path} instead",
    "missing": 'correct the path, or open "demo"',
    "empty": "choose the folder that holds the posed photos",
    "unknown": "choose a folder of posed photos, or make poses with nerfviewer import, COLMAP or nerfstudio first",
    "unreadable": "check that it may be read",
}


@dataclass(frozen=True)
class Recognised:
    """What a path holds.

    `kind` is one of `SCENES` or "run", "checkpoint", "photos", "photo", "video", "camera_path", "ply", "array",
    "torch", "part" (of a scene), "inside" (a scene or run is in a folder below or above), "empty", "unknown",
    "missing", "unreadable".
    `path` is what its opener wants: the run folder of a run.json, the scene folder of a COLMAP model, the scene below. A
    compact file of voxels is opened as a "run".
    `sentence` says what it is ("This is a run of nerfviewer.").
    """

    kind: str
    path: Path
    sentence: str

    @property
    def is_scene(self) -> bool:
        """Whether `load_scene` opens it."""
        return self.kind in SCENES

    @property
    def remedy(self) -> str:
        """What to do with it instead, "" for a scene."""
        return _REMEDIES.get(self.kind, "").format(path=self.path)


class NotASceneError(SceneError):
    """A path that holds something else than a scene; `recognised` says what, so that it can be opened rightly."""

    def __init__(self, path: Path, recognised: Recognised) -> None:
        self.recognised = recognised
        what = recognised.sentence[0].lower() + recognised.sentence[1:].rstrip(".")
        tried = f" (looked for {_TRIED})" if recognised.kind in ("unknown", "empty", "part") else ""
        problem = f"a scene of posed photos was wanted, but {what}{tried}"
        if recognised.kind == "missing":
            problem = "a scene was wanted there and nothing is"
        super().__init__(f"Cannot read {path}: {problem}; {recognised.remedy}.")


def recognise(path: str | Path) -> Recognised:
    """Return what lies at a path. Never raises for what it finds there."""
    if str(path) in BUILT_IN:
        return Recognised(str(path), Path(path), f"This is the built-in {path}.")
    path = Path(path).expanduser()
    try:
        if path.is_dir():
            return _folder(path, look_below=True)
        if path.is_file():
            return _file(path)
        if path.exists():
            return Recognised("unknown", path, "This is neither a file nor a folder.")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return Recognised("unreadable", path, f"This cannot be read ({why}).")
    return Recognised("missing", path, "Nothing is there.")


def _folder(folder: Path, look_below: bool) -> Recognised:
    for look in (_as_run, _as_scene):
        if (found := look(folder)) is not None:
            return found
    names = _names(folder)
    if look_below and (below := _below(folder, names)) is not None:
        return below
    if (part := _part(folder)) is not None:
        return part
    for subfolder in (folder, folder / "images"):
        photos = photos_in(subfolder)
        if photos and _head_kind(photos[0]) == "photo":
            above = _as_scene(folder.absolute().parent)
            if above is not None and subfolder == folder:
                sentence = f"This holds {len(photos):,} photos, and the folder above has a scene."
                return Recognised("inside", folder.absolute().parent, sentence)
            inner = "" if subfolder == folder else " in its folder images"
            return Recognised("photos", subfolder, f"This holds {len(photos):,} photos{inner} without poses.")
    videos = [name for name in names if name.lower().endswith(_VIDEO_SUFFIXES)]
    if len(videos) == 1:
        return Recognised("video", folder / videos[0], f"This holds the video {videos[0]}.")
    if not names:
        return Recognised("empty", folder, "This folder is empty.")
    if any(name.lower().endswith(".ply") for name in names):
        return Recognised("ply", folder, "This folder holds points or a model in .ply files.")
    return Recognised("unknown", folder, "This folder holds nothing that is known.")


def _as_run(folder: Path) -> Recognised | None:
    for place in (folder, folder.parent if folder.name == "checkpoints" else folder):
        if (place / "run.json").is_file():
            return Recognised("run", place, "This is a run of nerfviewer.")
    return None


def _as_scene(folder: Path) -> Recognised | None:
    if (folder / "transforms_train.json").is_file():
        return Recognised("blender", folder, "This is a Blender scene with transforms_train.json.")
    if (folder / "transforms.json").is_file():
        return Recognised("transforms", folder / "transforms.json", "This is a scene with transforms.json.")
    for place in (*_COLMAP_PLACES, "0"):
        if _stems(folder / place) >= {"cameras", "images"}:
            scene = folder / place if place == "0" else folder
            return Recognised("colmap", scene, "This is a COLMAP model.")
    if (folder / "poses_bounds.npy").is_file():
        return Recognised("llff", folder / "poses_bounds.npy", "This is an LLFF scene with poses_bounds.npy.")
    return None


def _part(folder: Path) -> Recognised | None:
    """Return a scene of which a file is missing."""
    if any((folder / f"transforms_{split}.json").is_file() for split in ("test", "val")):
        return Recognised("part", folder, "This is a Blender scene that lacks transforms_train.json.")
    for place in _COLMAP_PLACES:
        stems = _stems(folder / place)
        if stems and place != ".":
            lacks = " and ".join(sorted({"cameras", "images"} - stems))
            return Recognised("part", folder, f"This is a COLMAP model in {place} that lacks its {lacks}.")
    return None


def _stems(place: Path) -> set[str]:
    """Return which of cameras, images and points3D a folder holds in COLMAP's one format or the other."""
    best: set[str] = set()
    for suffix in (".bin", ".txt"):
        stems = {stem for stem in ("cameras", "images", "points3D") if (place / f"{stem}{suffix}").is_file()}
        best = max(best, stems, key=len)
    return best


def _below(folder: Path, names: list[str]) -> Recognised | None:
    """Return the first scene or run in a folder right below, if any."""
    for name in names[:200]:
        place = folder / name
        if name.startswith(".") or not place.is_dir():
            continue
        found = _as_scene(place) or _as_run(place)
        if found is not None:
            what = "a run" if found.kind == "run" else "a scene"
            return Recognised("inside", place, f"This folder is none itself and has {what} in {name}.")
    return None


def _file(path: Path) -> Recognised:
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    size = path.stat().st_size
    kind = kind_of_bytes(head, size)
    if kind == "json":
        return _json(path, head, size)
    if kind == "npy":
        if path.name.endswith("poses_bounds.npy") or b", 17)" in head[:256]:
            return Recognised("llff", path, "This is an LLFF scene.")
        return Recognised("array", path, "This is an array of numbers.")
    if kind == "text":
        return _text(path, head)
    if kind == "safetensors":
        owner = path.parent.parent if path.parent.name == "checkpoints" else path.parent
        if (owner / "run.json").is_file():
            return Recognised("run", owner, "This is a checkpoint of a run of nerfviewer.")
        return Recognised("checkpoint", path, "This is a checkpoint without its run folder.")
    if path.name in ("cameras.bin", "images.bin", "points3D.bin") and (found := _colmap_file(path)):
        return found
    if kind == "unknown":
        return Recognised(kind, path, f"This is a {path.suffix or 'nameless'} file of an unknown kind.")
    what, sentence = _FILES[kind]
    return Recognised(what, path, sentence)


def _json(path: Path, head: bytes, size: int) -> Recognised:
    """Tell JSON files apart: by their first words where those say it, else by their keys."""
    if path.name == "run.json":
        return Recognised("run", path.parent, "This is a run of nerfviewer.")
    if b'"nerfviewer-camera-path"' in head:
        return Recognised("camera_path", path, "This is a camera path of nerfviewer.")
    keys = {"frames"} if b'"frames"' in head else _keys(path, size)
    if "frames" in keys:
        if path.name in _BLENDER_FILES and (path.parent / _BLENDER_FILES[0]).is_file():
            return Recognised("blender", path.parent, "This is a Blender scene.")
        return Recognised("transforms", path, "This is a scene with posed frames.")
    if "camera_path" in keys and "keyframes" in keys:
        return Recognised("camera_path", path, "This is a camera path of nerfstudio.")
    if path.name.startswith("transforms"):  # its reader says what is wrong with it
        return Recognised("transforms", path, "This is named like a scene with posed frames.")
    return Recognised("unknown", path, "This is a .json file without a list of frames.")


def _keys(path: Path, size: int) -> set[str]:
    if size > _MOST_JSON_BYTES:
        return set()
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        return set()
    return set(content) if isinstance(content, dict) else set()


def _text(path: Path, head: bytes) -> Recognised:
    """Tell text files apart: COLMAP's own, or none that is known."""
    if path.name in ("cameras.txt", "images.txt", "points3D.txt") and (found := _colmap_file(path)):
        return found
    if path.suffix.lower() == ".json":
        return _json(path, head, path.stat().st_size)
    return Recognised("unknown", path, "This is a text file of an unknown kind.")


def _colmap_file(path: Path) -> Recognised | None:
    """Return the scene that a file of a COLMAP model belongs to: the highest folder that has the model inside."""
    for folder in (path.parent, *path.parents[1:4]):
        for place in _COLMAP_PLACES:
            if folder / place == path.parent and (folder / "images").is_dir():
                return _as_scene(folder)
    return None


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False)]
    return sorted(name for name in names if not name.startswith("."))


def _head_kind(path: Path) -> str:
    with open(path, "rb") as file:
        return kind_of_bytes(file.read(4096), path.stat().st_size)
