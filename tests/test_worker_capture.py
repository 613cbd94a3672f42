# SPDX-License-Identifier: MIT
"""What the worker does for a capture: counts per view, leaves views out, moves the box, looks the photos over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import messages as m
from engine.cameras import Camera
from engine.conventions import move_pose
from engine.datasets.scene import Points, Scene
from engine.messages import TrainState
from engine.runs import open_run
from engine.training import MAX_DRAWN_POINTS
from tests.fakes import GreyPhotos, make_scene, run_until
from tests.worker_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path).open()


def data_places(opened: m.SceneOpened) -> np.ndarray:
    """Return the cameras' places in data units."""
    poses = [move_pose(opened.data_from_engine, view.camera.world_from_cam) for view in opened.views]
    return np.array(poses)[:, :3, 3]


# --- counts -------------------------------------------------------------------------------------------------------


def test_training_counts_each_view_it_saw(bench: Bench) -> None:
    bench.do(m.Train(steps=6))
    run_until(bench.worker, lambda: bench.state is TrainState.FINISHED)
    tally = bench.worker.stats().views
    assert tally.seen.tolist() == [2, 2, 1, 1] and tally.psnr_last.tolist() == [20.0, 21.0, 22.0, 23.0]


def test_published_counts_no_longer_change(bench: Bench) -> None:
    bench.do(m.Train(steps=1))
    run_until(bench.worker, lambda: bench.state is TrainState.FINISHED)
    before = bench.worker.stats().views
    bench.do(m.Train(steps=5))
    run_until(bench.worker, lambda: bench.state is TrainState.FINISHED)
    assert before.seen.tolist() == [1, 0, 0, 0] and np.isnan(before.psnr_mean[1])


def test_counts_and_exclusions_survive_a_resume_and_counts_not_a_reset(bench: Bench, tmp_path: Path) -> None:
    bench.do(m.ExcludeViews((1,)), m.Train(steps=6))
    run_until(bench.worker, lambda: bench.state is TrainState.FINISHED)
    bench.do(m.SaveCheckpoint())
    (run,) = bench.runs.iterdir()
    again = Bench(tmp_path / "again")
    again.do(m.OpenRun(str(run)))
    assert again.of(m.SceneOpened)[0].excluded == (1,) and again.method.excluded == {1}
    assert again.worker.stats().views.seen.tolist() == [2, 0, 2, 2]
    assert again.worker.stats().views.excluded.tolist() == [False, True, False, False]
    again.do(m.Reset())
    assert again.method.excluded == {1} and again.worker.stats().views.seen.tolist() == [0, 0, 0, 0]


# --- leaving views out --------------------------------------------------------------------------------------------


def test_a_view_left_out_is_not_trained_on_until_it_is_taken_in_again(bench: Bench) -> None:
    bench.do(m.ExcludeViews((0, 2)), m.Train(steps=4))
    run_until(bench.worker, lambda: bench.state is TrainState.FINISHED)
    assert bench.worker.stats().views.seen.tolist() == [0, 2, 0, 2]
    bench.do(m.ExcludeViews((0,), excluded=False))
    assert [e.indices for e in bench.of(m.ViewsExcluded)] == [(0, 2), (2,)] and bench.method.excluded == {2}


@pytest.mark.parametrize(
    ("indices", "words"),
    [((0, 1, 2, 3), "keep at least one"), ((4,), "held-out"), ((-1,), "Only training views")],
)
def test_what_cannot_be_left_out_is_refused_and_nothing_changes(bench: Bench, indices, words) -> None:
    bench.do(m.ExcludeViews((3,)))
    bench.do(m.ExcludeViews(indices))
    assert words in bench.of(m.Failed)[-1].chain[0] and bench.method.excluded == {3}


def test_the_last_view_is_kept_also_when_views_go_one_by_one(bench: Bench) -> None:
    bench.do(*(m.ExcludeViews((i,)) for i in range(4)))
    assert bench.method.excluded == {0, 1, 2} and len(bench.of(m.Failed)) == 1


# --- the box ------------------------------------------------------------------------------------------------------


def test_another_box_starts_anew_with_every_camera_where_it_was(bench: Bench) -> None:
    bench.do(m.ExcludeViews((2,)), m.Train(steps=3))
    run_until(bench.worker, lambda: bench.state is TrainState.FINISHED)
    bench.do(m.MoveBox((0.0, 0.5, 1.0), 4.0))
    before, after = bench.of(m.SceneOpened)
    assert np.allclose(data_places(before), data_places(after))
    assert np.allclose(after.data_from_engine[:3, 3], (0.0, 0.5, 1.0)) and after.data_from_engine[0, 0] == 4.0
    assert bench.method.step == 0 and after.excluded == (2,) and bench.state is TrainState.PAUSED


def test_training_goes_on_when_the_box_is_moved_in_training(bench: Bench) -> None:
    bench.do(m.Train())
    bench.turns(3)
    bench.do(m.MoveBox((0.0, 0.0, 0.0), 2.0))
    assert bench.state is TrainState.TRAINING and bench.method.step <= 1


def test_a_run_on_another_box_is_resumed_on_it(bench: Bench) -> None:
    bench.do(m.MoveBox((0.0, 0.5, 1.0), 4.0), m.Train(steps=2))
    run_until(bench.worker, lambda: bench.state is TrainState.FINISHED)
    (run,) = bench.runs.iterdir()
    assert open_run(run).spec.options == {"box_centre": "0.0,0.5,1.0", "box_edge": 4.0}


def test_the_automatic_box_comes_back_from_the_reader(bench: Bench) -> None:
    bench.do(m.MoveBox((0.0, 0.5, 1.0), 4.0), m.MoveBox(None, None))
    opened = bench.of(m.SceneOpened)
    assert np.allclose(opened[2].data_from_engine, opened[0].data_from_engine)


@pytest.mark.parametrize("edge", [0.0, -1.0, float("nan"), None])
def test_a_box_without_an_extent_is_refused(bench: Bench, edge) -> None:
    bench.do(m.MoveBox((0.0, 0.0, 0.0), edge))
    assert "an edge above 0" in bench.of(m.Failed)[0].chain[0] and len(bench.of(m.SceneOpened)) == 1


# --- looking the capture over -------------------------------------------------------------------------------------


class SomeDark(GreyPhotos):
    """Photos of one grey, but the third is dark."""

    def load(self, index: int) -> np.ndarray:
        return super().load(index) * (0.3 if index == 2 else 1.0)


def strange_scene(path: str, values: dict, report: object) -> Scene:
    """Seven training views in a row: the third is dark, the last is far away; more points than are drawn."""
    scene = make_scene(0)
    first = scene.train.views[0]
    views = []
    for i in range(7):
        pose = first.camera.world_from_cam.copy()
        pose[0, 3] = 0.1 * i if i < 6 else 50.0
        views.append(replace(first, name=f"{i}.png", camera=first.camera.moved(pose)))
    n = MAX_DRAWN_POINTS + 10
    none = np.zeros(0, np.int32)
    points = Points(np.ones((n, 3)), np.ones((n, 3), np.uint8), np.zeros(n), np.zeros(n + 1, np.int64), none)
    return replace(
        scene,
        train=replace(scene.train, views=tuple(views), images=SomeDark()),
        background="learned",
        points=points,
    )


def test_a_survey_names_the_odd_views_and_estimates(tmp_path: Path) -> None:
    bench = Bench(tmp_path, scene_loader=strange_scene).open()
    bench.do(m.SurveyCapture())
    run_until(bench.worker, lambda: bool(bench.of(m.CaptureSurveyed)), 30)
    (survey,) = bench.of(m.CaptureSurveyed)
    assert {(flag.view, flag.kind) for flag in survey.flags} >= {(6, "far"), (2, "exposure")}
    assert survey.first_picture_s > 0.0 and survey.memory_bytes > 10_000_000


def test_a_survey_gives_way_to_training_yet_ends(tmp_path: Path) -> None:
    bench = Bench(tmp_path, scene_loader=strange_scene).open()
    bench.do(m.SurveyCapture(), m.Train())
    bench.worker._core.records.take = lambda *_: None  # looks at a photo of its own now and then
    load = SomeDark.load
    steps = []

    class Slow(SomeDark):
        def load(self, index: int) -> np.ndarray:
            bench.clock.sleep(0.03)
            steps.append(bench.method.step)
            return load(self, index)

    bench.worker._core.training.scene.train.images.__class__ = Slow
    run_until(bench.worker, lambda: bool(bench.of(m.CaptureSurveyed)), 2000)
    # 30 ms of photos may take 5 % of the time, and a step takes 15 ms: 38 steps between two photos.
    assert min(np.diff(steps[1:])) >= 38


def test_a_photo_that_cannot_be_read_ends_the_survey_not_the_worker(tmp_path: Path) -> None:
    class Broken(GreyPhotos):
        def load(self, index: int) -> np.ndarray:
            raise OSError("gone")

    bench = Bench(
        tmp_path,
        scene_loader=lambda *_: replace(make_scene(), train=replace(make_scene().train, images=Broken())),
    )
    bench.open().do(m.SurveyCapture())
    bench.turns(3)
    assert "looked over" in bench.of(m.Failed)[0].what
    bench.do(m.Train(steps=1))
    bench.turns(2)
    assert bench.method.step == 1


def test_the_points_of_a_capture_are_thinned_for_the_window(tmp_path: Path) -> None:
    opened = Bench(tmp_path, scene_loader=strange_scene).open().of(m.SceneOpened)[0]
    assert opened.n_points == MAX_DRAWN_POINTS + 10
    assert 0 < len(opened.points_xyz) == len(opened.points_rgb) <= MAX_DRAWN_POINTS
    assert opened.points_xyz.dtype == np.float32 and isinstance(opened.views[0].camera, Camera)
