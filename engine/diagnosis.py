# SPDX-License-Identifier: MIT
"""What goes wrong in a training, found by rules in what was recorded of it: evidence in numbers, and one change to try.

Pure functions of the records of `engine.monitor` (a run's `metrics.jsonl`) and of the options in force; no model is needed. A
rule that finds nothing says nothing: a training that is merely slow, short or difficult has no findings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

Record = Mapping[str, Any]

QUANTILES = (
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.25,
    0.5,
)  # of the depths of a look's pixels, empty ones infinitely far

COLLAPSE_DB = 5.0  # training PSNR below its best; sharper photos and finer voxels cost less than half of it
LEARNED_DB = 1.0  # a training that got no further than this since its first record has not converged
POOR_DB = 20.0  # and is not merely at its end
PATIENCE_STEPS = 200  # before a training is called stuck
EMPTY_SHARE = 0.01  # of the most voxels there were
NOTHING_SHOWN = 0.02  # mean opacity of a picture
SUBJECT = 0.05  # share of the photos' pixels that are not background
PAINTED, FLAT, OFF = (
    0.9,
    0.03,
    0.15,
)  # opacity where photos show one colour, how flat that is, how far from the background
NEAR = 0.25  # of the usual depth: what is nearer hangs in front of the camera
NEAR_SHARE = 0.02  # of a picture's pixels
DRIFT = 0.04  # spread of the photos' brightness against the pictures', as a logarithm: about 4 %
GAP_DB, FELL_DB = 5.0, 0.7  # training above held-out views, and what those have lost since their best
LEAST_VIEWS = 6  # to tell the drift of photos from errors of single ones
RECENT = 24  # looks at views that count


@dataclass(frozen=True)
class Finding:
    """One thing that goes wrong. `evidence` is a sentence with numbers; `option` and `value` are the one change to try.

    `advice` says what that change does; `of_scene`: the option is of how the scene is read, so the scene is opened anew.
    """

    id: str
    title: str
    evidence: str
    option: str
    value: Any
    advice: str
    of_scene: bool = False

    @property
    def flag(self) -> str:
        """The change as a flag of the command line."""
        name = self.option.replace("_", "-")
        if isinstance(self.value, bool):
            head, _, last = name.rpartition(".")
            return f"--{name}" if self.value else f"--{head}{'.' if head else ''}no-{last}"
        return f"--{name} {_number(self.value)}"


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


class History:
    """Records by kind, and what rules ask of them."""

    def __init__(
        self, records: Sequence[Record], values: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> None:
        self.training = [r for r in records if r.get("kind") == "training" and "probes" in r]
        self.evaluated = [r for r in records if r.get("kind") == "evaluated"]
        self.values, self.defaults = values, defaults
        self.quality = [
            float(r["psnr_mean"]) for r in self.training
        ]  # mean over the steps since the record before

    @property
    def last(self) -> Record:
        """The newest record."""
        return self.training[-1]

    def probes(self, count: int = RECENT, from_step: int = 0) -> list[Record]:
        """Return the newest look at each view, of the newest looks, oldest first."""
        looks = [look for r in self.training if r["step"] >= from_step for look in r["probes"]]
        newest = {look["view"]: look for look in looks[-count:]}
        return list(newest.values())

    def rate(self, down: bool) -> tuple[str, Any, str]:
        """Return (option, value, what that does) that slows training down, or speeds it up: back to a default, if one is far."""
        found, most = "rates.density", 1.5
        for name, value in self.values.items():
            default = self.defaults.get(name)
            numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (value, default))
            if (
                not name.startswith("rates.")
                or name.startswith("rates.beta")
                or not numbers
                or not default > 0
            ):
                continue
            ratio = value / default if down else default / max(value, 1e-30)
            if ratio > most:
                found, most = name, ratio
        if most > 1.5:
            return found, self.defaults[found], "It is far from its default; go back to that."
        now = float(self.values.get(found, 1.0))
        value = now * (0.25 if down else 4.0)
        return found, _rounded(value), f"Train with a {'quarter' if down else 'fourfold'} rate."


# --- what breaks a training ---------------------------------------------------------------------------------------


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
    smooth = [median(history.quality[max(0, i - 2) : i + 1]) for i in range(len(history.quality))]
    best = max(range(len(smooth)), key=smooth.__getitem__)
    if smooth[best] - smooth[-1] < COLLAPSE_DB:
        return None
    then, now = history.training[best], history.last
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
    evidence = f"{now['voxels']:,} voxels are left of {most:,} at step {now['step']:,}, and {option} is {_number(value)}."
    rate = history.rate(down=False)
    if value <= default and rate[1] == history.defaults.get(rate[0]):
        change = (
            rate[0],
            rate[1],
            "Voxels are dropped before they have learned anything: train faster, and reset.",
        )
    else:
        fewer = default if value > default else _rounded(value / 4)
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


# --- what follows from a wrong setting ----------------------------------------------------------------------------


def painted_background(history: History) -> Finding | None:
    """Voxels stand where photos show one flat colour all around that is not the background's."""
    looks = history.probes(12, from_step=PATIENCE_STEPS // 2)
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
    looks = [p for p in history.probes(from_step=PATIENCE_STEPS // 2) if any(p["depths"])]
    if len(looks) < 3:
        return 0.0, {}
    usual = median([d for d in p["depths"] if d is not None][-1] for p in looks)
    return usual, {p["view"]: _share_below(p["depths"], NEAR * usual) for p in looks}


def _against_floaters(history: History) -> tuple[str, Any, str]:
    if "losses.distortion" in history.values:
        if history.values["losses.distortion"] <= 0.0:
            return "losses.distortion", 0.1, "Ask for one surface per ray."
        now = float(history.values["adapt.prune_threshold"])
        return "adapt.prune_threshold", _rounded(min(1.0, 2 * now)), "Drop voxels that few views need."
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
        option, value = "adapt.pixels_per_voxel", _rounded(values["adapt.pixels_per_voxel"] / 4)
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
    looks = [p for p in history.probes(from_step=PATIENCE_STEPS // 2) if None not in p["gain"]]
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
    option = "losses.total_variation" if "losses.total_variation" in history.values else "losses.tv_density"
    value = _rounded(max(3.0 * float(history.values.get(option, 0.0)), 1e-4))
    return Finding(
        "over_fitting", "Photos are learned by heart", evidence, option, value, "Ask neighbours to agree."
    )


_CAUSES: tuple[Callable[[History], Finding | None], ...] = (
    not_finite,
    empty_scene,
    exploding,
    all_background,
)
_RULES: tuple[Callable[[History], Finding | None], ...] = (
    not_converging,
    painted_background,
    floaters,
    budget_early,
    exposure_drift,
    over_fitting,
)


def _numbers(record: Record) -> Iterator[tuple[str, float]]:
    """Yield (name for people, value) of what must be finite."""
    yield "PSNR", float(record["psnr_mean"])
    for name, value in record.get("losses", {}).items():
        yield f"the loss term {name}", float(value)
    for name in ("gradient_densities", "gradient_colours"):
        if name in record:
            yield f"the {name.replace('_', ' of the ')}", float(record[name])


def _share_below(depths: Sequence[float | None], limit: float) -> float:
    """Return the share of pixels that are surely nearer than a depth."""
    return max((q for q, depth in zip(QUANTILES, depths) if depth is not None and depth < limit), default=0.0)


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _colour(rgb: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * min(1.0, max(0.0, v))):02x}" for v in rgb)
