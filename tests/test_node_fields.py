# SPDX-License-Identifier: MIT
"""The sizes of nodes' fields, how they begin, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import UserError
from engine.node_fields import TABLE_INIT, FieldShape, contract, fresh_fields


def test_the_default_shape_has_the_published_toys_size():
    shape = FieldShape()
    assert shape.resolutions.tolist() == [16, 21, 28, 39, 52, 70, 95, 128]
    assert shape.level_offsets[:4].tolist() == [0, 17**3, 17**3 + 22**3, 17**3 + 22**3 + 2**14]
    assert shape.hashed.tolist() == [False, False] + [True] * 6
    assert shape.mlp_size == 16 * 32 + 32 * 16 + 31 * 32 + 32 * 32 + 32 * 3
    assert shape.parameters == 2 * shape.entries + shape.mlp_size == 230_866
    assert shape.node_bytes == 4 * 230_866


def test_resolutions_grow_by_a_constant_factor_to_the_finest():
    shape = FieldShape(levels=16, log2_table=19, base_res=16, max_res=2048)
    assert shape.resolutions[0] == 16 and shape.resolutions[-1] == 2048
    assert (
        np.abs(np.diff(np.log(shape.resolutions)) - np.log(128) / 15).max() < 0.07
    )  # rounded down to whole cells
    assert FieldShape(levels=1).resolutions.tolist() == [16]


def test_matrices_lie_one_behind_the_other():
    shape = FieldShape(appearance=9, geometry=4, hidden=48)
    assert [(m.rows, m.columns) for m in shape.matrices] == [(16, 48), (48, 5), (29, 48), (48, 48), (48, 3)]
    assert [m.offset for m in shape.matrices] == [0, *(m.end for m in shape.matrices[:-1])]
    assert shape.matrices[-1].end == shape.mlp_size


def test_a_matrix_is_a_view_into_its_slots_parameters():
    fields = fresh_fields(FieldShape(log2_table=6), 2, np.random.default_rng(0))
    fields.matrix(1, 3)[2, 5] = 7.0
    assert fields.mlp[1, fields.shape.matrices[3].offset + 2 * 32 + 5] == 7.0


def test_fresh_fields_are_small_features_and_matrices_of_hes_variance():
    fields = fresh_fields(FieldShape(), 3, np.random.default_rng(0))
    assert np.abs(fields.tables).max() <= TABLE_INIT and fields.tables.std() == pytest.approx(
        TABLE_INIT / 3**0.5, rel=0.01
    )
    for which, place in enumerate(fields.shape.matrices):
        values = np.concatenate([fields.matrix(s, which).ravel() for s in range(3)])
        assert values.std() == pytest.approx((2.0 / place.rows) ** 0.5, rel=0.1)
    assert not np.array_equal(fields.tables[0], fields.tables[1])


def test_a_slot_begins_alike_however_many_follow():
    few, many = (fresh_fields(FieldShape(log2_table=6), n, np.random.default_rng(4)) for n in (1, 3))
    assert np.array_equal(few.tables[0], many.tables[0]) and np.array_equal(few.mlp[0], many.mlp[0])


def test_contraction_keeps_the_inside_and_draws_the_outside_within_two():
    points = np.array([[0.3, -1.0, 0.9], [2.0, 0.0, -1.0], [0.0, -4.0, 0.0]])
    assert np.allclose(contract(points), [[0.3, -1.0, 0.9], [1.5, 0.0, -0.75], [0.0, -1.75, 0.0]])
    assert np.abs(contract(np.full((1, 3), 1e12))).max() <= 2.0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"levels": 0}, "levels must be 1 to 16, got 0"),
        ({"base_res": 256}, "base_res must be 1 to 128, got 256"),
        ({"hidden": 24}, "hidden must be a multiple of 16, got 24"),
        ({"features": 4}, "features must be 2 to 2, got 4"),
        ({"geometry": 16}, "geometry must be 1 to 15, got 16"),
        ({"density_unit": 0.0}, "density_unit must be above 0"),
    ],
)
def test_sizes_that_kernels_cannot_do_are_refused_with_the_reason(wrong, says):
    with pytest.raises(UserError, match=says):
        FieldShape(**wrong)
