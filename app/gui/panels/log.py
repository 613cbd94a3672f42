# SPDX-License-Identifier: MIT
"""The log panel: the last thousand lines of the worker, by importance."""

from __future__ import annotations

from collections import deque

import dearpygui.dearpygui as dpg

from app.gui import clipboard
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from engine.messages import Event, Failed, JobEnded, Logged, StateChanged

LINE_LIMIT = 1000
DRAWN_LINES = 200  # what is drawn at once; "Copy all" takes everything
LEVELS = ("all", "info", "warning", "error")  # a choice shows its own level and all above it
_RANK = {"debug": 0, "info": 1, "warning": 2, "error": 3}
_COLOUR = {"warning": "warn", "error": "bad"}


class LogPanel(BasePanel):
    """A ring of lines, a filter, a way to copy them."""

    id, title = "log", "Log"

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[tuple[str, str]] = deque(maxlen=LINE_LIMIT)  # (level, text)
        self._stale = True

    def layout(self) -> None:
        """Controls in one line, the lines below."""
        with dpg.group(horizontal=True):
            dpg.add_combo(
                LEVELS, default_value="info", tag=self.tag("level"), width=self.px(110), callback=self._redraw
            )
            dpg.add_button(label="Copy all", tag=self.tag("copy"), callback=self._copy)
            dpg.add_button(label="Clear", tag=self.tag("clear"), callback=self._clear)
        self.explain("level", "Show lines of this importance and above.")
        self.explain("copy", "Put all lines that pass the filter on the clipboard.")
        self.explain("clear", "Forget all lines.")
        with dpg.child_window(tag=self.tag("window"), width=-1, height=-1, border=False):
            dpg.add_group(tag=self.tag("lines"))

    def on_event(self, event: Event) -> None:
        """Take down log lines, errors, and exports that failed."""
        if isinstance(event, Logged):
            self._add(event.level, event.text)
        elif isinstance(event, Failed):
            self._add("error", ": ".join((event.what, *event.chain)))
        elif isinstance(event, StateChanged):
            self._add(
                "info", f"{event.state.value}. {event.reason}" if event.reason else f"{event.state.value}."
            )
        elif isinstance(event, JobEnded) and event.outcome == "failed":  # other ends come as notices
            self._add("error", f"export failed: {event.detail}")

    def refresh(self, session: Session) -> None:
        """Draw the lines if some were added."""
        if not self._stale:
            return
        self._stale = False
        window = self.tag("window")
        at_end = dpg.get_y_scroll(window) >= dpg.get_y_scroll_max(window) - 1.0
        dpg.delete_item(self.tag("lines"), children_only=True)
        for level, text in self.chosen()[-DRAWN_LINES:]:
            dpg.add_text(text, parent=self.tag("lines"), color=COLOURS[_COLOUR.get(level, "text")], wrap=0)
        if at_end:  # a person who scrolled up is reading: leave the place alone
            dpg.set_y_scroll(window, -1.0)

    def chosen(self) -> list[tuple[str, str]]:
        """Return the lines that pass the filter, oldest first."""
        least = _RANK.get(dpg.get_value(self.tag("level")), 0)
        return [line for line in self.lines if _RANK.get(line[0], 1) >= least]

    def _add(self, level: str, text: str) -> None:
        self.lines.append((level, text))
        self._stale = True

    def _redraw(self) -> None:
        self._stale = True

    def _clear(self) -> None:
        self.lines.clear()
        self._stale = True

    def _copy(self) -> None:
        clipboard.copy("\n".join(f"{level:8}{text}" for level, text in self.chosen()))
