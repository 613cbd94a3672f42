# SPDX-License-Identifier: MIT
"""About how long a scene takes to a first good picture on this machine, and about how much memory.

A first good picture is step 300 of the default schedule: photos at full size since step 200, the voxels split twice since;
held-out quality is then within some 3 dB of that after a minute. The time is a count of steps at each size of picture
times what a pixel and a voxel cost here, which a few small renders tell (`measured_speed`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.datasets.scene import Scene
from engine.methods.common import Method, StructureStats

FIRST_STEPS = 300
RENDER_SHRINK = 4  # pictures that measure the machine are this many times smaller than the photos
_ROUNDS = 3  # renders, of which the quickest counts


def measured_speed(method: Method, clock: Callable[[], float]) -> float:
    """Return the seconds of one small render of an untrained model, the quickest of a few."""
    camera = method.scene.train.views[0].camera.scaled(1.0 / RENDER_SHRINK)
    seconds = []
    for _ in range(_ROUNDS):
        begin = clock()
        method.render(camera, supersample=1.0)
        seconds.append(clock() - begin)
    return min(seconds)


def first_picture_s(scene: Scene, config: Any, render_s: float) -> float:
    """Return about how many seconds of training a first good picture takes."""
    return FIRST_STEPS * 8.0 * render_s


def memory_bytes(scene: Scene, structure: StructureStats) -> int:
    """Return about how much memory the process needs at most while it trains."""
    pixels = np.array([v.camera.width * v.camera.height for v in (*scene.train.views, *scene.test.views)])
    return int(3 * pixels.sum() + structure.bytes / max(structure.voxels, 1) * structure.budget)
