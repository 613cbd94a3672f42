# SPDX-License-Identifier: MIT
"""`nerfviewer train` and `nerfviewer eval`: a run without a window, and its numbers as JSON."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.headless import Console, Driver, driving
from engine import messages as m
from engine import options, runs
from engine.board import Board
from engine.datasets.options import SceneOptions
from engine.datasets.recognise import BUILT_IN
from engine.errors import UserError
from engine.messages import TrainState
from engine.training import MethodFactory, make_method
from engine.worker import Worker

EVALUATE_EVERY_S = 30.0  # of training, where no end is set
EVALUATIONS = 6  # in a run with a set end, about

Opened = Callable[[m.OpenScene | m.OpenRun], None]


@dataclass(frozen=True)
class TrainJob:
    """What `train` was asked for; options by dotted name. The limits count from the run's first step."""

    scene: str
    method: str = "svraster"
    seed: int = 0
    scene_options: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    max_steps: int | None = None
    max_seconds: float | None = None
    eval_every: float | None = None
    out: Path | None = None
    resume: bool = False
    json_file: Path | None = None
    autosave_s: float = 120.0
    tensorboard: bool = False
    processes: int = 1
    max_epochs: int | None = None

    def evaluate_every_s(self) -> float:
        """Return the training time between evaluations."""
        if self.eval_every is not None:
            return self.eval_every
        return EVALUATE_EVERY_S if self.max_seconds is None else self.max_seconds / EVALUATIONS


def train(
    job: TrainJob, worker: Worker | None = None, console: Console | None = None, opened: Opened | None = None
) -> int:
    """Train until a limit or Ctrl-C, then save, evaluate and write the numbers. `opened` hears what was opened."""
    console = console or Console()
    board = Board(lambda: Path(driver.scene.run_folder) / "tensorboard") if job.tensorboard else None
    opening = how_to_open(job, console)
    worker = worker or make_worker(job)
    closing = contextlib.nullcontext() if board is None else contextlib.closing(board)
    with closing, driving(worker, console) as driver:
        driver.board = board
        open_job(driver, opening, job, opened)
        train_to_the_end(driver, job)
        if board is not None:
            board.see(worker.stats())
        report = summary(driver, job)
        console.say(_last_words(driver, report))
    if job.json_file is not None:
        write_json(job.json_file, report)
    return 0


def make_worker(job: TrainJob, factory: MethodFactory = make_method) -> Worker:
    """Return the worker for a job."""
    return Worker(
        out=job.out,
        autosave_s=job.autosave_s,
        evaluate_every_s=job.evaluate_every_s(),
        method_factory=factory,
    )


def how_to_open(job: TrainJob, console: Console) -> m.OpenScene | m.OpenRun:
    """Return the command that begins or continues the run that was asked for. Never takes a run over silently."""
    begin = m.OpenScene(job.scene, job.method, job.values, job.scene_options, job.seed)
    place = job.scene if job.scene in BUILT_IN else str(Path(job.scene).expanduser().resolve())
    if job.out is not None and runs.is_run(job.out):
        if not job.resume:
            raise UserError(
                f"{job.out} already holds a run. Add --resume to continue it, or choose another --out."
            )
        spec = runs.open_run(job.out).spec
        if spec.scene != place:
            raise UserError(f"The run in {job.out} is of {spec.scene}, not of {place}. Choose another --out.")
        _check_scene_options(job.out, job)
        return m.OpenRun(str(job.out))
    if not job.resume:
        return begin
    found = None if job.out is not None else runs.newest_run(Path("runs"), place, job.method)
    if found is not None:
        _check_scene_options(found, job)
        return m.OpenRun(str(found))
    console.say("There is no run to resume; a new one begins.")
    return begin


def open_job(
    driver: Driver, opening: m.OpenScene | m.OpenRun, job: TrainJob, opened: Opened | None = None
) -> None:
    """Open what a job trains; a run that is continued takes the options that were given."""
    driver.open(opening)
    if opened is not None:
        opened(opening)
    if isinstance(opening, m.OpenRun) and job.values:
        driver.ask(m.SetOptions(job.values), m.OptionsChanged)


def _check_scene_options(run: Path, job: TrainJob) -> None:
    """Refuse to continue a run with photos of another size or another cube: its voxels would not fit."""
    trained = runs.open_run(run).spec.options
    defaults = options.flatten(SceneOptions())
    for name, value in job.scene_options.items():
        before = trained.get(name, defaults[name])
        if before != value:
            raise UserError(
                f"The run in {run} was begun with {name} = {before}, and {value} was asked for. "
                "Leave the option out, or begin a new run without --resume."
            )


def train_to_the_end(driver: Driver, job: TrainJob) -> None:
    """Train an open scene to its limits, or until Ctrl-C; then evaluate, unless Ctrl-C comes again."""
    worker, stats = driver.worker, driver.worker.stats()
    ends = [end for end in (job.max_steps, _last_step(driver, job)) if end is not None]
    steps = max(0, min(ends) - stats.step) if ends else None
    seconds = None if job.max_seconds is None else max(0.0, job.max_seconds - stats.train_seconds)
    try:
        worker.send(m.Train(steps, seconds))
        driver.pump(lambda: driver.state is TrainState.FINISHED)
    except KeyboardInterrupt:
        driver.console.say("Interrupted; saving and evaluating. Ctrl-C again skips the evaluation.")
        worker.send(m.Pause())
    try:
        driver.pump(lambda: driver.state is not TrainState.TRAINING)
        newest = driver.evaluated
        has_views = len(driver.scene.views) > driver.scene.n_train
        if has_views and (newest is None or newest.step != worker.stats().step):
            driver.ask(m.Evaluate(), m.Evaluated)
    except KeyboardInterrupt:
        driver.console.say("The evaluation is skipped.")


def _last_step(driver: Driver, job: TrainJob) -> int | None:
    """Return the step at which every training photo was taken `max_epochs` times, None without such an end."""
    if job.max_epochs is None:
        return None
    per_step = job.processes * int(driver.scene.values.get("objective.views_per_step", 1))
    return -(-job.max_epochs * driver.scene.n_train // per_step)


def summary(driver: Driver, job: TrainJob) -> dict[str, Any]:
    """Return the numbers of a run, as `--json` writes them."""
    from engine.cpu.crew import default_threads

    stats, timings, newest = driver.worker.stats(), driver.worker.timings(), driver.evaluated
    folder = Path(driver.scene.run_folder)
    is_final = newest is not None and newest.step == stats.step
    return {
        "method": driver.scene.method,
        "scene": driver.scene.name,
        "device": "cpu",
        "threads": default_threads(),
        "processes": job.processes,
        "seed": runs.open_run(folder).spec.seed if runs.is_run(folder) else job.seed,
        "steps": stats.step,
        "seconds": round(stats.train_seconds, 3),
        "cpu_seconds": round(timings["cpu"], 3),
        "load_seconds": round(timings["load"], 3),
        "compile_seconds": round(timings["compile"], 3),
        "eval_seconds": round(timings["evaluate"], 3),
        "voxels": stats.structure.voxels,
        "psnr": finite(newest.psnr) if is_final else None,
        "ssim": finite(newest.ssim) if is_final else None,
        "run": str(folder),
        "curve": curve(folder),
    }


def curve(run_folder: Path) -> list[dict[str, Any]]:
    """Return the evaluations of a run, those before a resume included."""
    if not runs.is_run(run_folder):
        return []
    points = [r for r in runs.open_run(run_folder).metrics() if r.get("kind") == "evaluated"]
    names = ("seconds", "step", "psnr", "ssim", "voxels")
    return [{name: finite(point[name]) for name in names} for point in points]


def evaluate(run: Path, json_file: Path | None, worker: Worker | None = None) -> int:
    """Print and write per-view and mean PSNR and SSIM of a run on its held-out views."""
    with driving(worker or Worker()) as driver:
        scene = driver.open(m.OpenRun(str(run)))
        result = driver.ask(m.Evaluate(), m.Evaluated)
        stats = driver.worker.stats()
    width = max(len(name) for name, _, _ in result.per_view)
    for name, psnr, ssim in result.per_view:
        print(f"{name:<{width}}  {psnr:6.2f} dB  {ssim:.4f}")
    print(f"{'mean':<{width}}  {result.psnr:6.2f} dB  {result.ssim:.4f}")
    if json_file is not None:
        views = [{"name": n, "psnr": finite(p), "ssim": finite(s)} for n, p, s in result.per_view]
        report = {"run": str(run), "method": scene.method, "scene": scene.name, "steps": result.step}
        report |= {"seconds": stats.train_seconds, "voxels": result.voxels}
        report |= {"psnr": finite(result.psnr), "ssim": finite(result.ssim), "views": views}
        write_json(json_file, report)
    return 0


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write a report."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}. Choose another file.") from error


def finite(value: float) -> float | None:
    """Return a number as JSON can hold it: NaN and infinity become null."""
    return value if math.isfinite(value) else None


def _last_words(driver: Driver, report: dict[str, Any]) -> str:
    quality = "" if report["psnr"] is None else f", held-out PSNR {report['psnr']:.2f} dB"
    return (
        f"{report['steps']:,} steps in {report['seconds']:.1f} s of training{quality}. "
        f"The run is in {driver.scene.run_folder}."
    )
