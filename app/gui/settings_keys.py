# SPDX-License-Identifier: MIT
"""The page of the keys: click a command's keys, press others; what is taken already is said, and can be swapped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from app import commands, shortcuts
from app.command_search import Entry, score
from app.gui import theme
from app.gui.keyboard import chord_pressed

if TYPE_CHECKING:
    from app.gui.actions import Parts

_HINT = (
    "Click the keys of a command and press others. Delete takes them away, Escape leaves them as they are."
)
_MODIFIERS = {dpg.mvKey_LControl, dpg.mvKey_RControl, dpg.mvKey_LShift, dpg.mvKey_RShift}


class KeysPage:
    """A row for each command. While it waits for keys, nobody else gets them."""

    def __init__(self, parts: Parts, shown: Callable[[], bool]) -> None:
        self._parts, self._look = parts, parts.look
        self._waiting: commands.Command | None = None  # for new keys
        self._wanted = ""  # what was pressed, and is another command's
        self._rows: dict[str, tuple[int | str, int | str, int | str]] = {}
        self._known: dict[str, str] = {}
        self._listening: int | str | None = None
        parts.dialogs.claims.append(lambda: self._waiting is not None and shown())

    def build(self) -> None:
        """Create the page inside the item that is open."""
        px = self._look.sizes.px
        self._rows.clear()
        with dpg.group(horizontal=True):
            dpg.add_input_text(
                hint="Find a command", width=px(240), callback=lambda s, text: self._filter(text)
            )
            reset = dpg.add_button(label="Reset all keys", callback=lambda: self._become({}))
            theme.explain(reset, "Give every command the keys of the first start.")
        self._word = dpg.add_text(_HINT, color=theme.MUTED, wrap=0)
        with dpg.group(horizontal=True, show=False) as self._conflict:
            dpg.bind_item_theme(
                dpg.add_button(label="Swap", width=px(90), callback=self._swap), self._look.primary
            )
            dpg.add_button(label="Cancel", width=px(90), callback=self.stop)
        with dpg.child_window(border=False, height=-1):
            with dpg.table(header_row=False, policy=dpg.mvTable_SizingStretchProp, row_background=True):
                for share in (0.16, 0.44, 0.24, 0.16):
                    dpg.add_table_column(init_width_or_weight=share)
                for command in commands.COMMANDS:
                    self._row(command)
        self._known = {}
        self.update()

    def _row(self, command: commands.Command) -> None:
        with dpg.table_row() as row:
            dpg.add_text(command.menu, color=theme.MUTED)
            theme.explain(dpg.add_text(command.label), command.help)
            keys = dpg.add_button(width=-1, callback=lambda: self._wait(command))
            reset = dpg.add_button(label="Reset", width=-1, callback=lambda: self._reset(command))
            theme.explain(reset, f"Back to {command.shortcut or 'no keys'}.")
        self._rows[command.id] = row, keys, reset

    def update(self) -> None:
        """Show the keys of now."""
        changed = shortcuts.changed()
        for command in commands.COMMANDS:
            chord = "Press keys…" if command is self._waiting else shortcuts.chord_of(command) or "–"
            state = f"{chord} {command.id in changed}"
            if self._known.get(command.id) != state:
                self._known[command.id] = state
                _, keys, reset = self._rows[command.id]
                dpg.configure_item(keys, label=chord)
                dpg.bind_item_theme(keys, self._look.primary if command is self._waiting else 0)
                dpg.configure_item(reset, show=command.id in changed)

    def stop(self) -> bool:
        """Wait no longer; return whether it did."""
        waited, self._waiting = self._waiting is not None, None
        if self._listening is not None:
            dpg.delete_item(self._listening)
            self._listening = None
        if waited and dpg.does_item_exist(self._word):
            dpg.configure_item(self._conflict, show=False)
            self._say(_HINT)
        return waited

    # --- what a person does -----------------------------------------------------------------------------------

    def _filter(self, query: str) -> None:
        for command in commands.COMMANDS:
            entry = Entry(command.id, command.label, command.menu, command.help, shortcuts.chord_of(command))
            dpg.configure_item(self._rows[command.id][0], show=not query.strip() or score(query, entry) > 0.0)

    def _wait(self, command: commands.Command) -> None:
        self.stop()
        self._waiting = command
        self._say(f"Press the new keys of {command.label}. {_HINT.split('. ')[1]}")
        with dpg.handler_registry() as self._listening:
            dpg.add_key_press_handler(callback=lambda s, key: self._pressed(key))

    def _pressed(self, key: int) -> None:
        command = self._waiting
        if command is None or key in _MODIFIERS or key == dpg.mvKey_Escape:
            return
        chord = "" if key in (dpg.mvKey_Delete, dpg.mvKey_Back) else chord_pressed(key)
        if chord is None:
            self._say(
                "This key cannot be a shortcut; use a letter, a figure or another plain key.", theme.WARNING
            )
            return
        refusal = shortcuts.refusal(chord) if chord else None
        if refusal is not None:
            self._say(refusal, theme.WARNING)
            return
        other = shortcuts.conflict(command, chord, commands.COMMANDS)
        if other is None:
            self._assign(command, chord)
            return
        self._wanted = chord
        instead = shortcuts.chord_of(command) or "none"
        self._say(
            f"{chord} belongs to {other.label}. Swap gives that one the keys of this one: {instead}.",
            theme.WARNING,
        )
        dpg.configure_item(self._conflict, show=True)

    def _swap(self) -> None:
        if self._waiting is not None and self._wanted:
            self._assign(self._waiting, self._wanted)

    def _assign(self, command: commands.Command, chord: str) -> None:
        self._become(shortcuts.assigned(shortcuts.changed(), command, chord, commands.COMMANDS))

    def _reset(self, command: commands.Command) -> None:
        self._become(shortcuts.freed(shortcuts.changed(), command, commands.COMMANDS))

    def _become(self, changed: dict[str, str]) -> None:
        self.stop()
        self._parts.preferences.change_keys(changed)

    def _say(self, text: str, colour: theme.Colour = theme.MUTED) -> None:
        dpg.set_value(self._word, text)
        dpg.configure_item(self._word, color=colour)
