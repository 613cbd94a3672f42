# SPDX-License-Identifier: MIT
"""Render jobs: in order, bounded, within their share; cancelled at once; their failures stay theirs."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import pytest

from engine import messages as m
from engine.errors import UserError
from engine.messages import RenderJob
from engine.worker import Worker
from tests.fakes import camera_at
from tests.worker_bench import Bench, threaded


def make_job(n: int, room: int = 100, **options: Any) -> RenderJob:
    cameras = tuple(camera_at(0.01 * i) for i in range(n))
    return RenderJob("job", cameras, frames=queue.Queue(maxsize=room), **options)


def taken(job: RenderJob) -> list[Any]:
    items = []
    while not job.frames.empty():
        items.append(job.frames.get_nowait())
    return items


def test_frames_come_in_order_then_none(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(), make_job(5)
    bench.do(m.StartJob(job))
    bench.turns(8)
    items = taken(job)
    assert [item[0] for item in items[:-1]] == [0, 1, 2, 3, 4]
    assert items[-1] is None
    assert items[0][1].shape == (12, 12, 3)
    assert items[0][1].dtype == "uint8"
    assert [camera.position[0] for camera in bench.method.rendered] == pytest.approx(
        [0.01 * i for i in range(5)]
    )
    assert not bench.worker.turn()


def test_a_full_queue_holds_the_job_back_and_room_lets_it_go_on(tmp_path: Path) -> None:
    bench, job = Bench(tmp_path).open(), make_job(6, room=2)
    bench.do(m.StartJob(job))
    bench.turns(20)
    assert len(bench.method.rendered) == 2
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
    bench, job = Bench(tmp_path).open(), make_job(10, room=3)
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
    bench, job = Bench(tmp_path).open(start=True), make_job(5, room=1)
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


def test_two_jobs_both_get_done(tmp_path: Path) -> None:
    bench = Bench(tmp_path).open()
    first, second = make_job(4, room=2), RenderJob("other", (camera_at(),) * 3)
    bench.do(m.StartJob(first))
    bench.do(m.StartJob(second))
    bench.turns(10)
    assert taken(second)[-1] is None  # the first one waits for its consumer, the second need not


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
def test_a_job_never_goes_on_with_another_model(tmp_path: Path, command: m.Command) -> None:
    bench, job, whole = Bench(tmp_path).open(), make_job(9), make_job(1)
    bench.do(m.StartJob(whole))
    bench.do(m.StartJob(job))
    bench.turns(3)
    bench.do(command)
    bench.turns(5)
    items = taken(job)
    assert isinstance(items[-2], UserError) and items[-1] is None
    assert len(items) < 9 + 1
    assert [item and item[0] for item in taken(whole)] == [0, None], "what was done stays"
