# SPDX-License-Identifier: MIT
"""The twin of nodes' fields against hand-made cases and finite differences."""

from __future__ import annotations

import numpy as np
import torch

from engine.node_fields import FieldShape, fresh_fields
from engine.reference.node_field import encode, node_field
from tests.cpu.field_scenes import SMALL, lively_fields, random_samples

EXACT = 1e-12  # float64
STEP, SLOPE = 1e-6, 1e-6  # central differences of functions of order one, in float64


def _tables(shape: FieldShape, slots: int = 1) -> torch.Tensor:
    return torch.zeros(slots, shape.entries, 2, dtype=torch.float64)


def test_a_dense_level_interpolates_the_entries_at_a_cells_corners():
    shape = FieldShape(levels=1, log2_table=10, base_res=4, max_res=4)
    tables, side = _tables(shape), 5
    x, y, z = torch.meshgrid(*[torch.arange(5.0, dtype=torch.float64)] * 3, indexing="ij")
    index = (x + side * (y + side * z)).long()
    tables[0, index, 0] = 2.0 * x - y + 0.5 * z  # linear: interpolation must give it back
    tables[0, index, 1] = x * y * z  # trilinear within a cell
    place = torch.tensor([[0.1, 0.7, 0.33], [1.0, 0.0, 1.0], [0.25, 0.5, 0.75]], dtype=torch.float64)
    found = encode(shape, tables, torch.zeros(3, dtype=torch.long), place)
    u, v, w = (4.0 * place).unbind(dim=1)
    low = (4.0 * place).floor().clamp(max=3.0)
    assert (found[:, 0] - (2.0 * u - v + 0.5 * w)).abs().max() < EXACT
    assert (found[:, 1] - u * v * w).abs().max() < EXACT and low.max() == 3.0


def test_a_hashed_level_reads_the_entries_that_the_primes_say():
    shape = FieldShape(levels=1, log2_table=4, base_res=8, max_res=8)
    tables = _tables(shape)
    tables[0, :, 0] = torch.arange(16.0)
    place = torch.tensor([[3.0, 5.0, 2.0]], dtype=torch.float64) / 8.0  # exactly on a corner
    found = encode(shape, tables, torch.zeros(1, dtype=torch.long), place)
    assert found[0, 0] == (3 ^ (5 * 2654435761) ^ (2 * 805459861)) % 16


def test_each_slot_reads_its_own_table():
    tables = _tables(SMALL, 3) + torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    found = encode(SMALL, tables, torch.tensor([2, 0, 1]), torch.rand(3, 3, dtype=torch.float64))
    assert (found - torch.tensor([3.0, 1.0, 2.0])[:, None]).abs().max() < EXACT


def test_density_and_colour_follow_the_formula():
    shape = FieldShape(levels=1, log2_table=4, base_res=1, max_res=1, hidden=16, geometry=1, density_unit=2.0)
    fields = fresh_fields(shape, 1, np.random.default_rng(0))
    fields.tables[:], fields.mlp[:] = 1.0, 0.0
    fields.matrix(0, 0)[0, 3] = 0.5  # one hidden value: 0.5
    fields.matrix(0, 1)[3] = 0.8, -2.0  # raw 0.4, geometry -1
    fields.matrix(0, 2)[0, 5], fields.matrix(0, 2)[16, 5] = 1.0, 1.0  # SH 0 and the geometry's sigmoid
    fields.matrix(0, 3)[5, 6], fields.matrix(0, 4)[6] = 1.0, [1.0, 0.0, -1.0]
    arrays = (torch.tensor(a, dtype=torch.float64) for a in (fields.tables, fields.mlp))
    place = torch.full((1, 3), 0.5, dtype=torch.float64)
    direction = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    density, rgb = node_field(shape, *arrays, torch.zeros(1, dtype=torch.long), place, direction)
    inner = 0.28209479177387814 + 1.0 / (1.0 + np.exp(1.0))
    assert abs(density.item() - 2.0 * np.exp(0.4)) < 1e-7
    assert np.allclose(rgb[0], 1.0 / (1.0 + np.exp(-inner * np.array([1.0, 0.0, -1.0]))), atol=1e-7)


def test_gradients_are_those_of_finite_differences():
    fields, samples = lively_fields(SMALL, 2), random_samples(SMALL, 2, 12)
    ray = torch.from_numpy(samples.ray).long()
    place, directions, looks = (
        torch.tensor(a, dtype=torch.float64) for a in (samples.place, samples.directions, samples.appearance)
    )
    leaves = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (fields.tables, fields.mlp)]
    leaves.append(looks.requires_grad_())
    share = torch.linspace(-1.0, 1.0, 36, dtype=torch.float64).reshape(12, 3)

    def loss() -> torch.Tensor:
        slot = torch.from_numpy(samples.slot).long()
        density, rgb = node_field(SMALL, leaves[0], leaves[1], slot, place, directions[ray], leaves[2][ray])
        return (density * share[:, 0]).sum() + (rgb * share).sum()

    loss().backward()
    for leaf in leaves:
        flat, wanted = leaf.data.view(-1), leaf.grad.view(-1)
        strongest = wanted.abs().argsort(descending=True)
        for k in [*strongest[:8].tolist(), *strongest[20:200:30].tolist()]:
            before, values = flat[k].item(), []
            for step in (STEP, -STEP):
                flat[k] = before + step
                values.append(loss().item())
            flat[k] = before
            slope = (values[0] - values[1]) / (2.0 * STEP)
            assert abs(slope - wanted[k].item()) < SLOPE * max(1.0, abs(slope))
