# SPDX-License-Identifier: MIT
"""The first start compiles in a process of its own; every run then loads the same machine code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import engine

CODE = """
import hashlib
from tests.methods.test_svraster import SVRaster, config, make_scene
from engine.cpu.raster_grad import raster_gradients
method = SVRaster(make_scene(), config(), seed=1)
stages = []
method.warm_up(lambda stage, done, total: stages.append(stage))
for _ in range(40):
    method.train_step()
tensors = method.state()[0]
digest = hashlib.sha256(b"".join(tensors[name].tobytes() for name in sorted(tensors))).hexdigest()
print(digest, sum(raster_gradients.stats.cache_misses.values()), "kernels, once" in stages)
"""

SOFT = """
from tests.methods.test_svraster import SVRaster, config, make_scene
from engine.cpu.soft_raster_grad import soft_tiles
method = SVRaster(make_scene(), config(), seed=1)
stages = []
method.warm_up(lambda stage, done, total: stages.append(stage))
before = stages.count("kernels, once")
method.set_options({"objective.kind": "soft", "poses.refine": True, "poses.from_step": 1})
method.warm_up(lambda stage, done, total: stages.append(stage))
for _ in range(3):
    method.train_step()
method.render(method.scene.test.views[0].camera, frozenset({"soft"}))
misses, hits = soft_tiles.stats.cache_misses, soft_tiles.stats.cache_hits
print(before, stages.count("kernels, once"), sum(misses.values()), sum(hits.values()))
"""


@pytest.fixture(scope="module")
def fresh_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that nobody has used before the first of these tests, which take place in their order."""
    return tmp_path_factory.mktemp("cache")


def said(code: str, cache: Path) -> list[str]:
    """Return the words that a process of its own prints."""
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {"NERFVIEWER_CACHE": str(cache)}
    root = Path(engine.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_first_run_equals_later_ones_bit_for_bit(fresh_cache: Path) -> None:
    runs = [said(CODE, fresh_cache) for _ in range(2)]
    assert runs[0][0] == runs[1][0]
    assert [run[1:] for run in runs] == [["0", "True"], ["0", "False"]], (
        "the first run must not compile by itself"
    )


def test_kernels_of_another_objective_are_compiled_elsewhere_when_it_is_chosen(fresh_cache: Path) -> None:
    in_cache = any(fresh_cache.iterdir())  # not if this test runs alone
    asked_before, asked, misses, hits = map(int, said(SOFT, fresh_cache))
    assert (asked_before, asked, misses) == ((0, 1, 0) if in_cache else (1, 2, 0))
    assert hits >= 2  # with and without the gradients of the camera
