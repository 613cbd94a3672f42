# SPDX-License-Identifier: MIT
"""The help window: every command with its keys as they are now, and every gesture of the mouse, to be searched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from app import commands, shortcuts
from app.command_search import Entry, score
from app.gui import theme
from app.view import gestures, sticks
from engine.messages import Event

if TYPE_CHECKING:
    from app.gui.actions import Parts

WIDTH, HEIGHT = 900, 640
MOUSE, PAD = "Mouse and flying", "Gamepad and 3D mouse"
SHARES = (0.17, 0.26, 0.57)


class HelpWindow:
    """Made anew each time it opens, so that it says the keys of now."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._look = parts, parts.look
        self._window: int | str | None = None
        self._groups: dict[
            str, tuple[int | str, list[tuple[int | str, Entry]]]
        ] = {}  # title -> its part, its rows
        parts.dialogs.escapes.append(self._escape)

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return what it can do."""
        return {"help.toggle": lambda _: self._close() if self._shown else self._open()}

    def on_event(self, event: Event) -> None:
        """What can be done does not depend on the model."""

    def update(self, dt: float) -> bool:
        """Nothing moves by itself."""
        return False

    def close(self) -> None:
        """Nothing to let go of."""

    @property
    def _shown(self) -> bool:
        return (
            self._window is not None and dpg.does_item_exist(self._window) and dpg.is_item_shown(self._window)
        )

    def _open(self) -> None:
        self._close()
        px = self._look.sizes.px
        width, height = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        wide, high = min(px(WIDTH), width - px(40)), min(px(HEIGHT), height - px(60))
        self._window = dpg.add_window(
            label="Commands and keys", width=wide, height=high, no_collapse=True, on_close=self._close,
            pos=[(width - wide) // 2, (height - high) // 2],
        )  # fmt: skip
        dpg.bind_item_theme(self._window, self._look.floating)
        with dpg.group(parent=self._window):
            field = dpg.add_input_text(
                hint="Find a command or a key", width=-1, callback=lambda s, text: self._filter(text)
            )
            self._nothing = dpg.add_text(
                "Nothing is called that. Try fewer letters.", color=theme.MUTED, show=False
            )
            with dpg.child_window(border=False, height=-1):
                self._groups.clear()
                preset = self._parts.session.settings.mouse.buttons
                self._group(
                    MOUSE,
                    [Entry(name, name, MOUSE, text, keys) for keys, name, text in gestures.rows(preset)],
                )
                self._group(PAD, _pad_entries())
                for menu in commands.MENUS:
                    self._group(
                        menu, [_entry(command) for command in commands.COMMANDS if command.menu == menu]
                    )
        dpg.focus_item(field)

    def _group(self, title: str, entries: list[Entry]) -> None:
        rows = []
        with dpg.group() as part:
            dpg.add_spacer(height=self._look.sizes.px(2))
            heading = dpg.add_text(title, color=theme.ACCENT)
            if self._look.bold is not None:
                dpg.bind_item_font(heading, self._look.bold)
            with dpg.table(header_row=False, policy=dpg.mvTable_SizingStretchProp, row_background=True):
                for share in SHARES:
                    dpg.add_table_column(init_width_or_weight=share)
                for entry in entries:
                    with dpg.table_row() as row:
                        dpg.add_text(entry.chord, color=theme.MUTED, wrap=0)
                        dpg.add_text(entry.label, wrap=0)
                        dpg.add_text(entry.text, color=theme.MUTED, wrap=0)
                    rows.append((row, entry))
        self._groups[title] = part, rows

    def _filter(self, query: str) -> None:
        found = 0
        for part, rows in self._groups.values():
            hits = [not query.strip() or score(query, entry) > 0.0 for _, entry in rows]
            for (row, _), hit in zip(rows, hits, strict=True):
                dpg.configure_item(row, show=hit)
            dpg.configure_item(part, show=any(hits))
            found += sum(hits)
        dpg.configure_item(self._nothing, show=not found)

    def _escape(self) -> bool:
        shown = self._shown
        self._close()
        return shown

    def _close(self) -> None:
        if self._window is not None and dpg.does_item_exist(self._window):
            dpg.delete_item(self._window)
        self._window = None


def _entry(command: commands.Command) -> Entry:
    return Entry(command.id, command.label, command.menu, command.help, shortcuts.chord_of(command))


def _pad_entries() -> list[Entry]:
    """Return what sticks do, and the buttons with the commands behind them."""
    moves = [Entry(keys, name, PAD, text, keys) for keys, name, text in sticks.ROWS]
    for keys, command_id in sticks.BUTTONS.values():
        command = commands.find(command_id)
        moves.append(Entry(keys, command.label, PAD, command.help, keys))
    return moves
