# SPDX-License-Identifier: MIT
"""What a front end asks of the worker, in the imperative. A command with `supersedes` replaces a queued one with the same key."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.cameras import Camera
from engine.messages.base import Command
from engine.region import EVERYTHING, Region, Shown
from engine.shots import Shot


@dataclass(frozen=True)
class Every:
    """When a time-lapse takes its next picture: after so many seconds of training, or when steps have grown by a factor."""

    seconds: float = 0.0
    growth: float = 0.0  # above 1; where this is set, `seconds` does not count


@dataclass(frozen=True, eq=False)
class RenderJob:
    """Pictures to render beside training, and the bounded queue they come through.

    The worker puts a `Began`, then (index, Developed) in order into `frames`, then None when it will send no more; it renders
    only while the queue has room and spends at most `share` of its time while training runs; with `pauses`, training waits
    until the job is over. Jobs are rendered one after the other. What is rendered is a copy of the model made when the job
    comes, or with `live` the model as it is by then. Indices in `skip` are left out. With `every`, a time-lapse, the first
    shot is taken again and again of the live model, until the job is cancelled or the model replaced. `shown` leaves voxels out.

    Whoever takes the pictures (`app/jobs`) emits JobProgress and JobEnded through `Worker.emit`. Setting `cancelled` makes
    the worker stop and send None. A failure is put as an exception object in place of a picture, followed by None.
    """

    job_id: str
    shots: Sequence[Shot]
    layers: frozenset[str] = frozenset({"colour"})  # and "depth", "normal"
    supersample: float = 1.0
    background: tuple[float, float, float] | None = None
    mode: str = "colour"
    colour_map: str = "turbo"
    share: float = 0.5
    live: bool = False
    pauses: bool = False
    skip: frozenset[int] = frozenset()
    every: Every | None = None
    shown: Shown = EVERYTHING  # which voxels are drawn, where the method can choose
    frames: queue.Queue[Any] = field(default_factory=lambda: queue.Queue(maxsize=4))
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Began:
    """The first that a job sends: which model it shows, and the bytes of the copy that was made of it (0: live)."""

    method: str
    step: int
    bytes: int


@dataclass(frozen=True)
class OpenScene(Command):
    """Load a scene (path, "demo" or "city") and make an untrained method on it. `options` are dotted loader options."""

    path: str
    method: str = "svraster"
    values: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    start: bool = False


@dataclass(frozen=True)
class OpenRun(Command):
    """Continue a run folder from its newest readable checkpoint.

    With `follow` it is only looked at while another process trains it: newer checkpoints are shown as they appear, which
    Followed tells, and nothing is ever written there.
    """

    path: str
    start: bool = False
    follow: bool = False


@dataclass(frozen=True)
class ContinueHere(Command):
    """Train the followed run from here on, as any other; refused while another process trains it."""

    start: bool = True


@dataclass(frozen=True)
class Train(Command):
    """Train until paused, or for `steps` more steps, or for `seconds` more seconds of training time.

    Then the run is finished and saved; without `finish` training only pauses, and saves if that is worth a file.
    """

    steps: int | None = None
    seconds: float | None = None
    finish: bool = True
    changes = True


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
    """Load a checkpoint of a run of the same scene beside the open model; the answer is BesideChanged.

    Without `step` it is the newest, of another run. That of a step may be of the open run too; it can be shown, not trained.
    """

    path: str
    step: int | None = None


@dataclass(frozen=True)
class KeepBeside(Command):
    """Keep the open model as it is now beside itself, to be shown, not trained; the answer is BesideChanged."""


@dataclass(frozen=True)
class ListCheckpoints(Command):
    """Ask for the checkpoints of the open run; the answer is CheckpointsListed."""

    supersedes = "checkpoints"


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
    changes = True


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
    changes = True


@dataclass(frozen=True)
class PruneNow(Command):
    """Drop the voxels below the pruning threshold now."""

    changes = True


@dataclass(frozen=True)
class SubdivideNow(Command):
    """Split the voxels of highest priority now."""

    changes = True


@dataclass(frozen=True)
class PreviewAdapt(Command):
    """Ask what pruning and subdividing would do, `region` given: in it alone; the answer is AdaptPreviewed.

    With a `limit`, it comes with the boxes of at most so many voxels that would go, and as many that would be split.
    """

    limit: int = 0
    region: Region | None = None
    supersedes = "preview"


@dataclass(frozen=True)
class FitMemory(Command):
    """Prune the open model until it holds at most so many bytes, photos and buffers apart; the answer is MemoryFitted.

    Its budget of voxels is lowered alike.
    """

    target_bytes: int
    changes = True


@dataclass(frozen=True)
class SetMode(Command):
    """Let the model only show itself, with what training needs put away on the disk, or be trained; the answer is ModeChanged."""

    inference: bool
    changes = True


@dataclass(frozen=True)
class SetCacheBudget(Command):
    """In inference mode, hold so many bytes of a model of nodes in memory and read the rest when it is seen; 0: hold all."""

    bytes: int
    supersedes = "cache budget"


@dataclass(frozen=True)
class SetAutosave(Command):
    """Write checkpoints so many seconds apart from now on."""

    seconds: float
    supersedes = "autosave"


@dataclass(frozen=True)
class Evaluate(Command):
    """Render all held-out views and report PSNR and SSIM; training goes on afterwards."""

    supersedes = "evaluate"


@dataclass(frozen=True)
class SaveCheckpoint(Command):
    """Write a checkpoint into the run folder now."""

    changes = True


@dataclass(frozen=True)
class GetBoxes(Command):
    """Ask for leaf boxes of some levels for the wireframe; the answer is BoxesReady."""

    levels: tuple[int, ...]
    limit: int = 200_000
    supersedes = "boxes"


@dataclass(frozen=True)
class PickVoxel(Command):
    """Ask for the voxel that weighs most in the pixel x, y (from the left and top) of a camera; the answer is VoxelPicked."""

    camera: Camera
    x: float
    y: float
    shown: Shown = EVERYTHING
    supersedes = "pick"


@dataclass(frozen=True)
class GetDetails(Command):
    """Ask how the voxels of some levels (none given: all) are distributed; the answer is StructureDetails."""

    levels: tuple[int, ...] = ()
    supersedes = "details"


@dataclass(frozen=True)
class SetTrainRegion(Command):
    """Train only what is in a region from the next step on, None: everything; the answer is TrainRegionChanged."""

    region: Region | None
    changes = True


@dataclass(frozen=True)
class DeleteRegion(Command):
    """Delete the voxels in a region, or all `outside` it; the answer is StructureChanged."""

    region: Region
    outside: bool = False
    changes = True


@dataclass(frozen=True)
class PruneRegion(Command):
    """Drop the voxels in a region that are below the pruning threshold; the answer is StructureChanged."""

    region: Region
    changes = True


@dataclass(frozen=True)
class SubdivideRegion(Command):
    """Split every voxel in a region once; the answer is StructureChanged. Refused if the budget of voxels has no room."""

    region: Region
    changes = True


@dataclass(frozen=True)
class UndoStructure(Command):
    """Bring back the model as it was before the last edit of its structure by hand; the answer is StructureUndone.

    What was trained since is lost.
    """

    changes = True


@dataclass(frozen=True)
class RedoStructure(Command):
    """Bring back the model as it was when the last edit was undone; the answer is StructureUndone."""

    changes = True


@dataclass(frozen=True)
class StartJob(Command):
    """Render a film beside training; pictures come through `RenderJob.frames`."""

    job: RenderJob


@dataclass(frozen=True)
class CancelJob(Command):
    """Stop a job; its JobEnded says cancelled."""

    job_id: str


@dataclass(frozen=True)
class EstimateExport(Command):
    """Ask what the open model would be in each format of scene export; the answer is ExportEstimated.

    `options` are those of ExportOptions by dotted name. A question that is not answered yet is given up.
    """

    options: dict[str, Any] = field(default_factory=dict)
    supersedes = "estimate export"


@dataclass(frozen=True)
class ExportScene(Command):
    """Write the open model, as it is now, into a file; `format` is an id of engine/export/formats.py.

    SceneExportProgress tells how far it is, SceneExported its end; CancelJob gives it up.
    """

    job_id: str
    format: str
    path: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OrderJobs(Command):
    """Render waiting jobs in another order: those named first, in that order, then the others."""

    job_ids: tuple[str, ...]
    supersedes = "order of jobs"


@dataclass(frozen=True)
class Stop(Command):
    """Save if there is anything to save, then end the worker thread."""
