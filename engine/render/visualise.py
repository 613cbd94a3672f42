# SPDX-License-Identifier: MIT
"""Turns a rendered view into the picture a view mode shows: RGBA8, and the legend of its colours.

Scalars (depth, alpha, error, level, size, samples, the numbers of voxels) go through a colour map. Where the scene is
transparent, depth, normal and what is of voxels fade into a dark grey, so that what is there stands out. Ranges are
percentiles, so a few stray pixels do not wash the picture out; error and samples round them up to 1-2-5 steps, so that
colours hold still while training.
"""

from __future__ import annotations

import numpy as np

from engine.errors import OptionError
from engine.methods.common import LOGARITHMIC_MODES, VALUE_MODES, VIEW_MODES, Buffers
from engine.render.colour_maps import colour_table
from engine.render.pack import mean_error, pack_colour, pack_normal, pack_scalar
from engine.render.resample import box_downsample

Legend = tuple[float, float, str]

DARK = (20, 21, 24)  # what is behind the scene in every mode but colour and error
_VISIBLE = 0.5  # pixels at least this opaque decide a range
_RANGE_PERCENT = (1.0, 99.0)
_RANGE_SAMPLES = 20_000  # pixels looked at for a range: enough for a percentile, quick to sort

_WANTED = {
    "depth": frozenset({"depth_z"}),
    "normal": frozenset({"normal"}),
    "level": frozenset({"level"}),
    "size": frozenset({"size"}),
    "samples": frozenset({"count"}),
    "soft": frozenset({"soft"}),
    "node": frozenset({"node"}),
    **{name: frozenset({name}) for name in VALUE_MODES},
}
COLOURLESS = (
    "level",
    "size",
    *VALUE_MODES,
)  # modes of numbers that voxels have: their pictures need no colours
_UNITS = {
    "density": "density, log scale",
    "age": "age in steps",
    "weight": "greatest weight, log scale",
    "priority": "gradient priority, log scale",
}
_DECADES = 1e-6  # of the largest value: on a log scale, what is smaller counts as that


def wanted_buffers(mode: str) -> frozenset[str]:
    """Return which optional fields of Buffers a view mode needs."""
    _check_mode(mode)
    return _WANTED.get(mode, frozenset())


def picture(
    buffers: Buffers,
    mode: str,
    colour_map: str,
    *,
    photo: np.ndarray | None = None,
    max_level: int = 16,
    scale: Legend | None = None,
) -> tuple[np.ndarray, Legend | None]:
    """Return a view mode's picture [h,w,4] uint8 and its legend (low, high, unit).

    The legend is None where colours are no scale. `photo [H,W,3]` (float in [0,1] or uint8, any size) is what
    "error" compares with; without one "error" shows the colours, with no legend. `max_level` is the finest
    level that "level" gives a colour of its own. `scale` is the legend of another picture, to be comparable with.
    """
    _check_mode(mode)
    unknown = buffers.value is None if mode in VALUE_MODES else mode == "node" and buffers.node is None
    if unknown:  # the method has no nodes to tell apart, or does not know this of its voxels
        mode = "colour"
    for name in frozenset() if mode in VALUE_MODES else wanted_buffers(mode):
        if getattr(buffers, name) is None:
            raise ValueError(f"picture(): {mode!r} needs buffers.{name}; render with wanted_buffers(mode).")
    rgba = np.empty((*buffers.trans.shape, 4), np.uint8)
    if mode in ("colour", "soft", "node") or (mode == "error" and photo is None):
        shown = {"soft": buffers.soft, "node": buffers.node}.get(mode, buffers.rgb)
        pack_colour(_floats(shown), rgba)
        return rgba, None
    if mode == "normal":
        pack_normal(_floats(buffers.normal), _floats(buffers.trans), DARK, rgba)
        return rgba, None
    values, legend, fade = _scalar(buffers, mode, photo, max_level)
    legend = scale or legend
    low, high = (np.log(legend[0]), np.log(legend[1])) if mode in LOGARITHMIC_MODES else legend[:2]
    table = colour_table(colour_map)
    pack_scalar(values, _floats(buffers.trans), fade, np.float32(low), np.float32(high), table, DARK, rgba)
    return rgba, legend


def difference(
    first: np.ndarray, second: np.ndarray, colour_map: str, top: float | None = None
) -> tuple[np.ndarray, Legend]:
    """Return how far two pictures [h,w,4] uint8 are apart, as a heat map [h,w,4] uint8, and its legend; they reach the end of
    the colours at `top`, at what suits the picture without it.
    """
    apart = np.empty(first.shape[:2], np.float32)
    one, two = (_floats(picture[..., :3]) / np.float32(255.0) for picture in (first, second))
    mean_error(one, two, apart)
    high = step_above(_percentiles(apart, None)[1], 0.02, 1.0) if top is None else top
    rgba = np.empty((*apart.shape, 4), np.uint8)
    nothing, table = np.zeros_like(apart), colour_table(colour_map)
    pack_scalar(apart, nothing, False, np.float32(0.0), np.float32(high), table, DARK, rgba)
    return rgba, (0.0, high, "mean difference")


def _scalar(
    buffers: Buffers, mode: str, photo: np.ndarray | None, max_level: int
) -> tuple[np.ndarray, Legend, bool]:
    """Return what a mode shows [h,w] (LOGARITHMIC_MODES as logarithms), its legend, and whether it fades by opacity."""
    if mode == "alpha":
        return np.float32(1.0) - _floats(buffers.trans), (0.0, 1.0, "opacity"), False
    if mode == "error":
        error = np.empty(buffers.trans.shape, np.float32)
        mean_error(_floats(buffers.rgb), resized_photo(photo, *error.shape), error)
        return error, (0.0, step_above(_percentiles(error, None)[1], 0.02, 1.0), "mean error"), False
    if mode == "samples":
        count = _floats(buffers.count)
        return count, (0.0, step_above(_percentiles(count, None)[1], 1.0, 1e6), "voxels per pixel"), False
    if mode == "depth":
        depth = _floats(buffers.depth_z)
        near, far = _percentiles(depth, buffers.trans)
        return depth, (near, max(far, near + 1e-3), "depth"), True
    if mode == "level":
        level = _floats(buffers.level)
        low, high = _percentiles(level, buffers.trans)
        low = min(float(np.floor(low + 1e-3)), max_level - 1.0)
        high = min(max(float(np.ceil(high - 1e-3)), low + 1.0), float(max_level))
        return level, (low, high, "level"), True
    if mode in VALUE_MODES:
        return _of_voxels(_floats(buffers.value), mode, buffers.trans)
    size = np.maximum(_floats(buffers.size), np.float32(1e-6))
    low, high = _percentiles(size, buffers.trans)
    return np.log(size), (low, max(high, 1.01 * low), "voxel edge, log scale"), True


def _of_voxels(value: np.ndarray, mode: str, trans: np.ndarray) -> tuple[np.ndarray, Legend, bool]:
    """Return what `_scalar` does, of one of VALUE_MODES."""
    low, high = _percentiles(value, trans)
    if mode not in LOGARITHMIC_MODES:
        return value, (low, max(high, low + 1.0), _UNITS[mode]), True
    high = max(high, 1e-12)
    low = max(low, _DECADES * high)
    shown = np.log(np.maximum(value, np.float32(_DECADES * high)))
    return shown, (low, max(high, 1.01 * low), _UNITS[mode]), True


def resized_photo(photo: np.ndarray | None, height: int, width: int) -> np.ndarray:
    """Return a photo [H,W,3] (float in [0,1] or uint8) as float32 [height,width,3], averaging areas."""
    if photo is None or photo.ndim != 3 or photo.shape[2] < 3 or photo.size == 0:
        came = None if photo is None else photo.shape
        raise ValueError(f"resized_photo(): a photo [H,W,3] is wanted, got {came}.")
    floats = _floats(photo[..., :3])
    if photo.dtype == np.uint8:
        floats = floats / np.float32(255.0)
    return box_downsample(floats, width, height)


def _check_mode(mode: str) -> None:
    if mode not in (*VIEW_MODES, *VALUE_MODES):
        raise OptionError(
            f"The view mode must be one of {', '.join((*VIEW_MODES, *VALUE_MODES))}, got {mode!r}."
        )


def _floats(array: np.ndarray | None) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=np.float32)


def _percentiles(values: np.ndarray, trans: np.ndarray | None) -> tuple[float, float]:
    """Return the 1st and 99th percentile of the finite values; with `trans`, of the opaque pixels only."""
    stride = max(1, values.size // _RANGE_SAMPLES)
    picked = values.reshape(-1)[::stride]
    if trans is not None:
        opaque = picked[trans.reshape(-1)[::stride] <= 1.0 - _VISIBLE]
        picked = opaque if opaque.size else picked
    picked = picked[np.isfinite(picked)]
    if picked.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(picked, _RANGE_PERCENT)
    return float(low), float(high)


def step_above(value: float, least: float, most: float) -> float:
    """Return the smallest of 1, 2, 5, 10, ... (times powers of ten) that reaches `value`, within limits."""
    bounded = min(max(value, least), most)
    power = 10.0 ** np.floor(np.log10(bounded))
    return float(
        next(step * power for step in (1.0, 2.0, 5.0, 10.0) if bounded <= step * power * (1.0 + 1e-6))
    )
