# SPDX-License-Identifier: MIT
"""The city's plan: which blocks stand where, and where the cameras are. Metres, z up, the ground at z = 0.

Twenty by twenty lots of 50 m between straight streets, most with a block of storeys, some with a tower on a podium,
some left as parks. All of it follows from one seed; chances are drawn as plain uniform numbers, which every version
of NumPy draws alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera, look_at

LOTS = 20  # a side
PITCH_M = 50.0
HALF_M = 0.5 * LOTS * PITCH_M  # the ground reaches this far from the middle
STREET_M = 14.0  # wide, pavements included
TOP_M = 104.0  # nothing is higher
FOV_X_RAD = math.radians(65.0)
CLEAR_M = 1.5  # that a camera keeps from every wall

_PARK, _TOWER = 0.12, 0.22  # shares of the lots
_SEED = 1811  # the year in which Manhattan's grid was planned
_PAINTS = np.array(
    [
        [0.72, 0.45, 0.33],
        [0.80, 0.72, 0.58],
        [0.55, 0.58, 0.62],
        [0.62, 0.33, 0.28],
        [0.84, 0.80, 0.74],
        [0.40, 0.47, 0.55],
        [0.74, 0.62, 0.38],
        [0.50, 0.60, 0.52],
    ]
)


@dataclass(frozen=True, eq=False)
class Plan:
    """Blocks in the order of their lots: lot (i, j) has rows `first[i * LOTS + j]` up to the next one's.

    `boxes [B,6]` are x0 y0 z0 x1 y1 z1, `paint [B,3]` the walls' colour, `storey [B]` and `bay [B]` the height and the
    width of a window with its piece of wall; all float64. `first [LOTS^2 + 1]` int64.
    """

    boxes: np.ndarray
    paint: np.ndarray
    storey: np.ndarray
    bay: np.ndarray
    first: np.ndarray


@dataclass(frozen=True)
class Flight:
    """A kind of camera: how many look from which heights at what is how far ahead. Heights and distances in metres."""

    train: int
    test: int
    low: float
    high: float
    ahead: tuple[float, float]  # nearest and farthest target on the ground
    streets: bool  # stands above a crossing; else anywhere


FLIGHTS = (
    Flight(72, 5, 2.5, 9.0, (60.0, 160.0), True),
    Flight(92, 7, 16.0, 60.0, (20.0, 110.0), True),
    Flight(64, 7, 110.0, 300.0, (40.0, 260.0), False),
    Flight(32, 5, 420.0, 1100.0, (0.0, 220.0), False),
)


def city_plan() -> Plan:
    """Return the one city there is."""
    random = np.random.default_rng(_SEED)
    boxes, paint, sizes, first = [], [], [], [0]
    for i in range(LOTS):
        for j in range(LOTS):
            u = random.random(12)
            middle = np.array([(i + 0.5) * PITCH_M - HALF_M, (j + 0.5) * PITCH_M - HALF_M])
            blocks = [] if u[0] < _PARK else _blocks(middle, u)
            boxes += blocks
            for k in range(len(blocks)):
                paint.append(_PAINTS[int(u[8 + k] * len(_PAINTS))] * (0.85 + 0.15 * u[10]))
                sizes.append((3.0 + 1.2 * u[11], 2.4 + 2.0 * u[7]))
            first.append(len(boxes))
    storey, bay = np.array(sizes).T
    return Plan(np.array(boxes), np.array(paint), storey.copy(), bay.copy(), np.array(first))


def _blocks(middle: np.ndarray, u: np.ndarray) -> list[list[float]]:
    """Return the one or two blocks of a lot, given twelve chances; higher ones stand towards the city's middle."""
    widest = 0.5 * (PITCH_M - STREET_M)
    half = widest * (0.72 + 0.28 * u[1:3])
    centre = middle + (widest - half) * (2.0 * u[3:5] - 1.0)
    nearness = max(0.0, 1.0 - float(np.hypot(*middle)) / HALF_M)
    height = 7.0 + 26.0 * u[5] ** 2 + 22.0 * u[5] * nearness
    blocks = [_box(centre, half, 0.0, height)]
    if u[0] > 1.0 - _TOWER:
        top = height + 12.0 + (TOP_M - 70.0) * u[6] * (0.4 + 0.6 * nearness)
        blocks.append(_box(centre, half * (0.5 + 0.2 * u[7]), height, top))
    return blocks


def _box(centre: np.ndarray, half: np.ndarray, low: float, high: float) -> list[float]:
    return [*(centre - half), low, *(centre + half), high]


def city_cameras(width: int, height: int, share: float = 1.0) -> tuple[list[Camera], int]:
    """Return the cameras, training ones first, and how many those are; `share` of each flight flies, at least one."""
    cameras: dict[bool, list[Camera]] = {False: [], True: []}
    for number, flight in enumerate(FLIGHTS):
        for held_out in (False, True):
            count = max(1, round(share * (flight.test if held_out else flight.train)))
            random = np.random.default_rng([_SEED, number, held_out])
            for i in range(count):
                pose = _pose(flight, i, count, held_out, random.random(8))
                focal = 0.5 * width / math.tan(0.5 * FOV_X_RAD)
                lens = Camera(width, height, focal, focal, 0.5 * width, 0.5 * height, pose)
                cameras[held_out].append(lens)
    return cameras[False] + cameras[True], len(cameras[False])


def _pose(flight: Flight, i: int, count: int, held_out: bool, u: np.ndarray) -> np.ndarray:
    """Return the pose [4,4] of the i-th camera of a flight: places fill the city evenly, targets lie inside it."""
    # Two numbers that never line up (powers of the plastic ratio) spread any count evenly over a square.
    x = (0.5 + (i + 0.37 * held_out) * 0.7548776662466927) % 1.0
    y = (0.5 + (i + 0.61 * held_out) * 0.5698402909980532) % 1.0
    place = (np.array([x, y]) - 0.5) * 2.0 * (HALF_M - PITCH_M)
    if flight.streets:  # above a crossing, up to the width of the roadway away from its middle
        place = np.round(place / PITCH_M) * PITCH_M + (u[:2] - 0.5) * (STREET_M - 2.0 * CLEAR_M - 4.0)
    elif flight.low > 400.0:
        place = 0.45 * place
    altitude = flight.low * (flight.high / flight.low) ** ((i + u[2]) / count)
    ahead = flight.ahead[0] + u[3] * (flight.ahead[1] - flight.ahead[0])
    if flight.high < 10.0:  # along the street: the walls are near to both sides
        turns = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        towards = turns[int(4.0 * u[4])]
        if abs(place @ towards) > 0.5 * HALF_M and place @ towards > 0.0:
            towards = -towards
        towards = towards + 0.5 * (u[5] - 0.5) * towards[::-1]
        target = np.array([*(place + ahead * towards), altitude + 8.0 * u[6]])
    else:
        inside = (u[4:6] - 0.5) * HALF_M - place  # somewhere in the inner half
        towards = inside / max(float(np.hypot(*inside)), 1e-9)
        target = np.array([*(place + ahead * towards), 0.0])
    return look_at(np.array([*place, altitude]), target, np.array([0.0, 0.0, 1.0]))
