# SPDX-License-Identifier: MIT
"""What an export is to make: which pictures, how they look, where they go. Made of the panel's settings or of flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.session import ExportSettings, Session
from app.view import presets
from engine.cameras import Camera
from engine.datasets.recognise import BUILT_IN
from engine.errors import UserError
from engine.export.layers import DEPTHS
from engine.export.quality import DEFAULT_QUALITY
from engine.export.sequence import is_animation, is_video
from engine.messages import Every, RenderJob, SceneOpened
from engine.region import EVERYTHING, Shown
from engine.shots import Film, Shot

FORMATS = {"mp4": ".mp4", "GIF": ".gif", "WebP": ".webp", "PNG sequence": ""}
MEANWHILE = ("continues", "waits")
MODELS = ("as it is now", "as it trains")
MOST_SIDE = 8192  # pixels; two eyes side by side may have twice as many
SHARE = 0.35  # of the worker's time, while training continues: encoding takes some of the rest


@dataclass(frozen=True, eq=False)
class ExportOrder:
    """An export. `film` is a Film, or a single shot that a time-lapse takes again and again as `every` says.

    `data_scale` is how many of the dataset's units an engine unit has, `scene` what the pictures are told to show. With
    `anew` a folder's earlier pictures are deleted; without, those of the same export are kept.
    """

    path: Path
    film: Sequence[Shot]
    fps: float = 30.0
    quality: str = DEFAULT_QUALITY
    supersample: float = 1.0
    background: tuple[float, float, float] | None = None
    mode: str = "colour"
    colour_map: str = "turbo"
    depth: str = "none"
    normals: bool = False
    share: float = SHARE
    live: bool = False
    pauses: bool = False
    every: Every | None = None
    shown: Shown = EVERYTHING
    anew: bool = False
    scene: str = ""
    data_scale: float = 1.0
    title: str = ""

    def __post_init__(self) -> None:
        path = self.path
        if not len(self.film):
            raise UserError(
                f"Cannot export {path}: the camera path has no pictures. Give it at least one frame."
            )
        if self.depth not in DEPTHS:
            raise UserError(
                f"Depth beside the colours must be one of {', '.join(DEPTHS)}, got {self.depth!r}."
            )
        if isinstance(self.film, Film):
            sizes = {(camera.width, camera.height) for camera in self.film.cameras}
            if (is_video(path) or is_animation(path)) and (len(sizes) > 1 or min(self.size) < 2):
                raise UserError(
                    f"Cannot export {path}: a video needs pictures of one size, at least 2 x 2 pixels."
                )
        if max(self.size) > 2 * MOST_SIDE:
            raise UserError(f"Cannot export {path}: pictures have at most {2 * MOST_SIDE:,} pixels a side.")

    @property
    def size(self) -> tuple[int, int]:
        """The width and height of a picture."""
        return self.film[0].size

    @property
    def layers(self) -> frozenset[str]:
        """What is rendered of each shot."""
        more = (("depth", self.depth != DEPTHS[0]), ("normal", self.normals))
        return frozenset({"colour"} | {name for name, wanted in more if wanted})

    @property
    def is_sequence(self) -> bool:
        """Whether the pictures become files of their own."""
        return not (is_video(self.path) or is_animation(self.path))

    @property
    def depth_path(self) -> Path:
        """The folder that depths go to."""
        return self.path.with_name(f"{self.path.stem}-depth")

    @property
    def normal_path(self) -> Path:
        """The video or the folder that normals go to."""
        return self.path.with_name(
            f"{self.path.stem}-normal{self.path.suffix if is_video(self.path) else ''}"
        )

    def even(self) -> ExportOrder:
        """Return the order with sizes that H.264 can hold, which halves both: a last odd row or column is left out."""
        if not is_video(self.path) or not isinstance(self.film, Film):
            return self
        camera = self.film.cameras[0]
        width, height = camera.width // 2 * 2, camera.height // 2 * 2
        if self.film.projection == "360":
            width = camera.width // 4 * 4
        same = (width, height) == (camera.width, camera.height)
        return self if same else replace(self, film=self.film.resized(width, height))

    def job(self, job_id: str, skip: frozenset[int] = frozenset()) -> RenderJob:
        """Return what the worker is asked for."""
        return RenderJob(
            job_id, self.film, self.layers, self.supersample, self.background, self.mode, self.colour_map,
            self.share, self.live, self.pauses, skip, self.every, self.shown,
        )  # fmt: skip

    def look(self) -> str:
        """Return a text that differs where pictures would look otherwise."""
        background = "scene" if self.background is None else ",".join(f"{c:g}" for c in self.background)
        layers = "+".join(sorted(self.layers)) + ("" if self.depth == DEPTHS[0] else f" ({self.depth})")
        part = "" if self.shown.everything else f" {self.shown}"
        return f"{self.mode} {self.colour_map} x{self.supersample:g} {background} {layers}{part}"


def cameras_of(settings: ExportSettings, scene: SceneOpened, path: object | None) -> list[Camera]:
    """Return the cameras of the path or the preset that the settings name."""
    if settings.kind == "path":
        if path is None:
            raise UserError(
                "There is no camera path yet; press K in some views to make one, or choose a preset."
            )
        return list(path.cameras(settings.fps, settings.width, settings.height_px))
    preset = presets.suggest([view.camera for view in scene.views], scene.up)
    values = {name: getattr(settings, name) for name in ("radius", "height", "turns", "frames")}
    return presets.PRESETS[settings.kind](replace(preset, **values), settings.width, settings.height_px)


def order_of(settings: ExportSettings, session: Session, file: Path, anew: bool = False) -> ExportOrder:
    """Return the order that the settings describe on the open scene, into a file or folder.

    Colours of maps, background, levels, crop and slice are those of the viewport.
    """
    scene, view = session.scene, session.view
    if not 2 <= settings.width <= MOST_SIDE or not 2 <= settings.height_px <= MOST_SIDE:
        raise UserError(
            f"Pictures have 2 to {MOST_SIDE:,} pixels a side, got {settings.width} x {settings.height_px}."
        )
    film = Film(
        cameras_of(settings, scene, session.path), settings.moments, settings.shutter, settings.projection,
        settings.eye_distance, settings.focus, tuple(float(value) for value in scene.up),
    )  # fmt: skip
    return ExportOrder(
        file, film, settings.fps, settings.quality, float(settings.supersample), view.background, settings.mode,
        view.colour_map, settings.depth, settings.normals, live=settings.model == MODELS[1],
        pauses=settings.meanwhile == MEANWHILE[1], shown=session.inspect.shown(scene), anew=anew,
        scene=scene_name(scene), data_scale=data_scale(scene), title=settings.kind.capitalize(),
    )  # fmt: skip


def data_scale(scene: SceneOpened) -> float:
    """Return how many of the dataset's units an engine unit has."""
    from numpy import cbrt
    from numpy.linalg import det

    return float(cbrt(det(scene.data_from_engine[:3, :3])))


def scene_name(scene: SceneOpened) -> str:
    """Return what tells a scene from others in a file: its path."""
    return scene.path if scene.path in BUILT_IN else str(Path(scene.path).expanduser().resolve())
