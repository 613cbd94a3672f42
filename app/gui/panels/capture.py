# SPDX-License-Identifier: MIT
"""The capture panel: what to expect of this scene, which views look odd, and the box that holds the foreground.

Made for the minute before training; everything in it also works while the scene is learned.
"""

from __future__ import annotations

from typing import Any

import dearpygui.dearpygui as dpg

from app.gui import formats, theme
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from app.view.scene_box import box_in_data, box_in_engine
from engine.capture import Flag
from engine.messages import ExcludeViews, TrainState

MAX_LISTED = 30
FIRST_PICTURE_TIP = (
    "Training time until step 300, when the scene is recognisable and photos are used at full size; estimated from the "
    "number and size of the photos and a few small renders on this machine. Other programs make it longer."
)
BOX_TIP = (
    "The finest voxels are spent inside this box. What is around it is learned coarsely, or not at all where the "
    "scene has no shells around the box. Numbers are in the units of the scene's files."
)


class CapturePanel(BasePanel):
    """Estimates, flags with their buttons, the box in numbers."""

    id, title = "capture", "Capture"

    def __init__(self) -> None:
        super().__init__()
        self._listed: Any = None

    def layout(self) -> None:
        """Nothing without a scene; else estimates, flags, box."""
        dpg.add_text("Open a scene to look it over.", tag=self.tag("empty"), color=COLOURS["quiet"], wrap=0)
        with dpg.group(tag=self.tag("facts"), show=False):
            with self.form(0.42):
                self.number("Points", "points", "Sparse points that came with the poses.")
                self.number("First picture in", "first", FIRST_PICTURE_TIP)
                self.number("Memory in training", "memory", "Of the whole process at most, about.")
            dpg.add_text("", tag=self.tag("verdict"), wrap=0)
            dpg.add_group(tag=self.tag("flags"))
            self.button("toggle_training", "Start training")
            self.paint("toggle_training", dpg.mvButton, dpg.mvThemeCol_Button, theme.ACCENT_DEEP)
            dpg.add_spacer(height=self.px(2))
            self._box_form()

    def _box_form(self) -> None:
        dpg.add_text("Foreground box", tag=self.tag("box-title"))
        self.explain("box-title", BOX_TIP)
        with self.form(0.2):
            with self.field("Centre", "centre-label"):
                dpg.add_input_floatx(tag=self.tag("centre"), size=3, width=-1, format="%.3g")
            with self.field("Edge", "edge-label"):
                dpg.add_input_float(tag=self.tag("edge"), width=-1, format="%.4g", step=0)
        for name in ("centre", "edge"):
            self.edited(name, lambda value: self._typed())
        with self.columns(3):
            self.button("edit_box", "Handles")
            self.button("apply_box", "Use it")
            self.button("automatic_box", "Automatic")
        dpg.add_text("", tag=self.tag("box-note"), wrap=0, color=COLOURS["quiet"])

    def refresh(self, session: Session) -> None:
        """Show what is known by now."""
        scene = session.scene
        self.configure("empty", show=scene is None)
        self.configure("facts", show=scene is not None)
        if scene is None:
            return
        self.put("points", formats.count(scene.n_points) if scene.n_points else "none")
        self.allow_commands(session, "toggle_training")
        survey = session.survey
        self.put("first", formats.NONE if survey is None else f"about {_round_time(survey.first_picture_s)}")
        self.put("memory", formats.NONE if survey is None else f"about {formats.size(survey.memory_bytes)}")
        self._show_flags(session)
        trained = session.stats is not None and session.stats.step > 0
        self.configure("toggle_training", show=not trained and session.state is not TrainState.TRAINING)
        self._show_box(session, trained)

    # --- flags ----------------------------------------------------------------------------------------------------

    def _show_flags(self, session: Session) -> None:
        survey = session.survey
        if survey is None:
            self.put("verdict", "Looking over the photos ...", "quiet")
        else:
            odd = len({flag.view for flag in survey.flags})
            words = (
                f"{odd} view{'s look' if odd > 1 else ' looks'} odd."
                if odd
                else "Cameras and photos look consistent."
            )
            self.put("verdict", words, "warn" if odd else "good")
        key = (id(survey), session.excluded)
        if key == self._listed:
            return
        self._listed = key
        dpg.delete_item(self.tag("flags"), children_only=True)
        by_view: dict[int, list[Flag]] = {}
        for flag in survey.flags if survey is not None else ():
            by_view.setdefault(flag.view, []).append(flag)
        for view in list(by_view)[:MAX_LISTED]:
            self._flag_row(session, view, by_view[view])
        if len(by_view) > MAX_LISTED:
            more = f"and {len(by_view) - MAX_LISTED} more, drawn red among the cameras"
            dpg.add_text(more, parent=self.tag("flags"), color=COLOURS["quiet"], wrap=0)

    def _flag_row(self, session: Session, index: int, flags: list[Flag]) -> None:
        view = session.scene.views[index]
        with dpg.group(parent=self.tag("flags")):
            dpg.add_text(view.name, color=theme.WARNING)
            for flag in flags:
                dpg.add_text(flag.text, wrap=0, color=COLOURS["quiet"])
            with dpg.group(horizontal=True):
                dpg.add_button(label="Go there", user_data=index, callback=self._jump, width=self.px(84))
                if view.held_out:
                    dpg.add_text("held out, not trained on", color=COLOURS["quiet"])
                else:
                    out = index in session.excluded
                    dpg.add_button(
                        label="Use again" if out else "Leave out", width=self.px(84), user_data=(index, not out),
                        callback=self._exclude,
                    )  # fmt: skip
            dpg.add_spacer(height=self.px(2))

    def _jump(self, sender: int | str, value: Any, view: int) -> None:
        self.context.do("goto_view", view)

    def _exclude(self, sender: int | str, value: Any, wish: tuple[int, bool]) -> None:
        self.context.send(ExcludeViews((wish[0],), wish[1]))

    # --- the box --------------------------------------------------------------------------------------------------

    def _show_box(self, session: Session, trained: bool) -> None:
        centre, edge = session.box or ((0.0, 0.0, 0.0), 1.0)
        centre, edge = box_in_data(session.scene.data_from_engine, centre, edge)
        self.put("centre", (*(float(f"{value:.6g}") for value in centre), 0.0))
        self.put("edge", float(f"{edge:.6g}"))
        self.allow_commands(session, "edit_box", "apply_box", "automatic_box")
        self.configure("edit_box", label="Hide" if session.view.edit_box else "Handles")
        note = _box_note(session.box is not None, session.view.edit_box, trained)
        self.configure("box-note", show=bool(note))
        self.put("box-note", note)

    def _typed(self) -> None:
        session = self.context.session
        if session.scene is None:
            return
        centre = tuple(float(value) for value in dpg.get_value(self.tag("centre"))[:3])
        edge = float(dpg.get_value(self.tag("edge")))
        if edge > 0.0:
            session.box = box_in_engine(session.scene.data_from_engine, centre, edge)
        self.forget("centre")
        self.forget("edge")


def _box_note(moved: bool, editing: bool, trained: bool) -> str:
    if moved and trained:
        return "Using another box starts training anew; photos stay loaded."
    if moved:
        return "Press Use it to train on this box."
    if editing:
        return "Drag an arrow or the middle to move the box, a corner to resize it."
    return ""


def _round_time(seconds: float) -> str:
    """Return a time as roughly as it is known: two digits."""
    if seconds >= 100.0:
        return formats.duration(10.0 * round(seconds / 10.0))
    return formats.duration(float(f"{seconds:.2g}"))
