# SPDX-License-Identifier: MIT
"""One picture of a view, rendered by the worker at any size and saved as a PNG that holds the view."""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.view.view_record import ViewRecord
from engine.cameras import Camera
from engine.errors import UserError, cause_chain
from engine.files import whole_file
from engine.messages import Began, CancelJob, Command, RenderJob, StartJob
from engine.shots import Shot

POLL_S = 0.2


def save_png(file: Path, rgb: np.ndarray, record: ViewRecord) -> None:
    """Write a picture [H,W,3] uint8 with the view that it shows; the file appears whole or not at all."""
    from PIL import Image

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as temporary:
            Image.fromarray(rgb).save(temporary, format="PNG", pnginfo=record.png_text())
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"Cannot save {file}: {reason}. Choose another place or make room there.") from error


class Still:
    """A picture on its way. `start` it; `told(text, failed)` is called once from its thread, unless it is cancelled."""

    def __init__(
        self,
        file: Path,
        camera: Camera,
        record: ViewRecord,
        send: Callable[[Command], None],
        told: Callable[[str, bool], None],
        **look: Any,
    ) -> None:
        job_id = uuid.uuid4().hex[:8]
        self._job = RenderJob(job_id, (Shot.of(camera),), live=True, share=1.0, **look)
        self.file, self._record, self._send, self._told = file, record, send, told
        self._thread = threading.Thread(target=self._run, name=f"still {file.name}", daemon=True)

    def start(self) -> None:
        """Ask the worker for it."""
        self._thread.start()
        self._send(StartJob(self._job))

    def cancel(self) -> None:
        """Forget about it."""
        self._job.cancelled.set()
        self._send(CancelJob(self._job.job_id))

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it was told; return whether it came within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for item in iter(self._next, None):
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, Began):
                    self._record = replace(self._record, method=item.method, step=item.step)
                else:
                    save_png(self.file, item[1].rgb, self._record)
                    self._told(f"saved {self.file}", False)
        except Exception as error:  # a thread that dies unheard would leave a promise
            text = str(error) if isinstance(error, UserError) else " / ".join(cause_chain(error))
            self._told(f"{self.file.name} could not be made: {text}", True)

    def _next(self) -> Any:
        while not self._job.cancelled.is_set():
            try:
                return self._job.frames.get(timeout=POLL_S)
            except queue.Empty:
                continue
        return None


def full_size(camera: Camera, width: int, height: int) -> Camera:
    """Return the view at the largest size of its own shape within width x height."""
    return camera.scaled(min(width / camera.width, height / camera.height))
