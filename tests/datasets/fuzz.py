# SPDX-License-Identifier: MIT
"""Spoils the files of every format and reads them: each must load or be refused in one sentence.

    python -m tests.datasets.fuzz COUNT [FORMAT ...]

Runs in a process of its own that may take 1 GB more memory than it has when all is loaded, and reads nothing outside
the scene folder. The same count gives the same files; COUNT@FIRST starts at another file. Prints one JSON line a
format: how many were tried, loaded and refused, and what went wrong.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import sys
import sysconfig
import tempfile
import time
import traceback
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

MEMORY_BYTES = 1_000_000_000
SECONDS = 5.0  # for a capture of four photos of 12 x 8 pixels, which takes some milliseconds
LONGEST = 2000  # characters of a sentence
_KEPT = 20  # faults whose traces are printed


class Hang(BaseException):
    """A file took too long; not an Exception, so that no reader takes it for a fault of the file."""


class Guard:
    """Notes every file that is opened outside the scene folder while it is on."""

    def __init__(self) -> None:
        self.folder = ""
        self.outside: list[str] = []
        homes = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *sys.path, os.getcwd()}
        homes |= {os.environ.get("NUMBA_CACHE_DIR", sys.prefix), "/proc/self/status"}
        self._homes = tuple(os.path.realpath(home) for home in homes)
        sys.addaudithook(self._saw)

    def _saw(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not self.folder or not isinstance(arguments[0], str | bytes):
            return
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if not path.startswith((self.folder, *self._homes)):
            self.outside.append(path)


def fuzz(name: str, count: int, folder: Path, guard: Guard, first: int = 0) -> dict[str, Any]:
    """Spoil and read `count` files of a format; return the tally."""
    from tests.datasets.fuzz_mutations import spoil
    from tests.datasets.fuzz_seeds import FORMATS

    folder.mkdir(parents=True, exist_ok=True)
    seed = FORMATS[name](folder)
    _lay_traps(seed.folder)
    guard.folder = os.path.realpath(folder)
    seed.open()  # whole, it must load; and what is made only once is now made
    whole = {victim: victim.read_bytes() for victim in seed.victims}
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_virtual_bytes() + MEMORY_BYTES, hard))
    tally, faults, slowest = Counter(), [], 0.0
    for index in range(first, first + count):
        random = np.random.default_rng([zlib.crc32(name.encode()), index])
        victim = seed.victims[index % len(seed.victims)]
        way, content = spoil(random, victim.name, whole[victim])
        victim.write_bytes(content)
        guard.outside.clear()
        began = time.perf_counter()
        outcome, why = _read(seed.open)
        slowest = max(slowest, time.perf_counter() - began)
        if guard.outside:
            outcome, why = "fault", f"read {guard.outside[0]} outside the folder"
        tally[outcome] += 1
        if outcome == "fault":
            faults.append(f"{name} {index} {victim.name} {way}: {why}")
        victim.write_bytes(whole[victim])
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    guard.folder = ""
    return {
        "format": name, "tried": count, "loaded": tally["loaded"], "refused": tally["refused"],
        "faults": faults[:_KEPT], "fault_count": len(faults), "slowest_s": round(slowest, 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000,
    }  # fmt: skip


def _lay_traps(folder: Path) -> None:
    """Put into a folder what file names may lead to: links in circles, a pipe, and a file just outside."""
    (folder / "loop").symlink_to(folder / "loop")
    if (folder / "images").is_dir():
        (folder / "images" / "loop").symlink_to(folder / "images", target_is_directory=True)
    for name in ("fifo", "fifo.png"):
        os.mkfifo(folder / name)
    (folder.parent / "outside.png").write_bytes(b"outside")


def _read(read: Any) -> tuple[str, str]:
    """Return "loaded", "refused" or "fault", and why."""
    from engine.errors import UserError

    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        read()
    except UserError as error:
        message = str(error)
        sentence = "\n" not in message and message.endswith(".") and len(message) <= LONGEST
        if sentence and not isinstance(error.__cause__, MemoryError):
            return "refused", message
        return "fault", f"no sentence: {message[:200]!r} ({len(message)} characters)"
    except Hang:
        return "fault", "it hangs: " + " < ".join(_frames(sys.exc_info()[2]))
    except BaseException as error:
        return "fault", f"{type(error).__name__}: {error!s:.150} < " + " < ".join(
            _frames(error.__traceback__)
        )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    return "loaded", ""


def _frames(trace: Any) -> list[str]:
    return [f"{Path(f.filename).name}:{f.lineno}" for f in reversed(traceback.extract_tb(trace)[-6:])]


def _virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _too_long(signum: int, frame: Any) -> None:
    raise Hang


def main(argv: list[str]) -> int:
    """Fuzz the named formats, or all; return how many had faults."""
    from tests.datasets.fuzz_seeds import FORMATS

    count, _, first = argv[0].partition("@")
    faulthandler.enable()
    signal.signal(signal.SIGALRM, _too_long)
    guard, bad = Guard(), 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for name in argv[1:] or FORMATS:
            place = Path(folder) / name
            tally = fuzz(name, int(count), place / "scene", guard, int(first or 0))
            print(json.dumps(tally), flush=True)
            bad += bool(tally["fault_count"])
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
