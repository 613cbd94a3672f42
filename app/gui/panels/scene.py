# SPDX-License-Identifier: MIT
"""The scene panel: what is open, how many views, how large, and what was wrong with it."""

from __future__ import annotations

from collections import Counter

import dearpygui.dearpygui as dpg

from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from engine.messages import SceneOpened
from engine.methods.common import method_title

PATH_CHARS = 34  # a longer path keeps its end, which tells more than its start


class ScenePanel(BasePanel):
    """Path, kind, counts, image size and memory, warnings with their number."""

    id, title = "scene", "Scene"

    def __init__(self) -> None:
        super().__init__()
        self._scene: SceneOpened | None = None
        self._warnings: tuple[str, ...] = ()

    def layout(self) -> None:
        """A column of buttons while nothing is open, the facts afterwards, warnings below."""
        with dpg.group(tag=self.tag("empty")):
            dpg.add_text(
                "Open a folder of posed photos, or start with the demo.", wrap=0, color=COLOURS["quiet"]
            )
            for command_id in ("open_demo", "open_scene", "open_run"):
                self.button(command_id)
        with dpg.group(tag=self.tag("facts"), show=False):
            with self.form(0.3):
                self.number("Name", "name")
                self.number("Path", "path")
                self.number("Kind", "kind", "The file format, and the method that learns the scene.")
                self.number(
                    "Views", "views", "Held-out views are never trained on: quality is measured there."
                )
                self.number("Photos", "photos", "Size at which the photos are used.")
                self.number("Images", "images", "Memory that decoded photos took when the scene was opened.")
                self.number("Background", "background", "What a ray sees that leaves the scene.")
            self.explain("path", "")
        with dpg.collapsing_header(label="Warnings", tag=self.tag("warnings"), show=False):
            dpg.add_group(tag=self.tag("warning-list"))
        self.paint("warnings", dpg.mvCollapsingHeader, dpg.mvThemeCol_Text, COLOURS["warn"])

    def refresh(self, session: Session) -> None:
        """Show another scene or other warnings; both change rarely."""
        if session.scene is not self._scene:
            self._scene = session.scene
            self.configure("empty", show=session.scene is None)
            self.configure("facts", show=session.scene is not None)
            if session.scene is not None:
                self._show(session.scene)
        if tuple(session.warnings) != self._warnings:
            self._warnings = tuple(session.warnings)
            self._list_warnings()

    def _show(self, scene: SceneOpened) -> None:
        held_out = len(scene.views) - scene.n_train
        shortened = scene.path if len(scene.path) <= PATH_CHARS else f"...{scene.path[-PATH_CHARS + 3 :]}"
        self.put("name", scene.name)
        self.put("path", shortened)
        self.explain("path", f"{scene.path}\nRuns are saved in {scene.run_folder or 'memory only'}.")
        self.put("kind", f"{scene.kind}, {method_title(scene.method)}")
        self.put("views", f"{formats.count(scene.n_train)} to train, {formats.count(held_out)} held out")
        self.put("photos", _sizes(scene))
        self.put("images", formats.size(scene.image_bytes) if scene.image_bytes else "decoded when needed")
        self.put("background", scene.background)

    def _list_warnings(self) -> None:
        number = len(self._warnings)
        label = f"{number} warning{'s' if number != 1 else ''}###{self.tag('warnings')}"
        self.configure("warnings", show=number > 0, label=label)
        dpg.delete_item(self.tag("warning-list"), children_only=True)
        for text in self._warnings:
            dpg.add_text(text, parent=self.tag("warning-list"), wrap=0, color=COLOURS["warn"])


def _sizes(scene: SceneOpened) -> str:
    sizes = Counter((view.camera.width, view.camera.height) for view in scene.views)
    if not sizes:
        return formats.NONE
    (width, height), _ = sizes.most_common(1)[0]
    rest = len(sizes) - 1
    others = f" and {rest} other size{'s' if rest > 1 else ''}" if rest else ""
    return f"{width} x {height} px{others}"
