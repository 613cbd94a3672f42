# SPDX-License-Identifier: MIT
"""What people choose instead of an encoder's numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quality:
    """What a preset means: x264's `crf`, 0 (lossless) to 51, how much time it takes (`preset`), and WebP's quality to 100.

    "veryfast" costs 15 ms of a core for a picture of 1280 x 720, half of what "medium" takes, for the same size of file.
    `bits` of a pixel is what films of scenes come to, for estimates.
    """

    crf: int
    preset: str
    webp: int
    bits: float


QUALITIES = {
    "small": Quality(28, "veryfast", 60, 0.06),
    "good": Quality(22, "veryfast", 75, 0.14),
    "high": Quality(18, "veryfast", 88, 0.28),
    "best": Quality(12, "faster", 96, 0.75),
}
DEFAULT_QUALITY = "high"
