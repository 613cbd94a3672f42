# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.datasets.shots import Lens, Shot, hold_out, natural_key


def shots(names: list[str]) -> list[Shot]:
    return [Shot(name, Path(name), Lens(2, 2, 1, 1, 1, 1), np.eye(4)) for name in names]


def test_names_sort_by_their_numbers():
    names = ["r_10.png", "R_9.png", "r_1.png", "b/2.png", "b/010.png", "b/3.png", "7.png"]
    wanted = ["7.png", "b/2.png", "b/3.png", "b/010.png", "r_1.png", "R_9.png", "r_10.png"]
    assert sorted(names, key=natural_key) == wanted


@pytest.mark.parametrize(("count", "held"), [(50, 7), (8, 1), (9, 2), (3, 1), (2, 0)])
def test_every_eighth_photo_in_file_name_order_is_held_out(count, held):
    names = [f"{i}.png" for i in range(count)]
    train, test = hold_out(shots(names[::-1]))
    assert [shot.name for shot in test] == names[::8][:held]
    assert sorted(shot.name for shot in train + test) == sorted(names)
    assert len(test) == held


def test_a_resized_lens_sees_the_same_directions():
    lens = Lens(40, 20, 30.0, 31.0, 19.0, 11.0, k1=0.1)
    half = lens.resized(20, 5)
    for u, v in [(0.0, 0.0), (40.0, 20.0), (7.0, 3.0)]:
        assert (u / 2 - half.cx) / half.fx == pytest.approx((u - lens.cx) / lens.fx)
        assert (v / 4 - half.cy) / half.fy == pytest.approx((v - lens.cy) / lens.fy)
    assert half.k1 == 0.1 and half.distorted and not Lens(2, 2, 1, 1, 1, 1).distorted
