# SPDX-License-Identifier: MIT
"""What goes wrong in a training, found by rules in what was recorded of it: evidence in numbers, and one change to try.

Pure functions of the records of `engine.monitor` (a run's `metrics.jsonl`) and of the options in force; no model is needed. A
rule that finds nothing says nothing: a training that is merely slow, short or difficult has no findings. Rules for what breaks
a training are here, the others in `engine.diagnosis_signs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from engine import diagnosis_signs as signs
from engine.findings import Finding, History, Record, number, rounded

__all__ = ["Finding", "diagnose", "watched"]

COLLAPSE_DB = 5.0  # training PSNR below its best; sharper photos and finer voxels cost less than half of it
LEARNED_DB = 1.0  # a training that got no further than this since its first record has not converged
POOR_DB = 20.0  # and is not merely at its end
PATIENCE_STEPS = 200  # before a training is called stuck
EMPTY_SHARE = 0.01  # of the most voxels there were
NOTHING_SHOWN = 0.02  # mean opacity of a picture
SUBJECT = 0.05  # share of the photos' pixels that are not background


def watched(records: Sequence[Record]) -> bool:
    """Whether records say enough for a diagnosis; those of earlier versions do not."""
    return any("probes" in record for record in records)


def diagnose(
    records: Sequence[Record], values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Return what goes wrong; where a training is broken, that alone: the rest would follow from it.

    `values` and `defaults` are options by dotted name.
    """
    history = History(records, values, values if defaults is None else defaults)
    if not history.training:
        return []
    for rule in _CAUSES:
        if (found := rule(history)) is not None:
            return [found]
    return [found for rule in _RULES if (found := rule(history)) is not None]


def not_finite(history: History) -> Finding | None:
    """Numbers that are none any more."""
    for record in history.training[-3:]:
        wrong = [name for name, number in _numbers(record) if not math.isfinite(number)]
        if wrong:
            evidence = f"At step {record['step']:,} {' and '.join(wrong[:2])} {'is' if len(wrong) == 1 else 'are'} not finite."
            return Finding("exploding", "Training explodes", evidence, *history.rate(down=True))
    return None


def exploding(history: History) -> Finding | None:
    """A quality that was there and is gone."""
    quality = history.quality[history.begin :]
    if not quality:
        return None
    smooth = [median(quality[max(0, i - 2) : i + 1]) for i in range(len(quality))]
    best = max(range(len(smooth)), key=smooth.__getitem__)
    if smooth[best] - smooth[-1] < COLLAPSE_DB:
        return None
    then, now = history.training[history.begin + best], history.last
    evidence = (
        f"PSNR on training views fell from {smooth[best]:.1f} dB at step {then['step']:,} to {smooth[-1]:.1f} dB at "
        f"step {now['step']:,}."
    )
    return Finding("exploding", "Training explodes", evidence, *history.rate(down=True))


def empty_scene(history: History) -> Finding | None:
    """All but a few voxels were dropped."""
    now, most = history.last, max(r["voxels"] for r in history.training)
    option = next((n for n in ("adapt.prune_threshold", "prune.weight") if n in history.values), None)
    if now["voxels"] > max(8, EMPTY_SHARE * most) or option is None:
        return None
    value, default = float(history.values[option]), history.defaults[option]
    evidence = f"{now['voxels']:,} voxels are left of {most:,} at step {now['step']:,}, and {option} is {number(value)}."
    rate = history.rate(down=False)
    if value <= default and rate[1] == history.defaults.get(rate[0]):
        change = (
            rate[0],
            rate[1],
            "Voxels are dropped before they have learned anything: train faster, and reset.",
        )
    else:
        fewer = default if value > default else rounded(value / 4)
        change = option, fewer, "Drop fewer voxels, then reset: what was dropped does not come back."
    return Finding("empty_scene", "The scene is empty", evidence, *change)


def all_background(history: History) -> Finding | None:
    """Pictures show nothing but the background, and photos do show something."""
    looks = history.probes(8)
    opacity, subject = fmean(p["opacity"] or 0.0 for p in looks), fmean(p["subject"] or 0.0 for p in looks)
    if opacity > NOTHING_SHOWN or subject < SUBJECT or history.last["step"] < PATIENCE_STEPS / 2:
        return None
    evidence = (
        f"Pictures of {len(looks)} views are {opacity:.1%} opaque on average at step {history.last['step']:,}, while "
        f"{subject:.0%} of their photos' pixels are not of the background's colour."
    )
    start, default = "model.initial_density", history.defaults.get("model.initial_density")
    if default is not None and history.values[start] < default:
        change = (
            start,
            default,
            "Voxels start so thin that no gradient reaches them; start with more and reset.",
        )
    else:
        change = history.rate(down=False)
    return Finding("all_background", "All is background", evidence, *change)


def not_converging(history: History) -> Finding | None:
    """Quality is poor and has not moved since the first record."""
    begin, now, step = history.quality[0], max(history.quality[-3:]), history.last["step"]
    if step < PATIENCE_STEPS or len(history.quality) < 3 or now - begin > LEARNED_DB or now > POOR_DB:
        return None
    evidence = (
        f"PSNR on training views was {begin:.1f} dB up to step {history.training[0]['step']:,} and is {now:.1f} dB at "
        f"step {step:,}."
    )
    slow = history.rate(down=False)
    fast = history.rate(down=True)
    change = fast if "default" in fast[2] and "default" not in slow[2] else slow
    return Finding("not_converging", "Training does not converge", evidence, *change)


def _numbers(record: Record) -> Iterator[tuple[str, float]]:
    """Yield (name for people, value) of what must be finite."""
    yield "PSNR", float(record["psnr_mean"])
    for name, value in record.get("losses", {}).items():
        yield f"the loss term {name}", float(value)
    for name in ("gradient_densities", "gradient_colours"):
        if name in record:
            yield f"the {name.replace('_', ' of the ')}", float(record[name])


_CAUSES: tuple[Callable[[History], Finding | None], ...] = (
    not_finite,
    empty_scene,
    exploding,
    all_background,
)
_RULES: tuple[Callable[[History], Finding | None], ...] = (
    not_converging,
    signs.painted_background,
    signs.floaters,
    signs.budget_early,
    signs.exposure_drift,
    signs.over_fitting,
)
