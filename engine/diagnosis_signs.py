# SPDX-License-Identifier: MIT
"""Rules for trainings that go on, but not as well as they could: each says what it saw, and one change to try."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from engine.findings import QUANTILES, Finding, History, rounded

FROM_STEP = 100  # looks at earlier steps say little
FLAT, OFF, PAINTED = 0.03, 0.15, 0.9  # how flat a frame is, how far from the background, how opaque there
NEAR = 0.25  # of the usual depth: what is nearer hangs in front of the camera
NEAR_SHARE = 0.02  # of a picture's pixels
DRIFT = 0.04  # spread of the photos' brightness against the pictures', as a logarithm: about 4 %
GAP_DB, FELL_DB = 5.0, 0.7  # training above held-out views, and what those have lost since their best
LEAST_VIEWS = 6  # to tell the drift of photos from errors of single ones


def painted_background(history: History) -> Finding | None:
    """Voxels stand where photos show one flat colour all around that is not the background's."""
    looks = history.probes(12, from_step=FROM_STEP)
    flat = [p for p in looks if p["border_spread"] is not None and p["border_spread"] < FLAT]
    if len(flat) < max(3, 0.7 * len(looks)):
        return None
    colour = [median(p["border"][c] for p in flat) for c in range(3)]
    drawn = flat[-1]["background"]
    off = max(abs(a - b) for a, b in zip(colour, drawn))
    opacity = median(p["border_opacity"] or 0.0 for p in flat)
    if off < OFF or opacity < PAINTED:
        return None
    evidence = (
        f"The frames of {len(flat)} photos are of one colour, {_colour(colour)}, and the background is {_colour(drawn)}; there "
        f"voxels are {opacity:.0%} opaque to make up for it."
    )
    value = "white" if min(colour) > 0.85 else "black" if max(colour) < 0.15 else "learned"
    advice = f"Read the scene with a {value} background."
    return Finding(
        "painted_background",
        "The background is made of voxels",
        evidence,
        "background",
        value,
        advice,
        of_scene=True,
    )


def floaters(history: History) -> Finding | None:
    """Opaque voxels hang much nearer to a camera than what it was aimed at."""
    usual, shares = _near(history)
    bad = [view for view, share in shares.items() if share >= NEAR_SHARE]
    if not bad:
        return None
    worst = max(bad, key=shares.__getitem__)
    evidence = (
        f"In {len(bad)} of {len(shares)} training views something opaque is nearer than {NEAR:.0%} of the usual depth "
        f"({NEAR * usual:.2f}); it covers at least {shares[worst]:.0%} of view {worst}."
    )
    return Finding("floaters", "Floaters near cameras", evidence, *_against_floaters(history))


def _near(history: History) -> tuple[float, dict[int, float]]:
    """Return the usual depth, and the share of each view's pixels that show something far nearer; too few views: nothing."""
    looks = [p for p in history.probes(from_step=FROM_STEP) if any(p["depths"])]
    if len(looks) < 3:
        return 0.0, {}
    usual = median([d for d in p["depths"] if d is not None][-1] for p in looks)
    return usual, {p["view"]: _share_below(p["depths"], NEAR * usual) for p in looks}


def _against_floaters(history: History) -> tuple[str, Any, str]:
    if "losses.transparency" in history.values:
        now = float(history.values["losses.transparency"])
        value = rounded(max(1e-3, min(10.0, 10 * now)))
        return "losses.transparency", value, "Ask space that nobody sees to be clear."
    if "losses.distortion" in history.values:
        if history.values["losses.distortion"] <= 0.0:
            return "losses.distortion", 0.1, "Ask for one surface per ray."
        now = float(history.values["adapt.prune_threshold"])
        return "adapt.prune_threshold", rounded(min(1.0, 2 * now)), "Drop voxels that few views need."
    return "model.near", 0.2, "Begin rays farther from the cameras, and reset."


def budget_early(history: History) -> Finding | None:
    """The voxel budget is used up before photos were seen at their full size."""
    values = history.values
    if "adapt.max_voxels" not in values:
        return None
    from_step = values.get("schedule.half_until", 0) + values.get("adapt.every_steps", 0)
    first = next((r for r in history.training if r["voxels"] > r["budget"] - 8), None)
    if first is None or first["step"] > from_step or first["step"] >= values["adapt.until_step"]:
        return None
    evidence = (
        f"{first['voxels']:,} voxels of at most {first['budget']:,} were there at step {first['step']:,}, before finer ones "
        f"were asked for at step {from_step:,}."
    )
    if first["budget"] < values["adapt.max_voxels"]:
        option, value = "adapt.pixels_per_voxel", rounded(values["adapt.pixels_per_voxel"] / 4)
    else:
        option = "adapt.max_voxels"
        value = max(4 * values[option], min(int(history.defaults.get(option, 0)), 16 * first["voxels"]))
    return Finding(
        "budget_early", "The voxel budget is reached too early", evidence, option, value, "Allow more voxels."
    )


def exposure_drift(history: History) -> Finding | None:
    """Photos are brighter or darker than the scene, each by its own factor."""
    if history.values.get("exposure.on", True):
        return None  # already fitted, or the method cannot
    hidden = {view for view, share in _near(history)[1].items() if share >= NEAR_SHARE}
    looks = [p for p in history.probes(from_step=FROM_STEP) if None not in p["gain"]]
    looks = [p for p in looks if p["view"] not in hidden]
    if len(looks) < LEAST_VIEWS:
        return None
    spreads = []
    for channel in range(3):
        logs = [math.log(max(p["gain"][channel], 1e-3)) for p in looks]
        middle = median(logs)
        spreads.append(
            1.48 * median(abs(x - middle) for x in logs)
        )  # the standard deviation, outliers left out
    spread = max(spreads)
    if spread < DRIFT:
        return None
    gains = [fmean(p["gain"]) for p in looks]
    evidence = (
        f"Against the pictures of the scene {len(looks)} photos are {min(gains):.2f} to {max(gains):.2f} times as bright, "
        f"spread {spread:.0%}."
    )
    advice = "Fit a gain and an offset to each photo."
    return Finding("exposure_drift", "Exposure drifts", evidence, "exposure.on", True, advice)


def over_fitting(history: History) -> Finding | None:
    """Training views still become better, held-out ones worse."""
    if len(history.evaluated) < 3:
        return None
    best = max(history.evaluated, key=lambda r: r["psnr"])
    last = history.evaluated[-1]
    gap, fell = history.quality[-1] - last["psnr"], best["psnr"] - last["psnr"]
    if not (gap > GAP_DB and fell > FELL_DB):
        return None
    evidence = (
        f"Held-out PSNR fell from {best['psnr']:.1f} dB at step {best['step']:,} to {last['psnr']:.1f} dB; training views are "
        f"at {history.quality[-1]:.1f} dB."
    )
    advice = _against_over_fitting(history)
    return Finding("over_fitting", "Photos are learned by heart", evidence, *advice)


def _against_over_fitting(history: History) -> tuple[str, Any, str]:
    if "field.log2_table" in history.values:
        return (
            "field.log2_table",
            max(8, int(history.values["field.log2_table"]) - 2),
            "Learn less, and reset.",
        )
    option = "losses.total_variation" if "losses.total_variation" in history.values else "losses.tv_density"
    value = rounded(max(3.0 * float(history.values.get(option, 0.0)), 1e-4))
    return option, value, "Ask neighbours to agree."


def _share_below(depths: Sequence[float | None], limit: float) -> float:
    """Return the share of pixels that are surely nearer than a depth."""
    return max((q for q, depth in zip(QUANTILES, depths) if depth is not None and depth < limit), default=0.0)


def _colour(rgb: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * min(1.0, max(0.0, v))):02x}" for v in rgb)
