# SPDX-License-Identifier: MIT
"""The window's own close button, heard before Dear PyGui closes the window, so that something can be asked first.

Where Dear PyGui draws with OpenGL, GLFW is inside its library (as for `drops.py`); elsewhere the window just closes.
"""

from __future__ import annotations

import ctypes
import logging

log = logging.getLogger(__name__)

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class CloseButton:
    """Remembers that it was pressed; `take` it from the loop."""

    def __init__(self) -> None:
        self._pressed = False
        self._callback = _CALLBACK(self._heard)  # kept, or the library would call freed memory
        self._library: ctypes.CDLL | None = None
        self._window: int | None = None

    def watch(self) -> None:
        """Begin; the window's GL context is current on this thread."""
        import dearpygui._dearpygui as native

        try:
            library = ctypes.CDLL(native.__file__)
            library.glfwGetCurrentContext.restype = ctypes.c_void_p
            library.glfwSetWindowShouldClose.argtypes = [ctypes.c_void_p, ctypes.c_int]
            library.glfwSetWindowCloseCallback.argtypes = [ctypes.c_void_p, _CALLBACK]
            library.glfwSetWindowCloseCallback.restype = ctypes.c_void_p
            window = library.glfwGetCurrentContext()
        except (OSError, AttributeError) as error:
            log.info("the close button cannot be asked about reason=%s", error)
            return
        if window:
            self._library, self._window = library, window
            library.glfwSetWindowCloseCallback(window, self._callback)

    def take(self) -> bool:
        """Return whether it was pressed since the last call."""
        pressed, self._pressed = self._pressed, False
        return pressed

    def stop(self) -> None:
        """End, while the window is still there."""
        if self._library is not None and self._window is not None:
            self._library.glfwSetWindowCloseCallback(self._window, ctypes.cast(None, _CALLBACK))
        self._window = None

    def _heard(self, window: int) -> None:
        """Called by the library while it polls events: stay open, and remember."""
        self._pressed = True
        self._library.glfwSetWindowShouldClose(window, 0)
