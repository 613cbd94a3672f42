# SPDX-License-Identifier: MIT
"""The compare panel: a second model beside the open one, its numbers against the open one's, and what can be done with both."""

from __future__ import annotations

from collections.abc import Callable

import dearpygui.dearpygui as dpg

from app import commands
from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session, model_names
from engine.methods.common import method_names, method_title

TOGGLES = ("split_beside", "train_both")
_TITLES = {name: method_title(name) for name in method_names()}
# Label -> what it is of the model beside (left) and of the open one (right).
_ROWS: dict[str, tuple[Callable[[Session], str], Callable[[Session], str]]] = {
    "Step": (lambda s: _count(s.beside.stats, "step"), lambda s: _count(s.stats, "step")),
    "Time": (lambda s: _time(s.beside.stats), lambda s: _time(s.stats)),
    "PSNR": (lambda s: _psnr(s.beside.stats), lambda s: _psnr(s.stats)),
    "Held out": (lambda s: _psnr(s.beside.evaluated), lambda s: _psnr(s.evaluated)),
    "SSIM": (lambda s: _ssim(s.beside.evaluated), lambda s: _ssim(s.evaluated)),
    "Voxels": (lambda s: _count(s.beside.stats, "voxels"), lambda s: _voxels(s)),
}


class ComparePanel(BasePanel):
    """Ways to put something beside; once there is something, a table of both and the buttons that act on it."""

    id, title = "compare", "Compare"

    def layout(self) -> None:
        """What to begin with, then the table and its buttons; one of the two is shown."""
        with dpg.group(tag=self.tag("begin")):
            dpg.add_text(
                "Start a method on the same scene, or open a saved run of it, and see both on a split slider.",
                wrap=0, color=COLOURS["quiet"],
            )  # fmt: skip
            with self.columns(2):
                dpg.add_combo(tuple(_TITLES.values()), tag=self.tag("method"), width=-1)
                dpg.add_button(label="Start beside", tag=self.tag("start"), width=-1, callback=self._start)
            self.button("compare_run", "Open a saved run beside")
        with dpg.group(tag=self.tag("both"), show=False):
            with dpg.table(header_row=False, policy=dpg.mvTable_SizingStretchProp, pad_outerX=False):
                for share in (0.24, 0.38, 0.38):
                    dpg.add_table_column(init_width_or_weight=share)
                with dpg.table_row():
                    dpg.add_text("")
                    for side in ("left", "right"):
                        dpg.add_text("", tag=self.tag(f"name-{side}"), color=COLOURS["accent"])
                for label in _ROWS:
                    with dpg.table_row():
                        dpg.add_text(label, color=COLOURS["quiet"])
                        for side in ("left", "right"):
                            dpg.add_text(formats.NONE, tag=self.tag(f"{label}-{side}"))
            for command_id in TOGGLES:
                label = commands.find(command_id).label
                dpg.add_checkbox(label=label, tag=self.tag(command_id), callback=self._presser(command_id))
                self.explain(command_id, commands.tooltip(commands.find(command_id)))
            with self.columns(2):
                self.button("swap_beside", "Swap")
                self.button("close_beside", "End")

    def refresh(self, session: Session) -> None:
        """Show the numbers of both, or how to begin."""
        both = session.scene is not None and session.beside is not None
        self.configure("begin", show=not both)
        self.configure("both", show=both)
        if not both:
            self._offer(session)
            return
        front, beside = model_names(session)
        self.put("name-left", beside.removesuffix(", beside"))
        self.put("name-right", front)
        for label, (left, right) in _ROWS.items():
            self.put(f"{label}-left", left(session))
            self.put(f"{label}-right", right(session))
        for command_id in TOGGLES:
            self.put(command_id, bool(commands.find(command_id).checked(session)))
        self.allow_commands(session, *TOGGLES, "swap_beside", "close_beside")

    def _offer(self, session: Session) -> None:
        """Offer the first method that is not the open one, until a person chooses."""
        if dpg.get_value(self.tag("method")) not in _TITLES.values():
            dpg.set_value(self.tag("method"), next(iter(_TITLES.values())))
        front = session.scene.method if session.scene is not None else session.method
        other = next((title for name, title in _TITLES.items() if name != front), _TITLES.get(front, ""))
        self.put("method", other)
        self.allow_commands(session, "compare_run")
        help_text = "Starts the method on this scene; the open model stays, on the left of the split slider."
        self.allow("start", commands.with_scene(session), help_text)

    def _start(self) -> None:
        title = dpg.get_value(self.tag("method"))
        self.context.run(f"compare_with_{next(name for name, t in _TITLES.items() if t == title)}")

    def _presser(self, command_id: str) -> Callable[[], None]:
        def press() -> None:
            self.forget(command_id)
            self.context.run(command_id)

        return press


def _count(stats: object, name: str) -> str:
    return formats.NONE if stats is None else formats.count(getattr(stats, name))


def _voxels(session: Session) -> str:
    return formats.NONE if session.stats is None else formats.count(session.stats.structure.voxels)


def _time(stats: object) -> str:
    return formats.NONE if stats is None else formats.duration(stats.train_seconds)


def _psnr(found: object) -> str:
    return formats.NONE if found is None else formats.decibels(found.psnr)


def _ssim(found: object) -> str:
    return formats.NONE if found is None else f"{found.ssim:.4f}"
