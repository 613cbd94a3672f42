# SPDX-License-Identifier: MIT
"""The training panel: what the worker is doing, how fast, how long still, and the buttons that steer it."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from app import commands
from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from engine.messages import CheckpointSaved, Event, SceneOpened, Stats, Train, TrainState
from engine.methods.common import method_names, method_title

STATE_COLOUR = {
    TrainState.EMPTY: "quiet",
    TrainState.LOADING: "accent",
    TrainState.PAUSED: "warn",
    TrainState.TRAINING: "good",
    TrainState.FINISHED: "accent",
    TrainState.FAILED: "bad",
}
DEFAULT_STEPS = 1000
_TITLES = {name: method_title(name) for name in method_names()}


class TrainingPanel(BasePanel):
    """State, numbers, the share of time that training gets, and the controls."""

    id, title = "training", "Training"

    def __init__(self) -> None:
        super().__init__()
        self._saved_step: int | None = None

    def layout(self) -> None:
        """State line, progress of long steps, numbers, buttons, last error."""
        with dpg.group(horizontal=True):
            dpg.add_text("", tag=self.tag("state"))
            dpg.add_text("", tag=self.tag("reason"), color=COLOURS["quiet"])
        dpg.add_progress_bar(tag=self.tag("progress"), width=-1, show=False)
        with self.form(0.3):
            with self.field(
                "Method", "method", "What learns the scene. Another one starts anew on the same scene."
            ):
                dpg.add_combo(
                    tuple(_TITLES.values()), tag=self.tag("method"), width=-1,
                    callback=lambda sender, title: self._switch(title),
                )  # fmt: skip
            self.number("Step", "step")
            self.number("Speed", "speed")
            self.number("Elapsed", "elapsed", "Time spent on training steps alone.")
            self.number("Left", "eta", "Time until the wanted number of steps is reached.")
            self.number("Saved", "saved", "The run is also saved every few minutes; the last three are kept.")
        dpg.add_progress_bar(tag=self.tag("share"), width=-1, overlay="no steps yet")
        self.explain("share", "How the worker divides its time between training and drawing the view.")
        with self.columns(2):
            self.button("toggle_training", "Start")
            self.button("train_one_step")
        with self.columns(2):
            dpg.add_input_int(
                tag=self.tag("steps"),
                default_value=DEFAULT_STEPS,
                min_value=1,
                min_clamped=True,
                width=-1,
                step=0,
            )
            dpg.add_button(label="Run more steps", tag=self.tag("run"), width=-1, callback=self._run_more)
        self.explain("steps", "Number of steps for the button on the right.")
        with self.columns(3):
            self.button("evaluate", "Evaluate")
            self.button("save_checkpoint", "Save")
            self.button("reset", "Reset")
        dpg.add_text("", tag=self.tag("error"), wrap=0, color=COLOURS["bad"], show=False)
        self.explain("error", "")

    def on_event(self, event: Event) -> None:
        """Remember what is on disk."""
        if isinstance(event, CheckpointSaved):
            self._saved_step = event.step
        elif isinstance(event, SceneOpened):
            self._saved_step = None

    def refresh(self, session: Session) -> None:
        """Show the state, the numbers and what can be done now."""
        self.put("state", session.state.value.capitalize(), STATE_COLOUR[session.state])
        self.put("reason", session.state_reason)
        self._show_progress(session)
        self._show_method(session)
        if session.stats is not None:
            self._show_numbers(session.stats)
        self.put(
            "saved", formats.NONE if self._saved_step is None else f"step {formats.count(self._saved_step)}"
        )
        training = session.state is TrainState.TRAINING
        self.configure("toggle_training", label="Pause" if training else "Start")
        self.allow_commands(
            session, "toggle_training", "train_one_step", "evaluate", "save_checkpoint", "reset"
        )
        self.allow(
            "run", commands.with_scene(session), "Train that many steps, counted from now, then pause."
        )
        self._show_error(session)

    def _show_numbers(self, stats: Stats) -> None:
        goal = f" of {formats.count(stats.target_step)}" if stats.target_step else ""
        self.put("step", formats.count(stats.step) + goal)
        running = stats.steps_per_s > 0 and stats.train_ms > 0
        per_step = f", {formats.milliseconds(stats.train_ms)} each" if running else ""
        self.put("speed", formats.rate(stats.steps_per_s) + per_step)
        self.put("elapsed", formats.duration(stats.train_seconds))
        self.put("eta", formats.duration(stats.eta_s))
        train, view = formats.percent(stats.train_share), formats.percent(stats.view_share)
        self.put("share", round(stats.train_share, 2))
        self.configure("share", overlay=f"train {train}   view {view}")

    def _show_method(self, session: Session) -> None:
        name = session.method if session.scene is None else session.scene.method
        self.put("method", method_title(name))
        loading = "The scene is still loading." if session.state is TrainState.LOADING else None
        self.allow("method", loading, "What learns the scene. Another one starts anew on the same scene.")

    def _switch(self, title: str) -> None:
        """Start another method, or, without a scene, remember it for the next one."""
        name, session = next(n for n, t in _TITLES.items() if t == title), self.context.session
        self.forget("method")  # until it is in force, the present one is shown
        if session.scene is None:
            session.method = name
        elif session.scene.method != name:
            self.context.run(f"train_with_{name}")

    def _show_progress(self, session: Session) -> None:
        progress = session.progress
        self.configure("progress", show=progress is not None)
        if progress is not None:
            self.put("progress", progress.done / progress.total if progress.total else 0.0)
            done = (
                f"  {formats.count(progress.done)} of {formats.count(progress.total)}"
                if progress.total
                else ""
            )
            self.configure("progress", overlay=f"{progress.stage}{done}")

    def _show_error(self, session: Session) -> None:
        failure = session.last_error
        self.configure("error", show=failure is not None)
        if failure is not None:
            self.put("error", f"{failure.what}: {failure.chain[0]}" if failure.chain else failure.what)
            self.explain("error", "\n".join(failure.chain) or failure.what)

    def _run_more(self) -> None:
        self.context.send(Train(steps=max(1, int(dpg.get_value(self.tag("steps")))), finish=False))
