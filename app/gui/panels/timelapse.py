# SPDX-License-Identifier: MIT
"""The settings of a time-lapse of training, as a folded part of the export panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from app import commands
from app.jobs.orders import FORMATS
from app.jobs.timelapse import EVERY, VIEWS
from app.session import Session

if TYPE_CHECKING:
    from app.gui.panels.base import BasePanel

CHOICES = {
    "views": ("Views", VIEWS, "What is taken each time; several views become one picture."),
    "every": ("Each", EVERY, "After so many seconds of training, or when steps have grown by a factor."),
    "format": ("Format", tuple(FORMATS), "Size, quality and view mode are those of the form above."),
}
_ADD = "Add the view in the viewport to the chosen views."
_START = "Take pictures of the model as it trains, until you stop it."


class TimelapseForm:
    """See the module."""

    def __init__(self, panel: BasePanel) -> None:
        self._panel = panel

    def layout(self) -> None:
        """The folded form."""
        panel = self._panel
        with dpg.tree_node(label="Time-lapse of training", tag=panel.tag("lapse")):
            with panel.form(0.38):
                for name, (label, items, tip) in CHOICES.items():
                    with panel.field(label, f"lapse-{name}", tip):
                        dpg.add_combo(
                            items, tag=panel.tag(f"lapse-{name}"), width=-1, callback=self._take(name)
                        )
                for name, label, low, high, tip in (
                    ("seconds", "Seconds", 0.1, 3600.0, "Seconds of training between two pictures."),
                    (
                        "growth",
                        "Factor",
                        1.01,
                        4.0,
                        "The steps at one picture, by those at the picture before.",
                    ),
                ):
                    with panel.field(label, f"lapse-{name}", tip):
                        dpg.add_input_float(
                            tag=panel.tag(f"lapse-{name}"), min_value=low, max_value=high, min_clamped=True,
                            max_clamped=True, step=0, format="%.3g", width=-1, callback=self._take(name),
                        )  # fmt: skip
                with panel.field("Frames / s", "lapse-fps", "Speed at which the film plays."):
                    dpg.add_input_int(
                        tag=panel.tag("lapse-fps"), min_value=1, max_value=60, min_clamped=True, max_clamped=True,
                        step=0, width=-1, callback=self._take("fps"),
                    )  # fmt: skip
            with panel.columns(2):
                self._button("lapse-add", "Add view", "export.add_view")
                self._button("lapse-forget", "Forget views", "export.forget_views")
            self._button("lapse-start", "Start time-lapse", "export.timelapse")

    def refresh(self, session: Session) -> None:
        """Show the settings."""
        panel, settings = self._panel, session.timelapse
        for name in (*CHOICES, "seconds", "growth", "fps"):
            panel.put(f"lapse-{name}", getattr(settings, name))
        panel.configure("lapse-seconds-row", show=settings.every == EVERY[0])
        panel.configure("lapse-growth-row", show=settings.every == EVERY[1])
        chosen = len(settings.cameras)
        panel.configure("lapse-add", label=f"Add view ({chosen})" if chosen else "Add view")
        no_scene = commands.with_scene(session)
        panel.allow("lapse-add", no_scene, _ADD)
        panel.allow(
            "lapse-forget",
            None if chosen else "No views are chosen.",
            "Forget the chosen views and begin anew.",
        )
        panel.allow("lapse-start", no_scene or self._why_not(session), _START)

    def _why_not(self, session: Session) -> str | None:
        scene, settings = session.scene, session.timelapse
        if settings.views == VIEWS[1] and len(scene.views) == scene.n_train:
            return "This scene has no held-out views."
        if settings.views == VIEWS[2] and not settings.cameras:
            return "Add views first."
        return None

    def _button(self, name: str, label: str, action: str) -> None:
        panel = self._panel
        dpg.add_button(
            label=label, tag=panel.tag(name), width=-1, callback=lambda: panel.context.do(action, None)
        )

    def _take(self, name: str) -> Any:
        panel = self._panel
        return lambda: setattr(
            panel.context.session.timelapse, name, dpg.get_value(panel.tag(f"lapse-{name}"))
        )
