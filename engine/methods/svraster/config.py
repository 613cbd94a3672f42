# SPDX-License-Identifier: MIT
"""SVRaster's options. Defaults are tuned for time to quality on a CPU; `published()` is the paper's schedule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from engine.options import option, updated


@dataclass(frozen=True)
class ModelOptions:
    """What the voxels hold and how a segment is integrated."""

    sh_degree: int = option(2, "Spherical-harmonics degree of the colours.", minimum=0, maximum=3)
    samples_per_voxel: int = option(1, "Density samples per voxel and ray.", minimum=1, maximum=3)
    initial_level: int = option(5, "The cube starts as 2^level voxels a side.", minimum=1, maximum=9)
    supersample: int = option(
        2, "Rays per pixel side, in training and evaluation.", minimum=1, maximum=2, live=True
    )
    initial_density: float = option(-6.0, "Raw density every voxel starts with.", minimum=-20.0, maximum=20.0)
    deterministic: bool = option(
        False,
        "On a graphics card: gradients are added in a fixed order, so that a seed always gives the same run; slower. "
        "The processor's runs always are.",
    )
    point_levels: int = option(
        0,
        "Voxels that hold sparse points of the capture are split this often at the start, and begin denser; "
        "0 leaves the points alone.",
        minimum=0,
        maximum=6,
    )


@dataclass(frozen=True)
class RateOptions:
    """Adam and its learning rates."""

    density: float = option(
        0.4, "Learning rate of the raw densities at the start.", minimum=0.0, maximum=10.0, live=True
    )
    sh0: float = option(
        0.04, "Learning rate of the base colours at the start.", minimum=0.0, maximum=1.0, live=True
    )
    shs: float = option(
        0.01, "Learning rate of the view-dependent colours.", minimum=0.0, maximum=1.0, live=True
    )
    background: float = option(
        0.01, "Learning rate of a learned background.", minimum=0.0, maximum=1.0, live=True
    )
    schedule: str = option(
        "inverse",
        "How rates fall from their start to the floor: inverse by half_life, the others over decay_steps; one_cycle "
        "rises first, constant keeps them.",
        choices=("inverse", "exponential", "cosine", "one_cycle", "constant"),
        live=True,
    )
    decay_steps: int = option(
        4_000,
        "Exponential, cosine and one_cycle rates have reached the floor at this step.",
        minimum=1,
        unit="steps",
        live=True,
    )
    warm_up: int = option(
        0,
        "Rates rise in proportion to the step until this one; 0 begins at once.",
        minimum=0,
        unit="steps",
        live=True,
    )
    clip: float = option(
        0.0,
        "The gradient of a step is shortened to this length, all coefficients and densities being one vector; 0 never. "
        "Adam hears less of such a step.",
        minimum=0.0,
        maximum=1e6,
        live=True,
    )
    half_life: float = option(
        400.0,
        "Inverse rates fall as 1 / (1 + step / this); 0 keeps them.",
        minimum=0.0,
        maximum=1e6,
        unit="steps",
        live=True,
    )
    floor: float = option(
        0.05, "Rates do not fall below this share of their start.", minimum=0.0, maximum=1.0, live=True
    )
    drop_at: int = option(
        0, "Rates are divided by ten from this step on; 0 never.", minimum=0, unit="steps", live=True
    )
    beta1: float = option(0.5, "Adam's decay of the mean gradient.", minimum=0.0, maximum=0.999)
    beta2: float = option(0.99, "Adam's decay of the mean squared gradient.", minimum=0.0, maximum=0.9999)


@dataclass(frozen=True)
class LossOptions:
    """What is minimised. Every weight multiplies a mean over pixels."""

    photometric: str = option(
        "mse", "Distance between picture and photo.", choices=("mse", "l1", "huber"), live=True
    )
    ssim: float = option(0.0, "Weight of 1 - SSIM.", minimum=0.0, maximum=1.0, live=True)
    transmittance: float = option(
        0.0, "Weight of T^2 (1 - T)^2: pixels become opaque or empty.", minimum=0.0, maximum=10.0, live=True
    )
    colour_spread: float = option(
        0.02,
        "Weight of R-concentration: each voxel's own colour matches the pixel.",
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    distortion: float = option(
        0.0, "Weight of the distortion loss: one surface per ray.", minimum=0.0, maximum=10.0, live=True
    )
    distortion_from: int = option(
        0, "The distortion loss starts at this step.", minimum=0, unit="steps", live=True
    )
    total_variation: float = option(
        0.0,
        "Weight of |difference| between a voxel's corner densities, in shares of a pixel.",
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    sparse_depth: float = option(
        0.0,
        "Weight of the relative depth error at the capture's sparse points.",
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    sparse_depth_until: int = option(
        1_000, "Sparse points say how far things are until this step.", minimum=0, unit="steps", live=True
    )
    total_variation_until: int = option(
        10_000, "Total variation stops at this step.", minimum=0, unit="steps", live=True
    )


@dataclass(frozen=True)
class ObjectiveOptions:
    """What a training step looks at; every kind trains the same voxels."""

    kind: str = option(
        "raster",
        "What a step is taken on: raster, a whole picture as it is shown; rays, single pixels of several photos, most of "
        "them where the error is large; soft, a picture whose voxels and depth order are blurred.",
        choices=("raster", "rays", "soft"),
        live=True,
    )
    rays_per_step: int = option(
        8_192, "Pixels of a step on rays.", minimum=64, maximum=1_048_576, unit="px", live=True
    )
    fine_samples: int = option(
        16,
        "Samples that a ray takes where its first one in every voxel found something; 0 takes none.",
        minimum=0,
        maximum=256,
        live=True,
    )
    importance: float = option(
        0.5,
        "Share of a step's pixels that is drawn where the error map is high; the rest is drawn evenly.",
        minimum=0.0,
        maximum=0.95,
        live=True,
    )
    views_per_step: int = option(
        1,
        "Photos whose mean gradient a step of kind raster goes along; each costs as much as a step.",
        minimum=1,
        maximum=256,
        live=True,
    )


@dataclass(frozen=True)
class SoftOptions:
    """How far the soft objective blurs voxels and their order."""

    sigma: float = option(
        0.5,
        "Blur of a voxel's footprint, in halves of its width; with annealing, at the start.",
        minimum=0.0,
        maximum=2.0,
        live=True,
    )
    temperature: float = option(
        0.02,
        "Blur of the depth order, in scene units; with annealing, at the start.",
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    order: str = option(
        "logistic",
        "How depths are weighed: logistic blends as the hard picture does when the temperature falls; softmax lets the "
        "nearest win.",
        choices=("logistic", "softmax"),
        live=True,
    )
    anneal: bool = option(True, "Both blurs fall to their ends while training.", live=True)
    sigma_end: float = option(
        0.02, "Blur of the footprint at the end of annealing.", minimum=0.0, maximum=2.0, live=True
    )
    temperature_end: float = option(
        0.0005, "Blur of the depth order at the end of annealing.", minimum=0.0, maximum=10.0, live=True
    )
    anneal_until: int = option(
        1_000, "Annealing ends at this step.", minimum=1, maximum=1_000_000, unit="steps", live=True
    )


@dataclass(frozen=True)
class PoseOptions:
    """Refinement of the capture's camera poses, which needs the soft objective's gradients."""

    refine: bool = option(
        False,
        "Each step of the soft objective moves its photo's camera, too, along its own gradient.",
        live=True,
    )
    rotation_rate: float = option(
        0.1,
        "Degrees that a camera turns in a step at first.",
        minimum=0.0,
        maximum=10.0,
        unit="deg",
        live=True,
    )
    position_rate: float = option(
        0.001, "Engine units that a camera moves in a step at first.", minimum=0.0, maximum=1.0, live=True
    )
    from_step: int = option(
        50,
        "Cameras stay until this step, for there is nothing to see yet.",
        minimum=0,
        unit="steps",
        live=True,
    )
    until: int = option(
        6_000,
        "Rates have fallen to their last share at this step.",
        minimum=1,
        unit="steps",
        live=True,
    )
    last_share: float = option(
        0.05, "The share of the rates that is left in the end.", minimum=1e-4, maximum=1.0, live=True
    )


@dataclass(frozen=True)
class ExposureOptions:
    """Exposure of single photos, for captures that drift."""

    on: bool = option(False, "Each photo has its own gain and offset; the scene keeps their mean.", live=True)
    from_step: int = option(
        300, "Exposures are first fitted at this step.", minimum=0, unit="steps", live=True
    )
    every_steps: int = option(
        400, "Steps after which a photo's exposure is fitted again.", minimum=1, unit="steps", live=True
    )


@dataclass(frozen=True)
class AdaptOptions:
    """How voxels are dropped and split."""

    every_steps: int = option(
        100, "Steps between structure changes.", minimum=1, maximum=100_000, unit="steps", live=True
    )
    until_step: int = option(
        4_000, "No structure changes after this step.", minimum=0, unit="steps", live=True
    )
    prune_threshold: float = option(
        0.05,
        "Voxels whose heaviest blending weight is below this are dropped.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    prune_start: float = option(
        0.05, "The pruning threshold at the first structure change; rises to prune_threshold.",
        minimum=0.0, maximum=1.0, live=True,
    )  # fmt: skip
    prune_ramp_steps: int = option(
        300, "The threshold has risen after this step.", minimum=0, unit="steps", live=True
    )
    subdivide_share: float = option(
        0.1, "Share of the voxels that is split at a structure change.", minimum=0.0, maximum=1.0, live=True
    )
    split_all_to: int = option(
        7,
        "All seen voxels coarser than this level are split.",
        minimum=0,
        maximum=16,
        live=True,
    )
    sampling_rate: float = option(
        0.7, "A voxel may be split while its children are at least this many pixels wide in the closest view.",
        minimum=0.05, maximum=8.0, unit="px", live=True,
    )  # fmt: skip
    max_voxels: int = option(
        250_000, "No more voxels than this.", minimum=1_000, maximum=20_000_000, live=True
    )
    pixels_per_voxel: float = option(
        10.0,
        "No more voxels than the training photos have pixels, divided by this: finer ones would learn noise.",
        minimum=0.0,
        maximum=1e6,
        unit="px",
        live=True,
    )


@dataclass(frozen=True)
class ScheduleOptions:
    """From coarse pictures to fine ones."""

    quarter_until: int = option(
        100, "Pictures are a quarter as large until this step.", minimum=0, unit="steps", live=True
    )
    half_until: int = option(
        200, "Pictures are half as large until this step.", minimum=0, unit="steps", live=True
    )
    supersample_from: int = option(
        600,
        "Until this step one ray a pixel is enough, whatever model.supersample says.",
        minimum=0,
        unit="steps",
        live=True,
    )
    sh1_from: int = option(
        100, "Degree 1 of the colours is trained from this step on.", minimum=0, unit="steps", live=True
    )
    sh2_from: int = option(200, "Degree 2 is trained from this step on.", minimum=0, unit="steps", live=True)
    sh3_from: int = option(400, "Degree 3 is trained from this step on.", minimum=0, unit="steps", live=True)


@dataclass(frozen=True)
class OpenOptions:
    """What holds instead in scenes with surroundings (outside_levels above 0): captures of real places.

    Most coarse voxels there hold nothing, and only priority tells which are worth splitting; few photos see each
    place, so neighbours have to agree.
    """

    sh_degree: int = option(3, "model.sh_degree in scenes with surroundings.", minimum=0, maximum=3)
    split_all_to: int = option(
        5, "adapt.split_all_to in scenes with surroundings.", minimum=0, maximum=16, live=True
    )
    total_variation: float = option(
        3e-5, "losses.total_variation in scenes with surroundings.", minimum=0.0, maximum=10.0, live=True
    )


@dataclass(frozen=True)
class SVRasterConfig:
    """All options of the SVRaster method."""

    model: ModelOptions = field(default_factory=ModelOptions)
    rates: RateOptions = field(default_factory=RateOptions)
    losses: LossOptions = field(default_factory=LossOptions)
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    soft: SoftOptions = field(default_factory=SoftOptions)
    poses: PoseOptions = field(default_factory=PoseOptions)
    exposure: ExposureOptions = field(default_factory=ExposureOptions)
    adapt: AdaptOptions = field(default_factory=AdaptOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    open: OpenOptions = field(default_factory=OpenOptions)


def in_scene(config: SVRasterConfig, outside_levels: int, training_pixels: int) -> SVRasterConfig:
    """Return the options that hold in a scene with so many shells and pixels to learn from."""
    per_voxel = config.adapt.pixels_per_voxel
    if per_voxel > 0.0:
        budget = min(config.adapt.max_voxels, max(_LEAST_BUDGET, int(training_pixels / per_voxel)))
        config = replace(config, adapt=replace(config.adapt, max_voxels=budget))
    if outside_levels == 0:
        return config
    return replace(
        config,
        model=replace(config.model, sh_degree=config.open.sh_degree),
        losses=replace(config.losses, total_variation=config.open.total_variation),
        adapt=replace(config.adapt, split_all_to=config.open.split_all_to),
    )


_LEAST_BUDGET = 50_000  # voxels that even the smallest photos may have

PUBLISHED = {
    "model.sh_degree": 3,
    "model.initial_level": 6,
    "model.initial_density": -10.0,
    "rates.density": 0.025,
    "rates.sh0": 0.010,
    "rates.shs": 0.00025,
    "rates.half_life": 0.0,
    "rates.beta1": 0.1,
    "rates.drop_at": 19_000,
    "losses.ssim": 0.02,
    "losses.colour_spread": 0.01,
    "losses.distortion": 0.1,
    "losses.distortion_from": 10_000,
    "losses.total_variation": 1e-4,  # 1e-10 as published, for photos of a million pixels
    "adapt.every_steps": 1_000,
    "adapt.until_step": 18_000,
    "adapt.prune_start": 1e-4,
    "adapt.prune_threshold": 0.05,
    "adapt.prune_ramp_steps": 18_000,
    "adapt.subdivide_share": 0.05,
    "adapt.split_all_to": 0,
    "adapt.sampling_rate": 1.0,
    "adapt.max_voxels": 10_000_000,
    "adapt.pixels_per_voxel": 0.0,
    "schedule.quarter_until": 0,
    "schedule.half_until": 0,
    "schedule.supersample_from": 1_000,
    "schedule.sh1_from": 0,
    "schedule.sh2_from": 1_000,
    "schedule.sh3_from": 2_000,
    "open.split_all_to": 0,
    "open.total_variation": 1e-4,
}
# What `--refine-poses` sets: cameras settle on small, soft pictures without view dependence, which would explain them away.
REFINE_POSES = {
    "objective.kind": "soft",
    "poses.refine": True,
    "poses.until": 9_000,
    "poses.last_share": 0.15,
    "soft.sigma": 0.25,
    "soft.anneal_until": 6_000,
    "rates.density": 0.2,
    "rates.half_life": 2_000.0,
    "schedule.quarter_until": 800,
    "schedule.half_until": 2_400,
    "schedule.supersample_from": 9_000,
    "schedule.sh1_from": 6_000,
    "schedule.sh2_from": 6_500,
    "schedule.sh3_from": 7_000,
    "adapt.until_step": 9_000,
    "adapt.max_voxels": 100_000,  # steps stay short; it may be raised once the cameras have settled
}
PRESETS = {"fast": {}, "published": PUBLISHED}


def preset(name: str) -> SVRasterConfig:
    """Return a named set of options: "fast" (the defaults) or "published"."""
    return updated(SVRasterConfig(), PRESETS[name])
