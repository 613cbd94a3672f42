# SPDX-License-Identifier: MIT
"""How the worker's time is spent: smoothed costs, shares of the last seconds, rates; and how much memory it holds."""

from __future__ import annotations

from collections import deque

HALF_LIFE_S = 0.1  # of the smoothed costs: quick enough to follow a subdivision, slow enough to read
WINDOW_S = 2.0  # shares and rates are over this long


class Meter:
    """Hears how long each piece of work took. Kinds are "train", "view", "job", "evaluate"."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._spans: deque[tuple[float, str, float]] = deque()  # (end, kind, seconds), oldest first
        self._costs: dict[str, float] = {}

    def record(self, kind: str, end: float, seconds: float) -> None:
        """Note one piece of work that ended at `end` and took `seconds`."""
        self._spans.append((end, kind, seconds))
        known = self._costs.get(kind)
        weight = 1.0 if known is None else 1.0 - 0.5 ** (seconds / HALF_LIFE_S)
        self._costs[kind] = seconds if known is None else known + weight * (seconds - known)
        while self._spans[0][0] < end - WINDOW_S:
            self._spans.popleft()

    def cost_ms(self, kind: str) -> float:
        """Return the smoothed duration of one piece of this kind; 0 before the first."""
        return 1000.0 * self._costs.get(kind, 0.0)

    def share(self, kind: str, now: float) -> float:
        """Return the part of the last seconds spent on this kind, 0..1."""
        begin = self._begin(now)
        inside = sum(min(s, end - begin) for end, k, s in self._spans if k == kind and end > begin)
        return min(1.0, inside / max(now - begin, 1e-9)) if inside > 0.0 else 0.0

    def rate(self, kind: str, now: float) -> float:
        """Return how many pieces of this kind ended per second lately."""
        begin = self._begin(now)
        count = sum(1 for end, k, _ in self._spans if k == kind and end > begin)
        return count / max(now - begin, 1e-9) if count else 0.0

    def restart(self, now: float) -> None:
        """Forget what was, as when training starts after a pause: rates begin anew."""
        self._start = now
        self._spans.clear()

    def _begin(self, now: float) -> float:
        return max(now - WINDOW_S, self._start)


def resident_bytes() -> int:
    """Return the memory that this process holds."""
    import psutil

    return psutil.Process().memory_info().rss
