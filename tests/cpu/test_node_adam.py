# SPDX-License-Identifier: MIT
"""Adam for the fields of nodes against torch's, entry by entry, and that it leaves alone what no sample touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.node_adam import FieldMoments, adam_touched
from engine.cpu.node_field import FieldGradients, Inputs, backward, forward
from engine.node_fields import FieldShape
from tests.cpu.field_scenes import SMALL, USUAL, lively_fields, random_samples

BETAS, EPS, RATE, MLP_RATE = (0.9, 0.99), 1e-15, 0.02, 0.005
TOLERANCE = 3e-6  # of values of order one after a few steps; worst seen 5e-7, float32


@pytest.fixture(scope="module")
def crew():
    members = Crew(2)
    yield members
    members.close()


def _step(fields, gradients, moments, crew, **more):
    rates = {"table_rate": RATE, "mlp_rate": MLP_RATE, "betas": BETAS, "eps": EPS} | more
    adam_touched(fields, gradients, moments, crew, **rates)


def _draw(rng, fields, share):
    """Return gradients of a share of the entries of slots 0 and 2; pairs with one zero among them."""
    gradients = FieldGradients.of(fields)
    for slot in (0, 2):
        gradients.touched[slot] = 1
        gradients.mlp[slot] = rng.normal(size=fields.mlp.shape[1])
        on = rng.random(fields.tables.shape[1]) < share
        gradients.tables[slot, on] = rng.normal(size=(on.sum(), 2)) * 10.0 ** rng.integers(
            -12, 3, (on.sum(), 1)
        )
        gradients.tables[slot, np.flatnonzero(on)[:3], 1] = 0.0
    return gradients


def _torch_rows(value, history, rate):
    """Return what torch's Adam makes of a row after the gradients in `history`, in float64."""
    row = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([row], lr=rate, betas=BETAS, eps=EPS)
    for gradient in history:
        row.grad = torch.tensor(gradient, dtype=torch.float64)
        optimiser.step()
    return row.detach().numpy()


def test_steps_are_those_of_adam_counted_by_each_entrys_own_updates(crew):
    rng, fields = np.random.default_rng(0), lively_fields(SMALL, 3)
    before, moments = fields.tables.copy(), FieldMoments.of(fields)
    mlp_before, drawn = fields.mlp.copy(), []
    for _ in range(4):
        gradients = _draw(rng, fields, 0.3)
        drawn.append((gradients.tables.copy(), gradients.mlp.copy()))
        _step(fields, gradients, moments, crew)
    entries = fields.shape.entries
    picks = [
        0,
        1,
        7,
        8,
        9,
        entries - 2,
        entries - 1,
        *rng.integers(0, entries, 150),
    ]  # the tail is not a whole vector
    assert entries % 8
    for slot in (0, 2):
        for k in picks:
            history = [g[slot, k] for g, _ in drawn if g[slot, k].any()]
            assert moments.table_age[slot, k] == len(history)
            wanted = _torch_rows(before[slot, k], history, RATE)
            assert np.abs(fields.tables[slot, k] - wanted).max() < TOLERANCE
        wanted = _torch_rows(mlp_before[slot], [g[slot] for _, g in drawn], MLP_RATE)
        assert np.abs(fields.mlp[slot] - wanted).max() < TOLERANCE
    assert np.array_equal(fields.tables[1], before[1]) and np.array_equal(fields.mlp[1], mlp_before[1])


def test_untouched_entries_keep_value_moments_and_age(crew):
    rng, fields = np.random.default_rng(1), lively_fields(SMALL, 3)
    moments = FieldMoments.of(fields)
    _step(fields, _draw(rng, fields, 0.9), moments, crew)
    gradients = _draw(rng, fields, 0.1)
    rest = ~gradients.tables.any(axis=2)
    before = [a.copy() for a in (fields.tables, moments.table_m, moments.table_v, moments.table_age)]
    _step(fields, gradients, moments, crew)
    after = (fields.tables, moments.table_m, moments.table_v, moments.table_age)
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(old[rest], new[rest]) and not np.array_equal(old[~rest], new[~rest])


def test_consumed_gradients_are_zero_and_slots_unmarked(crew):
    fields = lively_fields(SMALL, 3)
    gradients = _draw(np.random.default_rng(2), fields, 0.5)
    _step(fields, gradients, FieldMoments.of(fields), crew)
    assert not (gradients.tables.any() or gradients.mlp.any() or gradients.touched.any())


def test_the_first_step_is_one_rate_long_however_small_the_gradient(crew):
    fields = lively_fields(SMALL, 3)
    before, gradients = fields.tables.copy(), FieldGradients.of(fields)
    gradients.tables[0, 5] = 1e-8, -1e3
    gradients.touched[0] = 1
    _step(fields, gradients, FieldMoments.of(fields), crew, table_rate=0.25)
    assert fields.tables[0, 5] - before[0, 5] == pytest.approx([-0.25, 0.25], abs=1e-5)


@pytest.mark.parametrize("shape", [SMALL, USUAL], ids=["small", "usual"])
def test_gradients_that_wait_for_the_step_give_the_same_bits(shape: FieldShape, crew):
    found = []
    for waiting in (False, True):
        rng, fields, room = np.random.default_rng(3), lively_fields(shape, 4), Workspace()
        gradients, moments = FieldGradients.of(fields, waiting), FieldMoments.of(fields)
        for step in range(3):
            for m in (700, 40, 350)[: step + 1]:  # one pass, then several before a step
                samples = random_samples(shape, 4, m, seed=m + step)
                rays = (samples.ray, samples.directions, samples.appearance) if m != 40 else ()
                inputs = Inputs.of(fields, samples.slot, samples.place, *rays)
                out = forward(fields, inputs, crew, room, keep=True)
                v_rgb = rng.normal(size=(m, 3)) if rays else None
                backward(fields, inputs, out, rng.normal(size=m), v_rgb, gradients, crew, room)
            _step(fields, gradients, moments, crew)
        found.append([fields.tables, fields.mlp, *moments.arrays().values()])
    for dense, late in zip(*found, strict=True):
        assert dense.any() and np.array_equal(dense, late)


def test_forgotten_gradients_are_not_stepped(crew):
    fields, samples, room = lively_fields(SMALL, 4), random_samples(SMALL, 4, 50), Workspace()
    gradients, before = FieldGradients.of(fields, waiting=True), fields.tables.copy()
    inputs = Inputs.of(fields, samples.slot, samples.place)
    out = forward(fields, inputs, crew, room, keep=True)
    backward(fields, inputs, out, np.ones(50), None, gradients, crew, room)
    gradients.clear()
    _step(fields, gradients, FieldMoments.of(fields), crew)
    assert np.array_equal(fields.tables, before)


@pytest.mark.parametrize("waiting", [False, True])
def test_a_gradient_that_is_not_a_number_shows_in_its_own_slot_alone(waiting, crew):
    fields, samples, room = lively_fields(SMALL, 4), random_samples(SMALL, 4, 50), Workspace()
    gradients = FieldGradients.of(fields, waiting)
    inputs = Inputs.of(fields, samples.slot, samples.place)
    out = forward(fields, inputs, crew, room, keep=True)
    v_density = np.where(samples.slot == 1, np.nan, 1.0)
    backward(fields, inputs, out, v_density, None, gradients, crew, room)
    _step(fields, gradients, FieldMoments.of(fields), crew)
    bad = np.isnan(fields.tables).any(axis=(1, 2))
    assert bad.tolist() == [False, True, False, False]
