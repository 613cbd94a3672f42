# SPDX-License-Identifier: MIT
"""A run folder: what was trained on what, its last checkpoints, its numbers.

    runs/lego-svraster-2026-01-31/
        run.json                            scene, loader options, method, options, seed
        config.json                         the same with the options as they stand now, for `train --config`
        checkpoints/step-0001234.safetensors   the last three
        metrics.jsonl                       one JSON object a line

The folder appears when training first starts in it, and is never taken over from another run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine import checkpoint
from engine.errors import CheckpointError

FORMAT_VERSION = 1
KEEP = 3  # checkpoints; the third is the way back from a step that spoiled the model
_STEP_NAME = re.compile(r"step-(\d+)\.safetensors$")


@dataclass(frozen=True)
class RunSpec:
    """Everything needed to make the same untrained model again. `scene` is an absolute path, "demo" or "city"."""

    scene: str
    method: str
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)  # of the scene reader
    values: dict[str, Any] = field(default_factory=dict)  # of the method, every one of them


@dataclass
class Resumed:
    """The newest readable checkpoint of a run, and the newer files that could not be read, with reasons."""

    path: Path
    tensors: dict[str, np.ndarray]
    header: dict[str, Any]
    skipped: list[tuple[Path, str]]


class RunFolder:
    """One run on the disk. Made by `new_run` or `open_run`; nothing is written before `begin`.

    With `root`, `path` is a name that was free below it: should another process have taken it by the time of `begin`, the
    run takes the next one.
    """

    def __init__(self, path: Path, spec: RunSpec, exists: bool, root: Path | None = None) -> None:
        self.path = path
        self.spec = spec
        self.exists = exists
        self._root = root

    def begin(self) -> None:
        """Create the folder and `run.json` of a new run. Refuses a chosen folder that another run took meanwhile."""
        if self.exists:
            return
        try:
            self._claim()
        except OSError as error:
            raise CheckpointError(
                f"Cannot create {self.path}: {error.strerror}. Choose another folder."
            ) from error
        record = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self.spec)}
        record["created"] = datetime.datetime.now().isoformat(timespec="seconds")
        checkpoint.write_text(self.path / "run.json", json.dumps(record, indent=2) + "\n")
        self.exists = True
        self.write_config(self.spec.values)

    def write_config(self, values: dict[str, Any]) -> None:
        """Write `config.json`, which `--config` takes: the scene, how it is read, and the method's options as they stand."""
        spec = self.spec
        record: dict[str, Any] = {
            "scene": spec.scene,
            "method": spec.method,
            "seed": spec.seed,
            **spec.options,
        }
        for name, value in values.items():
            group, _, option = name.rpartition(".")
            (record.setdefault(group, {}) if group else record)[option] = value
        checkpoint.write_text(self.path / "config.json", json.dumps(record, indent=2) + "\n")

    def moved_to(self, spec: RunSpec) -> RunFolder:
        """Return a run of another model that will live in this folder, where nothing was written yet."""
        return RunFolder(self.path, spec, exists=False, root=self._root)

    def _claim(self) -> None:
        """Make the folders. Of two processes that want one, only one can make `checkpoints`; the other moves on."""
        while self._root is not None:
            try:
                (self.path / "checkpoints").mkdir(parents=True)
                return
            except FileExistsError:
                self.path = free_folder(self._root, self.spec)
        if is_run(self.path):
            raise CheckpointError(f"{self.path} already holds a run; resume it or choose another folder.")
        (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)

    def values_now(self) -> dict[str, Any]:
        """Return the method's options as they stood at the last save, those of the beginning if that is not known."""
        try:
            record = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return dict(self.spec.values)
        flat = {
            **record,
            **{f"{g}.{name}": v for g, d in record.items() if isinstance(d, dict) for name, v in d.items()},
        }
        return {name: flat.get(name, value) for name, value in self.spec.values.items()}

    def checkpoints(self) -> list[tuple[int, Path]]:
        """Return (step, file), newest first."""
        found = []
        for path in (self.path / "checkpoints").glob("step-*.safetensors"):
            if match := _STEP_NAME.search(path.name):
                found.append((int(match.group(1)), path))
        return sorted(found, reverse=True)

    def save(self, step: int, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> Path:
        """Write a checkpoint, then drop all but the newest `KEEP` and what a killed process left half written."""
        self.begin()
        path = self.path / "checkpoints" / f"step-{step:07d}.safetensors"
        checkpoint.save(path, tensors, header)
        stale = [p for _, p in self.checkpoints()[KEEP:]]
        stale += self.half_written()
        for old in stale:
            with contextlib.suppress(OSError):  # what cannot be deleted now is deleted after the next save
                old.unlink()
        return path

    def half_written(self) -> list[Path]:
        """Return what a process left that was killed while it saved."""
        return [
            path for pattern in checkpoint.UNFINISHED for path in (self.path / "checkpoints").glob(pattern)
        ]

    def newest(self) -> Resumed | None:
        """Return the newest checkpoint that can be read, None if there is none at all.

        Raises CheckpointError when there are some and none can be read.
        """
        skipped: list[tuple[Path, str]] = []
        for _, path in self.checkpoints():
            try:
                tensors, header = checkpoint.load(path)
            except CheckpointError as error:
                skipped.append((path, str(error)))
                continue
            return Resumed(path, tensors, header, skipped)
        if skipped:
            raise CheckpointError(f"No checkpoint in {self.path} can be read. The newest: {skipped[0][1]}")
        return None

    def at_step(self, step: int) -> Resumed:
        """Return the checkpoint of a step. Raises CheckpointError if it is gone or cannot be read."""
        path = next((path for found, path in self.checkpoints() if found == step), None)
        if path is None:
            raise CheckpointError(
                f"{self.path} holds no checkpoint of step {step:,} any more; only the newest {KEEP} are kept. Choose another."
            )
        return Resumed(path, *checkpoint.load(path), [])

    def continue_from(self, step: int) -> None:
        """Forget what lies after `step`: numbers are cut off, newer checkpoints (unreadable) are renamed."""
        for newer, path in self.checkpoints():
            if newer > step:
                path.replace(path.with_name(f"{path.name}.unreadable"))
        text = self._metrics_text()
        kept = "".join(json.dumps(r) + "\n" for r in _records(text) if r.get("step", 0) <= step)
        if kept != text:  # also where a kill cut the last line short: the next one must not be appended to it
            checkpoint.write_text(self.path / "metrics.jsonl", kept)

    def log(self, record: dict[str, Any]) -> None:
        """Append one record to `metrics.jsonl`."""
        self.begin()
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Return the records of `metrics.jsonl`; a line cut short by a kill is left out."""
        return _records(self._metrics_text())

    def _metrics_text(self) -> str:
        try:
            return (self.path / "metrics.jsonl").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def _records(text: str) -> list[dict[str, Any]]:
    """Return the JSON objects of a text, one a line; other lines are left out."""
    records = []
    for line in text.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            record = json.loads(line)
            if isinstance(record, dict):
                records.append(record)
    return records


def is_run(path: Path) -> bool:
    """Say whether a folder holds a run."""
    return (path / "run.json").is_file()


def new_run(spec: RunSpec, root: Path, out: Path | None = None) -> RunFolder:
    """Return a run that will live in `out`, or in a free `<scene>-<method>-<date>[-n]` below `root`."""
    if out is None:
        return RunFolder(free_folder(root, spec), spec, exists=False, root=root)
    if is_run(out):
        raise CheckpointError(f"{out} already holds a run; resume it or choose another folder.")
    return RunFolder(out, spec, exists=False)


def folder_of(path: Path) -> Path:
    """Return the run folder that a path means: the folder itself, or that of its newest checkpoint file."""
    if not _STEP_NAME.search(path.name):
        if path.is_file():
            raise CheckpointError(
                f"{path} is no checkpoint of nerfviewer. Give a run folder, or a file of its folder checkpoints."
            )
        return path
    folder = path.parent.parent
    newest = next((file for _, file in open_run(folder).checkpoints()), None)
    if newest is None or newest.resolve() != path.resolve():
        raise CheckpointError(
            f"{path} is not the newest checkpoint of {folder}, from which a run goes on. Give the run folder, or move the "
            "newer checkpoints away."
        )
    return folder


def open_run(path: str | Path) -> RunFolder:
    """Return a run that exists."""
    path = Path(path)
    if not is_run(path):
        raise CheckpointError(
            f"{path} is not a run folder: it has no run.json. Give the folder that `train` printed."
        )
    try:
        record = json.loads((path / "run.json").read_text(encoding="utf-8"))
        version = record["format_version"]
        if version > FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format {version}, newer than this nerfviewer reads. Update nerfviewer."
            )
        names = [f.name for f in dataclasses.fields(RunSpec)]
        return RunFolder(path, RunSpec(**{name: record[name] for name in names}), exists=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"Cannot read {path / 'run.json'}: {error}. Restore the file or train again."
        ) from error


def newest_run(root: Path, scene: str, method: str) -> Path | None:
    """Return the run of a scene and method that was written to last, None if there is none."""
    found = []
    for file in root.glob("*/run.json"):
        with contextlib.suppress(CheckpointError):
            run = open_run(file.parent)
            if (run.spec.scene, run.spec.method) == (scene, method):
                files = (file, *(path for _, path in run.checkpoints()))
                found.append((max(map(_touched, files)), file.parent))
    return max(found)[1] if found else None


def _touched(file: Path) -> float:
    """Return when a file was written, 0 if it is gone: a process that trains drops its old checkpoints."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def free_folder(root: Path, spec: RunSpec, today: datetime.date | None = None) -> Path:
    """Return a path below `root` that nothing occupies, named after scene, method and day."""
    scene = re.sub(r"[^\w.-]+", "_", Path(spec.scene).name or "scene")
    stem = f"{scene}-{spec.method}-{(today or datetime.date.today()).isoformat()}"
    path, n = root / stem, 1
    while path.exists():
        n += 1
        path = root / f"{stem}-{n}"
    return path
