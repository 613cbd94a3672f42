# SPDX-License-Identifier: MIT
"""Reader of COLMAP scenes: a model in `sparse/0` and its like, photos in `images`, `images_2`, `images_4`, `images_8`."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.datasets.assemble import Layout, build_scene
from engine.datasets.beside import with_masks
from engine.datasets.checks import cannot_read, check_enough, first_few, inside
from engine.datasets.colmap_model import ColmapModel, PosedPhoto, find_model, lacking, read_model
from engine.datasets.images import Progress, are_cut_out, photo_size
from engine.datasets.normalise import foreground_cube
from engine.datasets.options import SceneOptions
from engine.datasets.scene import Points, Scene
from engine.datasets.shots import Lens, Shot, hold_out, natural_key

OUTSIDE_LEVELS = 4  # as for every capture of photographs: the world is 16 foreground cubes wide
_SHRUNK = (8, 4, 2)
_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
_SAME_ASPECT = 0.02  # of the ratio of width and height: what rounding of shrunk photos explains


@dataclass(frozen=True)
class _Files:
    """Where the photos lie: `of` is name -> file for those that are there, `shrunk` what their folder's name says."""

    folder: Path
    shrunk: int
    of: dict[str, Path]


def load_colmap(folder: Path, options: SceneOptions, progress: Progress | None) -> Scene:
    """Return the scene of a folder with a COLMAP model, or of the model's own folder."""
    place = find_model(folder)
    if place is None:
        raise _no_model(folder)
    model = read_model(place)
    images = _images_folder(folder, place)
    files = _choose(images, model, options)
    shots, ids, notes = _shots(place, model, files)
    check_enough(place, shots)
    train, test = hold_out(with_masks(files.folder.parent, shots))
    points = _points(model, [ids[shot.name] for shot in (*train, *test)])
    notes += _more_notes(folder, place, model, images, files)
    layout = _layout(shots, points)
    options = replace(options, downscale=options.downscale // files.shrunk or 1)
    return build_scene(folder / "sparse", "colmap", train, test, layout, options, notes, progress, points)


def _layout(shots: list[Shot], points: Points | None) -> Layout:
    poses = np.stack([shot.world_from_cam for shot in shots])
    cut_out = are_cut_out([shot.path for shot in shots])
    cube = foreground_cube(poses, None if points is None else points.xyz)
    return Layout(*cube, "white" if cut_out else "learned", 0 if cut_out else OUTSIDE_LEVELS)


def _images_folder(folder: Path, place: Path) -> Path:
    """Return where `images` lies or would lie: in the scene folder, or above a model that was itself given."""
    homes = [folder, folder / "colmap"]
    if place in (folder, folder / "0"):
        homes += Path(os.path.abspath(place)).parents[:3]
    for home in homes:
        if any((home / name).is_dir() for name in ("images", *(f"images_{n}" for n in _SHRUNK))):
            return home / "images"
    problem = f"the folder {folder / 'images'} with its photos was wanted and is not there"
    raise cannot_read(
        place, problem, "put the photos beside the folder 'sparse', under the names in the model"
    )


def _choose(images: Path, model: ColmapModel, options: SceneOptions) -> _Files:
    """Return the folder of the smallest photos that are large enough and as many as in any; else of the largest."""
    found = {}
    for n in (1, *reversed(_SHRUNK)):
        folder = images if n == 1 else images.with_name(f"images_{n}")
        if folder.is_dir():
            found[n] = _Files(folder, n, _present(folder, model, options.allow_outside))
    most = max(len(files.of) for files in found.values())
    whole = [n for n, files in found.items() if len(files.of) == most]
    longest = max(max(photo.lens.width, photo.lens.height) for photo in model.photos)
    by_size = longest / options.max_size if options.max_size else 1.0
    capped = by_size >= options.downscale  # then any folder will do that is not below the cap
    fitting = [n for n in whole if options.downscale % n == 0 or (capped and n <= by_size)]
    return found[max(fitting) if fitting else min(whole)]


def _present(folder: Path, model: ColmapModel, allow_outside: bool) -> dict[str, Path]:
    """Return {name: file} of the model's photos in a folder; shrunk copies may have another extension."""
    found = {}
    for photo in model.photos:
        name = Path(folder.name, photo.name.replace("\\", "/"))
        path = inside(folder.parent, name, allow_outside, model.folder)
        stem = os.path.splitext(path)[0]
        for candidate in (str(path), *(stem + e for ext in _EXTENSIONS for e in (ext, ext.upper()))):
            if os.path.isfile(candidate):  # unlike Path.is_file, false for names the system refuses
                found[photo.name] = Path(candidate)
                break
    return found


def _shots(place: Path, model: ColmapModel, files: _Files) -> tuple[list[Shot], dict[str, int], list[str]]:
    """Return shots, {shot name: photo id} and warnings."""
    shots, ids, rescaled = [], {}, 0
    missing = [photo.name for photo in model.photos if photo.name not in files.of]
    for photo in model.photos:
        path = files.of.get(photo.name)
        if path is None:
            continue
        lens = _lens(place, photo, path)
        rescaled += files.shrunk == 1 and lens is not photo.lens
        shots.append(Shot(photo.name, path, lens, photo.world_from_cam))
        ids[photo.name] = photo.id
    if not shots:
        problem = f"none of its {len(missing)} photos is in {files.folder} (the first wanted is {missing[0]})"
        raise cannot_read(place, problem, "put the photos there under the names in the model")
    notes = []
    if missing:
        notes.append(
            f"{len(missing)} of {len(model.photos)} posed photos have no file ({first_few(missing)})."
        )
    if rescaled:
        notes.append(f"{rescaled} photos differ in size from the model; their lenses were scaled to fit.")
    return shots, ids, notes


def _lens(place: Path, photo: PosedPhoto, path: Path) -> Lens:
    """Return the lens at the photo's true size."""
    lens, (width, height) = photo.lens, photo_size(path)
    if (width, height) == (lens.width, lens.height):
        return lens
    if abs(lens.width * height / (lens.height * width) - 1.0) > _SAME_ASPECT + 1.0 / min(width, height):
        problem = f"the photo {path.name} should be {lens.width} x {lens.height} pixels or a smaller copy"
        remedy = "use the photos that COLMAP was given, unrotated and uncropped"
        raise cannot_read(place, f"{problem}, and is {width} x {height}", remedy)
    return lens.resized(width, height)


def _points(model: ColmapModel, ids: list[int]) -> Points | None:
    """Return the sparse points in data units; `ids` are the photos of the scene's views, in order."""
    records = model.points
    if records is None or not len(records.xyz):
        return None
    known, view_of = np.unique(np.array(ids), return_index=True)
    slot = np.minimum(np.searchsorted(known, records.track_ids), len(known) - 1)
    of_ours = known[slot] == records.track_ids
    owner = np.repeat(np.arange(len(records.xyz)), records.counts)
    pairs = np.unique(np.stack([owner[of_ours], view_of[slot[of_ours]]], axis=1), axis=0)
    start = np.searchsorted(pairs[:, 0], np.arange(len(records.xyz) + 1))
    return Points(
        records.xyz, records.rgb, records.error_px.astype(np.float32), start, pairs[:, 1].astype(np.int32)
    )


def _more_notes(folder: Path, place: Path, model: ColmapModel, images: Path, files: _Files) -> list[str]:
    """Return warnings about photos without a pose, points without a place, other models, a folder not asked for."""
    notes = []
    posed = {os.path.normpath(path) for path in files.of.values()}
    others = [name for name in _listing(files.folder) if os.path.normpath(files.folder / name) not in posed]
    if others:
        notes.append(
            f"{len(others)} photos in {files.folder.name} have no pose and are left out ({first_few(others)})."
        )
    if model.n_bad_points:
        notes.append(f"{model.n_bad_points} sparse points have no finite position and are left out.")
    if files.folder.name != "images" and not images.is_dir():
        notes.append(f"There is no folder images, so the photos of {files.folder.name} are read.")
    if place.name == "0":
        rest = [p.name for p in place.parent.iterdir() if p.name != "0" and find_model(p) == p]
        if rest:
            notes.append(f"There are {len(rest) + 1} models in {place.parent.name}; the first, 0, is read.")
    return notes


def _listing(folder: Path) -> list[str]:
    """Return the photos below a folder, relative to it, in natural order; links to folders are not followed."""
    names = []
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inner = os.path.relpath(where, folder)
        names += [os.path.normpath(os.path.join(inner, f)) for f in files if f.lower().endswith(_EXTENSIONS)]
    return sorted(names, key=natural_key)


def _no_model(folder: Path) -> Exception:
    part = lacking(folder)
    if part is None:
        problem = "a COLMAP model was wanted in sparse/0, cameras and images, .bin or .txt, and there is none"
        return cannot_read(folder, problem, "reconstruct the scene with COLMAP first")
    place, name = part
    what = "the poses of the photos" if name == "images" else "the lenses"
    problem = f"its COLMAP model has no {name}.bin or {name}.txt, which hold {what}"
    return cannot_read(place, problem, "export the whole model again with COLMAP")
