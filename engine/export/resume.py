# SPDX-License-Identifier: MIT
"""What a folder of pictures says of itself (`job.json`), so that an export that was stopped goes on instead of beginning anew."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from engine.errors import UserError
from engine.export.sequence import frame_name
from engine.shots import Film

NAME = "job.json"
VERSION = 1
LIVE = -1  # the step of a model that is rendered while it trains
_IN_WORDS = {
    "size": "another size",
    "pictures": "another number of pictures",
    "film": "another camera path or way of taking it",
    "look": "another view mode, supersampling or background",
    "scene": "another scene",
    "method": "another method",
    "step": "the model at another training step",
}


@dataclass(frozen=True)
class Manifest:
    """What the pictures of a folder show; two that are equal are of one export."""

    film: str  # fingerprint of the cameras
    pictures: int
    size: tuple[int, int]
    look: str  # mode, colours, supersampling, background, layers
    scene: str
    method: str
    step: int

    def text(self) -> str:
        """Return the file's content."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1) + "\n"


def manifest_of(film: Film, look: str, scene: str, method: str, step: int) -> Manifest:
    """Return what a folder with the pictures of a film says."""
    return Manifest(film.fingerprint(), len(film), film.size, look, scene, method, step)


class OtherJobError(UserError):
    """A folder holds another export."""


def manifest_in(folder: Path) -> Manifest | None:
    """Return what a folder says, None where it says nothing that can be read."""
    try:
        held = json.loads((folder / NAME).read_text(encoding="utf-8"))
        values = {field.name: held[field.name] for field in fields(Manifest)}
        return Manifest(**values | {"size": tuple(values["size"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check(folder: Path, wanted: Manifest, but: tuple[str, ...] = ()) -> None:
    """Raise OtherJobError where a folder holds pictures of another export; `but` names what is not known yet."""
    if not _pictures(folder):
        return
    held = manifest_in(folder)
    if held is None:
        raise OtherJobError(
            f"Cannot export into {folder}: it holds an earlier export that does not say what it shows. "
            "Choose another folder, or start anew."
        )
    names = [name for name in _IN_WORDS if name not in but]
    odd = [name for name in names if getattr(held, name) != getattr(wanted, name)]
    if odd:
        steps = (
            f" ({held.step:,}, not {wanted.step:,})"
            if odd == ["step"] and min(held.step, wanted.step) >= 0
            else ""
        )
        raise OtherJobError(
            f"Cannot go on with the export in {folder}: it shows {_IN_WORDS[odd[0]]}{steps}. "
            "Choose another folder, or start anew."
        )


def whole_pictures(folder: Path, pictures: int) -> frozenset[int]:
    """Return the indices of the pictures, or arrays, that are there. A file with its name is whole."""
    there = {file.stem for file in _pictures(folder)}
    return frozenset(i for i in range(pictures) if frame_name(i).removesuffix(".png") in there)


def clear(folder: Path) -> None:
    """Delete the pictures of an earlier export, and what it says of itself; nothing else."""
    for file in (*_pictures(folder), folder / NAME):
        file.unlink(missing_ok=True)


def _pictures(folder: Path) -> list[Path]:
    return [*folder.glob("frame_[0-9]*.png"), *folder.glob("frame_[0-9]*.npy")]
