# SPDX-License-Identifier: MIT
"""Render jobs: in order, bounded, within their share; cancelled at once; their failures stay theirs."""

from __future__ import annotations

import itertools
import queue
import threading
from pathlib import Path
from typing import Any

import pytest

from engine import messages as m
from engine.errors import UserError
from engine.messages import RenderJob
from engine.shots import Shot
from engine.worker import Worker
from tests.fakes import camera_at
from tests.worker_bench import Bench, threaded


def make_job(n: int, room: int = 100, name: str = "job", **options: Any) -> RenderJob:
    shots = tuple(Shot.of(camera_at(0.01 * i)) for i in range(n))
    return RenderJob(name, shots, frames=queue.Queue(maxsize=room), **options)


def taken(job: RenderJob) -> list[Any]:
    """What came, less the word of which model is shown."""
    items = []
    while not job.frames.empty():
        items.append(job.frames.get_nowait())
    return [item for item in items if not isinstance(item, m.Began)]


def test_frames_come_in_order_then_none(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(), make_job(5)
    bench.do(m.StartJob(job))
    bench.turns(8)
    items = taken(job)
    assert [item[0] for item in items[:-1]] == [0, 1, 2, 3, 4]
    assert items[-1] is None
    assert items[0][1].rgb.shape == (12, 12, 3)
    assert items[0][1].rgb.dtype == "uint8"
    assert [camera.position[0] for camera in bench.method.rendered] == pytest.approx(
        [0.01 * i for i in range(5)]
    )
    assert not bench.worker.turn()


def test_a_full_queue_holds_the_job_back_and_room_lets_it_go_on(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(), make_job(6, room=2)
    bench.do(m.StartJob(job))
    bench.turns(20)
    assert len(bench.method.rendered) == 1, "the other place is taken by the word of what is shown"
    items = []
    while not items or items[-1] is not None:
        items += taken(job)
        bench.turns(3)
    assert [item[0] for item in items[:-1]] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_job_keeps_to_its_share_while_training_runs(tmp_path: Path, share: float) -> None:
    bench, job = Bench(tmp_path).open(start=True), make_job(1000, room=1000, share=share)
    bench.do(m.StartJob(job))
    while bench.clock.now < 110.0:
        bench.worker.turn()
    rendering = 0.010 * len(bench.method.rendered)
    training = 0.015 * bench.method.step
    assert rendering / (rendering + training) == pytest.approx(share, abs=0.02)


def test_a_job_takes_all_the_time_when_nothing_trains(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(), make_job(10, share=0.1)
    bench.do(m.StartJob(job))
    bench.turns(10)
    assert len(bench.method.rendered) == 10


def test_views_come_before_jobs(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(), make_job(10)
    bench.do(m.StartJob(job))
    bench.worker.request_view(m.ViewRequest(1, camera_at()))
    bench.worker.turn()
    assert bench.worker.frame() is not None
    assert job.frames.empty()


@pytest.mark.parametrize("how", ["command", "flag"])
def test_a_cancelled_job_ends_at_once_even_with_a_full_queue(tmp_path: Path, how: str) -> None:
    bench, job = Bench(tmp_path).open(), make_job(10, room=4)
    bench.do(m.StartJob(job))
    bench.turns(5)
    if how == "command":
        bench.do(m.CancelJob("job"))
    else:
        job.cancelled.set()
    bench.turns(2)
    assert job.cancelled.is_set()
    assert taken(job)[-1] is None
    assert len(bench.method.rendered) == 3
    bench.turns(2)
    assert job.frames.empty()  # None comes once


def test_a_failing_frame_ends_the_job_and_not_the_training(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(start=True), make_job(5, room=2)
    bench.method.fail_view = ValueError("no such view")
    bench.do(m.StartJob(job))
    step = bench.method.step
    bench.turns(3)
    items = taken(job)
    bench.turns(3)
    items += taken(job)
    assert isinstance(items[0], ValueError)
    assert items[1:] == [None]
    assert bench.method.step > step


def test_without_a_scene_a_job_is_refused_in_a_sentence(tmp_path: Path) -> None:
    worker, job = Worker(runs_dir=tmp_path), make_job(3)
    worker.send(m.StartJob(job))
    worker.turn()
    worker.turn()
    error, end = taken(job)
    assert "open a scene first" in str(error)
    assert end is None


def test_a_job_without_cameras_ends_at_once(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(), make_job(0)
    bench.do(m.StartJob(job))
    bench.worker.turn()
    assert taken(job) == [None]


def test_one_job_is_rendered_at_a_time_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path).open()
    jobs = {name: make_job(2, name=name) for name in ("a", "b", "c")}
    bench.do(*(m.StartJob(job) for job in jobs.values()))
    bench.turns(1)  # "a" was begun with the commands
    bench.do(m.OrderJobs(("a", "c", "b")))
    done = []
    for _ in range(12):
        bench.worker.turn()
        done += [name for name, job in jobs.items() if name not in done and job.frames.qsize() == 4]
    assert done == ["a", "c", "b"]


def test_training_waits_for_a_job_that_asks_for_it_and_goes_on_then(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(start=True), make_job(3, room=2, share=0.01, pauses=True)
    bench.do(m.StartJob(job))
    step = bench.method.step
    bench.turns(20)  # the queue is full
    assert bench.method.step == step and len(bench.method.rendered) == 1
    items = taken(job)
    while not items or items[-1] is not None:
        bench.worker.turn()
        items += taken(job)
    assert bench.method.step == step
    bench.turns(3)
    assert bench.method.step > step


def test_a_time_lapse_takes_a_picture_each_so_many_seconds_of_training_until_it_is_stopped(
    tmp_path: Path,
) -> None:
    bench, job = Bench(tmp_path).open(), make_job(1, every=m.Every(seconds=0.15))
    bench.do(m.StartJob(job))
    bench.turns(5)
    assert [item[0] for item in taken(job)] == [0], "nothing trains"
    bench.do(m.Train())
    step = bench.method.step
    while bench.method.step < step + 31:
        bench.worker.turn()
    assert [item[0] for item in taken(job)] == [1, 2, 3]
    bench.do(m.CancelJob("job"))
    assert taken(job) == [None]


def test_growing_steps_come_further_and_further_apart(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(start=True), make_job(1, every=m.Every(growth=2.0))
    bench.do(m.StartJob(job))
    at: list[int] = []
    while bench.method.step < 40:
        bench.worker.turn()
        at += [bench.method.step] * len(taken(job))
    assert all(later >= 2 * sooner for sooner, later in itertools.pairwise(at))
    assert 4 <= len(at) <= 7


def test_a_time_lapse_is_complete_when_the_model_is_replaced(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(), make_job(1, every=m.Every(seconds=1.0))
    bench.do(m.StartJob(job))
    bench.turns(2)
    bench.do(m.Reset())
    bench.turns(2)
    assert [item and item[0] for item in taken(job)] == [0, None]


def test_pictures_that_are_there_already_are_left_out(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(), make_job(5, skip=frozenset({0, 2}))
    bench.do(m.StartJob(job))
    bench.turns(8)
    assert [item and item[0] for item in taken(job)] == [1, 3, 4, None]


def test_stopping_the_worker_ends_its_jobs_for_their_consumers(tmp_path: Path) -> None:
    worker = threaded(tmp_path)
    job, got = make_job(50, room=1), []

    def consume() -> None:
        while (item := job.frames.get(timeout=5.0)) is not None:
            got.append(item)
            worker.emit(m.JobProgress("job", len(got), 50, None))
            if len(got) == 5:
                worker.send(m.Stop())

    consumer = threading.Thread(target=consume)
    worker.send(m.OpenScene("somewhere", "fake"))
    worker.send(m.StartJob(job))
    consumer.start()
    consumer.join(5.0)
    assert not consumer.is_alive()
    assert worker.stop(5.0)
    assert 5 <= len(got) < 50


@pytest.mark.parametrize("command", [m.Reset(), m.OpenScene("elsewhere", "fake")])
def test_a_live_job_never_goes_on_with_another_model(tmp_path: Path, command: m.Command) -> None:
    bench, job, whole = Bench(tmp_path).open(), make_job(9, live=True), make_job(1, live=True)
    bench.do(m.StartJob(whole))
    bench.do(m.StartJob(job))
    bench.turns(3)
    bench.do(command)
    bench.turns(5)
    items = taken(job)
    assert isinstance(items[-2], UserError) and items[-1] is None
    assert len(items) < 9 + 1
    assert [item and item[0] for item in taken(whole)] == [0, None], "what was done stays"


@pytest.mark.parametrize("command", [m.Reset(), m.OpenScene("elsewhere", "fake")])
def test_a_job_goes_on_with_its_copy_whatever_is_opened(tmp_path: Path, command: m.Command) -> None:
    bench, job = Bench(tmp_path).open(), make_job(9)
    bench.do(m.StartJob(job))
    bench.turns(3)
    assert job.frames.get_nowait() == m.Began("fake", 0, 800)
    bench.do(command)
    bench.turns(9)
    assert [item and item[0] for item in taken(job)] == [*range(9), None]
