# SPDX-License-Identifier: MIT
"""What an import achieved, in numbers and sentences; and why, where it achieved too little."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FEW_FEATURES = 200  # a photo with fewer shows little that could be found again
ENOUGH_SHARED = 15  # points a pair of photos shares, fewer say nothing
NAMED = 20  # files that are named in a sentence; the report file has them all
MIN_PLACED, MIN_SHARE = 3, 0.1


@dataclass(frozen=True)
class ImportReport:
    """The outcome of an import. `left_out` are files that are no readable photos, with reasons."""

    scene: str
    photos: int
    placed: int
    error_px: float
    points: int
    unplaced: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    lenses: tuple[str, ...]
    other_models: tuple[int, ...] = ()  # photos in groups that could not be joined to the largest
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ImportReport:
        """Return the report that `to_json` described."""
        pairs = tuple((name, reason) for name, reason in data["left_out"])
        tuples = {key: tuple(data[key]) for key in ("unplaced", "lenses", "other_models")}
        return ImportReport(**{**data, **tuples, "left_out": pairs})

    def lines(self) -> list[str]:
        """Return the report as sentences."""
        found = [
            f"{self.placed} of {self.photos} photos are placed, mean reprojection error {self.error_px:.2f} px, "
            f"{self.points:,} points."
        ]
        if self.unplaced:
            found.append(f"Not placed: {_named(self.unplaced)}.")
        if self.left_out:
            found.append(f"Left out: {_named([f'{name} ({reason})' for name, reason in self.left_out])}.")
        if self.other_models:
            sizes = ", ".join(str(size) for size in self.other_models)
            found.append(
                f"Photos that fit together among themselves but not with the rest: groups of {sizes}."
            )
        return found


def too_few(placed: int, photos: int) -> bool:
    """Whether so few photos were placed that the scene is of no use."""
    return placed < max(MIN_PLACED, MIN_SHARE * photos)


def why_too_few(
    placed: int, photos: int, features: Mapping[str, int], matched: Mapping[tuple[str, str], int]
) -> str:
    """Return the sentence that says how few photos were placed, the likeliest reason, and what to do."""
    start = (
        f"Only {placed} of {photos} photos could be placed"
        if placed
        else f"None of {photos} photos could be placed"
    )
    median = statistics.median(features.values()) if features else 0
    if median < FEW_FEATURES:
        return (
            f"{start}: they show little that can be found again ({median:.0f} features in a typical photo). "
            "Take sharp, well-lit photos of something with texture, or try --quality high."
        )
    good = [pair for pair, shared in matched.items() if shared >= ENOUGH_SHARED]
    linked = {name for pair in good for name in pair}
    if len(linked) < 0.5 * photos or len(good) < photos - 1:
        return (
            f"{start}: only {len(linked)} of them share enough with another photo ({len(good)} of "
            f"{len(matched)} pairs match). Take more photos, each showing two thirds of what the one before it shows."
        )
    return (
        f"{start}: they match one another ({len(good)} of {len(matched)} pairs), but not like views from different "
        "places. Step sideways between photos instead of turning on the spot."
    )


def _named(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"
