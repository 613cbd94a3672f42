# SPDX-License-Identifier: MIT
"""The views panel: every photo of the capture with its quality; a click moves the camera there."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from app.gui import formats, theme
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from engine.messages import Evaluated, SceneOpened

ORDERS = ("in order", "worst first", "best first", "by name")
ROW_PX = 22
DRAWN_ROWS = 400  # a table of more rows is drawn too slowly; the rest is reached by sorting or with [ and ]


class ViewsPanel(BasePanel):
    """A sortable list of views."""

    id, title = "views", "Views"

    def __init__(self) -> None:
        super().__init__()
        self._scene: SceneOpened | None = None
        self._evaluated: Evaluated | None = None
        self._order = ""
        self._rows: list[int] = []

    def layout(self) -> None:
        """Order and summary in one line, the list below."""
        with dpg.group(horizontal=True):
            dpg.add_combo(ORDERS, default_value=ORDERS[0], tag=self.tag("order"), width=self.px(120))
            self.button("evaluate", "Evaluate", width=self.px(90))
            dpg.add_text("", tag=self.tag("summary"), color=COLOURS["quiet"])
        self.explain("order", "Held-out views have a PSNR once they were evaluated.")
        with dpg.table(
            tag=self.tag("table"), header_row=True, scrollY=True, freeze_rows=1, height=-1, row_background=True,
            policy=dpg.mvTable_SizingStretchProp,
        ):  # fmt: skip
            with dpg.theme() as marked, dpg.theme_component(dpg.mvSelectable):
                dpg.add_theme_color(dpg.mvThemeCol_Header, theme.ACCENT_DEEP, category=dpg.mvThemeCat_Core)
                dpg.add_theme_style(
                    dpg.mvStyleVar_SelectableTextAlign, 0.0, 0.5, category=dpg.mvThemeCat_Core
                )
            for label, weight in (("View", 0.46), ("Use", 0.2), ("PSNR", 0.2), ("SSIM", 0.14)):
                dpg.add_table_column(label=label, init_width_or_weight=weight)
        dpg.bind_item_theme(self.tag("table"), marked)

    def refresh(self, session: Session) -> None:
        """Make the list anew when the scene, the evaluation or the order is another; else only move the mark."""
        order = dpg.get_value(self.tag("order"))
        self.allow_commands(session, "evaluate")
        if (
            session.scene is not self._scene
            or session.evaluated is not self._evaluated
            or order != self._order
        ):
            self._scene, self._evaluated, self._order = session.scene, session.evaluated, order
            self._make_rows()
        for index in self._rows:
            self.put(f"view{index}", index == session.view.view_index)

    def _make_rows(self) -> None:
        table = self.tag("table")
        for row in dpg.get_item_children(table, 1):
            dpg.delete_item(row)
        for index in self._rows:
            self.forget(f"view{index}")
        self._rows = []
        self.put("summary", _summary(self._evaluated))
        self.explain("summary", _summary_tip(self._evaluated))
        if self._scene is None:
            return
        quality = (
            {name: (psnr, ssim) for name, psnr, ssim in self._evaluated.per_view} if self._evaluated else {}
        )
        self._rows = sort_views(self._scene, quality, self._order)[:DRAWN_ROWS]
        for index in self._rows:
            view = self._scene.views[index]
            psnr, ssim = quality.get(view.name, (None, None)) if view.held_out else (None, None)
            with dpg.table_row(parent=table):
                dpg.add_selectable(
                    label=f"{view.name}###{self.tag(str(index))}", tag=self.tag(f"view{index}"), span_columns=True,
                    user_data=index, callback=self._jump, height=self.px(ROW_PX),
                )  # fmt: skip
                dpg.add_text(
                    "held out" if view.held_out else "train",
                    color=COLOURS["held out" if view.held_out else "quiet"],
                )
                dpg.add_text(formats.NONE if psnr is None else f"{psnr:.2f} dB")
                dpg.add_text(formats.NONE if ssim is None else f"{ssim:.3f}")

    def _jump(self, sender: int | str, value: bool, index: int) -> None:
        self.forget(
            f"view{index}"
        )  # the click toggled the mark; the next refresh puts it where the camera is
        self.context.do("goto_view", index)


def sort_views(scene: SceneOpened, quality: dict[str, tuple[float, float]], order: str) -> list[int]:
    """Return indices of the views in an order of ORDERS; views that were not measured come last in orders by quality."""
    indices = list(range(len(scene.views)))
    if order == "by name":
        return sorted(indices, key=lambda index: scene.views[index].name)
    if order in ("worst first", "best first"):
        sign = 1.0 if order == "worst first" else -1.0

        def place(index: int) -> tuple[bool, float]:
            view = scene.views[index]
            measured = view.held_out and view.name in quality
            return (not measured, sign * quality[view.name][0] if measured else 0.0)

        return sorted(indices, key=place)
    return indices


def _summary(evaluated: Evaluated | None) -> str:
    if evaluated is None:
        return "not evaluated yet"
    return f"{evaluated.psnr:.2f} dB  {evaluated.ssim:.3f}"


def _summary_tip(evaluated: Evaluated | None) -> str:
    if evaluated is None:
        return "Evaluate renders the held-out views and compares them with their photos."
    step = formats.count(evaluated.step)
    return f"Mean PSNR and SSIM of {len(evaluated.per_view)} held-out views at step {step}."
