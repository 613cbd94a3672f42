# SPDX-License-Identifier: MIT
"""Spoils 2,000 files of every format that is read and says how many loaded, were refused, or showed a fault.

    python benchmarks/fuzz_readers.py [--count 2000] [--first 0] [--json FILE] [FORMAT ...]

Each format runs in a process of its own, which may take 1 GB more than it has when all is loaded, 5 s a file, and reads
nothing outside the scene folder. The same numbers give the same files (tests/datasets/fuzz.py).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORMATS = "transforms fisheye blender colmap_binary colmap_text llff ply camera_path pictures".split()


def main() -> int:
    """Return the number of formats with a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="*", default=FORMATS, metavar="FORMAT")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    tallies = []
    print(
        f"{'format':14} {'tried':>7} {'loaded':>7} {'refused':>8} {'faults':>7} {'slowest':>8} {'memory':>7}"
    )
    for name in arguments.formats:
        command = [sys.executable, "-m", "tests.datasets.fuzz", f"{arguments.count}@{arguments.first}", name]
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
                              env=environment, check=False)  # fmt: skip
        if not done.stdout:
            tallies.append(
                {"format": name, "tried": 0, "fault_count": 1, "faults": [f"crash, code {done.returncode}"]}
            )
            print(f"{name:14} crashed with code {done.returncode}")
            continue
        tally = json.loads(done.stdout)
        tallies.append(tally)
        print(
            f"{name:14} {tally['tried']:7,} {tally['loaded']:7,} {tally['refused']:8,} {tally['fault_count']:7,} "
            f"{tally['slowest_s']:6.2f} s {tally['peak_mb']:4} MB",
            flush=True,
        )
        print("\n".join(f"    {fault}" for fault in tally["faults"]), end="\n" if tally["faults"] else "")
    if arguments.json:
        arguments.json.write_text(json.dumps(tallies, indent=1) + "\n", encoding="utf-8")
    return sum(bool(tally["fault_count"]) for tally in tallies)


if __name__ == "__main__":
    sys.exit(main())
