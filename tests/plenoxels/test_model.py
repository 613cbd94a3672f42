# SPDX-License-Identifier: MIT
"""The model as a torch module: what it draws, its gradients, its structure, its files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import engine
from engine.errors import CheckpointError
from engine.methods.plenoxels import npz
from engine.reference.march import march
from engine.voxel_grid import MarchOptions
from tests.methods.plenoxels.stored import ball


def rays(n: int = 60, seed: int = 0, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    o = rng.normal(size=(n, 3))
    o *= 2.5 / np.linalg.norm(o, axis=1, keepdims=True)
    d = rng.uniform(-0.6, 0.6, (n, 3)) - o
    return torch.from_numpy(o).to(dtype), torch.from_numpy(d).to(dtype)


def small(**values) -> engine.PlenoxelModel:
    """A model of 5 x 6 x 4 random voxels, some negative, in a box that is no cube."""
    torch.manual_seed(0)
    settings = dict(
        grid_resolution=(5, 6, 4),
        use_coarse_to_fine=False,
        sh_degree=1,
        scene_bounds=(-1, -1, -1, 1, 1.2, 0.9),
    )
    model = engine.PlenoxelModel(engine.PlenoxelConfig(**{**settings, **values}))
    model.density.data = torch.randn_like(model.density) * 2.0 + 1.0
    model.sh.data = torch.randn_like(model.sh)
    return model


@pytest.fixture
def trained(tmp_path) -> engine.PlenoxelModel:
    """The model of a file: a ball in the box [-1,1]^3."""
    npz.write(tmp_path / "ball.npz", ball())
    return engine.PlenoxelModel.from_npz(tmp_path / "ball.npz", near_plane=0.0)


def test_rays_see_what_the_readable_marcher_shows(trained, tmp_path):
    grid = npz.grid_of(npz.read(tmp_path / "ball.npz").scaled(2.0))
    o, d = rays()
    out = trained(o, d)
    density, colours = torch.from_numpy(grid.density), torch.from_numpy(grid.coefficients.copy())
    seen = march(grid, density, colours, o, d / d.norm(dim=1, keepdim=True), MarchOptions())
    trans = torch.exp(seen.log_trans)
    assert (trans < 0.5).any() and (trans > 0.5).any()
    torch.testing.assert_close(out["rgb"], seen.rgb + trans[:, None], atol=2e-5, rtol=0.0)
    torch.testing.assert_close(out["alpha"], 1.0 - trans, atol=2e-5, rtol=0.0)
    torch.testing.assert_close(out["depth"], seen.depth, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(out["weights"].sum(dim=1), out["alpha"], atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("num_samples", [None, 12])
def test_gradients_are_those_of_finite_differences(num_samples):
    model = small(near_plane=0.0).double()
    o, d = rays(8, dtype=torch.float64)

    def drawn(density, sh):
        given = {"density": density, "sh": sh}
        out = torch.func.functional_call(model, given, (o, d, num_samples))
        return out["rgb"], out["depth"], out["alpha"], out["weights"]

    parameters = model.density.detach().clone().requires_grad_(), model.sh.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(drawn, parameters, eps=1e-6, atol=1e-6, fast_mode=True)  # 11 s else


def test_a_uniform_cube_gives_the_closed_form():
    model = engine.PlenoxelModel(
        engine.PlenoxelConfig(
            grid_resolution=(16, 16, 16), use_coarse_to_fine=False, background_brightness=0.0
        )
    )
    model.density.data[:] = 0.8
    o, d = torch.tensor([[-3.0, 0.1, 0.2]]), torch.tensor([[2.0, 0.0, 0.0]])
    expected = 0.5 * (1.0 - np.exp(-0.8 * 2.0))
    assert float(model(o, d, 200)["rgb"][0, 0].detach()) == pytest.approx(expected, rel=1e-4)
    marched = model(o, d)  # 33 samples of half a voxel: the last stands on the far wall
    assert float(marched["rgb"][0, 0].detach()) == pytest.approx(
        0.5 * (1.0 - np.exp(-0.8 * 33 / 16)), rel=1e-4
    )


def test_a_number_of_samples_spreads_them_over_the_box(trained):
    o, d = rays()
    marched, spread = trained(o, d), trained(o, d, num_samples=400)
    torch.testing.assert_close(spread["rgb"], marched["rgb"], atol=0.03, rtol=0.0)
    assert spread["weights"].shape[1] <= 400


def test_near_and_far_cut_rays_off():
    model = small(near_plane=100.0, far_plane=200.0)
    out = model(*rays())
    assert (out["rgb"] == 1.0).all()
    assert not out["rgb"].requires_grad or out["alpha"].abs().max() == 0.0


def test_chunks_and_checkpointing_change_neither_results_nor_gradients():
    o, d = rays()
    results = []
    for values in (
        {},
        {"max_rays_per_batch": 7},
        {"max_rays_per_batch": 7, "use_gradient_checkpointing": True},
    ):
        model = small(**values)
        out = model(o, d, background=torch.rand(len(o), 3, generator=torch.Generator().manual_seed(0)))
        out["rgb"].square().mean().backward()
        results.append((out["rgb"].detach(), out["weights"].detach(), model.density.grad, model.sh.grad))
    for other in results[1:]:
        for one, two in zip(results[0], other):
            torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-5)


def test_pruning_keeps_the_picture_and_says_what_it_kept(trained):
    o, d = rays()
    before, rows_before, sh = trained(o, d)["rgb"], len(trained.density), trained.sh.detach().clone()
    total = trained.get_occupancy_stats()["total_voxels"]
    rows = trained.prune_voxels(threshold=0.0)
    assert len(rows) == len(trained.density) < rows_before
    assert torch.equal(trained.sh, sh[rows])
    torch.testing.assert_close(trained(o, d)["rgb"], before, atol=1e-6, rtol=0.0)
    stats = trained.get_occupancy_stats()
    assert stats["total_voxels"] == total == 24**3
    assert stats["sparsity_ratio"] == pytest.approx(1.0 - stats["occupied_voxels"] / total)
    assert stats["occupied_voxels"] == int((trained.density > 0.0).sum())


def test_a_finer_grid_of_a_linear_field_is_exact_inside():
    model = small(grid_resolution=(6, 6, 6), scene_bounds=(-1, -1, -1, 1, 1, 1))
    axis = torch.arange(6.0)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    model.density.data = (5.0 + x + 2.0 * y - z).reshape(-1)
    model.upsample((12, 12, 12), threshold=-1e9)
    at = (torch.arange(12.0) + 0.5) / 2.0 - 0.5
    x, y, z = torch.meshgrid(at, at, at, indexing="ij")
    inner = slice(1, -1)
    found = model.dense_density()[inner, inner, inner]
    torch.testing.assert_close(found, (5.0 + x + 2.0 * y - z)[inner, inner, inner], atol=1e-5, rtol=0.0)


def test_a_finer_grid_shows_nearly_the_same_picture(trained):
    o, d = rays()
    before = trained(o, d)["rgb"].detach()
    trained.upsample((48, 48, 48))
    assert trained.resolution == (48, 48, 48)
    assert float((trained(o, d)["rgb"].detach() - before).square().mean().sqrt()) < 0.05


def test_total_variation_is_that_of_a_loop():
    model = small()
    links, density, sh = model.links.clone(), model.density.detach(), model.sh.detach().flatten(1)
    links.view(-1)[::5] = -1
    model.links = links
    total = 0.0
    for x, y, z in np.ndindex(5, 6, 4):
        row = int(links[x, y, z])
        if row < 0:
            continue
        squares = np.zeros(1 + sh.shape[1])
        for axis, side in enumerate((5, 6, 4)):
            at = [x, y, z]
            at[axis] += 1
            if at[axis] == side:
                continue
            beside = int(links[tuple(at)])
            change = np.zeros(1 + sh.shape[1])
            change[0] = (float(density[beside]) if beside >= 0 else 0.0) - float(density[row])
            if beside >= 0:
                change[1:] = (sh[beside] - sh[row]).numpy()
            squares += (change * side / 256.0) ** 2
        total += np.sqrt(squares + 1e-9).sum()
    assert float(model.total_variation(1.0).detach()) == pytest.approx(total / 120, rel=1e-5)
    generator = torch.Generator().manual_seed(0)
    parts = [float(model.total_variation(0.1, generator).detach()) for _ in range(400)]
    assert np.mean(parts) == pytest.approx(total / 120, rel=0.05)


def test_a_model_goes_through_its_state_dict_and_the_public_file(trained, tmp_path):
    fresh = engine.PlenoxelModel(trained.config)
    fresh.load_state_dict(trained.state_dict())
    o, d = rays()
    assert torch.equal(fresh(o, d)["rgb"], trained(o, d)["rgb"])
    trained.save_npz(tmp_path / "b.npz")
    again = engine.PlenoxelModel.from_npz(tmp_path / "b.npz", near_plane=0.0)
    assert again.config.scene_bounds == (-1.0, -1.0, -1.0, 1.0, 1.0, 1.0)
    torch.testing.assert_close(again(o, d)["rgb"], trained(o, d)["rgb"], atol=1e-3, rtol=0.0)
    with pytest.raises(CheckpointError):
        engine.PlenoxelModel.from_npz(tmp_path / "missing.npz")


def test_no_rays_give_empty_results():
    out = small()(torch.zeros(0, 3), torch.zeros(0, 3))
    assert {name: tuple(value.shape) for name, value in out.items()} == {
        "rgb": (0, 3), "depth": (0,), "weights": (0, 0), "alpha": (0,), "t_vals": (0, 0),
    }  # fmt: skip


def test_what_another_device_would_compute_is_the_same(monkeypatch, trained):
    """The path of cards, in torch alone, run on the processor."""
    o, d = rays()
    box = torch.tensor([-1.0, -1.0, -1.0]), torch.tensor([1.0, 1.0, 1.0])
    density = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(0))
    results = []
    for here in (True, False):
        monkeypatch.setattr("engine.plenoxels.kernels._on_processor", lambda rays, here=here: here)
        drawn = trained(o, d)
        samples = engine.sample_voxel_grid(density, o, d, *box, step_size=0.07)
        crossed = engine.intersect_rays_voxels(o, d, *box, grid_shape=(6, 5, 4))
        results.append(
            (drawn["rgb"].detach(), drawn["depth"].detach(), *samples[1:], crossed.counts, crossed.t_in)
        )
    for one, two in zip(*results):
        width = min(one.shape[-1], two.shape[-1])
        torch.testing.assert_close(one[..., :width], two[..., :width], atol=2e-4, rtol=0.0)


@pytest.mark.gpu
def test_a_card_shows_the_same_picture(cuda, trained):
    o, d = rays()
    here = trained(o, d)
    there = trained.to("cuda")(o.cuda(), d.cuda())
    torch.testing.assert_close(there["rgb"].cpu(), here["rgb"], atol=2e-4, rtol=0.0)
    there["rgb"].sum().backward()
    assert trained.density.grad.abs().sum() > 0.0
    profiler = engine.CUDAProfiler()
    profiler.start_profiling()
    with profiler.profile_section("rendering"), torch.no_grad():
        trained(o.cuda(), d.cuda())
    profiler.stop_profiling()
    stats = profiler.get_stats()
    assert stats["kernel_calls"] > 0
    assert stats["avg_render_time"] > 0.0
    assert stats["peak_memory_gb"] > 0.0
