# SPDX-License-Identifier: MIT
"""What is open and how it is looked at: plain data that panels read and change, no engine objects, no widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from app.inspection import Inspection
from app.settings import Settings
from app.undo import UndoStack
from app.view.path import CameraPath
from engine.cameras import Camera
from engine.findings import Finding
from engine.messages import (
    AdaptPreviewed,
    Beside,
    BesideStats,
    CaptureSurveyed,
    CheckpointInfo,
    Evaluated,
    Failed,
    Followed,
    MemoryFitted,
    Progress,
    SceneOpened,
    Stats,
    TrainState,
)
from engine.methods.common import method_title


@dataclass
class ViewSettings:
    """How the viewport looks at the scene. Panels and commands change it; the viewport reads it every frame."""

    mode: str = "colour"
    colour_map: str = "turbo"
    max_scale: float = 1.0  # largest resolution scale a still picture is rendered at
    background: tuple[float, float, float] | None = None  # None: the scene's own
    utilisation: float = 0.94  # share of the worker's time that training gets while nothing moves
    view_index: int | None = None  # the capture view the camera sits in, into SceneOpened.views
    # "off", "photo" or "split", or "beside": the other model left of the split, "difference": how far the two are apart
    ground_truth: str = "off"
    blink: bool = False  # show the two in turn in place of a split
    blink_hz: float = 1.0  # both once in a second
    error_top: float | None = (
        None  # what errors and differences reach the end of their colours at; None: by the picture
    )
    frusta_psnr: bool = False  # frusta in the colours of their views' PSNR
    split: float = 0.5  # where the split slider stands, 0 left .. 1 right
    show_frusta: bool = True
    show_box: bool = True
    show_axes: bool = True
    show_points: bool = True  # the capture's sparse points; put away when training starts
    edit_box: bool = False  # the handles of the foreground box are out
    show_wireframe: bool = False
    show_errors: bool = False  # the error map of the training view one is in, or of the nearest
    wire_levels: tuple[int, ...] = ()
    show_panels: bool = True
    fov_y_deg: float = 50.0
    fly_speed: float = 0.5  # engine units per second


@dataclass
class ExportSettings:
    """What the next export is: the form of the export panel, which the menu's export commands use too."""

    kind: str = "spiral"  # of `app.view.presets.PRESETS`, or "path": the camera path that is open
    radius: float = 1.0  # engine units, across
    height: float = 0.4  # engine units, along the scene's up
    turns: float = 1.0
    frames: int = 120  # of a preset; a path has its duration
    fps: int = 30
    width: int = 960
    height_px: int = 540
    file: str = ""  # "": named after the kind, in the run folder
    format: str = "mp4"  # of `app.jobs.orders.FORMATS`
    quality: str = "high"  # of `engine.export.sequence.QUALITIES`
    supersample: int = 1
    moments: int = 1  # sub-frames of motion blur; 1: none
    shutter: float = 0.5  # share of a frame's time that the shutter is open
    depth: str = "none"  # "none", "16-bit PNG" or "float32 .npy", beside the colours
    normals: bool = False
    projection: str = "normal"  # of `engine.shots.PROJECTIONS`
    eye_distance: float = 0.03  # engine units, of the stereo projections
    focus: float = 0.0  # engine units: what is so far lies in the screen's plane; 0: eyes look in parallel
    mode: str = "colour"  # of VIEW_MODES
    meanwhile: str = "continues"  # what training does: "continues" or "waits"
    model: str = "as it is now"  # "as it is now": a copy; or "as it trains": the live model


@dataclass
class TimelapseSettings:
    """What the next time-lapse of training is."""

    views: str = "current view"  # or "held-out views", "chosen views"
    cameras: list[Camera] = field(default_factory=list)  # the chosen views
    every: str = "seconds"  # or "growing steps"
    seconds: float = 2.0  # of training, between two pictures
    growth: float = 1.1  # of the step, from one picture to the next
    format: str = "mp4"
    fps: int = 10


@dataclass
class JobRow:
    """One export as the panel shows it; its job changes it, the panel reads it."""

    job_id: str
    title: str
    path: str
    state: str = "waiting"  # "rendering", "finished", "cancelled" or "failed"
    done: int = 0
    total: int = 0  # 0: until it is stopped
    eta_s: float | None = None
    detail: str = ""
    bytes: int = 0  # of the model's copy
    serial: int = 0  # of `picture`
    picture: np.ndarray | None = None  # [h,w,3] uint8, the latest frame, small


@dataclass
class TimelineState:
    """How the open camera path is being worked on."""

    shown: bool = False  # the strip below the viewport, and the path in the scene
    selected: frozenset[int] = frozenset()  # keys, by their places in the path
    playing: bool = False  # the camera flies along the path
    recording: bool = False  # the camera's way is being written down
    preview: bool = False  # the viewport shows what an export would: its aspect between bars


@dataclass
class CurvePoint:
    """One sample of a training curve."""

    step: int
    seconds: float
    value: float


@dataclass
class BesideModel:
    """The model beside the open one and what is known of it."""

    info: Beside
    stats: BesideStats | None = None
    evaluated: Evaluated | None = None
    curves: dict[str, list[CurvePoint]] = field(default_factory=dict)


@dataclass
class Session:
    """Everything a panel may show. The window's loop fills it from events and slots; panels never call the engine."""

    scene: SceneOpened | None = None
    state: TrainState = TrainState.EMPTY
    state_reason: str = ""
    stats: Stats | None = None
    evaluated: Evaluated | None = None
    findings: tuple[Finding, ...] = ()  # what goes wrong in the training
    inference: bool = False  # the model only shows itself; what training needs is put away
    freed_bytes: int = 0  # what that gave back
    fitted: MemoryFitted | None = None  # what pruning to a target did last
    preview: AdaptPreviewed | None = None
    beside: BesideModel | None = None  # what the open model is compared with
    checkpoints: tuple[CheckpointInfo, ...] = ()  # of the open run, newest first
    followed: Followed | None = None  # of the open run, if another process trains it
    method: str = "svraster"  # for the next scene that is opened
    survey: CaptureSurveyed | None = None  # what is odd about the capture, once that was looked over
    excluded: frozenset[int] = frozenset()  # training views that are left out
    box: tuple[tuple[float, float, float], float] | None = (
        None  # wanted centre and edge, engine units of `scene`
    )
    values: dict[str, object] = field(default_factory=dict)  # the method's options by dotted name
    staged: dict[str, object] = field(default_factory=dict)  # options that wait for the next reset
    curves: dict[str, list[CurvePoint]] = field(default_factory=dict)  # losses, "psnr", ...
    warnings: list[str] = field(default_factory=list)
    progress: Progress | None = None  # the long step under way: loading, compiling, evaluating
    save_failed: Failed | None = None  # why the newest steps are not on the disk, until they are
    last_error: Failed | None = None  # until training goes on or another scene is opened
    export: ExportSettings = field(default_factory=ExportSettings)
    timelapse: TimelapseSettings = field(default_factory=TimelapseSettings)
    export_estimate: tuple[float, float] | None = None  # seconds and bytes of what the panel describes
    jobs: list[JobRow] = field(default_factory=list)  # exports, in the order in which they are rendered
    scene_exports: dict[str, str] = field(default_factory=dict)  # under way: the job and what it is doing
    view: ViewSettings = field(default_factory=ViewSettings)
    inspect: Inspection = field(default_factory=Inspection)
    settings: Settings = field(default_factory=Settings)  # of all scenes; set by `gui/preferences.py`
    undo: UndoStack = field(default_factory=UndoStack)  # edits of everything that can be edited
    shown_slots: frozenset[str] = (
        frozenset()
    )  # of "left", "right", "bottom": columns that are not folded away
    path: CameraPath | None = None  # the camera path that is open, engine units of `scene`
    playhead_s: float = 0.0  # the moment of the path that the timeline stands at
    path_file: str = ""  # where a person saved the path or opened it from
    path_kept: CameraPath | None = None  # the path as it is in that file, or else in the run folder
    timeline: TimelineState = field(default_factory=TimelineState)
    legend: tuple[float, float, str] | None = None  # of the frame on screen (`Frame.legend`)
    wire_drawn: tuple[int, int] | None = None  # boxes of the wireframe: how many are drawn, of how many
    frame_fps: float = 0.0  # new pictures per second
    ui_fps: float = 0.0  # window redraws per second
    present: str = "copy"  # "interop", "texture" or "copy", how pictures reach the window
    interop_reason: str = ""  # why the card's pictures do not reach it directly
    card: str = ""  # the graphics card that trains and renders; "": the processor does

    def output_folder(self) -> Path:
        """Return where videos and screenshots go; it may not exist yet."""
        chosen, scene = self.settings.output.folder, self.scene
        ours = scene is not None and not scene.followed  # another process writes a followed run
        return Path(chosen or (scene.run_folder if ours else "") or ".").expanduser()

    @property
    def path_unsaved(self) -> bool:
        """Whether the camera path is in no file as it is now."""
        return self.path is not None and self.path is not self.path_kept


def model_names(session: Session) -> tuple[str, str]:
    """Return what the open model and the one beside are called: their methods, told apart if they are one method."""
    front = method_title(session.scene.method) if session.scene is not None else ""
    if session.beside is None:
        return front, ""
    beside, moment = method_title(session.beside.info.method), session.beside.info.moment
    if moment is not None:
        return front, f"{beside}, step {moment:,}"
    return front, f"{beside}, beside" if beside == front else beside
