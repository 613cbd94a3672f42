# SPDX-License-Identifier: MIT
"""The first start compiles in a process of its own; every run then loads the same machine code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def test_a_first_run_equals_later_ones_bit_for_bit(tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {
        "NERFVIEWER_CACHE": str(tmp_path)
    }
    root = Path(engine.__file__).parents[1]
    runs = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", CODE], env=env, cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        runs.append(done.stdout.split())
    assert runs[0][0] == runs[1][0]
    assert [run[1:] for run in runs] == [["0", "True"], ["0", "False"]], (
        "the first run must not compile by itself"
    )


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


def test_kernels_of_another_objective_are_compiled_elsewhere_when_it_is_chosen(tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {
        "NERFVIEWER_CACHE": str(tmp_path)
    }
    root = Path(engine.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", SOFT], env=env, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked_before, asked, misses, hits = map(int, done.stdout.split())
    assert (asked_before, asked, misses) == (1, 2, 0)
    assert hits >= 2  # with and without the gradients of the camera
