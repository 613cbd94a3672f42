# SPDX-License-Identifier: MIT
"""The error map: pixels come as often as their errors ask for, count what undoes that, and the map is live and exact."""

from __future__ import annotations

import numpy as np
import pytest

from engine.methods.svraster.error_map import Drawn, ErrorMap

SIZES = [(40, 24), (21, 37), (64, 64)]
N = 200_000


def no_mask(view: int) -> None:
    """All pixels count."""


def pixels_of(views: list[int], size: int = 8) -> list[tuple[int, int, int]]:
    """Return (view, x, y) of the blocks' first pixels."""
    return [
        (view, x, y)
        for view in views
        for y in range(0, SIZES[view][1], size)
        for x in range(0, SIZES[view][0], size)
    ]


def taught(errors: ErrorMap, values: dict[int, np.ndarray]) -> None:
    """Teach a map the error of every block [rows, columns] of some views."""
    for view, grid in values.items():
        rows, columns = np.indices(grid.shape)
        n = grid.size
        drawn = Drawn(
            np.array([view]), np.zeros(n, np.int64), columns.reshape(-1) * 8, rows.reshape(-1) * 8, np.ones(n, np.float32)
        )  # fmt: skip
        errors.learn(drawn, grid.reshape(-1).astype(np.float32))


def random_grids(views: list[int]) -> dict[int, np.ndarray]:
    """Return errors of all blocks, over three decades."""
    rng = np.random.default_rng(0)
    return {v: 10.0 ** rng.uniform(-4, -1, (-(-SIZES[v][1] // 8), -(-SIZES[v][0] // 8))) for v in views}


def counted(drawn: Drawn) -> list[np.ndarray]:
    """Return how often each pixel [H,W] was drawn, by view."""
    counts = [np.zeros((h, w)) for w, h in SIZES]
    for slot, view in enumerate(drawn.views):
        mine = drawn.slot == slot
        np.add.at(counts[view], (drawn.y[mine], drawn.x[mine]), 1)
    return counts


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_blocks_are_drawn_by_the_root_of_their_error_and_evenly_for_the_rest(share: float) -> None:
    errors, views = ErrorMap(SIZES, no_mask), np.array([2, 0])
    grids = random_grids([0, 1, 2])
    taught(errors, grids)
    drawn = errors.draw(views, N, share, seed=4)
    counts = counted(drawn)
    assert counts[1].sum() == 0
    area = sum(SIZES[v][0] * SIZES[v][1] for v in views)
    mass = {v: np.kron(np.sqrt(grids[v]), np.ones((8, 8)))[: SIZES[v][1], : SIZES[v][0]] for v in views}
    total = sum(m.sum() for m in mass.values())
    for view in views:
        wanted = N * (share * mass[view] / total + (1.0 - share) / area)
        blocks = counts[view].reshape(SIZES[view][1] // 8, 8, SIZES[view][0] // 8, 8).sum(axis=(1, 3))
        wanted_blocks = wanted.reshape(SIZES[view][1] // 8, 8, SIZES[view][0] // 8, 8).sum(axis=(1, 3))
        assert np.abs(blocks - wanted_blocks).max() < 6.0 * np.sqrt(wanted_blocks.max())
        np.testing.assert_allclose(blocks, wanted_blocks, rtol=0.12)


def test_factors_undo_what_was_drawn_more_often() -> None:
    errors, views = ErrorMap(SIZES, no_mask), np.array([0, 1, 2])
    taught(errors, random_grids([0, 2]))  # view 1 and its odd edges are unknown
    rng = np.random.default_rng(1)
    pictures = [rng.random((h, w)) * np.linspace(0, 3, w) for w, h in SIZES]
    mean = np.concatenate([p.reshape(-1) for p in pictures]).mean()
    drawn = errors.draw(views, N, 0.7, seed=2)
    values = np.empty(N)
    for slot, view in enumerate(views):
        mine = drawn.slot == slot
        values[mine] = pictures[view][drawn.y[mine], drawn.x[mine]]
    np.testing.assert_allclose((drawn.factor * values).mean(), mean, rtol=0.01)
    np.testing.assert_allclose(drawn.factor.mean(), 1.0, rtol=0.01)
    assert drawn.factor.max() <= 1.0 / 0.3 + 1e-5


def test_blocks_that_were_never_seen_count_as_the_mean_and_masked_ones_not_at_all() -> None:
    mask = np.full((64, 64), 255, np.uint8)
    mask[:, :32] = 0
    errors = ErrorMap(SIZES, lambda view: mask if view == 2 else None)
    grid = np.full((8, 8), 0.04)
    taught(errors, {2: grid[:1]})  # one row of blocks; the others are unknown
    assert np.isnan(errors.of(2)[1:]).all()
    drawn = errors.draw(np.array([2]), N, 0.9, seed=0)
    counts = counted(drawn)[2]
    right, left = counts[:, 32:].mean(), counts[:, :32].mean()
    np.testing.assert_allclose(counts[8:, 32:].mean() / counts[:8, 32:].mean(), 1.0, rtol=0.05)
    np.testing.assert_allclose(left / right, 0.1 / (0.1 + 0.9 * 2.0), rtol=0.1)  # the even share alone
    kept = mask[drawn.y, drawn.x] > 0
    np.testing.assert_allclose((drawn.factor * kept).sum() / N, 1.0, rtol=0.02)


def test_the_map_keeps_up_and_coarser_levels_are_sums() -> None:
    errors = ErrorMap(SIZES, no_mask)
    grids = random_grids([0, 1, 2])
    taught(errors, grids)
    for view, grid in grids.items():
        np.testing.assert_allclose(errors.of(view), grid, rtol=1e-6)
    for _ in range(60):
        taught(errors, {1: np.full_like(grids[1], 0.25)})
    np.testing.assert_allclose(errors.of(1), 0.25, rtol=1e-3)
    other = ErrorMap(SIZES, no_mask)
    other.load_rows(errors.rows())
    one, two = (e.draw(np.array([0, 1, 2]), 5000, 0.8, seed=9) for e in (errors, other))
    for name in ("slot", "x", "y", "factor"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_a_rasterised_step_teaches_the_blocks_under_its_tiles() -> None:
    errors = ErrorMap(SIZES, no_mask)
    squares = np.arange(1.0, 16 * 1 + 1).reshape(4, 4)  # 64 x 64 pixels in tiles of 16 x 16
    errors.learn_picture(2, squares, None, rays=1, shrink=1)
    wanted = np.kron(squares, np.ones((2, 2))) / (3 * 256)
    np.testing.assert_allclose(errors.of(2), wanted, rtol=1e-6)
    errors = ErrorMap(SIZES, no_mask)
    errors.learn_picture(
        1, np.ones((3, 2)), None, rays=2, shrink=2
    )  # 21 x 37 halved: 11 x 19 in tiles of 8 x 8
    rows = np.array([64, 64, 24])[:, None] * np.array([8, 3]) / 8  # pixels of the tiles
    np.testing.assert_allclose(errors.of(1), np.kron(1.0 / (3 * rows), np.ones((2, 2)))[:5, :3], rtol=1e-6)
