# SPDX-License-Identifier: MIT
"""About how long a scene takes to a first good picture on this machine, and about how much memory.

A first good picture is step 300: photos have been used at full size for a hundred steps, and held-out quality is some 2 to
5 dB below that after a minute. A training step costs a few times what a render of the untrained
model costs at the size of picture that the step looks at, so three small renders tell the speed of the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.datasets.scene import Scene
from engine.methods.common import Method, StructureStats

FIRST_STEPS = 300
SHRINKS = (4, 2, 1)  # pictures are so many times smaller than the photos, early in training
# A step costs this many renders at its size of picture, and this many of the smallest for each level by which all voxels
# are split early. Fitted to demo, lego, fox, desk and fern (0.03 to 0.8 million pixels a photo): 0.7 to 1.3 of the truth.
RENDERS_PER_STEP, SMALL_RENDERS_PER_LEVEL = 1.5, 3.0
EMPTY_COST = 0.5  # of a step that sees nothing but background, against one that sees none of it
ROUNDS = 3  # renders of each size; the middle one counts, as training too is held up by other programs
BYTES_PER_PIXEL = 3.0 * (1.0 + 1.0 / 4.0 + 1.0 / 16.0)  # photos are kept at three sizes
PHOTOS_LIMIT = 1 << 30  # bytes of photos kept for training (`methods/svraster/targets.py`)
COPIES = 4.0  # of the voxels while their structure changes: old, new, what is computed with; and what views leave behind


def measured_speed(method: Method, clock: Callable[[], float]) -> tuple[float, ...]:
    """Return the seconds of a render of the model at each of SHRINKS, for a training photo's camera."""
    camera = method.scene.train.views[0].camera
    found = []
    for shrink in SHRINKS:
        small, seconds = camera.scaled(1.0 / shrink), []
        for _ in range(ROUNDS):
            begin = clock()
            method.render(small, supersample=1.0)
            seconds.append(clock() - begin)
        found.append(sorted(seconds)[ROUNDS // 2])
    return tuple(found)


def first_picture_s(config: Any, render_s: tuple[float, ...], filled: float = 1.0) -> float:
    """Return about how many seconds of training a first good picture takes, given the speed that was measured.

    `config` are the options that hold in the scene; what it does not say is taken to be slow.
    `filled` is the share of the photos that shows something: voxels before an empty background are soon gone.
    """
    schedule = getattr(config, "schedule", None)
    ends = getattr(schedule, "quarter_until", 0), getattr(schedule, "half_until", 0), FIRST_STEPS
    small = SMALL_RENDERS_PER_LEVEL * _levels_grown(config) * render_s[0]
    total, begin = 0.0, 0
    for end, seconds in zip(ends, render_s, strict=True):
        steps = max(0, min(end, FIRST_STEPS) - begin)
        total += steps * (RENDERS_PER_STEP * seconds + small)
        begin += steps
    return total * (EMPTY_COST + (1.0 - EMPTY_COST) * filled)


def _levels_grown(config: Any) -> int:
    """Return by how many levels all voxels that are seen are split before the first picture; 2 if nothing is said."""
    split_all = getattr(getattr(config, "adapt", None), "split_all_to", None)
    first = getattr(getattr(config, "model", None), "initial_level", None)
    return 2 if split_all is None or first is None else min(max(split_all - first, 0), 2)


def memory_bytes(scene: Scene, structure: StructureStats, resident: int) -> int:
    """Return about how much memory a process that holds `resident` bytes now needs at most while it trains."""
    pixels = sum(view.camera.width * view.camera.height for view in scene.train.views)
    photos = min(BYTES_PER_PIXEL * pixels, PHOTOS_LIMIT)
    voxels = COPIES * structure.budget * structure.bytes / max(structure.voxels, 1)
    return int(resident + photos + voxels)
