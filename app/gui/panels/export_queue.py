# SPDX-License-Identifier: MIT
"""The exports under way and those that are over, as part of the export panel, with the latest picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg
import numpy as np

from app.gui import formats
from app.session import JobRow, Session

if TYPE_CHECKING:
    from app.gui.panels.base import BasePanel

OVER = {"finished": "good", "cancelled": "warn", "failed": "bad"}
PICTURE_PX = (240, 135)  # what the latest picture is fitted into
_BACK = 0.08  # grey around it


class ExportQueue:
    """Rows of widgets, made when a job first needs one and used again; row n shows the n-th job."""

    def __init__(self, panel: BasePanel) -> None:
        self._panel = panel
        self._ids: list[str] = []  # of the jobs in the rows
        self._made = 0
        self._shown: tuple[str, int] = ("", 0)  # which picture of which job
        # A raw texture reads this array whenever it is drawn, so it has to stay where it is.
        self._pixels = np.zeros((PICTURE_PX[1], PICTURE_PX[0], 4), np.float32)

    def layout(self) -> None:
        """The place of the picture, of the rows, and what tidies up."""
        panel = self._panel
        width, height = PICTURE_PX
        with dpg.texture_registry():
            self._texture = dpg.add_raw_texture(width, height, self._pixels, format=dpg.mvFormat_Float_rgba)
        dpg.add_group(tag=panel.tag("jobs"))
        dpg.add_button(
            label="Clear finished", tag=panel.tag("clear"), width=-1, show=False,
            callback=lambda: panel.context.do("export.clear", None),
        )  # fmt: skip
        panel.explain("clear", "Take what is over out of this list; the files stay.")

    def refresh(self, session: Session) -> None:
        """Show the jobs, in the order in which they are rendered."""
        rows = list(session.jobs)
        self._ids = [row.job_id for row in rows]
        while self._made < len(rows):
            self._make(self._made)
            self._made += 1
        waiting = [n for n, row in enumerate(rows) if row.state == "waiting"]
        for n in range(self._made):
            self._panel.configure(f"job{n}-group", show=n < len(rows))
            if n < len(rows):
                self._show(n, rows[n], waiting)
        self._panel.configure("clear", show=any(row.state in OVER for row in rows))
        self._show_picture(rows)

    def _make(self, n: int) -> None:
        panel, do = self._panel, lambda action: lambda: panel.context.do(action, self._ids[n])
        with dpg.group(parent=panel.tag("jobs"), tag=panel.tag(f"job{n}-group")):
            dpg.add_spacer(height=panel.px(2))
            dpg.add_text("", tag=panel.tag(f"job{n}-title"), wrap=0)
            dpg.add_image(self._texture, tag=panel.tag(f"job{n}-picture"), show=False)
            dpg.add_progress_bar(tag=panel.tag(f"job{n}"), width=-1)
            dpg.add_text("", tag=panel.tag(f"job{n}-outcome"), wrap=0, show=False)
            with dpg.group(horizontal=True):
                dpg.add_button(label="Cancel", tag=panel.tag(f"job{n}-cancel"), callback=do("export.cancel"))
                dpg.add_button(label="Earlier", tag=panel.tag(f"job{n}-sooner"), callback=do("export.sooner"))
                dpg.add_button(label="Later", tag=panel.tag(f"job{n}-later"), callback=do("export.later"))
                dpg.add_button(label="Open folder", tag=panel.tag(f"job{n}-folder"), callback=self._opener(n))
        panel.explain(f"job{n}-sooner", "Render this export before the one above it.")
        panel.explain(f"job{n}-later", "Render this export after the one below it.")
        panel.explain(f"job{n}-folder", "Show where the file is.")
        panel.configure(f"job{n}-picture", width=panel.px(PICTURE_PX[0]), height=panel.px(PICTURE_PX[1]))

    def _opener(self, n: int) -> Callable[[], None]:
        def show() -> None:
            context, job_id = self._panel.context, self._ids[n]
            for row in context.session.jobs:  # it may have left the list since this row was drawn
                if row.job_id == job_id:
                    context.do("export.open_folder", row.path)

        return show

    def _show(self, n: int, row: JobRow, waiting: list[int]) -> None:
        panel, over, lapse = self._panel, row.state in OVER, row.total == 0
        copied = f", copy of {formats.size(row.bytes)}" if row.bytes else ""
        panel.put(f"job{n}-title", f"{row.title}: {Path(row.path).name}{copied}")
        panel.configure(f"job{n}", show=not over)
        panel.configure(f"job{n}-outcome", show=over)
        if over:
            panel.put(f"job{n}-outcome", _outcome(row), OVER[row.state])
        else:
            panel.put(f"job{n}", row.done / row.total if row.total else 0.0)
            panel.configure(f"job{n}", overlay=_progress(row))
            stop = "Stop and finish the file." if lapse else "Stop this export; what it has so far is kept."
            panel.configure(f"job{n}-cancel", label="Stop" if lapse else "Cancel")
            panel.explain(f"job{n}-cancel", stop)
        panel.configure(f"job{n}-cancel", show=not over)
        movable = n in waiting and not lapse
        panel.configure(f"job{n}-sooner", show=movable and n != waiting[0])
        panel.configure(f"job{n}-later", show=movable and n != waiting[-1])
        panel.configure(f"job{n}-folder", show=over and row.state != "failed")

    def _show_picture(self, rows: list[JobRow]) -> None:
        """Put the latest picture of the job that renders under its title, where it is another one."""
        at = next((n for n, row in enumerate(rows) if row.state == "rendering" and row.serial), None)
        for n in range(self._made):
            self._panel.configure(f"job{n}-picture", show=n == at)
        if at is not None and (rows[at].job_id, rows[at].serial) != self._shown:
            picture = rows[at].picture
            if picture is not None:  # else its job, in a thread of its own, ended just now
                self._shown = rows[at].job_id, rows[at].serial
                self._pixels[:] = fitted(picture, *PICTURE_PX)


def fitted(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a picture [h,w,3] uint8 in the middle of [height,width,4] float32, whole."""
    zoom = min(width / rgb.shape[1], height / rgb.shape[0])
    w, h = max(1, int(zoom * rgb.shape[1])), max(1, int(zoom * rgb.shape[0]))
    y = ((np.arange(h) + 0.5) * rgb.shape[0] / h).astype(int)
    x = ((np.arange(w) + 0.5) * rgb.shape[1] / w).astype(int)
    out = np.full((height, width, 4), _BACK, np.float32)
    out[..., 3] = 1.0
    top, left = (height - h) // 2, (width - w) // 2
    out[top : top + h, left : left + w, :3] = rgb[y[:, None], x] * np.float32(1.0 / 255.0)
    return out


def _progress(row: JobRow) -> str:
    if row.state == "waiting":
        return "waiting"
    if row.total == 0:
        return f"{formats.count(row.done)} picture{'s' if row.done != 1 else ''}"
    left = f", {formats.duration(row.eta_s)} left" if row.eta_s is not None else ""
    return f"{formats.count(row.done)} of {formats.count(row.total)} frames{left}"


def _outcome(row: JobRow) -> str:
    if row.state == "finished":
        return f"Finished, {formats.count(row.done)} picture{'s' if row.done != 1 else ''}."
    return row.detail
