# SPDX-License-Identifier: MIT
"""Steps that several processes take together, by CUDA kernels run on the CPU: alone they are those of `train_view`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.constants import TV
from engine.cuda.gradients import Goal
from engine.cuda.lists import shaded_lists
from engine.cuda.shared_step import shared_step
from engine.cuda.train_view import FieldTensors, Scratch
from engine.parallel import Solo
from tests.cuda.on_host import host_table
from tests.cuda.test_train_view import (
    ADAM,
    BACKGROUND,
    CORRECTIONS,
    MODES,
    OCTREE,
    VIEWS,
    WEIGHTS,
    field_arrays,
    on_device,
    photos,
)

pytestmark = pytest.mark.usefixtures("host_compiler")


def shared(degree: int, half: bool, ordered: bool = True) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Return the field and the loss sums after the steps of `on_device`, by the checked build."""
    table, of = host_table(OCTREE, checks=True), torch.from_numpy
    field = FieldTensors.of(vars(field_arrays(degree)), "cpu", half)
    scratch, (targets, keep), sums = Scratch.of(table, ordered), photos(), []
    for step, mode in enumerate(MODES):
        lists = shaded_lists(table, field.density, field.sh, degree, VIEWS[step % 3])
        goal = Goal(of(BACKGROUND), of(WEIGHTS.astype(np.float32)), mode, 2, of(targets[step % 3]), of(keep))
        work = shared_step(
            table, field, scratch, lists, goal, samples=1, degree=degree, adam=of(ADAM),
            corrections=(of(CORRECTIONS[0]), of(CORRECTIONS[1])), total_variation=float(ADAM[TV]),
        )  # fmt: skip
        extra = np.arange(5, dtype=np.float32)
        work.take(Solo(), extra)
        assert np.array_equal(extra, np.arange(5)) and not scratch.v_density.any()
        sums.append(work.sums)
    return field.arrays(), sums


@pytest.mark.parametrize("degree", [0, 1, 3])
@pytest.mark.parametrize("half", [False, True])
def test_alone_they_are_the_same_bits_and_the_checked_build_finds_nothing(degree: int, half: bool) -> None:
    exact, exact_sums = on_device(degree, ordered=True, half=half)
    got, sums = shared(degree, half)
    assert [name for name in exact if not np.array_equal(exact[name], got[name])] == []
    assert np.array_equal(sums, exact_sums)
