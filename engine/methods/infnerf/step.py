# SPDX-License-Identifier: MIT
"""One training step: rays, samples, fields there and back, Adam, and what is known to be empty. A friend of `model.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.cpu.composite import composite_gradients
from engine.cpu.crew import crew
from engine.cpu.node_adam import adam_touched
from engine.cpu.occupancy import probes, refresh, take_in
from engine.methods.common import StepReport
from engine.methods.infnerf.march import MarchOptions, directions_of, place_samples
from engine.methods.infnerf.photos import Batch
from engine.methods.infnerf.rays import Rays, near_and_far
from engine.methods.infnerf.regularise import draw_places, level_and_transparency
from engine.methods.infnerf.team import Alone, Along
from engine.methods.plenoxels.schedule import decayed
from engine.node_samples import Samples

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF

REFRESH_EVERY = 16  # steps: rays need not hear at once what is empty now
PROBE_EVERY = 4  # steps: finding out which cells may hold something takes as long for few probes as for many
_SEEDS = 1 << 20  # that steps draw from; a model's seed shifts them
ALONE = Alone()


def take(model: InfNeRF) -> StepReport:
    """Take one step, with the other processes of a training where there are any."""
    config, team = model.config, model.team or ALONE
    team.begin(model)
    batch = model.photos.draw(model.rng, model.step, config.schedule.rays, crew(), config.pyramid.emphasis)
    rays = Rays(batch.rays_o, batch.rays_d, batch.footprint, mine=team.rays(len(batch.rays_o)))
    options = model.march_options(config.sampling.samples)
    seed = model.seed * _SEEDS + 8 * model.step
    samples = place_samples(team.scene(model), rays, options, seed, crew(), model.room)
    numbers = np.zeros(4)  # losses without their weights: mse, distortion, level, transparency
    numbers[:2], asked, v_looks = _descend(model, batch, rays, options, samples)
    regularised = model.step % config.losses.every == 0
    if regularised:
        numbers[2:] = _regularise(model)
    team.merge(model, numbers, asked, v_looks)
    model.asked += asked
    if model.appearance.on:
        model.appearance.step(batch.view, v_looks, config.rates, rate(model))
    adam_touched(
        model.fields, model.gradients, model.moments, crew(),
        table_rate=rate(model), mlp_rate=rate(model) * config.rates.networks,
        betas=(config.rates.beta1, config.rates.beta2), eps=config.rates.epsilon,
    )  # fmt: skip
    _look_around(model)
    model.step += 1
    weights = (config.losses.mse, config.losses.distortion, config.losses.level, config.losses.transparency)
    names = ("mse", "distortion", "level", "transparency")[: 4 if regularised else 2]
    losses = tuple(
        (name, weight * float(n)) for name, weight, n in zip(names, weights, numbers, strict=False)
    )
    psnr = float(-10.0 * np.log10(max(numbers[0], 1e-12)))
    return StepReport(model.step, int(batch.view[0]), losses, psnr)


def rate(model: InfNeRF) -> float:
    """Return the learning rate of the tables at a model's step."""
    rates = model.config.rates
    return decayed(rates.start, rates.end, model.step, rates.decay_steps)


def _descend(
    model: InfNeRF, batch: Batch, rays: Rays, options: MarchOptions, samples: Samples
) -> tuple[tuple[float, float], np.ndarray, np.ndarray]:
    """Add the gradients of what our rays see; return the losses without their weights, errors by node, gradients of looks.

    Losses are our part of the mean over all rays; gradients of looks [Q,A] are those of the photos' vectors of all rays.
    """
    losses, (first, last), count = model.config.losses, rays.mine, len(rays.rays_o)
    along = Along(samples.ray, directions_of(rays.rays_d), model.appearance.of_rays(batch.view))
    seen = (model.team or ALONE).ask(model, samples.node, samples.position, along)
    spacing, width = spacing_of(model, rays, options, samples)
    terms, picture, back = composite_gradients(
        samples.offsets[first : last + 1], seen.density, seen.rgb, samples.t, samples.delta, model.background,
        batch.target[first:last], crew(), mse=losses.mse, distortion=losses.distortion, spacing=spacing, width=width,
        rays=count,
    )  # fmt: skip
    v_looks = seen.back(back.density, back.rgb)
    take_in(model.tree, model.occupancy, samples.node, samples.position, seen.density)
    error = np.zeros_like(batch.target)
    error[first:last] = picture.rgb - batch.target[first:last]
    return (terms.mse, terms.distortion), _asked_for(model, rays, samples, picture.weights, error), v_looks


def spacing_of(
    model: InfNeRF, rays: Rays, options: MarchOptions, samples: Samples
) -> tuple[np.ndarray, np.ndarray]:
    """Return where samples lie between their ray's ends, float32 [M] in [0,1], and how wide their stretches are there.

    In scenes with surroundings the measure is that of disparity from one edge away on, as far things are larger.
    """
    scene = model.field_tree
    near, far = near_and_far(
        rays.rays_o, rays.rays_d, scene.tree, options.near, options.far if scene.background else None
    )
    length = np.linalg.norm(rays.rays_d, axis=1)
    begin, end = samples.start, samples.start + samples.delta / length[samples.ray]
    middle = samples.t
    if scene.background:
        edge = np.float32(2.0 * scene.tree.half)
        near, far, begin, end, middle = (_bent(t / edge) for t in (near, far, begin, end, middle))
    span = np.maximum(far - near, np.float32(1e-6))
    return (middle - near[samples.ray]) / span[samples.ray], (end - begin) / span[samples.ray]


def _bent(t: np.ndarray) -> np.ndarray:
    """Return half of t up to 1 and then what makes 1/t even, up to 1 at infinity."""
    return np.where(t < 1.0, 0.5 * t, 1.0 - 0.5 / np.maximum(t, 1.0)).astype(np.float32)


def _asked_for(
    model: InfNeRF, rays: Rays, samples: Samples, weights: np.ndarray, error: np.ndarray
) -> np.ndarray:
    """Return the error float32 [N], shared out by weight, of samples whose footprint is finer than the node that is there."""
    tree = model.tree
    most = model.config.tree.max_depth - 1
    radius = rays.footprint[samples.ray] * samples.t
    wanted = np.minimum(np.ceil(np.log2(tree.root_gsd / radius)), most)
    share = np.square(error).sum(axis=1)[samples.ray] * weights * (wanted > tree.depth[samples.node])
    return np.bincount(samples.node, weights=share, minlength=tree.nodes).astype(np.float32)


def _regularise(model: InfNeRF) -> tuple[float, float]:
    """Add the gradients of the losses on densities at random places; return level and transparency, without their weights."""
    losses, scene, team = model.config.losses, model.field_tree, model.team or ALONE
    if losses.level == 0.0 and losses.transparency == 0.0:
        return 0.0, 0.0
    places = draw_places(scene.tree, losses, scene.background, model.rng)
    if not team.takes_turn(model):
        return 0.0, 0.0
    seen = team.ask(model, places.node, places.position)
    level, clear, v_density = level_and_transparency(places, seen.density, losses, scene.tree.half)
    seen.back(v_density * np.float32(losses.every), None)
    return level, clear


def _look_around(model: InfNeRF) -> None:
    """Ask fields at random places how dense they are; now and then tell rays what is empty."""
    options = model.config.sampling
    if options.probes and model.step % PROBE_EVERY == PROBE_EVERY - 1:
        nodes, positions = probes(model.tree, model.occupancy, PROBE_EVERY * options.probes, model.rng)
        density = (model.team or ALONE).density(model, nodes, positions)
        take_in(model.tree, model.occupancy, nodes, positions, density)
    if model.step % REFRESH_EVERY == REFRESH_EVERY - 1:
        refresh(model.occupancy, crew(), options.decay)
