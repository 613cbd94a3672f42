# SPDX-License-Identifier: MIT
"""Where a new window goes: in the middle of what task bars leave of the first screen, and never larger than that.

Asked of the GLFW inside Dear PyGui's library, which is about to be started anyway; where there is none, the window goes
where the desktop puts it.
"""

from __future__ import annotations

import ctypes
import logging

log = logging.getLogger(__name__)

MARGIN = 0.02  # of a side of the area, left free on either side of a window that would cover it

Area = tuple[int, int, int, int]  # x, y, width, height


def free_area() -> Area | None:
    """Return what is free of the first screen, in pixels; None where nobody can tell."""
    import dearpygui._dearpygui as native

    try:
        library = ctypes.CDLL(native.__file__)
        library.glfwGetPrimaryMonitor.restype = ctypes.c_void_p
        monitor = library.glfwGetPrimaryMonitor() if library.glfwInit() else None
        if not monitor:
            return None
        sides = [ctypes.c_int() for _ in range(4)]
        library.glfwGetMonitorWorkarea(ctypes.c_void_p(monitor), *(ctypes.byref(side) for side in sides))
    except (OSError, AttributeError) as error:
        log.info("no place for the window reason=%s", error)
        return None
    x, y, width, height = (side.value for side in sides)
    return (x, y, width, height) if width > 0 and height > 0 else None


def placed(width: int, height: int, area: Area) -> Area:
    """Return x, y, width and height of a window in the middle of an area, smaller than wished where it must be."""
    left, top, across, down = area
    width = min(width, round(across * (1.0 - 2.0 * MARGIN)))
    height = min(height, round(down * (1.0 - 2.0 * MARGIN)))
    return left + (across - width) // 2, top + (down - height) // 2, width, height
