# SPDX-License-Identifier: MIT
"""What people do in the window: every command of the registry, and what panels and dialogs ask for, ends here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import commands, views_table
from app.gui import theme
from app.gui.chooser import Choice
from app.gui.columns import Columns
from app.gui.dialogs import Dialogs
from app.gui.exports import Exports
from app.gui.guarding import Guarding
from app.gui.import_dialog import ImportDialog
from app.gui.preferences import Preferences
from app.gui.reports import Reports
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
    preferences: Preferences
    wake: Callable[[], None]  # draw the window soon
    look: theme.Theme
    run: Callable[[str], None]  # a command of the registry, by id
    do: Callable[[str, Any], None]  # an action of a desk, by name


class Actions:
    """`commands.AppActions`, and more of the kind."""

    def __init__(self, parts: Parts) -> None:
        self.session = parts.session
        self.leaving = False
        self._parts = parts
        self._last_folder = str(Path.cwd())
        self.guard = Guarding(parts.session, parts.dialogs, parts.reports, self._save)
        self._actions: dict[str, Callable[[Any], None]] = {
            "goto_view": self.goto_view,
            "open": self.open_path,
            "follow": self.follow_run,
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
        """Ask for a "scene" or "run" folder and open it, for a run to "follow", or for one to put "beside" the open model."""
        scene, folder = self.session.scene, self._last_folder
        if kind in ("run", "beside", "follow") and scene is not None:  # the others lie beside the present one
            folder = str(Path(scene.run_folder).parent)
        then = {
            "beside": lambda path: self.send(messages.OpenBeside(path)),
            "follow": self.follow_run,
        }.get(kind, self.open_path)
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
        folder = self.session.output_folder()
        folder = folder if folder.is_dir() else Path(self._last_folder)

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
        self.do("help.toggle")

    def quit(self) -> None:
        """Leave, after asking about what would be lost; training is saved by the worker as it stops."""
        self.guard.ask("Quit", self.leave)

    def leave(self) -> None:
        """Leave now."""
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
        """Open what a path holds: a scene, a run or "demo", a camera path, the view of a screenshot; say what anything else is
        and what to do with it.
        """
        from engine.datasets.recognise import NotASceneError, recognise

        self._last_folder = str(Path(path).parent)
        if holds_view(path):
            self.do("export.open_view", path)
            return
        found = recognise(path)
        if found.kind == "run":
            self._open(messages.OpenRun(str(found.path)))
        elif found.is_scene or found.kind == "missing":  # of nothing the worker says so
            self._open(messages.OpenScene(path, self.session.method, start=path in BUILT_IN))
        elif found.kind == "camera_path" or (found.kind == "unknown" and path.lower().endswith(".json")):
            self.do("path.open", path)
        elif found.kind in ("photos", "video"):
            self._parts.imports.ask(str(found.path))
        elif found.kind == "inside":
            question = f"{found.sentence} Open it?"
            self._parts.dialogs.confirm(question, "Open", lambda: self.open_path(str(found.path)))
        else:
            self._parts.dialogs.error("This is no scene", (str(NotASceneError(Path(path), found)),))

    def follow_run(self, path: str) -> None:
        """Watch a run that another process trains."""
        self._open(messages.OpenRun(path, follow=True))

    def _open(self, command: messages.Command) -> None:
        self.guard.ask("Open", lambda: self.send(command))

    def _save(self, action: str) -> None:
        """Save one of the things that `app.guard` names."""
        if action == "save_checkpoint":
            self.send(messages.SaveCheckpoint())
        else:
            self.do(action)
