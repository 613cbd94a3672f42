# SPDX-License-Identifier: MIT
"""The curves panel: loss terms, PSNR and SSIM over steps or seconds, smoothed as one likes."""

from __future__ import annotations

import time
from collections.abc import Callable

import dearpygui.dearpygui as dpg

from app.gui import curve_points, formats, theme
from app.gui.curve_points import BESIDE, LOSSES, QUALITY, WATCHED, curves_of_both, smoothed
from app.gui.panels.base import COLOURS, BasePanel
from app.gui.session_feed import HELD_OUT_PSNR, HELD_OUT_SSIM
from app.session import CurvePoint, Session, model_names

REDRAW_S = 0.25
DRAWN_POINTS = 600  # about one per pixel of a plot
MEASURED = (HELD_OUT_PSNR, HELD_OUT_SSIM)
PLOTS = {"loss": LOSSES, "psnr": "PSNR (dB)", "ssim": "SSIM, held out"}
LEGEND_CORNER = {"loss": dpg.mvPlot_Location_NorthEast}  # losses fall, qualities rise
MARKER_PX = 3.5
ROOMY_PX = 190  # a narrower plot has room for two labels only
LINES = {f"loss{n}": colour for n, colour in enumerate(theme.PLOT_COLOURS)}  # of loss terms, as they come
LOOKS = {"front": theme.ACCENT, "held out": theme.HELD_OUT, "beside": theme.PLOT_COLOURS[3]}
_TINY = 1e-12  # a logarithmic axis has no zero; a loss term that is off is left out instead


class CurvesPanel(BasePanel):
    """Three plots beside each other; a loss term gets its line when it first has a value."""

    id, title = "curves", "Curves"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._drawn_at = float("-inf")
        self._drawn: object = None
        self._series: dict[str, str] = {}  # curve -> plot it is drawn in
        self._named: tuple[str, str] | None = None

    def layout(self) -> None:
        """One line of controls, then the plots."""
        with dpg.group(horizontal=True):
            dpg.add_combo(
                (LOSSES, *WATCHED), default_value=LOSSES, tag=self.tag("family"), width=self.px(140),
                callback=self._set_scale,
            )  # fmt: skip
            dpg.add_combo(("steps", "seconds"), default_value="steps", tag=self.tag("x"), width=self.px(84))
            dpg.add_checkbox(label="Log", default_value=True, tag=self.tag("log"), callback=self._set_scale)
            dpg.add_slider_float(
                tag=self.tag("smoothing"), default_value=0.8, max_value=0.99, width=-1, format="Smoothing %.2f", clamped=True
            )  # fmt: skip
        self.explain("family", "What the first plot shows.")
        self.explain("x", "Against training steps, or against seconds of training.")
        self.explain("log", "Logarithmic axis for loss terms and gradients.")
        self.explain("smoothing", "Running mean of the noisy curves; 0 shows them as they are.")
        dpg.add_text(
            "Curves appear with the first training steps.", tag=self.tag("empty"), color=COLOURS["quiet"]
        )
        with dpg.table(
            header_row=False,
            policy=dpg.mvTable_SizingStretchProp,
            pad_outerX=False,
            tag=self.tag("plots"),
            show=False,
        ):
            for weight in (1.25, 1.25, 0.9):
                dpg.add_table_column(init_width_or_weight=weight)
            with dpg.table_row():
                for plot, label in PLOTS.items():
                    self._make_plot(plot, label)
        for look, colour in (LOOKS | LINES).items():
            self._make_look(look, colour)
        for curve in QUALITY:
            self._make_series(curve)
            self._make_series(BESIDE + curve)

    def _make_look(self, look: str, colour: theme.Colour) -> None:
        """Make the colour of a line, once plain and once with a mark at each point."""
        for kind in ("plain", "marked"):
            with dpg.theme(tag=self.tag(f"{look}-{kind}")), dpg.theme_component(dpg.mvLineSeries):
                for target in (dpg.mvPlotCol_Line, dpg.mvPlotCol_MarkerFill, dpg.mvPlotCol_MarkerOutline):
                    dpg.add_theme_color(target, colour, category=dpg.mvThemeCat_Plots)
                if kind == "marked":
                    for style, value in (
                        (dpg.mvPlotStyleVar_Marker, dpg.mvPlotMarker_Circle),
                        (dpg.mvPlotStyleVar_MarkerSize, self.px(MARKER_PX)),
                    ):
                        dpg.add_theme_style(style, value, category=dpg.mvThemeCat_Plots)

    def _make_plot(self, plot: str, label: str) -> None:
        with self.plot(plot, label=label, height=-1):
            corner = LEGEND_CORNER.get(plot, dpg.mvPlot_Location_SouthEast)
            dpg.add_plot_legend(location=corner, tag=self.tag(f"{plot}-legend"))
            dpg.add_plot_axis(dpg.mvXAxis, tag=self.tag(f"{plot}-x"))
            scale = dpg.mvPlotScale_Log10 if plot == "loss" else dpg.mvPlotScale_Linear
            fitted = plot != "ssim"  # one point alone would be fitted with values that no SSIM has
            dpg.add_plot_axis(dpg.mvYAxis, tag=self.tag(f"{plot}-y"), auto_fit=fitted, scale=scale)

    def _make_series(self, curve: str) -> None:
        plot, label = QUALITY.get(curve.removeprefix(BESIDE), ("loss", curve_points.label_of(curve)))
        self._series[curve] = plot
        tag = self.tag(f"series-{curve}")
        dpg.add_line_series([], [], label=label, parent=self.tag(f"{plot}-y"), tag=tag)
        if plot == "loss":
            number = sum(where == "loss" for where in self._series.values()) - 1
            dpg.bind_item_theme(tag, self.tag(f"loss{number % len(LINES)}-plain"))

    def refresh(self, session: Session) -> None:
        """Draw the curves anew, at most four times a second and only if something changed."""
        now = self._clock()
        if now - self._drawn_at < REDRAW_S:
            return
        by_steps = dpg.get_value(self.tag("x")) == "steps"
        family = dpg.get_value(self.tag("family"))
        smoothing = float(dpg.get_value(self.tag("smoothing")))
        curves = {name: c for name, c in curves_of_both(session).items() if curve_points.drawn_here(name)}
        ends = tuple((name, len(points), points[-1].step) for name, points in curves.items() if points)
        self._name_models(session)
        if (ends, by_steps, smoothing, family) == self._drawn:
            return
        self.configure("empty", show=not ends)
        self.configure("plots", show=bool(ends))
        self._drawn_at, self._drawn = now, (ends, by_steps, smoothing, family)
        for name, points in curves.items():
            if name not in self._series and any(point.value > _TINY for point in points):
                self._make_series(name)
        for name, plot in self._series.items():
            here = plot != "loss" or curve_points.family_of(name) == family
            if plot == "loss":
                dpg.configure_item(self.tag(f"series-{name}"), show=here)
            if here:
                positive = plot == "loss" and self._logarithmic()
                self._draw(name, curves.get(name, []), by_steps, smoothing, positive)
        self._set_limits(curves, by_steps)

    def _name_models(self, session: Session) -> None:
        """Say whose quality a line is while there are two models: then each has one colour and one name in the legend."""
        front, beside = model_names(session)
        if (front, beside) == self._named:
            return
        self._named = front, beside
        self.configure("ssim-legend", show=bool(beside))  # else the title says it all
        for curve, (plot, label) in QUALITY.items():
            kind = "marked" if curve in MEASURED else "plain"  # seldom: one point alone must be seen too
            nameless = curve in MEASURED and plot == "psnr"  # the training view's line says the name
            for prefix, name, look in (("", front, "front"), (BESIDE, beside, "beside")):
                alone = look == "front" and not beside
                said = label if alone else f"##{prefix}{curve}" if nameless else name
                tag = self.tag(f"series-{prefix}{curve}")
                dpg.configure_item(tag, label=said, show=alone or bool(beside))
                chosen = "held out" if alone and kind == "marked" else look
                dpg.bind_item_theme(tag, self.tag(f"{chosen}-{kind}"))

    def _set_limits(self, curves: dict[str, list[CurvePoint]], by_steps: bool) -> None:
        """Let all plots share what is across, so that they can be compared, and keep SSIM's axis to what SSIM can be."""
        newest = [points[-1] for name, points in curves.items() if points and name in self._series]
        across = [float(point.step) if by_steps else point.seconds for point in newest]
        end = max([1.0, *across])
        for plot in PLOTS:
            axis = self.tag(f"{plot}-x")
            dpg.set_axis_limits(axis, 0.0, end * 1.02)
            if dpg.get_item_rect_size(self.tag(plot))[0] < self.px(ROOMY_PX):
                far = curve_points.far_label(end)
                dpg.set_axis_ticks(axis, (("0", 0.0), (formats.count(round(far)), far)))
            else:
                dpg.reset_axis_ticks(axis)
        both = (HELD_OUT_SSIM, BESIDE + HELD_OUT_SSIM)
        ssim = [point.value for name in both for point in curves.get(name, [])]
        dpg.set_axis_limits(self.tag("ssim-y"), *curve_points.ssim_limits(ssim))

    def _draw(
        self, name: str, points: list[CurvePoint], by_steps: bool, smoothing: float, positive: bool
    ) -> None:
        measured = name.removeprefix(BESIDE) in MEASURED
        seldom = measured or curve_points.family_of(name) != LOSSES
        values = smoothed(
            [curve_points.factor_of(name) * point.value for point in points], 0.0 if seldom else smoothing
        )
        places = [float(point.step) if by_steps else point.seconds for point in points]
        if positive:
            kept = [(x, y) for x, y in zip(places, values) if y > _TINY]
            places, values = [x for x, _ in kept], [y for _, y in kept]
        stride = max(1, -(-len(values) // DRAWN_POINTS))
        first = (len(values) - 1) % stride  # so that the newest point is always among them
        dpg.set_value(self.tag(f"series-{name}"), [places[first::stride], values[first::stride]])

    def _logarithmic(self) -> bool:
        family = dpg.get_value(self.tag("family"))
        return dpg.get_value(self.tag("log")) and family in (LOSSES, "Gradients")

    def _set_scale(self) -> None:
        scale = dpg.mvPlotScale_Log10 if self._logarithmic() else dpg.mvPlotScale_Linear
        dpg.configure_item(self.tag("loss-y"), scale=scale)
        family = dpg.get_value(self.tag("family"))
        dpg.configure_item(self.tag("loss"), label=family)
        dpg.configure_item(self.tag("loss-legend"), show=len(WATCHED.get(family, (1, 2))) > 1)
        self._drawn = None
