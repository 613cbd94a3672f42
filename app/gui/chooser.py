# SPDX-License-Identifier: MIT
"""The window in which a person chooses a folder: type or paste its path, or walk there; scenes and runs are marked.

Beside folders it lists compact files of voxels, which open like runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dearpygui.dearpygui as dpg

from app.gui import theme
from engine.datasets.recognise import recognise
from engine.datasets.shots import natural_key
from engine.export.formats import COMPACT_SUFFIX

TITLES = {
    "scene": "Open a folder of posed photos",
    "run": "Open a run folder or a file of voxels",
    "beside": "Open a run of the same scene beside",
    "follow": "Open a run that another process trains",
}
LISTED = 300  # folders; somebody with more types the path
WIDTH, HEIGHT = 640, 480
_HINT = "Click a folder to choose it, click it again to look inside; or write its path, and Enter."


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, in the order people count; none where it cannot be read."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir()]
    except OSError:
        return []
    return sorted(found, key=lambda path: natural_key(path.name))[:LISTED]


def compact_files(folder: Path) -> list[Path]:
    """Return the compact files of voxels in a folder, in the order people count."""
    try:
        found = [path for path in folder.glob(f"*{COMPACT_SUFFIX}") if path.is_file()]
    except OSError:
        return []
    return sorted(found, key=lambda path: natural_key(path.name))[:LISTED]


def mark(folder: Path) -> str:
    """Return "run", the kind of scene that a folder holds, "photos", or "" for anything else."""
    found = recognise(folder)
    if found.is_scene:
        return f"{found.kind} scene"
    return found.kind if found.kind in ("run", "photos") else ""


@dataclass(frozen=True)
class Choice:
    """Something else to choose in the same window: its label, what there is, what is chosen, who hears of a change."""

    label: str
    items: tuple[str, ...]
    chosen: str
    act: Callable[[str], None]


class FolderChooser:
    """One modal window. `then` gets the path of what was chosen; the window is closed by then."""

    def __init__(
        self,
        look: theme.Theme,
        size: tuple[int, int],
        kind: str,
        folder: str,
        then: Callable[[str], None],
        choice: Choice | None = None,
    ) -> None:
        self._look, self._then = look, then
        self._folder = _nearest(Path(folder).expanduser().absolute())
        self._rows: dict[int | str, Path] = {}
        px, (width, height) = look.sizes.px, size
        wide, high = min(px(WIDTH), width - px(40)), min(px(HEIGHT), height - px(60))
        self.window = dpg.add_window(
            label=TITLES[kind], modal=True, no_collapse=True, width=wide, height=high,
            pos=[(width - wide) // 2, (height - high) // 2], on_close=self.close,
        )  # fmt: skip
        dpg.bind_item_theme(self.window, look.floating)
        with dpg.group(parent=self.window):
            with dpg.group(horizontal=True):
                dpg.add_button(label="Up", width=px(56), callback=lambda: self.show(self._folder.parent))
                self._path = dpg.add_input_text(width=-1, on_enter=True, callback=self._entered)
            self._list = dpg.add_child_window(height=-px(74), border=False)
            self._word = dpg.add_text("", color=theme.MUTED, wrap=wide - px(30))
            with dpg.group(horizontal=True):
                self._open = dpg.add_button(label="Open", width=px(120), callback=self.accept)
                dpg.bind_item_theme(self._open, look.primary)
                dpg.add_button(label="Cancel", width=px(120), callback=self.close)
                if choice is not None:
                    dpg.add_text(choice.label, color=theme.MUTED, indent=px(300))
                    dpg.add_combo(
                        choice.items, default_value=choice.chosen, width=-1,
                        callback=lambda sender, value: choice.act(value),
                    )  # fmt: skip
        self.show(self._folder)
        dpg.focus_item(self._open)

    @property
    def ready(self) -> bool:
        """Whether Enter means Open: the keyboard is at that button, not at another or in the field."""
        return dpg.does_item_exist(self.window) and dpg.is_item_focused(self._open)

    @property
    def path(self) -> Path:
        """The path in the field."""
        typed = Path(dpg.get_value(self._path).strip() or ".").expanduser()
        return typed if typed.is_absolute() else self._folder / typed

    def show(self, folder: Path) -> None:
        """List a folder and choose it."""
        self._folder = folder
        dpg.delete_item(self._list, children_only=True)
        self._rows.clear()
        folders = [*subfolders(folder), *compact_files(folder)]
        with dpg.table(parent=self._list, header_row=False, policy=dpg.mvTable_SizingStretchProp):
            dpg.add_table_column(init_width_or_weight=0.76)
            dpg.add_table_column(init_width_or_weight=0.24)
            for path in folders:
                with dpg.table_row():
                    row = dpg.add_selectable(label=path.name, span_columns=True, callback=self._clicked)
                    dpg.add_text(mark(path), color=theme.ACCENT)
                self._rows[row] = path
        if not folders:
            dpg.add_text("No folders in here.", parent=self._list, color=theme.MUTED)
        self._choose(folder)

    def close(self) -> None:
        """Go away without choosing."""
        if dpg.does_item_exist(self.window):
            dpg.delete_item(self.window)

    def _choose(self, path: Path) -> None:
        dpg.set_value(self._path, str(path))
        for row, place in self._rows.items():
            dpg.set_value(row, place == path)
        found = recognise(path)
        plain = found.kind in ("unknown", "empty", "inside")
        dpg.set_value(self._word, _HINT if plain else found.sentence)

    def _clicked(self, row: int | str) -> None:
        path = self._rows[row]
        if path == self.path and path.is_file():
            self.accept()
        elif path == self.path and not recognise(path).is_scene:
            self.show(path)
        else:
            self._choose(path)

    def _entered(self) -> None:
        path = self.path
        found = recognise(path)
        if found.is_scene or found.kind == "run":
            self.accept()
        elif path.is_dir():
            self.show(path)
        else:
            dpg.set_value(self._word, f"{found.sentence} {path}")

    def accept(self) -> None:
        """Take what is chosen and close."""
        if not dpg.does_item_exist(self.window):  # Enter was heard twice
            return
        path = self.path
        self.close()
        self._then(str(path))


def _nearest(folder: Path) -> Path:
    """Return the folder, or the first above it that exists."""
    return next((path for path in (folder, *folder.parents) if path.is_dir()), Path.home())
