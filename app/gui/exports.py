# SPDX-License-Identifier: MIT
"""Starts and cancels videos from the window, with the settings of the export panel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.jobs.video import ExportJob, start_export
from app.session import ExportSettings, Session
from app.view import presets
from engine.errors import UserError
from engine.messages import Command, Event


class Exports:
    """The export jobs of one window. `emit` may be called from any thread."""

    def __init__(
        self, session: Session, send: Callable[[Command], None], emit: Callable[[Event], None]
    ) -> None:
        self._session, self._send, self._emit = session, send, emit
        self._jobs: dict[str, ExportJob] = {}
        self._lock = threading.Lock()

    def start(self, settings: ExportSettings) -> Path:
        """Begin a video; return where it goes. Raises UserError if the settings will not do."""
        scene = self._session.scene
        if scene is None:
            raise UserError("Cannot export a video before a scene is open. Open one first.")
        preset = presets.suggest([view.camera for view in scene.views], scene.up)
        preset = replace(
            preset,
            radius=settings.radius,
            height=settings.height,
            turns=settings.turns,
            frames=settings.frames,
        )
        cameras = presets.PRESETS[settings.kind](preset, settings.width, settings.height_px)
        path = Path(settings.file).expanduser() if settings.file else self._free_path(settings.kind)
        if path.absolute() in self._under_way():
            raise UserError(f"{path} is being written just now; choose another name or wait for its end.")
        job = start_export(path, cameras, settings.fps, self._send, self._emit)
        with self._lock:
            self._jobs[job.job_id] = job
        return job.path

    def start_with(self, values: dict[str, Any]) -> Path:
        """Begin a video with settings by name, as the export panel sends them."""
        return self.start(ExportSettings(**values))

    def cancel(self, job_id: str) -> None:
        """Stop a job; an unknown one is over already."""
        with self._lock:
            job = self._jobs.get(job_id)
        if job is not None:
            job.cancel()

    def stop_all(self, timeout_s: float = 3.0) -> None:
        """Cancel what still runs and wait a little, so that no half-written file is left."""
        with self._lock:
            jobs = [job for job in self._jobs.values() if job.outcome is None]
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.wait(timeout_s)

    def _under_way(self) -> set[Path]:
        """Return the places of the exports that still run; forget those that ended."""
        with self._lock:
            self._jobs = {job_id: job for job_id, job in self._jobs.items() if job.outcome is None}
            return {job.path.absolute() for job in self._jobs.values()}

    def _free_path(self, kind: str) -> Path:
        folder = self._session.output_folder()
        path, n, taken = folder / f"{kind}.mp4", 1, self._under_way()
        while path.exists() or path.absolute() in taken:
            n += 1
            path = folder / f"{kind}-{n}.mp4"
        return path
