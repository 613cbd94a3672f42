# SPDX-License-Identifier: MIT
"""The export panel starts videos and tells what became of them."""

from __future__ import annotations

import pytest

from app.gui.panels.export import ExportPanel
from engine.messages import JobEnded, JobProgress


def test_settings_start_from_the_capture_and_go_out_whole(bench, lego):
    bench.build(ExportPanel()).event(lego)
    assert bench.text("radius") == pytest.approx(2.0, abs=2e-3)
    bench.press("kind", "orbit")
    bench.press("frames", 60)
    bench.press("size", "1280 x 720")
    bench.press("file", "out/lego.mp4")
    bench.press("start")
    ((action, settings),) = bench.done
    assert action == "export_video"
    assert settings == {
        "kind": "orbit", "radius": settings["radius"], "height": settings["height"], "turns": 1.0, "frames": 60,
        "fps": 30, "width": 1280, "height_px": 720, "file": "out/lego.mp4",
    }  # fmt: skip


def test_nothing_can_be_exported_without_a_scene(bench):
    bench.build(ExportPanel()).refresh()
    assert not bench.config("start", "enabled") and bench.tip("start").startswith("Open a scene first.")


def test_a_job_shows_its_progress_and_can_be_cancelled(bench, lego):
    bench.build(ExportPanel()).event(lego, JobProgress("spiral.mp4", 30, 120, 31.0))
    assert bench.text("job0") == pytest.approx(0.25)
    assert bench.config("job0", "overlay") == "30 of 120 frames, 31 s left"
    bench.press("job0-cancel")
    assert bench.done == [("cancel_export", "spiral.mp4")]


@pytest.mark.parametrize("outcome", ["finished", "cancelled", "failed"])
def test_an_ended_job_keeps_its_outcome_and_loses_its_button(bench, lego, outcome):
    bench.build(ExportPanel()).event(lego, JobProgress("a", 1, 2, None), JobEnded("a", outcome, "as told"))
    assert not bench.shown("job0") and not bench.shown("job0-cancel")
    assert bench.shown("job0-outcome") and bench.text("job0-outcome") == f"{outcome.capitalize()}: as told"


def test_jobs_are_told_apart(bench, lego):
    bench.build(ExportPanel()).event(lego, JobProgress("a", 1, 2, None), JobProgress("b", 2, 2, None))
    assert (bench.text("job0"), bench.text("job1")) == (0.5, 1.0)


def test_the_length_of_the_video_is_told(bench, lego):
    bench.build(ExportPanel()).event(lego)
    assert bench.text("note").startswith("4.0 s of video. Training goes on")
