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
from engine.methods.common import AdaptReport, Histogram, PickedVoxel, StructureStats
from engine.region import Region

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
    """The model that stands beside the open one for comparison, on the same scene.

    `moment` is the step it stands still at, None of one that can be trained.
    """

    key: int
    method: str
    run_folder: str
    moment: int | None = None


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
    can: frozenset[str] = frozenset()  # what it can do of `engine.methods.common.CAPABILITIES`
    cannot: dict[str, str] = field(default_factory=dict)  # the rest, each with a sentence why
    train_region: Region | None = None  # only this is trained
    undo_labels: tuple[str, ...] = ()  # as in UndoChanged
    redo_labels: tuple[str, ...] = ()

    def why_not(self, capability: str) -> str:
        """Return the sentence that says why the model cannot do something of CAPABILITIES, "" if it can."""
        if capability in self.can:
            return ""
        return self.cannot.get(capability, "This method cannot do that.")

    followed: bool = False  # another process trains it
    only_shown: str = ""  # why it can be neither trained nor changed here, a sentence; "": it can


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
    """The model `key` was trained before; oldest moment first. `more`: these come after what was told already."""

    key: int
    points: tuple[HistoryPoint, ...]
    more: bool = False


@dataclass(frozen=True)
class BesideChanged(Event):
    """Another model stands beside the open one, or none any more."""

    beside: Beside | None


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint on the disk. `saved_at`: seconds of the system's clock; `psnr`: held out, in dB, None if it is not known.

    `psnr_step` is the step at which that was measured.
    """

    step: int
    saved_at: float
    seconds: float
    psnr: float | None = None
    psnr_step: int | None = None


@dataclass(frozen=True)
class CheckpointsListed(Event):
    """The answer to ListCheckpoints, newest first."""

    run_folder: str
    checkpoints: tuple[CheckpointInfo, ...]


@dataclass(frozen=True)
class Followed(Event):
    """The run that another process trains got further, or that process came or went.

    `step` is the newest checkpoint, which is shown now, and `saved_at` when it was written (seconds of the system's clock,
    0.0: there is none yet). `log_step` is how far its numbers go. `trainer` names who trains it, "" if nobody does any more.
    """

    key: int
    step: int
    saved_at: float
    log_step: int = 0
    trainer: str = ""
    reloaded: bool = False


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
    """The answer to PreviewAdapt: boxes [n,4] float32 (centre and edge) of voxels that would be pruned, and split.

    They are thinned to the limit that was asked for; `report` has the whole numbers.
    """

    report: AdaptReport
    prune_boxes: np.ndarray | None = None
    split_boxes: np.ndarray | None = None
    region: Region | None = None


@dataclass(frozen=True)
class VoxelPicked(Event):
    """The answer to PickVoxel: the voxel that weighs most in that pixel, None where there is nothing."""

    x: float
    y: float
    voxel: PickedVoxel | None


@dataclass(frozen=True)
class StructureDetails(Event):
    """The answer to GetDetails: a histogram for each number that the model knows of its voxels."""

    levels: tuple[int, ...]
    histograms: tuple[Histogram, ...]


@dataclass(frozen=True)
class TrainRegionChanged(Event):
    """Only what is in `region` is trained from now on, None: everything."""

    region: Region | None
    key: int = 0


@dataclass(frozen=True)
class StructureUndone(Event):
    """The model is again as it was before the edit `label`; with `redone`, as it was after it.

    It stands at `step`; the `lost_steps` trained since are gone (below 0: that many came back).
    """

    label: str
    step: int
    lost_steps: int
    redone: bool
    stats: StructureStats
    key: int = 0


@dataclass(frozen=True)
class UndoChanged(Event):
    """Which edits of the structure of model `key` can be undone and done again, the last first, and what that holds in memory."""

    undo_labels: tuple[str, ...]
    redo_labels: tuple[str, ...]
    bytes: int
    limit_bytes: int
    key: int = 0


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
class Offer:
    """What a person may do about a failure: commands for the worker, or a lower `max_scale` for still pictures."""

    label: str
    commands: tuple[Command, ...] = ()
    max_scale: float | None = None


@dataclass(frozen=True)
class Failed(Event):
    """Something went wrong and the worker goes on. `what` was being done; `chain` are the messages, outermost first.

    `user` says that the first message is a whole sentence for people; `trace` is for those who look for the fault; `offers`
    are ways on.
    """

    what: str
    chain: tuple[str, ...]
    fatal: bool = False
    user: bool = False
    trace: str = ""
    offers: tuple[Offer, ...] = ()


@dataclass(frozen=True)
class OutOfMemory(Failed):
    """Memory ran out. Training pauses, caches are freed, nothing is lost; `offers` says how to go on. None: not known."""

    asked_bytes: int | None = None
    free_bytes: int | None = None


@dataclass(frozen=True)
class Logged(Event):
    """A line for the log panel."""

    level: str
    text: str
