# SPDX-License-Identifier: MIT
"""A flight along the capture: where the photos were taken, in an order that makes a way, smoothed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from app.view.path import CameraPath, Key, PathStyle
from app.view.preset_moves import PathPreset, Views
from engine.cameras import look_at
from engine.errors import UserError

MOST_STOPS = 240  # photos that are put in order; of more, every so many-th
MOST_KEYS = 24
STOPS_A_KEY = 2.5  # photos that a key stands for, at least: fewer would follow every step aside
IN_ORDER = 1.5  # the capture's own order is kept if it is at most so much longer than the shortest found


def fly_along(preset: PathPreset, progress: np.ndarray) -> Views:
    """Go where the photos were taken, looking where they look, upright."""
    path = flight(preset, 1.0)
    return path.sample(progress)


def flight(preset: PathPreset, seconds: float) -> CameraPath:
    """Return the flight as a path of at most MOST_KEYS keys."""
    poses = np.asarray(preset.capture, dtype=np.float64)
    if len(poses) < 2:
        raise UserError(f"A flight along the capture needs at least 2 photos, got {len(poses)}.")
    poses = poses[:: -(-len(poses) // MOST_STOPS)]
    poses = poses[in_order(poses[:, :3, 3])]
    stops = poses[:, :3, 3]
    steps = np.linalg.norm(np.diff(stops, axis=0), axis=1)
    if steps.sum() <= 0.0:
        raise UserError(
            "A flight along the capture needs photos from more than one place, and all are from one."
        )
    way = np.append(0.0, np.cumsum(steps)) / steps.sum()
    n = int(np.clip(round(len(stops) / STOPS_A_KEY), 2, MOST_KEYS))
    at = np.linspace(0.0, 1.0, n)
    # Each key is a mean of the photos near it on the way; the mean's width is half the distance of two keys.
    weights = np.exp(-0.5 * ((at[:, None] - way) * 2.0 * (n - 1)) ** 2) + 1e-12
    weights /= weights.sum(axis=1, keepdims=True)
    places, towards = weights @ stops, weights @ poses[:, :3, 2]
    nearest = poses[np.argmin(np.abs(at[:, None] - way), axis=1), :3, 2]
    lost = np.linalg.norm(towards, axis=1) < 0.2  # photos that look apart have no mean direction
    towards[lost] = nearest[lost]
    keys = [
        Key(seconds * float(share), look_at(place, place + ahead, preset.up), preset.fov_y_rad)
        for share, place, ahead in zip(at, places, towards)
    ]
    even = CameraPath(keys, PathStyle(constant_speed=True)).key_times_s  # means lie closer together in a bend
    return CameraPath([replace(key, time_s=float(time_s)) for key, time_s in zip(keys, even)])


def in_order(places: np.ndarray) -> np.ndarray:
    """Return the order [n] in which to visit places [n,3]: their own if that is a way, else a short one."""
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    short = _untangled(distances, _nearest_next(distances))
    own = np.arange(len(places))
    return own if _length(distances, own) <= IN_ORDER * _length(distances, short) else short


def _length(distances: np.ndarray, order: np.ndarray) -> float:
    return float(distances[order[:-1], order[1:]].sum())


def _nearest_next(distances: np.ndarray) -> np.ndarray:
    """Return an order that goes to the nearest place left each time, from the one that is farthest out."""
    left = distances.copy()
    at = int(np.argmax(distances.sum(axis=1)))
    order = [at]
    for _ in range(len(distances) - 1):
        left[:, at] = np.inf
        at = int(np.argmin(left[at]))
        order.append(at)
    return np.array(order)


def _untangled(distances: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return a shorter order: pieces are turned round while that helps (2-opt); the ends are free."""
    n = len(order)
    for _ in range(4 * n):
        d = distances[np.ix_(order, order)]
        step = np.append(np.diagonal(d, 1), 0.0)  # from each to the next, nothing after the last
        before = np.append(0.0, step[:-1])  # to each from the one before
        # Turning i..j round joins i-1 with j and i with j+1 instead.
        to_j = np.vstack([np.zeros(n), d[:-1]])
        from_i = np.hstack([d[:, 1:], np.zeros((n, 1))])
        gain = np.triu(before[:, None] + step[None] - to_j - from_i, 1)
        i, j = np.unravel_index(int(np.argmax(gain)), gain.shape)
        if gain[i, j] <= 1e-9 * step.sum():
            break
        order = np.concatenate([order[:i], order[i : j + 1][::-1], order[j + 1 :]])
    return order
