# SPDX-License-Identifier: MIT
"""Drawing in stages and with buffers, training in chunks, less memory, times: the second half of the document."""

from __future__ import annotations

import gc
import os
import time

import numpy as np
import pytest
import torch

import engine
from engine.errors import OptionError
from engine.plenoxels import cuda

SHAPE = (9, 8, 7)


def config(**values) -> engine.PlenoxelsConfig:
    settings = dict(
        grid_shape=SHAPE, sh_degree=1, bbox_min=(-1, -1, -1), bbox_max=(1, 1, 1), max_rays_per_batch=50,
        max_samples_per_ray=32, near_plane=0.0,
    )  # fmt: skip
    return engine.PlenoxelsConfig(**{**settings, **values})


def grids(dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    density = torch.randn(SHAPE, generator=generator, dtype=dtype) * 2.0
    return density, torch.randn(*SHAPE, 12, generator=generator, dtype=dtype)


def rays(n: int, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    o = rng.normal(size=(n, 3)) * 2.0
    return torch.from_numpy(o).to(dtype), torch.from_numpy(rng.uniform(-0.5, 0.5, (n, 3)) - o).to(dtype)


def by_hand(density, color, o, d, background=1.0):
    """Draw one ray after another from the crossings of `intersect_rays_voxels`, a sample in the middle of each."""
    low, high = torch.full((3,), -1.0).to(o), torch.full((3,), 1.0).to(o)
    found = engine.intersect_rays_voxels(o, d, low, high, grid_shape=SHAPE)
    pictures = []
    for i in range(len(o)):
        unit, light, rgb, depth = d[i] / d[i].norm(), 1.0, torch.zeros(3).to(o), 0.0
        for k in range(int(found.counts[i])):
            middle = 0.5 * (found.t_in[i, k] + found.t_out[i, k])
            at = ((o[i] + middle * unit + 1.0) / 2.0 * torch.tensor(SHAPE))[None]
            sigma = engine.trilinear_interpolate(density[..., None], at)[0, 0].clamp(min=0.0)
            alpha = 1.0 - torch.exp(-sigma * (found.t_out[i, k] - found.t_in[i, k]))
            raw = engine.trilinear_interpolate(color, at).reshape(1, 3, 4)
            rgb = rgb + light * alpha * engine.evaluate_sh(unit[None], raw, 1)[0]
            depth, light = depth + light * alpha * middle, light * (1.0 - alpha)
        pictures.append(torch.cat([rgb + light * background, torch.as_tensor(depth).reshape(1).to(o)]))
    return torch.stack(pictures)


@pytest.mark.parametrize("chunk", [50, 7])
@pytest.mark.parametrize("tracked", [False, True])
def test_the_picture_is_that_of_one_ray_after_another(chunk, tracked):
    density, color = grids()
    o, d = rays(30)
    drawer = engine.CUDAOptimizedPlenoxels(config(max_rays_per_batch=chunk), device="cpu")
    out = drawer.render_cuda(density.requires_grad_(tracked), color, o, d, near=0.0, far=100.0)
    wanted = by_hand(density, color, o, d).detach()
    torch.testing.assert_close(out["rgb"].detach(), wanted[:, :3], atol=1e-5, rtol=0.0)
    torch.testing.assert_close(out["depth"].detach(), wanted[:, 3], atol=1e-5, rtol=0.0)
    assert out["sample_points"].shape == (*out["weights"].shape, 3)
    assert out["rgb"].requires_grad == tracked


def test_without_gradients_results_lie_in_the_buffers_that_were_allocated_once():
    drawer = engine.CUDAOptimizedPlenoxels(config(), device="cpu")
    before = {name: buffer.data_ptr() for name, buffer in drawer.named_buffers()}
    out = drawer.render_cuda(*grids(), *rays(30))
    assert out["rgb"].data_ptr() == drawer.rgb_buffer.data_ptr()
    assert out["weights"].data_ptr() == drawer.weights_buffer.data_ptr()
    assert {name: buffer.data_ptr() for name, buffer in drawer.named_buffers()} == before


def test_gradients_through_the_stages_are_those_of_finite_differences():
    density, color = grids(torch.float64)
    o, d = rays(3, torch.float64)
    drawer = engine.CUDAOptimizedPlenoxels(config(), device="cpu")
    inputs = density.abs().add(0.1).requires_grad_(), color.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s, c: drawer.render_cuda(s, c, o, d)["rgb"], inputs, atol=1e-6, fast_mode=True
    )


def test_grids_of_another_shape_and_missing_ones_are_refused():
    drawer = engine.CUDAOptimizedPlenoxels(config(), device="cpu")
    density = grids()[0]
    with pytest.raises(ValueError, match=r"color_grid must have shape \[9, 8, 7, 12\], got \[9, 8, 7, 27\]"):
        drawer.render_cuda(density, torch.zeros(*SHAPE, 27), *rays(2))
    with pytest.raises(OptionError, match="set_grids"):
        drawer.render_cuda(ray_origins=rays(2)[0], ray_directions=rays(2)[1])


def batch(n: int) -> dict[str, torch.Tensor]:
    o, d = rays(n)
    target = torch.rand(n, 3, generator=torch.Generator().manual_seed(2))
    return {"ray_origins": o, "ray_directions": d, "target_rgb": target}


def test_a_step_in_chunks_has_the_gradients_of_one_of_all_rays():
    drawer = engine.CUDAOptimizedPlenoxels(config(), device="cpu")
    drawer.set_grids(*grids(), trainable=True)
    data = batch(41)
    whole = (
        (drawer.render_cuda(None, None, *list(data.values())[:2])["rgb"] - data["target_rgb"]).square().mean()
    )
    whole.backward()
    wanted = [p.grad.clone() for p in drawer.parameters()]
    loss = engine.CUDABatchTrainer(drawer, chunks=4).train_step_cuda(data)  # zeroes the gradients by itself
    torch.testing.assert_close(loss, whole.detach())
    for parameter, gradient in zip(drawer.parameters(), wanted):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-7, rtol=1e-4)


def test_a_model_learns_from_batches():
    model = engine.PlenoxelModel(config(use_coarse_to_fine=False))
    trainer = engine.CUDABatchTrainer(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    losses = []
    for _ in range(15):
        losses.append(float(trainer.train_step_cuda(batch(41))))
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    with pytest.raises(OptionError, match="at least one ray"):
        trainer.train_step_cuda(batch(0))


def test_mapped_colours_draw_the_same_picture_and_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = engine.PlenoxelModel(config(use_coarse_to_fine=False))
    model.density.data = torch.randn_like(model.density) * 3.0
    model.sh.data = torch.randn_like(model.sh)
    o, d = rays(30)
    before = model(o, d)["rgb"].detach()
    same = engine.optimize_cuda_memory(
        model, config(use_memory_mapping=True, use_gradient_checkpointing=True)
    )
    assert same is model
    assert model.sh.dtype == torch.float16
    assert model.density.dtype == torch.float32
    assert not model.sh.requires_grad
    assert model.config.use_gradient_checkpointing
    torch.testing.assert_close(model(o, d)["rgb"].detach(), before, atol=2e-3, rtol=0.0)
    if os.name == "posix":
        assert list(tmp_path.iterdir()) == []
    del model, same
    gc.collect()


def test_dense_voxels_are_listed_in_order():
    density = torch.tensor([[[0.0, 2.0], [0.5, -1.0]], [[3.0, 0.02], [0.01, 0.0]]])
    indices, values = cuda.prune_voxels_cuda(density, 0.01)
    assert indices.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0, 1]]
    torch.testing.assert_close(values, torch.tensor([2.0, 0.5, 3.0, 0.02]))


def test_sections_are_timed_by_the_clock_where_there_is_no_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    profiler = engine.CUDAProfiler()
    with profiler.profile_section("rendering"):
        now[0] += 9.0  # before profiling: not kept
    profiler.start_profiling()
    with profiler.profile_section("rendering", calls=10):
        now[0] += 0.5
    with profiler.profile_section("loss"):
        now[0] += 0.25
    profiler.stop_profiling()
    stats = profiler.get_stats()
    assert stats["avg_render_time"] == pytest.approx(50.0)
    assert stats["sections"]["loss"] == {"mean_ms": pytest.approx(250.0), "calls": 1}
    assert (stats["peak_memory_gb"], stats["kernel_calls"], stats["data_transfer_time"]) == (0.0, 0, 0.0)


def test_the_documents_import_names_are_there():
    points, _, _ = cuda.volume_rendering_cuda.sample_voxel_grid(grids()[0], *rays(3), [-1] * 3, [1] * 3, 0.1)
    assert points.shape[1] == 3
    harmonics = cuda.CUDASphericalHarmonics(sh_degree=3)
    unit = torch.nn.functional.normalize(rays(5)[1], dim=1)
    assert harmonics.num_coeffs == 16
    assert harmonics.compute_sh_basis_cuda(unit).shape == (5, 16)
    assert harmonics.evaluate_cuda(unit, torch.zeros(5, 3, 16)).eq(0.5).all()
    assert cuda.cuda_available() == torch.cuda.is_available()
