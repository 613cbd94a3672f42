# SPDX-License-Identifier: MIT
"""The nodes panel: what the picture on screen needs of an octree of fields, and how much of the model is in memory for it."""

from __future__ import annotations

from collections import deque

import dearpygui.dearpygui as dpg

from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from engine.messages import SetCacheBudget, SetMode, Stats
from engine.methods.common import NodeUse, method_title

MB = 1_000_000
PLOT_PX = 84
REMEMBERED = 600  # numbers that the graphs go back
MODE_TIP = (
    "Inference mode: training rests, nodes lie on the disk, and only what a view needs is read into memory. "
    "Until a node has come, the picture shows the coarser one above it. Training brings the whole model back."
)
BUDGET_TIP = "How much of the model may lie in memory in inference mode; 0: all of it. Ctrl and a click to type a number."


class NodesPanel(BasePanel):
    """Numbers of the last view, graphs over time, and the cache's budget."""

    id, title = "nodes", "Nodes"

    def __init__(self) -> None:
        super().__init__()
        self._history: deque[tuple[float, float, float]] = deque(
            maxlen=REMEMBERED
        )  # touched, MB touched, MB there
        self._seen: Stats | None = None
        self._key = -1

    def layout(self) -> None:
        """Numbers on top, graphs, then the budget."""
        dpg.add_text("", tag=self.tag("none"), wrap=0, color=COLOURS["quiet"])
        with dpg.group(tag=self.tag("all"), show=False):
            with self.form(0.4):
                self.number(
                    "Touched", "touched", "Nodes whose fields the last picture was made of, level by level."
                )
                self.number("Needed", "needed", "The bytes of those nodes, and their share of the model.")
                self.number(
                    "In memory", "resident", "The bytes of all nodes that are in memory, and their share."
                )
                self.number(
                    "Cache",
                    "cache",
                    "Nodes that were there when a picture needed them, and that had to be read.",
                )
            self._plot("nodes", "nodes touched", ("touched",))
            self._plot("bytes", "MB", ("in memory", "needed"))
            dpg.add_checkbox(
                label="Nodes from disk (inference mode)", tag=self.tag("mode"), callback=self._set_mode
            )
            self.explain("mode", MODE_TIP)
            with self.form(0.4), self.field("Cache (MB)", "budget", BUDGET_TIP):
                dpg.add_slider_int(tag=self.tag("budget"), min_value=0, max_value=1024, width=-1)
            self.edited("budget", lambda value: self._send_budget(int(value)))
            self.explain("budget", BUDGET_TIP)

    def _plot(self, name: str, label: str, series: tuple[str, ...]) -> None:
        with self.plot(f"{name}-plot", height=self.px(PLOT_PX), no_inputs=True):
            if len(series) > 1:
                dpg.add_plot_legend(location=dpg.mvPlot_Location_NorthWest, horizontal=True)
            dpg.add_plot_axis(dpg.mvXAxis, tag=self.tag(f"{name}-x"), no_tick_labels=True, no_tick_marks=True)
            with dpg.plot_axis(dpg.mvYAxis, label=label, tag=self.tag(f"{name}-y"), no_tick_marks=True):
                for one in series:
                    dpg.add_line_series([], [], label=one, tag=self.tag(f"line-{one}"))

    def refresh(self, session: Session) -> None:
        """Show what the newest picture needed."""
        use = session.stats.nodes if session.stats is not None else None
        there = session.scene is not None and session.scene.unit == "nodes"
        self.configure("all", show=there)
        self.configure("none", show=not there)
        if not there:
            self.put("none", _without(session))
            return
        if session.scene.key != self._key:
            self._key, self._seen = session.scene.key, None
            self._history.clear()
        self.put("mode", session.inference)
        trained = session.stats is not None and session.stats.step > 0
        self.allow("mode", None if trained or session.inference else "Nothing is trained yet.", MODE_TIP)
        if use is None:
            return
        self._show(use, session.inference)
        if session.stats is not self._seen:
            self._seen = session.stats
            self._history.append((float(sum(use.per_level)), use.touched_bytes / MB, use.resident_bytes / MB))
            self._draw()

    def _show(self, use: NodeUse, inference: bool) -> None:
        levels = " + ".join(formats.count(count) for count in use.per_level)
        self.put("touched", f"{formats.count(sum(use.per_level))}  ({levels})")
        self.put("needed", _share(use.touched_bytes, use.model_bytes))
        self.put("resident", _share(use.resident_bytes, use.model_bytes))
        waiting = f", {formats.count(use.loading)} on the way" if use.loading else ""
        cache = f"{formats.count(use.hits)} hits, {formats.count(use.misses)} misses{waiting}"
        self.put("cache", cache if inference else "the whole model is in memory")
        self.configure("budget", max_value=max(1, -(-use.model_bytes // MB)))
        self.put("budget", round(use.budget_bytes / MB))

    def _draw(self) -> None:
        if not self._history:
            return
        steps = [float(i) for i in range(len(self._history))]
        touched, needed, resident = (list(column) for column in zip(*self._history, strict=True))
        for name, values in (("touched", touched), ("needed", needed), ("in memory", resident)):
            dpg.set_value(self.tag(f"line-{name}"), [steps, values])
        for name, values in (("nodes", touched), ("bytes", (*needed, *resident))):
            dpg.set_axis_limits(self.tag(f"{name}-x"), 0.0, max(1.0, steps[-1]))
            dpg.set_axis_limits(self.tag(f"{name}-y"), 0.0, 1.3 * max(values) or 1.0)

    def _set_mode(self) -> None:
        self.context.send(SetMode(dpg.get_value(self.tag("mode"))))
        self.forget("mode")  # until it is in force, the present one is shown

    def _send_budget(self, megabytes: int) -> None:
        self.forget("budget")  # if the worker refuses it, the one in force comes back
        self.context.send(SetCacheBudget(MB * megabytes))


def _share(part: int, whole: int) -> str:
    return f"{formats.size(part)}, {formats.percent(part / max(whole, 1))} of {formats.size(whole)}"


def _without(session: Session) -> str:
    if session.scene is None:
        return "What a view needs of the model appears when a scene is open."
    return f"{method_title(session.scene.method)} is one structure, in memory as a whole; InfNeRF consists of nodes."
