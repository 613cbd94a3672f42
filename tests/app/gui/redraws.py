# SPDX-License-Identifier: MIT
"""What a frame of the window leaves behind in memory, for `window_driver.py`."""

from __future__ import annotations

from typing import Any

import dearpygui.dearpygui as dpg

from benchmarks.heap import allocated

FRAMES = 150


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
