# SPDX-License-Identifier: MIT
"""What all panels share: tags, tooltips, reasons for what is disabled, and widgets that are set only when they change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dearpygui.dearpygui as dpg

from app import commands
from app.gui import theme
from app.gui.edit_handlers import EditHandlers
from app.gui.panel import PanelContext
from app.session import Session
from engine.messages import Event

# Meaning, not hue: a panel says what a text means, the theme how that looks.
COLOURS = {
    "text": theme.TEXT,
    "quiet": theme.MUTED,
    "good": theme.GOOD,
    "warn": theme.WARNING,
    "bad": theme.BAD,
    "accent": theme.ACCENT,
    "held out": theme.HELD_OUT,
}
TIP_WRAP_PX = 340


class BasePanel(ABC):
    """A panel builds its widgets in `layout` and follows the session in `refresh`; some hear events too."""

    id = ""
    title = ""

    def __init__(self) -> None:
        self.context: PanelContext
        self._shown: dict[tuple[str, str], Any] = {}  # (widget, property) -> what was set last
        self._edit_handlers = EditHandlers()

    def build(self, parent: int | str, context: PanelContext) -> None:
        """Create the widgets under `parent`. Called once."""
        self.context = context
        with dpg.group(parent=parent, tag=self.tag("body")):
            self.layout()
        # Numbers stand on the bars, so bars are of the darker accent.
        self.paint("body", dpg.mvProgressBar, dpg.mvThemeCol_PlotHistogram, theme.ACCENT_DEEP)

    @abstractmethod
    def layout(self) -> None:
        """Create the widgets inside the group that is open."""

    @abstractmethod
    def refresh(self, session: Session) -> None:
        """Bring the widgets up to date."""

    def on_event(self, event: Event) -> None:
        """Hear one engine event; most panels read the session instead."""
        return None

    def tag(self, name: str) -> str:
        """Return the tag of a widget of this panel."""
        return f"{self.id}/{name}"

    def px(self, length: float) -> int:
        """Return a length of an ordinary screen in pixels of this one."""
        return round(length * self.context.scale)

    # --- building ---------------------------------------------------------------------------------------

    @contextmanager
    def form(self, label_share: float = 0.4) -> Iterator[None]:
        """Open a two-column table, labels left and values right; fill it with `field`."""
        with dpg.table(header_row=False, policy=dpg.mvTable_SizingStretchProp, pad_outerX=False):
            dpg.add_table_column(init_width_or_weight=label_share)
            dpg.add_table_column(init_width_or_weight=1.0 - label_share)
            yield

    @contextmanager
    def field(self, label: str, name: str = "", tip: str = "") -> Iterator[None]:
        """Open one row of a form; the widget made inside stands right of its label."""
        row: dict[str, Any] = {"tag": self.tag(f"{name}-row")} if name else {}
        with dpg.table_row(**row):
            named = {"tag": self.tag(f"{name}-name")} if name else {}
            text = dpg.add_text(label, color=COLOURS["quiet"], **named)
            if tip:
                with dpg.tooltip(text):
                    dpg.add_text(tip, wrap=self.px(TIP_WRAP_PX))
            yield

    def number(self, label: str, name: str, tip: str = "") -> None:
        """Add a row that shows a number or a word; set it with `put`."""
        with self.field(label, name, tip):
            dpg.add_text("–", tag=self.tag(name))

    def button(self, command_id: str, label: str = "", width: int = -1) -> None:
        """Add a button for a command of the registry; `allow_commands` keeps it honest."""
        command = commands.find(command_id)
        run = self.context.run
        dpg.add_button(
            label=label or command.label,
            tag=self.tag(command_id),
            width=width,
            callback=lambda: run(command_id),
        )
        self.explain(command_id, commands.tooltip(command))

    @contextmanager
    def plot(self, name: str, **options: Any) -> Iterator[None]:
        """Add a plot as wide as its place; inside, add its axes."""
        tag = self.tag(name)
        with dpg.plot(tag=tag, width=-1, no_menus=True, no_mouse_pos=True, **options):
            yield
        dpg.bind_item_theme(tag, self.context.plot_theme)

    @contextmanager
    def columns(self, count: int) -> Iterator[None]:
        """Open one row of equally wide cells."""
        with dpg.table(header_row=False, policy=dpg.mvTable_SizingStretchSame, pad_outerX=False):
            for _ in range(count):
                dpg.add_table_column()
            with dpg.table_row():
                yield

    def paint(self, name: str, kind: int, target: int, colour: theme.Colour) -> None:
        """Give a widget, and what is inside it, a colour in one role."""
        with dpg.theme() as paint, dpg.theme_component(kind):
            dpg.add_theme_color(target, colour, category=dpg.mvThemeCat_Core)
        dpg.bind_item_theme(self.tag(name), paint)

    # --- showing ----------------------------------------------------------------------------------------

    def put(self, name: str, value: Any, colour: str = "") -> None:
        """Set a widget's value, if it is another one; a widget that is being dragged or typed into is left alone."""
        tag = self.tag(name)
        if self._shown.get((name, "value"), _NOTHING) != value and not dpg.get_item_state(tag).get(
            "active", False
        ):
            self._shown[name, "value"] = value
            dpg.set_value(tag, value)
        if colour:
            self.configure(name, color=COLOURS[colour])

    def configure(self, name: str, **properties: Any) -> None:
        """Set properties of a widget that differ from what was set last."""
        changed = {
            key: value for key, value in properties.items() if self._shown.get((name, key), _NOTHING) != value
        }
        if changed:
            self._shown.update({(name, key): value for key, value in changed.items()})
            dpg.configure_item(self.tag(name), **changed)

    def explain(self, name: str, text: str) -> None:
        """Set the tooltip of a widget."""
        tip = self.tag(f"{name}-tip")
        if not dpg.does_item_exist(tip):
            with dpg.tooltip(self.tag(name), delay=0.3):
                dpg.add_text(text, tag=tip, wrap=self.px(TIP_WRAP_PX))
        elif self._shown.get((name, "tip")) != text:
            dpg.set_value(tip, text)
        self._shown[name, "tip"] = text

    def allow(self, name: str, reason: str | None, help_text: str) -> None:
        """Enable a widget, or disable it and give the reason in its tooltip."""
        self.configure(name, enabled=reason is None)
        self.explain(name, help_text if reason is None else f"{reason}\n\n{help_text}")

    def allow_commands(self, session: Session, *command_ids: str) -> None:
        """Enable and disable the buttons of commands as the registry says."""
        for command_id in command_ids:
            command = commands.find(command_id)
            self.allow(command_id, command.enabled_when(session), commands.tooltip(command))

    def edited(self, name: str, callback: Callable[[Any], None]) -> None:
        """Call back with the widget's value once the person has finished changing it."""
        self._edit_handlers.add(self.tag(name), callback)

    def forget(self, name: str) -> None:
        """Set the widget anew at the next refresh, whatever was shown: a value that was typed in was refused."""
        self._shown.pop((name, "value"), None)


_NOTHING = object()
