# SPDX-License-Identifier: MIT
"""An import in a process of its own: progress with remaining time, cancel at any moment, and every ending a sentence.

The child (`engine.sfm.child`) does the work; a thread reads what it reports. A child that crashes or is killed ends
the import with a sentence, and what it had finished is kept for the next try.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.sfm.options import ImportJob
from engine.sfm.report import ImportReport

CHILD = (sys.executable, "-m", "engine.sfm.child")
ROOT = Path(__file__).resolve().parent.parent.parent  # where `engine` is imported from
KEPT = "What was finished is kept: the same import goes on from there."
LOG_TAIL = 4000  # bytes of what the child said to nobody, for --debug
GONE_S = 5.0  # a killed process is gone within this time


@dataclass(frozen=True)
class ImportProgress:
    """Where an import is: `stage` in words, `done` of `total` steps of it, about how long it takes yet."""

    stage: str
    done: int
    total: int
    eta_s: float | None


@dataclass(frozen=True)
class ImportOutcome:
    """How an import ended: "finished", "cancelled", "failed" (the user can mend it) or "broken"; `text` says why."""

    kind: str
    text: str
    report: ImportReport | None = None
    trace: str = ""


class StageClock:
    """Estimates how long a stage takes yet, from its pace since its first report."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage, self._began, self._first = "", 0.0, 0

    def hear(self, stage: str, done: int, total: int) -> ImportProgress:
        """Return the progress with its remaining time; steps that were done before the stage began do not count."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._first = stage, now, done
        made, left = done - self._first, total - done
        eta_s = (now - self._began) / made * left if made > 0 and left >= 0 else None
        return ImportProgress(stage, done, total, eta_s)


class ImportRun:
    """One import under way. `progress`, `said` and `outcome` may be read from any thread."""

    def __init__(self, job: ImportJob, command: Sequence[str] = CHILD) -> None:
        self.job = job
        self.progress: ImportProgress | None = None
        self.said: list[str] = []
        self.outcome: ImportOutcome | None = None
        self._command, self._clock = tuple(command), StageClock()
        self._cancelled = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._log: Any = None
        self._thread = threading.Thread(target=self._listen, name="import", daemon=True)

    def start(self) -> None:
        """Start the child."""
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            start_new_session=True,  # Ctrl-C in a terminal reaches us alone; we decide what it means
        )
        with contextlib.suppress(
            OSError
        ):  # a child that is dead already ends the thread below with a sentence
            self._process.stdin.write(json.dumps(self.job.to_json()) + "\n")
            self._process.stdin.flush()
        self._thread.start()

    def cancel(self) -> None:
        """End the import now; `outcome` says so soon. Returns at once."""
        if self.outcome is None and self._process is not None:
            self._cancelled.set()
            self._kill()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; return whether it came within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        last: dict[str, Any] = {}
        try:
            for line in self._process.stdout:
                message = _parsed(line)
                if message.get("kind") in ("finished", "failed"):
                    last = message
                elif message.get("kind") == "said":
                    self.said.append(message["text"])
                elif message.get("kind") == "progress":
                    self.progress = self._clock.hear(message["stage"], message["done"], message["total"])
            self.outcome = self._judge(last, self._process.wait())
        except Exception as error:  # a thread that dies unheard would leave the import without an end
            self._kill()
            self.outcome = ImportOutcome(
                "broken", f"The import stopped: {type(error).__name__}: {error}. {KEPT}"
            )
        finally:
            with contextlib.suppress(OSError):  # what was still to be written has nobody left to read it
                self._process.stdin.close()
            self._process.stdout.close()
            self._log.close()

    def _judge(self, last: dict[str, Any], status: int) -> ImportOutcome:
        if last.get("kind") == "finished":
            report = ImportReport.from_json(last["report"])
            return ImportOutcome("finished", " ".join(report.lines()), report)
        if self._cancelled.is_set():
            return ImportOutcome("cancelled", f"The import was cancelled. {KEPT}")
        if last.get("kind") == "failed":
            return ImportOutcome("failed" if last["user"] else "broken", last["text"], trace=last["trace"])
        while_doing = f" while {self.progress.stage}" if self.progress else ""
        text = f"The import stopped unexpectedly{while_doing} ({_died_of(status)}). {KEPT}"
        return ImportOutcome("broken", text, trace=self._last_words())

    def _last_words(self) -> str:
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - LOG_TAIL))
        return self._log.read().decode(errors="replace")

    def _kill(self) -> None:
        """Kill the child and what it started, such as ffmpeg."""
        try:
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        except (ProcessLookupError, PermissionError):
            pass  # it ended by itself just now


def _parsed(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _died_of(status: int) -> str:
    """Return in words how a process ended."""
    if status >= 0:
        return f"exit status {status}"
    if -status == getattr(signal, "SIGKILL", 9):
        return "killed from outside; if memory ran out, try --quality low"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
