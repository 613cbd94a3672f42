# SPDX-License-Identifier: MIT
"""The kernels of nodes' fields against their twin, and what must hold whatever the numbers are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.node_field import FieldGradients, Inputs, Outputs, backward, forward, group_by_slot
from engine.cpu.node_pass import CHUNK
from engine.node_fields import FieldShape, NodeFields
from engine.reference.node_field import node_field
from tests.cpu.field_scenes import SMALL, USUAL, Samples, lively_fields, random_samples

RELATIVE = 1e-5  # of the density; worst seen 3e-6, float32 sums of products of order one
COLOUR = 2e-6  # worst seen 3e-7
GRADIENT = 2e-5  # of the largest of its kind; worst seen 4e-6
SLOTS = 5


@pytest.fixture(scope="module")
def crew():
    members = Crew(2)
    yield members
    members.close()


def _inputs(fields: NodeFields, samples: Samples) -> Inputs:
    return Inputs.of(fields, samples.slot, samples.place, samples.ray, samples.directions, samples.appearance)


def _twin(fields: NodeFields, samples: Samples) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Return the twin's leaves (tables, mlp, appearance), densities and colours."""
    leaves = [
        torch.tensor(a, dtype=torch.float64, requires_grad=True)
        for a in (fields.tables, fields.mlp, samples.appearance)
        if a is not None
    ]
    ray = torch.from_numpy(samples.ray).long()
    looks = leaves[2][ray] if samples.appearance is not None else None
    directions = torch.tensor(samples.directions, dtype=torch.float64)[ray]
    place = torch.tensor(samples.place, dtype=torch.float64)
    slot = torch.from_numpy(samples.slot).long()
    density, rgb = node_field(fields.shape, leaves[0], leaves[1], slot, place, directions, looks)
    assert rgb is not None
    return leaves, density, rgb


def _both_ways(
    fields: NodeFields, samples: Samples, crew: Crew
) -> tuple[Outputs, FieldGradients, np.ndarray]:
    """Return the outputs of a kept pass and its gradients for fixed random gradients of the outputs."""
    rng, room = np.random.default_rng(9), Workspace()
    inputs = _inputs(fields, samples)
    out = forward(fields, inputs, crew, room, keep=True)
    m, gradients = len(samples.slot), FieldGradients.of(fields)
    v_density, v_rgb = rng.normal(size=m).astype(np.float32), rng.normal(size=(m, 3)).astype(np.float32)
    looks = backward(fields, inputs, out, v_density, v_rgb, gradients, crew, room)
    return out, gradients, looks


SHAPES = {
    "the default": USUAL,
    "three levels and appearance": SMALL,
    "eleven levels, wide, appearance": FieldShape(
        levels=11, log2_table=9, max_res=64, hidden=48, geometry=15, appearance=18
    ),
    "one level, one geometry value": FieldShape(levels=1, hidden=16, geometry=1, density_unit=3.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_values_are_those_of_the_twin(name, crew):
    shape = SHAPES[name]
    fields, samples = lively_fields(shape, SLOTS), random_samples(shape, SLOTS, 333)
    out = forward(fields, _inputs(fields, samples), crew, Workspace())
    _, density, rgb = _twin(fields, samples)
    density, rgb = density.detach().numpy(), rgb.detach().numpy()
    assert np.ptp(np.log(density)) > 0.3  # or the test would not see a wrong feature
    assert np.abs(out.density / density - 1.0).max() < RELATIVE
    assert np.abs(out.rgb - rgb).max() < COLOUR


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_are_those_of_the_twin(name, crew):
    shape = SHAPES[name]
    fields, samples = lively_fields(shape, SLOTS), random_samples(shape, SLOTS, 333)
    _, gradients, looks = _both_ways(fields, samples, crew)
    leaves, density, rgb = _twin(fields, samples)
    rng = np.random.default_rng(9)
    loss = (density * torch.from_numpy(rng.normal(size=333).astype(np.float32))).sum()
    loss = loss + (rgb * torch.from_numpy(rng.normal(size=(333, 3)).astype(np.float32))).sum()
    loss.backward()
    found = [gradients.tables, gradients.mlp, looks]
    for mine, leaf in zip(found, leaves, strict=False):
        wanted = leaf.grad.numpy()
        assert np.abs(wanted).max() > 0.1
        assert np.abs(mine - wanted).max() < GRADIENT * np.abs(wanted).max()


def test_each_matrix_alone_has_the_gradients_of_the_twin(crew):
    fields, samples = lively_fields(SMALL, SLOTS), random_samples(SMALL, SLOTS, 200)
    _, gradients, _ = _both_ways(fields, samples, crew)
    leaves, density, rgb = _twin(fields, samples)
    rng = np.random.default_rng(9)
    ((density * torch.from_numpy(rng.normal(size=200).astype(np.float32))).sum()
     + (rgb * torch.from_numpy(rng.normal(size=(200, 3)).astype(np.float32))).sum()).backward()  # fmt: skip
    for place in SMALL.matrices:
        wanted = leaves[1].grad.numpy()[:, place.offset : place.end]
        mine = gradients.mlp[:, place.offset : place.end]
        assert np.abs(mine - wanted).max() < GRADIENT * np.abs(wanted).max()


def test_density_alone_is_the_density_of_the_whole_and_so_are_its_gradients(crew):
    fields, samples = lively_fields(SMALL, SLOTS), random_samples(SMALL, SLOTS, 150)
    alone = Inputs.of(fields, samples.slot, samples.place)
    room = Workspace()
    out = forward(fields, alone, crew, room, keep=True)
    whole = forward(fields, _inputs(fields, samples), crew, Workspace())
    assert out.rgb is None and np.array_equal(out.density, whole.density)
    v_density = np.random.default_rng(3).normal(size=150).astype(np.float32)
    gradients = FieldGradients.of(fields)
    backward(fields, alone, out, v_density, None, gradients, crew, room)
    leaves, density, _ = _twin(fields, samples)
    (density * torch.from_numpy(v_density)).sum().backward()
    for mine, leaf in ((gradients.tables, leaves[0]), (gradients.mlp, leaves[1])):
        wanted = leaf.grad.numpy()
        assert np.abs(mine - wanted).max() < GRADIENT * np.abs(wanted).max()
    assert not gradients.mlp[:, SMALL.matrices[2].offset :].any()


def test_gradients_of_passes_add_up(crew):
    fields, samples = lively_fields(SMALL, SLOTS), random_samples(SMALL, SLOTS, 90)
    inputs, room = _inputs(fields, samples), Workspace()
    out = forward(fields, inputs, crew, room, keep=True)
    v = np.ones(90, np.float32), np.ones((90, 3), np.float32)
    once, twice = FieldGradients.of(fields), FieldGradients.of(fields)
    for gradients, times in ((once, 1), (twice, 2)):
        for _ in range(times):
            backward(fields, inputs, out, *v, gradients, crew, room)
    assert np.allclose(twice.tables, 2.0 * once.tables, rtol=1e-5, atol=1e-6)
    assert np.allclose(twice.mlp, 2.0 * once.mlp, rtol=1e-5, atol=1e-6)
    assert np.array_equal(np.flatnonzero(once.touched), np.unique(samples.slot))
    twice.clear()
    assert not (twice.tables.any() or twice.mlp.any() or twice.touched.any())


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_gives_the_same_bits(threads, crew):
    m = 2 * CHUNK + 77  # chunks of one slot on several threads
    fields, samples = lively_fields(SMALL, 3), random_samples(SMALL, 3, m)
    samples.slot[: CHUNK + CHUNK // 2] = 1
    others = Crew(threads)
    first, second = _both_ways(fields, samples, crew), _both_ways(fields, samples, others)
    others.close()
    assert np.array_equal(first[0].density, second[0].density) and np.array_equal(first[0].rgb, second[0].rgb)
    assert np.array_equal(first[1].tables, second[1].tables) and np.array_equal(first[1].mlp, second[1].mlp)
    assert np.array_equal(first[2], second[2])


def test_a_sample_is_evaluated_alike_in_any_company(crew):
    fields, samples = lively_fields(SMALL, SLOTS), random_samples(SMALL, SLOTS, 100)
    whole = forward(fields, _inputs(fields, samples), crew, Workspace())
    pick = np.random.default_rng(4).permutation(100)[:41]
    part = replace(samples, slot=samples.slot[pick], place=samples.place[pick], ray=samples.ray[pick])
    some = forward(fields, _inputs(fields, part), crew, Workspace())
    assert np.array_equal(some.density, whole.density[pick]) and np.array_equal(some.rgb, whole.rgb[pick])


@pytest.mark.parametrize("log2_table", [4, 10])
def test_a_sample_on_the_far_faces_reads_nothing_behind_its_own_level(log2_table, crew):
    shape = FieldShape(levels=1, log2_table=log2_table, base_res=4, max_res=4, hidden=16)
    fields = lively_fields(shape, 2)
    corner = Inputs.of(fields, np.zeros(1), np.ones((1, 3)))
    before = forward(fields, corner, crew, Workspace()).density
    fields.tables[1] = np.nan
    assert before != 1.0 and forward(fields, corner, crew, Workspace()).density == before


def test_no_samples_are_no_work_and_no_error(crew):
    fields, samples = lively_fields(SMALL, SLOTS), random_samples(SMALL, SLOTS, 0)
    out, gradients, looks = _both_ways(fields, samples, crew)
    assert out.density.shape == (0,) and out.rgb.shape == (0, 3)
    assert not gradients.tables.any() and not gradients.touched.any() and looks.shape == (7, 5)


def test_a_density_beyond_the_limit_is_held_and_still_pulled_back(crew):
    fields, samples = lively_fields(SMALL, 1), random_samples(SMALL, 1, 64)
    fields.mlp[:, SMALL.matrices[1].offset : SMALL.matrices[1].end] *= 300.0
    out, gradients, _ = _both_ways(fields, samples, crew)
    leaves, density, rgb = _twin(fields, samples)
    assert out.density.max() == pytest.approx(np.exp(15.0), rel=1e-5) and out.density.min() < 1e-6
    rng = np.random.default_rng(9)
    ((density * torch.from_numpy(rng.normal(size=64).astype(np.float32))).sum()
     + (rgb * torch.from_numpy(rng.normal(size=(64, 3)).astype(np.float32))).sum()).backward()  # fmt: skip
    wanted = leaves[1].grad.numpy()
    assert np.abs(gradients.mlp - wanted).max() < 10 * GRADIENT * np.abs(wanted).max()  # exp(15) of float32


def test_sorting_keeps_every_sample_and_its_order():
    slot = np.array([3, 0, 3, 3, 0, 6], dtype=np.int32)
    groups = group_by_slot(slot, 8)
    assert groups.slots.tolist() == [0, 3, 6] and groups.offsets.tolist() == [0, 2, 5, 6]
    assert groups.order.tolist() == [1, 4, 0, 2, 3, 5]


def test_chunks_cover_each_group_once_and_stay_in_it():
    slot = np.random.default_rng(0).integers(0, 3, 3 * CHUNK).astype(np.int32)
    groups = group_by_slot(slot, 4)
    seen = np.zeros(len(slot), dtype=int)
    for s, begin, end in groups.chunks:
        assert 0 < end - begin <= CHUNK and (slot[groups.order[begin:end]] == s).all()
        seen[begin:end] += 1
    assert (seen == 1).all()
    assert groups.first_chunk[-1] == len(groups.chunks)


def test_what_does_not_fit_is_refused():
    fields, samples = lively_fields(SMALL, 2), random_samples(SMALL, 2, 9)
    with pytest.raises(ValueError, match="slots must be 0 to 1, got 0 to 2"):
        Inputs.of(fields, np.array([0, 2]), samples.place[:2])
    with pytest.raises(ValueError, match="place must have shape"):
        Inputs.of(fields, samples.slot, samples.place[:, :2])
    with pytest.raises(ValueError, match="ray must be 0 to 6"):
        Inputs.of(fields, samples.slot, samples.place, samples.ray + 3, samples.directions)
