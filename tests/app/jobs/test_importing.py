# SPDX-License-Identifier: MIT
"""However the process of an import ends, the import ends with a sentence; and it can be ended at any moment."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from app.jobs.importing import CHILD, ImportOutcome, ImportRun, StageClock
from engine.sfm.options import ImportJob
from engine.sfm.report import ImportReport

JOB = ImportJob("photos", "scene")
REPORT = ImportReport("scene", 29, 28, 0.9, 4000, ("7.jpg",), (), ("PINHOLE",))
LIMIT_S = 30.0  # for processes that take a tenth of a second
PRELUDE = """
import json, os, signal, subprocess, sys, time
job = json.loads(sys.stdin.readline())
def send(kind, **fields): print(json.dumps({"kind": kind, **fields}), flush=True)
"""


def _run(script: str) -> ImportRun:
    run = ImportRun(JOB, (sys.executable, "-c", PRELUDE + script))
    run.start()
    return run


def _outcome(script: str) -> tuple[ImportRun, ImportOutcome]:
    run = _run(script)
    assert run.wait(LIMIT_S)
    return run, run.outcome


def _until(condition) -> None:
    until = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_child_gets_the_job_and_its_report_comes_back():
    report = json.dumps(REPORT.to_json())
    run, outcome = _outcome(
        f"""
send("said", text=job["source"])
send("progress", stage="finding features", done=4, total=29)
print("a library talks")
send("finished", report=json.loads({report!r}))
"""
    )
    assert (outcome.kind, outcome.report) == ("finished", REPORT)
    assert run.said == ["photos"]
    assert (run.progress.stage, run.progress.done, run.progress.total) == ("finding features", 4, 29)


@pytest.mark.parametrize(("user", "kind"), [(True, "failed"), (False, "broken")])
def test_a_failure_is_told_in_the_childs_words(user, kind):
    _, outcome = _outcome(f'send("failed", text="Only 2 of 29.", user={user}, trace="T"); sys.exit(2)')
    assert (outcome.kind, outcome.text, outcome.trace) == (kind, "Only 2 of 29.", "T")


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_crash_is_a_sentence_with_the_stage_and_the_last_words_for_those_who_look():
    _, outcome = _outcome(
        """
send("progress", stage="comparing photos", done=1, total=9)
print("check failed in matcher", file=sys.stderr, flush=True)
os.kill(os.getpid(), signal.SIGSEGV)
"""
    )
    assert outcome.kind == "broken"
    assert outcome.text.startswith("The import stopped unexpectedly while comparing photos (SIGSEGV).")
    assert "goes on from there" in outcome.text and "Traceback" not in outcome.text
    assert "check failed in matcher" in outcome.trace


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_child_killed_for_memory_is_told_from_a_cancelled_one():
    _, outcome = _outcome("os.kill(os.getpid(), signal.SIGKILL)")
    assert outcome.kind == "broken" and "if memory ran out, try --quality low" in outcome.text


def test_a_child_that_dies_at_once_ends_the_import():
    run = ImportRun(JOB, (sys.executable, "-c", "import sys; sys.exit(5)"))
    run.start()
    assert run.wait(LIMIT_S)
    assert run.outcome.kind == "broken" and "exit status 5" in run.outcome.text


def test_cancel_ends_a_busy_child_and_what_it_started(tmp_path):
    run = _run(
        """
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
send("said", text=str(grandchild.pid))
while True: pass
"""
    )
    _until(lambda: run.said)
    began = time.monotonic()
    run.cancel()
    assert time.monotonic() - began < 1.0  # cancel itself does not wait
    assert run.wait(LIMIT_S)
    assert run.outcome.kind == "cancelled" and "goes on from there" in run.outcome.text
    _until(lambda: not _alive(int(run.said[0])))


def _alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_cancel_after_the_end_changes_nothing():
    run, outcome = _outcome('send("failed", text="No.", user=True, trace="")')
    run.cancel()
    assert run.outcome is outcome


def test_the_real_child_answers_a_bad_job_with_a_sentence(tmp_path):
    run = ImportRun(ImportJob(str(tmp_path / "nothing"), str(tmp_path / "scene")), CHILD)
    run.start()
    assert run.wait(LIMIT_S)
    assert run.outcome.kind == "failed"
    assert run.outcome.text.endswith("nothing is there. Name a folder of photos or a video.")


def test_remaining_time_counts_only_what_this_run_did():
    now = [0.0]
    clock = StageClock(lambda: now[0])
    assert clock.hear("comparing photos", 40, 100).eta_s is None
    now[0] = 10.0
    assert clock.hear("comparing photos", 60, 100).eta_s == 20.0
    now[0] = 12.0
    assert clock.hear("placing cameras", 0, 29).eta_s is None
    now[0] = 13.0
    assert clock.hear("placing cameras", 29, 29).eta_s == 0.0
