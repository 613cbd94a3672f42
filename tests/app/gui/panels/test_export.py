# SPDX-License-Identifier: MIT
"""The export panel sets what is exported, says why something cannot be, and shows the queue."""

from __future__ import annotations

import numpy as np
import pytest

from app.gui.panels.export import ExportPanel
from app.gui.panels.export_queue import fitted
from app.session import JobRow


@pytest.fixture
def panel(bench, lego):
    bench.build(ExportPanel()).event(lego)
    return bench


def test_settings_start_from_the_capture_and_are_the_sessions(panel):
    assert panel.text("radius") == pytest.approx(2.0, abs=2e-3)
    for name, value in (("kind", "orbit"), ("frames", 60), ("format", "WebP"), ("quality", "best"), ("supersample", 2),
                        ("moments", 8), ("depth", "16-bit PNG"), ("normals", True), ("projection", "360"),
                        ("meanwhile", "waits"), ("model", "as it trains"), ("file", "out/lego")):  # fmt: skip
        panel.press(name, value)
        assert getattr(panel.session.export, name) == value
    panel.press("size", "3840 x 2160")
    assert (panel.session.export.width, panel.session.export.height_px) == (3840, 2160)
    panel.press("start")
    assert panel.done == [("export.start", None)]


def test_a_custom_size_brings_its_fields(panel):
    assert not panel.shown("width-row")
    panel.press("size", "custom")
    panel.refresh()
    assert panel.shown("width-row") and panel.shown("height_px-row")
    panel.press("width", 800)
    panel.press("height_px", 800)
    panel.refresh()
    assert (panel.session.export.width, panel.text("size")) == (800, "custom")


def test_nothing_can_be_exported_without_a_scene_or_a_path(bench, lego):
    bench.build(ExportPanel()).refresh()
    assert not bench.config("start", "enabled") and bench.tip("start").startswith("Open a scene first.")
    bench.session.export.kind = "path"
    bench.event(lego)
    assert bench.tip("start").startswith("There is no camera path yet")
    assert not bench.shown("frames-row") and not bench.shown("shape")


def test_settings_without_effect_say_why(panel):
    for values, name in (
        ({"format": "GIF"}, "quality"),
        ({"mode": "depth"}, "moments"),
        ({}, "shutter"),
        ({}, "focus"),
    ):
        panel.session.export.__dict__.update(
            format="mp4", mode="colour", moments=1, **values
        ) if not values else (panel.session.export.__dict__.update(values))
        panel.refresh()
        assert not panel.config(name, "enabled") and "\n\n" in panel.tip(name)
    panel.session.export.__dict__.update(format="mp4", mode="colour", moments=4, projection="over-under")
    panel.refresh()
    assert all(panel.config(name, "enabled") for name in ("quality", "moments", "shutter", "focus"))


def test_the_cost_is_told_beforehand(panel):
    panel.session.export_estimate = (75.0, 12.3e6)
    panel.refresh()
    assert panel.text("note") == "960 x 540, about 1 min 15 s and 12.3 MB."
    panel.session.export.projection, panel.session.export.meanwhile = "side by side", "waits"
    panel.refresh()
    assert panel.text("note") == "1920 x 540, about 1 min 15 s and 12.3 MB. Training waits."


def test_jobs_show_their_progress_and_latest_picture_and_can_be_moved_and_cancelled(panel):
    running = JobRow("a", "Spiral", "x/spiral.mp4", "rendering", 30, 120, 31.0)
    running.picture, running.serial = np.full((90, 160, 3), 200, np.uint8), 1
    panel.session.jobs += [
        running,
        JobRow("b", "Orbit", "x/orbit.mp4", total=9),
        JobRow("c", "Path", "p", total=9),
    ]
    panel.refresh()
    assert panel.text("job0") == pytest.approx(0.25)
    assert panel.config("job0", "overlay") == "30 of 120 frames, 31 s left"
    assert panel.config("job1", "overlay") == "waiting"
    assert panel.shown("job0-picture") and not panel.shown("job1-picture")
    assert panel.panel._queue._pixels[67, 120, 0] == pytest.approx(200 / 255, abs=1e-3)
    assert [panel.shown(f"job{n}-{way}") for n in range(3) for way in ("sooner", "later")] == [
        False, False, False, True, True, False,
    ]  # fmt: skip
    panel.press("job0-cancel")
    panel.press("job1-later")
    panel.press("job2-sooner")
    assert panel.done == [("export.cancel", "a"), ("export.later", "b"), ("export.sooner", "c")]


@pytest.mark.parametrize("outcome", ["finished", "cancelled", "failed"])
def test_an_ended_job_keeps_its_outcome_and_loses_its_button(panel, outcome):
    panel.session.jobs.append(JobRow("a", "Spiral", "x/spiral.mp4", outcome, 12, 12, detail="as told"))
    panel.refresh()
    assert not panel.shown("job0") and not panel.shown("job0-cancel")
    assert panel.text("job0-outcome") == ("Finished, 12 pictures." if outcome == "finished" else "as told")
    assert panel.shown("job0-folder") == (outcome != "failed")
    panel.press("clear")
    assert panel.done == [("export.clear", None)]


def test_open_folder_means_the_job_that_the_row_shows_even_if_the_list_is_another_by_now(panel):
    panel.session.jobs += [JobRow(name, name, f"{name}/film.mp4", "finished", 1, 1) for name in "ab"]
    panel.refresh()
    del panel.session.jobs[0]  # the oldest made room; the row was not drawn since
    panel.press("job1-folder")
    panel.press("job0-folder")
    assert panel.done == [("export.open_folder", "b/film.mp4")]


def test_a_job_that_ends_while_it_is_being_shown_has_no_picture_any_more(panel):
    row = JobRow("a", "Spiral", "spiral.mp4", "rendering", 3, 12, serial=1)
    panel.session.jobs.append(row)
    panel.refresh()
    assert panel.shown("job0-picture")


def test_a_time_lapse_needs_views(panel):
    assert panel.config("lapse-start", "enabled")
    panel.press("lapse-views", "chosen views")
    panel.refresh()
    assert panel.tip("lapse-start").startswith("Add views first.")
    panel.press("lapse-add")
    panel.press("lapse-start")
    assert panel.done == [("export.add_view", None), ("export.timelapse", None)]


@pytest.mark.parametrize(("width", "height"), [(320, 90), (20, 200), (240, 135)])
def test_a_picture_is_fitted_in_whole(width, height):
    picture = np.random.default_rng(0).integers(100, 255, (height, width, 3), dtype=np.uint8)
    out = fitted(picture, 240, 135)
    assert out.shape == (135, 240, 4)
    there = np.argwhere(out[..., 0] > 0.2)
    size = there.max(axis=0) - there.min(axis=0) + 1
    assert size[1] / size[0] == pytest.approx(width / height, rel=0.08)
    assert (size == (135, 240)).any()
