# SPDX-License-Identifier: MIT
"""What the engine and a front end say to each other: frozen, documented, no live tensors.

Commands are imperative and go to the worker; events are past tense and come back, none dropped. Statistics and frames
travel in latest-wins slots instead (`worker.py`). A command with `supersedes` replaces a queued one with the same key.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np

from engine.cameras import Camera
from engine.capture import Flag
from engine.findings import Finding
from engine.methods.common import AdaptReport, StructureStats
from engine.tally import ViewTally


class TrainState(Enum):
    """What the worker is doing. One state, no overlapping flags."""

    EMPTY = "no scene"
    LOADING = "loading"
    PAUSED = "paused"
    TRAINING = "training"
    FINISHED = "finished"
    FAILED = "failed"


class Command:
    """Base of everything sent to the worker."""

    supersedes: str | None = None


class Event:
    """Base of everything the worker reports, in order."""


# --- commands -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenScene(Command):
    """Load a scene (path or "demo") and make an untrained method on it. `options` are dotted loader options."""

    path: str
    method: str = "svraster"
    values: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    start: bool = False


@dataclass(frozen=True)
class OpenRun(Command):
    """Continue a run folder from its newest readable checkpoint."""

    path: str
    start: bool = False


@dataclass(frozen=True)
class Train(Command):
    """Train until paused, or for `steps` more steps, or for `seconds` more seconds of training time.

    Then the run is finished and saved; without `finish` training only pauses, and saves if that is worth a file.
    """

    steps: int | None = None
    seconds: float | None = None
    finish: bool = True


@dataclass(frozen=True)
class Pause(Command):
    """Stop training after the step in flight."""


@dataclass(frozen=True)
class Reset(Command):
    """Throw the trained model away and start again on the same scene, with the same options but for `values`.

    `values` are method options by dotted name, live or not. If one is wrong, the model stays as it is and Failed says why.
    """

    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SwitchMethod(Command):
    """Start anew on the same scene with a method; the answer is SceneOpened. What was trained is saved.

    With `beside` the model that was open stays, beside the new one. Training goes on if it was going on, or with `start`.
    """

    method: str
    values: dict[str, Any] = field(default_factory=dict)
    beside: bool = False
    start: bool = False


@dataclass(frozen=True)
class OpenBeside(Command):
    """Load the newest checkpoint of a run of the same scene beside the open model; the answer is BesideChanged."""

    path: str


@dataclass(frozen=True)
class SwapBeside(Command):
    """Put the model beside in front and the open one beside; the answer is SceneOpened."""


@dataclass(frozen=True)
class TrainBeside(Command):
    """Train the model beside too, or no longer. Two that train get equal shares of the time."""

    on: bool = True


@dataclass(frozen=True)
class CloseBeside(Command):
    """Save the model beside and let it go; the answer is BesideChanged."""


@dataclass(frozen=True)
class ExcludeViews(Command):
    """Leave training views out from the next step on, or take them in again; the answer is ViewsExcluded.

    `indices` are into SceneOpened.views. Held-out views, unknown ones and leaving out all of them are refused.
    """

    indices: tuple[int, ...]
    excluded: bool = True


@dataclass(frozen=True)
class MoveBox(Command):
    """Normalise the open scene to another foreground cube and start anew on it; the answer is SceneOpened.

    `centre [3]` and `edge` in the data's units, None for what the reader would choose. Photos are not read again.
    """

    centre: tuple[float, float, float] | None
    edge: float | None


@dataclass(frozen=True)
class SurveyCapture(Command):
    """Look over the photos and poses of the open scene, a photo at a time; the answer is CaptureSurveyed."""

    supersedes = "survey"


@dataclass(frozen=True)
class SetOptions(Command):
    """Change live options of the method, by dotted name."""

    values: dict[str, Any]


@dataclass(frozen=True)
class PruneNow(Command):
    """Drop the voxels below the pruning threshold now."""


@dataclass(frozen=True)
class SubdivideNow(Command):
    """Split the voxels of highest priority now."""


@dataclass(frozen=True)
class PreviewAdapt(Command):
    """Ask what pruning and subdividing would do; the answer is AdaptPreviewed."""

    supersedes = "preview"


@dataclass(frozen=True)
class FitMemory(Command):
    """Prune the open model until it holds at most so many bytes, photos and buffers apart; the answer is MemoryFitted.

    Its budget of voxels is lowered alike.
    """

    target_bytes: int


@dataclass(frozen=True)
class SetMode(Command):
    """Let the model only show itself, with what training needs put away on the disk, or be trained; the answer is ModeChanged."""

    inference: bool


@dataclass(frozen=True)
class Evaluate(Command):
    """Render all held-out views and report PSNR and SSIM; training goes on afterwards."""

    supersedes = "evaluate"


@dataclass(frozen=True)
class SaveCheckpoint(Command):
    """Write a checkpoint into the run folder now."""


@dataclass(frozen=True)
class GetBoxes(Command):
    """Ask for leaf boxes of some levels for the wireframe; the answer is BoxesReady."""

    levels: tuple[int, ...]
    limit: int = 200_000
    supersedes = "boxes"


@dataclass(frozen=True)
class StartJob(Command):
    """Render a list of cameras beside training; frames come through `RenderJob.frames`."""

    job: RenderJob


@dataclass(frozen=True)
class CancelJob(Command):
    """Stop a job; its JobEnded says cancelled."""

    job_id: str


@dataclass(frozen=True)
class Stop(Command):
    """Save if there is anything to save, then end the worker thread."""


# --- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StateChanged(Event):
    """The worker entered a state; `reason` is a sentence for people."""

    state: TrainState
    reason: str = ""


@dataclass(frozen=True)
class Progress(Event):
    """A long step (loading, compiling, evaluating) got further. `total` 0 means unknown."""

    stage: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class ViewInfo:
    """A view as the window needs it."""

    name: str
    camera: Camera
    held_out: bool


@dataclass(frozen=True)
class Beside:
    """The model that stands beside the open one for comparison, on the same scene."""

    key: int
    method: str
    run_folder: str


@dataclass(frozen=True)
class SceneOpened(Event):
    """A scene is ready, or another model on it is in front. Training views first in `views`, then the held-out ones.

    `key` tells models apart: one that had this key before is the same model, with what is known of it.
    """

    name: str
    path: str
    kind: str
    method: str
    views: tuple[ViewInfo, ...]
    n_train: int
    warnings: tuple[str, ...]
    up: np.ndarray
    data_from_engine: np.ndarray
    outside_levels: int
    background: str
    image_bytes: int
    run_folder: str
    values: dict[str, Any]
    points_xyz: np.ndarray | None = (
        None  # [P,3] float32 sparse points in engine units, thinned to a drawable number
    )
    points_rgb: np.ndarray | None = None  # [P,3] uint8
    n_points: int = 0  # before thinning
    excluded: tuple[int, ...] = ()  # training views that are left out
    key: int = 0
    beside: Beside | None = None
    refine: str = "Subdivide"  # what the method calls SubdivideNow
    card: str = ""  # the graphics card that trains and renders; "": the processor does
    options: dict[str, Any] = field(default_factory=dict)  # of the scene's reader
    findings: tuple[Finding, ...] = ()  # what goes wrong in its training
    inference: bool = False  # it only shows itself


@dataclass(frozen=True)
class HistoryPoint:
    """What a run's folder says of one moment: `values` are (name, value) of losses, "psnr", "ssim", "voxels".

    `held_out` says that PSNR and SSIM are of held-out views.
    """

    step: int
    seconds: float
    held_out: bool
    values: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class HistoryRead(Event):
    """The model `key` was trained before; oldest moment first."""

    key: int
    points: tuple[HistoryPoint, ...]


@dataclass(frozen=True)
class BesideChanged(Event):
    """Another model stands beside the open one, or none any more."""

    beside: Beside | None


@dataclass(frozen=True)
class ViewsExcluded(Event):
    """Training views were left out or taken in again; `indices` are all that are left out now."""

    indices: tuple[int, ...]


@dataclass(frozen=True)
class CamerasMoved(Event):
    """Refinement moved training views: their cameras as they are now, in the order of SceneOpened.views."""

    cameras: tuple[Camera, ...]


@dataclass(frozen=True)
class CaptureSurveyed(Event):
    """The answer to SurveyCapture: what is odd about views, and about how long and how much this scene takes.

    `first_picture_s` is training time until a first good picture, `memory_bytes` the process's peak in training.
    """

    flags: tuple[Flag, ...]
    first_picture_s: float
    memory_bytes: int


@dataclass(frozen=True)
class StructureChanged(Event):
    """Voxels were pruned or split."""

    report: AdaptReport
    stats: StructureStats


@dataclass(frozen=True)
class AdaptPreviewed(Event):
    """The answer to PreviewAdapt."""

    report: AdaptReport


@dataclass(frozen=True)
class Evaluated(Event):
    """Held-out quality of the model `key` at a step. `per_view` holds (name, PSNR in dB, SSIM)."""

    step: int
    seconds: float
    psnr: float
    ssim: float
    voxels: int
    per_view: tuple[tuple[str, float, float], ...]
    key: int = 0


@dataclass(frozen=True)
class MemoryFitted(Event):
    """The answer to FitMemory: bytes and voxels of the model before and after, and PSNR in dB over a few views."""

    target_bytes: int
    bytes_before: int
    bytes_after: int
    voxels_before: int
    voxels_after: int
    psnr_before: float
    psnr_after: float
    key: int = 0


@dataclass(frozen=True)
class ModeChanged(Event):
    """The model `key` only shows itself now, or is trained again; `freed_bytes` is what that gave back."""

    inference: bool
    freed_bytes: int = 0
    key: int = 0


@dataclass(frozen=True)
class Diagnosed(Event):
    """What goes wrong in the training of the model `key`, worst first; sent when that has changed, nothing: all is well."""

    findings: tuple[Finding, ...]
    key: int = 0


@dataclass(frozen=True)
class OptionsChanged(Event):
    """Live options took effect; all values by dotted name."""

    values: dict[str, Any]


@dataclass(frozen=True)
class RunFolderChanged(Event):
    """The run will be saved in `path`, not where SceneOpened said: after a reset, or as another process was first."""

    path: str


@dataclass(frozen=True)
class CheckpointSaved(Event):
    """A checkpoint is on disk, complete."""

    path: str
    step: int


@dataclass(frozen=True)
class BoxesReady(Event):
    """Leaf boxes [n,4] float32 for the wireframe; `total` counts the leaves of these levels before the limit."""

    levels: tuple[int, ...]
    boxes: np.ndarray
    total: int


@dataclass(frozen=True)
class JobProgress(Event):
    """A render job finished `done` of `total` frames."""

    job_id: str
    done: int
    total: int
    eta_s: float | None


@dataclass(frozen=True)
class JobEnded(Event):
    """A render job is over: `outcome` is "finished", "cancelled" or "failed"; `detail` a path or a sentence."""

    job_id: str
    outcome: str
    detail: str


@dataclass(frozen=True)
class Failed(Event):
    """Something went wrong and the worker goes on. `what` was being done; `chain` are the messages, outermost first.

    `user` says that the first message is a whole sentence for people; `trace` is for those who look for the fault.
    """

    what: str
    chain: tuple[str, ...]
    fatal: bool = False
    user: bool = False
    trace: str = ""


@dataclass(frozen=True)
class Offer:
    """What a person may do about a failure: commands for the worker, or a lower `max_scale` for still pictures."""

    label: str
    commands: tuple[Command, ...] = ()
    max_scale: float | None = None


@dataclass(frozen=True)
class OutOfMemory(Failed):
    """Memory ran out. Training pauses, caches are freed, nothing is lost; `offers` says how to go on. None: not known."""

    asked_bytes: int | None = None
    free_bytes: int | None = None
    offers: tuple[Offer, ...] = ()


@dataclass(frozen=True)
class Logged(Event):
    """A line for the log panel."""

    level: str
    text: str


# --- render jobs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RenderJob:
    """Frames to render beside training, and the bounded queue they come through.

    The worker puts (index, rgb [H,W,3] uint8) into `frames` in order, then None when it will send no more; it renders only
    while the queue has room and spends at most `share` of its time while training runs. Whoever takes the frames (`app/jobs`)
    emits JobProgress and JobEnded through `Worker.emit`. Setting `cancelled` makes the worker stop and send None.
    A failure is put as an exception object in place of a frame, followed by None.
    """

    job_id: str
    cameras: tuple[Camera, ...]
    supersample: float = 1.0
    background: tuple[float, float, float] | None = None
    mode: str = "colour"
    colour_map: str = "turbo"
    share: float = 0.5
    frames: queue.Queue[Any] = field(default_factory=lambda: queue.Queue(maxsize=4))
    cancelled: threading.Event = field(default_factory=threading.Event)


PASSING = ("photos", "buffers")  # ends of the names of parts of Stats.memory that are not of the model itself


# --- slots --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BesideStats:
    """Numbers about the model beside. `trains`: it takes turns with the open one, or trains alone while that rests."""

    key: int
    step: int
    train_seconds: float
    psnr: float
    voxels: int
    trains: bool


@dataclass(frozen=True)
class Stats:
    """Numbers about training of the model `key`, newest wins. Times are of the worker thread; shares sum to at most 1."""

    state: TrainState
    step: int
    target_step: int | None
    train_seconds: float
    steps_per_s: float
    eta_s: float | None
    losses: tuple[tuple[str, float], ...]
    psnr: float
    structure: StructureStats
    memory_bytes: int
    train_ms: float
    view_ms: float
    train_share: float
    view_share: float
    fps: float
    scale: float
    views: ViewTally | None = None
    vitals: tuple[tuple[str, float], ...] = ()  # of the last record of `engine.monitor`
    beside: BesideStats | None = None
    key: int = 0
    memory: tuple[tuple[str, int], ...] = ()  # (part, bytes), see PASSING

    @property
    def model_bytes(self) -> int:
        """The bytes of the model itself, without photos and buffers."""
        return sum(count for name, count in self.memory if not name.endswith(PASSING))


@dataclass(frozen=True)
class ViewRequest:
    """The picture a viewport wants, newest wins.

    `camera` is at full viewport resolution; the worker renders it `scale` times as large. `mode` is one of VIEW_MODES,
    `view_index` the training view whose photo the error mode compares with (None: none). `serial` grows by one per request.
    """

    serial: int
    camera: Camera
    mode: str = "colour"
    colour_map: str = "turbo"
    scale: float = 1.0
    moving: bool = False
    background: tuple[float, float, float] | None = None
    view_index: int | None = None
    on_device: bool = False  # the frame may stay in a card's memory; whoever asks can show it from there
    beside: bool = False  # the model beside is wanted too, if there is one
    error_map: bool = False  # over the picture, the error map of the training view one is in or nearest to


@dataclass(frozen=True)
class DeviceFrame:
    """A finished picture in a card's memory: addresses of rgba [h,w,4] uint8 and of depth_z [h,w] float32.

    `read_on` makes a CUDA stream, by its handle, wait for the picture, and keeps the memory until that stream is through;
    `wait` returns when it is there, `download` then returns both as arrays. All work on any thread.
    """

    width: int
    height: int
    rgba: int
    depth_z: int
    device: int
    read_on: Callable[[int], None]
    download: Callable[[], tuple[np.ndarray, np.ndarray]]
    wait: Callable[[], None]


@dataclass(frozen=True)
class Frame:
    """A finished picture: `rgba [h,w,4]` uint8, `depth_z [h,w]` float32 engine units (inf where nothing is).

    With `on_device` those two have the right shapes and nothing in them; `on_host` has. `beside [h,w,4]` uint8 is the same
    view of the model beside. `heat_of` is the training view whose error map lies over the picture, None without one; the legend
    is then the map's.
    """

    serial: int
    request: ViewRequest
    rgba: np.ndarray
    depth_z: np.ndarray
    step: int
    render_ms: float
    legend: tuple[float, float, str] | None = None
    on_device: DeviceFrame | None = None
    beside: np.ndarray | None = None
    heat_of: int | None = None

    def on_host(self) -> Frame:
        """Return the frame with its arrays filled, copying them from the card if that is where it is."""
        if self.on_device is None:
            return self
        rgba, depth_z = self.on_device.download()
        return replace(self, rgba=rgba, depth_z=depth_z, on_device=None)
