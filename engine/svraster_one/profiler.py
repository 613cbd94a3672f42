# SPDX-License-Identifier: MIT
"""How long and how large training and inference are on the same view, measured."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import psutil
import torch

from engine.metrics import psnr
from engine.svraster_one.losses import photo_of
from engine.svraster_one.memory import MB, usage
from engine.svraster_one.model import SVRasterOne
from engine.svraster_one.modes import switch_to_inference_mode, switch_to_training_mode
from engine.svraster_one.photos import single_views


class PerformanceProfiler:
    """Measures both modes of a model; medians of `repeats` after one call that is not counted."""

    def __init__(self, repeats: int = 5) -> None:
        self.repeats = max(1, repeats)

    def profile_training_vs_inference(self, model: SVRasterOne, test_data: dict[str, Any]) -> dict[str, Any]:
        """Return `training`, `inference` and `comparison` of one view (image, camera_matrix, intrinsics).

        `training`: `time` of forward, losses and backward, `forward_time` of the picture alone, in seconds; `memory`, the bytes
        of parameters, gradients, optimisers, structure and tables then; `loss`. `inference`: `time` of a picture, `memory` of
        all that the model then holds, `psnr` in dB against the photo. `comparison`: `speed_ratio`, `forward_speed_ratio`
        and `memory_ratio`, training's through inference's. `rss` is what the process takes, on a card `peak` what torch had
        allocated there at most. No step is taken; the mode is the same afterwards, gradients are dropped.
        """
        view = next(single_views(test_data))
        size = tuple(photo_of(view).shape[:2])
        lens = view["camera_matrix"], view["intrinsics"]
        device = model.voxel_grid.densities.device if model.parked is None else model.parked.device
        target = {name: value.to(device) for name, value in view.items()}
        parked, training = model.parked is not None, model.training
        switch_to_training_mode(model)
        losses: list[float] = []

        def step() -> None:
            model.zero_grad(set_to_none=True)
            result = model.training_step_forward(*lens, target)
            result["total_loss"].backward()
            losses.append(float(result["total_loss"].detach()))

        on_card = device.type == "cuda"
        train = self._measured(step, on_card) | {"memory": usage(model)["total_memory_mb"] * MB}
        with torch.no_grad():
            train["forward_time"] = self._seconds(lambda: model.forward(*lens, "training", size), on_card)
        train["loss"] = losses[-1]
        model.zero_grad(set_to_none=True)
        switch_to_inference_mode(model)
        draw = self._measured(lambda: model.forward(*lens, "inference", size), on_card)
        draw["memory"] = usage(model)["total_memory_mb"] * MB
        rgb = model.forward(*lens, "inference", size)["rgb"].cpu().numpy()
        draw["psnr"] = psnr(rgb, photo_of(view).cpu().numpy())
        if not parked:
            switch_to_training_mode(model)
            model.train(training)
        return {"training": train, "inference": draw, "comparison": _ratios(train, draw)}

    def _measured(self, work: Callable[[], object], on_card: bool) -> dict[str, float]:
        if on_card:
            torch.cuda.reset_peak_memory_stats()
        found = {"time": self._seconds(work, on_card), "rss": float(psutil.Process().memory_info().rss)}
        if on_card:
            found["peak"] = float(torch.cuda.max_memory_allocated())
        return found

    def _seconds(self, work: Callable[[], object], on_card: bool) -> float:
        times = []
        for _ in range(self.repeats + 1):
            start = time.perf_counter()
            work()
            if on_card:
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:])


def _ratios(train: dict[str, float], draw: dict[str, float]) -> dict[str, float]:
    def ratio(a: float, b: float) -> float:
        return a / b if b > 0.0 else math.inf

    return {
        "speed_ratio": ratio(train["time"], draw["time"]),
        "forward_speed_ratio": ratio(train["forward_time"], draw["time"]),
        "memory_ratio": ratio(train["memory"], draw["memory"]),
    }
