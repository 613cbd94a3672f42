# SPDX-License-Identifier: MIT
"""The objective panel: what a training step looks at, how blurred that is, and whether cameras move along."""

from __future__ import annotations

from functools import cache
from typing import Any

import dearpygui.dearpygui as dpg

from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from engine.messages import SetOptions
from engine.methods.common import method_title

KIND, REFINE, ANNEAL = "objective.kind", "poses.refine", "soft.anneal"
# Option -> (label, highest, format, help).
SLIDERS = {
    "soft.sigma": ("Sigma", 2.0, "%.3f", "Blur of each voxel's footprint, in halves of its width."),
    "soft.temperature": (
        "Temperature",
        0.2,
        "%.4f",
        "Blur of the depth order, in scene units: voxels nearer together than this share the light.",
    ),
}


class ObjectivePanel(BasePanel):
    """The kind of step, sliders of the soft one, and refinement of poses."""

    id, title = "objective", "Objective"

    def layout(self) -> None:
        """A form, and a line for methods that have one objective only."""
        dpg.add_text("", tag=self.tag("none"), color=COLOURS["quiet"], wrap=0)
        with dpg.group(tag=self.tag("all"), show=False):
            with self.form(0.38):
                with self.field(
                    "Step on", "kind", "What a training step looks at; it can be changed while training."
                ):
                    dpg.add_combo(
                        (), tag=self.tag("kind"), width=-1,
                        callback=lambda: self._send(KIND, dpg.get_value(self.tag("kind")), "kind"),
                    )  # fmt: skip
                for name, spec in SLIDERS.items():
                    self._slider(name, *spec)
                self.number("Now", "now", "The blurs of the step under way.")
            self._checkbox(ANNEAL, "Anneal to hard", "Both blurs fall to their ends while training.")
            self._checkbox(
                REFINE, "Refine camera poses", "Each soft step also moves the camera that took its photo."
            )

    def _slider(self, name: str, label: str, most: float, form: str, tip: str) -> None:
        tag = self.tag(name)
        with self.field(label, name, tip):
            dpg.add_slider_float(
                tag=tag, min_value=0.0, max_value=most, format=form, width=-1, clamped=True,
                callback=lambda: self._send(name, dpg.get_value(tag)),
            )  # fmt: skip
        self.explain(name, f"{tip} Ctrl and a click to type a number.")

    def _checkbox(self, name: str, label: str, tip: str) -> None:
        tag = self.tag(name)
        dpg.add_checkbox(label=label, tag=tag, callback=lambda: self._send(name, dpg.get_value(tag)))
        self.explain(name, tip)

    def refresh(self, session: Session) -> None:
        """Show the options in force; what the objective does not use is out of the way."""
        there = KIND in session.values
        self.configure("all", show=there)
        self.configure("none", show=not there)
        if not there:
            self.put("none", _without(session))
            return
        soft = session.values[KIND] == "soft"
        self.configure("kind", items=_kinds())
        self.put("kind", session.values[KIND])
        for name in SLIDERS:
            self.configure(f"{name}-row", show=soft)
            self.put(name, session.values[name])
        self.configure("now-row", show=soft)
        for name in (ANNEAL, REFINE):
            self.configure(name, show=soft)
            self.put(name, session.values[name])
        if soft and session.stats is not None:
            sigma, temperature = _softness(session.values, session.stats.step)
            self.put("now", f"sigma {formats.short(sigma)}, temperature {formats.short(temperature)}")

    def _send(self, name: str, value: Any, widget: str = "") -> None:
        self.forget(widget or name)  # if the worker refuses it, the value in force comes back
        self.context.send(SetOptions({name: value}))


def _without(session: Session) -> str:
    if session.scene is None:
        return "Objectives appear when a scene is open."
    return f"{method_title(session.scene.method)} has one objective: pixels of all photos."


@cache
def _kinds() -> tuple[str, ...]:
    from engine.methods.svraster.config import SVRasterConfig
    from engine.options import describe

    return next(info.choices for info in describe(SVRasterConfig) if info.name == KIND)


def _softness(values: dict[str, Any], step: int) -> tuple[float, float]:
    from engine.methods.svraster import schedule
    from engine.methods.svraster.config import SVRasterConfig
    from engine.options import build

    return schedule.softness(build(SVRasterConfig, values).soft, step)
