# SPDX-License-Identifier: MIT
"""Plenoxels' options. Defaults are tuned for time to quality on a CPU; the published schedules are presets.

Densities and everything that multiplies them are given as published: per half edge of the foreground cube, which is
what a unit of length is there (`schedule.UNIT`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from engine.errors import OptionError
from engine.options import option


@dataclass(frozen=True)
class ModelOptions:
    """What the cells hold and how a ray is integrated."""

    sh_degree: int = option(2, "Spherical-harmonics degree of the colours.", minimum=0, maximum=3)
    initial_density: float = option(0.1, "Density every cell starts with.", minimum=0.0, maximum=1e3)
    step_size: float = option(
        0.5, "Distance between samples of a ray, in cells.", minimum=0.05, maximum=2.0, unit="cells"
    )
    stop_trans: float = option(
        1e-4, "A ray ends when less light than this is left.", minimum=0.0, maximum=0.5, live=True
    )
    density_cut: float = option(
        1e-8, "Samples of no more density than this count as empty.", minimum=0.0, maximum=1e3, live=True
    )
    near: float = option(
        0.0, "Rays begin this far from the camera.", minimum=0.0, maximum=10.0, unit="half edges", live=True
    )
    sphere: bool = option(True, "The first grid is a ball; off: the whole box.")
    background: str = option(
        "scene", "What is behind everything; scene: as the photos say.",
        choices=("scene", "white", "grey", "black"),
    )  # fmt: skip
    ndc: bool = option(True, "Forward-facing captures are seen in normalised device coordinates.")
    surroundings: bool = option(True, "Scenes with surroundings have spheres around the box.")


@dataclass(frozen=True)
class RateOptions:
    """The optimiser and its learning rates: start, end, and in how many steps from one to the other."""

    optimiser: str = option(
        "rmsprop", "Either keeps a mean square of the gradients; adam also their mean.",
        choices=("rmsprop", "adam"),
    )  # fmt: skip
    density: float = option(15.0, "Rate of the densities at the start.", minimum=0.0, maximum=1e3, live=True)
    density_final: float = option(
        0.3, "Rate of the densities at the end.", minimum=0.0, maximum=1e3, live=True
    )
    sh: float = option(0.02, "Rate of the colours at the start.", minimum=0.0, maximum=1.0, live=True)
    sh_final: float = option(5e-4, "Rate of the colours at the end.", minimum=0.0, maximum=1.0, live=True)
    sh_rest: float = option(
        1.0, "The view-dependent colours' share of the colours' rate.", minimum=0.0, maximum=10.0, live=True
    )
    decay_steps: int = option(
        6_000, "Rates have reached their end at this step.", minimum=1, unit="steps", live=True
    )
    delay_steps: int = option(
        50,
        "Rates of the densities rise to their full size until this step.",
        minimum=0,
        unit="steps",
        live=True,
    )
    delay_start: float = option(
        0.01, "Share of its full size at which a delayed rate begins.", minimum=0.0, maximum=1.0, live=True
    )
    beta1: float = option(0.5, "Adam's decay of the mean gradient.", minimum=0.0, maximum=0.999)
    beta2: float = option(0.95, "Decay of the mean squared gradient.", minimum=0.0, maximum=0.9999)
    epsilon: float = option(
        1e-9, "Added to the root of the mean square: cells that hear little hardly move.",
        minimum=1e-20, maximum=1.0,
    )  # fmt: skip


@dataclass(frozen=True)
class LossOptions:
    """What is minimised beside the squared error of the pixels."""

    tv_density: float = option(
        1e-5, "Weight of the densities' total variation.", minimum=0.0, maximum=10.0, live=True
    )
    tv_sh: float = option(
        1e-3, "Weight of the colours' total variation.", minimum=0.0, maximum=10.0, live=True
    )
    tv_share: float = option(
        0.01, "Share of the grid in which a step takes total variation, a run of cells; 1: all.",
        minimum=1e-4, maximum=1.0, live=True,
    )  # fmt: skip
    tv_early_only: bool = option(True, "Total variation ends with the first finer grid.", live=True)
    tv_decay: float = option(
        1.0,
        "Total variation is multiplied by this with each finer grid.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    l1: float = option(
        0.0, "Weight of the mean density of the samples.", minimum=0.0, maximum=10.0, live=True
    )
    sparsity: float = option(
        0.0,
        "Weight of the sum of log(1 + 2 density^2) over the samples.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    beta: float = option(
        0.0, "Weight of log T + log(1 - T) of a ray's remaining light: opaque or empty.",
        minimum=0.0, maximum=1.0, live=True,
    )  # fmt: skip


@dataclass(frozen=True)
class PruneOptions:
    """Which cells are dropped."""

    on: bool = option(True, "Cells that show nothing are dropped.", live=True)
    by: str = option(
        "weight", "weight: what no training view sees; density: what is thin.",
        choices=("weight", "density"), live=True,
    )  # fmt: skip
    weight: float = option(
        0.256, "Heaviest blending weight, divided by the resolution, below which a cell is dropped.",
        minimum=0.0, maximum=100.0, live=True,
    )  # fmt: skip
    density: float = option(
        5.0, "Density below which a cell is dropped, if cells are dropped by density.",
        minimum=0.0, maximum=1e4, live=True,
    )  # fmt: skip
    dilations: int = option(
        2, "So many layers of neighbours of what stays stay too.", minimum=0, maximum=8, live=True
    )
    survey_shrink: int = option(
        4,
        "Training views are looked over at so many times fewer pixels a side.",
        minimum=1,
        maximum=16,
        live=True,
    )
    survey_stop: float = option(
        0.2, "Rays of that survey end when less light than this is left.", minimum=0.0, maximum=0.9, live=True
    )
    steps: str = option("", "Steps at which cells are dropped without a finer grid, such as 200 400.")
    max_cells: int = option(
        2_000_000,
        "No more cells than this: the lightest go first.",
        minimum=1_000,
        maximum=400_000_000,
        live=True,
    )


@dataclass(frozen=True)
class ScheduleOptions:
    """From coarse grids to fine ones, and how many rays a step takes."""

    resolutions: str = option(
        "128 256", "Cells a side of the grids, coarse to fine; 256x256x128 where axes differ."
    )
    upsample_at: str = option("800", "Steps at which the finer grids begin.")
    rays: int = option(5_000, "Rays of a step.", minimum=16, maximum=1_000_000, live=True)
    tile: int = option(
        1,
        "Rays come in squares of so many pixels a side: near rays share memory.",
        minimum=1,
        maximum=32,
        live=True,
    )


@dataclass(frozen=True)
class SpheresOptions:
    """The spheres around the box that show what is far away."""

    layers: int = option(16, "Spheres around the box.", minimum=2, maximum=256)
    height: int = option(128, "Texels from pole to pole; twice as many around.", minimum=8, maximum=4096)
    density: float = option(3.0, "Rate of their densities at the start.", minimum=0.0, maximum=1e3, live=True)
    density_final: float = option(
        3e-3, "Rate of their densities at the end.", minimum=0.0, maximum=1e3, live=True
    )
    colour: float = option(0.1, "Rate of their colours at the start.", minimum=0.0, maximum=10.0, live=True)
    colour_final: float = option(
        5e-6, "Rate of their colours at the end.", minimum=0.0, maximum=10.0, live=True
    )
    initial_density: float = option(0.1, "Density they start with.", minimum=0.0, maximum=1e3)
    tv_density: float = option(
        1e-3, "Weight of their densities' total variation.", minimum=0.0, maximum=10.0, live=True
    )
    tv_colour: float = option(
        1e-3, "Weight of their colours' total variation.", minimum=0.0, maximum=10.0, live=True
    )
    inside_from: int = option(
        0, "The box stays empty until this step, only the spheres are trained.", minimum=0, unit="steps"
    )


@dataclass(frozen=True)
class ForwardOptions:
    """What holds instead in forward-facing captures (with model.ndc): few views, so neighbours have to agree."""

    resolutions: str = option("128x128x64 256x256x96", "schedule.resolutions in forward-facing captures.")
    tv_density: float = option(
        5e-4, "losses.tv_density in forward-facing captures.", minimum=0.0, maximum=10.0, live=True
    )
    tv_sh: float = option(
        5e-3, "losses.tv_sh in forward-facing captures.", minimum=0.0, maximum=10.0, live=True
    )
    tv_early_only: bool = option(False, "losses.tv_early_only in forward-facing captures.", live=True)
    prune_by: str = option(
        "weight", "prune.by in forward-facing captures.", choices=("weight", "density"), live=True
    )


@dataclass(frozen=True)
class PlenoxelsConfig:
    """All options of the Plenoxels method."""

    model: ModelOptions = field(default_factory=ModelOptions)
    rates: RateOptions = field(default_factory=RateOptions)
    losses: LossOptions = field(default_factory=LossOptions)
    prune: PruneOptions = field(default_factory=PruneOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    spheres: SpheresOptions = field(default_factory=SpheresOptions)
    forward: ForwardOptions = field(default_factory=ForwardOptions)

    def __post_init__(self) -> None:
        for resolutions, name in (
            (self.schedule.resolutions, "schedule.resolutions"),
            (self.forward.resolutions, "forward.resolutions"),
        ):
            parse_resolutions(resolutions, name)
        parse_steps(self.schedule.upsample_at, "schedule.upsample_at")
        parse_steps(self.prune.steps, "prune.steps")


def parse_resolutions(text: str, name: str = "schedule.resolutions") -> tuple[tuple[int, int, int], ...]:
    """Return the grids' cells along X, Y, Z, given text such as "128 256" or "256x256x128"."""
    grids = []
    for word in text.replace(",", " ").split():
        parts = word.lower().split("x")
        if len(parts) not in (1, 3) or not all(part.isdecimal() and 4 <= int(part) <= 4096 for part in parts):
            raise OptionError(
                f"Option {name} must be sizes of 4 to 4096 such as 128 or 256x256x128, got {word!r}."
            )
        x, y, z = (int(part) for part in (parts if len(parts) == 3 else parts * 3))
        grids.append((x, y, z))
    if not grids:
        raise OptionError(f"Option {name} must name one grid at least, got {text!r}.")
    return tuple(grids)


def parse_steps(text: str, name: str = "schedule.upsample_at") -> tuple[int, ...]:
    """Return rising step numbers, given text such as "400 1200"; empty text means none."""
    words = text.replace(",", " ").split()
    steps = tuple(int(word) for word in words if word.isdecimal())
    if len(steps) < len(words) or any(b <= a for a, b in zip((0, *steps), steps, strict=False)):
        raise OptionError(f"Option {name} must be rising step numbers such as 400 1200, got {text!r}.")
    return steps


def in_scene(config: PlenoxelsConfig, forward_facing: bool) -> PlenoxelsConfig:
    """Return the options that hold in a scene."""
    if not forward_facing:
        return config
    special = config.forward
    return replace(
        config,
        model=replace(config.model, sphere=False),
        losses=replace(
            config.losses,
            tv_density=special.tv_density,
            tv_sh=special.tv_sh,
            tv_early_only=special.tv_early_only,
        ),
        prune=replace(config.prune, by=special.prune_by),
        schedule=replace(config.schedule, resolutions=special.resolutions),
    )
