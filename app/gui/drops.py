# SPDX-License-Identifier: MIT
"""Files and folders that people drop on the window.

Dear PyGui has no event for that. Where it draws with OpenGL, GLFW is inside its library and speaks the desktop's
drag-and-drop protocol; its symbols are exported, so the callback is set there directly. Elsewhere nothing happens, and
the dialogs and the command line do the same.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections import deque
from pathlib import Path

log = logging.getLogger(__name__)

PHOTOS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".tif", ".tiff", ".bmp"})

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))


class Drops:
    """Collects what is dropped; `take` it from the loop."""

    def __init__(self) -> None:
        self._dropped: deque[tuple[str, ...]] = deque()
        self._callback = _CALLBACK(self._heard)  # kept, or the library would call freed memory
        self._library: ctypes.CDLL | None = None
        self._window: int | None = None

    @property
    def watching(self) -> bool:
        """Whether this platform tells of drops."""
        return self._window is not None

    def watch(self) -> None:
        """Begin; the window's GL context is current on this thread."""
        import dearpygui._dearpygui as native

        try:
            library = ctypes.CDLL(native.__file__)
            library.glfwGetCurrentContext.restype = ctypes.c_void_p
            library.glfwSetDropCallback.argtypes = [ctypes.c_void_p, _CALLBACK]
            library.glfwSetDropCallback.restype = ctypes.c_void_p
            window = library.glfwGetCurrentContext()
        except (OSError, AttributeError) as error:
            log.info("no drag and drop reason=%s", error)
            return
        if window:
            library.glfwSetDropCallback(window, self._callback)
            self._library, self._window = library, window

    def take(self) -> list[tuple[str, ...]]:
        """Return what was dropped since the last call: for each drop its paths."""
        taken = []
        while self._dropped:
            taken.append(self._dropped.popleft())
        return taken

    def stop(self) -> None:
        """End, while the window is still there."""
        if self._library is not None and self._window is not None:
            self._library.glfwSetDropCallback(self._window, ctypes.cast(None, _CALLBACK))
        self._window = None

    def _heard(self, window: int, count: int, paths: ctypes.Array[ctypes.c_char_p]) -> None:
        """Called by the library while it polls events: only remember."""
        self._dropped.append(tuple(os.fsdecode(paths[i]) for i in range(count) if paths[i]))


def one_path(paths: tuple[str, ...]) -> str | None:
    """Return what to open of several dropped paths: the folder whose photos they are; None of anything else than one thing."""
    if len(paths) < 2:
        return paths[0] if paths else None
    folders = {str(Path(path).parent) for path in paths}
    photos = all(os.path.isfile(path) and Path(path).suffix.lower() in PHOTOS for path in paths)
    return folders.pop() if len(folders) == 1 and photos else None


def too_many(paths: tuple[str, ...]) -> str:
    """Return the sentence for several things that were dropped at once."""
    names = [Path(path).name for path in paths]
    told = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
    return f"{len(names)} things were dropped at once ({told}); drop one scene, run, camera path or screenshot at a time."
