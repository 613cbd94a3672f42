# SPDX-License-Identifier: MIT
"""What the session holds after the worker has spoken."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from app.gui import session_feed
from app.gui.session_feed import CURVE_LIMIT, apply_event, apply_stats
from app.session import CurvePoint, Session
from engine import messages
from engine.cameras import Camera, look_at
from engine.messages import TrainState
from engine.methods.common import AdaptReport, StructureStats

UP = np.array([0.0, 0.0, 1.0])
STRUCTURE = StructureStats(40, 80, (0, 0, 40), 4096, 1000, 0.2)
STATS = messages.Stats(
    TrainState.TRAINING, 10, None, 0.5, 20.0, None, (("mse", 0.1),), 18.0, STRUCTURE, 0, 20.0, 9.0, 0.9, 0.1, 30.0, 1.0
)  # fmt: skip


def scene(n_views: int = 8) -> messages.SceneOpened:
    angles = 2 * np.pi * np.arange(n_views) / n_views
    places = [np.array([2 * np.cos(a), 2 * np.sin(a), 1.0]) for a in angles]
    cameras = [Camera.from_fov(64, 64, 0.8, look_at(place, np.zeros(3), UP)) for place in places]
    views = tuple(messages.ViewInfo(f"r_{i}.png", camera, False) for i, camera in enumerate(cameras))
    return messages.SceneOpened(
        "lego", "lego", "blender", "svraster", views, n_views, ("2 images skipped",), UP, np.eye(4), 0, "white", 0,
        "", {"adapt.every_steps": 100},
    )  # fmt: skip


def test_opening_a_scene_forgets_the_one_before():
    session = Session(curves={"psnr": [CurvePoint(1, 0.1, 10.0)]}, warnings=["old"], stats=STATS)
    session.view.mode, session.view.view_index, session.view.ground_truth = "error", 5, "photo"
    apply_event(session, scene())
    assert session.curves == {} and session.stats is None
    assert session.warnings == ["2 images skipped"] and session.values == {"adapt.every_steps": 100}
    assert (session.view.mode, session.view.view_index, session.view.ground_truth) == ("colour", None, "off")


def test_a_reset_sends_videos_into_the_new_run_folder():
    session = Session()
    apply_event(session, messages.RunFolderChanged("runs/early"))
    apply_event(session, scene())
    apply_event(session, messages.RunFolderChanged("runs/lego-2"))
    assert (session.scene.run_folder, session.scene.name) == ("runs/lego-2", "lego")


def test_export_starts_with_the_circle_the_photos_were_taken_on():
    session = Session()
    apply_event(session, scene())
    assert math.isclose(session.export.radius, 2.0, abs_tol=2e-3)
    assert math.isclose(session.export.height, 1.0, abs_tol=2e-3)


def test_statistics_add_one_point_a_step():
    session = Session()
    apply_stats(session, STATS)
    apply_stats(session, STATS)
    apply_stats(session, replace(STATS, fps=31.0))
    apply_stats(session, replace(STATS, step=11, psnr=math.nan))
    assert [point.step for point in session.curves["mse"]] == [10, 11]
    assert [point.step for point in session.curves["psnr"]] == [10]
    assert session.stats.step == 11


def test_training_anew_starts_the_curves_anew():
    session = Session()
    apply_stats(session, STATS)
    apply_event(session, messages.Evaluated(10, 0.5, 20.0, 0.8, 40, ()))
    apply_stats(session, replace(STATS, step=2, train_seconds=0.1))
    assert [point.step for point in session.curves["psnr"]] == [2]
    assert session.evaluated is None and session_feed.HELD_OUT_PSNR not in session.curves


def test_an_undone_edit_cuts_the_curves_at_the_step_it_leads_back_to():
    session = Session()
    for step in (10, 20, 30):
        apply_stats(session, replace(STATS, step=step))
    apply_event(session, messages.Evaluated(25, 0.5, 20.0, 0.8, 40, ()))
    apply_stats(session, replace(STATS, step=20))
    assert [point.step for point in session.curves["psnr"]] == [10, 20]
    assert session.evaluated is None and session_feed.HELD_OUT_PSNR not in session.curves


def test_a_full_curve_is_thinned_to_the_mean_of_its_neighbours():
    session = Session()
    for step in range(1, CURVE_LIMIT + 2):
        apply_stats(session, replace(STATS, step=step, psnr=float(step)))
    points = session.curves["psnr"]
    assert len(points) == CURVE_LIMIT // 2 + 1
    assert (points[0].step, points[0].value) == (2, 1.5)
    assert points[-1].step == CURVE_LIMIT + 1


def test_held_out_quality_becomes_curves():
    session = Session()
    apply_event(session, messages.Evaluated(100, 2.5, 28.4, 0.91, 40, (("a", 28.4, 0.91),)))
    assert session.curves["held-out psnr"] == [CurvePoint(100, 2.5, 28.4)]
    assert session.curves["held-out ssim"] == [CurvePoint(100, 2.5, 0.91)]


def test_a_structure_change_makes_the_preview_stale_and_is_remembered():
    session = Session(stats=STATS)
    report = AdaptReport(60, 40, 5, 3, 56)
    apply_event(session, messages.AdaptPreviewed(report))
    assert session.preview.report == report
    apply_event(session, messages.StructureChanged(report, replace(STRUCTURE, voxels=56)))
    assert session.preview is None and session.curves["voxels"] == [CurvePoint(60, 0.5, 56.0)]


def test_an_error_stays_until_training_goes_on():
    session = Session()
    failure = messages.Failed("export", ("disk full",))
    apply_event(session, failure)
    apply_event(session, messages.StateChanged(TrainState.PAUSED, "as asked"))
    assert session.last_error is failure and session.state_reason == "as asked"
    apply_event(session, messages.StateChanged(TrainState.TRAINING))
    assert session.last_error is None


def test_progress_goes_when_it_is_complete():
    session = Session()
    apply_event(session, messages.Progress("loading images", 3, 9))
    assert session.progress.done == 3
    apply_event(session, messages.Progress("loading images", 9, 9))
    assert session.progress is None


def test_a_warning_is_kept_once():
    session = Session()
    for level in ("warning", "warning", "info"):
        apply_event(session, messages.Logged(level, "memory is short"))
    assert session.warnings == ["memory is short"]


def test_points_and_handles_are_put_away_when_training_starts_and_not_again_when_it_goes_on():
    session = Session()
    apply_event(session, scene())
    session.view.edit_box = True
    apply_event(session, messages.StateChanged(TrainState.TRAINING))
    assert not session.view.show_points and not session.view.edit_box
    apply_stats(session, STATS)
    session.view.show_points = True
    apply_event(session, messages.StateChanged(TrainState.TRAINING))
    assert session.view.show_points


def test_another_box_takes_the_wish_away_and_keeps_what_is_left_out():
    session = Session()
    apply_event(session, scene())
    apply_event(session, messages.CaptureSurveyed((), 1.0, 1))
    apply_event(session, messages.ViewsExcluded((2, 3)))
    session.box = (0.1, 0.0, 0.0), 0.5
    apply_event(session, replace(scene(), excluded=(2, 3), data_from_engine=2.0 * np.eye(4)))
    assert session.box is None and session.excluded == {2, 3} and session.survey is not None
    apply_event(session, replace(scene(), path="another"))
    assert session.excluded == frozenset() and session.survey is None


def opened(key: int, method: str, beside: messages.Beside | None = None) -> messages.SceneOpened:
    return replace(scene(), key=key, method=method, beside=beside)


def other(key: int = 2, method: str = "plenoxels") -> messages.Beside:
    return messages.Beside(key, method, f"runs/{key}")


def trained(key: int, step: int, psnr: float, beside: messages.BesideStats | None = None) -> messages.Stats:
    return replace(STATS, key=key, step=step, psnr=psnr, beside=beside)


def test_swapping_takes_each_models_curves_and_quality_to_its_side() -> None:
    session = Session()
    apply_event(session, opened(1, "svraster"))
    apply_stats(session, trained(1, 10, 18.0))
    apply_event(session, messages.Evaluated(10, 1.0, 30.0, 0.9, 40, (), key=1))
    apply_event(session, opened(2, "plenoxels", other(1, "svraster")))
    assert session.curves == {} and session.evaluated is None
    assert session.beside.curves["held-out psnr"][0].value == 30.0
    apply_stats(session, trained(1, 10, 18.0))  # of the model that was in front, late
    assert session.curves == {} and session.stats is None
    apply_stats(session, trained(2, 3, 12.0, messages.BesideStats(1, 12, 1.0, 18.5, 40, True)))
    assert [p.value for p in session.curves["psnr"]] == [12.0]
    assert [p.value for p in session.beside.curves["psnr"]] == [18.0, 18.5]
    apply_event(session, opened(1, "svraster", other()))
    assert [p.value for p in session.curves["psnr"]] == [18.0, 18.5]
    assert session.evaluated.psnr == 30.0 and session.beside.info.method == "plenoxels"
    assert [p.value for p in session.beside.curves["psnr"]] == [12.0]


def test_a_model_beside_brings_the_split_and_takes_it_along() -> None:
    session = Session()
    apply_event(session, opened(1, "svraster"))
    apply_event(session, messages.BesideChanged(other()))
    assert session.view.ground_truth == "beside"
    session.view.ground_truth = "off"
    apply_event(session, opened(2, "plenoxels", other(1, "svraster")))
    apply_event(session, messages.BesideChanged(None))
    assert session.view.ground_truth == "off" and session.beside is None


def test_a_saved_run_brings_its_curves() -> None:
    session = Session()
    apply_event(session, opened(1, "svraster"))
    apply_event(session, messages.BesideChanged(other()))
    points = (
        messages.HistoryPoint(5, 1.0, False, (("psnr", 20.0), ("voxels", 9.0), ("mse", 0.1))),
        messages.HistoryPoint(8, 2.0, True, (("psnr", 19.0), ("ssim", 0.7), ("voxels", 9.0))),
    )
    apply_event(session, messages.HistoryRead(2, points))
    values = {name: [p.value for p in curve] for name, curve in session.beside.curves.items()}
    assert values == {
        "psnr": [20.0], "voxels": [9.0], "mse": [0.1], "held-out psnr": [19.0], "held-out ssim": [0.7],
    }  # fmt: skip
    assert "psnr" not in session.curves
    apply_event(session, messages.HistoryRead(2, points))
    assert len(session.beside.curves["psnr"]) == 1


def test_the_method_of_a_scene_is_that_of_the_next_one() -> None:
    session = Session()
    apply_event(session, opened(1, "plenoxels"))
    assert session.method == "plenoxels"
