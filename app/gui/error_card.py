# SPDX-License-Identifier: MIT
"""The window that tells of an error: what happened, why, what to do about it, and buttons for the ways on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dearpygui.dearpygui as dpg

from app.advice import advise
from app.gui import clipboard, theme

WIDTH, TOP = 520, 110
Offers = Sequence[tuple[str, Callable[[], None]]]


class ErrorCard:
    """At most one at a time; a newer error takes the place of an older one."""

    def __init__(self, look: theme.Theme, size: Callable[[], tuple[int, int]]) -> None:
        self._look, self._size = look, size
        self.window: int | str | None = None

    def show(self, what: str, chain: Sequence[str], offers: Offers = (), details: str = "") -> None:
        """Tell what failed. `chain` are the messages, outermost first; `details` go to the clipboard beside them."""
        self.close()
        px, (width, _) = self._look.sizes.px, self._size()
        wide = min(px(WIDTH), width - px(40))
        lines = [*chain] or [what]
        self.window = dpg.add_window(
            label=what, width=wide, pos=[(width - wide) // 2, px(TOP)], no_collapse=True, autosize=False,
            no_resize=True, height=1, min_size=[wide, 1], on_close=self.close,
        )  # fmt: skip
        dpg.configure_item(self.window, autosize=True)
        dpg.bind_item_theme(self.window, self._look.floating)
        dpg.add_text(lines[0], parent=self.window, wrap=wide - px(30))
        self._part("Why", lines[1:], wide, theme.MUTED)
        advice = advise(lines)
        self._part("What to do", [advice] if advice else [], wide, theme.TEXT)
        dpg.add_spacer(height=px(4), parent=self.window)
        for number, (label, action) in enumerate(offers):
            button = dpg.add_button(label=label, width=-1, callback=self._closing(action), parent=self.window)
            if number == 0:
                dpg.bind_item_theme(button, self._look.primary)
        self._last_row("\n".join([what, *lines, *([details] if details else [])]), bool(offers))

    def _part(self, title: str, lines: Sequence[str], wide: int, colour: theme.Colour) -> None:
        if not lines:
            return
        px = self._look.sizes.px
        dpg.add_spacer(height=px(2), parent=self.window)
        heading = dpg.add_text(title, parent=self.window, color=theme.ACCENT)
        if self._look.bold is not None:
            dpg.bind_item_font(heading, self._look.bold)
        for line in lines:
            dpg.add_text(line, parent=self.window, wrap=wide - px(30), color=colour)

    def _last_row(self, text: str, has_offers: bool) -> None:
        px = self._look.sizes.px
        with dpg.group(horizontal=True, parent=self.window):
            close = dpg.add_button(label="Close", width=px(100), callback=self.close)
            if not has_offers:
                dpg.bind_item_theme(close, self._look.primary)
            copy = dpg.add_button(label="Copy details", width=px(120), callback=lambda: clipboard.copy(text))
        theme.explain(copy, "Puts all of this, and where in the program it happened, on the clipboard.")

    def close(self) -> None:
        """Go away."""
        window, self.window = self.window, None
        if window is not None and dpg.does_item_exist(window):
            dpg.delete_item(window)

    def _closing(self, action: Callable[[], None]) -> Callable[[], None]:
        """Return what a button does."""

        def act() -> None:
            self.close()
            action()

        return act
