# SPDX-License-Identifier: MIT
"""The Export menu."""

from __future__ import annotations

from app.commands.base import Command, with_scene

COMMANDS: tuple[Command, ...] = (
    Command("export_spiral", "Spiral video", "Export", "Ctrl+Shift+S",
            "Record a video that winds around the scene, with the settings of the Export panel.",
            lambda app: app.export("spiral"), with_scene),
    Command("export_orbit", "Orbit video", "Export", "Ctrl+Shift+R",
            "Record a video on a circle around the scene, with the settings of the Export panel.",
            lambda app: app.export("orbit"), with_scene),
    Command("export_zoom_out", "Zoom-out video", "Export", "Ctrl+Shift+W",
            "Record a video that goes back from the scene, for level of detail, with the settings of the Export panel.",
            lambda app: app.export("zoom-out"), with_scene),
    Command("export_views", "Table of views", "Export", "",
            "Write the table of views, with the quality of each, into a CSV file.",
            lambda app: app.export_views(), with_scene),
    Command("screenshot", "Screenshot", "Export", "P",
            "Save the picture in the viewport as PNG.",
            lambda app: app.screenshot(), with_scene),
)  # fmt: skip
