# SPDX-License-Identifier: MIT
"""The losses of a training tile and their gradients at its pixels, a row of sixteen at a time.

Also the layout of a training tile's scratch: what `raster_grad` blends into, what the loss makes of it, what goes back.
"""

from __future__ import annotations

from numba import njit

from engine.cpu.simd import (
    fma,
    lane_sum,
    load,
    load_blue,
    load_blue_twice,
    load_green,
    load_green_twice,
    load_red,
    load_red_twice,
    select,
    splat,
    store,
    swap_pairs,
    vmax,
)
from engine.cpu.tile_math import RAY_FIELDS, TILE_PIXELS

GIVEN, MSE, L1, HUBER = 0, 1, 2, 3
HUBER_KNEE = 0.03

# Columns of the per-tile sums; the background's gradient takes three.
SUM_PHOTO, SUM_SQUARED, SUM_T_CONCENTRATION, SUM_R_CONCENTRATION, SUM_DISTORTION, SUM_BACKGROUND = range(6)
N_SUMS = 8

# Loss weights, in the order of the `weights` array; all are per pixel already.
W_PHOTO, W_T_CONCENTRATION, W_R_CONCENTRATION, W_DISTORTION, DISTORTION_KNEE = range(5)
N_WEIGHTS = 5

# Fields of a training tile behind its rays. Forward fills the first eight: what is left of the light, colour, depth, and the
# sums of the distortion loss. The loss fills the rest: gradients of colour and depth, the outcome still to come, the goal, the
# distortion's totals, and whether the pixel counts.
T, R, G, B, DEPTH, WSUM, MSUM, DIST = range(RAY_FIELDS, RAY_FIELDS + 8)
VR, VG, VB, VD, REM, GR, GG, GB = range(RAY_FIELDS + 8, RAY_FIELDS + 16)
WALL, MALL, COUNTS = range(RAY_FIELDS + 16, RAY_FIELDS + 19)
N_FIELDS = RAY_FIELDS + 19


@njit(cache=True, nogil=True)
def drop_masked(keep, shrink, x0, y0, columns, rows, s, base):
    """Finish the masked pixels of a tile before anything is blended; return how many there are."""
    dropped = 0
    for row in range(rows):
        for column in range(columns):
            if keep[(y0 + row) // shrink, (x0 + column) // shrink] == 0:
                s[base + T * TILE_PIXELS + 16 * row + column] = 0.0
                dropped += 1
    return dropped


@njit(cache=True, nogil=True)
def _set_goals(x0, y0, columns, rows, mode, shrink, target, masked, keep, s, base):
    """Write COUNTS and the photo, repeated `shrink` times each way, to GR, GG and GB."""
    whole = columns == 16 and rows == 16 and not masked
    flat, width = target.reshape(-1), target.shape[1]
    for row in range(16):
        i = base + 16 * row
        store(s, i + COUNTS * TILE_PIXELS, splat(1.0 if whole else 0.0))
        if whole and mode != GIVEN:
            at = (((y0 + row) // shrink) * width + x0 // shrink) * 3
            if shrink == 1:
                red, green, blue = load_red(flat, at), load_green(flat, at), load_blue(flat, at)
            else:
                red, green = load_red_twice(flat, at), load_green_twice(flat, at)
                blue = load_blue_twice(flat, at)
            store(s, i + GR * TILE_PIXELS, red * (1.0 / 255.0))
            store(s, i + GG * TILE_PIXELS, green * (1.0 / 255.0))
            store(s, i + GB * TILE_PIXELS, blue * (1.0 / 255.0))
            continue
        for channel in range(3):
            store(s, i + (GR + channel) * TILE_PIXELS, splat(0.0))
        if whole or row >= rows:
            continue
        for column in range(columns):
            y, x = (y0 + row) // shrink, (x0 + column) // shrink
            if masked and keep[y, x] == 0:
                continue
            s[i + COUNTS * TILE_PIXELS + column] = 1.0
            if mode != GIVEN:
                for channel in range(3):
                    s[i + (GR + channel) * TILE_PIXELS + column] = target[y, x, channel] * (1.0 / 255.0)


@njit(cache=True, nogil=True)
def _take_given(x0, y0, columns, rows, v_rgb, v_trans, v_depth, s, base):
    """Copy gradients from outside to VR, VG, VB, VD and, for the time being, v_trans to REM; zero where no pixel counts."""
    for row in range(16):
        i = base + 16 * row
        for field in range(VR, REM + 1):
            store(s, i + field * TILE_PIXELS, splat(0.0))
        if row >= rows:
            continue
        for column in range(columns):
            if s[i + COUNTS * TILE_PIXELS + column] == 0.0:
                continue
            for channel in range(3):
                s[i + (VR + channel) * TILE_PIXELS + column] = v_rgb[y0 + row, x0 + column, channel]
            s[i + VD * TILE_PIXELS + column] = v_depth[y0 + row, x0 + column]
            s[i + REM * TILE_PIXELS + column] = v_trans[y0 + row, x0 + column]


@njit(cache=True, nogil=True)
def _photometric(mode, error):
    """Return (loss, slope) of lanes' errors. Huber as published: square below the knee, linear above."""
    if mode == MSE:
        return error * error, error * 2.0
    size = vmax(error, -error)
    sign = select(error > 0.0, splat(1.0), select(error < 0.0, splat(-1.0), 0.0))
    if mode == L1:
        return size, sign
    near = size < HUBER_KNEE
    loss = select(near, error * error, size * (2.0 * HUBER_KNEE) - HUBER_KNEE * HUBER_KNEE)
    return loss, select(near, error * 2.0, sign * (2.0 * HUBER_KNEE))


@njit(cache=True, nogil=True)
def _colour_loss(channel, mode, shrink, given, level, weight, s, base, sums):
    """Write a channel's gradients to VR + channel and add its losses to sums; `level` is the background's."""
    photo, squared, behind = splat(0.0), splat(0.0), splat(0.0)
    light, colour = T * TILE_PIXELS, (R + channel) * TILE_PIXELS
    gradient = (VR + channel) * TILE_PIXELS
    for row in range(0, 16, shrink):
        i = base + 16 * row
        slope = splat(0.0)
        if mode != GIVEN:
            mean = fma(load(s, i + light), level, load(s, i + colour))
            if shrink == 2:
                mean = mean + fma(load(s, i + 16 + light), level, load(s, i + 16 + colour))
                mean = (mean + swap_pairs(mean)) * 0.25
            error = mean - load(s, i + (GR + channel) * TILE_PIXELS)
            error = select(load(s, i + COUNTS * TILE_PIXELS) > 0.0, error, 0.0)
            loss, slope = _photometric(mode, error)
            photo, squared = photo + loss, fma(error, error, squared)
            slope = slope * (weight / (shrink * shrink))
        for p in range(i, i + 16 * shrink, 16):
            v = slope + load(s, p + gradient) if given else slope
            store(s, p + gradient, v)
            behind = fma(v, load(s, p + light), behind)
    sums[SUM_PHOTO] += weight * lane_sum(photo) / shrink  # a photo's pixel stands in `shrink` lanes
    sums[SUM_SQUARED] += lane_sum(squared) / shrink
    sums[SUM_BACKGROUND + channel] = lane_sum(behind)


@njit(cache=True, nogil=True)
def tile_loss(
    x0, y0, columns, rows, mode, shrink, target, masked, keep, given, v_rgb, v_trans, v_depth, background, weights, s, base, sums
):  # fmt: skip
    """Write each pixel's output gradients and REM, its whole outcome; add the losses to sums [N_SUMS].

    `shrink` 2 compares the mean of 2 x 2 pixels with one target pixel. With `given`, v_* [H,W,..] are added.
    """
    _set_goals(x0, y0, columns, rows, mode, shrink, target, masked, keep, s, base)
    if given:
        _take_given(x0, y0, columns, rows, v_rgb, v_trans, v_depth, s, base)
    for channel in range(3):
        _colour_loss(channel, mode, shrink, given, background[channel], weights[W_PHOTO], s, base, sums)
    w_light, w_distortion = weights[W_T_CONCENTRATION], weights[W_DISTORTION]
    undecided, spread = splat(0.0), splat(0.0)
    for i in range(base, base + TILE_PIXELS, 16):
        light = load(s, i + T * TILE_PIXELS)
        rest = light * (1.0 - light)
        undecided = fma(rest, rest, undecided)
        v_t = rest * (1.0 - 2.0 * light) * (2.0 * w_light)
        outcome = splat(0.0)
        if given:
            v_t = v_t + load(s, i + REM * TILE_PIXELS)
            outcome = load(s, i + VD * TILE_PIXELS) * load(s, i + DEPTH * TILE_PIXELS)
        for channel in range(3):
            v = load(s, i + (VR + channel) * TILE_PIXELS)
            outcome = fma(v, load(s, i + (R + channel) * TILE_PIXELS), outcome)
            v_t = fma(v, background[channel], v_t)
        outcome = fma(light, v_t, outcome)
        if w_distortion > 0.0:
            distortion = load(s, i + DIST * TILE_PIXELS)
            spread = spread + distortion
            outcome = fma(distortion, 2.0 * w_distortion, outcome)
            store(s, i + WALL * TILE_PIXELS, load(s, i + WSUM * TILE_PIXELS))
            store(s, i + MALL * TILE_PIXELS, load(s, i + MSUM * TILE_PIXELS))
        store(s, i + REM * TILE_PIXELS, outcome)
    sums[SUM_T_CONCENTRATION] += w_light * lane_sum(undecided)
    sums[SUM_DISTORTION] += w_distortion * lane_sum(spread)
