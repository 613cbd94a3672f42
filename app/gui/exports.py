# SPDX-License-Identifier: MIT
"""The export jobs of a window: begun with the settings of the export panel, put in order, ended, told in the session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from app.jobs.orders import FORMATS, ExportOrder, order_of
from app.jobs.video import ExportJob, start_export
from app.session import ExportSettings, JobRow, Session
from engine.errors import UserError
from engine.export import resume
from engine.files import free_path
from engine.messages import Command, Event, OrderJobs

OVER = ("finished", "cancelled", "failed")
KEPT_OVER = 12  # exports that are over and still listed


class Exports:
    """The jobs, in the order in which they are rendered. `emit` may be called from any thread."""

    def __init__(
        self, session: Session, send: Callable[[Command], None], emit: Callable[[Event], None]
    ) -> None:
        self._session, self._send, self._emit = session, send, emit
        self._jobs: dict[str, ExportJob] = {}
        self._lock = threading.Lock()

    def start(self, settings: ExportSettings, anew: bool = False) -> Path:
        """Begin an export; return where it goes. Raises UserError if the settings will not do."""
        session = self._session
        if session.scene is None:
            raise UserError("Cannot export a video before a scene is open. Open one first.")
        path = Path(settings.file).expanduser() if settings.file else None
        if path is not None and not path.suffix and FORMATS[settings.format]:
            path = path.with_suffix(FORMATS[settings.format])
        order = order_of(settings, session, path or Path(settings.kind), anew)
        if path is None:
            order = replace(order, path=self._free_path(settings.kind, FORMATS[settings.format], order))
        return self.begin(order)

    def begin(self, order: ExportOrder) -> Path:
        """Begin what an order describes; return where it goes."""
        if order.path.absolute() in self._under_way():
            raise UserError(
                f"{order.path} is being written just now; choose another name or wait for its end."
            )
        job = start_export(order, self._send, self._emit)
        with self._lock:
            self._jobs[job.job_id] = job
        self._session.jobs.append(job.row)
        self._forget_old()
        return job.path

    def cancel(self, job_id: str) -> None:
        """Stop a job; what it has is kept. An unknown one is over already."""
        with self._lock:
            job = self._jobs.get(job_id)
        if job is not None:
            job.cancel()

    def move(self, job_id: str, places: int) -> None:
        """Let a waiting job be rendered earlier (places < 0) or later."""
        rows = self._session.jobs
        waiting = [row for row in rows if row.state == "waiting"]
        at = next((n for n, row in enumerate(waiting) if row.job_id == job_id), None)
        if at is None or not 0 <= at + places < len(waiting):
            return
        waiting.insert(at + places, waiting.pop(at))
        order = iter(waiting)
        self._session.jobs[:] = [next(order) if row.state == "waiting" else row for row in rows]
        self._send(OrderJobs(tuple(row.job_id for row in self._session.jobs if row.state not in OVER)))

    def clear(self) -> None:
        """Forget the jobs that are over; their files stay."""
        self._session.jobs[:] = [row for row in self._session.jobs if row.state not in OVER]

    def _forget_old(self) -> None:
        """Keep the list short: of the exports that are over, the newest stay."""
        over = [row.job_id for row in self._session.jobs if row.state in OVER]
        old = set(over[:-KEPT_OVER])
        self._session.jobs[:] = [row for row in self._session.jobs if row.job_id not in old]

    def stop_all(self, timeout_s: float = 3.0) -> None:
        """Cancel what still runs and wait a little, so that what is there is whole."""
        with self._lock:
            jobs = [job for job in self._jobs.values() if job.outcome is None]
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.wait(timeout_s)

    def rows(self) -> list[JobRow]:
        """Return the jobs as people are shown them."""
        return self._session.jobs

    def free_name(self, stem: str, suffix: str, others: Collection[Path] = ()) -> Path:
        """Return a file or folder in the run folder that nobody has; `others` are taken as well."""
        taken = self._under_way() | {other.absolute() for other in others}
        return free_path(self._session.output_folder() / f"{stem}{suffix}", taken)

    def _under_way(self) -> set[Path]:
        """Return the places of the exports that still run; forget those that ended."""
        with self._lock:
            self._jobs = {job_id: job for job_id, job in self._jobs.items() if job.outcome is None}
            return {job.order.path.absolute() for job in self._jobs.values()}

    def _free_path(self, stem: str, suffix: str, order: ExportOrder) -> Path:
        """Return a free name; of pictures that were stopped and show the same, the folder where they are."""
        fresh = self.free_name(stem, suffix)
        if suffix or self._session.stats is None:
            return fresh
        step = resume.LIVE if order.live else self._session.stats.step
        wanted = resume.manifest_of(order.film, order.look(), order.scene, self._session.scene.method, step)
        for folder in sorted(fresh.parent.glob(f"{stem}*")):
            unfinished = len(resume.whole_pictures(folder, wanted.pictures)) < wanted.pictures
            if folder.is_dir() and unfinished and resume.manifest_in(folder) == wanted:
                return folder
        return fresh
