# SPDX-License-Identifier: MIT
"""Who trains a run: a small file in its folder, so that two processes never write one run.

It names the host, the process and when that process began; whoever trains touches it now and then. It is stale, and may be
taken over, once its process has ended; of another host, whose processes cannot be seen from here, once it was not touched for
`SILENT_S`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.errors import RunInUseError
from engine.files import TEMPORARY

NAME = "training.lock"
BEAT_S = 20.0  # between two touches of whoever trains
SILENT_S = 300.0  # another host that was silent for so long is gone
_SAME_START_S = 2.0  # clocks of the processes' list are coarse


@dataclass(frozen=True)
class Holder:
    """A process that trains a run. `started`: when it began, in seconds of the system's clock; numbers come again."""

    host: str
    pid: int
    started: float

    def same(self, other: Holder) -> bool:
        """Whether both are one process."""
        near = abs(self.started - other.started) < _SAME_START_S
        return near and (self.host, self.pid) == (other.host, other.pid)

    def __str__(self) -> str:
        here = self.host == socket.gethostname()
        return f"process {self.pid}" if here else f"process {self.pid} on {self.host}"


def this_process() -> Holder:
    """Return who we are."""
    import psutil

    return Holder(socket.gethostname(), os.getpid(), psutil.Process().create_time())


def holder(run: Path, now: float | None = None) -> Holder | None:
    """Return who trains a run at the moment, None if nobody does; `now` is the time of day in seconds."""
    text, touched = _read(run / NAME)
    found = _told(text)
    if found is None:  # no lock, or one that a kill cut short: nobody stands behind it
        return None
    if found.host != socket.gethostname():
        return found if (time.time() if now is None else now) - touched < SILENT_S else None
    return found if _runs(found) else None


def acquire(run: Path) -> None:
    """Become the one who trains a run. Raises RunInUseError if somebody else does; of two that try, one succeeds."""
    file, us = run / NAME, this_process()
    for _ in range(3):  # a stale one is put out of the way first, then it is tried again
        text, _ = _read(file)
        other = holder(run)
        if other is not None and other.same(us):
            return
        if other is not None:
            raise RunInUseError(run, str(other))
        if text or file.exists():  # an empty one is of a disk that was full
            _put_away(file, text)
        if _created(file, json.dumps(asdict(us))):
            return
    raise RunInUseError(run, "another process")


def beat(run: Path) -> None:
    """Show that we are still there. Raises RunInUseError if somebody has taken the run over meanwhile."""
    other = holder(run)
    if other is not None and not other.same(this_process()):
        raise RunInUseError(run, str(other))
    with contextlib.suppress(OSError):
        os.utime(run / NAME)


def release(run: Path) -> None:
    """Let the run go, if it is ours."""
    other = holder(run)
    if other is not None and other.same(this_process()):
        with contextlib.suppress(OSError):
            (run / NAME).unlink()


def _read(file: Path) -> tuple[str, float]:
    """Return what a lock says and when it was touched; "" without one."""
    try:
        return file.read_text(encoding="utf-8"), file.stat().st_mtime
    except (OSError, ValueError):
        return "", 0.0


def _told(text: str) -> Holder | None:
    """Return the process that a lock names, None if it names none."""
    try:
        record = json.loads(text)
        return Holder(str(record["host"]), int(record["pid"]), float(record["started"]))
    except (ValueError, TypeError, KeyError):
        return None


def _runs(one: Holder) -> bool:
    """Whether a process of this host still runs, and is not another one by the same number."""
    import psutil

    try:
        process = psutil.Process(one.pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return not ended and abs(process.create_time() - one.started) < _SAME_START_S
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # there, but not ours to look at
        return True


def _created(file: Path, text: str) -> bool:
    """Write a lock unless there is one; it appears with all it says."""
    ours = file.with_name(f"{NAME}.{os.getpid()}{TEMPORARY}")
    try:
        ours.write_text(text, encoding="utf-8")
        os.link(ours, file)
    except FileExistsError:
        return False
    except (
        OSError
    ):  # a disk without hard links: there, or whoever reads it in this moment, finds an empty one
        with contextlib.suppress(FileExistsError), file.open("x", encoding="utf-8") as out:
            out.write(text)
            return True
        return False
    finally:
        with contextlib.suppress(OSError):
            ours.unlink()
    return True


def _put_away(file: Path, stale: str) -> None:
    """Take a stale lock away. If somebody replaced it a moment ago, what they wrote is put back: only the stale was judged."""
    aside = file.with_name(f"{NAME}.{os.getpid()}.stale")
    with contextlib.suppress(OSError):
        os.replace(file, aside)
        if (written := _read(aside)[0]) != stale:
            _created(file, written)
        aside.unlink()
