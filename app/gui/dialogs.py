# SPDX-License-Identifier: MIT
"""Windows that float above the rest: choose a folder, an error (`error_card.py`), a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from app.gui import theme
from app.gui.chooser import Choice, FolderChooser
from app.gui.error_card import ErrorCard


class Dialogs:
    """At most one of each; `blocking` while one wants an answer."""

    def __init__(self, look: theme.Theme, size: Callable[[], tuple[int, int]]) -> None:
        self._look, self._size = self.look, self.size = look, size  # also for the dialogs of features
        self._modal: int | str | None = None
        self._chooser: int | str | None = None
        self._card = ErrorCard(look, size)
        self.claims: list[Callable[[], bool]] = []  # of others that want the keyboard for themselves
        self.escapes: list[
            Callable[[], bool]
        ] = []  # of others: close what is on top, return whether anything was
        self._confirmed: Callable[[], None] | None = None  # what Enter does in the question that is open
        self._declining: list[int | str] = []  # its other buttons
        self._folders: FolderChooser | None = None

    @property
    def error_window(self) -> int | str | None:
        """The window that tells of an error, None without one."""
        return self._card.window

    @property
    def blocking(self) -> bool:
        """Whether the keyboard belongs to a dialog."""
        own = any(item is not None and _shown(item) for item in (self._modal, self._chooser))
        return own or any(claim() for claim in self.claims)

    def escape(self) -> bool:
        """Close what lies on top without an answer, as Escape does; return whether anything did."""
        for name in ("_modal", "_chooser"):
            if getattr(self, name) is not None and _shown(getattr(self, name)):
                self._forget(name)
                return True
        if any(close() for close in reversed(self.escapes)):
            return True
        shown = self._card.window is not None
        self._card.close()
        return shown

    def enter(self) -> bool:
        """Answer the question that is open with yes, or open what the chooser stands at, as Enter does; return whether.

        Where the arrow keys went to another button, or somebody types, Enter is theirs.
        """
        if self._modal is not None and _shown(self._modal):
            elsewhere = any(
                dpg.is_item_focused(item) for item in self._declining if dpg.does_item_exist(item)
            )
            if self._confirmed is None or elsewhere:
                return False
            self._confirmed()
            return True
        if self._folders is not None and self._folders.ready:
            self._folders.accept()
            return True
        return False

    def choose(
        self, kind: str, folder: str, then: Callable[[str], None], choice: Choice | None = None
    ) -> None:
        """Ask for the folder of a "scene", a "run" or a run "beside"; `then` gets its path."""
        self._forget("_chooser")
        self._folders = FolderChooser(self._look, self._size(), kind, folder, then, choice)
        self._chooser = self._folders.window

    def open_file(
        self, title: str, folder: str, suffixes: Sequence[str], then: Callable[[str], None]
    ) -> None:
        """Ask for a file to read, of those that end in one of some suffixes; `then` gets its path."""
        self._ask_for_file(title, folder, "", suffixes, lambda data: then(file_asked_for(data, "")), None)

    def save(
        self,
        title: str,
        folder: str,
        name: str,
        suffix: str,
        then: Callable[[str], None],
        choice: Choice | None = None,
    ) -> None:
        """Ask where to write a file; `then` gets its path, which ends in `suffix`."""
        self._ask_for_file(
            title, folder, name, (suffix,), lambda data: then(file_asked_for(data, suffix)), choice
        )

    def _ask_for_file(
        self,
        title: str,
        folder: str,
        name: str,
        suffixes: Sequence[str],
        then: Callable[[dict[str, Any]], None],
        choice: Choice | None,
    ) -> None:
        self._forget("_chooser")
        px, (width, height) = self._look.sizes.px, self._size()

        def chosen(sender: Any, data: dict[str, Any]) -> None:
            then(data)

        self._chooser = dpg.add_file_dialog(
            label=title, modal=True, default_path=folder, default_filename=name, callback=chosen,
            width=min(px(720), width - px(60)), height=min(px(460), height - px(80)),
        )  # fmt: skip
        for suffix in suffixes:
            dpg.add_file_extension(suffix, parent=self._chooser)
        if choice is not None:  # beside the list of files
            with dpg.group(parent=self._chooser):
                dpg.add_text(choice.label, color=theme.MUTED)
                dpg.add_combo(
                    choice.items, default_value=choice.chosen, width=px(130),
                    callback=lambda sender, value: choice.act(value),
                )  # fmt: skip
        dpg.bind_item_theme(self._chooser, self._look.floating)

    def confirm(self, question: str, button: str, then: Callable[[], None]) -> None:
        """Ask a question with two buttons; `then` runs if the one with the given name is pressed."""
        window = self._open_modal("Please confirm", 420)
        dpg.add_text(question, parent=window, wrap=self._look.sizes.px(390))
        dpg.add_spacer(height=self._look.sizes.px(6), parent=window)

        act = self._confirmed = self._once(then)
        with dpg.group(horizontal=True, parent=window):
            yes = dpg.add_button(label=button, width=self._look.sizes.px(120), callback=act)
            dpg.bind_item_theme(yes, self._look.primary)
            dpg.focus_item(yes)
            self._cancel(width=self._look.sizes.px(120))

    def ask(
        self, heading: str, lines: Sequence[str], buttons: Sequence[tuple[str, Callable[[], None]]]
    ) -> None:
        """Ask what to do about some things, with a button for each way and one to stay as one is."""
        window = self._open_modal("Please confirm", 460)
        px = self._look.sizes.px
        dpg.add_text(heading, parent=window, wrap=px(430))
        for line in lines:
            dpg.add_text(line, parent=window, wrap=px(410), color=theme.MUTED, bullet=True)
        dpg.add_spacer(height=px(6), parent=window)

        with dpg.group(horizontal=True, parent=window):
            for number, (label, act) in enumerate(buttons):
                press = self._once(act)
                button = dpg.add_button(label=label, height=px(30), callback=press)
                if number == 0:
                    self._confirmed = press
                    dpg.bind_item_theme(button, self._look.primary)
                    dpg.focus_item(button)
                else:
                    self._declining.append(button)
            self._cancel(height=px(30))

    def _once(self, act: Callable[[], None]) -> Callable[[], None]:
        """Return what closes the question and acts, once: Enter may press the button too."""
        question = self._modal

        def press() -> None:
            if question is not None and self._modal == question:
                self._confirmed = None
                self._forget("_modal")
                act()

        return press

    def _cancel(self, **size: int) -> None:
        self._declining.append(
            dpg.add_button(label="Cancel", callback=lambda: self._forget("_modal"), **size)
        )

    def error(
        self,
        what: str,
        chain: Sequence[str],
        offers: Sequence[tuple[str, Callable[[], None]]] = (),
        details: str = "",
    ) -> None:
        """Say what failed, why and what to do, with a button for each way on; a newer error takes the place of an older one."""
        self._card.show(what, chain, offers, details)

    def _open_modal(self, title: str, wide: int) -> int | str:
        self._forget("_modal")
        self._declining.clear()
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
