# SPDX-License-Identifier: MIT
"""The command palette: some letters find any command, panel, option, setting, view or recent scene; Enter runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from app.command_search import Entry, rank
from app.gui import theme
from app.gui.palette_entries import entries
from engine.messages import Event

if TYPE_CHECKING:
    from app.gui.actions import Parts

WIDTH, TOP, ROWS = 660, 64, 12
SHORT = 31  # letters of the middle column
_HINT = "Command, panel, option, setting, view or recent scene"


class Palette:
    """One window over all others; it has the keyboard while it is shown."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._look = parts, parts.look
        self._window: int | str | None = None
        self._found: list[Entry] = []
        self._chosen = 0  # of what was found
        self._first = 0  # of what was found, in the uppermost row
        self._rows: list[tuple[int | str, int | str, int | str, int | str]] = []
        self._greyed: int | str = 0  # themes, made once
        self._striking: int | str = 0
        self._fresh = False
        parts.dialogs.claims.append(lambda: self.shown)
        parts.dialogs.escapes.append(self._escape)

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return what it can do."""
        return {"palette.toggle": lambda _: self._close() if self.shown else self._open()}

    def on_event(self, event: Event) -> None:
        """What can be chosen is looked up when the palette opens and at every letter."""

    def close(self) -> None:
        """Nothing to let go of."""

    def update(self, dt: float) -> bool:
        """Close when the mouse is pressed elsewhere."""
        if not self.shown:
            return False
        if self._fresh:
            self._fresh = False  # the click that opened it is not one beside it
        elif any(dpg.is_mouse_button_clicked(button) for button in (0, 1, 2)) and not self._under_mouse():
            self._close()
            return True
        return False

    @property
    def shown(self) -> bool:
        """Whether it is on the screen."""
        return self._window is not None

    # --- the window -------------------------------------------------------------------------------------------

    def _open(self) -> None:
        px = self._look.sizes.px
        width = min(px(WIDTH), dpg.get_viewport_client_width() - px(24))
        left = (dpg.get_viewport_client_width() - width) // 2
        self._window = dpg.add_window(
            no_title_bar=True, no_move=True, no_resize=True, no_scrollbar=True, width=width, autosize=True,
            pos=[left, px(TOP)], min_size=[width, 10], max_size=[width, 10_000],
        )  # fmt: skip
        dpg.bind_item_theme(self._window, self._look.floating)
        with dpg.group(parent=self._window):
            self._field = dpg.add_input_text(
                hint=_HINT, width=-1, callback=lambda s, text: self._search(text)
            )
            self._make_rows()
            self._word = dpg.add_text("", color=theme.MUTED, wrap=width - px(32))
        with dpg.handler_registry() as self._keys:
            dpg.add_key_press_handler(callback=lambda s, key: self._key(key))
            dpg.add_mouse_wheel_handler(callback=lambda s, notches: self._move(-round(notches)))
        self._fresh = True
        self._search("")
        dpg.focus_item(self._field)

    def _make_rows(self) -> None:
        px = self._look.sizes.px
        self._rows.clear()
        self._greyed = self._greyed or _text_theme(theme.MUTED)
        self._striking = self._striking or _row_theme()
        with dpg.table(header_row=False, policy=dpg.mvTable_SizingStretchProp, pad_outerX=False) as table:
            for share in (0.46, 0.37, 0.17):
                dpg.add_table_column(init_width_or_weight=share)
            for number in range(ROWS):
                with dpg.table_row() as row:
                    label = dpg.add_selectable(
                        span_columns=True,
                        user_data=number,
                        callback=lambda s, a, n: self._click(n),
                        height=px(21),
                    )
                    self._rows.append((row, label, dpg.add_text("", color=theme.MUTED), dpg.add_text("")))
        dpg.bind_item_theme(table, self._striking)

    def _close(self) -> None:
        if self._window is not None:
            dpg.delete_item(self._keys)
            dpg.delete_item(self._window)
            self._window = None

    def _escape(self) -> bool:
        shown = self.shown
        self._close()
        return shown

    def _under_mouse(self) -> bool:
        x, y = dpg.get_mouse_pos(local=False)
        left, top = dpg.get_item_pos(self._window)
        width, height = dpg.get_item_rect_size(self._window)
        return left <= x < left + width and top <= y < top + height

    # --- what was found ---------------------------------------------------------------------------------------

    def _search(self, query: str) -> None:
        if not self.shown:  # the last letter was heard after Enter
            return
        recent = self._parts.columns.layout.recent_commands
        self._found = rank(query, entries(self._parts, with_views=bool(query.strip())), recent)
        self._chosen = self._first = 0
        self._show()

    def _show(self) -> None:
        self._first = min(max(self._first, self._chosen - ROWS + 1), self._chosen)
        for number, (row, label, group, chord) in enumerate(self._rows):
            place = self._first + number
            there = place < len(self._found)
            dpg.configure_item(row, show=there)
            if not there:
                continue
            entry = self._found[place]
            dpg.configure_item(label, label=f"{entry.label}###palette{number}")
            dpg.bind_item_theme(label, self._greyed if entry.reason else 0)
            dpg.set_value(label, place == self._chosen)
            dpg.set_value(group, _short(entry.reason or entry.group))
            dpg.set_value(chord, entry.chord)
        dpg.set_value(self._word, self._said())

    def _said(self) -> str:
        if not self._found:
            return "Nothing is called that. Try fewer letters."
        entry = self._found[self._chosen]
        count = f"{self._chosen + 1} of {len(self._found)}.  " if len(self._found) > ROWS else ""
        return f"{count}{entry.reason or entry.text or entry.group}"

    # --- choosing ---------------------------------------------------------------------------------------------

    def _key(self, key: int) -> None:
        moves = {dpg.mvKey_Down: 1, dpg.mvKey_Up: -1, dpg.mvKey_Next: ROWS, dpg.mvKey_Prior: -ROWS}
        if key in (dpg.mvKey_Return, dpg.mvKey_NumPadEnter):
            self._choose()
        elif key in moves:
            self._move(moves[key])

    def _move(self, rows: int) -> None:
        if self.shown and self._found:
            self._chosen = min(max(self._chosen + rows, 0), len(self._found) - 1)
            self._show()

    def _click(self, number: int) -> None:
        self._chosen = min(self._first + number, len(self._found) - 1)
        self._choose()

    def _choose(self) -> None:
        if not self._found:
            return
        entry = self._found[self._chosen]
        if entry.reason is not None:  # it says why, and stays open for something else
            self._show()
            return
        self._close()
        columns = self._parts.columns
        columns.layout = columns.layout.with_command(entry.key)
        entry.act()


def _short(text: str) -> str:
    """Return what fits into the middle column; the whole of it stands below the rows."""
    return text if len(text) <= SHORT else f"{text[: SHORT - 1].rstrip(' ;,.')}…"


def _text_theme(colour: theme.Colour) -> int | str:
    with dpg.theme() as look, dpg.theme_component(dpg.mvSelectable):
        dpg.add_theme_color(dpg.mvThemeCol_Text, colour, category=dpg.mvThemeCat_Core)
    return look


def _row_theme() -> int | str:
    """Return a theme in which the chosen row stands out."""
    with dpg.theme() as look, dpg.theme_component(dpg.mvSelectable):
        dpg.add_theme_color(dpg.mvThemeCol_Header, theme.ACCENT_DEEP, category=dpg.mvThemeCat_Core)
        dpg.add_theme_color(dpg.mvThemeCol_HeaderHovered, theme.RAISED_HOVER, category=dpg.mvThemeCat_Core)
        dpg.add_theme_style(dpg.mvStyleVar_SelectableTextAlign, 0.0, 0.5, category=dpg.mvThemeCat_Core)
    return look
