# SPDX-License-Identifier: MIT
"""One training step: rays, samples, fields there and back, Adam, and what is known to be empty. A friend of `model.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.cpu.composite import composite_gradients
from engine.cpu.crew import crew
from engine.cpu.node_adam import adam_touched
from engine.cpu.node_field import backward, forward
from engine.cpu.occupancy import probes, refresh, take_in
from engine.methods.common import StepReport
from engine.methods.infnerf.march import MarchOptions, directions_of, place_samples
from engine.methods.infnerf.photos import Batch
from engine.methods.infnerf.rays import Rays, near_and_far
from engine.methods.infnerf.regularise import draw_places, level_and_transparency
from engine.methods.plenoxels.schedule import decayed
from engine.node_samples import Samples

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF

REFRESH_EVERY = 16  # steps: rays need not hear at once what is empty now
PROBE_EVERY = 4  # steps: finding out which cells may hold something takes as long for few probes as for many
_SEEDS = 1 << 20  # that steps draw from; a model's seed shifts them


def take(model: InfNeRF) -> StepReport:
    """Take one step."""
    config, scene = model.config, model.field_tree
    batch = model.photos.draw(model.rng, model.step, config.schedule.rays, crew())
    rays = Rays(batch.rays_o, batch.rays_d, batch.footprint)
    options = model.march_options(config.sampling.samples)
    seed = model.seed * _SEEDS + 8 * model.step
    samples = place_samples(scene, rays, options, seed, crew(), model.room)
    mse, distortion = _descend(model, batch, rays, options, samples)
    losses = [("mse", config.losses.mse * mse), ("distortion", config.losses.distortion * distortion)]
    if model.step % config.losses.every == 0:
        losses += _regularise(model)
    adam_touched(
        model.fields, model.gradients, model.moments, crew(),
        table_rate=rate(model), mlp_rate=rate(model) * config.rates.networks,
        betas=(config.rates.beta1, config.rates.beta2), eps=config.rates.epsilon,
    )  # fmt: skip
    _look_around(model)
    model.step += 1
    psnr = float(-10.0 * np.log10(max(mse, 1e-12)))
    return StepReport(model.step, int(batch.view[0]), tuple(losses), psnr)


def rate(model: InfNeRF) -> float:
    """Return the learning rate of the tables at a model's step."""
    rates = model.config.rates
    return decayed(rates.start, rates.end, model.step, rates.decay_steps)


def _descend(
    model: InfNeRF, batch: Batch, rays: Rays, options: MarchOptions, samples: Samples
) -> tuple[float, float]:
    """Add the gradients of what rays see, note where fields were dense, and return the losses without their weights."""
    losses, fields = model.config.losses, model.fields
    inputs = model.field_tree.inputs(
        samples.node, samples.position, crew(), samples.ray, directions_of(rays.rays_d),
        model.appearance.of_rays(batch.view),
    )  # fmt: skip
    seen = forward(fields, inputs, crew(), model.room, keep=True)
    spacing, width = spacing_of(model, rays, options, samples)
    terms, picture, back = composite_gradients(
        samples.offsets, seen.density, seen.rgb, samples.t, samples.delta, model.background, batch.target, crew(),
        mse=losses.mse, distortion=losses.distortion, spacing=spacing, width=width,
    )  # fmt: skip
    v_looks = backward(fields, inputs, seen, back.density, back.rgb, model.gradients, crew(), model.room)
    if model.appearance.on:
        model.appearance.step(batch.view, v_looks, model.config.rates, rate(model))
    take_in(model.tree, model.occupancy, samples.node, samples.position, seen.density)
    _ask_for_detail(model, rays, samples, picture.weights, picture.rgb - batch.target)
    return terms.mse, terms.distortion


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


def _ask_for_detail(
    model: InfNeRF, rays: Rays, samples: Samples, weights: np.ndarray, error: np.ndarray
) -> None:
    """Note the error, shared out by weight, of samples whose footprint is finer than the node that is there."""
    tree = model.tree
    most = model.config.tree.max_depth - 1
    radius = rays.footprint[samples.ray] * samples.t
    wanted = np.minimum(np.ceil(np.log2(tree.root_gsd / radius)), most)
    share = np.square(error).sum(axis=1)[samples.ray] * weights * (wanted > tree.depth[samples.node])
    model.asked += np.bincount(samples.node, weights=share, minlength=tree.nodes).astype(np.float32)


def _regularise(model: InfNeRF) -> list[tuple[str, float]]:
    """Add the gradients of the losses on densities at random places; return those losses, weighted."""
    losses, scene = model.config.losses, model.field_tree
    if losses.level == 0.0 and losses.transparency == 0.0:
        return []
    places = draw_places(scene.tree, losses, scene.background, model.rng)
    inputs = scene.inputs(places.node, places.position, crew())
    seen = forward(scene.fields, inputs, crew(), model.room, keep=True)
    level, clear, v_density = level_and_transparency(places, seen.density, losses, scene.tree.half)
    backward(
        scene.fields,
        inputs,
        seen,
        v_density * np.float32(losses.every),
        None,
        model.gradients,
        crew(),
        model.room,
    )
    return [("level", losses.level * level), ("transparency", losses.transparency * clear)]


def _look_around(model: InfNeRF) -> None:
    """Ask fields at random places how dense they are; now and then tell rays what is empty."""
    options = model.config.sampling
    if options.probes and model.step % PROBE_EVERY == PROBE_EVERY - 1:
        nodes, positions = probes(model.tree, model.occupancy, PROBE_EVERY * options.probes, model.rng)
        density = model.field_tree.density(nodes, positions, crew(), model.room)
        take_in(model.tree, model.occupancy, nodes, positions, density)
    if model.step % REFRESH_EVERY == REFRESH_EVERY - 1:
        refresh(model.occupancy, crew(), options.decay)
