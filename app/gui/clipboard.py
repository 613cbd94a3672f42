# SPDX-License-Identifier: MIT
"""The system's clipboard as text. Dear PyGui ends the process when it reads one that holds none, so GLFW is asked itself."""

from __future__ import annotations

import ctypes

import dearpygui.dearpygui as dpg

_here = ""  # what was copied in this window last, for systems on which GLFW cannot be asked


def copy(text: str) -> None:
    """Put a text on the clipboard."""
    global _here
    _here = text
    dpg.set_clipboard_text(text)


def paste() -> str:
    """Return the text on the clipboard, "" if there is none."""
    import dearpygui._dearpygui as native

    try:
        library = ctypes.CDLL(native.__file__)
        library.glfwGetClipboardString.restype = ctypes.c_char_p
        library.glfwGetClipboardString.argtypes = [ctypes.c_void_p]
        found = library.glfwGetClipboardString(None)
    except (OSError, AttributeError):
        return _here
    return "" if found is None else found.decode("utf-8", errors="replace")
