# SPDX-License-Identifier: MIT
"""The window "Export scene": formats with their size and what they lose, options, a file, and how far the writing is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from app.exporting import loss_text
from app.gui import formats, theme
from app.gui.scene_export_form import (
    LABEL_SHARE,
    OptionsForm,
    bar_theme,
    outcome_text,
    row_theme,
)
from engine.export.formats import FORMATS, Format, find
from engine.files import free_path
from engine.messages import FormatEstimate, SceneExported, SceneExportProgress

WIDTH = 600
_MEASURING = "..."


class SceneExportDialog:
    """At most one. It says what was chosen through `export(format, path, options)`, `measure(options)` and `cancel()`."""

    def __init__(
        self,
        look: theme.Theme,
        size: Callable[[], tuple[int, int]],
        export: Callable[[str, str, dict[str, Any]], None],
        measure: Callable[[dict[str, Any]], None],
        cancel: Callable[[], None],
        browse: Callable[[str, str, Callable[[str], None]], None],
    ) -> None:
        self._look, self._size = look, size
        self._export, self._measure, self._cancel, self._browse = export, measure, cancel, browse
        self._window: int | str = 0
        self._rows, self._bar = row_theme(), bar_theme()
        self._chosen: Format = FORMATS[0]
        self._form = OptionsForm(self._changed)
        self._estimates: dict[str, FormatEstimate] = {}
        self._folder, self._stem, self._title = Path("."), "scene", ""

    @property
    def shown(self) -> bool:
        """Whether the window is there."""
        return bool(self._window) and dpg.does_item_exist(self._window)

    @property
    def suffix(self) -> str:
        """The suffix of the file that is asked for."""
        return dpg.get_value(_tag("suffix")) or self._chosen.suffixes[0]

    def ask(self, title: str, folder: Path, stem: str) -> None:
        """Show the form; files are proposed in a folder, named `stem`."""
        self.close()
        self._folder, self._stem, self._title, self._estimates = folder, stem, title, {}
        px, (width, height) = self._look.sizes.px, self._size()
        wide = min(px(WIDTH), width - px(40))
        self._window = window = dpg.add_window(
            label="Export scene", width=wide, pos=[(width - wide) // 2, max(px(40), height // 10)],
            no_collapse=True, no_resize=True, autosize=True, min_size=[wide, 1], on_close=lambda: self.close(),
        )  # fmt: skip
        dpg.bind_item_theme(window, self._look.floating)
        wrap = wide - px(30)
        dpg.add_text(title, tag=_tag("what"), parent=window, wrap=wrap, color=theme.MUTED)
        self._formats()
        dpg.add_text("", tag=_tag("about"), parent=window, wrap=wrap)
        dpg.add_text("", tag=_tag("note"), parent=window, wrap=wrap, color=theme.MUTED)
        dpg.add_group(tag=_tag("options"), parent=window)
        self._file_row()
        dpg.add_text("", tag=_tag("done"), parent=window, wrap=wrap, show=False)
        dpg.add_spacer(height=px(4), parent=window)
        self._buttons()
        self.choose(self._chosen.id)
        self._measure(self.options())

    def close(self) -> None:
        """Take the window away; what is being written goes on."""
        if self.shown:
            dpg.delete_item(self._window)
        self._window = 0

    def options(self) -> dict[str, Any]:
        """Return the options that were set."""
        return dict(self._form.values)

    def choose(self, format_id: str) -> None:
        """Choose a format: its words, its options, its suffix."""
        self._chosen = find(format_id)
        for number, one in enumerate(FORMATS):
            colour = theme.RAISED_ACTIVE if one.id == format_id else theme.CLEAR
            dpg.highlight_table_row(_tag("formats"), number, colour)
        self._form.show(_tag("options"), self._chosen)
        kinds = self._chosen.suffixes
        dpg.configure_item(_tag("suffix"), items=kinds, show=len(kinds) > 1)
        dpg.set_value(_tag("suffix"), kinds[0])
        wide = self._look.sizes.px(150 if len(kinds) > 1 else 72)
        dpg.configure_item(_tag("file"), width=-wide)
        name = self._stem if self._chosen.id in ("compact", "mesh") else f"{self._stem}-{self._chosen.id}"
        dpg.set_value(_tag("file"), str(free_path(self._folder / f"{name}{kinds[0]}")))
        dpg.configure_item(_tag("done"), show=False)
        self._tell()

    # --- what is known ------------------------------------------------------------------------------------------------

    def estimated(self, rows: tuple[FormatEstimate, ...], step: int) -> None:
        """Show the sizes and losses of a step."""
        if not self.shown:
            return
        dpg.set_value(_tag("what"), f"{self._title} Sizes are those of step {step:,}.")
        self._estimates = {row.format: row for row in rows}
        for row in rows:
            size = (
                formats.NONE if row.bytes is None else f"{'~ ' if row.rough else ''}{formats.size(row.bytes)}"
            )
            loss = formats.NONE if row.loss_db is None else loss_text(row.loss_db)
            dpg.set_value(_tag(f"{row.format} size"), size)
            dpg.set_value(_tag(f"{row.format} loss"), loss)
            colour = theme.WARNING if row.loss_db is not None and row.loss_db >= 0.1 else theme.TEXT
            dpg.configure_item(_tag(f"{row.format} loss"), color=colour)
        self._tell()

    def progress(self, event: SceneExportProgress) -> None:
        """Show how far the writing is."""
        if self.shown:
            counted = f"  {event.done:,} of {event.total:,}" if event.total else ""
            dpg.configure_item(_tag("bar"), overlay=f"{event.stage.capitalize()}{counted}")
            dpg.set_value(_tag("bar"), event.done / event.total if event.total else 0.0)

    def writing(self, on: bool) -> None:
        """Show the bar, or the buttons."""
        if not self.shown:
            return
        dpg.configure_item(_tag("doing"), show=on)
        dpg.configure_item(_tag("asking"), show=not on)
        if on:
            dpg.configure_item(_tag("bar"), overlay="Starting")
            dpg.set_value(_tag("bar"), 0.0)
            dpg.configure_item(_tag("done"), show=False)

    def ended(self, event: SceneExported) -> None:
        """Say what became of it."""
        self.writing(False)
        if self.shown:
            text, colour = outcome_text(event)
            dpg.set_value(_tag("done"), text)
            dpg.configure_item(_tag("done"), color=colour, show=True)

    def _tell(self) -> None:
        """Say what the chosen format is, and whether it can be written."""
        known = self._estimates.get(self._chosen.id)
        problem = known.problem if known is not None else ""
        note = problem or (known.note if known is not None else "Sizes are being measured.")
        dpg.set_value(_tag("about"), self._chosen.help)
        dpg.set_value(_tag("note"), note)
        dpg.configure_item(_tag("note"), color=theme.WARNING if problem else theme.MUTED, show=bool(note))
        dpg.configure_item(_tag("go"), enabled=not problem)
        dpg.set_value(self._why, problem or "Write the file; training goes on meanwhile.")

    def _changed(self, group: str) -> None:
        for one in FORMATS:
            if group in one.groups:
                dpg.set_value(_tag(f"{one.id} size"), _MEASURING)
        self._measure(self.options())

    # --- widgets ------------------------------------------------------------------------------------------------------

    def _formats(self) -> None:
        table = dpg.add_table(tag=_tag("formats"), parent=self._window, policy=dpg.mvTable_SizingStretchProp)
        for label, share in (("Format", 0.5), ("Size", 0.25), ("PSNR lost", 0.25)):
            dpg.add_table_column(label=label, init_width_or_weight=share, parent=table)
        for one in FORMATS:
            with dpg.table_row(parent=table):
                row = dpg.add_button(
                    label=one.title, tag=_tag(one.id), width=-1, user_data=one.id,
                    callback=lambda item, value, user: self.choose(user),
                )  # fmt: skip
                dpg.bind_item_theme(row, self._rows)
                theme.explain(row, one.help)
                dpg.add_text(_MEASURING, tag=_tag(f"{one.id} size"))
                dpg.add_text("", tag=_tag(f"{one.id} loss"))

    def _file_row(self) -> None:
        px = self._look.sizes.px
        with dpg.table(parent=self._window, header_row=False, policy=dpg.mvTable_SizingStretchProp):
            dpg.add_table_column(init_width_or_weight=LABEL_SHARE)
            dpg.add_table_column(init_width_or_weight=1.0 - LABEL_SHARE)
            with dpg.table_row():
                dpg.add_text("File", color=theme.MUTED)
                with dpg.group(horizontal=True):
                    dpg.add_input_text(tag=_tag("file"))
                    dpg.add_combo(
                        [], tag=_tag("suffix"), width=px(70), callback=lambda: self._suffix_chosen()
                    )
                    browse = dpg.add_button(label="Browse", width=-1, callback=lambda: self._ask_where())
                    theme.explain(browse, "Choose the folder and the name of the file.")

    def _buttons(self) -> None:
        px, window = self._look.sizes.px, self._window
        with dpg.group(horizontal=True, parent=window, tag=_tag("asking")):
            go = dpg.add_button(label="Export", tag=_tag("go"), width=px(120), callback=lambda: self._start())
            dpg.bind_item_theme(go, self._look.primary)
            self._why = theme.explain(go, "")
            dpg.add_button(label="Close", width=px(100), callback=lambda: self.close())
        with dpg.group(horizontal=True, parent=window, tag=_tag("doing"), show=False):
            dpg.add_button(label="Cancel", width=px(100), callback=lambda: self._cancel())
            dpg.bind_item_theme(dpg.add_progress_bar(tag=_tag("bar"), width=-1), self._bar)

    def _suffix_chosen(self) -> None:
        path = Path(dpg.get_value(_tag("file")) or self._stem)
        dpg.set_value(_tag("file"), str(free_path(path.with_suffix(self.suffix))))

    def _ask_where(self) -> None:
        path = Path(dpg.get_value(_tag("file")))
        self._browse(str(path.parent), path.stem, lambda chosen: dpg.set_value(_tag("file"), chosen))

    def _start(self) -> None:
        self._export(self._chosen.id, dpg.get_value(_tag("file")).strip(), self.options())


def _tag(name: str) -> str:
    return f"scene export/{name}"
