# SPDX-License-Identifier: MIT
"""Looks over the capture beside everything else the worker does: one photo at a time, then a sum of what was found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine import capture, forecast
from engine.datasets.scene import Scene
from engine.messages import CaptureSurveyed
from engine.methods.common import Method

SHARE = 0.01  # of the worker's time at most, while it trains


class Survey:
    """Measures the photos of a scene. The views are those of SceneOpened: training views first, then held-out ones.

    `resident` is what the process holds now, in bytes.
    """

    def __init__(self, scene: Scene, method: Method, clock: Callable[[], float], resident: int) -> None:
        self._scene, self._clock = scene, clock
        self._speed = forecast.measured_speed(method, clock)
        self._memory_bytes = forecast.memory_bytes(scene, method.structure(), resident)
        self._config = getattr(method, "active", method.config)  # what holds in this scene
        count = len(scene.train) + len(scene.test)
        self._found = np.full((count, 3), np.nan)  # brightness, sharpness, share that is filled
        self._next = 0
        self._rest_until = clock()

    @property
    def done(self) -> bool:
        """Whether every photo was measured."""
        return self._next >= len(self._found)

    def due(self, training: bool) -> bool:
        """Whether to go on now: always while nothing trains, else within a share of the time."""
        return not training or self._clock() >= self._rest_until

    def advance(self) -> None:
        """Measure one more photo; one that cannot be read is left out, training will say why."""
        begin = self._clock()
        index, n_train = self._next, len(self._scene.train)
        split, i = (self._scene.train, index) if index < n_train else (self._scene.test, index - n_train)
        self._next += 1
        photo = split.images.load(i)
        filled = capture.filled_share(photo, self._scene.background)
        self._found[index] = *capture.measure_photo(photo), filled
        now = self._clock()
        self._rest_until = now + (now - begin) * (1.0 - SHARE) / SHARE

    def result(self) -> CaptureSurveyed:
        """Return what was found."""
        scene = self._scene
        views = [*scene.train.views, *scene.test.views]
        flags = capture.pose_flags([view.camera for view in views], scene.up)
        if scene.background == "learned":  # cut-out objects are as bright as what is put behind them
            brightness, sharpness = self._found.T[:2]
            flags += capture.photo_flags([view.name for view in views], brightness, sharpness)
        filled = float(np.nanmean(self._found[:, 2]))
        return CaptureSurveyed(
            tuple(flags),
            forecast.first_picture_s(self._config, self._speed, filled),
            self._memory_bytes,
        )
