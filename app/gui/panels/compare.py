# SPDX-License-Identifier: MIT
"""The compare panel: a second model beside the open one, its numbers against the open one's, and what can be done with both."""

from __future__ import annotations

import time
from collections.abc import Callable

import dearpygui.dearpygui as dpg

from app import commands
from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session, model_names
from engine.messages import CheckpointInfo, OpenBeside
from engine.methods.common import method_names, method_title

TOGGLES = ("split_beside", "train_both", "difference_beside", "blink")
ANY = ("frusta_psnr",)
TOPS: dict[str, float | None] = {
    "by the picture": None, "0.02": 0.02, "0.05": 0.05, "0.1": 0.1, "0.2": 0.2, "0.5": 0.5, "1": 1.0
}  # fmt: skip
RATES = {"slow": 0.5, "1 /s": 1.0, "2 /s": 2.0, "4 /s": 4.0}
NO_CHECKPOINT = "no checkpoint yet"
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
            dpg.add_combo((), tag=self.tag("checkpoint"), width=-1)
            with self.columns(2):
                dpg.add_button(
                    label="Open beside", tag=self.tag("older"), width=-1, callback=self._open_older
                )
                self.button("compare_run", "Saved run")
            self.button("keep_beside", "Keep this moment beside")
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
                self._checkbox(command_id)
            with self.columns(2):
                self.button("swap_beside", "Swap")
                self.button("close_beside", "End")
        for command_id in ANY:
            self._checkbox(command_id)
        with self.form(0.42):
            with self.field("Blinks", "rate"):
                dpg.add_combo(tuple(RATES), tag=self.tag("rate"), width=-1, callback=self._set_rate)
            with self.field("Errors up to", "top"):
                dpg.add_combo(tuple(TOPS), tag=self.tag("top"), width=-1, callback=self._set_top)
        self.explain("rate", "How often both pictures are shown in a second while they blink.")
        self.explain(
            "top", "The error at which the colours of the error view, the error map and the difference end."
        )

    def _checkbox(self, command_id: str) -> None:
        command = commands.find(command_id)
        dpg.add_checkbox(label=command.label, tag=self.tag(command_id), callback=self._presser(command_id))
        self.explain(command_id, commands.tooltip(command))

    def refresh(self, session: Session) -> None:
        """Show the numbers of both, or how to begin."""
        view = session.view
        for command_id in ANY:
            self.put(command_id, bool(commands.find(command_id).checked(session)))
        self.allow_commands(session, *ANY)
        self.put("rate", next((name for name, hz in RATES.items() if hz == view.blink_hz), ""))
        self.put("top", next((name for name, top in TOPS.items() if top == view.error_top), ""))
        both = session.scene is not None and session.beside is not None
        self.configure("begin", show=not both)
        self.configure("both", show=both)
        if not both:
            self._offer(session)
            return
        front, beside = model_names(session)
        moment = session.beside.info.moment
        self.put("name-left", beside.removesuffix(", beside") if moment is None else f"Step {moment:,}")
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
        self.allow_commands(session, "compare_run", "keep_beside")
        self._offer_checkpoints(session)
        help_text = "Starts the method on this scene; the open model stays, on the left of the split slider."
        self.allow("start", commands.with_scene(session), help_text)

    def _offer_checkpoints(self, session: Session) -> None:
        """Offer the checkpoints of the run, the oldest first as long as nobody chose another: it differs most."""
        lines = tuple(checkpoint_line(one) for one in session.checkpoints)
        self.configure("checkpoint", items=lines)
        reason = commands.with_scene(session) or (None if lines else "The run has no checkpoint yet.")
        if dpg.get_value(self.tag("checkpoint")) not in lines:
            self.forget("checkpoint")
            self.put("checkpoint", lines[-1] if lines else NO_CHECKPOINT)
        self.allow("older", reason, "Opens this checkpoint of the run on the left of the split slider.")

    def _open_older(self) -> None:
        session, chosen = self.context.session, dpg.get_value(self.tag("checkpoint"))
        for one in session.checkpoints:
            if checkpoint_line(one) == chosen:
                self.context.send(OpenBeside(session.scene.run_folder, one.step))

    def _set_rate(self) -> None:
        self.context.session.view.blink_hz = RATES[dpg.get_value(self.tag("rate"))]

    def _set_top(self) -> None:
        self.context.session.view.error_top = TOPS[dpg.get_value(self.tag("top"))]

    def _start(self) -> None:
        title = dpg.get_value(self.tag("method"))
        self.context.run(f"compare_with_{next(name for name, t in _TITLES.items() if t == title)}")

    def _presser(self, command_id: str) -> Callable[[], None]:
        def press() -> None:
            self.forget(command_id)
            self.context.run(command_id)

        return press


def checkpoint_line(one: CheckpointInfo) -> str:
    """Return a checkpoint in a line: "step 1,200, 14:03, 24.1 dB"."""
    when = time.strftime("%H:%M", time.localtime(one.saved_at))
    quality = ""
    if one.psnr is not None:
        about = "" if one.psnr_step == one.step else "about "
        quality = f", {about}{one.psnr:.1f} dB"
    return f"step {one.step:,}, {when}{quality}"


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
