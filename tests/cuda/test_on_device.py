# SPDX-License-Identifier: MIT
"""On a real card what the harness shows on the CPU: pictures, gradients and steps are the twin's and the CPU kernels'."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.cuda import march as marching
from engine.cuda.lists import VoxelTable
from engine.methods.plenoxels import Plenoxels, PlenoxelsConfig
from engine.methods.plenoxels.on_cuda import PlenoxelsOnCuda
from engine.methods.svraster import SVRaster
from engine.methods.svraster.on_cuda import SVRasterOnCuda
from engine.options import updated
from engine.reference.rasterize import rasterize as twin
from engine.render.composite import composite
from engine.render.node_field import node_field
from engine.render.output import SoftOutput
from engine.render.rasterize import rasterize
from engine.render.soft_rasterize import soft_rasterize
from tests.cpu.field_scenes import SMALL
from tests.cpu.scenes import VIEWS, deep_octree, field_of, mixed_octree
from tests.cuda import test_composite as packed
from tests.cuda import test_march as grids
from tests.cuda import test_node_field as nodes
from tests.cuda.test_raster import BACKGROUND, DEPTH, GRADIENT, MODES, PICTURE, outcome, worst
from tests.cuda.test_train_view import OCTREE, PARAMETER, assert_same_field, on_cpu, on_device
from tests.methods.plenoxels import test_on_cuda as plenoxels
from tests.methods.svraster.test_on_cuda import CONFIG
from tests.methods.test_svraster import make_scene
from tests.render import test_soft_rasterize as soft

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize(("samples", "eight"), MODES)
@pytest.mark.parametrize("view", VIEWS)
def test_pictures_and_gradients_equal_the_twin(cuda: str, view: str, samples: int, eight: bool) -> None:
    octree, inputs = mixed_octree(), [*field_of(mixed_octree(), eight), BACKGROUND]
    exact_inputs = [t.clone().requires_grad_() for t in inputs]
    camera, options = VIEWS[view], {"samples_per_voxel": samples}
    exact = twin(octree, *exact_inputs[:2], camera, background=exact_inputs[2], **options)
    single = [t.float().to(cuda).requires_grad_() for t in inputs]
    got = rasterize(octree, *single[:2], camera, background=single[2], **options)
    assert worst(got.rgb.cpu(), exact.rgb) < PICTURE and worst(got.trans.cpu(), exact.trans) < PICTURE
    assert worst(got.depth_z.cpu(), exact.depth_z) < DEPTH
    v_exact = torch.autograd.grad(outcome(exact), exact_inputs)
    for name in ("rgb", "trans", "depth_z"):
        object.__setattr__(got, name, getattr(got, name).cpu())
    for a, b in zip(torch.autograd.grad(outcome(got), single), v_exact, strict=True):
        assert worst(a.cpu(), b) < GRADIENT * float(b.abs().max())


@pytest.mark.parametrize("view", soft.POSED)
@pytest.mark.parametrize("order", ["logistic", "softmax"])
def test_soft_pictures_and_gradients_equal_the_twin(cuda: str, view: str, order: str) -> None:
    octree, camera = mixed_octree(), soft.POSED[view]
    inputs = [*field_of(octree), BACKGROUND, torch.from_numpy(camera.world_from_cam)]
    found = []
    for device, dtype in ((cuda, torch.float32), ("cpu", torch.float64)):
        leaves = [t.clone().to(device, dtype).requires_grad_() for t in inputs[:3]]
        leaves.append(inputs[3].clone().requires_grad_())
        out = soft_rasterize(
            octree, *leaves[:2], camera, sigma=0.5, temperature=0.3, order=order, background=leaves[2], pose=leaves[3]
        )  # fmt: skip
        out = SoftOutput(*(field.cpu() for field in (out.rgb, out.trans, out.depth_z)))
        gradients = torch.autograd.grad(outcome(out), leaves)
        found.append([out.rgb, out.trans, out.depth_z, *(g.cpu() for g in gradients)])
    names = ("rgb", "trans", "depth_z", "densities", "colours", "background", "pose")
    soft.assert_equal_to_twin(list(zip(names, *found, strict=True)), 3.0)


@pytest.mark.parametrize("ordered", [False, True], ids=["atomics", "ordered"])
def test_five_steps_give_the_field_of_the_cpu(cuda: str, ordered: bool) -> None:
    got, _ = on_device(3, ordered, table=VoxelTable.of(OCTREE, cuda))
    assert_same_field(got, on_cpu(3)[0], 3 * PARAMETER)  # the card's exp and square root round differently


def test_ordered_gradients_are_the_same_bits_every_time(cuda: str) -> None:
    octree, runs = deep_octree(), []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(3):
            single = [t.float().to(cuda).requires_grad_() for t in field_of(octree)]
            picture = rasterize(octree, *single, VIEWS["outside"]).rgb
            runs.append(torch.autograd.grad(picture.square().sum(), single))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for other in runs[1:] for a, b in zip(runs[0], other, strict=True))


def test_training_reaches_what_the_cpu_reaches(cuda: str) -> None:
    scene = make_scene(8)
    models = [SVRaster(scene, CONFIG), SVRasterOnCuda(scene, CONFIG, device=cuda)]
    for model in models:
        for _ in range(60):
            model.train_step()
    pictures = [model.render(scene.test.views[0].camera).rgb for model in models]
    errors = [np.mean((np.clip(p, 0, 1) - scene.test.images.load(0)) ** 2) for p in pictures]
    assert errors[1] < 1.3 * errors[0]


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_marched_pictures_and_gradients_equal_the_twin(cuda: str, degree: int) -> None:
    grid = grids.make_grid(degree)
    seen, density, coefficients = grids.exact(grid)
    goal = torch.from_numpy(grids.TARGET)
    loss = grids.twin.march_loss(seen, goal.double(), grids.TERMS)
    v_density, v_sh = torch.autograd.grad(loss, (density, coefficients))
    there = marching.GridTensors.of(grid, cuda)
    into, rays = marching.Gradients.of(there), [ray.to(cuda) for ray in grids.rays()]
    got = marching.march(there, *rays, marching.option_tensor(grids.OPTIONS, grids.TERMS, there.device))
    marching.march_gradients(there, *rays, goal.to(cuda), grids.OPTIONS, grids.TERMS, into)
    rows, n = into.rows.cpu(), there.column
    assert grids.worst(got.rgb.cpu(), seen.rgb) < 3 * grids.PICTURE
    assert grids.worst(rows[:, n], v_density) < 3 * grids.GRADIENT * float(v_density.abs().max())
    assert grids.worst(rows[:, :n], v_sh.flatten(1)) < 3 * grids.GRADIENT * float(v_sh.abs().max())


def test_plenoxels_reach_what_the_cpu_reaches(cuda: str) -> None:
    config = updated(PlenoxelsConfig(), plenoxels.QUICK | {"schedule.rays": 1_000})
    models = [Plenoxels(plenoxels.SCENE, config), PlenoxelsOnCuda(plenoxels.SCENE, config, device=cuda)]
    reports = [[model.train_step() for _ in range(60)] for model in models]
    errors = [np.mean([report.losses[0][1] for report in ten[-10:]]) for ten in reports]
    assert errors[1] < 1.1 * errors[0]


def test_fields_of_nodes_and_their_gradients_equal_the_twin(cuda: str) -> None:
    found = []
    for device, dtype in ((cuda, torch.float32), ("cpu", torch.float64)):
        given = {name: a.detach().to(device) for name, a in nodes.arguments(SMALL, dtype).items()}
        leaves = [given[name].requires_grad_() for name in ("tables", "mlp")]
        ray = torch.arange(len(given["slot"]), device=device)
        out = node_field(SMALL, **given, ray=ray)
        loss = out.density.square().sum() + (out.rgb * torch.tensor([1.0, -2.0, 3.0], device=device)).sum()
        gradients = torch.autograd.grad(loss, leaves)
        found.append([a.detach().cpu() for a in (out.density, out.rgb, *gradients)])
    for mine, wanted in zip(*found, strict=True):
        assert worst(mine, wanted) < nodes.GRADIENT * float(wanted.abs().max())


def test_packed_samples_and_their_gradients_equal_the_twin(cuda: str) -> None:
    found = []
    for device, dtype in ((cuda, torch.float32), ("cpu", torch.float64)):
        given = {name: a.detach().to(device) for name, a in packed.arguments(dtype, [7, 0, 33, 1]).items()}
        leaves = [given[name].requires_grad_() for name in packed.LEAVES]
        out = composite(**given)
        values = [getattr(out, name) for name in packed.NAMES]
        gradients = torch.autograd.grad(sum((a * a).sum() for a in values), leaves)
        found.append([a.detach().cpu() for a in (*values, *gradients)])
    for mine, wanted in zip(*found, strict=True):
        assert worst(mine, wanted) < packed.TOLERANCE * float(wanted.abs().max())
