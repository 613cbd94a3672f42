# SPDX-License-Identifier: MIT
"""InfNeRF's options. Defaults are tuned for time to quality on a CPU; the published sizes and schedule are a preset."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as group  # one of the groups is called field

from engine.errors import OptionError
from engine.options import option


@dataclass(frozen=True)
class FieldOptions:
    """The field that every node of the tree holds, all of one size."""

    levels: int = option(8, "Grids of the hash encoding, coarse to fine.", minimum=1, maximum=16)
    log2_table: int = option(
        14, "Entries of a grid's table, as a power of two.", minimum=8, maximum=22, unit="log2"
    )
    base_res: int = option(
        8, "Cells a side of the coarsest grid of a node.", minimum=2, maximum=512, unit="cells"
    )
    max_res: int = option(
        64, "Cells a side of the finest grid of a node: its detail, and how deep a tree gets.",
        minimum=4, maximum=4096, unit="cells",
    )  # fmt: skip
    hidden: int = option(
        32, "Width of the networks' hidden layers, a multiple of 16.", minimum=16, maximum=128
    )
    geometry: int = option(
        15, "Values that the density network hands to the colour network.", minimum=1, maximum=15
    )
    density_unit: float = option(
        1.0, "A field's density is this where its networks say 0.", minimum=1e-3, maximum=1e4, unit="per edge"
    )
    appearance: int = option(
        0, "Length of the vector learned for each photo, for light that changes; 0: none.",
        minimum=0, maximum=64,
    )  # fmt: skip


@dataclass(frozen=True)
class TreeOptions:
    """How deep the tree goes. Where points show no finer detail, it has no finer node."""

    max_depth: int = option(
        4, "The tree has no more levels than this; 1: the root alone.", minimum=1, maximum=16
    )
    gsd_divisor: float = option(
        2.0, "Nodes are trained by pixels this many times finer than their finest cells.",
        minimum=0.25, maximum=8.0,
    )  # fmt: skip
    min_points: int = option(
        0, "A child needs more points than this.", minimum=0, maximum=1_000_000, unit="points"
    )
    background: bool = option(
        True, "Scenes with surroundings have them in the root, by contraction of space."
    )


@dataclass(frozen=True)
class SamplingOptions:
    """Where along a ray the fields are asked. Every node keeps densities on a small grid; they say where it is empty."""

    samples: int = option(
        48, "Samples of a ray at most, at which fields are evaluated.", minimum=2, maximum=1024, live=True
    )
    view_samples: int = option(
        64, "Samples of a ray at most, in views and evaluations.", minimum=2, maximum=1024, live=True
    )
    spacing: float = option(
        1.0, "Distance between samples that is aimed at, in what their node resolves.",
        minimum=0.1, maximum=64.0, live=True,
    )  # fmt: skip
    candidates: int = option(
        96, "Pieces at most in which a ray looks up the kept densities.", minimum=8, maximum=4096, live=True
    )
    outside: int = option(
        32,
        "Pieces of the way behind the cube, in scenes with surroundings.",
        minimum=1,
        maximum=4096,
        live=True,
    )
    padding: float = option(
        0.25, "Share of the samples spread evenly, whatever the kept densities say.",
        minimum=0.0, maximum=1.0, live=True,
    )  # fmt: skip
    rounds: str = option(
        "",
        "Samples of earlier rounds, evaluated to place the next ones, such as 192 96; empty: kept densities do.",
    )
    near: float = option(
        0.02, "Rays begin this far from the camera.", minimum=0.0, maximum=10.0, unit="edges", live=True
    )
    far: float = option(
        16.0, "Rays end this far from the camera, in scenes with surroundings.",
        minimum=1.0, maximum=1e6, unit="edges", live=True,
    )  # fmt: skip
    stop_trans: float = option(
        1e-3, "No samples where less light than this is left, by the kept densities.",
        minimum=0.0, maximum=0.5, live=True,
    )  # fmt: skip
    jitter: bool = option(True, "Footprints are drawn within half a level in training.", live=True)
    grid: int = option(
        32, "Cells a side of a node's kept densities, a power of two.", minimum=4, maximum=64, unit="cells"
    )
    probes: int = option(
        4_096,
        "Places probed in a step, on average, to keep those densities fresh.",
        minimum=0,
        maximum=10_000_000,
        live=True,
    )
    decay: float = option(
        0.9, "Kept densities fall to this share of themselves every 16 steps; what is found raises them.",
        minimum=0.0, maximum=1.0, live=True,
    )  # fmt: skip


@dataclass(frozen=True)
class LossOptions:
    """What is minimised, by weights."""

    mse: float = option(
        1.0, "Weight of the squared error of the pixels.", minimum=0.0, maximum=100.0, live=True
    )
    distortion: float = option(
        0.002, "Weight of how far a ray's samples lie apart.", minimum=0.0, maximum=10.0, live=True
    )
    level: float = option(
        0.01,
        "Weight of how a child's density differs from its parent's.",
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    transparency: float = option(
        0.001, "Weight of the opacity of random places.", minimum=0.0, maximum=10.0, live=True
    )
    nodes: int = option(1, "Nodes that the last two look at in a step.", minimum=1, maximum=64, live=True)
    points: int = option(
        64, "Places in a node, or in a child, that they look at.", minimum=1, maximum=65_536, live=True
    )
    every: int = option(
        4, "They are taken in every so many steps, with as many times the weight.",
        minimum=1, maximum=1_000, unit="steps", live=True,
    )  # fmt: skip


@dataclass(frozen=True)
class RateOptions:
    """Adam and its learning rates."""

    start: float = option(1e-2, "Learning rate at the start.", minimum=0.0, maximum=1.0, live=True)
    end: float = option(5e-4, "Learning rate at the end.", minimum=0.0, maximum=1.0, live=True)
    decay_steps: int = option(
        10_000, "The rate has reached its end at this step.", minimum=1, unit="steps", live=True
    )
    networks: float = option(0.5, "The networks' share of the rate.", minimum=0.0, maximum=10.0, live=True)
    beta1: float = option(0.9, "Adam's decay of the mean gradient.", minimum=0.0, maximum=0.999)
    beta2: float = option(0.99, "Adam's decay of the mean squared gradient.", minimum=0.0, maximum=0.9999)
    epsilon: float = option(1e-15, "Added to the root of the mean square.", minimum=1e-20, maximum=1.0)


@dataclass(frozen=True)
class PyramidOptions:
    """The photos at several scales: coarse nodes learn from coarse pixels."""

    scales: int = option(
        5, "Scales of every photo, each half as large as the one before; 1: the photo alone.",
        minimum=1, maximum=12,
    )  # fmt: skip
    emphasis: float = option(
        1.0, "How much more often a scale's pixels are drawn than those of the scale before; 1: all alike.",
        minimum=0.25, maximum=4.0, live=True,
    )  # fmt: skip
    smallest: int = option(
        16, "No scale has fewer pixels a side than this.", minimum=1, maximum=4096, unit="pixels"
    )


@dataclass(frozen=True)
class ScheduleOptions:
    """How much a step does."""

    rays: int = option(4_096, "Rays of a step.", minimum=16, maximum=1_000_000, live=True)
    view_rays: int = option(
        8_192, "Rays of a view that are marched together.", minimum=64, maximum=1_000_000, live=True
    )


@dataclass(frozen=True)
class AdaptOptions:
    """Which nodes are dropped, and which are split."""

    opacity: float = option(
        1e-2, "A leaf is dropped if a pixel's width of its densest place stops less light than this.",
        minimum=0.0, maximum=1.0, live=True,
    )  # fmt: skip
    probes: int = option(
        512,
        "Places in a leaf where its density is looked up for that.",
        minimum=1,
        maximum=1_000_000,
        live=True,
    )
    splits: int = option(8, "Leaves that are split at once.", minimum=1, maximum=100_000, live=True)
    max_nodes: int = option(
        20_000, "The tree has no more nodes than this.", minimum=1, maximum=10_000_000, live=True
    )


@dataclass(frozen=True)
class ParallelOptions:
    """How several processes of one training divide the work."""

    kind: str = option(
        "data", "What processes divide: the rays of a step, or the subtrees of the tree and their memory.",
        choices=("data", "subtree"),
    )  # fmt: skip
    shared_levels: int = option(
        1, "Levels at the top that all processes hold, where they divide subtrees.", minimum=1, maximum=8
    )


@dataclass(frozen=True)
class InfNeRFConfig:
    """All options of the InfNeRF method."""

    field: FieldOptions = group(default_factory=FieldOptions)
    tree: TreeOptions = group(default_factory=TreeOptions)
    sampling: SamplingOptions = group(default_factory=SamplingOptions)
    losses: LossOptions = group(default_factory=LossOptions)
    rates: RateOptions = group(default_factory=RateOptions)
    pyramid: PyramidOptions = group(default_factory=PyramidOptions)
    schedule: ScheduleOptions = group(default_factory=ScheduleOptions)
    adapt: AdaptOptions = group(default_factory=AdaptOptions)
    parallel: ParallelOptions = group(default_factory=ParallelOptions)

    def __post_init__(self) -> None:
        if self.field.max_res < self.field.base_res:
            raise OptionError(
                f"Option field.max_res must be at least field.base_res, {self.field.base_res}, "
                f"got {self.field.max_res}."
            )
        if self.field.hidden % 16:
            raise OptionError(f"Option field.hidden must be a multiple of 16, got {self.field.hidden}.")
        grid = self.sampling.grid
        if grid & (grid - 1):
            raise OptionError(f"Option sampling.grid must be a power of two such as 32, got {grid}.")
        parse_rounds(self.sampling.rounds)


def parse_rounds(text: str) -> tuple[int, ...]:
    """Return numbers of samples, given text such as "192 96"; empty text means none."""
    words = text.replace(",", " ").split()
    if not all(word.isdecimal() and 2 <= int(word) <= 4096 for word in words):
        raise OptionError(
            f"Option sampling.rounds must be numbers of 2 to 4096 samples such as 192 96, got {text!r}."
        )
    return tuple(int(word) for word in words)
