# SPDX-License-Identifier: MIT
"""How long named sections take: by CUDA events where there is a card, else by the clock."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch

RENDERING = "rendering"  # the section that `avg_render_time` is about


class CUDAProfiler:
    """Times sections between `start_profiling` and `stop_profiling`. Works without a card, where what is the card's is 0.

    On a card torch's profiler counts kernels and transfers, which costs a little time of its own; `counting` False leaves
    it out.
    """

    def __init__(self, counting: bool = True) -> None:
        self._cuda = torch.cuda.is_available()
        self._counting = counting and self._cuda
        self._times: dict[str, list[tuple[Any, int]]] = {}
        self._active = False
        self._traced: Any = None
        self._counts = (0, 0.0)
        self._peak_bytes = 0

    def start_profiling(self) -> None:
        """Forget what was measured and begin."""
        self._times, self._counts, self._active = {}, (0, 0.0), True
        if self._cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        if self._counting:
            self._traced = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
            self._traced.__enter__()

    @contextlib.contextmanager
    def profile_section(self, name: str, calls: int = 1) -> Iterator[None]:
        """Time a block under a name; `calls` says how often it does what is measured. Outside profiling nothing is kept."""
        if not self._active:
            yield
            return
        first = self._moment()
        try:
            yield
        finally:
            self._times.setdefault(name, []).append(((first, self._moment()), calls))

    def stop_profiling(self) -> None:
        """End; waits for the card."""
        if self._cuda:
            torch.cuda.synchronize()
            self._peak_bytes = torch.cuda.max_memory_allocated()
        if self._traced is not None:
            self._traced.__exit__(None, None, None)
            self._counts, self._traced = _kernels_and_transfers(self._traced), None
        self._active = False

    def get_stats(self) -> dict[str, Any]:
        """Return what was measured since `start_profiling`.

        `avg_render_time` ms per call of the section "rendering", or of all sections if there is none of that name;
        `sections` {name: {"mean_ms", "calls"}}; `peak_memory_gb`, `kernel_calls`, `data_transfer_time` in ms: of the card,
        else 0.
        """
        sections = {}
        for name, spans in self._times.items():
            calls = sum(count for _, count in spans)
            total = sum(self._between(*span) for span, _ in spans)
            sections[name] = {"mean_ms": total / max(calls, 1), "calls": calls}
        chosen = [sections[RENDERING]] if RENDERING in sections else list(sections.values())
        calls = sum(s["calls"] for s in chosen)
        return {
            "avg_render_time": sum(s["mean_ms"] * s["calls"] for s in chosen) / max(calls, 1),
            "peak_memory_gb": self._peak_bytes / 2**30,
            "kernel_calls": self._counts[0],
            "data_transfer_time": self._counts[1],
            "sections": sections,
        }

    def _moment(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, first: Any, last: Any) -> float:
        """Return milliseconds between two moments."""
        if not self._cuda:
            return (last - first) * 1e3
        last.synchronize()
        return first.elapsed_time(last)


def _kernels_and_transfers(traced: Any) -> tuple[int, float]:
    """Return how many kernels ran and how many milliseconds were spent on copies."""
    kernels, transfers_us = 0, 0.0
    for event in traced.key_averages():
        if event.device_type != torch.autograd.DeviceType.CUDA:
            continue
        if event.key.startswith("Memcpy"):
            transfers_us += event.device_time_total
        elif not event.key.startswith("Memset"):
            kernels += event.count
    return kernels, transfers_us / 1e3
