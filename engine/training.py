# SPDX-License-Identifier: MIT
"""One model in training: the scene, the method on it, its run folder and how long it has been trained."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from engine import options, run_lock, runs
from engine.datasets.box import text_of_centre, with_box
from engine.datasets.recognise import BUILT_IN
from engine.datasets.scene import Points, Scene
from engine.errors import CheckpointError, UserError
from engine.export import compact
from engine.export.voxel_set import as_svraster
from engine.findings import Finding
from engine.messages import (
    Beside,
    HistoryPoint,
    HistoryRead,
    Logged,
    OpenRun,
    OpenScene,
    SceneOpened,
    ViewInfo,
)
from engine.methods.common import Method
from engine.methods.inspection import inspection_of
from engine.monitor import VITALS, Monitor
from engine.snapshots import Ring
from engine.tally import Tally

MAX_DRAWN_POINTS = 200_000  # of the sparse points, sent to a front end
_keys = itertools.count(1)
_CURVES = ("psnr", "ssim", "voxels", *VITALS)
FOLLOWED = "Another process trains this run and it is only looked at here. Once that has ended, Continue here takes it over."
MOMENT = "This is one moment of a run, kept to compare with; train the other model instead."
_BOX_OPTIONS = ("box_centre", "box_edge")  # of engine/datasets/options.py

Report = Callable[[str, int, int], None]  # (stage, done, total); total 0 means unknown
SceneLoader = Callable[[str, dict[str, Any], Report], Scene]  # (path, dotted loader options, report)
MethodFactory = Callable[[str, Scene, dict[str, Any], int], Method]  # (name, scene, dotted options, seed)


def load_scene(path: str, values: dict[str, Any], report: Report) -> Scene:
    """Read a scene folder with loader options by dotted name."""
    from engine.datasets import load_scene as load
    from engine.datasets.options import SceneOptions

    return load(path, options.build(SceneOptions, values), report)


def make_method(name: str, scene: Scene, values: dict[str, Any], seed: int) -> Method:
    """Return an untrained method with options by dotted name."""
    from engine.methods.common import create_method, method_class

    return create_method(name, scene, options.build(method_class(name).Config, values), seed)


class Training:
    """A method on a scene, and what the worker must remember beside it."""

    def __init__(self, scene: Scene, method: Method, run: runs.RunFolder) -> None:
        self.scene = scene
        self.method = method
        self.run = run
        self.seconds = 0.0  # wall clock of training alone
        self.cpu_seconds = 0.0  # of all threads of this process, during training
        self.target_step: int | None = None
        self.target_seconds: float | None = None
        self.target_finishes = True  # the run, not only these steps
        self.unsaved = False
        self.resting = False  # in inference mode: what only training needs is on the disk alone
        self.saved_seconds = 0.0  # what `seconds` was at the last save
        self.resumed_from: int | None = None
        self.tally = Tally(len(scene.train))
        self.monitor = Monitor()
        self.findings: tuple[Finding, ...] = ()  # what goes wrong, as last told
        self.excluded: frozenset[int] = frozenset()  # training views that are left out
        self.only_shown = ""  # why it is neither changed nor written: a sentence; "": it is ours
        self.followed = False  # another process trains it
        self.holds_run = False  # nobody else may train this run meanwhile
        self.key = next(_keys)  # tells models of one process apart
        self.ring = Ring()  # what edits of its structure can be undone
        self.losses: tuple[tuple[str, float], ...] = ()  # of the last step
        self.psnr = float("nan")
        self.evaluate_at = math.inf  # training seconds
        self.evaluated_s = 0.0  # what the evaluation under way, or else the last one, has cost

    def scene_now(self) -> Scene:
        """Return the scene with its training cameras where the method has moved them by now."""
        cameras = getattr(self.method, "moved_cameras", lambda: None)()
        if cameras is None:
            return self.scene
        train = self.scene.train
        views = tuple(dataclasses.replace(v, camera=c) for v, c in zip(train.views, cameras, strict=True))
        return dataclasses.replace(self.scene, train=dataclasses.replace(train, views=views))

    def exclude(self, indices: Iterable[int], excluded: bool) -> None:
        """Leave training views out from the next step on, or take them in again."""
        chosen, n_train = frozenset(indices), len(self.scene.train)
        odd = sorted(i for i in chosen if not 0 <= i < n_train)
        if odd:
            raise UserError(
                f"Only training views can be left out, these are views 0 to {n_train - 1}, got {odd[0]}; "
                "held-out views are never trained on."
            )
        wanted = self.excluded | chosen if excluded else self.excluded - chosen
        if len(wanted) == n_train:
            raise UserError(
                "Leaving out every training view leaves nothing to learn from; keep at least one."
            )
        if wanted == self.excluded:
            return
        exclude = getattr(self.method, "exclude", None)
        if exclude is None:
            raise UserError(
                f"The method {self.method.name} cannot leave views out; delete their photos instead."
            )
        exclude(wanted)
        self.excluded = wanted
        self.unsaved |= self.method.step > 0

    def set_target(
        self, steps: int | None = None, seconds: float | None = None, finishes: bool = True
    ) -> None:
        """Train this many steps or seconds more than now; None: without an end. `finishes`: that ends the run."""
        self.target_step = None if steps is None else self.method.step + steps
        self.target_seconds = None if seconds is None else self.seconds + seconds
        self.target_finishes = finishes

    def target_reached(self) -> bool:
        """Whether a step or time target is met."""
        if self.target_step is not None and self.method.step >= self.target_step:
            return True
        return self.target_seconds is not None and self.seconds >= self.target_seconds

    def eta_s(self, steps_per_s: float) -> float | None:
        """Return the seconds until the nearer target, None without one or without a rate."""
        ends = []
        if self.target_step is not None and steps_per_s > 0.0:
            ends.append((self.target_step - self.method.step) / steps_per_s)
        if self.target_seconds is not None:
            ends.append(self.target_seconds - self.seconds)
        return max(0.0, min(ends)) if ends else None

    def begin(self) -> None:
        """Make the run folder ready to be written: called when training starts. Raises RunInUseError if another writes it."""
        if self.only_shown:
            raise UserError(self.only_shown)
        self.run.begin()
        run_lock.acquire(self.run.path)
        self.holds_run = True
        if self.resumed_from is not None:
            self.run.continue_from(self.resumed_from)
            self.resumed_from = None

    def let_go(self) -> None:
        """Let others train the run."""
        if self.holds_run:
            self.holds_run = False
            run_lock.release(self.run.path)

    def save(self) -> Path:
        """Write a checkpoint."""
        self.begin()
        tensors, method_header = self.method.state()
        header = {
            "method": self.method.name,
            "step": self.method.step,
            "seed": self.run.spec.seed,
            "values": options.flatten(self.method.config),
            "train_seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "excluded": sorted(self.excluded),
            "state": method_header,
        }
        path = self.run.save(self.method.step, tensors | self.tally.state(), header)
        self.run.write_config(header["values"])
        self.unsaved, self.saved_seconds = False, self.seconds
        return path

    def load(self, resumed: runs.Resumed) -> None:
        """Take over a checkpoint."""
        self.method.load_state(resumed.tensors, resumed.header["state"])
        self.seconds = self.saved_seconds = float(resumed.header["train_seconds"])
        self.cpu_seconds = float(resumed.header["cpu_seconds"])
        self.resumed_from = self.method.step
        self.tally.load(resumed.tensors)
        self.monitor.begin(
            self.seconds, [r for r in self.run.metrics() if r.get("step", 0) <= self.resumed_from]
        )
        self.exclude((i for i in resumed.header.get("excluded", ()) if i < len(self.scene.train)), True)
        self.unsaved = False

    def came_back(self) -> None:
        """Note that the method is in a state of earlier or later: the next save forgets what lies beyond its step."""
        self.resumed_from = step = self.method.step
        self.monitor.begin(self.seconds, [r for r in self.monitor.records if r.get("step", 0) <= step])
        self.unsaved = True

    def opened(self) -> SceneOpened:
        """Describe the scene and the model for a front end."""
        scene, tools = self.scene_now(), inspection_of(self.method)
        views = [ViewInfo(v.name, v.camera, False) for v in scene.train.views]
        views += [ViewInfo(v.name, v.camera, True) for v in scene.test.views]
        xyz, rgb = _drawn_points(scene.points)
        return SceneOpened(
            name=scene.name,
            path=scene.path,
            kind=scene.kind,
            method=self.method.name,
            views=tuple(views),
            n_train=len(scene.train),
            warnings=scene.warnings,
            up=scene.up,
            data_from_engine=scene.data_from_engine,
            outside_levels=scene.outside_levels,
            background=scene.background,
            image_bytes=scene.train.images.nbytes() + scene.test.images.nbytes(),
            run_folder=str(self.run.path),
            values=options.flatten(self.method.config),
            points_xyz=xyz,
            points_rgb=rgb,
            n_points=0 if scene.points is None else len(scene.points),
            excluded=tuple(sorted(self.excluded)),
            key=self.key,
            refine=getattr(self.method, "refine", "Subdivide"),
            unit=getattr(self.method, "unit", "voxels"),
            slow_views=getattr(self.method, "slow_views", False),
            card=self.method.card,
            options=dict(self.run.spec.options),
            findings=self.findings,
            inference=self.resting,
            can=tools.can,
            cannot=tools.cannot,
            train_region=tools.train_region,
            undo_labels=self.ring.undo_labels,
            redo_labels=self.ring.redo_labels,
            followed=self.followed,
            only_shown=self.only_shown,
        )

    def history(self) -> HistoryRead:
        """Return what the run's folder says of the training so far."""
        records = [r for r in self.run.metrics() if r.get("step", 0) <= self.method.step]
        return HistoryRead(self.key, history_points(records))

    def beside(self) -> Beside:
        """Describe the model for a front end that compares it with another."""
        moment = self.method.step if self.only_shown and not self.followed else None
        return Beside(self.key, self.method.name, str(self.run.path), moment)


def history_points(records: Iterable[dict[str, Any]]) -> tuple[HistoryPoint, ...]:
    """Return what a run's records say, as moments of its curves."""
    return tuple(point for record in records if (point := _history_point(record)) is not None)


def _history_point(record: dict[str, Any]) -> HistoryPoint | None:
    """Return one record of metrics.jsonl as a moment of a curve, None if there is something else in it."""
    losses = record.get("losses")
    named = {**(losses if isinstance(losses, dict) else {}), **record}
    chosen = [name for name in named if name in _CURVES or name in (losses or ())]
    try:
        values = tuple((name, float(named[name])) for name in chosen)
        held_out = record.get("kind") == "evaluated"
        return HistoryPoint(int(record["step"]), float(record["seconds"]), held_out, values)
    except (KeyError, TypeError, ValueError):
        return None


def _drawn_points(points: Points | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return places [P,3] and colours [P,3] of at most MAX_DRAWN_POINTS of the points, evenly thinned."""
    if points is None or len(points) == 0:
        return None, None
    stride = -(-len(points) // MAX_DRAWN_POINTS)
    return points.xyz[::stride].astype(np.float32), points.rgb[::stride].astype(np.uint8)


def _told_scene(spec: runs.RunSpec) -> str:
    """Return a scene and how it was read, for people."""
    return " ".join([spec.scene, *(f"{name}={value}" for name, value in sorted(spec.options.items()))])


def open_trained(path: str | Path, report: Report | None = None) -> Training:
    """Return the newest checkpoint of a run on its scene: `.scene` and `.method`. Raises UserError in one sentence."""
    opener = Opener(load_scene, make_method, Path(path).parent, None)
    return opener.run(OpenRun(str(path)), report or (lambda stage, done, total: None))[0]


class Opener:
    """Makes a Training of a scene or of a run. What loads is injected, so that tests load nothing."""

    def __init__(self, loader: SceneLoader, factory: MethodFactory, root: Path, out: Path | None) -> None:
        self._loader = loader
        self._factory = factory
        self._root = root
        self._out = out  # the folder asked for; the first run takes it

    def scene(self, command: OpenScene, report: Report) -> Training:
        """Load a scene and put an untrained method on it."""
        report("loading", 0, 0)
        scene = self._loader(command.path, command.options, report)
        method = self._factory(command.method, scene, command.values, command.seed)
        place = command.path if command.path in BUILT_IN else str(Path(command.path).resolve())
        spec = runs.RunSpec(
            scene=place,
            method=command.method,
            seed=command.seed,
            options=dict(command.options),
            values=options.flatten(method.config),
        )
        return Training(scene, method, self._place(spec))

    def run(self, command: OpenRun, report: Report) -> tuple[Training, list[Logged]]:
        """Load the scene of a run and the newest checkpoint that can be read; log what had to be skipped.

        A compact file of voxels is opened like a run; what is trained on from there goes into a new folder.
        """
        if compact.is_compact(command.path):
            return self._compact(compact.read(command.path), command.path, report)
        run = runs.open_run(command.path)

        def load() -> Scene:
            report("loading", 0, 0)
            return self._loader(run.spec.scene, run.spec.options, report)

        training, log = self._resume(run, load)
        if command.follow:
            training.followed, training.only_shown = True, FOLLOWED
            log = log[:-1]  # it is not resumed
        return training, log

    def _compact(self, stored: compact.Stored, path: str, report: Report) -> tuple[Training, list[Logged]]:
        """Open a compact file; where its photos are missing, its voxels are drawn in their place."""
        log = []
        try:
            report("loading", 0, 0)
            scene = self._loader(stored.spec.scene, stored.spec.options, report)
        except UserError as error:
            scene = compact.scene_without_photos(stored, path, error)
            log = [Logged("warning", scene.warnings[0])]
        training = self._of_voxels(stored, scene)
        told = f"Opened {path}; what is trained on goes into {training.run.path}."
        return training, [*log, Logged("info", told)]

    def _of_voxels(self, stored: compact.Stored, scene: Scene) -> Training:
        """Return the voxels of a compact file on their scene, as a run of their own."""
        model = as_svraster(stored.voxels, scene, stored.spec.seed)
        method = self._factory(model.name, scene, stored.voxels.values, stored.spec.seed)
        method.load_state(*model.state())
        spec = dataclasses.replace(stored.spec, method=model.name, values=options.flatten(method.config))
        training = Training(scene, method, self._place(spec))
        training.seconds = training.saved_seconds = stored.seconds
        return training

    def newer(self, training: Training, resumed: runs.Resumed) -> None:
        """Let a model show another checkpoint of its run; options that differ need another model."""
        header, before = resumed.header, options.flatten(training.method.config)
        if json.dumps(header["values"], sort_keys=True) != json.dumps(before, sort_keys=True):
            spec = training.run.spec
            method = self._factory(spec.method, training.scene, header["values"], spec.seed)
            training.method, training.excluded = method, frozenset()
        training.exclude(training.excluded - set(header.get("excluded", ())), False)
        training.load(resumed)

    def kept(self, training: Training) -> Training:
        """Return the model of a training as it is now, to be shown beside it."""
        method, spec = training.method, training.run.spec
        tensors, header = method.state()
        copied = {name: np.array(tensor) for name, tensor in tensors.items()}  # the others are trained on
        still = self._factory(spec.method, training.scene, options.flatten(method.config), spec.seed)
        still.load_state(copied, header)
        moment = Training(training.scene, still, training.run)
        moment.seconds = moment.saved_seconds = training.seconds
        moment.psnr, moment.losses, moment.only_shown = training.psnr, training.losses, MOMENT
        return moment

    def beside(self, path: str, training: Training, step: int | None = None) -> tuple[Training, list[Logged]]:
        """Load a checkpoint of a run of the scene that is open, or a compact file; photos are not read again."""
        here = training.run
        stored = compact.read(path) if compact.is_compact(path) else None
        run = None if stored is not None else runs.open_run(path)
        spec = stored.spec if run is None else run.spec
        if run is not None and step is None and run.path.resolve() == here.path.resolve():
            raise UserError(f"{run.path} is the run that is open; choose another one to compare it with.")
        if (spec.scene, spec.options) != (here.spec.scene, here.spec.options):
            raise UserError(
                f"{path} was trained on {_told_scene(spec)}, the open run on {_told_scene(here.spec)}; only runs of "
                "one scene, read in the same way, can be compared."
            )
        if run is None:
            return self._of_voxels(stored, training.scene), []
        if step is None:
            return self._resume(run, lambda: training.scene)
        moment, _ = self._resume(run, lambda: training.scene, run.at_step(step))
        moment.only_shown = MOMENT
        return moment, [Logged("info", f"Step {step:,} of {run.path} stands beside.")]

    def _resume(
        self, run: runs.RunFolder, load: Callable[[], Scene], chosen: runs.Resumed | None = None
    ) -> tuple[Training, list[Logged]]:
        """Load a scene and the chosen checkpoint of a run on it, or else the newest; log what had to be skipped."""
        resumed, spec = chosen or run.newest(), run.spec
        scene = load()
        values = spec.values if resumed is None else resumed.header["values"]
        training = Training(scene, self._factory(spec.method, scene, values, spec.seed), run)
        if resumed is None:
            training.resumed_from = 0
            return training, [
                Logged("warning", f"{run.path} holds no checkpoint yet; training starts from the beginning.")
            ]
        log = [Logged("warning", f"Skipped {path.name}: {reason}") for path, reason in resumed.skipped]
        try:
            training.load(resumed)
        except (KeyError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{resumed.path} does not fit {spec.method}: {error}. "
                "It may come from another version of nerfviewer; train again."
            ) from error
        return training, [*log, Logged("info", f"Resumed {run.path} at step {training.method.step:,}.")]

    def other(self, training: Training, method: str, values: dict[str, Any]) -> Training:
        """Return an untrained model by a method on the same scene, with the same views left out, in a folder of its own."""
        old = training.run
        fresh = self._factory(method, training.scene, values, old.spec.seed)
        spec = dataclasses.replace(old.spec, method=method, values=options.flatten(fresh.config))
        started = Training(training.scene, fresh, runs.new_run(spec, old.path.parent))
        started.exclude(training.excluded, True)
        return started

    def again(self, training: Training, changes: dict[str, Any]) -> Training:
        """Return an untrained copy: same scene, same options as they stand but for some, a run folder of its own."""
        old = training.run
        values = options.flatten(options.updated(training.method.config, changes))
        fresh = self._anew(training, training.scene, dataclasses.replace(old.spec, values=values))
        fresh.key = training.key
        return fresh

    def moved(self, training: Training, box: tuple[np.ndarray, float] | None, report: Report) -> Training:
        """Return an untrained copy on another foreground cube (centre [3] and edge in data units; None: automatic)."""
        scene, spec = training.scene, training.run.spec
        kept = {name: value for name, value in spec.options.items() if name not in _BOX_OPTIONS}
        if box is None:
            was_chosen = len(kept) < len(spec.options)
            scene = self._loader(spec.scene, kept, report) if was_chosen else scene
        else:
            scene = with_box(scene, *box)
            kept |= {"box_centre": text_of_centre(box[0]), "box_edge": float(box[1])}
        values = options.flatten(training.method.config)
        return self._anew(training, scene, dataclasses.replace(spec, options=kept, values=values))

    def _anew(self, training: Training, scene: Scene, spec: runs.RunSpec) -> Training:
        """Return an untrained model on a scene with the views of `training`, the same of them left out."""
        old = training.run
        method = self._factory(spec.method, scene, spec.values, spec.seed)
        run = runs.new_run(spec, old.path.parent) if old.exists else old.moved_to(spec)
        fresh = Training(scene, method, run)
        fresh.exclude(training.excluded, True)
        return fresh

    def _place(self, spec: runs.RunSpec) -> runs.RunFolder:
        out, self._out = self._out, None
        return runs.new_run(spec, self._root, out)
