# SPDX-License-Identifier: MIT
"""Only one process writes a run: who holds it, what counts as gone, and that a stale lock ends nobody's training."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine import run_lock
from engine.errors import RunInUseError
from engine.run_lock import NAME, SILENT_S, Holder


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this machine."""
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    process.stdin.close()


def held_by(run: Path, host: str, pid: int, started: float) -> None:
    (run / NAME).write_text(json.dumps({"host": host, "pid": pid, "started": started}))


def held_by_process(run: Path, pid: int) -> None:
    held_by(run, socket.gethostname(), pid, psutil.Process(pid).create_time())


def test_who_acquires_a_run_holds_it_until_it_is_released(tmp_path: Path) -> None:
    assert run_lock.holder(tmp_path) is None
    run_lock.acquire(tmp_path)
    run_lock.acquire(tmp_path)  # again, by the same process
    assert run_lock.holder(tmp_path).pid == os.getpid()
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    run_lock.release(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_a_living_process_is_refused_and_taken_over_once_that_has_ended(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    held_by_process(tmp_path, stranger.pid)
    with pytest.raises(RunInUseError, match=f"trained by process {stranger.pid}"):
        run_lock.acquire(tmp_path)
    run_lock.release(tmp_path)  # not ours
    assert run_lock.holder(tmp_path).pid == stranger.pid
    stranger.kill()
    stranger.wait()
    assert run_lock.holder(tmp_path) is None
    run_lock.acquire(tmp_path)
    assert run_lock.holder(tmp_path).pid == os.getpid()
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_another_process_of_the_same_number_holds_nothing(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    held_by(tmp_path, socket.gethostname(), stranger.pid, psutil.Process(stranger.pid).create_time() - 60.0)
    assert run_lock.holder(tmp_path) is None


def test_another_host_holds_a_run_as_long_as_it_touches_the_lock(tmp_path: Path) -> None:
    held_by(tmp_path, "elsewhere", 1, 0.0)
    touched = (tmp_path / NAME).stat().st_mtime
    assert str(run_lock.holder(tmp_path, now=touched + 1.0)) == "process 1 on elsewhere"
    assert run_lock.holder(tmp_path, now=touched + SILENT_S + 1.0) is None
    os.utime(tmp_path / NAME, (touched, touched - SILENT_S - 1.0))
    run_lock.acquire(tmp_path)
    assert run_lock.holder(tmp_path).pid == os.getpid()


def test_a_beat_touches_our_lock_and_finds_out_who_took_the_run(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    run_lock.acquire(tmp_path)
    os.utime(tmp_path / NAME, (0.0, 0.0))
    run_lock.beat(tmp_path)
    assert (tmp_path / NAME).stat().st_mtime > 1e9
    held_by_process(tmp_path, stranger.pid)
    with pytest.raises(RunInUseError):
        run_lock.beat(tmp_path)


@pytest.mark.parametrize("text", ["", '{"host": "her', "[]"])
def test_a_lock_that_says_nothing_stops_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    run_lock.acquire(tmp_path)
    assert run_lock.holder(tmp_path) is not None


def test_a_lock_that_was_replaced_meanwhile_is_put_back(tmp_path: Path) -> None:
    held_by(tmp_path, "elsewhere", 7, 1.0)
    run_lock._put_away(tmp_path / NAME, "what was judged stale")
    assert run_lock._told((tmp_path / NAME).read_text()) == Holder("elsewhere", 7, 1.0)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
