# SPDX-License-Identifier: MIT
"""The export panel: a video round the scene, made while training goes on, and what became of earlier ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import dearpygui.dearpygui as dpg

from app import commands
from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from app.view.presets import PRESETS
from engine.messages import Event, JobEnded, JobProgress

KINDS = tuple(PRESETS)
SIZES = {
    "640 x 360": (640, 360),
    "960 x 540": (960, 540),
    "1280 x 720": (1280, 720),
    "1920 x 1080": (1920, 1080),
}
FLOATS = {
    "radius": (
        "Radius",
        0.05,
        100.0,
        "Distance from the axis, in scene cubes; the photos' own distance at first.",
    ),
    "height": ("Height", -100.0, 100.0, "Height above the middle of the scene, in scene cubes."),
    "turns": ("Turns", 0.1, 20.0, "Times the camera goes round, in a spiral or an orbit."),
}
INTEGERS = {
    "frames": ("Frames", 2, 100_000, "Pictures in the video."),
    "fps": ("Frames / s", 1, 120, "Speed at which the video plays."),
}
OUTCOME_COLOUR = {"finished": "good", "cancelled": "warn", "failed": "bad"}


class ExportPanel(BasePanel):
    """Settings of the next video, one button, and the list of jobs."""

    id, title = "export", "Export"

    def __init__(self) -> None:
        super().__init__()
        self._jobs: list[str] = []  # job ids, oldest first; their widgets are named by place

    def layout(self) -> None:
        """The form, the button, the jobs."""
        with self.form(0.38):
            with self.field("Path", "kind"):
                dpg.add_combo(KINDS, tag=self.tag("kind"), width=-1, callback=self._take("kind"))
            for name, (label, low, high, tip) in FLOATS.items():
                with self.field(label, name, tip):
                    dpg.add_input_float(
                        tag=self.tag(name), min_value=low, max_value=high, min_clamped=True, max_clamped=True,
                        step=0, format="%.3g", width=-1, callback=self._take(name),
                    )  # fmt: skip
            for name, (label, low, high, tip) in INTEGERS.items():
                with self.field(label, name, tip):
                    dpg.add_input_int(
                        tag=self.tag(name), min_value=low, max_value=high, min_clamped=True, max_clamped=True,
                        step=0, width=-1, callback=self._take(name),
                    )  # fmt: skip
            with self.field("Size", "size"):
                dpg.add_combo(tuple(SIZES), tag=self.tag("size"), width=-1, callback=self._take_size)
            with self.field("File", "file", "Empty: named after the path, in the run folder."):
                dpg.add_input_text(
                    tag=self.tag("file"), hint="automatic", width=-1, callback=self._take("file")
                )
        dpg.add_button(label="Export video", tag=self.tag("start"), width=-1, callback=self._start)
        dpg.add_text("", tag=self.tag("note"), color=COLOURS["quiet"], wrap=0)
        dpg.add_group(tag=self.tag("jobs"))

    def on_event(self, event: Event) -> None:
        """Follow the jobs."""
        if isinstance(event, JobProgress):
            place = self._place(event.job_id)
            self.put(f"job{place}", event.done / event.total if event.total else 0.0)
            left = f", {formats.duration(event.eta_s)} left" if event.eta_s is not None else ""
            progress = f"{formats.count(event.done)} of {formats.count(event.total)} frames{left}"
            self.configure(f"job{place}", overlay=progress)
        elif isinstance(event, JobEnded):
            place = self._place(event.job_id)
            self.configure(f"job{place}", show=False)
            self.configure(f"job{place}-cancel", show=False)
            colour = OUTCOME_COLOUR.get(event.outcome, "text")
            self.configure(f"job{place}-outcome", show=True)
            self.put(f"job{place}-outcome", f"{event.outcome.capitalize()}: {event.detail}", colour)

    def refresh(self, session: Session) -> None:
        """Show the settings; the menu and a new scene change them too."""
        settings = session.export
        for name in ("kind", *FLOATS, *INTEGERS, "file"):
            self.put(name, getattr(settings, name))
        self.put("size", f"{settings.width} x {settings.height_px}")
        seconds = formats.duration(settings.frames / max(settings.fps, 1))
        self.put("note", f"{seconds} of video. Training goes on meanwhile.")
        self.allow(
            "start", commands.with_scene(session), "Render the path beside training and write it to a file."
        )

    def _place(self, job_id: str) -> int:
        """Return the place of a job in the list, making its widgets the first time it is heard of."""
        if job_id not in self._jobs:
            place = len(self._jobs)
            self._jobs.append(job_id)
            with dpg.group(parent=self.tag("jobs")):
                dpg.add_text(f"Video {place + 1}", color=COLOURS["quiet"])
                with dpg.group(horizontal=True):
                    cancel = lambda: self.context.do("cancel_export", job_id)  # noqa: E731
                    dpg.add_button(label="Cancel", tag=self.tag(f"job{place}-cancel"), callback=cancel)
                    dpg.add_progress_bar(tag=self.tag(f"job{place}"), width=-1)
                dpg.add_text("", tag=self.tag(f"job{place}-outcome"), wrap=0, show=False)
            self.explain(f"job{place}-cancel", "Stop this export; the file is not kept.")
        return self._jobs.index(job_id)

    def _take(self, name: str) -> Any:
        return lambda: setattr(self.context.session.export, name, dpg.get_value(self.tag(name)))

    def _take_size(self) -> None:
        settings = self.context.session.export
        settings.width, settings.height_px = SIZES[dpg.get_value(self.tag("size"))]

    def _start(self) -> None:
        self.context.do("export_video", asdict(self.context.session.export))
