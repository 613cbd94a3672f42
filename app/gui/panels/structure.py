# SPDX-License-Identifier: MIT
"""The structure panel: the voxels of each level, their growth, what adapting would do, and the numbers that steer it."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from app import commands
from app.commands.structure import refine_word
from app.gui import formats, theme
from app.gui.panels.adapt_fields import HELP, INTEGERS, SLIDERS
from app.gui.panels.base import COLOURS, BasePanel
from app.gui.session_feed import VOXELS
from app.session import Session
from engine.constants import MAX_LEVEL
from engine.messages import PreviewAdapt, SetOptions
from engine.methods.common import StructureStats

PLOT_PX = 96
BAR_PX = 23  # as high as a bar is
BAR_HELP = "Click: draw this level alone. Ctrl+click: add it to those drawn, or take it out."


class StructurePanel(BasePanel):
    """Levels as bars, totals against the budget, growth, live numbers, preview and action."""

    id, title = "structure", "Structure"

    def __init__(self) -> None:
        super().__init__()
        self._stats: StructureStats | None = None
        self._unit = "voxels"
        self._plotted = (0, -1)

    def layout(self) -> None:
        """Bars on top, then totals, history, steering."""
        dpg.add_text("No voxels yet.", tag=self.tag("empty"), color=COLOURS["quiet"])
        with dpg.table(header_row=False, policy=dpg.mvTable_SizingStretchProp, pad_outerX=False) as table:
            dpg.add_table_column(init_width_or_weight=0.26)
            dpg.add_table_column(init_width_or_weight=0.74)
            for level in range(MAX_LEVEL + 1):
                self._bar(level)
        dpg.bind_item_theme(table, _rows_theme())
        self.button("all_levels")
        with dpg.group(tag=self.tag("facts"), show=False):
            with self.form(0.3):
                self.number(
                    "Voxels", "voxels", "Leaves of the octree, and their share of the largest number allowed."
                )
                self.number(
                    "Points",
                    "points",
                    "Corners of voxels, each shared by up to eight; entries of tables, in nodes.",
                )
                self.number("Memory", "bytes", "Voxels, corners and the optimiser's state.")
                self.number("Occupied", "occupancy", "Share of the scene's volume that voxels fill.")
            dpg.add_progress_bar(tag=self.tag("budget"), width=-1, overlay="budget")
            # Without no_inputs the wheel stops scrolling the panel and zooms in here.
            with self.plot("history", height=self.px(PLOT_PX), no_inputs=True):
                dpg.add_plot_axis(
                    dpg.mvXAxis, tag=self.tag("history-x"), no_tick_labels=True, no_tick_marks=True
                )
                with dpg.plot_axis(dpg.mvYAxis, tag=self.tag("history-y"), no_tick_marks=True):
                    dpg.add_stair_series([], [], tag=self.tag("growth"))
        with self.form(0.4):
            self._steering()
        dpg.add_text("", tag=self.tag("preview"), color=COLOURS["accent"], wrap=0)
        with self.columns(3):
            self.button("preview_adapt")
            self.button("prune_now", "Prune")
            self.button("subdivide_now", "Subdivide")

    def _bar(self, level: int) -> None:
        """Add the row of a level: its name, which takes clicks on the whole row, and its bar."""
        with dpg.table_row(tag=self.tag(f"level{level}-row"), show=False):
            dpg.add_selectable(
                label=f"Level {level}", tag=self.tag(f"level{level}-name"), span_columns=True,
                height=self.px(BAR_PX),
                callback=lambda: self._clicked(level),
            )  # fmt: skip
            dpg.add_progress_bar(tag=self.tag(f"level{level}"), width=-1)
        self.explain(f"level{level}-name", BAR_HELP)

    def _clicked(self, level: int) -> None:
        self.forget(f"level{level}-name")
        self.isolate(level, dpg.is_key_down(dpg.mvKey_LControl) or dpg.is_key_down(dpg.mvKey_RControl))

    def isolate(self, level: int, add: bool) -> None:
        """Draw a level alone; with `add` take it in or out, if the method can leave levels out."""
        if commands.find("next_level").enabled_when(self.context.session) is None:
            self.context.do("inspect.level", (level, add))

    def _show_chosen(self, session: Session) -> None:
        """Show which levels are drawn, and whether clicks on bars do anything."""
        chosen, reason = session.inspect.look.levels, commands.find("next_level").enabled_when(session)
        for level in range(MAX_LEVEL + 1):
            self.put(f"level{level}-name", level in chosen)
            self.allow(f"level{level}-name", reason, BAR_HELP)
        self.allow_commands(session, "all_levels")

    def _steering(self) -> None:
        for name, (label, low, high, form) in SLIDERS.items():
            with self.field(label, name, HELP[name]):
                dpg.add_slider_float(
                    tag=self.tag(name), min_value=low, max_value=high, format=form, width=-1, clamped=True
                )
            self.edited(name, lambda value, name=name: self._set(name, value))
        for name, (label, low, high) in INTEGERS.items():
            with self.field(label, name, HELP[name]):
                dpg.add_input_int(
                    tag=self.tag(name), min_value=low, max_value=high, min_clamped=True, max_clamped=True,
                    width=-1, step=0,
                )  # fmt: skip
            self.edited(name, lambda value, name=name: self._set(name, value))

    def refresh(self, session: Session) -> None:
        """Show the present structure, the values in force and the answer to a preview."""
        structure = session.stats.structure if session.stats else None
        unit = session.scene.unit if session.scene is not None else "voxels"
        if structure is not None and (structure != self._stats or unit != self._unit):
            self._unit = unit
            self._stats = structure
            self._show(structure)
        for name in (*SLIDERS, *INTEGERS):
            self.configure(f"{name}-row", show=name in session.values)
            if name in session.values:
                self.put(name, session.values[name])
                self.allow(name, commands.with_scene(session), HELP[name])
        self._show_chosen(session)
        self.allow_commands(session, "preview_adapt", "prune_now", "subdivide_now")
        self.configure("subdivide_now", label=refine_word(session))
        self._show_preview(session)
        self._show_history(session)

    def _show(self, structure: StructureStats) -> None:
        self.configure("empty", show=structure.voxels == 0)
        self.configure("facts", show=structure.voxels > 0)
        most = max(structure.per_level, default=0)
        for level in range(MAX_LEVEL + 1):
            count = structure.per_level[level] if level < len(structure.per_level) else 0
            self.configure(f"level{level}-row", show=count > 0)
            if count:
                self.put(f"level{level}", count / most)
                self.configure(f"level{level}", overlay=formats.count(count))
        self.put("voxels-name", self._unit.capitalize())
        self.put("voxels", formats.count(structure.voxels))
        self.put("points", formats.count(structure.points))
        self.put("bytes", formats.size(structure.bytes))
        self.put("occupancy", f"{100.0 * structure.occupancy:.2f} %")
        share = structure.voxels / structure.budget if structure.budget else 0.0
        self.put("budget", min(share, 1.0))
        budget = f"{formats.percent(share)} of {formats.count(structure.budget)} {self._unit}"
        self.configure("budget", overlay=budget if structure.budget else "no limit")

    def _show_preview(self, session: Session) -> None:
        if session.preview is None:
            self.put("preview", "Preview shows what would change.", "quiet")
            return
        report = session.preview.report
        text = f"would split {formats.count(report.split)} / drop {formats.count(report.pruned)}"
        self.put("preview", f"{text}, leaving {formats.count(report.after)}", "accent")

    def _show_history(self, session: Session) -> None:
        points = session.curves.get(VOXELS, [])
        step = session.stats.step if session.stats else 0
        drawn = (len(points), step if points else -1)
        if drawn == self._plotted:
            return
        self._plotted = drawn
        steps, counts = [float(point.step) for point in points], [point.value for point in points]
        if points and step > points[-1].step:  # the last count still holds
            steps.append(float(step))
            counts.append(points[-1].value)
        dpg.set_value(self.tag("growth"), [steps, counts])
        dpg.set_axis_limits(self.tag("history-x"), 0.0, max(1.0, *steps, step))
        dpg.set_axis_limits(self.tag("history-y"), 0.0, 1.15 * max(counts, default=1.0) or 1.0)

    def _set(self, name: str, value: float) -> None:
        self.forget(name)
        self.context.send(SetOptions({name: value}))
        inspect = self.context.session.inspect
        self.context.send(PreviewAdapt(inspect.most_boxes if inspect.preview else 0))


def _rows_theme() -> int | str:
    """Return a theme in which a row's name stands beside its bar, and can be read where clicks do nothing."""
    with dpg.theme() as rows:
        for enabled in (True, False):
            with dpg.theme_component(dpg.mvSelectable, enabled_state=enabled):
                dpg.add_theme_style(dpg.mvStyleVar_SelectableTextAlign, 0.0, 0.5)
                dpg.add_theme_color(dpg.mvThemeCol_Header, theme.RAISED_ACTIVE)
                dpg.add_theme_color(dpg.mvThemeCol_Text, theme.TEXT if enabled else theme.MUTED)
    return rows
