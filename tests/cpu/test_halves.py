# SPDX-License-Identifier: MIT
"""Halves that kernels read are numpy's float16, but for subnormal numbers, which are 0."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.halves import eight_halves, from_half_bits, half_bits, load_wide
from engine.cpu.simd import store


@njit
def _widen(bits, out):
    for i in range(0, bits.shape[0], 16):
        store(out, i, load_wide(bits, i))


@njit
def _by_eight(bits, out):
    for i in range(0, bits.shape[0], 8):
        eight = eight_halves(bits, i)
        for k in range(8):
            out[i + k] = eight[k]


def test_every_normal_half_is_read_exactly():
    every = np.arange(65536, dtype=np.uint16).view(np.int16)
    values = every.view(np.float16)
    normal = np.isfinite(values) & ((np.abs(values) >= 2.0**-14) | (values == 0.0))
    bits = np.ascontiguousarray(every[normal])
    bits = np.concatenate([bits, np.zeros(-len(bits) % 16, dtype=np.int16)])
    wanted = from_half_bits(bits)
    for kernel in (_widen, _by_eight):
        out = np.empty(len(bits), dtype=np.float32)
        kernel(bits, out)
        assert np.array_equal(out, wanted)
        assert np.array_equal(np.signbit(out), np.signbit(wanted))


def test_single_precision_is_read_as_it_is():
    values = np.random.default_rng(0).normal(size=32).astype(np.float32)
    out = np.empty_like(values)
    _widen(values, out)
    assert np.array_equal(out, values)


def test_writing_rounds_to_nearest_clips_and_drops_what_is_tiny():
    values = np.array([1.0, -3.14159, 1e6, -1e6, 3e-5, -3e-5, 7e-5, 0.0], dtype=np.float32)
    found = from_half_bits(half_bits(values))
    wanted = np.clip(values, -65504.0, 65504.0).astype(np.float16).astype(np.float32)
    wanted[4:6] = 0.0
    assert np.array_equal(found, wanted)
