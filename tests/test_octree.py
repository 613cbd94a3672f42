# SPDX-License-Identifier: MIT
"""The octree against brute force on random trees with leaves of many levels."""

from __future__ import annotations

import numpy as np
import pytest

from engine.constants import LATTICE, MAX_LEVEL
from engine.morton import ijk_from_path, path_from_ijk
from engine.octree import Octree, order_keys


def _random_octree(seed: int, root_size: float = 1.0, rounds: int = 3) -> Octree:
    """Return a few hundred leaves of levels 1 to 1 + rounds, with holes."""
    rng = np.random.default_rng(seed)
    octree = Octree.from_leaves(np.arange(8) << 45, np.ones(8, int), root_size)
    for _ in range(rounds):
        octree, _ = octree.subdivide(rng.random(len(octree)) < 0.5)
    return octree.keep(rng.random(len(octree)) < 0.85)[0]


def _deepest_corner(levels: int = MAX_LEVEL) -> Octree:
    """Return the tree that splits only the leaf next to the origin, down to the given level."""
    octree = Octree.from_leaves(np.arange(8) << 45, np.ones(8, int))
    for _ in range(levels - 1):
        octree, _ = octree.subdivide(octree.find(np.full((1, 3), 1e-9)) == np.arange(len(octree)))
    return octree


def _crossings(
    octree: Octree, origin: np.ndarray, direction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (leaf, t_in, t_out) of the leaves that a ray crosses from t = 0 on, for more than rounding."""
    low = octree.center.astype(float) - 0.5 * octree.size[:, None]
    high = low + octree.size[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (low - origin) / direction, (high - origin) / direction
    near, far = np.minimum(a, b), np.maximum(a, b)
    still = direction == 0
    inside = (low <= origin) & (origin < high)
    near[:, still] = np.where(inside[:, still], -np.inf, np.inf)
    far[:, still] = np.where(inside[:, still], np.inf, -np.inf)
    t_in, t_out = np.maximum(near.max(axis=1), 0.0), far.min(axis=1)
    leaf = np.flatnonzero(t_out - t_in > 1e-9)
    return leaf, t_in[leaf], t_out[leaf]


def _assert_front_to_back(octree: Octree, keys: np.ndarray, origin: np.ndarray, direction: np.ndarray) -> int:
    leaf, t_in, t_out = _crossings(octree, origin, direction)
    order = np.argsort(keys[leaf])
    assert np.all(t_out[order][:-1] <= t_in[order][1:] + 1e-9), (origin, direction)
    return max(len(leaf) - 1, 0)


def _rays(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return directions [n,3]: mostly random, some along axes and in axis planes."""
    directions = rng.normal(size=(n, 3))
    directions[::7, rng.integers(3)] = 0.0
    directions[::11] = np.eye(3)[rng.integers(3, size=len(directions[::11]))] * rng.choice([-1.0, 1.0])
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


CAMERAS = {
    "outside": (0.9, -1.3, 0.77),
    "outside on one axis": (0.1, 0.2, 2.5),
    "inside": (0.123, -0.217, 0.051),
    "on a node plane": (0.125, 0.031, -0.3),
    "just below a node plane": (-1e-18, 0.031, -0.3),
    "on the centre": (0.0, 0.0, 0.0),
    "on a lattice corner": (0.25, -0.125, 0.375),
    "on the root's corner": (0.5, 0.5, -0.5),
}


@pytest.mark.parametrize("where", CAMERAS)
def test_ascending_keys_are_front_to_back_for_every_ray_of_a_camera(where: str) -> None:
    camera = np.array(CAMERAS[where])
    pairs = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        octree = _random_octree(seed)
        keys = order_keys(octree.path, camera, octree.root_size)
        aims = rng.uniform(-0.5, 0.5, (60, 3)) - camera
        directions = np.concatenate([_rays(rng, 60), aims / np.linalg.norm(aims, axis=1, keepdims=True)])
        pairs += sum(_assert_front_to_back(octree, keys, camera, direction) for direction in directions)
    assert pairs > 200


def test_a_camera_beyond_all_numbers_of_the_lattice_still_has_an_order() -> None:
    octree = _random_octree(4)
    far, direction = np.array([-1e30, 1e30, 1e30]), np.array([1.0, -1.0, -1.0])
    assert np.array_equal(order_keys(octree.path, far, 1.0), order_keys(octree.path, far, 1.0, direction))


def test_ascending_keys_are_front_to_back_for_parallel_rays() -> None:
    pairs = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        octree = _random_octree(seed, root_size=4.0)
        for direction in _rays(rng, 12):
            keys = order_keys(octree.path, np.full(3, np.nan), octree.root_size, direction)
            for target in rng.uniform(-2, 2, (10, 3)):
                pairs += _assert_front_to_back(octree, keys, target - 10 * direction, direction)
    assert pairs > 500


def test_keys_of_cameras_in_another_root_size_scale_with_it() -> None:
    octree = _random_octree(1)
    assert np.array_equal(
        order_keys(octree.path, [0.1, 0.2, -0.3], 1.0), order_keys(octree.path, [0.8, 1.6, -2.4], 8.0)
    )


def test_keys_of_the_finest_level_are_front_to_back() -> None:
    octree, rng = _deepest_corner(), np.random.default_rng(5)
    for camera in ([0.0, 0.0, 0.0], [1e-5, 3e-5, 2e-6], [0.3, 0.2, 0.1], [-1.0, 0.1, 0.1]):
        keys = order_keys(octree.path, camera, 1.0)
        aims = np.concatenate([rng.uniform(0, 1e-4, (30, 3)), rng.uniform(-0.5, 0.5, (30, 3))]) - camera
        for direction in aims / np.linalg.norm(aims, axis=1, keepdims=True):
            _assert_front_to_back(octree, keys, np.array(camera), direction)


def test_keys_of_disjoint_leaves_differ() -> None:
    octree = _random_octree(0)
    for camera in CAMERAS.values():
        assert len(np.unique(order_keys(octree.path, camera, 1.0))) == len(octree)


def test_paths_and_lattice_coordinates_are_inverse() -> None:
    ijk = np.random.default_rng(0).integers(0, LATTICE, (1000, 3))
    assert np.array_equal(ijk_from_path(path_from_ijk(ijk)), ijk)
    assert path_from_ijk(np.array([[1 << 15, 0, 0]]))[0] == 1 << 47


def _corner_oracle(octree: Octree) -> np.ndarray:
    bits = np.array([[c >> 2, c >> 1 & 1, c & 1] for c in range(8)])
    step = LATTICE >> octree.level.astype(int)
    return octree.ijk[:, None, :] + bits * step[:, None, None]


@pytest.mark.parametrize("octree", [_random_octree(0), _random_octree(1, 4.0, 4), Octree.dense(4, 3)])
def test_corners_are_shared_as_unique_rows_say_and_numbered_by_first_owner(octree: Octree) -> None:
    corners = _corner_oracle(octree)
    assert np.array_equal(octree.point_ijk[octree.corner_idx], corners)
    assert octree.n_points == len(np.unique(corners.reshape(-1, 3), axis=0))
    _, first = np.unique(octree.corner_idx.ravel(), return_index=True)
    assert np.all(np.diff(first) > 0)


def test_the_point_table_grows_past_its_first_size() -> None:
    rng = np.random.default_rng(3)
    path = np.unique(path_from_ijk(rng.integers(0, LATTICE, (5000, 3))))
    octree = Octree.from_leaves(path, np.full(len(path), MAX_LEVEL))
    assert np.array_equal(octree.point_ijk[octree.corner_idx], _corner_oracle(octree))


def _assert_same(a: Octree, b: Octree) -> None:
    for name in ("path", "level", "corner_idx", "point_ijk"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
        assert getattr(a, name).dtype == getattr(b, name).dtype, name


@pytest.mark.parametrize("seed", range(3))
def test_keep_and_subdivide_equal_building_from_the_new_leaves(seed: int) -> None:
    octree, rng = _random_octree(seed), np.random.default_rng(seed)
    for operation in ("subdivide", "keep"):
        octree, _ = getattr(octree, operation)(rng.random(len(octree)) < 0.4)
        _assert_same(octree, Octree.from_leaves(octree.path, octree.level, octree.root_size))


@pytest.mark.parametrize("operation", ["keep", "subdivide"])
def test_surviving_points_keep_their_values_exactly(operation: str) -> None:
    octree, rng = _random_octree(7), np.random.default_rng(7)
    values = rng.normal(size=(octree.n_points, 3)).astype(np.float32)
    new, carry = getattr(octree, operation)(rng.random(len(octree)) < 0.4)
    carried = carry.carry_points(values)
    old_row = {tuple(p): i for i, p in enumerate(octree.point_ijk.tolist())}
    survivors = [(i, old_row[tuple(p)]) for i, p in enumerate(new.point_ijk.tolist()) if tuple(p) in old_row]
    new_rows, old_rows = np.array(survivors).T
    assert np.array_equal(carried[new_rows], values[old_rows])
    if operation == "subdivide":
        assert len(survivors) == octree.n_points < new.n_points
    assert np.allclose(carry.point_weight.sum(axis=1), 1.0, atol=0)


def _field(octree: Octree, values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the trilinear field of corner values [G] at points [N,3], which must lie in leaves."""
    leaf = octree.find(points)
    low = octree.center[leaf].astype(float) - 0.5 * octree.size[leaf, None]
    q = (points - low) / octree.size[leaf, None]
    total = np.zeros(len(points))
    for c in range(8):
        weight = np.prod([q[:, a] if c >> (2 - a) & 1 else 1 - q[:, a] for a in range(3)], axis=0)
        total += weight * values[octree.corner_idx[leaf, c]]
    return total


def test_a_split_leaves_the_trilinear_field_of_one_level_unchanged() -> None:
    octree, rng = Octree.dense(3), np.random.default_rng(2)
    values = rng.normal(size=octree.n_points)
    new, carry = octree.subdivide(rng.random(len(octree)) < 0.5)
    points = rng.uniform(-0.5, 0.5, (2000, 3))
    assert (
        np.abs(_field(new, carry.carry_points(values), points) - _field(octree, values, points)).max() < 1e-12
    )


def test_a_split_leaves_an_affine_field_of_any_levels_unchanged() -> None:
    octree, rng = _random_octree(5), np.random.default_rng(5)
    values = octree.point_position @ np.array([1.0, -2.0, 3.0]) + 0.5
    new, carry = octree.subdivide(rng.random(len(octree)) < 0.5)
    expected = new.point_position @ np.array([1.0, -2.0, 3.0]) + 0.5
    assert np.abs(carry.carry_points(values) - expected).max() < 1e-12


def test_voxel_rows_come_from_the_voxel_that_covered_them() -> None:
    octree, rng = _random_octree(6), np.random.default_rng(6)
    for operation in ("keep", "subdivide"):
        new, carry = getattr(octree, operation)(rng.random(len(octree)) < 0.4)
        assert np.array_equal(carry.carry_voxels(np.arange(len(octree))), octree.find(new.center))


def test_a_split_conserves_volume() -> None:
    octree = _random_octree(8)
    new, _ = octree.subdivide(np.ones(len(octree), bool))
    assert len(new) == 8 * len(octree)
    assert new.stats().occupancy == octree.stats().occupancy > 0


def test_leaves_of_the_finest_level_are_not_split() -> None:
    octree = _deepest_corner()
    assert octree.level.max() == MAX_LEVEL
    new, carry = octree.subdivide(octree.level == MAX_LEVEL)
    _assert_same(new, octree)
    assert np.array_equal(carry.voxel_from, np.arange(len(octree)))
    assert octree.size.min() == 2.0**-16
    assert octree.find(octree.center).tolist() == list(range(len(octree)))


def test_find_equals_brute_force() -> None:
    octree, rng = _random_octree(9, root_size=2.0), np.random.default_rng(9)
    points = np.concatenate([rng.uniform(-1.3, 1.3, (500, 3)), octree.point_position, octree.center])
    low = octree.center - 0.5 * octree.size[:, None]
    high = low + octree.size[:, None]
    inside = np.all((points[:, None] >= low) & (points[:, None] < high), axis=2)
    expected = np.where(inside.any(axis=1), inside.argmax(axis=1), -1)
    assert np.array_equal(octree.find(points), expected)
    assert (expected < 0).any() and octree.find(np.full((1, 3), np.nan))[0] == -1


def test_dense_fills_the_root_once() -> None:
    octree = Octree.dense(3, outside_levels=2)
    assert np.bincount(octree.level).tolist() == [0, 0, 56, 56, 0, 512]
    assert float((octree.size.astype(float) ** 3).sum()) == octree.root_size**3 == 64.0
    assert octree.stats().occupancy == 1.0
    inside = octree.level == 5
    assert np.all(np.abs(octree.center[inside]) < 0.5) and not np.any(
        np.all(np.abs(octree.center[~inside]) < 0.5, axis=1)
    )
    assert Octree.dense(2).center[1].tolist() == [-0.375, -0.375, -0.125]


def test_occupancy_counts_only_the_part_inside_the_foreground_cube() -> None:
    octree = Octree.from_leaves([7 << 45], [1], root_size=4.0)
    assert octree.stats().occupancy == 0.125


def test_an_octree_may_be_empty() -> None:
    empty, carry = _random_octree(0).keep(np.zeros(len(_random_octree(0)), bool))
    again, _ = empty.subdivide(np.zeros(0, bool))
    assert len(empty) == empty.n_points == len(again) == len(carry.voxel_from) == 0
    assert empty.find(np.zeros((2, 3))).tolist() == [-1, -1]
    assert empty.stats().voxels == 0 and len(order_keys(empty.path, np.zeros(3), 1.0)) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 0], [1, 2]), "must be disjoint"),
        (([0, 1 << 42], [1, 2]), "must be disjoint"),
        (([1], [1]), "48 bits, zero below"),
        (([1 << 48], [1]), "48 bits"),
        (([0], [0]), "1 to 16"),
        (([0], [17]), "1 to 16"),
        (([0, 1], [1]), "one length"),
        (([0], [1], 3.0), "power of two"),
    ],
)
def test_malformed_leaves_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Octree.from_leaves(*arguments)


def test_masks_and_sizes_of_the_wrong_kind_are_refused() -> None:
    octree = Octree.dense(1)
    with pytest.raises(ValueError, match="one bool for each of the 8 voxels"):
        octree.keep(np.ones(7, bool))
    with pytest.raises(ValueError, match="got int64"):
        octree.subdivide(np.ones(8, np.int64))
    with pytest.raises(ValueError, match="at most 16"):
        Octree.dense(12, 5)
    with pytest.raises(ValueError, match="finite"):
        order_keys(octree.path, [np.nan, 0, 0], 1.0)
    with pytest.raises(ValueError, match="floating point"):
        octree.keep(np.ones(8, bool))[1].carry_points(np.arange(27))
