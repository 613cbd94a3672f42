# SPDX-License-Identifier: MIT
"""`nerfviewer path`: tell what a camera path file holds, and write it in another program's format."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.view.path_files import PathFile, PathFrame, read_dataparser, read_path, write_path

_SAME = np.eye(
    4
)  # every format is in the dataset's coordinates: no scene is needed to go from one to another


@dataclass(frozen=True)
class Conversion:
    """What `path` was asked for; without an `output` the file is only told of."""

    source: Path
    output: Path | None
    format: str
    frame: PathFrame
    size: tuple[int, int]
    fps: float
    samples_per_s: float | None = None


def path_frame(
    ngp_scale: float, ngp_offset: tuple[float, float, float], dataparser: Path | None
) -> PathFrame:
    """Return where other programs' coordinates lie, as the command line says."""
    frame = PathFrame() if dataparser is None else read_dataparser(dataparser.expanduser())
    return PathFrame(ngp_scale, ngp_offset, frame.nerfstudio_transform, frame.nerfstudio_scale)


def convert(task: Conversion) -> int:
    """Read a path, say what it is, and write it where it was asked for."""
    found = read_path(task.source.expanduser(), _SAME, task.frame)
    print(told(task.source, found))
    for note in found.notes:
        say(note)
    if task.output is not None:
        output = task.output.expanduser()
        size, fps = found.size or task.size, found.fps or task.fps
        for note in write_path(
            output, found.path, _SAME, task.format, task.frame, size, fps, task.samples_per_s
        ):
            say(note)
        say(f"Wrote {output}.")
    return 0


def told(file: Path, found: PathFile) -> str:
    """Return a line that says what was read."""
    path = found.path
    size = f", {found.size[0]}x{found.size[1]}" if found.size else ""
    fps = f", {found.fps:g} frames/s" if found.fps else ""
    loop = ", a loop" if path.closed else ""
    keys = f"{len(path.keys):,} key{'s' * (len(path.keys) != 1)}"
    return f"{file}: {found.format}, {keys}, {path.duration_s:g} s{loop}{size}{fps}"


def say(note: str) -> None:
    """Print a remark where it is in nobody's way."""
    print(f"nerfviewer: {note}", file=sys.stderr)
