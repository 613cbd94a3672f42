# SPDX-License-Identifier: MIT
"""`nerfviewer train --processes N`: starts the processes of one training, watches over them, and what each of them does.

Under torchrun the processes are there already, and only `train_at` is used. The first process is the one that reports, saves
and evaluates. A process that this program started hears two things through its stdin: a line is a Ctrl-C, the end of the file
means that the program is gone.
"""

from __future__ import annotations

import _thread
import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from app.headless import STOP_WAIT_S, RunError
from app.headless_train import TrainJob, make_worker, train
from engine import devices
from engine.errors import cause_chain
from engine.parallel import RENDEZVOUS, ParallelError, Place, Ranks, join
from engine.parallel_training import Leader, follow

ORPHANED = 75  # exit status of a process whose program is gone
POLL_S = 0.05
LEAVE_S = 10.0  # what the others get to end by themselves once one has failed; the first saves meanwhile
_PATIENCE = 3  # a Ctrl-C too many ends everything at once


# --- the program ----------------------------------------------------------------------------------------------


def start(arguments: list[str], n: int) -> int:
    """Run `nerfviewer ARGUMENTS` in n processes that train together; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="nerfviewer-") as folder:
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(n):
                processes.append(_started(arguments, Place(rank, n, rank, n), Path(folder) / "meet"))
            with _interrupts_go_to(processes):
                return _watched(processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _started(arguments: list[str], place: Place, meet: Path) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parents[1])
    env = os.environ | {
        "RANK": str(place.rank),
        "WORLD_SIZE": str(place.size),
        "LOCAL_RANK": str(place.local_rank),
        "LOCAL_WORLD_SIZE": str(place.local_size),
        RENDEZVOUS: str(meet),
        "PYTHONPATH": os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p),
    }
    if sys.platform == "linux":  # they are on one machine; its name may lead nowhere
        env.setdefault("GLOO_SOCKET_IFNAME", "lo")
    windows = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    # not in the terminal's process group: a Ctrl-C there would reach everybody, and the first one twice
    return subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        env=env,
        stdin=subprocess.PIPE,
        start_new_session=not windows,
        creationflags=windows,
    )


@contextlib.contextmanager
def _interrupts_go_to(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Pass Ctrl-C and SIGTERM on to the first process, which saves and ends the others."""
    count = 0

    def forward(*_: object) -> None:
        nonlocal count
        count += 1
        if count >= _PATIENCE:
            raise KeyboardInterrupt
        stdin = processes[0].stdin
        with contextlib.suppress(OSError, ValueError):  # it has ended
            stdin.write(b"\n")
            stdin.flush()

    before = {kind: signal.signal(kind, forward) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _watched(processes: list[subprocess.Popen[bytes]]) -> int:
    """Wait for all; once one has failed or the first is done, the others get a moment to end by themselves."""
    over_at: float | None = None
    while True:
        codes = [process.poll() for process in processes]
        if None not in codes:
            break
        if over_at is None and (codes[0] is not None or any(codes)):
            over_at = time.monotonic()
            _say_who_was_killed(codes)
        patience = LEAVE_S if codes[0] is not None else STOP_WAIT_S
        if over_at is not None and time.monotonic() - over_at > patience:
            break
        time.sleep(POLL_S)
    if over_at is None:
        _say_who_was_killed(codes)
    return max((1 if code < 0 else code for code in codes if code is not None), default=1)


def _say_who_was_killed(codes: list[int | None]) -> None:
    """Say it of processes that could not say it themselves."""
    for rank, code in enumerate(codes):
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                code = signal.Signals(-code).name
            print(
                f"nerfviewer: process {rank + 1} of {len(codes)} was ended from outside ({code}), perhaps because memory "
                "ran out; the others end too. Continue with --resume.",
                file=sys.stderr,
                flush=True,
            )


# --- one of the processes -------------------------------------------------------------------------------------


def train_at(job: TrainJob, place: Place) -> int:
    """Train as one of several processes; return the exit code."""
    if RENDEZVOUS in os.environ:
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # a shell's background jobs are born without it
        threading.Thread(target=_listen, daemon=True).start()
    if place.rank > 0:  # the first decides when it is over, and the others hear of it
        for kind in (signal.SIGINT, signal.SIGTERM):
            signal.signal(kind, signal.SIG_IGN)
    _share_processors(place)
    _show_shares()
    if place.rank == 0:
        leader = Leader(_met(place))
        try:
            return train(job, make_worker(job, leader.make), opened=leader.open_everywhere)
        finally:
            leader.end()
    try:
        follow(_met(place))
    except Exception as error:
        text = (
            str(error)
            if isinstance(error, ParallelError)
            else f"{place.name}: {' / '.join(cause_chain(error))}"
        )
        raise RunError(text, traceback.format_exc()) from error
    if (
        RENDEZVOUS in os.environ
    ):  # ours, and through: torch's threads have aborted processes that were taken down with care
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _show_shares() -> None:
    """Print which part of the model a process holds, where it holds a part only."""
    shares = logging.getLogger("engine.methods.infnerf.subtree_team")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("nerfviewer: %(message)s"))
    shares.addHandler(handler)
    shares.setLevel(logging.INFO)


def _met(place: Place) -> Ranks:
    return join(place, nccl=devices.chosen() != "cpu")


def _share_processors(place: Place) -> None:
    """Give each process of a machine its share of the processors, unless somebody said otherwise."""
    from engine.cpu.crew import default_threads

    if not os.environ.get("NUMBA_NUM_THREADS"):
        os.environ["NUMBA_NUM_THREADS"] = str(max(1, default_threads() // place.local_size))


def _listen() -> None:
    """Interrupt the main thread at every line on stdin; at its end there is nobody to train for."""
    while sys.stdin.readline():
        _thread.interrupt_main()
    os._exit(ORPHANED)
