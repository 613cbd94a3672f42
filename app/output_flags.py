# SPDX-License-Identifier: MIT
"""The flags that say what `nerfviewer render` makes of a camera path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from engine.errors import UserError

if TYPE_CHECKING:
    from app.view.view_record import ViewRecord

Help = tyro.conf.arg
_FORMATS = {"mp4": "mp4", "gif": "GIF", "webp": "WebP", "png": "PNG sequence"}
_DEPTHS = {"none": "none", "png": "16-bit PNG", "npy": "float32 .npy"}
_STEREO = {"none": "normal", "side-by-side": "side by side", "over-under": "over-under"}


@dataclass(frozen=True)
class OutputFlags:
    """What the pictures are, besides where the camera goes."""

    view: Annotated[
        str | None,
        Help(
            metavar="NUMBERS|FILE.png",
            help="One picture of a view instead: as the window copies it, or a screenshot of the window.",
        ),
    ] = None
    format: Annotated[
        Literal["auto", "mp4", "gif", "webp", "png"],
        Help(help="Kind of file; auto: as the output's name says, a folder of PNG pictures without suffix."),
    ] = "auto"
    quality: Annotated[
        Literal["small", "good", "high", "best"],
        Help(help="How good videos and WebP look, and how large they are."),
    ] = "high"
    mode: Annotated[
        str, Help(metavar="MODE", help="What is shown, by the names of the window's view modes.")
    ] = "colour"
    supersample: Annotated[Literal[1, 2, 3], Help(help="Rays a pixel side that are averaged.")] = 1
    motion_blur: Annotated[int, Help(help="Moments that are averaged in each picture; 1 for none.")] = 1
    shutter: Annotated[float, Help(help="Share of a frame's time that those moments lie in.")] = 0.5
    depth: Annotated[
        Literal["none", "png", "npy"],
        Help(help="Depths beside the pictures: 16-bit PNG with the scale in its metadata, or float32 .npy."),
    ] = "none"
    normals: Annotated[
        tyro.conf.FlagCreatePairsOff[bool], Help(help="Normals beside the pictures, as a video or pictures.")
    ] = False
    stereo: Annotated[
        Literal["none", "side-by-side", "over-under"], Help(help="A picture for each eye, left first.")
    ] = "none"
    eye_distance: Annotated[float, Help(help="Distance of the eyes, in edges of the scene's cube.")] = 0.03
    equirectangular: Annotated[
        tyro.conf.FlagCreatePairsOff[bool],
        Help(help="The whole sphere around the camera, 360 degrees, twice as wide as high."),
    ] = False
    anew: Annotated[
        tyro.conf.FlagCreatePairsOff[bool],
        Help(help="Throw earlier pictures in the folder away; else the same export goes on."),
    ] = False

    def film(self) -> dict[str, Any]:
        """Return what `Film` takes besides cameras and up."""
        if self.equirectangular and self.stereo != "none":
            raise UserError("--equirectangular and --stereo exclude each other; leave one of them out.")
        projection = "360" if self.equirectangular else _STEREO[self.stereo]
        taken = {"moments": self.motion_blur, "shutter": self.shutter}
        return taken | {"projection": projection, "eye_distance": self.eye_distance}

    def order(self, output: Path) -> dict[str, Any]:
        """Return what `ExportOrder` takes besides its film and its times, the path included."""
        from app.jobs.orders import FORMATS
        from engine.methods.common import VIEW_MODES

        if self.mode not in VIEW_MODES:
            raise UserError(f"--mode must be one of {', '.join(VIEW_MODES)}, got {self.mode}.")
        suffix = output.suffix if self.format == "auto" else FORMATS[_FORMATS[self.format]]
        if output.suffix and output.suffix.lower() != suffix:
            raise UserError(
                f"--format {self.format} does not fit the output's name {output.name}; leave one of them out."
            )
        path = output if output.suffix else output.with_name(output.name + suffix)
        return {
            "path": path, "quality": self.quality, "mode": self.mode, "supersample": float(self.supersample),
            "depth": _DEPTHS[self.depth], "normals": self.normals, "anew": self.anew,
        }  # fmt: skip

    def wanted_view(self, width: int, height: int) -> ViewRecord:
        """Return the view of `--view`, at its own size if a screenshot names it, else at width x height."""
        from app.view.view_record import record_of_numbers, view_from_screenshot

        if self.view.lower().endswith(".png"):
            return view_from_screenshot(self.view)
        return record_of_numbers(self.view, width, height)
