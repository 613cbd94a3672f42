# SPDX-License-Identifier: MIT
"""A small look at one training view, and what it tells of the state of training: a few milliseconds, a few numbers.

The numbers are kept in a run's `metrics.jsonl`; `engine.diagnosis` reads them. Nothing here changes the model.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.datasets.scene import Scene
from engine.findings import QUANTILES
from engine.methods.common import Method
from engine.metrics import psnr
from engine.render.resample import box_downsample

LONGEST_PX = 160  # of the small picture
OPAQUE = 0.5  # a pixel shows something where less of the light than this is left
DIFFERS = 0.1  # a photo's colours that differ from the background by more belong to something
BORDER = 0.06  # of the shorter side: the frame of a photo in which its background is looked for
_DARK = 0.04  # colours below this say little of a gain


def probe(method: Method, scene: Scene, index: int) -> dict[str, Any]:
    """Return what training view `index` shows now, as JSON can hold it:

    `opacity` mean of 1 - what light is left; `depths` at QUANTILES, None: nothing there; `subject` share of the photo's pixels
    that are not of the background's colour; `gain [3]` of the photo against the picture; `psnr`; and of the photo's frame
    `border_opacity`, its colour `border [3]` and how much that varies, `border_spread`; `background [3]` colour in use.
    """
    camera = scene.train.views[index].camera
    small = camera.scaled(min(1.0, LONGEST_PX / max(camera.width, camera.height)))
    soft = getattr(getattr(method.config, "objective", None), "kind", "") == "soft"
    want = frozenset({"depth_z", "soft"} if soft else {"depth_z"})
    shown = method.render(small, want, supersample=1.0)
    picture = (
        shown.soft if soft and shown.soft is not None else shown.rgb
    )  # what training compares with the photo
    photo = box_downsample(scene.train.images.load(index), small.width, small.height)
    opacity = 1.0 - shown.trans
    background = background_of(method, scene)
    frame = np.ones(opacity.shape, dtype=bool)
    inset = max(1, round(BORDER * min(frame.shape)))
    frame[inset:-inset, inset:-inset] = False
    return {
        "view": index,
        "psnr": _number(psnr(picture, photo)),
        "opacity": _number(opacity.mean()),
        "depths": _depths(shown.depth_z, shown.trans),
        "subject": _number((np.abs(photo - background).max(axis=-1) > DIFFERS).mean()),
        "gain": _gains(picture, photo, shown.trans),
        "border": [_number(v) for v in np.median(photo[frame], axis=0)],
        "border_spread": _number(photo[frame].std(axis=0).max()),
        "border_opacity": _number(opacity[frame].mean()),
        "background": [_number(v) for v in background],
    }


def background_of(method: Method, scene: Scene) -> np.ndarray:
    """Return the colour [3] that a method draws behind everything."""
    learned = getattr(method, "background", None)
    if isinstance(learned, np.ndarray) and learned.shape == (3,):
        return learned
    return np.full(3, {"white": 1.0, "black": 0.0}.get(scene.background, 0.5), dtype=np.float32)


def _depths(depth_z: np.ndarray, trans: np.ndarray) -> list[float | None]:
    far = np.where((trans < OPAQUE) & (depth_z > 0.0), depth_z, np.inf)
    return [_number(v) for v in np.quantile(far, QUANTILES, method="lower")]


def _gains(picture: np.ndarray, photo: np.ndarray, trans: np.ndarray) -> list[float | None]:
    """Return per channel by how much the photo is brighter than the picture, None where too little is shown to say."""
    gains: list[float | None] = []
    for channel in range(3):
        shown, wanted = picture[..., channel], photo[..., channel]
        on = (trans < OPAQUE) & (shown > _DARK) & (wanted > _DARK) & (wanted < 1.0 - DIFFERS / 5)
        if on.sum() < 0.01 * on.size:
            gains.append(None)
            continue
        gains.append(_number(np.exp(np.median(np.log(wanted[on] / shown[on])))))
    return gains


def _number(value: float) -> float | None:
    """Return a number with the digits that count, None where JSON has no word for it."""
    return float(f"{float(value):.5g}") if math.isfinite(value) else None
