# SPDX-License-Identifier: MIT
"""The open camera path and its files: opened, saved in the format that is asked for, kept in the run folder by itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from app.session import Session
from app.view.path import CameraPath
from app.view.path_files import FORMATS, read_path, write_path
from engine.errors import UserError
from engine.messages import SceneOpened

log = logging.getLogger(__name__)

NAME = "path.json"  # in the run folder
KEEP_AFTER_S = 1.5  # of rest since the last edit
SUFFIX = ".json"


class PathStore:
    """Reads and writes `session.path`. `update` once a turn; a file that cannot be kept costs one line in the log."""

    def __init__(self, session: Session, note: Callable[[str], None]) -> None:
        self._session, self._note = session, note
        self.format = FORMATS[0]  # of the next "save as"
        self._seen: CameraPath | None = None
        self._rest_s = 0.0
        self._kept: tuple[CameraPath | None, str] = (None, "")  # the path and the folder it was kept in
        self._writing: threading.Thread | None = None

    # --- for people -------------------------------------------------------------------------------------------

    def read(self, file: str) -> tuple[CameraPath, str, tuple[str, ...]]:
        """Return the path of a file, its format and what is to be said of it; UserError if there is none."""
        found = read_path(file, self._units())
        return found.path, found.format, found.notes

    def write(self, file: str, format: str) -> tuple[str, ...]:
        """Write the path; return what the format cannot hold. The app's own format becomes the path's file."""
        session, export = self._session, self._session.export
        size = export.width, export.height_px
        notes = write_path(file, session.path, self._units(), format, size=size, fps=float(export.fps))
        if format == FORMATS[0]:
            session.path_file, session.path_kept = file, session.path
        return notes

    def _units(self) -> np.ndarray:
        scene = self._session.scene
        if scene is None:
            raise UserError("A camera path is in the units of a scene; open a scene first.")
        return scene.data_from_engine

    # --- by itself --------------------------------------------------------------------------------------------

    def folder(self) -> Path | None:
        """Return the folder that the path is kept in, None while there is none."""
        return _folder_of(self._session.scene)

    def left_here(self) -> CameraPath | None:
        """Return the path that was kept in the run folder, None without one."""
        folder = self.folder()
        if folder is None or not (folder / NAME).is_file():
            return None
        try:
            path = read_path(folder / NAME, self._units()).path
        except UserError as error:
            log.warning("kept camera path ignored reason=%s", error)
            self._note(str(error))
            return None
        self._kept = path, str(folder)
        return path

    def spare(self) -> None:
        """The path came along into this folder: leave what may lie there alone until the path is edited."""
        folder = self.folder()
        if folder is not None and (folder / NAME).exists():
            self._kept = self._session.path, str(folder)

    def update(self, dt: float) -> None:
        """Keep the path once nobody has edited it for a moment."""
        session = self._session
        if session.path is not self._seen:
            self._seen, self._rest_s = session.path, 0.0
        self._rest_s += dt
        if self._rest_s >= KEEP_AFTER_S and not session.timeline.playing:
            self._rest_s = 0.0
            self.keep(session.scene)

    def keep(self, scene: SceneOpened | None, wait: bool = False) -> None:
        """Write the path into the run folder of a scene if it is not there yet, beside the window's thread."""
        session, folder = self._session, _folder_of(scene)
        busy = self._writing is not None and self._writing.is_alive()
        if folder is None or (busy and not wait) or self._kept == (session.path, str(folder)):
            return
        if session.path is None and (self._kept[0] is None or self._kept[1] != str(folder)):
            return
        if busy:
            self._writing.join()
        self._kept = session.path, str(folder)
        if not session.path_file:
            session.path_kept = session.path
        arguments = folder / NAME, session.path, scene.data_from_engine
        self._writing = threading.Thread(target=self._keep, args=arguments, name="path-keeper")
        self._writing.start()
        if wait:
            self._writing.join()

    def _keep(self, file: Path, path: CameraPath | None, data_from_engine: np.ndarray) -> None:
        """Write the file, on a thread of its own; what could not be written counts as unsaved."""
        try:
            if path is None:
                file.unlink(missing_ok=True)
            else:
                write_path(file, path, data_from_engine)
        except (UserError, OSError) as error:
            log.warning("camera path not kept reason=%s", error)
            if path is not None and self._session.path_kept is path:
                self._session.path_kept = None


def _folder_of(scene: SceneOpened | None) -> Path | None:
    if scene is None or not scene.run_folder or scene.followed:  # another process writes a followed run
        return None
    folder = Path(scene.run_folder)
    return folder if folder.is_dir() else None
