# SPDX-License-Identifier: MIT
"""The harness itself: every word of the CUDA vocabulary computes what a GPU computes, every kind of mistake is caught."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.cuda import host

pytestmark = pytest.mark.usefixtures("host_compiler")

HARNESS = host.HERE / "harness.cu"
BROKEN = host.HERE / "broken.cu"


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def kernels(request) -> host.Kernels:
    return host.load(HARNESS, checks=request.param)


@pytest.fixture
def broken() -> host.Kernels:
    return host.load(BROKEN)


def test_threads_and_blocks_know_who_they_are(kernels):
    out = np.full((2 * 3 * 2, 4 * 2 * 3, 6), -1, np.int32)
    kernels.launch("whoami", (2, 3, 2), (4, 2, 3), out)
    wanted = np.indices((2, 3, 2, 3, 2, 4))[[2, 1, 0, 5, 4, 3]].reshape(6, 12, 24)
    assert np.array_equal(out, np.moveaxis(wanted, 0, -1))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_barriers_order_shared_memory(kernels, seed):
    numbers = np.random.default_rng(seed).random(1000, np.float32)
    sums = np.zeros(4, np.float32)
    kernels.launch("block_sum", (4,), (256,), numbers, sums, 1000, seed=seed)
    wanted = np.pad(numbers, (0, 24)).reshape(4, 256).sum(1)
    np.testing.assert_allclose(sums, wanted, rtol=1e-5)  # float32 sums of 256 in another order


def test_lanes_of_a_warp_exchange_values(kernels):
    numbers = np.arange(64, dtype=np.float32)
    down, butterfly, prefix = (np.zeros(64, np.float32) for _ in range(3))
    kernels.launch("warp_sums", (1,), (64,), numbers, down, butterfly, prefix, seed=3)
    warps = numbers.reshape(2, 32)
    assert np.array_equal(down.reshape(2, 32), np.repeat(warps.sum(1)[:, None], 32, 1))
    assert np.array_equal(butterfly, down)
    assert np.array_equal(prefix.reshape(2, 32), warps.cumsum(1))


@pytest.mark.parametrize(
    "pattern", [lambda t: t % 3 == 0, lambda t: t >= 32, lambda t: t < 0, lambda t: t >= 0]
)
def test_lanes_and_threads_vote(kernels, pattern):
    yes = pattern(np.arange(64)).astype(np.int32)
    out = np.zeros((64, 7), np.int32)
    kernels.launch("votes", (1,), (64,), yes, out)
    for warp in range(2):
        mine = yes[32 * warp : 32 * warp + 32]
        bits = sum(int(bit) << lane for lane, bit in enumerate(mine))
        row = [
            np.uint32(bits).astype(np.int32),
            mine.any(),
            mine.all(),
            mine.sum(),
            yes.any(),
            yes.all(),
            yes.sum(),
        ]
        assert (out[32 * warp : 32 * warp + 32] == np.array(row, np.int64)).all()


def test_atomics_lose_nothing(kernels):
    numbers = np.random.default_rng(0).integers(0, 30, 1000, np.int32)
    total, largest = np.zeros(1, np.float32), np.zeros(1, np.int32)
    bits, many = np.zeros(1, np.uint32), np.zeros(1, np.uint64)
    kernels.launch("count_all", (8,), (128,), numbers, total, largest, bits, many, 1000)
    assert (total[0], largest[0], many[0]) == (500.0, numbers.max(), 1000 << 33)
    assert bits[0] == sum(1 << int(n) for n in np.unique(numbers))


def test_a_warp_barrier_orders_shared_memory_within_the_warp(kernels):
    numbers, out = np.arange(64, dtype=np.int32), np.zeros(64, np.int32)
    kernels.launch("reversed_in_warp", (1,), (64,), numbers, out)
    assert np.array_equal(out, numbers ^ 31)


def test_threads_that_have_ended_hold_nobody_up(kernels):
    numbers, out = np.arange(64, dtype=np.int32) + 7, np.zeros(64, np.int32)
    kernels.launch("half_leaves", (1,), (64,), numbers, out)
    assert out.reshape(32, 2).tolist() == [[7, -1]] * 16 + [[39, -1]] * 16


def test_numbers_pointers_and_constants_arrive(kernels):
    out = np.zeros(11, np.float32)
    kernels.launch("scalars", (1,), (1,), out, 5 << 32, 2, 0.25, np.array([1, 2, 200], np.uint8))
    from engine.constants import DENSITY_SCALE, SH_C2

    assert out[:10].tolist() == [5.0, 2.0, 0.25, 200.0, 0.25, 31.0, 4.0, 0.5, 7.0, DENSITY_SCALE]
    assert out[10] == np.float32(SH_C2[2])


def test_vectors_are_loaded_and_stored_whole(kernels):
    numbers = np.arange(20, dtype=np.float32).reshape(5, 4)
    out = np.zeros_like(numbers)
    kernels.launch("copy_vectors", (1,), (32,), numbers, out, 5)
    assert np.array_equal(out, numbers[:, ::-1])


def test_an_array_that_does_not_fit_its_parameter_is_refused(kernels):
    with pytest.raises(host.HostError, match="points to float32, the array has float64"):
        kernels.launch("block_sum", (1,), (256,), np.zeros(4), np.zeros(1, np.float32), 4)
    with pytest.raises(host.HostError, match="takes 3 arguments, got 2"):
        kernels.launch("block_sum", (1,), (256,), np.zeros(4, np.float32), np.zeros(1, np.float32))
    with pytest.raises(host.HostError, match="give a contiguous array"):
        kernels.launch("block_sum", (1,), (256,), np.zeros(8, np.float32)[::2], np.zeros(1, np.float32), 4)


def _line(name: str, within: str) -> int:
    """Return the number of the first line of a broken kernel that contains a text."""
    lines = BROKEN.read_text(encoding="utf-8").split("\n")
    start = next(i for i, line in enumerate(lines) if f"void {name}(" in line)
    return next(i + 1 for i, line in enumerate(lines) if i >= start and within in line)


def _zeros(count: int) -> np.ndarray:
    return np.zeros(count, np.float32)


@pytest.mark.parametrize(
    ("name", "args", "blocks", "threads", "message", "line"),
    [
        ("no_barrier", (_zeros(64), _zeros(64)), 1, 64, "race on box|before anybody wrote it", "box[63 - t]"),
        ("overwrites", (_zeros(64), _zeros(64)), 1, 64, r"race on box\[\d+\]", "box[63 - t]"),
        (
            "takes_away_what_was_read",
            (_zeros(64),),
            1,
            64,
            r"race on box\[1\]: read by .* then written",
            "= 2.0f",
        ),
        ("races_between_blocks", (_zeros(1),), 2, 1, "race on argument 0.*another block", "out[0]"),
        ("reads_while_added", (_zeros(1), _zeros(64)), 1, 64, "race on argument 0.*atomically", "atomicAdd"),
        ("never_written", (_zeros(64),), 1, 64, r"box\[0\] is read at .* before anybody wrote", "= box["),
        (
            "reads_past_the_end",
            (_zeros(64), _zeros(64), 64),
            1,
            64,
            "argument 0.*would be item 64",
            "in[i + 1]",
        ),
        ("writes_before_the_start", (_zeros(64),), 1, 64, "argument 0.*would be item -1", "out["),
        (
            "past_a_shared_array",
            (_zeros(64), 1),
            1,
            64,
            "nearest is box with 64 items.*item 64",
            "box[threadIdx.x + by]",
        ),
        ("past_a_local_array", (_zeros(64), 4), 1, 1, "an index is outside its array", "local[at]"),
        ("barrier_in_a_branch", (_zeros(64),), 1, 64, "the block diverged", "__syncthreads"),
        ("shuffle_in_a_branch", (_zeros(64),), 1, 64, "other lanes of its warp", "__shfl_xor"),
        ("asks_a_lane_that_left", (_zeros(64),), 1, 64, "a lane that does not take part", "__shfl_sync"),
        ("misaligned", (_zeros(64), _zeros(64)), 1, 8, "not aligned", "float4*)(in"),
        (
            "casts_infinity",
            (_zeros(64), np.zeros(64, np.int32)),
            1,
            64,
            "does not fit the integer",
            "1.0f / in",
        ),
        ("too_much_shared", (_zeros(64),), 1, 64, "more than 48 KB of shared memory", ""),
    ],
)
def test_a_broken_kernel_is_caught_at_its_line(broken, name, args, blocks, threads, message, line):
    with pytest.raises(host.HostError) as caught:
        broken.launch(name, (blocks,), (threads,), *args)
    text = str(caught.value)
    assert re.search(message, text), text
    assert not line or f"broken.cu:{_line(name, line)}" in text, text


def test_a_launch_works_after_one_that_failed(broken, kernels):
    for _ in range(2):
        with pytest.raises(host.HostError):
            broken.launch("no_barrier", (1,), (64,), _zeros(64), _zeros(64))
        test_barriers_order_shared_memory(kernels, seed=0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_race_is_caught_in_whatever_order_threads_run(broken, seed):
    with pytest.raises(host.HostError, match=r"race on box|before anybody wrote"):
        broken.launch("no_barrier", (1,), (64,), _zeros(64), _zeros(64), seed=seed)
