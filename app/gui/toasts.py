# SPDX-License-Identifier: MIT
"""Notices at the lower right of the viewport. Widgets are made only when other ones are to be shown."""

from __future__ import annotations

from collections.abc import Callable

import dearpygui.dearpygui as dpg

from app.gui import theme
from app.gui.layout import Rect
from app.notices import Notice, Notices

WIDTH, MARGIN, GAP = 300, 14, 8
WRAP = 48  # of the width that text leaves free: padding, and the cross that dismisses
LINE, PAD = 18, 32  # a line of text, and what is above and below


class Toasts:
    """Small windows over the picture."""

    def __init__(self, look: theme.Theme, notices: Notices) -> None:
        self._look, self._notices = look, notices
        self._windows: list[int | str] = []
        self._shown: object = ((), None)

    def refresh(self, rect: Rect) -> bool:
        """Show what is due over a rectangle of the window; return whether that is something else than before."""
        notices = self._notices.shown()
        key = (notices, rect if notices else None)
        if key == self._shown:
            return False
        self._shown = key
        for window in self._windows:
            if dpg.does_item_exist(window):
                dpg.delete_item(window)
        self._windows = []
        px = self._look.sizes.px
        bottom = rect.y + rect.height - px(MARGIN)
        for notice in reversed(notices):
            height = self._height(notice)
            if bottom - height < rect.y:  # no room for the oldest
                break
            bottom -= height
            self._windows.append(self._make(notice, rect, bottom, height))
            bottom -= px(GAP)
        return True

    def _height(self, notice: Notice) -> int:
        px = self._look.sizes.px
        wide = (dpg.get_text_size(notice.text, wrap_width=px(WIDTH - WRAP)) or (0, px(LINE)))[1]
        return round(wide) + px(PAD) + (px(34) if notice.button else 0)

    def _make(self, notice: Notice, rect: Rect, top: int, height: int) -> int | str:
        px = self._look.sizes.px
        width = min(px(WIDTH), rect.width - 2 * px(MARGIN))
        window = dpg.add_window(
            no_title_bar=True, no_move=True, no_resize=True, no_collapse=True, no_scrollbar=True,
            no_focus_on_appearing=True, no_saved_settings=True, width=width, height=height, min_size=[1, 1],
            pos=[rect.x + rect.width - width - px(MARGIN), top],
        )  # fmt: skip
        dpg.bind_item_theme(window, self._look.floating)
        with dpg.group(horizontal=True, parent=window):
            colour = theme.WARNING if notice.kind == "warning" else theme.TEXT
            dpg.add_text(notice.text, wrap=width - px(WRAP), color=colour)
        close = dpg.add_button(
            label="x", width=px(20), height=px(20), pos=[width - px(28), px(9)], parent=window,
            callback=self._dismisser(notice),
        )  # fmt: skip
        dpg.bind_item_theme(close, self._look.flat)
        theme.explain(close, "Dismiss this message; the Log panel keeps it.")
        if notice.button:
            dpg.add_button(label=notice.button, parent=window, callback=self._dismisser(notice, notice.act))
        return window

    def _dismisser(self, notice: Notice, act: Callable[[], None] | None = None) -> Callable[[], None]:
        def dismiss() -> None:
            self._notices.dismiss(notice.id)
            if act is not None:
                act()

        return dismiss
