# SPDX-License-Identifier: MIT
"""Every pair is compared in small sets; in large ones neighbours and photos that look alike."""

from __future__ import annotations

import numpy as np

from engine.sfm.pairs import ALIKE, FOLLOWING, all_pairs, describe, nearby_pairs

PLACES, COUNT = 40, 120  # photo i shows place i % PLACES, so photos i and i + 40 look alike


def _descriptors(i: int) -> np.ndarray:
    """Return descriptors of a place: 20 of its own among 20 that every place has, all a little noisy."""
    place = np.random.default_rng(i % PLACES).integers(0, 200, (20, 128))
    common = np.random.default_rng(999).integers(0, 200, (20, 128))
    noise = np.random.default_rng(1000 + i).integers(0, 30, (40, 128))
    return (np.concatenate([place, common]) + noise).astype(np.uint8)


def test_all_pairs_are_each_pair_once():
    pairs = all_pairs(7)
    assert sorted(pairs) == [(a, b) for a in range(7) for b in range(a + 1, 7)]


def test_nearby_pairs_follow_one_another_or_look_alike():
    pairs = nearby_pairs(_descriptors, COUNT)
    assert len(pairs) == len(set(pairs)) < COUNT * (FOLLOWING + 3 + ALIKE)
    assert all(0 <= a < b < COUNT for a, b in pairs)
    assert {(i, i + gap) for gap in range(1, FOLLOWING + 1) for i in range(COUNT - gap)} <= set(pairs)
    again = {(i, i + PLACES) for i in range(COUNT - PLACES)}  # a place seen again much later
    assert len(again & set(pairs)) >= 0.95 * len(again)


def test_the_same_photos_give_the_same_pairs():
    assert nearby_pairs(_descriptors, 40) == nearby_pairs(_descriptors, 40)


def test_photos_without_features_are_compared_with_their_neighbours_only():
    none = np.zeros((0, 128), np.uint8)
    assert describe([none, none]).shape[0] == 2
    assert (0, 1) in nearby_pairs(lambda i: none, 30)
