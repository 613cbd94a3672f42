# SPDX-License-Identifier: MIT
"""What captures keep beside their photos: the same photos shrunk (images_4) and their masks (masks, masks_4)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.datasets.options import SceneOptions
from engine.datasets.shots import Shot

PHOTO_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
_SHRUNK = re.compile(r"images(?:_(\d{1,3}))?")
_SPLITS = ("train", "test", "val")
_SAME_SIZE = 1.02  # tools round shrunk sizes up, down or to even numbers; no photo is resampled for that


def photos_in(folder: Path) -> list[Path]:
    """Return the photos directly in a folder, by name, hidden ones left out."""
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError:
        return []
    return sorted(Path(e.path) for e in entries if e.name.lower().endswith(PHOTO_SUFFIXES) and e.is_file())


def choose_folder(root: Path, longest: float, options: SceneOptions) -> Path | None:
    """Return the folder below `root` (images, images_2, ...) with the smallest photos that are large enough.

    `longest` is the longer side of the photos as they were calibrated, in pixels. Where all are too small it is the
    folder of the largest; None where there is no such folder.
    """
    folders = []
    for entry in sorted(root.iterdir()):
        match = _SHRUNK.fullmatch(entry.name)
        factor = int(match[1] or 1) if match else 0
        if factor and entry.is_dir() and photos_in(entry):
            folders.append((factor, entry))
    folders.sort()
    wanted = _wanted(longest, options)
    enough = [folder for factor, folder in folders if longest / factor * _SAME_SIZE >= wanted]
    return enough[-1] if enough else folders[0][1] if folders else None


def still_to_shrink(longest: float, shots: Sequence[Shot], options: SceneOptions) -> SceneOptions:
    """Return options for photos of a chosen folder: what was wanted of the calibrated size, as a `max_size`."""
    wanted = _wanted(longest, options)
    actual = max(max(shot.lens.width, shot.lens.height) for shot in shots)
    enough = actual <= wanted * _SAME_SIZE
    return replace(options, downscale=1, max_size=0 if enough else max(1, round(wanted)))


def with_masks(root: Path, shots: Sequence[Shot]) -> list[Shot]:
    """Return shots with the masks that lie in a folder `masks` (or `masks_4` for `images_4`) below `root`, if any.

    The mask of images/a/b.jpg is masks/a/b.jpg.png, b.png, b.jpg and so on; that of train/b.png is masks/train/b.png. A
    mask that the shot already names stays.
    """
    if not root.is_dir() or not any(e.name.startswith("masks") and e.is_dir() for e in os.scandir(root)):
        return list(shots)
    return [shot if shot.mask else replace(shot, mask=_mask_of(root, shot.path)) for shot in shots]


def _mask_of(root: Path, photo: Path) -> Path | None:
    if not photo.is_relative_to(root):
        return None
    parts = photo.relative_to(root).parts
    first, rest = parts[0], parts[1:]
    places = [root.joinpath("masks", *parts)]
    if rest and first not in _SPLITS:  # the photos' own folder; masks of train and test must not be mixed up
        places.append(root.joinpath("masks", *rest))
    if rest and _SHRUNK.fullmatch(first):
        places.insert(0, root.joinpath(first.replace("images", "masks", 1), *rest))
    for place in places:
        names = [
            f"{place.name}.png",
            *(place.stem + e for suffix in PHOTO_SUFFIXES for e in (suffix, suffix.upper())),
        ]
        for name in names:
            if os.path.isfile(place.with_name(name)):
                return place.with_name(name)
    return None


def _wanted(longest: float, options: SceneOptions) -> float:
    wanted = longest / options.downscale
    return min(wanted, options.max_size) if options.max_size else wanted
