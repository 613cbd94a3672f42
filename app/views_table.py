# SPDX-License-Identifier: MIT
"""The table of views: what training and evaluation know of each photo, sorted by any column, or as a CSV file."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass

import numpy as np

from app.session import Session
from engine.datasets.shots import natural_key

NAN = float("nan")


@dataclass(frozen=True)
class ViewRow:
    """One view. `psnr_last` and `psnr_mean` in dB are of its training pictures, `held_out_psnr` of the last evaluation."""

    index: int
    name: str
    held_out: bool
    excluded: bool = False
    psnr_last: float = NAN
    psnr_mean: float = NAN
    seen: int = 0
    held_out_psnr: float = NAN
    held_out_ssim: float = NAN


COLUMNS = ("used", "name", "psnr_last", "psnr_mean", "seen", "held_out_psnr")  # what one can sort by


def rows(session: Session) -> list[ViewRow]:
    """Return a row for each view of the open scene, training and held-out ones in the order of the files' names."""
    scene, found = session.scene, []
    if scene is None:
        return found
    tally = session.stats.views if session.stats is not None else None
    quality = (
        {name: (psnr, ssim) for name, psnr, ssim in session.evaluated.per_view} if session.evaluated else {}
    )
    for index, view in enumerate(scene.views):
        if view.held_out:
            psnr, ssim = quality.get(view.name, (NAN, NAN))
            found.append(ViewRow(index, view.name, True, held_out_psnr=psnr, held_out_ssim=ssim))
            continue
        numbers = (NAN, NAN, 0)
        if tally is not None and index < len(tally.seen):
            numbers = float(tally.psnr_last[index]), float(tally.psnr_mean[index]), int(tally.seen[index])
        found.append(ViewRow(index, view.name, False, index in session.excluded, *numbers))
    return in_order(found, "name")


def psnr_of_views(session: Session) -> np.ndarray:
    """Return the PSNR [C] in dB that is known of each view, NaN where none is: of a training view the mean of its training
    pictures, of a held-out one that of the last evaluation.
    """
    scene, stats = session.scene, session.stats
    values = np.full(0 if scene is None else len(scene.views), np.nan)
    if scene is None:
        return values
    if stats is not None and stats.views is not None and len(stats.views.psnr_mean) == scene.n_train:
        values[: scene.n_train] = stats.views.psnr_mean
    if session.evaluated is not None:
        found = {name: psnr for name, psnr, _ in session.evaluated.per_view}
        values[scene.n_train :] = [found.get(view.name, np.nan) for view in scene.views[scene.n_train :]]
    return values


def in_order(table: list[ViewRow], column: str, descending: bool = False) -> list[ViewRow]:
    """Return the rows sorted by one of COLUMNS; rows without a number come last either way."""
    if column == "name":
        return sorted(table, key=lambda row: natural_key(row.name), reverse=descending)
    if column == "used":
        return sorted(table, key=lambda row: (row.held_out, row.excluded, row.index), reverse=descending)
    sign = -1.0 if descending else 1.0

    def place(row: ViewRow) -> tuple[bool, float, int]:
        value = float(getattr(row, column))
        missing = math.isnan(value) or (column == "seen" and row.held_out)
        return missing, 0.0 if missing else sign * value, row.index

    return sorted(table, key=place)


def shared_folder_length(names: list[str]) -> int:
    """Return how many characters all names begin with, up to and with the last slash among them."""
    if not names:
        return 0
    low, high = min(names), max(names)  # what these two share, all between them share
    same = next((i for i, (a, b) in enumerate(zip(low, high)) if a != b), min(len(low), len(high)))
    return low.rfind("/", 0, same) + 1


def csv_text(table: list[ViewRow]) -> str:
    """Return the table as CSV: a header, numbers with four decimals, nothing where there is no number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("name", "use", "psnr_last_db", "psnr_mean_db", "times_seen", "held_out_psnr_db", "held_out_ssim")
    )
    for row in table:
        use = "held out" if row.held_out else ("left out" if row.excluded else "train")
        seen = "" if row.held_out else row.seen
        writer.writerow(
            (row.name, use, _number(row.psnr_last), _number(row.psnr_mean), seen,
             _number(row.held_out_psnr), _number(row.held_out_ssim))
        )  # fmt: skip
    return text.getvalue()


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"
