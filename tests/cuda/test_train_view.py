# SPDX-License-Identifier: MIT
"""Training steps of the CUDA kernels, run on the CPU, against those of the CPU kernels: the same field comes out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from engine.constants import HUBER, L1, MSE, SUM_BACKGROUND, TV
from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable as CpuTable
from engine.cpu.lists import Workspace
from engine.cpu.shade import grouped, sh_groups, sh_rows
from engine.cpu.train_view import FieldArrays
from engine.cpu.train_view import shaded_lists as cpu_shaded
from engine.cpu.train_view import train_on_view as cpu_train
from engine.cpu.update import bias_corrections, owners_of_points
from engine.cuda.gradients import Goal
from engine.cuda.gradients import owners_of_points as owners_on_device
from engine.cuda.lists import VoxelTable, shaded_lists
from engine.cuda.train_view import FieldTensors, Scratch, train_on_view
from tests.cpu.scenes import camera_at, mixed_octree
from tests.cuda.on_host import host_table

pytestmark = pytest.mark.usefixtures("host_compiler")

OCTREE = mixed_octree()
V, G = len(OCTREE), OCTREE.n_points
ADAM = np.array([0.5, 0.99, 1e-15, 0.05, 0.02, 0.01, 1e-4], dtype=np.float32)
CORRECTIONS = tuple(
    bias_corrections(beta, 4) for beta in (0.5, 0.99)
)  # fewer than there are steps: the last one stays
WEIGHTS = np.array([1 / 300, 1e-3, 2e-3, 1e-3, 1.0])
BACKGROUND = np.array(
    [0.2113, 0.713, 0.4137], dtype=np.float32
)  # between the 8-bit values: no |error| at its kink
MODES = (MSE, L1, HUBER, MSE, MSE)
VIEWS = (
    camera_at((0.9, -0.7, -1.4), size=(48, 32)),
    camera_at((-0.9, -0.7, -1.4), size=(48, 32)),
    camera_at((0.1, 0.1, -0.1), (0.4, 0.1, 0.3), size=(48, 32), fov=1.6),
)
PARAMETER = 1e-5  # of the largest entry, 3.4e-6 seen: rounding of sums in another order
LOSS = 1e-4  # 2e-5 of sums of 300 seen
HALF = 0.01  # bfloat16 moments have 8 bits: a step differs by 2^-8 or so


def field_arrays(degree: int) -> FieldArrays:
    rng = np.random.default_rng(0)
    shape = sh_groups(V, degree)
    sh = grouped(rng.normal(scale=0.3, size=(V, shape[1] // 3, 3)).astype(np.float32))
    zero = np.zeros
    return FieldArrays(
        rng.uniform(-8, -1, G).astype(np.float32), zero(G, np.float32), zero(G, np.float32), zero(G, np.uint16),
        sh, zero(shape, np.float32), zero(shape, np.float32), zero(V, np.uint16),
        zero(V, np.float32), zero(V, np.float32), np.full(V, np.inf, np.float32),
    )  # fmt: skip


def photos() -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(1)
    keep = (rng.random((16, 24)) < 0.8).astype(np.uint8)
    return [rng.integers(0, 256, (16, 24, 3), dtype=np.uint8) for _ in VIEWS], keep


def on_cpu(degree: int) -> tuple[FieldArrays, list[np.ndarray]]:
    table, field, team, room = CpuTable.of(OCTREE), field_arrays(degree), Crew(1), Workspace()
    owners = owners_of_points(OCTREE.corner_idx, G)
    scratch = np.zeros((V, 8), dtype=np.float32), np.zeros(V, dtype=np.uint8)
    targets, keep = photos()
    sums = []
    for step, mode in enumerate(MODES):
        lists, rgb = cpu_shaded(table, field.sh, degree, VIEWS[step % 3], team, room, keep_slots=True)
        sums.append(cpu_train(
            table, field, owners, scratch, lists, rgb, team, room, mode=mode, shrink=2, target=targets[step % 3],
            background=BACKGROUND, weights=WEIGHTS, v_rgb=None, samples=1, degree=degree, adam=ADAM,
            corrections=CORRECTIONS, keep=keep,
        ))  # fmt: skip
    team.close()
    return field, sums


def on_device(
    degree: int,
    ordered: bool,
    half: bool = False,
    seed: int = 0,
    checks: bool = False,
    table: VoxelTable | None = None,
) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Return the field and the loss sums after the steps, by kernels that run here, or where a table lies."""
    table = table or host_table(OCTREE, checks, seed)
    field = FieldTensors.of(vars(field_arrays(degree)), table.device, half)
    scratch = Scratch.of(table, ordered)
    targets, keep = photos()
    sums = []

    def of(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(table.device)

    for step, mode in enumerate(MODES):
        lists = shaded_lists(table, field.density, field.sh, degree, VIEWS[step % 3])
        goal = Goal(of(BACKGROUND), of(WEIGHTS.astype(np.float32)), mode, 2, of(targets[step % 3]), of(keep))
        sums.append(train_on_view(
            table, field, scratch, lists, goal, samples=1, degree=degree, adam=of(ADAM),
            corrections=(of(CORRECTIONS[0]), of(CORRECTIONS[1])), total_variation=float(ADAM[TV]),
        ).cpu().numpy())  # fmt: skip
    return field.arrays(), sums


def assert_same_field(got: dict[str, np.ndarray], exact: FieldArrays, tolerance: float) -> None:
    for field in dataclasses.fields(FieldArrays):
        a, b = got[field.name], getattr(exact, field.name)
        if field.name in ("sh", "sh_m", "sh_v"):  # lanes behind the last voxel hold nothing
            a, b = sh_rows(a, V), sh_rows(b, V)
        assert a.dtype == b.dtype and a.shape == b.shape
        seen = np.isfinite(b)
        assert np.array_equal(np.isfinite(a), seen)
        if b.dtype == np.uint16:
            assert np.array_equal(a, b), field.name
        else:
            scale = 1.0 if field.name in ("density", "sh") else np.abs(b[seen]).max()
            assert np.abs(a[seen] - b[seen]).max() < tolerance * scale, field.name


@pytest.mark.parametrize("ordered", [False, True], ids=["atomics", "ordered"])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_five_steps_give_the_field_of_the_cpu(degree: int, ordered: bool) -> None:
    exact, exact_sums = on_cpu(degree)
    got, sums = on_device(degree, ordered)
    assert_same_field(got, exact, PARAMETER)
    assert np.abs(np.array(sums) - np.array(exact_sums)).max() < LOSS
    assert np.abs(np.array(sums)[:, SUM_BACKGROUND:]).max() > 1e-3


def test_moments_in_half_the_memory_take_nearly_the_same_steps() -> None:
    exact, _ = on_cpu(3)
    got, _ = on_device(3, ordered=True, half=True)
    moved = np.abs(sh_rows(exact.sh, V) - sh_rows(field_arrays(3).sh, V)).max()
    assert np.abs(sh_rows(got["sh"], V) - sh_rows(exact.sh, V)).max() < HALF * moved
    for name in ("sh_m", "sh_v"):
        mine, its = sh_rows(got[name], V), sh_rows(getattr(exact, name), V)
        assert np.abs(mine - its).max() < 0.02 * np.abs(its).max() and mine.any()


@pytest.mark.parametrize("half", [False, True])
def test_ordered_steps_are_the_same_bits_in_any_order_of_blocks_and_threads(half: bool) -> None:
    first, first_sums = on_device(2, ordered=True, half=half)
    for seed in (1, 2):
        other, sums = on_device(2, ordered=True, half=half, seed=seed)
        assert all(np.array_equal(first[name], other[name]) for name in first)
        assert np.array_equal(first_sums, sums)


@pytest.mark.parametrize("ordered", [False, True], ids=["atomics", "ordered"])
def test_the_checked_build_finds_nothing_in_a_step(ordered: bool) -> None:
    exact, _ = on_cpu(3)
    assert_same_field(on_device(3, ordered, checks=True)[0], exact, PARAMETER)
    on_device(3, ordered, half=True, checks=True)


def test_a_field_comes_back_from_the_device_as_it_went() -> None:
    exact = field_arrays(2)
    exact.sh_age[3], exact.density_age[5] = 2047, 17
    back = FieldTensors.of(vars(exact), "cpu").arrays()
    for name, array in back.items():
        assert array.dtype == getattr(exact, name).dtype
        assert np.array_equal(array, getattr(exact, name)), name


def test_owners_of_points_are_those_of_the_cpu() -> None:
    exact = owners_of_points(OCTREE.corner_idx, G)
    got = owners_on_device(host_table(OCTREE))
    assert all(np.array_equal(a.numpy(), b) for a, b in zip(got, exact, strict=True))


def test_training_keeps_at_most_540_bytes_a_voxel_at_degree_3() -> None:
    field = FieldTensors.of(vars(field_arrays(3)), "cpu")
    table = host_table(OCTREE)
    voxels = sum(t.element_size() * (t.numel() // V) for t in (table.path, table.level, table.corner_idx))
    groups, rows, lanes = field.sh.shape
    voxels += rows * (field.sh.element_size() + field.sh_m.element_size() + field.sh_v.element_size())
    voxels += sum(t.element_size() for t in (field.sh_age, field.priority, field.heaviest, field.footprint))
    points = sum(
        t.element_size() for t in (field.density, field.density_m, field.density_v, field.density_age)
    )
    gradients = 4 * 4 + 1.1 * 4  # v_slot of a visible voxel, v_density
    assert groups * lanes >= V and rows == 48
    assert voxels + 1.1 * points + gradients <= 540
    assert voxels == 439 and points == 14
