# SPDX-License-Identifier: MIT
"""What malloc has given out, for whoever looks for leaks: the process's size says what the system lent, which lags behind."""

from __future__ import annotations

import ctypes

_NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class _Heap(ctypes.Structure):
    """As glibc 2.33 and later tell of it."""

    _fields_ = [(name, ctypes.c_size_t) for name in _NAMES.split()]


def allocated() -> int:
    """Return the bytes in use; raises AttributeError where no such glibc is."""
    tell = ctypes.CDLL(None).mallinfo2
    tell.restype = _Heap
    heap = tell()
    return heap.uordblks + heap.hblkhd
