# SPDX-License-Identifier: MIT
"""A run, or a compact file, opened so that it can be exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine import training
from engine.errors import UserError
from engine.export.compact import is_compact
from engine.export.source import Progress
from engine.export.write import Source
from engine.runs import open_run


def opened(run: str | Path, report: Progress, only: str = "") -> training.Training:
    """Return the newest checkpoint of a run on its scene, or raise UserError in one sentence; `only` names a method."""
    path = Path(run).expanduser()
    if not is_compact(path):
        folder = open_run(path)
        if only and folder.spec.method != only:
            raise UserError(
                f"{run} holds a {folder.spec.method} run, and only {only} runs can be exported so."
            )
        if not folder.checkpoints():
            raise UserError(f"{run} has no checkpoint yet; train it first.")
    elif only:
        raise UserError(f"{run} holds voxels, and only {only} runs can be exported so.")
    return training.open_trained(path, report)


def source_of(run: str | Path, bake_options: Any, report: Progress) -> Source:
    """Return what an export of a run works on. Nothing else uses the model, so it need not be copied."""
    one = opened(run, report)
    return Source(one.method, one.scene_now(), one.run.spec, one.seconds, bake_options, report)
