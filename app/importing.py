# SPDX-License-Identifier: MIT
"""`nerfviewer import`: photos or a video become a scene, with progress in the terminal."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from app.headless import Console, RunError, bar, duration
from app.jobs.importing import ImportOutcome, ImportProgress, ImportRun
from engine.errors import UserError
from engine.sfm.colmap import require_pycolmap
from engine.sfm.options import ImportJob

POLL_S = 0.1


def import_photos(
    job: ImportJob, console: Console | None = None, make_run: Callable[[ImportJob], ImportRun] = ImportRun
) -> int:
    """Import; print the report and return 0. Raises UserError or RunError with the reason otherwise."""
    require_pycolmap()
    console = console or Console()
    run = make_run(job)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    run.start()
    try:
        _watch(run, console)
    except KeyboardInterrupt:
        run.cancel()
        run.wait()
        console.say(f"nerfviewer: {run.outcome.text}")
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    return _ended(run.outcome, job, console)


def progress_text(now: ImportProgress) -> str:
    """Return the line that says how far an import is."""
    left = "" if now.eta_s is None else f"  {duration(now.eta_s)} left"
    return f"{now.stage} {bar(now.done, now.total)}{left}"


def _watch(run: ImportRun, console: Console) -> None:
    heard = 0
    while True:
        over = run.wait(POLL_S)
        for text in run.said[heard:]:
            console.say(text)
            heard += 1
        if over:
            return
        if run.progress is not None:
            console.progress(progress_text(run.progress))


def _ended(outcome: ImportOutcome, job: ImportJob, console: Console) -> int:
    if outcome.kind == "finished":
        for line in outcome.report.lines():
            console.say(line)
        console.say(f"The scene is {job.scene}. See it with: nerfviewer {Path(job.scene)}")
        return 0
    if outcome.kind == "failed":
        raise UserError(outcome.text)
    raise RunError(outcome.text, outcome.trace)
