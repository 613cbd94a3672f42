# SPDX-License-Identifier: MIT
"""What the worker reports, in the past tense and in order; none is dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.cameras import Camera
from engine.capture import Flag
from engine.findings import Finding
from engine.messages.base import Command, Event, TrainState
from engine.methods.common import AdaptReport, StructureStats

ESTIMATE = "estimate"  # the job id of EstimateExport


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
    unit: str = "voxels"  # what the model consists of
    slow_views: bool = False  # its pictures may take seconds; the worker gives one up for a newer request
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
class ExportEstimated(Event):
    """The answer to EstimateExport about the model `key` at a step: what each format would be.

    It comes again with each format that is known, until it is `complete`.
    """

    formats: tuple[FormatEstimate, ...]
    key: int
    step: int
    complete: bool = True


@dataclass(frozen=True)
class SceneExportProgress(Event):
    """A scene export got further; `total` 0 means unknown."""

    job_id: str
    stage: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class SceneExported(Event):
    """A scene export is over: `outcome` is "finished", "cancelled" or "failed".

    `detail` says what was written into `path`, or why nothing was.
    """

    job_id: str
    outcome: str
    detail: str
    path: str = ""
    bytes: int = 0


@dataclass(frozen=True)
class FormatEstimate:
    """What a scene would be in a format. `bytes` None: not known; `rough`: about so many. `loss_db` is of PSNR, None: no
    pictures are made of that format.

    `problem` says why the format cannot be written, `note` what else there is to know.
    """

    format: str
    bytes: int | None = None
    rough: bool = False
    loss_db: float | None = None
    note: str = ""
    problem: str = ""


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
