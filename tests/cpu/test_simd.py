# SPDX-License-Identifier: MIT
"""Sixteen lanes at a time against numpy, one at a time."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from engine.cpu.crew import Crew
from engine.cpu.simd import (
    any_lane,
    count_lanes,
    fetch_add,
    fma,
    lane_max,
    lane_sum,
    load,
    load_1_of_4,
    load_2_of_4,
    load_3_of_4,
    load_4_of_4,
    load_blue,
    load_blue_twice,
    load_green,
    load_green_twice,
    load_red,
    load_red_twice,
    load_window,
    mask_bits,
    power_of_two,
    prefetch,
    select,
    splat,
    store,
    store_int,
    store_pixels,
    store_window,
    sums_of_12,
    swap_pairs,
    vceil,
    vexp,
    vfloor,
    vmax,
    vmin,
    vround,
    vsqrt,
)

VEXP_ERROR, VEXP_ERROR_PER_X = 2.5e-7, 1.4e-8  # what the docstring promises
LANE_SUM = 1e-6  # sixteen float32 additions in another order


@njit(cache=True)
def _arithmetic(a, b, out):
    x, y = load(a, 0), load(b, 0)
    half = np.float32(0.5)
    store(out, 0, x + y)
    store(out, 16, x - y)
    store(out, 32, x * y)
    store(out, 48, x / y)
    store(out, 64, x + 1.5)
    store(out, 80, 1.5 - x)
    store(out, 96, half * x)
    store(out, 112, 2 / y)
    store(out, 128, -x)
    store(out, 144, fma(x, y, 0.25))
    store(out, 160, vmin(x, y))
    store(out, 176, vmax(x, 0.25))
    store(out, 192, vsqrt(vmax(x, 0.0)))
    store(out, 208, vround(x))
    store(out, 224, vfloor(x))
    store(out, 240, vceil(x))
    store(out, 256, splat(3))
    x += y
    store(out, 272, x)


@njit(cache=True)
def _masks(a, b, bits, out):
    x, y = load(a, 0), load(b, 0)
    bits[0] = mask_bits(x < y)
    bits[1] = mask_bits(x <= 0.5)
    bits[2] = mask_bits(x > y)
    bits[3] = mask_bits(0.5 >= x)
    bits[4] = mask_bits(x == y)
    bits[5] = mask_bits((x < y) & (x > 0.0))
    bits[6] = mask_bits((x < y) | (x > 0.0))
    bits[7] = mask_bits(~(x < y))
    bits[8] = any_lane(x > 1e9)
    bits[9] = any_lane(x == load(a, 0))
    store(out, 0, select(x < y, x, -1.0))
    store(out, 16, select(x < y, 2.0, y))


@njit(cache=True)
def _reductions(rows, out):
    out[0] = lane_sum(load(rows, 0))
    out[1] = lane_max(load(rows, 0))
    r = rows
    sums = sums_of_12(
        load(r, 0), load(r, 16), load(r, 32), load(r, 48), load(r, 64), load(r, 80),
        load(r, 96), load(r, 112), load(r, 128), load(r, 144), load(r, 160), load(r, 176),
    )  # fmt: skip
    store(out, 16, sums)


@njit(cache=True)
def _exponentials(x, out):
    for i in range(0, x.shape[0], 16):
        store(out, i, vexp(load(x, i)))


@njit(cache=True)
def _whole(x, powers, whole):
    store(powers, 0, power_of_two(load(x, 0)))
    store_int(whole, 0, load(x, 0))


@njit(cache=True, nogil=True)
def _draw(counter, taken, n):
    while True:
        number = fetch_add(counter, 0, 1)
        if number >= n:
            break
        taken[number] += 1


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(0.0, 2.0, 16).astype(np.float32) for _ in range(2))
    a[3], a[4], b[7] = b[3], 0.5, a[7]
    return a, b


def test_arithmetic_is_numpys_lane_by_lane(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    out = np.zeros((18, 16), dtype=np.float32)
    _arithmetic(a, b, out.reshape(-1))
    exact = [
        a + b, a - b, a * b, a / b, a + np.float32(1.5), np.float32(1.5) - a, np.float32(0.5) * a, np.float32(2) / b, -a,
        (a.astype(np.float64) * b + 0.25).astype(np.float32), np.minimum(a, b), np.maximum(a, np.float32(0.25)),
        np.sqrt(np.maximum(a, 0)), np.round(a), np.floor(a), np.ceil(a), np.full(16, 3.0), a + b,
    ]  # fmt: skip
    for k, row in enumerate(exact):
        assert np.array_equal(out[k], row.astype(np.float32)), k


def test_masks_have_lane_zero_in_the_lowest_bit(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    bits, out = np.zeros(10, dtype=np.int64), np.zeros((2, 16), dtype=np.float32)
    _masks(a, b, bits, out.reshape(-1))
    less = a < b
    exact = [less, a <= 0.5, a > b, a <= 0.5, a == b, less & (a > 0), less | (a > 0), ~less]
    assert bits[:8].tolist() == [int(np.sum(mask << np.arange(16))) for mask in exact]
    assert bits[8:].tolist() == [0, 1]
    assert np.array_equal(out, [np.where(less, a, -1), np.where(less, 2, b)])


def test_a_comparison_with_nan_is_false_and_vmin_takes_the_other() -> None:
    nan, two = np.full(16, np.nan, dtype=np.float32), np.full(16, 2.0, dtype=np.float32)
    bits, out = np.zeros(10, dtype=np.int64), np.zeros((18, 16), dtype=np.float32)
    _masks(nan, two, bits, np.zeros(32, dtype=np.float32))
    assert bits[:7].tolist() == [0] * 7 and bits[9] == 0
    _arithmetic(nan, two, out.reshape(-1))
    assert np.all(out[10] == 2.0)


def test_sums_of_12_puts_each_sum_in_its_lane() -> None:
    rows = np.random.default_rng(1).normal(size=(12, 16)).astype(np.float32)
    out = np.full(32, np.nan, dtype=np.float32)
    _reductions(rows.reshape(-1), out)
    exact = rows.astype(np.float64).sum(axis=1)
    assert np.abs(out[16:28] - exact).max() < LANE_SUM * 16
    assert np.all(out[28:] == 0.0)
    assert abs(out[0] - exact[0]) < LANE_SUM * 16 and out[1] == rows[0].max()


def test_vexp_keeps_its_relative_error_from_minus_87_to_88() -> None:
    x = np.linspace(-87.0, 88.0, 16 * 20_000).astype(np.float32)
    out = np.empty_like(x)
    _exponentials(x, out)
    error = np.abs(out / np.exp(x.astype(np.float64)) - 1.0)
    assert np.all(error < VEXP_ERROR + VEXP_ERROR_PER_X * np.abs(x))


def test_vexp_is_clamped_outside_and_exact_at_zero() -> None:
    x = np.array([-1e30, -200.0, 0.0, 200.0, 1e30, -np.inf, np.inf, -0.0] * 2, dtype=np.float32)
    out = np.empty_like(x)
    _exponentials(x, out)
    assert np.all(np.isfinite(out)) and np.all(out > 0.0)
    assert out[2] == out[7] == 1.0 and out[0] == out[1] == out[5] and out[3] == out[4] == out[6]


def test_powers_of_two_and_whole_numbers_are_exact() -> None:
    x = np.array([-126, -100, -3, -1, 0, 1, 2, 3, 4, 5, 10, 30, 64, 100, 126, 127], dtype=np.float32)
    powers, whole = np.empty(16, dtype=np.float32), np.empty(16, dtype=np.int32)
    _whole(x, powers, whole)
    assert np.array_equal(powers, np.exp2(x.astype(np.float64)).astype(np.float32))
    assert np.array_equal(whole, x.astype(np.int32))


def test_fetch_add_hands_out_each_number_once_to_four_threads() -> None:
    team, taken = Crew(4), np.zeros(200_000, dtype=np.int64)
    team.run(_draw, taken, len(taken))
    team.close()
    assert np.all(taken == 1)


@njit(cache=True)
def _windows(source, index, pitch, out):
    lanes = load_window(source, index, pitch)
    store(out, 0, lanes)
    store(out, 16, swap_pairs(lanes))
    store_window(source, index, pitch, lanes + 100.0)
    prefetch(source, 1 << 40)
    return count_lanes(lanes > load(out, 0) - 1.0), count_lanes(lanes > np.float32(source[index] - 95.0))


@pytest.mark.parametrize("pitch", [4, 16])
def test_a_window_is_four_runs_of_four(pitch: int) -> None:
    source, out = np.arange(256, dtype=np.float32), np.zeros(32, dtype=np.float32)
    at = np.array([37 + pitch * y + x for y in range(4) for x in range(4)])
    counts = _windows(source, 37, pitch, out)
    assert np.array_equal(out[:16], at)
    assert np.array_equal(out[16:], at.reshape(8, 2)[:, ::-1].ravel())
    expected = np.arange(256, dtype=np.float32)
    expected[at] += 100.0
    assert np.array_equal(source, expected)
    assert counts == (16, int((at > 42).sum()))


@njit(cache=True)
def _pixels(a, b, c, d, image, pitch):
    store_pixels(image, 3, pitch, load(a, 0), load(b, 0), load(c, 0), load(d, 0))


@pytest.mark.parametrize("pitch", [16, 40])
def test_pixels_of_four_channels_are_interleaved(pitch: int) -> None:
    channels = np.random.default_rng(8).random((4, 16)).astype(np.float32)
    image = np.zeros(200, dtype=np.float32)
    _pixels(*channels, image, pitch)
    expected = np.zeros(200, dtype=np.float32)
    for lane in range(16):
        start = 3 + pitch * (lane // 4) + 4 * (lane % 4)
        expected[start : start + 4] = channels[:, lane]
    assert np.array_equal(image, expected)


@njit(cache=True)
def _one_by_one(image, out):
    store(out, 0, load_1_of_4(image, 3))
    store(out, 16, load_2_of_4(image, 3))
    store(out, 32, load_3_of_4(image, 3))
    store(out, 48, load_4_of_4(image, 3))


def test_one_of_four_values_a_lane_is_read_where_pixels_were_written() -> None:
    channels, image = (
        np.random.default_rng(9).random((4, 16)).astype(np.float32),
        np.zeros(70, dtype=np.float32),
    )
    _pixels(*channels, image, 16)
    out = np.zeros(64, dtype=np.float32)
    _one_by_one(image, out)
    assert np.array_equal(out.reshape(4, 16), channels)


@njit(cache=True)
def _channels(photo, index, out):
    store(out, 0, load_red(photo, index))
    store(out, 16, load_green(photo, index))
    store(out, 32, load_blue(photo, index))
    store(out, 48, load_red_twice(photo, index))
    store(out, 64, load_green_twice(photo, index))
    store(out, 80, load_blue_twice(photo, index))


def test_bytes_of_a_photo_come_channel_by_channel() -> None:
    photo, out = np.random.default_rng(9).integers(0, 256, 60, dtype=np.uint8), np.zeros(96, dtype=np.float32)
    _channels(photo, 6, out)
    pixels = photo[6:54].reshape(16, 3)
    assert np.array_equal(out[:48].reshape(3, 16), pixels.T)
    assert np.array_equal(out[48:].reshape(3, 16), pixels[:8].repeat(2, axis=0).T)
