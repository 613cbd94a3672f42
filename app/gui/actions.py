# SPDX-License-Identifier: MIT
"""What people do in the window: every command of the registry, and what panels and dialogs ask for, ends here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from app import commands, views_table
from app.gui import layout as lay
from app.gui.chooser import Choice
from app.gui.columns import Columns
from app.gui.dialogs import Dialogs
from app.gui.exports import Exports
from app.gui.import_dialog import ImportDialog
from app.gui.reports import Reports
from app.gui.text_size import TextSize
from app.gui.viewport import Viewport
from app.session import Session
from app.view.view_record import holds_view
from engine import messages
from engine.datasets.recognise import BUILT_IN
from engine.methods.common import method_names, method_title


@dataclass(frozen=True)
class Parts:
    """What actions act on."""

    session: Session
    send: Callable[[messages.Command], None]  # to the worker
    viewport: Viewport
    dialogs: Dialogs
    columns: Columns
    exports: Exports
    imports: ImportDialog
    reports: Reports
    text_size: TextSize
    wake: Callable[[], None]  # draw the window soon


class Actions:
    """`commands.AppActions`, and more of the kind."""

    def __init__(self, parts: Parts) -> None:
        self.session = parts.session
        self.leaving = False
        self._parts = parts
        self._last_folder = str(Path.cwd())
        self._actions: dict[str, Callable[[Any], None]] = {
            "goto_view": self.goto_view,
            "open": self.open_path,
            "undo": lambda _: self._take_back(self.session.undo.undo, "undone"),
            "redo": lambda _: self._take_back(self.session.undo.redo, "done again"),
        }

    def register(self, actions: dict[str, Callable[[Any], None]]) -> None:
        """Take in the actions of a desk: named "desk.action", called with one argument."""
        twice = self._actions.keys() & actions.keys()
        if twice:
            raise ValueError(f"The window has the action {sorted(twice)[0]!r} already; name it otherwise.")
        self._actions.update(actions)

    # --- commands.AppActions ----------------------------------------------------------------------------------

    def send(self, command: messages.Command) -> None:
        """Hand a command to the worker."""
        self._parts.send(command)

    def goto_view(self, index: int) -> None:
        """Move the camera into a capture view."""
        if self.session.scene is not None and 0 <= index < len(self.session.scene.views):
            self._parts.viewport.goto_view(index)

    def frame_scene(self) -> None:
        """Fit the scene into the picture."""
        self._parts.viewport.frame_scene()

    def go_home(self) -> None:
        """Return to the first camera."""
        self._parts.viewport.go_home()

    def open_dialog(self, kind: str) -> None:
        """Ask for a "scene" or "run" folder and open it, or for a run to put "beside" the open model."""
        scene, folder = self.session.scene, self._last_folder
        if kind in ("run", "beside") and scene is not None:  # the others lie beside the present one
            folder = str(Path(scene.run_folder).parent)
        then = self.open_path if kind != "beside" else lambda path: self.send(messages.OpenBeside(path))
        self._parts.dialogs.choose(kind, folder, then, self._method_choice() if kind == "scene" else None)

    def _method_choice(self) -> Choice:
        """Return the choice of the method for the scene that is opened next."""
        names = {method_title(name): name for name in method_names()}

        def choose(title: str) -> None:
            self.session.method = names[title]

        return Choice("Method", tuple(names), method_title(self.session.method), choose)

    def import_photos(self) -> None:
        """Ask for photos or a video to make a scene of."""
        self._parts.imports.ask()

    def confirm(self, question: str, button: str, then: Callable[[], None]) -> None:
        """Ask before something that cannot be undone."""
        self._parts.dialogs.confirm(question, button, then)

    def export(self, kind: str) -> None:
        """Start an export of a preset or the path with the settings of the export panel."""
        self.do("export.preset", kind)

    def export_views(self) -> None:
        """Ask for a file and write the table of views into it."""
        scene = self.session.scene
        folder = (
            Path(scene.run_folder) if scene and Path(scene.run_folder).is_dir() else Path(self._last_folder)
        )

        def write(path: str) -> None:
            try:
                Path(path).write_text(views_table.csv_text(views_table.rows(self.session)), encoding="utf-8")
            except OSError as error:
                self._parts.reports.failed(f"Cannot save {path}", error)
                return
            self._parts.reports.note(f"saved {path}")

        self._parts.dialogs.save("Write the table of views", str(folder), "views", ".csv", write)

    def toggle_help(self) -> None:
        """Show or hide the list of commands."""
        self._parts.dialogs.toggle_help()

    def quit(self) -> None:
        """Leave; training is saved by the worker as it stops."""
        self.leaving = True

    # --- what panels, menus and dialogs ask for ---------------------------------------------------------------

    def run(self, command_id: str) -> None:
        """Run a registry command; if it cannot run now, say why."""
        try:
            reason = commands.perform(command_id, self)
        except Exception as error:
            self._parts.reports.failed(f"{commands.find(command_id).label} failed", error)
            return
        if reason is not None:
            self._parts.reports.note(reason)
        self._parts.wake()

    def do(self, action: str, argument: Any = None) -> None:
        """Do something with an argument for a panel or a command."""
        if action not in self._actions:
            raise ValueError(f"The window has no action {action!r}; it has {', '.join(self._actions)}.")
        self._actions[action](argument)
        self._parts.wake()

    def _take_back(self, step: Callable[[], str | None], what: str) -> None:
        label = step()
        if label is not None:
            self._parts.reports.note(f"{label[:1].lower()}{label[1:]}: {what}")

    def open_path(self, path: str) -> None:
        """Open what a path holds: a scene, a run or "demo"; say what anything else is and what to do with it."""
        from engine.datasets.recognise import NotASceneError, recognise

        self._last_folder = str(Path(path).parent)
        if holds_view(path):
            self.do("export.open_view", path)
            return
        found = recognise(path)
        if found.kind == "run":
            self.send(messages.OpenRun(str(found.path)))
        elif found.is_scene or found.kind == "missing":  # of nothing the worker says so
            self.send(messages.OpenScene(path, self.session.method, start=path in BUILT_IN))
        elif found.kind in ("photos", "video"):
            self._parts.imports.ask(str(found.path))
        elif found.kind == "inside":
            question = f"{found.sentence} Open it?"
            self._parts.dialogs.confirm(question, "Open", lambda: self.open_path(str(found.path)))
        else:
            self._parts.dialogs.error("This is no scene", (str(NotASceneError(Path(path), found)),))

    def window_items(self) -> list[Any]:
        """Return what the View menu says of the window: label, action, whether it is on (None: no toggle)."""
        columns = self._parts.columns

        def toggler(slot: str) -> Callable[[], None]:
            return lambda: columns.toggle(slot)

        def shown(slot: str) -> Callable[[], bool]:
            return lambda: getattr(columns.layout, f"show_{slot}")

        return [
            *(
                (f"{slot.capitalize()} panels", toggler(slot), shown(slot))
                for slot in ("left", "right", "bottom")
            ),
            ("Larger text", lambda: self._zoom_text(1.1), None),
            ("Smaller text", lambda: self._zoom_text(1 / 1.1), None),
            ("Reset layout", self._reset_layout, None),
        ]

    def _zoom_text(self, factor: float) -> None:
        scale = self._parts.text_size.zoom(factor)
        self._parts.reports.note(f"text at {scale:.0%}; spacing follows at the next start")

    def _reset_layout(self) -> None:
        columns = self._parts.columns
        width, height = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        columns.layout = replace(lay.Layout(), recent=columns.layout.recent, width=width, height=height)
        self._parts.text_size.show()
