# SPDX-License-Identifier: MIT
"""The window that makes a scene of plain photos or a video: it asks, shows how far the import is, and opens the scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from app.gui import formats, theme
from app.jobs.importing import ImportOutcome, ImportProgress, ImportRun
from engine.datasets.recognise import recognise
from engine.errors import UserError
from engine.options import build, describe
from engine.sfm.colmap import require_pycolmap
from engine.sfm.options import ImportJob, ImportOptions, usable_cores
from engine.sfm.state import source_of

WIDTH = 520
_ASKED = (
    "quality",
    "camera",
    "frames",
)  # options; the others keep their defaults, or the command line sets them
_CHOICES = {
    "quality": {"low": "Low, fast", "medium": "Medium", "high": "High, slow"},
    "camera": {
        "auto": "Those alike share one",
        "shared": "All photos share one",
        "folder": "One per folder",
        "photo": "One per photo",
    },
}
_LABELS = {"quality": "Quality", "camera": "Lens", "frames": "Frames"}


class ImportDialog:
    """At most one import at a time. `opened(scene folder)` is called when one is finished."""

    def __init__(
        self,
        look: theme.Theme,
        size: Callable[[], tuple[int, int]],
        opened: Callable[[str], None],
        say: Callable[[str], None],
        make_run: Callable[[ImportJob], ImportRun] = ImportRun,
    ) -> None:
        self._look, self._size, self._opened, self._say, self._make_run = look, size, opened, say, make_run
        self._window: int | str = 0
        self._run: ImportRun | None = None
        self._heard = 0
        self._shown: object = None

    @property
    def blocking(self) -> bool:
        """Whether the keyboard belongs to the form."""
        return self._run is None and bool(self._window) and dpg.does_item_exist(self._window)

    @property
    def running(self) -> bool:
        """Whether an import is under way."""
        return self._run is not None and self._run.outcome is None

    def dismiss(self) -> bool:
        """Close the form without an import, as Escape does; return whether it was open."""
        blocking = self.blocking
        if blocking:
            self._close()
        return blocking

    def ask(self, source: str = "") -> None:
        """Show the form for a folder of photos or a video; while an import runs, its progress instead."""
        if self.running:
            dpg.focus_item(self._window)
            return
        self._run = None
        self._open("Make a scene of photos or a video")
        self._form(source)
        self._source_changed()

    def refresh(self) -> bool:
        """Bring the progress up to date; return whether anything changed. Called from the window's loop."""
        run = self._run
        if run is None:
            return False
        for text in run.said[self._heard :]:
            self._heard += 1
            self._say(text)
        now = (run.progress, run.outcome)
        if now == self._shown:
            return False
        self._shown = now
        if run.outcome is None:
            self._show_progress(run.progress)
        else:
            self._ended(run, run.outcome)
        return True

    def stop(self, timeout_s: float = 3.0) -> None:
        """End what runs; what it has finished is kept."""
        if self.running:
            self._run.cancel()
            self._run.wait(timeout_s)

    # --- the form ---------------------------------------------------------------------------------------------

    def _open(self, title: str) -> None:
        self._close()
        px, (width, height) = self._look.sizes.px, self._size()
        wide = min(px(WIDTH), width - px(40))
        self._window = dpg.add_window(
            label=title, width=wide, pos=[(width - wide) // 2, height // 5], no_collapse=True, no_resize=True,
            autosize=True, min_size=[wide, 1], on_close=lambda: self._close(),
        )  # fmt: skip
        dpg.bind_item_theme(self._window, self._look.floating)

    def _form(self, source: str) -> None:
        px, window = self._look.sizes.px, self._window
        with dpg.table(header_row=False, parent=window, policy=dpg.mvTable_SizingStretchProp):
            dpg.add_table_column(init_width_or_weight=0.2)
            dpg.add_table_column(init_width_or_weight=0.8)
            self._place("Source", "source", source, "A folder of photos, or a video.", self._source_changed)
            self._place("Scene folder", "scene", "", "A new folder that becomes the scene.", self._check)
            for info in describe(ImportOptions):
                if info.name in _ASKED:
                    with dpg.table_row(tag=self._tag(f"{info.name} row")):
                        dpg.add_text(_LABELS[info.name], color=theme.MUTED)
                        theme.explain(self._field(info.name, info.default), info.help)
        self._note = dpg.add_text("", parent=window, wrap=px(WIDTH - 40), color=theme.MUTED)
        dpg.add_spacer(height=px(4), parent=window)
        with dpg.group(horizontal=True, parent=window):
            self._go = dpg.add_button(label="Import", width=px(120), callback=self._start)
            dpg.bind_item_theme(self._go, self._look.primary)
            dpg.add_button(label="Cancel", width=px(100), callback=self._close)

    def _place(self, label: str, name: str, value: str, tip: str, changed: Callable[[], None]) -> None:
        with dpg.table_row():
            dpg.add_text(label, color=theme.MUTED)
            field = dpg.add_input_text(
                tag=self._tag(name), default_value=value, width=-1, callback=lambda: changed()
            )
            theme.explain(field, tip)

    def _field(self, name: str, default: Any) -> int | str:
        if name in _CHOICES:
            items = list(_CHOICES[name].values())
            return dpg.add_combo(items, tag=self._tag(name), default_value=_CHOICES[name][default], width=-1)
        return dpg.add_input_int(
            tag=self._tag(name), default_value=default, min_value=3, max_value=5000, min_clamped=True,
            max_clamped=True, step=0, width=-1,
        )  # fmt: skip

    def _source_changed(self) -> None:
        source = Path(dpg.get_value(self._tag("source"))).expanduser()
        if dpg.get_value(self._tag("source")):
            dpg.set_value(self._tag("scene"), str(scene_folder(source)))
        self._check()

    def _check(self) -> None:
        """Say what the source is; the button works where an import can begin."""
        text, ready = self._remark()
        is_video = recognise(dpg.get_value(self._tag("source")) or ".").kind == "video"
        dpg.configure_item(self._tag("frames row"), show=is_video)
        dpg.set_value(self._note, text)
        dpg.configure_item(self._go, enabled=ready)

    def _remark(self) -> tuple[str, bool]:
        try:
            require_pycolmap()
        except UserError as error:
            return str(error), False
        source, scene = (dpg.get_value(self._tag(name)) for name in ("source", "scene"))
        if not source:
            return "Name a folder of photos or a video, or drop one on the window.", False
        found = recognise(source)
        if not scene:
            return "Name a folder for the scene.", False
        if source_of(Path(scene).expanduser()) == str(Path(source).expanduser().resolve()):
            return f"{found.sentence} An earlier import goes on where it stopped.", True
        ready = found.kind in ("photos", "video") or Path(source).expanduser().is_dir()
        return found.sentence, ready

    def _start(self) -> None:
        values = {name: dpg.get_value(self._tag(name)) for name in ("source", "scene", *_ASKED)}
        for name, choices in _CHOICES.items():
            values[name] = next(key for key, label in choices.items() if label == values[name])
        source, scene = (str(Path(values.pop(name)).expanduser().resolve()) for name in ("source", "scene"))
        self._run = self._make_run(ImportJob(source, scene, build(ImportOptions, values), usable_cores()))
        self._heard, self._shown = 0, None
        self._open(f"Importing {Path(source).name}")
        self._stage = dpg.add_text("Starting", parent=self._window)
        self._bar = dpg.add_progress_bar(parent=self._window, width=-1, height=self._look.sizes.px(8))
        self._detail = dpg.add_text("One moment", parent=self._window, color=theme.MUTED)
        dpg.add_button(label="Stop", parent=self._window, width=self._look.sizes.px(100), callback=self._stop)
        dpg.configure_item(self._window, no_close=True)
        self._run.start()

    # --- progress and end -------------------------------------------------------------------------------------

    def _show_progress(self, now: ImportProgress | None) -> None:
        if now is None:
            return
        dpg.set_value(self._stage, now.stage.capitalize())
        dpg.set_value(self._bar, now.done / now.total if now.total else 0.0)
        counted = f"{formats.count(now.done)} of {formats.count(now.total)}" if now.total else "One moment"
        left = "" if now.eta_s is None else f", {formats.duration(now.eta_s)} left"
        dpg.set_value(self._detail, counted + left)

    def _ended(self, run: ImportRun, outcome: ImportOutcome) -> None:
        self._say(outcome.text)
        if outcome.kind == "cancelled":
            self._close()
            return
        if outcome.kind == "finished":
            self._opened(run.job.scene)
            if not (outcome.report.unplaced or outcome.report.left_out):
                self._close()
                return
        finished = outcome.kind == "finished"
        self._open("The scene is made" if finished else "The import failed")
        px = self._look.sizes.px
        for line in outcome.report.lines() if finished else [outcome.text]:
            dpg.add_text(line, parent=self._window, wrap=px(WIDTH - 40))
        dpg.add_spacer(height=px(4), parent=self._window)
        with dpg.group(horizontal=True, parent=self._window):
            close = dpg.add_button(label="Close", width=px(100), callback=self._close)
            dpg.bind_item_theme(close, self._look.primary)
            if not finished:
                source = run.job.source
                dpg.add_button(label="Try again", width=px(100), callback=lambda: self.ask(source))

    def _stop(self) -> None:
        self._run.cancel()

    def _close(self) -> None:
        if self._window and dpg.does_item_exist(self._window):
            dpg.delete_item(self._window)
        self._window = 0

    def _tag(self, name: str) -> str:
        return f"import/{name}"


def scene_folder(source: Path) -> Path:
    """Return a folder for the scene of a source: beside it, new, or with an earlier import of the same source."""
    source = source.resolve()
    stem = source.stem if source.is_file() else source.name
    place, n = source.with_name(f"{stem}-scene"), 1
    while place.exists() and source_of(place) != str(source):
        n += 1
        place = source.with_name(f"{stem}-scene-{n}")
    return place
