# SPDX-License-Identifier: MIT
"""What the Window menu does: theme, size of text, layouts, and which panel has the keyboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from app.gui import layout as lay
from app.gui.keyboard import walk, walking
from app.gui.layout_presets import PRESETS, arranged
from engine.messages import Event

if TYPE_CHECKING:
    from app.gui.actions import Parts

SLOTS = ("left", "right", "bottom")
LEAST_TEXT, MOST_TEXT = 0.7, 2.0


class WindowDesk:
    """The window as something to arrange."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._panel: str | None = None  # that was given the keyboard last
        self._peeked: str | None = None  # a folded panel that is open while it has the keyboard
        parts.dialogs.escapes.append(self._to_scene)
        parts.session.timeline.shown = parts.columns.layout.show_timeline

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return what it can do."""
        return {
            "window.theme": lambda _: self._flip("theme", ("dark", "light")),
            "window.safe_colours": lambda _: self._flip("safe_colours", (False, True)),
            "window.text": self._zoom,
            "window.layout": self.arrange,
            "window.reset_layout": lambda _: self._reset(),
            "window.toggle": self._toggle,
            "window.focus": self._focus,
            "window.panel": self._reveal,
            "window.fold": lambda panel: self._parts.columns.fold(
                panel, panel not in self._parts.columns.folded()
            ),
            "window.option": self._option,
        }

    def on_event(self, event: Event) -> None:
        """Nothing that happens to the model changes the window's arrangement."""

    def update(self, dt: float) -> bool:
        """Tell the session which columns are shown, and the layout whether the timeline is."""
        layout, timeline = self._parts.columns.layout, self._parts.session.timeline.shown
        if layout.show_timeline != timeline:
            layout = self._parts.columns.layout = replace(layout, show_timeline=timeline)
        self._parts.session.shown_slots = frozenset(s for s in SLOTS if getattr(layout, f"show_{s}"))
        return False

    def close(self) -> None:
        """Nothing to let go of."""

    def arrange(self, name: str) -> None:
        """Take a preset of the layout."""
        columns, session = self._parts.columns, self._parts.session
        strip = [panel for slot, panel in columns.slots if slot == "bottom"]
        others = [panel for slot, panel in columns.slots if slot != "bottom"]
        now = replace(columns.layout, folded=columns.folded())
        columns.arrange(arranged(now, name, others, strip))
        session.timeline.shown = PRESETS[name].timeline
        session.view.show_panels = True

    def _flip(self, name: str, values: tuple[Any, Any]) -> None:
        now = getattr(self._parts.session.settings.appearance, name)
        self._parts.preferences.change({f"appearance.{name}": values[1] if now == values[0] else values[0]})

    def _zoom(self, factor: float) -> None:
        size = self._parts.session.settings.appearance.text_size * factor
        size = min(max(round(size, 3), LEAST_TEXT), MOST_TEXT)
        self._parts.preferences.change({"appearance.text_size": size})
        self._parts.reports.note(f"text at {size:.0%}")

    def _reset(self) -> None:
        columns = self._parts.columns
        kept = {
            name: getattr(columns.layout, name) for name in ("width", "height", "recent", "recent_commands")
        }
        columns.arrange(replace(lay.Layout(), **kept))
        self._parts.session.view.show_panels = True

    def _toggle(self, slot: str) -> None:
        self._parts.columns.toggle(slot)
        self._parts.session.view.show_panels = True

    def _to_scene(self) -> bool:
        """Give the keyboard back to the scene; return whether a panel had it."""
        if not walking() or self._parts.session.scene is None:  # on the start page it always has
            return False
        walk(False)
        self._peeked = None
        self._parts.viewport.take_keyboard()
        self._parts.reports.note("keyboard: scene")
        return True

    def _reveal(self, panel: str) -> None:
        """Bring a panel before the person's eyes."""
        session = self._parts.session
        session.view.show_panels = True
        if ("timeline", panel) in self._parts.columns.slots:
            session.timeline.shown = True
        self._panel = panel
        self._parts.columns.reveal(panel)

    def _option(self, name: str) -> None:
        """Bring an option of the method before the person's eyes, ready to be changed."""
        self._reveal("options")
        show_item(f"options/{name}")

    def _focus(self, step: int) -> None:
        """Give the keyboard to the next panel, or the one before."""
        self._parts.session.view.show_panels = True
        names = self._parts.columns.shown()
        if self._parts.session.timeline.shown:
            names += [panel for slot, panel in self._parts.columns.slots if slot == "timeline"]
        if not names:
            self._parts.reports.note("no panel is shown; bring a column back in the Window menu")
            return
        here = names.index(self._panel) if self._panel in names else (-1 if step > 0 else 0)
        panel, folded = names[(here + step) % len(names)], self._parts.columns.folded()
        if self._peeked is not None:  # it was folded before the keyboard came by
            self._parts.columns.fold(self._peeked, True)
        self._peeked = panel if panel in folded else None
        self._reveal(panel)
        walk(True)
        self._parts.reports.note(f"keyboard: {self._parts.columns.titles[self._panel]} panel")


def show_item(item: int | str) -> None:
    """Open whatever an item is folded into and give it the keyboard, which scrolls to it."""
    if not dpg.does_item_exist(item):
        return
    parent = dpg.get_item_parent(item)
    while parent:
        if dpg.get_item_info(parent)["type"].split("::")[-1] in ("mvTreeNode", "mvCollapsingHeader"):
            dpg.set_value(parent, True)
        parent = dpg.get_item_parent(parent)
    dpg.focus_item(item)
