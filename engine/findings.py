# SPDX-License-Identifier: MIT
"""What a diagnosis finds, and what its rules ask of the records of a training. No rules here, no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
        return f"--{name} {number(self.value)}"


class History:
    """Records by kind, and what rules ask of them."""

    def __init__(
        self, records: Sequence[Record], values: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> None:
        self.training = [r for r in records if r.get("kind") == "training" and "probes" in r]
        self.evaluated = [r for r in records if r.get("kind") == "evaluated"]
        self.values, self.defaults = values, defaults
        changed = max((r["step"] for r in records if r.get("kind") == "changed"), default=-1)
        self.begin = sum(
            r["step"] <= changed for r in self.training
        )  # of the model as a person last changed it
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
        return found, rounded(value), f"Train with a {'quarter' if down else 'fourfold'} rate."


def rounded(value: float) -> float:
    """Return a number in two digits."""
    return float(f"{value:.2g}")


def number(value: Any) -> str:
    """Return a value as a flag or a sentence has it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
