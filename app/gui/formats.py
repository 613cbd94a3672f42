# SPDX-License-Identifier: MIT
"""Numbers as people read them: "1,234,567", "61.2 MB", "12.3 ms", "2 min 05 s", "31.52 dB"."""

from __future__ import annotations

import math

from engine.methods.common import AdaptReport

NONE = "–"  # where there is no number


def count(value: int) -> str:
    """Return a whole number with thousands set apart."""
    return f"{value:,}"


def size(n_bytes: float) -> str:
    """Return an amount of memory in the decimal unit that leaves one to three digits before the point."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000.0
    return f"{value:.1f} TB"


def duration(seconds: float | None) -> str:
    """Return a time span: "0.4 s", "12 s", "2 min 05 s", "3 h 07 min"."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def rate(per_second: float) -> str:
    """Return steps per second, or seconds per step where that is more than one."""
    if not per_second > 0.0:
        return NONE
    if per_second < 1.0:
        return f"{1.0 / per_second:.1f} s/it"
    return f"{per_second:.0f} it/s" if per_second >= 9.95 else f"{per_second:.1f} it/s"


def decibels(value: float) -> str:
    """Return a PSNR with its unit."""
    return f"{value:.2f} dB" if math.isfinite(value) else NONE


def milliseconds(value: float) -> str:
    """Return a time in milliseconds with its unit."""
    return f"{value:.1f} ms"


def percent(share: float) -> str:
    """Return a share of 1 in per cent."""
    return f"{100.0 * share:.0f} %"


def short(value: float) -> str:
    """Return a number of a plot or legend in at most four significant digits."""
    return f"{value:,.0f}" if abs(value) >= 1000.0 else f"{value:.4g}"


def legend_range(legend: tuple[float, float, str]) -> str:
    """Return the two ends of a colour map, with the unit if it is a short one: "0.2 to 1.7 m"; the picture says it in full."""
    low, high, unit = legend
    return f"{short(low)} to {short(high)} {unit if len(unit) <= 8 else ''}".rstrip()


def structure_change(report: AdaptReport, unit: str = "voxels") -> str:
    """Return what pruning and splitting did: "1,200 voxels dropped, 300 split, 249,000 now"."""
    text = f"{count(report.pruned)} {unit} dropped, {count(report.split)} split, {count(report.after)} now"
    return f"{text} ({report.reason.rstrip('.')})" if report.reason else text
