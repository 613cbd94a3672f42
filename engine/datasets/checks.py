# SPDX-License-Identifier: MIT
"""What a scene's files must satisfy; a refusal says which file, what was wanted, what came, what to do."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.datasets.shots import Shot
from engine.errors import SceneError

ROTATION_TOLERANCE = (
    0.02  # files keep 6 digits or more; beyond 2 % an axis is stretched or skewed, not rounded
)
_NO_ROTATION = 1e6  # an entry beyond: no rotation whatever the tolerance, and its cube would overflow soon
_LONGEST_PROBLEM = 600  # characters of a sentence that somebody reads
LARGEST_PHOTO = 1 << 17  # pixels a side
LARGEST_LENGTH = 1e12  # data units: beyond, float64 no longer tells neighbouring cameras apart
SAME_POINT = (
    1e-6  # of the distance to the data's origin: closer than this, float32 files cannot tell centres apart
)


def cannot_read(path: Path, problem: str, remedy: str) -> SceneError:
    """Return the error "Cannot read PATH: problem; remedy."; what a file put into the problem stays short and on one line."""
    line = "".join(char if char.isprintable() else "\ufffd" for char in problem)
    if len(line) > _LONGEST_PROBLEM:
        line = f"{line[: _LONGEST_PROBLEM // 2]} ... {line[-_LONGEST_PROBLEM // 2 :]}"
    return SceneError(f"Cannot read {path}: {line}; {remedy}.")


def first_few(names: Sequence[str]) -> str:
    """Return the first three of some names, for a warning: "a.jpg, b.jpg, c.jpg, ..."."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def inside(
    folder: Path, name: str | Path, allow: bool, source: Path | None = None, what: str = "photo"
) -> Path:
    """Return the place in a scene folder that a file of the scene names, free of "..".

    A name that leads out of the folder through ".." or as an absolute path is refused unless `allow`, before anything
    looks at the place. Links inside the folder are the user's own and are followed. `source` is the file with the name.
    """
    place = Path(os.path.normpath(folder / name))
    homes = (os.path.normpath(folder), os.path.abspath(folder), os.path.realpath(folder))
    if allow or any(
        place.is_relative_to(home) and ".." not in place.relative_to(home).parts for home in homes
    ):
        return place
    problem = f"it names the {what} {str(name)!r}, which lies outside the scene folder {folder}"
    remedy = "move the file into the folder or, if you trust the scene, allow it with --allow-outside"
    raise cannot_read(source or folder, problem, remedy)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        problem = f"line {error.lineno}, column {error.colno} is not valid JSON ({error.msg})"
        raise cannot_read(path, problem, "mend the file or export it again") from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        problem = f"JSON text was expected, got something else ({type(error).__name__})"
        raise cannot_read(path, problem, "choose a transforms.json or export it again") from error
    except OSError as error:
        problem = f"the file cannot be opened ({error.strerror or error})"
        raise cannot_read(path, problem, "check that it exists and may be read") from error
    if not isinstance(data, dict):
        problem = f"an object with a list 'frames' was expected, got {_kind(data)}"
        raise cannot_read(path, problem, "export it again with instant-ngp's or nerfstudio's tools")
    return data


def frames_of(path: Path, data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the list of frames in a transforms file; it has at least one."""
    frames = data.get("frames")
    if not isinstance(frames, list):
        came = "there is none" if "frames" not in data else f"it is {_kind(frames)}"
        raise cannot_read(
            path, f"a list 'frames' was expected but {came}", "choose a transforms.json of posed photos"
        )
    if not frames:
        raise cannot_read(path, "its list 'frames' is empty", "add the posed photos to it or export it again")
    for index, frame in enumerate(frames):
        if not isinstance(frame, dict):
            problem = f"frames[{index}] must be an object, got {_kind(frame)}"
            raise cannot_read(path, problem, "mend or remove it")
        name = frame.get("file_path")
        if not isinstance(name, str) or not name.strip():
            came = "has no 'file_path'" if "file_path" not in frame else f"has the 'file_path' {name!r}"
            problem = f"frames[{index}] {came}, the name of its photo was wanted"
            raise cannot_read(path, problem, "add it or remove the frame")
    return frames


def number(path: Path, where: str, key: str, value: Any) -> float:
    """Return a finite number from a file. `where` says which part of it, such as "frames[3] (r_3.png)"."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        problem = f"'{key}' of {where} must be a number, got {value!r}"
        raise cannot_read(path, problem, "correct it or export the file again")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        problem = f"'{key}' of {where} must be a finite number, got {result}"
        raise cannot_read(path, problem, "correct it or remove the frame")
    return result


def positive(path: Path, where: str, key: str, value: Any) -> float:
    """Return a number above zero from a file."""
    result = number(path, where, key, value)
    if result <= 0.0:
        problem = f"'{key}' of {where} must be greater than zero, got {result:g}"
        raise cannot_read(path, problem, "correct the camera's calibration in it")
    return result


def pixels(path: Path, where: str, key: str, value: Any) -> int:
    """Return the width or height of a photo from a file."""
    result = round(positive(path, where, key, value))
    if not 1 <= result <= LARGEST_PHOTO:
        problem = f"'{key}' of {where} must be 1 to {LARGEST_PHOTO:,} pixels, got {value!r}"
        raise cannot_read(path, problem, "correct it or leave it out")
    return result


def pose(path: Path, where: str, value: Any) -> np.ndarray:
    """Return the rigid camera matrix [4,4] in a file ([3,4] is accepted), its rotation made orthonormal."""
    key = "transform_matrix"
    shape_ok = (
        isinstance(value, list)
        and len(value) in (3, 4)
        and all(isinstance(r, list) and len(r) == 4 for r in value)
    )
    if not shape_ok:
        problem = f"'{key}' of {where} must be 4 rows of 4 numbers, got {_shape(value)}"
        raise cannot_read(path, problem, "correct it or remove the frame")
    rows = [[number(path, where, key, entry) for entry in row] for row in value]
    matrix = np.array(rows if len(rows) == 4 else [*rows, [0.0, 0.0, 0.0, 1.0]])
    if not np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-6):
        came = " ".join(f"{x:g}" for x in matrix[3])
        problem = f"the last row of '{key}' of {where} must be 0 0 0 1, got {came}"
        raise cannot_read(path, problem, "transpose the matrix or export it again")
    _check_rotation(path, where, matrix[:3, :3])
    if np.abs(matrix[:3, 3]).max() > LARGEST_LENGTH:
        came = " ".join(f"{x:.3g}" for x in matrix[:3, 3])
        problem = f"the position of {where} must be below {LARGEST_LENGTH:g} units, got {came}"
        raise cannot_read(path, problem, "correct it or remove the frame")
    u, _, vt = np.linalg.svd(matrix[:3, :3])
    matrix[:3, :3] = u @ vt
    return matrix


def _check_rotation(path: Path, where: str, rotation: np.ndarray) -> None:
    scale = float(np.abs(rotation).max())
    det = float(np.linalg.det(rotation)) if scale < _NO_ROTATION else math.inf
    if scale == 0.0 or abs(det) < 1e-6 * min(scale, _NO_ROTATION) ** 3:
        problem = f"the pose of {where} is singular (determinant {det:.3g}) where a rotation was wanted"
        raise cannot_read(path, problem, "correct it or remove the frame")
    if scale >= _NO_ROTATION or np.abs(rotation @ rotation.T - np.eye(3)).max() > ROTATION_TOLERANCE:
        lengths = " ".join(f"{math.hypot(*column):.3g}" for column in rotation.T)
        problem = f"the pose of {where} is no rotation: orthonormal axes were wanted, got lengths {lengths}"
        raise cannot_read(path, problem, "remove scale and shear from it or remove the frame")
    if det < 0.0:
        problem = f"the pose of {where} mirrors the scene (determinant {det:.3g}) where a rotation was wanted"
        raise cannot_read(path, problem, "flip one axis of the matrix or remove the frame")


def check_enough(path: Path, shots: Sequence[Shot]) -> None:
    """Refuse a scene that cannot be reconstructed: one photo, or all cameras at one point."""
    if len(shots) == 1:
        problem = f"at least 2 photos from different places are wanted, got 1 ({shots[0].name})"
        raise cannot_read(path, problem, "add more posed photos")
    centres = np.array([shot.world_from_cam[:3, 3] for shot in shots])
    spread = np.linalg.norm(centres - centres.mean(axis=0), axis=1).max()
    if spread <= SAME_POINT * max(1.0, float(np.abs(centres).max())):
        at = " ".join(f"{x:.4g}" for x in centres[0])
        problem = f"all {len(shots)} cameras stand at one point ({at}), which shows no depth"
        raise cannot_read(path, problem, "use photos taken from different places or correct the poses")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "null" if value is None else "a number")


def _shape(value: Any) -> str:
    if not isinstance(value, list):
        return "nothing" if value is None else _kind(value)
    lengths = [len(row) if isinstance(row, list) else 1 for row in value]
    same = len(set(lengths)) == 1
    return f"{len(value)} x {lengths[0]}" if same else f"rows of {', '.join(str(n) for n in lengths)} numbers"
