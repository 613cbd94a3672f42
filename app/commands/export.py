# SPDX-License-Identifier: MIT
"""The Export menu."""

from __future__ import annotations

from app.commands.base import Command, steps, with_scene
from app.session import Session


def _with_trained(session: Session) -> str | None:
    if session.scene is not None and steps(session) == 0:
        return "Nothing is trained yet; train first."
    return with_scene(session)


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
    Command("export_timelapse", "Time-lapse of training", "Export", "",
            "Take the same views again and again while the model trains, with the settings of the Export panel.",
            lambda app: app.do("export.timelapse"), with_scene),
    Command("export_scene", "Export scene", "Export", "Ctrl+Shift+M",
            "Write the scene for other programs: a mesh, points, voxels, or one small file that opens again.",
            lambda app: app.do("scene_export.show"), _with_trained),
    Command("screenshot", "Screenshot", "Export", "P",
            "Save the picture in the viewport as PNG; dropping it on the window leads back to its view.",
            lambda app: app.do("export.screenshot"), with_scene),
    Command("full_screenshot", "Full-size picture", "Export", "Shift+P",
            "Render the view without anything drawn over it, in up to 3840 x 2160 pixels, and save it as PNG.",
            lambda app: app.do("export.full_screenshot"), with_scene),
    Command("copy_view_command", "Copy view as command line", "Export", "",
            "Copy a command that renders this view of the run's newest checkpoint.",
            lambda app: app.do("export.copy_command"), with_scene),
    Command("copy_view_python", "Copy view as Python", "Export", "",
            "Copy a Python program that renders this view of the run's newest checkpoint.",
            lambda app: app.do("export.copy_python"), with_scene),
    Command("export_views", "Table of views", "Export", "",
            "Write the table of views, with the quality of each, into a CSV file.",
            lambda app: app.export_views(), with_scene),
)  # fmt: skip
