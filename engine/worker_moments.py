# SPDX-License-Identifier: MIT
"""The checkpoints that the open run holds, for whoever wants to see an older one beside the open model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from engine import checkpoint
from engine import messages as m
from engine.errors import CheckpointError
from engine.runs import RunFolder

if TYPE_CHECKING:
    from engine.worker_core import Core


def list_checkpoints(core: Core, command: m.ListCheckpoints) -> None:
    """Tell what checkpoints there are."""
    run, records = core.training.run, core.training.monitor.records
    core.emit(m.CheckpointsListed(str(run.path), checkpoints_of(run, records)))


def checkpoints_of(run: RunFolder, records: list[dict[str, Any]]) -> tuple[m.CheckpointInfo, ...]:
    """Return what is known of a run's checkpoints, newest first; those that cannot be read are left out."""
    evaluated = [r for r in records if r.get("kind") == "evaluated"]
    found = []
    for step, path in run.checkpoints():
        try:
            header, saved_at = checkpoint.read_header(path), path.stat().st_mtime
        except (CheckpointError, OSError):
            continue
        seconds = float(header.get("train_seconds", math.nan))
        found.append(m.CheckpointInfo(step, saved_at, seconds, *_quality(evaluated, step)))
    return tuple(found)


def _quality(evaluated: list[dict[str, Any]], step: int) -> tuple[float | None, int | None]:
    """Return (PSNR, its step) of the last evaluation that a checkpoint had behind it."""
    before = [r for r in evaluated if isinstance(r.get("step"), int) and r["step"] <= step and "psnr" in r]
    if not before:
        return None, None
    last = max(before, key=lambda record: record["step"])
    return float(last["psnr"]), last["step"]
