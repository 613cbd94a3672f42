# SPDX-License-Identifier: MIT
"""A grid looked at through the rasteriser shows what marching shows, for any resolution, box and camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cameras import Camera, look_at
from engine.cpu.cells import find_cells
from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.cpu.march import MarchOptions, march
from engine.methods.common import VIEW_MODES, Buffers
from engine.methods.plenoxels.march_view import march_view
from engine.methods.plenoxels.space import Cube
from engine.methods.plenoxels.view import Cells, CellViewer, Lattice, cell_boxes, fits, render_cells
from engine.render.visualise import picture, wanted_buffers
from engine.voxel_grid import Grid
from tests.methods.plenoxels.grids import ball_grid, sparse_grid

MODES = [mode for mode in VIEW_MODES if mode != "node"]  # a grid has no nodes
SIZE = (72, 48)
SAME_DB = 46.0  # 48 to 65 dB seen on these coarse grids; at 128 values a side, 63 to 75
WHITE = np.ones(3)
BOXES = {
    "a power of two": ((32, 32, 32), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0)),
    "one more": ((33, 33, 33), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0)),
    "unequal sides": ((40, 32, 24), (0.5, 0.4, 0.3), (0.05, 0.0, -0.02)),
    "a large box": ((40, 40, 40), (0.9, 0.9, 0.9), (0.1, -0.2, 0.0)),
}


def camera_at(position: tuple = (1.1, 0.9, 0.6), fov: float = 0.7) -> Camera:
    pose = look_at(np.array(position), np.zeros(3), np.array([0.0, 0.0, 1.0]))
    return Camera.from_fov(*SIZE, fov, pose)


VIEWS = {
    "outside": camera_at(),
    "from below": camera_at((0.3, -0.2, -1.3), 0.5),
    "within the grid": camera_at((0.33, 0.33, 0.3), 1.2),
    "orthographic": replace(camera_at(), orthographic=True, fx=70.0, fy=70.0),
}


def seen(grid: Grid, camera: Camera, want: frozenset[str] = frozenset()) -> Buffers:
    return render_cells(Cells.of(grid, Lattice.of(grid)), camera, want, 1.0, WHITE, Workspace())


def marched(grid: Grid, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return picture [H,W,3], transmittance [H,W] and sum of weight * z-depth [H,W]."""
    origins, directions = (a.reshape(-1, 3) for a in camera.rays())
    out = march(grid, origins, directions, MarchOptions(), crew(), Workspace())
    along = (directions @ camera.forward).reshape(SIZE[::-1])
    trans, depth = np.exp(out.log_trans).reshape(SIZE[::-1]), out.depth.reshape(SIZE[::-1])
    return out.over(1.0).reshape(*SIZE[::-1], 3), trans, depth * along


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10.0 * np.log10(np.mean((np.clip(a, 0, 1) - np.clip(b, 0, 1)) ** 2)))


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("view", VIEWS)
def test_the_picture_is_the_one_that_marching_makes(view: str, box: str) -> None:
    grid = ball_grid(*BOXES[box])
    exact, trans, _ = marched(grid, VIEWS[view])
    got = seen(grid, VIEWS[view])
    assert trans.min() < 0.01 and exact.std() > 0.1  # there is something to see
    assert psnr(got.rgb, exact) > SAME_DB
    assert np.abs(got.trans - trans).mean() < 1e-3


def test_walls_one_voxel_thick_look_the_same() -> None:
    grid = ball_grid((48, 48, 48), sharpness=30.0)
    assert psnr(seen(grid, VIEWS["outside"]).rgb, marched(grid, VIEWS["outside"])[0]) > 40.0


@pytest.mark.parametrize("box", BOXES)
def test_depth_is_in_engine_units_along_the_axis(box: str) -> None:
    grid, camera = ball_grid(*BOXES[box]), VIEWS["outside"]
    _, trans, depth = marched(grid, camera)
    got = seen(grid, camera, frozenset({"depth_z", "depth_median"}))
    solid = trans < 0.01
    assert np.abs(got.depth_z * (1.0 - trans) - depth)[solid].mean() < 0.1 / grid.scale.mean()
    assert np.abs(got.depth_median - got.depth_z)[solid].mean() < 2.0 / grid.scale.mean()


def test_normals_point_out_of_a_ball() -> None:
    grid, camera = ball_grid((40, 32, 24), (0.5, 0.4, 0.3)), VIEWS["outside"]
    got = seen(grid, camera, frozenset({"normal", "depth_z"}))
    origins, directions = camera.rays()
    t = got.depth_z / (directions @ camera.forward)
    place = origins + t[..., None] * directions
    on_ball = (got.trans < 0.01) & (np.abs(np.linalg.norm(place, axis=-1) - 0.25) < 0.03)
    outwards = place / np.linalg.norm(place, axis=-1, keepdims=True)
    assert on_ball.sum() > 50
    assert np.median((outwards * got.normal).sum(axis=-1)[on_ball]) > 0.97


@pytest.mark.parametrize("mode", MODES)
def test_every_view_mode_has_what_it_needs(mode: str) -> None:
    grid = ball_grid()
    want = wanted_buffers(mode)
    buffers = seen(grid, VIEWS["outside"], want)
    assert all(getattr(buffers, name) is not None for name in want)
    photo = np.zeros((*SIZE[::-1], 3), dtype=np.float32)
    shown, _ = picture(buffers, mode, "turbo", photo=photo, max_level=5)
    assert shown[..., :3].std() > 1.0


def test_level_and_size_are_those_of_the_cells() -> None:
    grid = ball_grid((40, 32, 24), (0.5, 0.4, 0.3))
    got = seen(grid, VIEWS["outside"], frozenset({"level", "size"}))
    solid, empty = got.trans < 0.01, got.trans == 1.0
    assert np.all(got.level[solid] == 6.0) and np.allclose(
        got.size[solid], 0.025
    )  # 2^6 is the first above 39
    assert np.all(got.level[empty] == 0.0) and empty.any()


def test_rays_a_pixel_are_averaged() -> None:
    grid, camera = ball_grid(), VIEWS["outside"]
    cells = Cells.of(grid, Lattice.of(grid))
    fine = render_cells(cells, camera.scaled(2.0), frozenset(), 1.0, WHITE, Workspace()).rgb.copy()
    got = render_cells(cells, camera, frozenset(), 2.0, WHITE, Workspace()).rgb
    assert np.allclose(got, fine.reshape(SIZE[1], 2, SIZE[0], 2, 3).mean(axis=(1, 3)), atol=1e-5)


def test_empty_voxels_are_drawn_as_marching_reads_them() -> None:
    """Colours fade to grey towards a missing neighbour, as there."""
    dense = ball_grid((32, 32, 32))
    keep = (dense.density > 0.0).reshape(dense.links.shape)
    keep[::5, ::3, ::4] = False
    grid = sparse_grid(dense, keep)
    assert psnr(seen(grid, VIEWS["outside"]).rgb, marched(grid, VIEWS["outside"])[0]) > SAME_DB


def test_cells_around_stored_values_are_found_and_no_others() -> None:
    keep = np.zeros((5, 4, 6), dtype=bool)
    keep[2, 1, 3] = keep[0, 0, 0] = keep[4, 3, 5] = True
    links = sparse_grid(ball_grid((5, 4, 6)), keep).links
    expected = {
        (x, y, z)
        for x in range(4)
        for y in range(3)
        for z in range(5)
        if keep[x : x + 2, y : y + 2, z : z + 2].any()
    }
    found = find_cells(links, crew())
    assert {tuple(int(i) for i in np.unravel_index(c, links.shape)) for c in found} == expected
    assert np.all(np.diff(found) > 0)


def test_only_cells_that_can_have_density_are_drawn_and_they_follow_it() -> None:
    grid = ball_grid()
    lattice = Lattice.of(grid)
    before = Cells.of(grid, lattice).table.n_voxels
    assert 0 < before < len(lattice.cells)
    grid.density[:] = -1.0
    assert Cells.of(grid, lattice).table.n_voxels == 0
    assert np.all(seen(grid, VIEWS["outside"]).trans == 1.0)


def test_a_viewer_follows_densities_and_structure() -> None:
    viewer, grid, view = CellViewer(), ball_grid((32, 32, 32)), VIEWS["outside"]

    def look(grid: Grid, state: int) -> np.ndarray:
        return viewer.render(grid, state, view, frozenset(), 1.0, WHITE).rgb

    first = look(grid, 0)
    assert viewer.cells(grid, 0) is viewer.cells(grid, 0)
    grid.density *= 0.3
    fainter = look(grid, 1)
    assert np.abs(fainter - first).max() > 0.05 and psnr(fainter, marched(grid, view)[0]) > SAME_DB
    keep = np.ones((32, 32, 32), dtype=bool)
    keep[16:] = False
    half = sparse_grid(grid, keep)
    assert psnr(look(half, 1), marched(half, view)[0]) > SAME_DB


def test_boxes_enclose_the_balls() -> None:
    grid = ball_grid((40, 32, 24), (0.5, 0.4, 0.3), (0.05, 0.0, -0.02))
    cells = Cells.of(grid, Lattice.of(grid))
    boxes = cell_boxes(cells, (6,), 10_000)
    assert len(boxes) == cells.table.n_voxels and np.allclose(boxes[:, 3], 0.025)
    low, high = (boxes[:, :3] - 0.0125).min(axis=0), (boxes[:, :3] + 0.0125).max(axis=0)
    assert np.allclose(low, [-0.325, -0.25, -0.25], atol=0.04)
    assert np.allclose(high, [0.375, 0.35, 0.25], atol=0.04)
    assert len(cell_boxes(cells, (6,), 100)) == 100 and len(cell_boxes(cells, (5,), 100)) == 0


def test_voxels_that_are_no_cubes_do_not_fit() -> None:
    assert fits(ball_grid((40, 32, 24), (0.5, 0.4, 0.3)))
    assert not fits(ball_grid((20, 20, 10)))


def test_a_marched_view_has_every_field_too() -> None:
    """Where the rasteriser cannot draw a grid, as in device coordinates, every view mode works all the same."""
    grid, camera = ball_grid((32, 32, 32)), VIEWS["outside"]
    want = frozenset().union(*(wanted_buffers(mode) for mode in MODES))
    got = march_view(grid, Cube(), camera, MarchOptions(), WHITE, want, Workspace())
    drawn = seen(grid, camera, want)
    assert all(getattr(got, name) is not None for name in want)
    solid = (got.trans < 0.01) & (drawn.trans < 0.01)
    assert np.abs(got.depth_z - drawn.depth_z)[solid].mean() < 0.2 / grid.scale.mean()
    assert np.median((got.normal * drawn.normal).sum(axis=-1)[solid]) > 0.9
    assert np.all(got.count[solid] > 0) and np.all(got.count[got.trans == 1.0] == 0)
    assert np.array_equal(got.size[solid], drawn.size[solid])
