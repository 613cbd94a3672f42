# SPDX-License-Identifier: MIT
"""Windows that float above the rest: choose a folder, an error with its causes, a question, the list of commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from app import commands
from app.gui import theme
from app.gui.chooser import Choice, FolderChooser


class Dialogs:
    """At most one of each; `blocking` while one wants an answer."""

    def __init__(self, look: theme.Theme, size: Callable[[], tuple[int, int]]) -> None:
        self._look, self._size = self.look, self.size = look, size  # also for the dialogs of features
        self._modal: int | str | None = None
        self._chooser: int | str | None = None
        self._help: int | str | None = None
        self._error: int | str | None = None

    @property
    def blocking(self) -> bool:
        """Whether the keyboard belongs to a dialog."""
        return any(item is not None and _shown(item) for item in (self._modal, self._chooser))

    def choose(
        self, kind: str, folder: str, then: Callable[[str], None], choice: Choice | None = None
    ) -> None:
        """Ask for the folder of a "scene", a "run" or a run "beside"; `then` gets its path."""
        self._forget("_chooser")
        self._chooser = FolderChooser(self._look, self._size(), kind, folder, then, choice).window

    def save(self, title: str, folder: str, name: str, suffix: str, then: Callable[[str], None]) -> None:
        """Ask where to write a file; `then` gets its path, which ends in `suffix`."""
        self._forget("_chooser")
        px, (width, height) = self._look.sizes.px, self._size()

        def chosen(sender: Any, data: dict[str, Any]) -> None:
            then(file_asked_for(data, suffix))

        self._chooser = dpg.add_file_dialog(
            label=title, modal=True, default_path=folder, default_filename=name, callback=chosen,
            width=min(px(720), width - px(60)), height=min(px(460), height - px(80)),
        )  # fmt: skip
        dpg.add_file_extension(suffix, parent=self._chooser)
        dpg.bind_item_theme(self._chooser, self._look.floating)

    def confirm(self, question: str, button: str, then: Callable[[], None]) -> None:
        """Ask a question with two buttons; `then` runs if the one with the given name is pressed."""
        window = self._open_modal("Please confirm", 420)
        dpg.add_text(question, parent=window, wrap=self._look.sizes.px(390))
        dpg.add_spacer(height=self._look.sizes.px(6), parent=window)

        def act() -> None:
            self._forget("_modal")
            then()

        with dpg.group(horizontal=True, parent=window):
            dpg.bind_item_theme(
                dpg.add_button(label=button, width=self._look.sizes.px(120), callback=act), self._look.primary
            )
            dpg.add_button(
                label="Cancel", width=self._look.sizes.px(120), callback=lambda: self._forget("_modal")
            )

    def error(
        self, what: str, chain: Sequence[str], offers: Sequence[tuple[str, Callable[[], None]]] = ()
    ) -> None:
        """Say what failed and why, with a button for each way on; a newer error takes the place of an older one."""
        self._forget("_error")
        px, (width, _) = self._look.sizes.px, self._size()
        wide = min(px(520), width - px(40))
        lines = [*chain] or [what]
        self._error = dpg.add_window(
            label=what, width=wide, pos=[(width - wide) // 2, px(110)], no_collapse=True, autosize=False,
            no_resize=True, height=1, min_size=[wide, 1], on_close=lambda: self._forget("_error"),
        )  # fmt: skip
        dpg.configure_item(self._error, autosize=True)
        dpg.bind_item_theme(self._error, self._look.floating)
        dpg.add_text(lines[0], parent=self._error, wrap=wide - px(30))
        if len(lines) > 1:
            dpg.add_text("Because", parent=self._error, color=theme.MUTED)
            for line in lines[1:]:
                dpg.add_text(line, parent=self._error, wrap=wide - px(40), color=theme.MUTED, indent=px(10))
        for label, action in offers:
            dpg.add_button(label=label, width=-1, callback=self._closing(action), parent=self._error)
        dpg.add_spacer(height=px(4), parent=self._error)
        text = "\n".join([what, *lines])
        with dpg.group(horizontal=True, parent=self._error):
            close = dpg.add_button(label="Close", width=px(100), callback=lambda: self._forget("_error"))
            dpg.bind_item_theme(close, self._look.primary)
            dpg.add_button(label="Copy", width=px(100), callback=lambda: dpg.set_clipboard_text(text))

    def _closing(self, action: Callable[[], None]) -> Callable[[], None]:
        """Return what a button of the error window does."""

        def act() -> None:
            self._forget("_error")
            action()

        return act

    def toggle_help(self) -> None:
        """Show or hide the commands and keys, made from the registry."""
        if self._help is not None and _shown(self._help):
            self._forget("_help")
            return
        self._forget("_help")
        px, (width, height) = self._look.sizes.px, self._size()
        wide, high = min(px(860), width - px(40)), min(px(640), height - px(80))
        self._help = dpg.add_window(
            label="Commands and keys", width=wide, height=high, no_collapse=True,
            pos=[(width - wide) // 2, (height - high) // 2], on_close=lambda: self._forget("_help"),
        )  # fmt: skip
        dpg.bind_item_theme(self._help, self._look.floating)
        with dpg.group(parent=self._help):
            self._mouse_table()
            for menu in commands.MENUS:
                self._heading(menu)
                rows = [(c.shortcut, c.label, c.help) for c in commands.COMMANDS if c.menu == menu]
                self._table(rows)

    def _mouse_table(self) -> None:
        self._heading("Mouse and flying")
        self._table(
            [
                ("Left drag", "Orbit", "Turn about the point in the middle."),
                ("Right drag", "Look", "Turn the head where you stand."),
                (
                    "Middle drag",
                    "Pan",
                    "What is under the cursor stays under it. Shift + left drag does the same.",
                ),
                ("Wheel", "Dolly", "Go towards what is under the cursor, or away."),
                ("W A S D", "Fly", "Forward, left, back, right; Q down, E up; Shift is faster."),
                ("Click", "Jump", "On a camera frustum: go into that view."),
            ]
        )

    def _heading(self, text: str) -> None:
        dpg.add_spacer(height=self._look.sizes.px(2))
        item = dpg.add_text(text, color=theme.ACCENT)
        if self._look.bold is not None:
            dpg.bind_item_font(item, self._look.bold)

    def _table(self, rows: list[tuple[str, str, str]]) -> None:
        px = self._look.sizes.px
        with dpg.table(header_row=False, policy=dpg.mvTable_SizingFixedFit, row_background=True):
            dpg.add_table_column(width_fixed=True, init_width_or_weight=px(110))
            dpg.add_table_column(width_fixed=True, init_width_or_weight=px(180))
            dpg.add_table_column(width_stretch=True)
            for key, label, text in rows:
                with dpg.table_row():
                    dpg.add_text(key, color=theme.MUTED)
                    dpg.add_text(label)
                    dpg.add_text(text, color=theme.MUTED, wrap=0)

    def _open_modal(self, title: str, wide: int) -> int | str:
        self._forget("_modal")
        px, (width, height) = self._look.sizes.px, self._size()
        self._modal = dpg.add_window(
            label=title, modal=True, no_resize=True, no_collapse=True, width=px(wide), autosize=True,
            pos=[(width - px(wide)) // 2, height // 3], on_close=lambda: self._forget("_modal"),
        )  # fmt: skip
        dpg.bind_item_theme(self._modal, self._look.floating)
        return self._modal

    def _forget(self, name: str) -> None:
        item = getattr(self, name)
        setattr(self, name, None)
        if item is not None and dpg.does_item_exist(item):
            dpg.delete_item(item)


def file_asked_for(data: dict[str, Any], suffix: str) -> str:
    """Return the path a file dialog answered with, which ends in `suffix`.

    Dear PyGui joins a typed name to its folder even if the name is a whole path, so that is done anew here.
    """
    path = str(Path(data["current_path"]) / Path(data["file_name"].removesuffix(".*")).expanduser())
    return path if path.endswith(suffix) else path + suffix


def _shown(item: int | str) -> bool:
    return dpg.does_item_exist(item) and dpg.is_item_shown(item)
