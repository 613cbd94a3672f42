# SPDX-License-Identifier: MIT
"""Spoiled files load or are refused in one sentence: some of every format. `benchmarks/fuzz_readers.py` tries thousands.

NERFVIEWER_FUZZ sets how many of each format are tried.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.fuzz_mutations import BINARY, JSON, TEXT, spoil
from tests.datasets.fuzz_seeds import FORMATS

COUNT = int(os.environ.get("NERFVIEWER_FUZZ", "60"))
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and time as Linux has them")
def test_spoiled_files_load_or_are_refused_in_one_sentence():
    """Whatever is done to a file: no crash, no hang, no gigabyte, nothing read outside the folder."""
    command = [sys.executable, "-m", "tests.datasets.fuzz", str(COUNT)]
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}  # arenas that nobody uses would count as memory
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    tallies = [json.loads(line) for line in done.stdout.splitlines()]
    print("\n".join(f"{t['format']}: {t['tried']} tried, {t['loaded']} loaded" for t in tallies))
    assert [tally["faults"] for tally in tallies if tally["faults"]] == []
    assert done.returncode == 0, done.stderr[-2000:]
    assert [tally["format"] for tally in tallies] == list(FORMATS)
    for tally in tallies:
        assert tally["tried"] == COUNT == tally["loaded"] + tally["refused"]
        assert tally["refused"] > COUNT // 4, "the mutations hardly touch this format"


def test_the_same_number_gives_the_same_file():
    content = b'{"w": 12, "frames": [{"file_path": "images/0.png"}]}'
    spoiled = [spoil(np.random.default_rng(7), "a.json", content) for _ in range(2)]
    assert spoiled[0] == spoiled[1] != content


def test_every_way_changes_a_file_or_leaves_bytes():
    content = b'{"w": 12, "list": [1, 2, 3],\n "frames": [{"file_path": "images/0.png"}]}\n' * 2
    for way in {*BINARY, *TEXT, *JSON}:
        results = {way(np.random.default_rng(seed), content) for seed in range(20)}
        assert len(results) > 1, way.__name__
        assert all(isinstance(result, bytes) for result in results)
        assert isinstance(way(np.random.default_rng(0), b""), bytes)
