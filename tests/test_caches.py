# SPDX-License-Identifier: MIT
"""Compiled kernels belong to exactly one state of the sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import engine.caches as caches


def test_kernels_are_kept_under_a_name_that_changes_with_any_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu").mkdir()
    constant = tmp_path / "cpu" / "constants.py"
    constant.write_text("A = 1\n")
    monkeypatch.setattr(caches, "__file__", str(tmp_path / "caches.py"))
    before = caches.kernel_cache_folder()
    assert caches.kernel_cache_folder() == before
    constant.write_text("A = 2\n")
    assert caches.kernel_cache_folder() != before


@pytest.mark.parametrize("first", ["", "import numba\n"], ids=["engine first", "numba first"])
def test_a_second_start_compiles_nothing(tmp_path: Path, first: str) -> None:
    code = first + (
        "import engine, numpy as np\n"
        "from engine.morton import _path_from_ijk as kernel\n"
        "kernel(np.zeros((1, 3), np.int64), np.zeros(1, np.int64))\n"
        "print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))\n"
    )
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {
        "NERFVIEWER_CACHE": str(tmp_path)
    }
    root = str(Path(caches.__file__).parents[1])
    runs = [
        subprocess.run([sys.executable, "-c", code], env=env, cwd=root, capture_output=True, text=True)
        for _ in "ab"
    ]
    assert list(tmp_path.glob("kernels-*/*/*.nbi")), "the kernels were kept elsewhere"
    assert [run.stdout.split() for run in runs] == [["0", "1"], ["1", "0"]], runs[0].stderr


def test_the_users_own_numba_folder_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere/else")
    caches.use_kernel_cache()
    assert os.environ["NUMBA_CACHE_DIR"] == "/somewhere/else"
