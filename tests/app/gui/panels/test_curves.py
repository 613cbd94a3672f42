# SPDX-License-Identifier: MIT
"""The curves panel draws what was measured, no more often than an eye can follow."""

from __future__ import annotations

from dataclasses import replace

import dearpygui.dearpygui as dpg
import pytest

from app.gui import theme
from app.gui.curve_points import far_label, smoothed, ssim_limits, step_below
from app.gui.panels.curves import DRAWN_POINTS, REDRAW_S, CurvesPanel
from app.gui.session_feed import apply_event
from app.session import BesideModel, CurvePoint
from engine.messages import Beside
from engine.training import _history_point


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def curves(bench, clock):
    return bench.build(CurvesPanel(clock))


def drawn(bench, name):
    xs, ys = dpg.get_value(bench.tag(f"series-{name}"))[:2]
    return list(xs), list(ys)


def line(*values: float) -> list[CurvePoint]:
    return [CurvePoint(10 * i, 0.5 * i, value) for i, value in enumerate(values, start=1)]


def test_smoothing_keeps_a_constant_and_its_first_value():
    assert smoothed([3.0] * 5, 0.9) == pytest.approx([3.0] * 5)
    assert smoothed([1.0, 2.0, 4.0], 0.0) == [1.0, 2.0, 4.0]
    assert smoothed([1.0, 0.0], 0.5) == pytest.approx([1.0, 1 / 3])


def test_plots_wait_for_the_first_point(curves, clock):
    curves.refresh()
    assert curves.shown("empty") and not curves.shown("plots")
    curves.session.curves["psnr"] = line(20.0)
    clock.now = 1.0
    curves.refresh()
    assert not curves.shown("empty") and curves.shown("plots")


def test_loss_terms_get_a_line_when_they_have_a_value(curves, clock):
    curves.session.curves |= {"mse": line(0.1, 0.05), "distortion": line(0.0, 0.0), "voxels": line(10, 20)}
    curves.refresh()
    assert drawn(curves, "mse")[0] == [10.0, 20.0]
    assert not dpg.does_item_exist(curves.tag("series-distortion"))
    assert not dpg.does_item_exist(curves.tag("series-voxels"))


def test_curves_are_drawn_at_most_four_times_a_second(curves, clock):
    curves.session.curves["psnr"] = line(20.0)
    curves.refresh()
    curves.session.curves["psnr"] = line(20.0, 21.0)
    clock.now = 0.9 * REDRAW_S
    curves.refresh()
    assert len(drawn(curves, "psnr")[0]) == 1
    clock.now = 1.1 * REDRAW_S
    curves.refresh()
    assert len(drawn(curves, "psnr")[0]) == 2


def test_a_long_curve_is_thinned_and_keeps_its_newest_point(curves):
    curves.session.curves["held-out psnr"] = line(*range(1, 1801))
    curves.refresh()
    xs, ys = drawn(curves, "held-out psnr")
    assert len(xs) <= DRAWN_POINTS and (xs[-1], ys[-1]) == (18_000.0, 1800.0)


def test_the_axis_may_be_seconds(curves, clock):
    curves.session.curves["psnr"] = line(20.0, 21.0)
    dpg.set_value(curves.tag("x"), "seconds")
    curves.refresh()
    assert drawn(curves, "psnr")[0] == [0.5, 1.0]


def test_held_out_points_are_never_smoothed(curves):
    dpg.set_value(curves.tag("smoothing"), 0.9)
    curves.session.curves |= {"psnr": line(10.0, 30.0), "held-out psnr": line(10.0, 30.0)}
    curves.refresh()
    assert drawn(curves, "held-out psnr")[1] == [10.0, 30.0]
    assert drawn(curves, "psnr")[1][1] < 25.0


def test_curves_of_a_model_thrown_away_disappear(curves, clock):
    curves.session.curves["mse"] = line(0.1)
    curves.refresh()
    curves.session.curves.clear()
    clock.now = 1.0
    curves.refresh()
    assert drawn(curves, "mse") == ([], [])


def test_the_loss_axis_can_be_linear(curves):
    curves.press("log", False)
    assert dpg.get_item_configuration(curves.tag("loss-y"))["scale"] == dpg.mvPlotScale_Linear
    curves.press("log", True)
    assert dpg.get_item_configuration(curves.tag("loss-y"))["scale"] == dpg.mvPlotScale_Log10


def test_the_first_plot_can_show_what_is_watched_instead_of_losses(curves, clock):
    curves.session.curves.update(mse=line(0.1, 0.01), dead=line(0.0, 0.25), step_ms=line(20.0, 30.0))
    curves.refresh()
    assert curves.config("series-mse", "show") and not curves.config("series-dead", "show")
    dpg.set_value(curves.tag("family"), "Dead voxels (%)")
    curves.press("family")
    clock.now += REDRAW_S
    curves.refresh()
    assert curves.config("loss", "label") == "Dead voxels (%)" and not curves.shown("loss-legend")
    assert curves.config("series-dead", "show") and not curves.config("series-mse", "show")
    assert drawn(curves, "dead") == ([10.0, 20.0], [0.0, 25.0]), (
        "in per cent, with its zero, as it was measured"
    )


def test_what_is_watched_comes_with_statistics_and_from_a_runs_folder(curves, lego, stats):
    curves.event(lego)
    for step, dead in ((1240, 0.1), (1250, 0.1), (1260, 0.2)):
        curves.stats(replace(stats, step=step, vitals=(("dead", dead),)))
    assert [(p.step, p.value) for p in curves.session.curves["dead"]] == [(1240, 0.1), (1260, 0.2)]
    record = {
        "kind": "training",
        "step": 7,
        "seconds": 1.0,
        "psnr": 20.0,
        "losses": {"mse": 0.1},
        "dead": 0.3,
        "probes": [],
    }
    assert dict(_history_point(record).values) == {"psnr": 20.0, "mse": 0.1, "dead": 0.3}


def test_an_axis_of_ssim_holds_what_ssim_can_be_and_fits_its_values():
    assert ssim_limits([0.95]) == pytest.approx((0.93, 1.0))
    low, high = ssim_limits([0.5, 0.9])
    assert 0.4 < low < 0.5 and high == 1.0
    assert ssim_limits([]) == (0.0, 1.0) and ssim_limits([0.01])[0] == 0.0


def test_held_out_points_have_markers_so_that_one_alone_is_seen(curves):
    curves.refresh()
    assert look(curves, "held-out ssim")[0] and not look(curves, "psnr")[0]
    assert curves.shown("psnr-legend") and not curves.shown("ssim-legend")


def look(curves, name):
    """Return whether a line has marks, and its colour."""
    (component,) = dpg.get_item_children(dpg.get_item_theme(curves.tag(f"series-{name}")), 1)
    items = dpg.get_item_children(component, 1)
    styles = [i for i in items if dpg.get_item_info(i)["type"] == "mvAppItemType::mvThemeStyle"]
    colour = next(i for i in items if i not in styles)
    return bool(styles), tuple(round(v) for v in dpg.get_value(colour))


def test_two_models_are_drawn_in_one_plot_each_in_its_colour_and_with_its_name(curves, lego, clock):
    apply_event(curves.session, lego)
    curves.session.curves |= {"psnr": line(10.0, 30.0), "held-out psnr": line(12.0)}
    curves.session.beside = BesideModel(Beside(2, "plenoxels", "runs/x"))
    curves.session.beside.curves |= {"psnr": line(20.0, 21.0), "held-out ssim": line(0.8), "mse": line(0.1)}
    curves.refresh()
    assert drawn(curves, "beside psnr")[1][0] == 20.0 and drawn(curves, "beside held-out ssim")[1] == [0.8]
    assert not dpg.does_item_exist(curves.tag("series-beside mse"))
    labels = {
        name: curves.config(f"series-{name}", "label") for name in ("psnr", "beside psnr", "held-out psnr")
    }
    assert labels == {"psnr": "SVRaster", "beside psnr": "Plenoxels", "held-out psnr": "##held-out psnr"}
    assert look(curves, "psnr")[1] == look(curves, "held-out psnr")[1] == theme.ACCENT
    assert look(curves, "beside psnr")[1] == look(curves, "beside held-out ssim")[1] != theme.ACCENT
    assert curves.shown("ssim-legend")
    curves.session.beside = None
    clock.now = 1.0
    curves.refresh()
    assert not curves.shown("series-beside psnr") and curves.config("series-psnr", "label") == "training view"
    assert look(curves, "held-out psnr") == (True, theme.HELD_OUT)


def test_two_models_of_one_method_are_told_apart(curves, lego):
    apply_event(curves.session, lego)
    curves.session.beside = BesideModel(Beside(2, "svraster", "runs/x"))
    curves.session.beside.curves["psnr"] = line(20.0)
    curves.refresh()
    assert curves.config("series-beside psnr", "label") == "SVRaster, beside"


def test_the_second_label_of_a_narrow_axis_is_a_round_number_within_it():
    for value, label in (
        (1.0, 1.0),
        (4.9, 2.0),
        (5.0, 5.0),
        (99.0, 50.0),
        (1000.0, 1000.0),
        (7431.0, 5000.0),
    ):
        assert step_below(value) == label
    assert (far_label(1.0), far_label(1101.0), far_label(1200.0)) == (1.0, 500.0, 1000.0)


def test_each_loss_term_has_a_colour_of_the_theme_of_its_own(curves, lego):
    apply_event(curves.session, lego)
    curves.session.curves |= {name: line(0.5, 0.4) for name in ("mse", "ssim", "distortion")}
    curves.refresh()
    colours = [look(curves, name)[1] for name in ("mse", "ssim", "distortion")]
    assert colours == [tuple(colour) for colour in theme.PLOT_COLOURS[:3]]
