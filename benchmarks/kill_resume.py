# SPDX-License-Identifier: MIT
"""Kills `nerfviewer train` with SIGKILL at random moments and checks that every resume finds whole checkpoints.

    python benchmarks/kill_resume.py [SCENE] [--kills 20] [--seed 0] [--json FILE]

Autosaves come twice a second, so that many kills hit a save. After each kill: every checkpoint in the run folder can be
read, the newest is no older than before, at most three are there. Each next process must say that it resumed at exactly
that step. The last one trains a few steps more and must end by itself with exit code 0.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine import checkpoint, runs  # noqa: E402 - the checkout comes before whatever is installed

AUTOSAVE_S = 0.5
LONGEST_S = 6.0  # of life after the run was resumed
START_LIMIT_S = 300.0  # the first start may compile kernels and make the demo


def start(scene: str, run: Path, log: Path, *limits: str) -> subprocess.Popen[bytes]:
    """Start training in a process of its own; what it says goes into `log`."""
    command = [sys.executable, "-m", "app", "train", scene, "--out", str(run), "--resume"]
    command += ["--autosave", str(AUTOSAVE_S), "--eval-every", "1e9", *limits]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment, cwd=run.parent)


def wait_until_it_trains(process: subprocess.Popen[bytes], run: Path, log: Path) -> str:
    """Wait for the line that says where training began; return what was said."""
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        said = log.read_text(errors="replace")
        if "held out." in said and runs.is_run(run):
            return said
        if process.poll() is not None:
            raise SystemExit(f"train ended by itself with {process.returncode}:\n{said}")
        time.sleep(0.02)
    raise SystemExit(f"train did not begin within {START_LIMIT_S:.0f} s.")


def check(run: Path, at_least: int) -> tuple[int, list[str]]:
    """Return the newest readable step and what is wrong with the run folder."""
    faults, steps = [], []
    folder = runs.open_run(run)
    for step, path in folder.checkpoints():
        try:
            _, header = checkpoint.load(path)
            steps.append(int(header["step"]))
            if header["step"] != step:
                faults.append(f"{path.name} holds step {header['step']}")
        except Exception as error:  # any way to be unreadable counts
            faults.append(str(error))
    newest = max(steps, default=0)
    if newest < at_least:
        faults.append(f"the newest step went back from {at_least} to {newest}")
    if len(steps) > runs.KEEP + 1:  # a kill between a save and its tidying up leaves one more
        faults.append(f"{len(steps)} checkpoints are kept")
    return newest, faults


def kill_once(scene: str, run: Path, log: Path, newest: int, delay_s: float) -> dict[str, Any]:
    """Resume, let it train for a while, kill it, look at what is left."""
    process = start(scene, run, log)
    try:
        said = wait_until_it_trains(process, run, log)
        time.sleep(delay_s)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    after, faults = check(run, newest)
    if newest > 0 and f"at step {newest:,}." not in said:
        faults.append(f"it did not resume at step {newest}")
    half_written = len(runs.open_run(run).half_written())
    return {
        "delay_s": round(delay_s, 3),
        "from": newest,
        "to": after,
        "half_written": half_written,
        "faults": faults,
    }


def main() -> int:
    """Kill and resume; return 1 if anything was torn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", nargs="?", default="demo")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    scene = arguments.scene if arguments.scene == "demo" else str(Path(arguments.scene).resolve())
    chance, newest, kills = random.Random(arguments.seed), 0, []
    with tempfile.TemporaryDirectory(prefix="nerfviewer-kill-") as folder:
        run, log = Path(folder) / "run", Path(folder) / "log.txt"
        for number in range(arguments.kills):
            kill = kill_once(scene, run, log, newest, chance.uniform(0.0, LONGEST_S))
            newest = kill["to"]
            kills.append(kill)
            print(json.dumps({"kill": number + 1, **kill}), flush=True)
        process = start(scene, run, log, "--max-steps", str(newest + 5))
        code = process.wait(timeout=START_LIMIT_S)
        last, faults = check(run, newest + 5)
    faults += [] if code == 0 else [f"the last run ended with {code}"]
    bad = faults + [fault for kill in kills for fault in kill["faults"]]
    report = {
        "kills": len(kills),
        "steps": last,
        "saves_hit": sum(k["half_written"] > 0 for k in kills),
        "faults": bad,
    }
    print(json.dumps(report))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({**report, "each": kills}, indent=1) + "\n", encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
