# SPDX-License-Identifier: MIT
"""A small model that several ranks train. Run as a program: one of two processes, which trains it by rays, then by subtrees."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

from engine.cpu.crew import set_threads
from engine.datasets.scene import Scene
from engine.methods.infnerf import InfNeRF, InfNeRFConfig
from engine.options import updated
from engine.parallel import join, place_from_env
from tests.plenoxels.toy import toy_scene
from tests.two_ranks import write

STEPS = 12
VALUES = {
    "field.levels": 3, "field.log2_table": 10, "field.max_res": 16, "field.base_res": 4, "field.hidden": 16,
    "field.appearance": 2, "tree.max_depth": 3, "schedule.rays": 200, "sampling.probes": 256, "losses.points": 32,
    "losses.every": 2,
}  # fmt: skip


@cache
def scene() -> Scene:
    """Return the toy scene, once."""
    return toy_scene()


def model(kind: str, **values: Any) -> InfNeRF:
    """Return the model that all train."""
    return InfNeRF(scene(), updated(InfNeRFConfig(), VALUES | {"parallel.kind": kind} | values), seed=1)


def main(out: Path) -> None:
    """Train as one of two ranks; the first writes what came of it."""
    set_threads(1)
    ranks = join(place_from_env())
    for kind in ("data", "subtree"):
        method = model(kind)
        method.join(ranks)
        for _ in range(STEPS):
            method.train_step()
        method.gather(False)
        if ranks.rank == 0:
            write(out / f"{kind}.npz", method)
    ranks.close()
    if ranks.rank == 0:
        one = model("data")
        for _ in range(STEPS):
            one.train_step()
        write(out / "one.npz", one)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
