# SPDX-License-Identifier: MIT
"""Opening and saving the camera path: asks for the file, says what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.gui.chooser import Choice
from app.gui.path_editor import PathEditor
from app.gui.path_store import SUFFIX, PathStore
from app.view.path_files import FORMATS
from engine.errors import UserError
from engine.messages import Logged

if TYPE_CHECKING:
    from app.gui.actions import Parts

OPENED = (".*", ".json", ".txt")  # a COLMAP model is text


class PathFiling:
    """Between the dialogs and the store."""

    def __init__(self, parts: Parts, editor: PathEditor, store: PathStore) -> None:
        self._parts, self._session, self._editor, self._store = parts, parts.session, editor, store

    def open(self, file: str | None) -> None:
        """Read a file; ask for it if none is named."""
        if file is None:
            self._parts.dialogs.open_file("Open a camera path", self._folder(), OPENED, self._read)
        else:
            self._read(file)

    def _read(self, file: str) -> None:
        session = self._session
        try:
            path, format, notes = self._store.read(file)
        except UserError as error:
            self._parts.reports.failed("The camera path was not opened", error)
            return
        self._editor.become("Open path", path, [], file=file if format == FORMATS[0] else "")
        session.path_kept = path
        session.timeline.shown, session.playhead_s = True, path.start_s
        of = "" if format == FORMATS[0] else f", a path of {format}"
        self._tell(f"opened {Path(file).name}{of}", notes)

    def save(self) -> None:
        """Write the path into its file; ask for one if it has none."""
        if self._session.path_file:
            self._write(self._session.path_file, FORMATS[0])
        else:
            self.save_as()

    def save_as(self) -> None:
        """Ask for a file and a format and write the path."""

        def choose(name: str) -> None:
            self._store.format = name

        def then(file: str) -> None:
            self._write(file, self._store.format)

        choice = Choice("Format", FORMATS, self._store.format, choose)
        file = self._session.path_file
        name = Path(file).stem if file else f"{self._session.scene.name} path"
        self._parts.dialogs.save("Save the camera path", self._folder(), name, SUFFIX, then, choice)

    def _write(self, file: str, format: str) -> None:
        try:
            self._tell(f"saved {file}", self._store.write(file, format))
        except UserError as error:
            self._parts.reports.failed("The camera path was not saved", error)

    def _tell(self, done: str, notes: tuple[str, ...]) -> None:
        """Say what was done; what a format cannot hold or had to be guessed is also in the log, where it stays."""
        self._parts.reports.note(" ".join([f"{done}:", *notes]) if notes else done)
        for note in notes:
            self._parts.reports.emit(Logged("warning", note))

    def _folder(self) -> str:
        if self._session.path_file:
            return str(Path(self._session.path_file).parent)
        return str(self._store.folder() or Path.cwd())
