# SPDX-License-Identifier: MIT
"""`nerfviewer train --processes N` from outside: a run begun by many goes on with one, and nobody outlives a failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from app.cli import main
from engine import runs
from tests.two_ranks import ROOT

SMALL = ("demo", "--downscale", "16", "--adapt.every-steps", "5", "--eval-every", "1e9")
WAIT_S = 240.0  # on a machine with other work, too


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "app", "train", *SMALL, *arguments]


def begun(out: Path, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_NUM_THREADS"}
    line = [*before, *command("--out", str(out), *arguments)[1 if before else 0 :]]
    return subprocess.Popen(
        line,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def newest(run: Path) -> runs.Resumed:
    found = runs.open_run(run).newest()
    assert found is not None
    return found


def wait_for_training(process: subprocess.Popen[str], run: Path, children: int) -> list[psutil.Process]:
    """Wait until a training saves for the first time; return its processes in the order of their ranks."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until and process.poll() is None:
        if (run / "checkpoints").is_dir() and any((run / "checkpoints").iterdir()):
            found = psutil.Process(process.pid).children()
            assert len(found) == children
            return sorted(found, key=lambda child: int(child.environ()["RANK"]))
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"it never trained: {process.communicate()[1]}")


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    run, numbers = tmp_path / "run", tmp_path / "a.json"
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    first = begun(run, "--max-steps", "12", "--json", str(numbers), before=torchrun)
    _, said = first.communicate(timeout=WAIT_S)
    assert first.returncode == 0, said
    assert said.count("12 steps in") == 1, "only the first process reports"
    report = json.loads(numbers.read_text())
    assert (report["processes"], report["steps"]) == (2, 12) and report["psnr"] > 10.0
    saved = newest(run)
    assert saved.tensors["tally.seen"].sum() == 24 and saved.header["state"]["window_views"] == 24

    assert main(["train", *SMALL, "--out", str(run), "--resume", "--max-steps", "16"]) == 0
    assert newest(run).tensors["tally.seen"].sum() == 28

    second = begun(run, "--resume", "--processes", "2", "--autosave", "0.2")
    before = len(runs.open_run(run).checkpoints())
    until = time.monotonic() + WAIT_S
    while len(runs.open_run(run).checkpoints()) == before and time.monotonic() < until:
        time.sleep(0.05)
    children = psutil.Process(second.pid).children()
    second.send_signal(signal.SIGINT)
    _, said = second.communicate(timeout=WAIT_S)
    assert second.returncode == 0 and "Interrupted; saving and evaluating" in said, said
    assert len(children) == 2 and gone(children)
    last = newest(run)
    assert last.tensors["tally.seen"].sum() == 28 + 2 * (last.header["step"] - 16) > 28


@pytest.mark.slow
def test_a_killed_process_ends_the_others_with_a_sentence(tmp_path: Path) -> None:
    run = tmp_path / "run"
    training = begun(run, "--processes", "2", "--autosave", "0.2")
    children = wait_for_training(training, run, 2)
    children[1].kill()
    _, said = training.communicate(timeout=WAIT_S)
    assert training.returncode == 1
    assert "process 2 of 2 was ended from outside (SIGKILL)" in said
    assert "Another process of this training ended or does not answer, so process 1 of 2 cannot go on" in said
    assert "Traceback" not in said and gone(children)
    assert newest(run).header["step"] > 0


@pytest.mark.slow
def test_processes_end_when_the_program_that_started_them_is_killed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    training = begun(run, "--processes", "2", "--autosave", "0.2")
    children = wait_for_training(training, run, 2)
    training.kill()
    training.communicate(timeout=WAIT_S)
    assert gone(children)


@pytest.mark.slow
def test_what_cannot_be_opened_is_said_once(tmp_path: Path) -> None:
    scene = tmp_path / "nothing"
    line = [sys.executable, "-m", "app", "train", str(scene), "--processes", "2"]
    done = subprocess.run(
        line, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S
    )
    assert done.returncode == 2 and done.stderr.count("nerfviewer:") == 1, done.stderr


def test_a_number_of_processes_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "demo", "--processes", "0"]) == 2
    assert "--processes must be a whole number of at least 1, got 0" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert main(["train", "demo", "--processes", "2"]) == 2
    assert "torchrun has started 4 processes" in capsys.readouterr().err
