# SPDX-License-Identifier: MIT
"""What a frame of the window leaves behind in memory, for `window_driver.py`."""

from __future__ import annotations

import ctypes
from typing import Any

import dearpygui.dearpygui as dpg

FRAMES = 150


class _Malloc(ctypes.Structure):
    """What glibc 2.33 and later tell of their heap."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
        )
    ]  # fmt: skip


def allocated() -> int:
    """Return the bytes that malloc has given out; raises AttributeError without that glibc."""
    tell = ctypes.CDLL(None).mallinfo2
    tell.restype = _Malloc
    found = tell()
    return found.uordblks + found.hblkhd


def redraws(app: Any) -> dict[str, Any]:
    """Draw the window over and over with all of its plots in sight; return the bytes a frame that were not given back."""
    for _ in range(20):
        app.turn()
    plots = [item for item in dpg.get_all_items() if dpg.get_item_info(item)["type"].endswith("::mvPlot")]
    for item in plots:
        while item:
            if dpg.get_item_configuration(item).get("show") is False:
                dpg.show_item(item)
            item = dpg.get_item_parent(item)
    found = []
    for _ in range(3):  # the first has buffers to grow
        before = allocated()
        for _ in range(FRAMES):
            dpg.render_dearpygui_frame()
        found.append((allocated() - before) / FRAMES)
    return {"plots": len(plots), "kept": min(found[1:])}
