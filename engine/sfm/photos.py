# SPDX-License-Identifier: MIT
"""Finds the photos in a folder and puts them, whole and upright, where the scene keeps them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.datasets.shots import natural_key
from engine.errors import SceneError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
FOREIGN = (".heic", ".heif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".avif")
_LINKED = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")  # what COLMAP reads as it is
_NOT_PHOTOS = ("masks", "mask", "depth", "depths", "sparse", "colmap")  # folders beside photos
_SMALLER_COPY = re.compile(r"images_\d+$")  # of the photos in a folder "images" beside it
_ORIENTATION, _FOCAL_MM, _MAKE, _MODEL, _EXIF_GROUP = 0x0112, 0x920A, 0x010F, 0x0110, 0x8769
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Photo:
    """A photo in the scene: `name` below the scene's images, `device` its camera, lens setting and size."""

    name: str
    source: str
    width: int
    height: int
    device: str = ""

    @property
    def folder(self) -> str:
        """The folder it lies in, below the scene's images."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True)
class Found:
    """What a folder holds: photos in natural order of their names, and files left out with the reason."""

    base: Path
    names: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def find_photos(folder: Path, besides: Path | None = None) -> Found:
    """Return the photos in a folder and the folders in it; not those in `besides`, nor masks and hidden ones."""
    names: list[str] = []
    left_out: list[tuple[str, str]] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name.lower() not in _NOT_PHOTOS
            and not ("images" in folders and _SMALLER_COPY.match(name))
            and (besides is None or Path(parent, name).resolve() != besides)
        ]
        for name in files:
            suffix = Path(name).suffix.lower()
            place = Path(parent, name).relative_to(folder).as_posix()
            if name.startswith("."):
                continue
            if suffix in SUFFIXES:
                names.append(place)
            elif suffix in FOREIGN:
                left_out.append((place, f"{suffix[1:].upper()} is not read; convert it to JPEG"))
    names.sort(key=natural_key)
    base = os.path.commonpath([os.path.dirname(name) for name in names]) if names else ""
    shorter = tuple(Path(name).relative_to(base).as_posix() for name in names)
    return Found(folder / base, shorter, tuple(sorted(left_out)))


def gather(
    found: Found, images: Path, downscale: int, progress: Callable[[int, int], None]
) -> tuple[list[Photo], list[tuple[str, str]]]:
    """Put photos into the scene's folder of images; return them, and what was left out with reasons.

    Files stay as they are (a hard link where the disk allows it, else a copy) unless they are turned, to be made
    smaller, or in a format that COLMAP does not read: these are written anew, as JPEG or PNG.
    """
    photos: list[Photo] = []
    left_out = list(found.left_out)
    taken: set[str] = set()
    for done, name in enumerate(found.names, start=1):
        source = found.base / name
        try:
            photos.append(_place(source, images, _free_name(name, taken), downscale))
            taken.add(photos[-1].name.lower())
        except SceneError as error:
            left_out.append((name, str(error)))
        progress(done, len(found.names))
    return photos, left_out


def _free_name(name: str, taken: set[str]) -> str:
    """Return a name without white space, which COLMAP's lists of pairs are split at, that is not taken yet."""
    name = re.sub(r"\s+", "_", name)
    if Path(name).suffix.lower() not in _LINKED:
        name = str(Path(name).with_suffix(".jpg"))
    free, n = name, 1
    while free.lower() in taken:
        n += 1
        free = str(Path(name).with_name(f"{Path(name).stem}-{n}{Path(name).suffix}"))
    return Path(free).as_posix()


def _place(source: Path, images: Path, name: str, downscale: int) -> Photo:
    from PIL import Image, ImageOps

    target = images / name
    _whole(source)
    with Image.open(source) as image:
        exif = image.getexif()
        turned = exif.get(_ORIENTATION, 1) not in (0, 1)
        device = _device(exif)
        as_is = (
            not turned
            and downscale == 1
            and source.suffix.lower() in _LINKED
            and image.mode in ("RGB", "L", "RGBA")
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        if as_is:
            _link(source, target)
            return Photo(name, str(source), *image.size, device)
        upright = ImageOps.exif_transpose(image)
        if downscale > 1:
            upright = upright.reduce(downscale)
        _write(upright, target)
        return Photo(name, str(source), *upright.size, device)


def _whole(source: Path) -> None:
    """Raise SceneError unless the file is a photo to its end; JPEGs are decoded small, which is quick."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(source) as image:
            image.draft("RGB", (image.width // 8, image.height // 8))
            image.load()
    except UnidentifiedImageError as error:
        raise SceneError("its content is no photo") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged or cut short"
        raise SceneError(reason[:1].lower() + reason[1:]) from error


def _device(exif: Any) -> str:
    """Return camera, model and focal length from a photo's EXIF data in one line, "" where there is none."""
    focal = exif.get_ifd(_EXIF_GROUP).get(_FOCAL_MM)
    parts = [str(exif.get(tag, "")).strip("\0 ") for tag in (_MAKE, _MODEL)]
    try:
        parts.append(f"{float(focal):.1f} mm" if focal else "")
    except (TypeError, ValueError, ZeroDivisionError):
        pass
    return " ".join(part for part in parts if part)


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _write(image: Image.Image, target: Path) -> None:
    target.unlink(missing_ok=True)
    if target.suffix.lower() in (".jpg", ".jpeg"):
        image.convert("RGB").save(target, "JPEG", quality=JPEG_QUALITY, subsampling=0, exif=image.getexif())
    else:
        image.convert("RGBA" if "A" in image.getbands() else "RGB").save(target)
