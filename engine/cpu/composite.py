# SPDX-License-Identifier: MIT
"""Blending packed samples front to back on the CPU, and the gradients of what comes out, in one pass per ray.

Per ray, with T the transmittance before a sample and samples ascending in t:
    e_i = exp(-sigma_i delta_i),  w_i = T_i (1 - e_i),  T_(i+1) = T_i e_i,
    rgb = sum w_i c_i + T_end background,  depth = sum w_i t_i,
    distortion = sum_ij w_i w_j |s_i - s_j| + 1/3 sum w_i^2 width_i, by running sums of w and w s since s ascends.
Back, with v_i the gradient of w_i and V that of T_end:
    dL/dc_i = w_i g,  dL/dsigma_i = delta_i (v_i T_(i+1) - sum_{j>i} w_j v_j - T_end V).
A ray is one thread's alone and everything of it is added in the order of its samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from engine.cpu.crew import Crew
from engine.cpu.simd import fetch_add, load, store, vexp
from engine.shapes import check_shapes

RUN = 64  # rays that a thread takes at a time
_NONE = np.zeros(1, dtype=np.float32)
_NONE_RGB = np.zeros((1, 3), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Composited:
    """Per ray: rgb float32 [Q,3] over its background, trans [Q], depth [Q] = sum w t, distortion [Q]; per sample weights [M].

    distortion is 0 where no spacing was given.
    """

    rgb: np.ndarray
    trans: np.ndarray
    depth: np.ndarray
    distortion: np.ndarray
    weights: np.ndarray


@njit(cache=True, nogil=True, inline="always")
def _kept_light(begin, end, density, delta, kept):
    """Write e_i of samples begin .. end - 1 to kept[0 ..], which has room for a vector more."""
    whole = begin + ((end - begin) & ~15)
    for i in range(begin, whole, 16):
        store(kept, i - begin, vexp(-(load(density, i) * load(delta, i))))
    if whole < end:
        at = whole - begin
        for i in range(whole, end):
            kept[i - begin] = -(density[i] * delta[i])
        store(kept, at, vexp(load(kept, at)))


@njit(cache=True, nogil=True)
def composite_rays(
    counter, offsets, density, rgb, t, delta, background, spaced, spacing, width, most, out_rgb, trans, depth,
    distortion, weights,
):  # fmt: skip
    """Blend. background float32 [1 or Q, 3]; `most` samples a ray has at most. Parallel over: runs of rays."""
    n = offsets.shape[0] - 1
    per_ray = background.shape[0] > 1
    kept = np.zeros(most + 32, dtype=np.float32)
    while True:
        first = fetch_add(counter, 0, RUN)
        if first >= n:
            break
        for q in range(first, min(first + RUN, n)):
            begin, end = offsets[q], offsets[q + 1]
            _kept_light(begin, end, density, delta, kept)
            left, r, g, b, d = 1.0, 0.0, 0.0, 0.0, 0.0
            pairs, before, moment = 0.0, 0.0, 0.0
            for i in range(begin, end):
                after = left * kept[i - begin]
                w = left - after
                left = after
                weights[i] = w
                r += w * rgb[i, 0]
                g += w * rgb[i, 1]
                b += w * rgb[i, 2]
                d += w * t[i]
                if spaced:
                    s = np.float64(spacing[i])
                    pairs += 2.0 * w * (s * before - moment) + w * w * width[i] / 3.0
                    before += w
                    moment += w * s
            k = q if per_ray else 0
            out_rgb[q, 0] = r + left * background[k, 0]
            out_rgb[q, 1] = g + left * background[k, 1]
            out_rgb[q, 2] = b + left * background[k, 2]
            trans[q], depth[q], distortion[q] = left, d, pairs


@njit(cache=True, nogil=True)
def composite_back(
    counter, offsets, density, rgb, t, delta, background, spaced, spacing, width, most, weights, v_rgb, v_trans,
    v_depth, v_distortion, weighted, v_weights, v_density, v_colour, v_background,
):  # fmt: skip
    """Turn gradients of what `composite_rays` wrote into those of densities, colours and background [Q,3].

    Inputs: weights [M] as it wrote them; v_rgb [Q,3], v_trans, v_depth, v_distortion [Q]; with `weighted`, v_weights [M].
    Parallel over: runs of rays.
    """
    n = offsets.shape[0] - 1
    per_ray = background.shape[0] > 1
    kept = np.zeros(most + 32, dtype=np.float32)
    while True:
        first = fetch_add(counter, 0, RUN)
        if first >= n:
            break
        for q in range(first, min(first + RUN, n)):
            begin, end = offsets[q], offsets[q + 1]
            _kept_light(begin, end, density, delta, kept)
            left, total, moment_all = 1.0, 0.0, 0.0
            for i in range(begin, end):
                left *= kept[i - begin]
                total += weights[i]
                if spaced:
                    moment_all += np.float64(weights[i]) * spacing[i]
            g0, g1, g2 = np.float64(v_rgb[q, 0]), np.float64(v_rgb[q, 1]), np.float64(v_rgb[q, 2])
            k = q if per_ray else 0
            behind = left * (
                g0 * background[k, 0] + g1 * background[k, 1] + g2 * background[k, 2] + v_trans[q]
            )
            v_background[q, 0], v_background[q, 1], v_background[q, 2] = left * g0, left * g1, left * g2
            after, moment_after = 0.0, 0.0  # sums over the samples behind, from the last one forward
            for i in range(end - 1, begin - 1, -1):
                w = np.float64(weights[i])
                v = g0 * rgb[i, 0] + g1 * rgb[i, 1] + g2 * rgb[i, 2] + v_depth[q] * np.float64(t[i])
                if spaced:
                    s = np.float64(spacing[i])
                    before, moment = total - after - w, moment_all - moment_after - w * s
                    slope = s * (before - after) - moment + moment_after
                    v += v_distortion[q] * (2.0 * slope + 2.0 / 3.0 * w * width[i])
                    after += w
                    moment_after += w * s
                if weighted:
                    v += v_weights[i]
                v_density[i] = delta[i] * (v * left - behind)
                behind += w * v
                left += w  # the transmittance before this sample
                v_colour[i, 0], v_colour[i, 1], v_colour[i, 2] = w * g0, w * g1, w * g2


def _checked(
    caller: str, offsets: np.ndarray, density: np.ndarray, rgb: np.ndarray, t: np.ndarray, delta: np.ndarray,
    background: np.ndarray | float, spacing: np.ndarray | None, width: np.ndarray | None,
) -> tuple:  # fmt: skip
    """Return the kernels' first arguments, after the counter."""
    named = {"density": (density, "M"), "rgb": (rgb, "M 3"), "t": (t, "M"), "delta": (delta, "M")}
    if spacing is not None and width is not None:
        named |= {"spacing": (spacing, "M"), "width": (width, "M")}
    m, n = check_shapes(caller, **named)["M"], len(offsets) - 1
    if n < 0 or int(offsets[0]) != 0 or int(offsets[-1]) != m or (np.diff(offsets) < 0).any():
        raise ValueError(f"{caller}(): offsets must ascend from 0 to the {m} samples, got {n + 1} entries.")
    tail = np.asarray(background, dtype=np.float32)
    if tail.ndim < 2:
        tail = np.broadcast_to(tail, (1, 3))
    if tail.shape not in ((1, 3), (n, 3)):
        raise ValueError(
            f"{caller}(): background must be one value, [3] or [{n}, 3], got {list(tail.shape)}."
        )
    spaced = spacing is not None and width is not None
    arrays = (density, rgb, t, delta, tail, spacing if spaced else _NONE, width if spaced else _NONE)
    density, rgb, t, delta, tail, spacing, width = (np.ascontiguousarray(a, dtype=np.float32) for a in arrays)
    most = int(np.diff(offsets).max(initial=0))
    starts = np.ascontiguousarray(offsets, dtype=np.int64)
    return (starts, density, rgb, t, delta, tail, spaced, spacing, width, most)


def composite(
    offsets: np.ndarray,  # int64 [Q+1]: ray q has samples offsets[q] .. offsets[q+1] - 1
    density: np.ndarray,  # [M] per engine unit
    rgb: np.ndarray,  # [M,3]
    t: np.ndarray,  # [M] depths, ascending along a ray
    delta: np.ndarray,  # [M] lengths, engine units
    background: np.ndarray | float,  # one value, [3] or [Q,3]
    crew: Crew,
    *,
    spacing: np.ndarray | None = None,  # [M] normalised places, ascending along a ray
    width: np.ndarray | None = None,  # [M] widths of the samples in the same measure
) -> Composited:
    """Return what rays see of their samples, in fresh arrays; with spacing and width the distortion, too."""
    return _blended(_checked("composite", offsets, density, rgb, t, delta, background, spacing, width), crew)


def _blended(args: tuple, crew: Crew) -> Composited:
    n, m = len(args[0]) - 1, len(args[1])
    out = Composited(
        np.empty((n, 3), np.float32), np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32),
        np.empty(m, np.float32),
    )  # fmt: skip
    crew.run(composite_rays, *args, out.rgb, out.trans, out.depth, out.distortion, out.weights)
    return out


@dataclass(frozen=True, eq=False)
class SampleGradients:
    """density float32 [M], rgb [M,3] and, per ray, background [Q,3]."""

    density: np.ndarray
    rgb: np.ndarray
    background: np.ndarray


def composite_backward(
    offsets: np.ndarray,
    density: np.ndarray,
    rgb: np.ndarray,
    t: np.ndarray,
    delta: np.ndarray,
    background: np.ndarray | float,
    weights: np.ndarray,  # [M] of the forward pass
    crew: Crew,
    *,
    v_rgb: np.ndarray,  # [Q,3]
    v_trans: np.ndarray,  # [Q]
    v_depth: np.ndarray,  # [Q]
    v_weights: np.ndarray | None = None,  # [M]
    v_distortion: np.ndarray | None = None,  # [Q], with spacing and width
    spacing: np.ndarray | None = None,
    width: np.ndarray | None = None,
) -> SampleGradients:
    """Return the gradients of what `composite` returned with the same arguments."""
    args = _checked("composite_backward", offsets, density, rgb, t, delta, background, spacing, width)
    return _gradients(args, weights, v_rgb, v_trans, v_depth, v_weights, v_distortion, crew)


def _gradients(
    args: tuple, weights: np.ndarray, v_rgb: np.ndarray, v_trans: np.ndarray, v_depth: np.ndarray,
    v_weights: np.ndarray | None, v_distortion: np.ndarray | None, crew: Crew,
) -> SampleGradients:  # fmt: skip
    n, m = len(args[0]) - 1, len(args[1])
    out = SampleGradients(np.empty(m, np.float32), np.empty((m, 3), np.float32), np.empty((n, 3), np.float32))
    weighted = v_weights is not None
    bent = v_distortion if v_distortion is not None else np.zeros(n, np.float32)
    given = (weights, v_rgb, v_trans, v_depth, bent, v_weights if weighted else _NONE)
    weights, v_rgb, v_trans, v_depth, bent, more = (np.ascontiguousarray(a, dtype=np.float32) for a in given)
    crew.run(
        composite_back, *args, weights, v_rgb, v_trans, v_depth, bent, weighted, more, out.density, out.rgb,
        out.background,
    )  # fmt: skip
    return out


@dataclass(frozen=True, eq=False)
class CompositeLoss:
    """mse: mean over rays and channels of the squared error; distortion: mean over rays; both before their weights."""

    mse: float
    distortion: float


def composite_gradients(
    offsets: np.ndarray,
    density: np.ndarray,
    rgb: np.ndarray,
    t: np.ndarray,
    delta: np.ndarray,
    background: np.ndarray | float,
    target: np.ndarray,  # [Q,3]
    crew: Crew,
    *,
    mse: float = 1.0,
    distortion: float = 0.0,
    spacing: np.ndarray | None = None,
    width: np.ndarray | None = None,
    rays: int | None = None,  # that means are over, Q by default: more where other processes have the rest
) -> tuple[CompositeLoss, Composited, SampleGradients]:
    """Return the losses, the picture, and the gradients of mse * mean squared error + distortion * mean distortion."""
    args = _checked("composite_gradients", offsets, density, rgb, t, delta, background, spacing, width)
    n = len(args[0]) - 1
    check_shapes("composite_gradients", target=(target, f"{n} 3"))
    out, share = _blended(args, crew), 1.0 / max(1, n if rays is None else rays)
    error = out.rgb - target
    losses = CompositeLoss(
        float(np.square(error, dtype=np.float64).sum()) * share / 3.0,
        float(out.distortion.sum(dtype=np.float64)) * share,
    )
    nothing = np.zeros(n, np.float32)
    bent = np.full(n, distortion * share, np.float32)
    v_rgb = error * np.float32(2.0 * mse * share / 3.0)
    return losses, out, _gradients(args, out.weights, v_rgb, nothing, nothing, None, bent, crew)
