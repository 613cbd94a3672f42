# SPDX-License-Identifier: MIT
"""Exports end as whole files or leave nothing, and always say how they ended."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from app.jobs.orders import ExportOrder
from app.jobs.video import ExportJob, start_export
from engine.cameras import Camera
from engine.errors import UserError
from engine.export.developing import Developed
from engine.export.layers import read_depth
from engine.export.sequence import PngFolder, VideoFile
from engine.messages import (
    Began,
    CancelJob,
    Command,
    Event,
    Every,
    JobEnded,
    JobProgress,
    RenderJob,
    StartJob,
)
from engine.shots import Film, Shot

KEPT = (*(f"frame_{i:05d}.png" for i in range(4)), "job.json")
PATIENCE_S = 20.0  # far beyond what any of these takes; only a hang reaches it


class FakeWorker:
    """Takes commands as the worker does and renders flat pictures in a thread of its own."""

    def __init__(
        self, fail_at: int | None = None, stop_at: int | None = None, pace_s: float = 0.0, step: int = 7
    ) -> None:
        self.events: list[Event] = []
        self.commands: list[Command] = []
        self.fail_at, self.stop_at, self.pace_s, self.step = fail_at, stop_at, pace_s, step
        self.thread: threading.Thread | None = None
        self.job: RenderJob | None = None

    def send(self, command: Command) -> None:
        self.commands.append(command)
        if isinstance(command, StartJob):
            self.job = command.job
            self.thread = threading.Thread(target=self._render, args=(command.job,), daemon=True)
            self.thread.start()

    def _render(self, job: RenderJob) -> None:
        job.frames.put(Began("grey", self.step, 0))
        for index, shot in enumerate(job.shots):
            if index in job.skip:
                continue
            if job.cancelled.is_set() or index == self.stop_at:
                break
            if index == self.fail_at:
                job.frames.put(MemoryError("no room for 900 MB"))
                break
            time.sleep(self.pace_s)
            job.frames.put((index, _developed(index, shot)))
        job.frames.put(None)

    @property
    def ended(self) -> list[JobEnded]:
        return [event for event in self.events if isinstance(event, JobEnded)]

    @property
    def progress(self) -> list[JobProgress]:
        return [event for event in self.events if isinstance(event, JobProgress)]

    def finished(self) -> bool:
        """Whether the render thread got rid of all it had."""
        assert self.thread is not None
        self.thread.join(PATIENCE_S)
        return not self.thread.is_alive()


def _developed(index: int, shot: Shot) -> Developed:
    width, height = shot.size
    depth = np.full((height, width), 0.5 * (index + 1), np.float32)
    depth[0] = 0.0
    normal = np.zeros((height, width, 3), np.float32)
    normal[..., 2] = 1.0
    return Developed(_picture(index, shot.takes[0][0]), depth, normal)


def _picture(index: int, camera: Camera) -> np.ndarray:
    rgb = np.full((camera.height, camera.width, 3), (40, 200 - 5 * index, 90), dtype=np.uint8)
    rgb[: camera.height // 2, : camera.width // 2] = (220, 30, 10 * index)
    return rgb


def _cameras(n: int, width: int = 64, height: int = 48) -> list[Camera]:
    return [Camera.from_fov(width, height, 0.8, np.eye(4)) for _ in range(n)]


def _order(path: Path, n: int, size: tuple[int, int] = (64, 48), **more) -> ExportOrder:
    return ExportOrder(path, Film(_cameras(n, *size)), 24, **more)


def _export(
    worker: FakeWorker, path: Path, n: int = 12, size: tuple[int, int] = (64, 48), **more
) -> ExportJob:
    export = start_export(_order(path, n, size, **more), worker.send, worker.events.append)
    assert export.wait(PATIENCE_S)
    assert worker.finished()
    return export


def _left(folder: Path) -> list[str]:
    return sorted(str(entry.relative_to(folder)) for entry in folder.rglob("*"))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_video_has_all_frames_the_size_and_the_colours(tmp_path: Path, suffix: str) -> None:
    worker, path = FakeWorker(), tmp_path / "new folder" / f"spiral{suffix}"
    export = _export(worker, path, size=(66, 50))
    assert worker.ended == [JobEnded(export.job_id, "finished", str(path))]
    with imageio.get_reader(path) as reader:
        frames = [np.asarray(frame) for frame in reader]
        assert reader.get_meta_data()["fps"] == pytest.approx(24)
        assert "yuv420p" in reader.get_meta_data()["pix_fmt"] and reader.get_meta_data()["codec"] == "h264"
    assert len(frames) == 12
    for index, frame in enumerate(frames):
        assert frame.shape == (50, 66, 3)
        for y, x in ((5, 5), (40, 50)):
            # Limited-range YUV rounds, and the reader may take the other HD matrix: at most 20 grey levels.
            assert np.abs(frame[y, x].astype(int) - _picture(index, _cameras(1, 66, 50)[0])[y, x]).max() < 20
    assert _left(path.parent) == [path.name]


def test_odd_sizes_are_cropped_not_rescaled(tmp_path: Path) -> None:
    worker, path = FakeWorker(), tmp_path / "odd.mp4"
    _export(worker, path, n=3, size=(65, 49))
    assert worker.job is not None
    camera, asked = worker.job.shots[0].takes[0][0], _cameras(1, 65, 49)[0]
    assert (camera.width, camera.height) == (64, 48)
    assert (camera.fx, camera.cx, camera.cy) == (asked.fx, asked.cx, asked.cy)
    with imageio.get_reader(path) as reader:
        assert np.asarray(next(iter(reader))).shape == (48, 64, 3)


def test_pictures_are_written_as_they_are(tmp_path: Path) -> None:
    worker, path = FakeWorker(), tmp_path / "frames"
    _export(worker, path, n=5, size=(33, 21))
    assert worker.ended[0].outcome == "finished"
    assert _left(path) == [*(f"frame_{i:05d}.png" for i in range(5)), "job.json"]
    for index in range(5):
        rgb = np.asarray(Image.open(path / f"frame_{index:05d}.png"))
        assert np.array_equal(rgb, _picture(index, _cameras(1, 33, 21)[0]))


def test_progress_counts_up_to_the_total_with_a_remaining_time(tmp_path: Path) -> None:
    worker = FakeWorker(pace_s=0.03)
    export = _export(worker, tmp_path / "frames", n=20)
    counts = [event.done for event in worker.progress]
    assert counts == sorted(set(counts)) and counts[-1] == 20 and len(counts) > 2
    assert all(event.total == 20 and event.job_id == export.job_id for event in worker.progress)
    assert all(event.eta_s is not None and 0 < event.eta_s < 5 for event in worker.progress[:-1])
    assert worker.progress[-1].eta_s == 0
    assert isinstance(worker.events[-1], JobEnded)


@pytest.mark.parametrize("name", ["spiral.mp4", "spiral.gif", "spiral.webp", "frames"])
def test_cancelling_keeps_what_is_there(tmp_path: Path, name: str) -> None:
    worker = FakeWorker(pace_s=0.02)
    export = start_export(_order(tmp_path / name, 500), worker.send, worker.events.append)
    until = time.monotonic() + PATIENCE_S
    while export.done < 5 and time.monotonic() < until:
        time.sleep(0.01)
    export.cancel()
    assert export.wait(PATIENCE_S) and worker.finished()
    assert [event.outcome for event in worker.ended] == ["cancelled"]
    assert f"{name} has {export.done} pictures" in worker.ended[0].detail
    assert CancelJob(export.job_id) in worker.commands
    assert _left(tmp_path)[0] == name
    assert _count(tmp_path / name) == export.done
    export.cancel()
    assert worker.commands.count(CancelJob(export.job_id)) == 1, "cancelling what is over does nothing"


def _count(path: Path) -> int:
    """How many whole pictures a file or a folder has."""
    if path.is_dir():
        return len([Image.open(file).load() for file in path.glob("frame_*.png")])
    if path.suffix == ".mp4":
        with imageio.get_reader(path) as reader:
            return len([np.asarray(frame) for frame in reader])
    with Image.open(path) as image:
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
        return image.n_frames


def test_a_sequence_goes_on_where_it_was_stopped_and_says_when_it_cannot(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    _export(FakeWorker(stop_at=4), path, n=9, depth="float32 .npy", normals=True)
    (path / "frame_00001.png").unlink()
    (tmp_path / "frames-depth" / "frame_00002.npy").unlink()
    worker = FakeWorker()
    export = _export(worker, path, n=9, depth="float32 .npy", normals=True)
    assert worker.job is not None and worker.job.skip == {0, 3}
    assert (worker.ended[0].outcome, export.done) == ("finished", 9)
    assert _count(path) == _count(tmp_path / "frames-normal") == 9
    before = (path / "frame_00004.png").stat().st_mtime_ns
    _export(other := FakeWorker(step=8), path, n=9, depth="float32 .npy", normals=True)
    assert other.ended[0].outcome == "failed"
    assert "shows the model at another training step (7, not 8)" in other.ended[0].detail
    with pytest.raises(UserError, match=r"another size\. Choose another folder, or start anew"):
        start_export(_order(path, 9, (32, 32)), worker.send, worker.events.append)
    assert (path / "frame_00004.png").stat().st_mtime_ns == before, "a refused export touches nothing"
    _export(anew := FakeWorker(step=8), path, n=3, anew=True)
    assert anew.ended[0].outcome == "finished" and _count(path) == 3


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_has_all_frames_their_colours_and_times_and_loops(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"spiral{suffix}"
    _export(FakeWorker(), path, size=(66, 50))
    with Image.open(path) as image:
        assert (image.n_frames, image.size, image.info["loop"]) == (12, (66, 50), 0)
        total = 0
        for index in range(12):
            image.seek(index)
            rgb = np.asarray(image.convert("RGB")).astype(int)
            total += image.info["duration"]
            asked = _picture(index, _cameras(1, 66, 50)[0])
            for y, x in ((5, 5), (40, 50)):
                assert np.abs(rgb[y, x] - asked[y, x]).max() < 20
        assert abs(total - 500) <= 10


def test_depths_and_normals_beside_a_video_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    _export(FakeWorker(), path, n=3, depth="16-bit PNG", normals=True, data_scale=2.0)
    assert {"a-depth", "a-normal.mp4", "a.mp4"} <= set(_left(tmp_path))
    for index in range(3):
        depth = read_depth(tmp_path / "a-depth" / f"frame_{index:05d}.png")
        assert not depth[0].any()
        assert np.allclose(depth[1:], index + 1.0, rtol=1e-4)
    with imageio.get_reader(tmp_path / "a-normal.mp4") as reader:
        assert np.abs(np.asarray(next(iter(reader)))[20, 20].astype(int) - (128, 128, 255)).max() < 20


def test_a_time_lapse_that_is_stopped_is_finished(tmp_path: Path) -> None:
    worker = FakeWorker(pace_s=0.02)
    shots = [Shot.of(camera) for camera in _cameras(1)]
    order = ExportOrder(tmp_path / "lapse.mp4", shots * 400, 10, every=Every(seconds=1.0))
    export = start_export(order, worker.send, worker.events.append)
    until = time.monotonic() + PATIENCE_S
    while export.done < 3 and time.monotonic() < until:
        time.sleep(0.01)
    export.cancel()
    assert export.wait(PATIENCE_S)
    assert worker.ended[0].outcome == "finished" and export.total == 0
    assert _count(tmp_path / "lapse.mp4") == export.done


def test_cancelling_ends_even_when_the_worker_sends_nothing(tmp_path: Path) -> None:
    events: list[Event] = []
    export = start_export(_order(tmp_path / "spiral.mp4", 5), lambda command: None, events.append)
    export.cancel()
    until = time.monotonic() + PATIENCE_S
    while not events and time.monotonic() < until:
        time.sleep(0.01)
    assert [event.outcome for event in events if isinstance(event, JobEnded)] == ["cancelled"]


def test_an_older_video_survives_a_cancelled_export(tmp_path: Path) -> None:
    path = tmp_path / "spiral.mp4"
    _export(FakeWorker(), path, n=4)
    before = path.read_bytes()
    worker = FakeWorker(pace_s=0.02)
    export = start_export(_order(path, 500), worker.send, worker.events.append)
    while export.done < 2:
        time.sleep(0.01)
    export.cancel()
    assert export.wait(PATIENCE_S)
    assert path.read_bytes() == before
    assert _left(tmp_path) == ["spiral-partial.mp4", "spiral.mp4"]


@pytest.mark.parametrize("name", ["spiral.mp4", "frames"])
def test_a_failing_renderer_is_told_in_a_sentence(tmp_path: Path, name: str) -> None:
    worker = FakeWorker(fail_at=4)
    _export(worker, tmp_path / name)
    (ended,) = worker.ended
    assert ended.outcome == "failed"
    assert ended.detail.endswith("stopped at picture 5 of 12: MemoryError: no room for 900 MB.")
    assert _left(tmp_path) == (["frames", *(f"frames/{n}" for n in KEPT)] if name == "frames" else [])


def test_a_worker_that_stops_early_is_a_failure(tmp_path: Path) -> None:
    worker = FakeWorker(stop_at=7)
    _export(worker, tmp_path / "spiral.mp4")
    assert worker.ended[0].outcome == "failed"
    assert worker.ended[0].detail == "Rendering stopped after 7 of 12 pictures."
    assert _left(tmp_path) == []


def test_an_encoder_that_dies_stops_the_worker_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: VideoFile, index: int, rgb: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(VideoFile, "write", broken)
    worker = FakeWorker()
    _export(worker, tmp_path / "spiral.mp4", n=50)
    assert worker.ended[0].outcome == "failed"
    assert "No space left on device. Choose another place or make room" in worker.ended[0].detail
    assert worker.job is not None and worker.job.cancelled.is_set()


def test_a_video_cut_short_is_not_passed_off_as_whole(tmp_path: Path) -> None:
    writer = VideoFile(tmp_path / "cut.mp4", 24)
    for index in range(10):
        writer.write(index, _picture(index, _cameras(1)[0]))
    writer.written = 30
    with pytest.raises(UserError, match="Make room on the disk"):
        writer.finish()
    writer.discard()
    assert _left(tmp_path) == []


def test_only_its_own_pictures_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    writer = PngFolder(folder)
    writer.write(0, np.zeros((4, 4, 3), np.uint8))
    writer.discard()
    assert _left(folder) == ["notes.txt"]


@pytest.mark.parametrize(
    ("name", "cameras", "fps", "message"),
    [
        ("a.mp4", [], 24, "has no pictures"),
        ("a.avi", _cameras(2), 24, r"\.avi is not a known video format"),
        ("a.mp4", _cameras(1) + _cameras(1, 32, 32), 24, "pictures of one size"),
        ("a.mp4", _cameras(1, 1, 1), 24, "at least 2 x 2"),
        ("a.mp4", _cameras(2), 0, "1 to 240 frames per second, got 0"),
        ("taken", _cameras(2), 24, "a file has that name"),
        ("used", _cameras(2), 24, "holds an earlier export"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_begins(
    tmp_path: Path, name: str, cameras: list[Camera], fps: float, message: str
) -> None:
    (tmp_path / "taken").write_text("")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "frame_00000.png").write_text("")
    worker = FakeWorker()
    with pytest.raises(UserError, match=message):
        order = ExportOrder(tmp_path / name, Film(cameras), fps)
        start_export(order, worker.send, worker.events.append)
    assert not worker.commands and not worker.events


def test_the_render_job_carries_what_was_asked(tmp_path: Path) -> None:
    sent: queue.Queue[Command] = queue.Queue()
    export = start_export(
        _order(
            tmp_path / "frames", 3, supersample=1.5, background=(1.0, 1.0, 1.0), mode="depth", colour_map="gray",
            share=0.2, live=True, pauses=True, normals=True, depth="16-bit PNG",
        ),
        sent.put, lambda event: None,
    )  # fmt: skip
    command = sent.get_nowait()
    assert isinstance(command, StartJob)
    job = command.job
    assert (job.job_id, job.supersample, job.background) == (export.job_id, 1.5, (1.0, 1.0, 1.0))
    assert (job.mode, job.colour_map, job.share, len(job.shots)) == ("depth", "gray", 0.2, 3)
    assert job.live and job.pauses and job.layers == {"colour", "normal", "depth"}
    job.frames.put(None)
    assert export.wait(PATIENCE_S)
