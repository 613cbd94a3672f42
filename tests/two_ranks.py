# SPDX-License-Identifier: MIT
"""Two processes that meet in a file. Run as a program: one of them, which trains a small scene and writes what it holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from engine.cpu.crew import set_threads
from engine.methods.svraster import SVRaster, SVRasterConfig
from engine.options import updated
from engine.parallel import RENDEZVOUS, join, place_from_env
from tests.methods.test_svraster import QUICK, make_scene

ROOT = Path(__file__).resolve().parent.parent
N_TRAIN, SEED = 9, 1  # an odd number: the last view of a round goes with the first of the next
EARLY, NEXT, LATE = 21, 22, 62  # steps after which the states are written
MESSAGES = ({"do": "it"}, {"text": "ä" * 3_000, "values": [1, 2.5, None]})  # the second travels in two parts
VALUES = QUICK | {
    "model.initial_level": 3,
    "adapt.every_steps": 12,
    "adapt.max_voxels": 8_000,
    "exposure.on": True,
    "exposure.from_step": 5,
    "exposure.every_steps": 10,
    "losses.total_variation": 1e-3,
    "losses.ssim": 0.02,
}


def environment(rank: int, meet: Path) -> dict[str, str]:
    """Return the environment of one of two processes."""
    threads = {"NUMBA_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    places = {"RANK": str(rank), "WORLD_SIZE": "2", RENDEZVOUS: str(meet), "PYTHONPATH": str(ROOT)}
    return os.environ | threads | places


def start(module: str, meet: Path, *arguments: str) -> list[subprocess.Popen[str]]:
    """Start `python -m module arguments` twice, as ranks 0 and 1."""
    return [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=environment(rank, meet),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]


def model() -> SVRaster:
    """Return the model that both train."""
    return SVRaster(make_scene(N_TRAIN, "learned"), updated(SVRasterConfig(), VALUES), seed=SEED)


def write(to: Path, method: SVRaster) -> None:
    """Write a model's state."""
    tensors, header = method.state()
    np.savez(to, header=json.dumps(header), **tensors)


def read(file: Path) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Return what `write` wrote."""
    with np.load(file) as held:
        tensors = dict(held)
    return tensors, json.loads(str(tensors.pop("header")))


def main(out: Path) -> None:
    """Train as one of two ranks and write states and reports."""
    set_threads(1)
    ranks = join(place_from_env())
    for message in MESSAGES:
        if ranks.rank == 0:
            ranks.tell(message)
        else:
            assert ranks.hear() == message
    method, reports = model(), []
    method.join(ranks)
    for step in range(1, LATE + 1):
        report = method.train_step()
        adapted = None if report.adapted is None else [report.adapted.pruned, report.adapted.split]
        reports.append([report.view, report.psnr, report.others, adapted])
        if step in (EARLY, NEXT, LATE):
            write(out / f"{step}-{ranks.rank}.npz", method)
    (out / f"{ranks.rank}.json").write_text(json.dumps(reports))
    method.octree.level[0] += ranks.rank  # now they differ
    method.team._checked -= 1_000
    try:
        method.train_step()
    except Exception as error:
        (out / f"differs-{ranks.rank}").write_text(f"{type(error).__name__}: {error}")
    ranks.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
