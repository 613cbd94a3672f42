# SPDX-License-Identifier: MIT
"""A run folder keeps the last three checkpoints, survives torn files, and is never taken over."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import runs
from engine.errors import CheckpointError
from engine.runs import RunSpec
from tests.fakes import checkpoint_steps

ROOT = Path(__file__).resolve().parent.parent
SPEC = RunSpec("/scenes/lego", "svraster", 3, {"downscale": 2}, {"rates.density": 0.4})


def saved_run(tmp_path: Path, *steps: int) -> runs.RunFolder:
    run = runs.new_run(SPEC, tmp_path)
    for step in steps:
        run.save(step, {"x": np.array([step])}, {"step": step})
    return run


def test_a_run_is_opened_as_it_was_made(tmp_path: Path) -> None:
    run = saved_run(tmp_path, 10)
    assert runs.open_run(run.path).spec == SPEC


def test_a_new_run_writes_nothing_before_it_begins(tmp_path: Path) -> None:
    run = runs.new_run(SPEC, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    run.begin()
    assert runs.is_run(run.path)


def test_default_folders_name_scene_method_day_and_never_collide(tmp_path: Path) -> None:
    day = datetime.date(2026, 1, 31)
    names = []
    for _ in range(3):
        path = runs.free_folder(tmp_path, SPEC, day)
        path.mkdir()
        names.append(path.name)
    stem = "lego-svraster-2026-01-31"
    assert names == [stem, f"{stem}-2", f"{stem}-3"]


def test_a_run_is_never_taken_over(tmp_path: Path) -> None:
    first = runs.new_run(SPEC, tmp_path, tmp_path / "out")
    second = runs.new_run(SPEC, tmp_path, tmp_path / "out")
    first.begin()
    with pytest.raises(CheckpointError, match="already holds a run"):
        second.begin()
    with pytest.raises(CheckpointError, match="already holds a run"):
        runs.new_run(SPEC, tmp_path, tmp_path / "out")


def test_the_last_three_checkpoints_are_kept(tmp_path: Path) -> None:
    run = saved_run(tmp_path, 1, 20, 300, 4000, 50000)
    assert checkpoint_steps(run.path) == [300, 4000, 50000]


def test_the_newest_checkpoint_is_found(tmp_path: Path) -> None:
    resumed = runs.open_run(saved_run(tmp_path, 1, 20, 300).path).newest()
    assert resumed is not None
    assert (resumed.header["step"], resumed.tensors["x"][0], resumed.skipped) == (300, 300, [])


def test_a_torn_checkpoint_is_skipped_and_named(tmp_path: Path) -> None:
    run = saved_run(tmp_path, 1, 20, 300)
    torn = run.checkpoints()[0][1]
    torn.write_bytes(torn.read_bytes()[:50])
    resumed = run.newest()
    assert resumed is not None
    assert resumed.header["step"] == 20
    assert [path for path, _ in resumed.skipped] == [torn]
    assert "torn" in resumed.skipped[0][1]


def test_going_on_sets_torn_files_aside_so_that_they_do_not_push_out_good_ones(tmp_path: Path) -> None:
    run = saved_run(tmp_path, 1, 20, 300)
    run.checkpoints()[0][1].write_bytes(b"")
    run.continue_from(20)
    for step in (21, 22):
        run.save(step, {}, {"step": step})
    assert checkpoint_steps(run.path) == [20, 21, 22]
    assert (run.path / "checkpoints" / "step-0000300.safetensors.unreadable").exists()


def test_only_torn_checkpoints_are_an_error(tmp_path: Path) -> None:
    run = saved_run(tmp_path, 1)
    run.checkpoints()[0][1].write_bytes(b"")
    with pytest.raises(CheckpointError, match="No checkpoint in"):
        run.newest()


def test_a_run_without_checkpoints_has_no_newest(tmp_path: Path) -> None:
    run = runs.new_run(SPEC, tmp_path)
    run.begin()
    assert run.newest() is None


def test_half_written_files_of_a_killed_process_are_swept_up(tmp_path: Path) -> None:
    run = saved_run(tmp_path, 1)
    for name in ("step-0000002.safetensors.77.tmp", ".tmpA1b2C3"):
        (run.path / "checkpoints" / name).write_bytes(b"half")
    assert run.newest().header["step"] == 1
    run.save(3, {}, {"step": 3})
    assert len(list((run.path / "checkpoints").iterdir())) == 2


def test_a_process_killed_while_it_saves_leaves_a_run_that_resumes_and_litter_that_is_found(
    tmp_path: Path,
) -> None:
    run = saved_run(tmp_path, 1)
    code = (
        "import sys, numpy as np; from engine import runs; run = runs.open_run(sys.argv[1])\n"
        "print('go', flush=True)\n"
        "for step in range(2, 9999): run.save(step, {'x': np.ones(8_000_000, np.float32)}, {'step': step})"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        process.stdout.readline()
        while not run.half_written() and process.poll() is None:
            pass
    finally:
        process.kill()
        process.communicate()
    assert run.newest().skipped == []
    run.save(99999, {}, {"step": 99999})
    assert run.half_written() == []


def test_metrics_after_the_resumed_step_are_cut_off_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    run = saved_run(tmp_path, 1)
    for step in (10, 20, 30):
        run.log({"step": step})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4')
    assert [r["step"] for r in run.metrics()] == [10, 20, 30]
    run.continue_from(20)
    run.log({"step": 25})
    assert [r["step"] for r in run.metrics()] == [10, 20, 25]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Cannot read"),
        ("{}", "Cannot read"),
        ("[]", "Cannot read"),
        ('{"format_version": 9}', "Update nerfviewer"),
    ],
)
def test_a_broken_run_file_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(CheckpointError, match=sentence):
        runs.open_run(tmp_path)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no run\.json"):
        runs.open_run(tmp_path)


def test_the_newest_run_of_a_scene_is_the_one_written_to_last(tmp_path: Path) -> None:
    first, second = saved_run(tmp_path, 1), saved_run(tmp_path, 1)
    for age, run in ((10, first), (20, second)):
        for file in (run.path / "run.json", run.checkpoints()[0][1]):
            os.utime(file, (1e9 - age, 1e9 - age))
    assert runs.newest_run(tmp_path, SPEC.scene, SPEC.method) == first.path
    assert runs.newest_run(tmp_path, "/scenes/fox", SPEC.method) is None


def test_a_line_cut_short_does_not_swallow_the_next_one(tmp_path: Path) -> None:
    run = saved_run(tmp_path, 1)
    run.log({"step": 10})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2')
    run.continue_from(15)
    run.log({"step": 20})
    assert [r["step"] for r in run.metrics()] == [10, 20]


def test_lines_that_are_no_records_are_left_out(tmp_path: Path) -> None:
    run = saved_run(tmp_path, 1)
    run.log({"step": 10})
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'7\n[1]\n\xff\x00\n{"step": 11}\n')
    assert [r["step"] for r in run.metrics()] == [10, 11]
    run.continue_from(10)
    assert [r["step"] for r in run.metrics()] == [10]


def test_a_run_that_trains_meanwhile_does_not_disturb_the_search_for_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = saved_run(tmp_path, 1)
    listed = runs.RunFolder.checkpoints
    gone = run.path / "checkpoints" / "step-0000000.safetensors"
    monkeypatch.setattr(runs.RunFolder, "checkpoints", lambda self: [*listed(self), (0, gone)])
    assert runs.newest_run(tmp_path, SPEC.scene, SPEC.method) == run.path


def test_of_two_runs_with_one_free_name_the_later_takes_the_next(tmp_path: Path) -> None:
    first, second = runs.new_run(SPEC, tmp_path), runs.new_run(SPEC, tmp_path)
    assert first.path == second.path
    first.begin()
    second.begin()
    assert first.path != second.path and runs.is_run(first.path) and runs.is_run(second.path)


def test_a_video_in_the_folder_of_a_run_that_has_not_begun_does_not_drive_it_away(tmp_path: Path) -> None:
    run = runs.new_run(SPEC, tmp_path)
    told = run.path
    told.mkdir()
    (told / "spiral.mp4").write_bytes(b"video")
    run.begin()
    assert run.path == told
