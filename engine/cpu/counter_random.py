# SPDX-License-Identifier: MIT
"""Random numbers that are a function of where they are used: no state, so any number of threads gives the same.

A draw is the finaliser of splitmix64 over (seed, stream, a, b), each mixed in by an odd constant of its own.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)
_THIRD = np.uint64(0xD6E8FEB86659FD93)
_MIX_A, _MIX_B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_PER_STEP = 2.0**-53

JITTER, PLACE = 1, 2  # streams: the footprint's jitter, a sample's place in its stretch


@njit(cache=True, nogil=True)
def _mix(x):
    x = (x ^ (x >> _S30)) * _MIX_A
    x = (x ^ (x >> _S27)) * _MIX_B
    return x ^ (x >> _S31)


@njit(cache=True, nogil=True)
def draw(seed, stream, a, b):
    """Return a number in [0, 1), float64, of four integers; the same integers give the same number."""
    x = _mix(np.uint64(seed) * _GOLDEN + np.uint64(stream))
    x = _mix(x + np.uint64(a) * _SECOND)
    x = _mix(x + np.uint64(b) * _THIRD)
    return np.float64(x >> _S11) * _PER_STEP
