# SPDX-License-Identifier: MIT
"""The views panel: every photo of the capture, how well it is learned, whether it is used; a click moves the camera there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import dearpygui.dearpygui as dpg

from app import commands, views_table
from app.gui import formats, theme
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from app.views_table import ViewRow
from engine.messages import Evaluated, ExcludeViews

ROW_PX = 21  # the mark's height; with it the name stands as high as the numbers beside it
DRAWN_ROWS = 400  # a table of more rows is drawn too slowly; the rest is reached by sorting or with [ and ]
NUMBERS_EVERY_S = 1.0  # while it trains: numbers that change faster cannot be read
# Column of views_table.COLUMNS: heading, share of the width, tooltip.
HEADINGS = {
    "name": ("View", 0.28, "The file name of the photo. Click to see the scene from there."),
    "psnr_last": ("Last", 0.14, "PSNR in dB when training saw this view last."),
    "psnr_mean": ("Mean", 0.14, "Mean PSNR in dB of all times that training saw this view."),
    "seen": ("Seen", 0.14, "How often training saw this view."),
    "held_out_psnr": ("Held out", 0.17, "PSNR in dB of a held-out view at the last evaluation."),
    # Last, because a tick lowers the text of all cells to its right by some pixels.
    "used": ("Use", 0.13, "Ticked views are trained on. Held-out views never are: they measure quality."),
}
NUMBERS = ("psnr_last", "psnr_mean", "seen", "held_out_psnr")


class ViewsPanel(BasePanel):
    """A table of rows that are made once per scene; sorting only changes which view stands in which row."""

    id, title = "views", "Views"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._made_for: Any = None
        self._shown_for: Any = None
        self._numbers_at = -math.inf
        self._sort = ("name", False)  # column, descending
        self._name_from = 0  # names are shown without the folder they share
        self.order: list[int] = []  # the view in each row

    def layout(self) -> None:
        """Buttons and summary in one line, the table below."""
        with dpg.group(horizontal=True):
            self.button("evaluate", "Evaluate", width=self.px(84))
            self.button("export_views", "CSV", width=self.px(48))
            dpg.add_text("", tag=self.tag("summary"), color=COLOURS["quiet"])
        with dpg.table(
            tag=self.tag("table"), header_row=True, scrollY=True, freeze_rows=1, height=-1, row_background=True,
            policy=dpg.mvTable_SizingStretchProp, sortable=True, sort_tristate=True, callback=self._sorted,
        ):  # fmt: skip
            for name, (label, share, tip) in HEADINGS.items():
                column = dpg.add_table_column(
                    label=label,
                    init_width_or_weight=share,
                    user_data=name,
                    tag=self.tag(f"column-{name}"),
                    default_sort=name == "name",
                )
                with dpg.tooltip(column):
                    dpg.add_text(tip, wrap=self.px(260))
        dpg.bind_item_theme(self.tag("table"), _table_theme(self.px(1)))

    def refresh(self, session: Session) -> None:
        """Make rows for another scene; bring numbers up to date now and then, everything else at once."""
        self.allow_commands(session, "evaluate", "export_views")
        if session.scene is not self._made_for:
            self._made_for = session.scene
            self._make_rows(0 if session.scene is None else min(len(session.scene.views), DRAWN_ROWS))
            self._shown_for = None
        key = (id(session.evaluated), session.excluded, self._sort)
        now = self._clock()
        if key != self._shown_for or now - self._numbers_at >= NUMBERS_EVERY_S:
            self._shown_for, self._numbers_at = key, now
            self._fill(session)
        for row, index in enumerate(self.order):
            self.put(f"view{row}", index == session.view.view_index)

    def sort_by(self, column: str, descending: bool = False) -> None:
        """Sort by a column of views_table.COLUMNS; "" is the order of the scene."""
        self._sort = (column, descending)

    def _make_rows(self, count: int) -> None:
        for row in dpg.get_item_children(self.tag("table"), 1):
            dpg.delete_item(row)
        for row in range(len(self.order)):
            for name in ("view", "use", "held", *(f"{column}-" for column in NUMBERS)):
                self._shown = {key: value for key, value in self._shown.items() if key[0] != f"{name}{row}"}
        self.order = [-1] * count
        for row in range(count):
            with dpg.table_row(parent=self.tag("table")):
                dpg.add_selectable(
                    tag=self.tag(f"view{row}"), user_data=row, callback=self._jump, height=self.px(ROW_PX)
                )
                for column in NUMBERS:
                    dpg.add_text(formats.NONE, tag=self.tag(f"{column}-{row}"))
                with dpg.group():
                    dpg.add_checkbox(tag=self.tag(f"use{row}"), user_data=row, callback=self._use)
                    dpg.add_text("test", tag=self.tag(f"held{row}"), color=COLOURS["held out"], show=False)

    def _fill(self, session: Session) -> None:
        table = views_table.rows(session)
        self._name_from = views_table.shared_folder_length([row.name for row in table])
        column, descending = self._sort
        if column:
            table = views_table.in_order(table, column, descending)
        for row, view in enumerate(table[: len(self.order)]):
            self.order[row] = view.index
            self._fill_row(row, view)
        self.put("summary", _summary(session))
        self.explain("summary", _summary_tip(session.evaluated))

    def _fill_row(self, row: int, view: ViewRow) -> None:
        self.configure(f"use{row}", show=not view.held_out)
        self.configure(f"held{row}", show=view.held_out)
        self.put(f"use{row}", not view.excluded)
        self.configure(f"view{row}", label=f"{view.name[self._name_from :]}###{self.tag(str(row))}")
        for column in ("psnr_last", "psnr_mean", "held_out_psnr"):
            value = getattr(view, column)
            self.put(f"{column}-{row}", formats.NONE if math.isnan(value) else f"{value:.2f}")
        self.put(f"seen-{row}", formats.NONE if view.held_out else formats.count(view.seen))

    # --- what people do -----------------------------------------------------------------------------------------

    def _sorted(self, sender: int | str, specs: list[list[int]] | None) -> None:
        if not specs:  # a third click on a heading: as the scene has them
            self.sort_by("")
            return
        column, direction = specs[0]
        self.sort_by(dpg.get_item_user_data(column), direction < 0)

    def _use(self, sender: int | str, value: bool, row: int) -> None:
        self.forget(f"use{row}")  # the worker may refuse; the next refresh shows what holds
        self._numbers_at = -math.inf
        self.context.send(ExcludeViews((self.order[row],), not value))

    def _jump(self, sender: int | str, value: bool, row: int) -> None:
        self.forget(f"view{row}")  # the click toggled the mark; the next refresh puts it where the camera is
        self.context.do("goto_view", self.order[row])


def _table_theme(pad: int) -> int | str:
    """Return a theme in which ticks are as high as text and the view one is in is marked."""
    with dpg.theme() as look:
        with dpg.theme_component(dpg.mvSelectable):
            dpg.add_theme_color(dpg.mvThemeCol_Header, theme.ACCENT_DEEP, category=dpg.mvThemeCat_Core)
            dpg.add_theme_style(dpg.mvStyleVar_SelectableTextAlign, 0.0, 0.5, category=dpg.mvThemeCat_Core)
        with dpg.theme_component(dpg.mvCheckbox):
            dpg.add_theme_style(dpg.mvStyleVar_FramePadding, pad, 0, category=dpg.mvThemeCat_Core)
    return look


def _summary(session: Session) -> str:
    if session.evaluated is None:
        text = "not evaluated yet" if commands.find("evaluate").enabled_when(session) is None else ""
    else:
        text = f"{session.evaluated.psnr:.2f} dB  {session.evaluated.ssim:.3f}"
    left_out = f"{len(session.excluded)} left out" if session.excluded else ""
    return ",  ".join(part for part in (text, left_out) if part)


def _summary_tip(evaluated: Evaluated | None) -> str:
    if evaluated is None:
        return "Evaluate renders the held-out views and compares them with their photos."
    step = formats.count(evaluated.step)
    return f"Mean PSNR and SSIM of {len(evaluated.per_view)} held-out views at step {step}."
