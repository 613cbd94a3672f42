# SPDX-License-Identifier: MIT
"""A step's gradients, from the pixels and from the losses on densities, are those of the float64 twins; what it keeps fresh."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch

from engine.cpu.crew import crew
from engine.cpu.node_field import FieldGradients
from engine.methods.infnerf import InfNeRF, InfNeRFConfig, step
from engine.methods.infnerf.march import place_samples
from engine.methods.infnerf.rays import Rays
from engine.methods.infnerf.regularise import TAPS, draw_places
from engine.node_fields import unit_position
from engine.options import updated
from engine.reference.composite import composite
from engine.reference.node_field import node_field
from engine.reference.node_losses import level_loss, transparency_loss
from tests.methods.plenoxels.boxes import boxes_scene

SMALL = {
    "field.levels": 3, "field.log2_table": 8, "field.base_res": 4, "field.max_res": 24, "field.hidden": 16,
    "tree.max_depth": 2, "sampling.samples": 8, "sampling.probes": 64, "schedule.rays": 48,
    "losses.points": 12, "losses.nodes": 2, "losses.every": 3, "losses.level": 0.2, "losses.transparency": 0.3,
    "losses.distortion": 0.5,
}  # fmt: skip
# Float32 against float64, relative to the largest gradient: 2e-6 seen, 1e-4 allowed.
TOLERANCE = 1e-4


def model(**values: object) -> InfNeRF:
    """Return a model whose fields differ from one another and say something everywhere."""
    chosen = SMALL | {name.replace("__", "."): value for name, value in values.items()}
    made = InfNeRF(boxes_scene(32), updated(InfNeRFConfig(), chosen), 3)
    made.gradients = FieldGradients.of(made.fields)  # where they can be looked at
    made.fields.tables[:] = np.random.default_rng(0).normal(0.0, 1.0, made.fields.tables.shape)
    return made


def twin(made: InfNeRF) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the fields' parameters in float64, to be differentiated."""
    arrays = made.fields.tables, made.fields.mlp
    return tuple(torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays)


def places_of(made: InfNeRF, nodes: np.ndarray, positions: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    place = unit_position(made.tree, nodes, positions, made.has_background)
    return torch.tensor(nodes, dtype=torch.int64), torch.tensor(place, dtype=torch.float64)


def assert_same(made: InfNeRF, tables: torch.Tensor, mlp: torch.Tensor) -> None:
    for mine, other in ((made.gradients.tables, tables.grad), (made.gradients.mlp, mlp.grad)):
        largest = float(other.abs().max())
        assert largest > 0.0
        assert np.abs(mine - other.numpy()).max() < TOLERANCE * largest


def test_losses_on_densities_reach_the_fields_with_the_twins_gradients() -> None:
    made = model()
    rng = copy.deepcopy(made.rng)
    found = step._regularise(made)
    options = made.config.losses
    some = draw_places(made.tree, options, False, rng)
    tables, mlp = twin(made)
    density, _ = node_field(made.fields.shape, tables, mlp, *places_of(made, some.node, some.position))
    rows = density[: some.level_end].reshape(some.children, TAPS + 1, some.points)
    level = level_loss(rows[:, :TAPS], rows[:, TAPS], made.tree.half, some.parents)
    clear = transparency_loss(density[some.level_end :], made.tree.half)
    (options.every * (options.level * level + options.transparency * clear)).backward()
    assert some.children == 8
    assert np.allclose(found, [level.item(), clear.item()], rtol=1e-4)
    assert_same(made, tables, mlp)


def test_pixels_reach_the_fields_with_the_twins_gradients() -> None:
    made = model()
    losses = made.config.losses
    for at in range(4):
        batch = made.photos.draw(made.rng, at, 48, crew())
    rays, options = Rays(batch.rays_o, batch.rays_d, batch.footprint), made.march_options(8)
    samples = place_samples(made.field_tree, rays, options, 5, crew(), made.room)
    rays = replace(rays, mine=(0, 48))
    (mse, distortion), _, _ = step._descend(made, batch, rays, options, samples)
    assert len(np.unique(samples.node)) > 4
    tables, mlp = twin(made)
    unit = rays.rays_d / np.linalg.norm(rays.rays_d, axis=1, keepdims=True)
    directions = torch.tensor(unit[samples.ray], dtype=torch.float64)
    where = places_of(made, samples.node, samples.position)
    density, rgb = node_field(made.fields.shape, tables, mlp, *where, directions)
    spacing, width = (
        torch.tensor(a, dtype=torch.float64) for a in step.spacing_of(made, rays, options, samples)
    )
    t, delta = (torch.tensor(a, dtype=torch.float64) for a in (samples.t, samples.delta))
    seen = composite(
        torch.tensor(samples.offsets), density, rgb, t, delta, torch.ones(3, dtype=torch.float64),
        spacing=spacing, width=width,
    )  # fmt: skip
    twin_mse = (seen.rgb - torch.tensor(batch.target, dtype=torch.float64)).square().mean()
    twin_distortion = seen.distortion.mean()
    (losses.mse * twin_mse + losses.distortion * twin_distortion).backward()
    assert np.isclose(mse, twin_mse.item(), rtol=1e-4)
    assert np.isclose(distortion, twin_distortion.item(), rtol=1e-4)
    assert_same(made, tables, mlp)


def test_unseen_space_becomes_transparent() -> None:
    """With no pixels, the transparency loss alone lowers what all fields say."""
    made = model(losses__mse=0.0, losses__distortion=0.0, losses__level=0.0, losses__every=1, losses__nodes=9)
    rng = np.random.default_rng(1)
    nodes = rng.integers(0, made.tree.nodes, 500).astype(np.int32)
    positions = (made.tree.lower(nodes) + made.tree.edge(nodes)[:, None] * rng.random((500, 3))).astype(
        np.float32
    )
    before = made.density(nodes, positions)
    for _ in range(40):
        made.train_step()
    assert np.mean(np.exp(-0.5 * made.density(nodes, positions))) > np.mean(np.exp(-0.5 * before)) + 0.1


def test_spacing_ascends_from_0_to_1_also_where_the_way_is_endless() -> None:
    for outdoors in (False, True):
        made = InfNeRF(boxes_scene(32, outdoors=outdoors), updated(InfNeRFConfig(), SMALL), 3)
        batch = made.photos.draw(made.rng, 0, 48, crew())
        rays, options = Rays(batch.rays_o, batch.rays_d, batch.footprint), made.march_options(8)
        samples = place_samples(made.field_tree, rays, options, 5, crew(), made.room)
        spacing, width = step.spacing_of(made, rays, options, samples)
        same = samples.ray[1:] == samples.ray[:-1]
        assert spacing.min() >= 0.0 and spacing.max() <= 1.0 and width.min() >= 0.0
        assert np.all(spacing[1:][same] > spacing[:-1][same])
        total = np.bincount(samples.ray, weights=width)
        # Nothing is empty yet, so stretches cover all of the way; far out what is unseen has hidden the rest.
        assert total.max() < 1.001 and total[total > 0.0].min() > (0.9 if outdoors else 0.999)
