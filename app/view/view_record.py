# SPDX-License-Identifier: MIT
"""A view that people keep: in the metadata of a screenshot, as a command line, as a Python program.

Poses are in the dataset's coordinates, so that they outlive a run, with OpenCV camera axes.
"""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from app.view.rotations import matrix_from_quaternion, quaternion_from_matrix
from engine.cameras import Camera
from engine.conventions import move_pose
from engine.errors import UserError

KEY = "nerfviewer:view"  # of the PNG's text
FORMAT, VERSION = "nerfviewer-view", 1
CONVENTION = "world_from_cam, rows, OpenCV camera axes (x right, y down, z forward), dataset coordinates"
MAX_BYTES = 64 << 10  # of the text in a PNG
MAX_SIDE = 65_536
_DIGITS = 9
_ROUNDED = 1e-3  # what a text may have rounded off a rotation


@dataclass(frozen=True, eq=False)
class ViewRecord:
    """A camera in the dataset's coordinates, `world_from_cam [4,4]`, and what was looked at through it."""

    world_from_cam: tuple[tuple[float, ...], ...]
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    scene: str = ""
    run: str = ""
    method: str = ""
    step: int = 0
    mode: str = "colour"

    @classmethod
    def of(cls, camera: Camera, data_from_engine: np.ndarray, **told: Any) -> ViewRecord:
        """Return the record of an engine camera."""
        pose = move_pose(data_from_engine, camera.world_from_cam)
        lens = {name: float(getattr(camera, name)) for name in ("fx", "fy", "cx", "cy")}
        rows = tuple(tuple(float(value) for value in row) for row in pose)
        return cls(rows, camera.width, camera.height, **lens, **told)

    def camera(self, data_from_engine: np.ndarray) -> Camera:
        """Return the engine camera on a scene."""
        pose = move_pose(np.linalg.inv(data_from_engine), np.array(self.world_from_cam))
        return Camera(self.width, self.height, self.fx, self.fy, self.cx, self.cy, pose)

    def text(self) -> str:
        """Return the record as JSON."""
        from importlib import metadata

        try:
            version = metadata.version("nerfviewer")
        except metadata.PackageNotFoundError:
            version = "unknown"
        fov = math.degrees(2.0 * math.atan(0.5 * self.height / self.fy))
        head = {"format": FORMAT, "version": VERSION, "app_version": version, "convention": CONVENTION}
        return json.dumps(head | asdict(self) | {"fov_y_deg": fov})

    def png_text(self) -> Any:
        """Return what Pillow's `save` takes as `pnginfo`."""
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt(KEY, self.text())
        return info

    def numbers(self) -> str:
        """Return the view as `--view` takes it: position, quaternion x y z w, vertical field of view in degrees.

        Where the lens is not centred or its pixels not square, three more: centre x and y in widths and heights, fx / fy.
        """
        pose = np.array(self.world_from_cam)
        fov = math.degrees(2.0 * math.atan(0.5 * self.height / self.fy))
        w, *xyz = quaternion_from_matrix(pose[:3, :3])
        quaternion = (*xyz, w)
        values = [*pose[:3, 3], *quaternion, fov]
        lens = [self.cx / self.width, self.cy / self.height, self.fx / self.fy]
        if not np.allclose(lens, [0.5, 0.5, 1.0], atol=1e-9):
            values += lens
        return ",".join(f"{float(value):.{_DIGITS}g}" for value in values)

    def command_line(self) -> str:
        """Return the command that renders this view of the run's newest checkpoint."""
        mode = "" if self.mode == "colour" else f" --mode {self.mode}"
        run, view = shlex.quote(self.run), f"--view={self.numbers()}"
        return f"nerfviewer render {run} {view} --size {self.width}x{self.height}{mode} -o view.png"

    def python(self) -> str:
        """Return a program that renders this view of the run's newest checkpoint."""
        rows = ",\n    ".join(
            "[" + ", ".join(repr(value) for value in row) + "]" for row in self.world_from_cam
        )
        lens = ", ".join(
            repr(value) for value in (self.width, self.height, self.fx, self.fy, self.cx, self.cy)
        )
        return (
            "import nerfviewer as nv\n"
            "import numpy as np\n"
            "from PIL import Image\n\n"
            f"run = nv.open_trained({self.run!r})  # its newest checkpoint\n"
            "# Columns right, down, forward, position, in the coordinates of the dataset.\n"
            f"pose = np.array([\n    {rows},\n])\n"
            "pose = nv.move_pose(np.linalg.inv(run.scene.data_from_engine), pose)\n"
            f"camera = nv.Camera({lens}, pose)\n"
            "picture = run.method.render(camera, supersample=1.0).rgb  # [H,W,3] float32\n"
            'Image.fromarray((picture.clip(0, 1) * 255 + 0.5).astype("uint8")).save("view.png")\n'
        )


def holds_view(file: Path | str) -> bool:
    """Return whether a file is a screenshot with a view in it."""
    from PIL import Image

    if not str(file).lower().endswith(".png"):
        return False
    try:
        with Image.open(file) as image:
            return KEY in getattr(image, "text", {})
    except (OSError, ValueError, SyntaxError):
        return False


def view_from_screenshot(file: Path | str) -> ViewRecord:
    """Return the view that a screenshot holds. Whatever is wrong with it is a UserError of one sentence."""
    from PIL import Image

    file = Path(file)
    try:
        with Image.open(file) as image:
            text = getattr(image, "text", {}).get(KEY)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{file} cannot be read as a picture: {error}.") from error
    if text is None:
        raise UserError(f"{file} holds no view; only screenshots that this program saved do.")
    return record_of(text, str(file))


def record_of(text: str, where: str) -> ViewRecord:
    """Return the record in a text that came from `where`."""
    try:
        held = json.loads(text) if len(text) <= MAX_BYTES else None
        if not isinstance(held, dict) or held.get("format") != FORMAT or held.get("version") != VERSION:
            raise ValueError(f"it is no {FORMAT} of version {VERSION}")
        pose = np.array(held["world_from_cam"], dtype=np.float64)
        _check_pose(pose)
        lens = {name: _checked(name, held[name]) for name in ("fx", "fy", "cx", "cy")}
        size = {name: _checked_side(name, held[name]) for name in ("width", "height")}
        kinds = {field.name: field.type for field in fields(ViewRecord)}
        told = {name: str(held.get(name, "")) for name in ("scene", "run", "method", "mode") if name in kinds}
        rows = tuple(tuple(float(value) for value in row) for row in pose)
        return ViewRecord(rows, **size, **lens, **told, step=int(held.get("step", 0)))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"The view in {where} cannot be used: {reason}.") from error


def record_of_numbers(text: str, width: int, height: int) -> ViewRecord:
    """Return the view of `ViewRecord.numbers` at a size."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (8, 11) or not all(math.isfinite(value) for value in values):
        raise UserError(
            "A view is 8 numbers with commas, position x,y,z, quaternion x,y,z,w and the vertical field of view in degrees, "
            f"or 11 with the lens's centre and aspect, or a screenshot; got {text:.60}."
        )
    fov = values[7]
    if not 0.01 <= fov <= 179.0:
        raise UserError(f"The field of view of a view must be 0.01 to 179 degrees, got {fov:g}.")
    quaternion = np.array(values[3:7])
    if np.linalg.norm(quaternion) < 1e-6:
        raise UserError(f"The quaternion of a view must not be zero, got {text:.60}.")
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = matrix_from_quaternion(quaternion[[3, 0, 1, 2]]), values[:3]
    x, y, aspect = values[8:] or (0.5, 0.5, 1.0)
    fy = 0.5 * height / math.tan(math.radians(0.5 * fov))
    rows = tuple(tuple(float(value) for value in row) for row in pose)
    return ViewRecord(rows, width, height, fy * aspect, fy, x * width, y * height)


def _check_pose(pose: np.ndarray) -> None:
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise ValueError("its pose must be 4 x 4 finite numbers")
    turn = pose[:3, :3]
    if not np.allclose(turn @ turn.T, np.eye(3), atol=_ROUNDED) or np.linalg.det(turn) < 0.0:
        raise ValueError("its pose turns nothing, or mirrors")


def _checked(name: str, value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or (name in ("fx", "fy") and number <= 0.0):
        raise ValueError(f"{name} is {value}")
    return number


def _checked_side(name: str, value: Any) -> int:
    if not isinstance(value, int) or not 1 <= value <= MAX_SIDE:
        raise ValueError(f"{name} is {value}")
    return value
