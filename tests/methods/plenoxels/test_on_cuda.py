# SPDX-License-Identifier: MIT
"""Plenoxels with its grid on a device, the kernels run by the harness: it takes the CPU's steps and its checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cpu.crew import crew
from engine.methods.plenoxels import Plenoxels, PlenoxelsConfig
from engine.methods.plenoxels.march_view import march_view
from engine.methods.plenoxels.on_cuda import PlenoxelsOnCuda
from engine.options import updated
from engine.voxel_grid import LossTerms
from tests.cuda import host
from tests.cuda.on_host import launcher
from tests.methods.plenoxels.boxes import boxes_scene

SCENE = boxes_scene()
QUICK = {
    "schedule.resolutions": "10 16",
    "schedule.upsample_at": "6",
    "schedule.rays": 150,
    "prune.steps": "3 9",
    "prune.weight": 0.3,
    "prune.dilations": 1,
    "prune.survey_shrink": 16,
    "rates.delay_steps": 4,
    "rates.density": 30.0,
    "rates.density_final": 0.5,
    "rates.sh": 0.01,
    "rates.decay_steps": 4_000,
    "rates.epsilon": 1e-8,  # smaller ones make full steps of rounding errors, and these differ
    "losses.tv_early_only": False,
    "losses.tv_share": 0.3,
    "losses.sparsity": 1e-6,
    "losses.beta": 1e-4,
}
STEPS = 12
WANT = frozenset({"depth_z", "count", "level", "size"})
PICTURE = (
    2e-4  # mean; 5e-5 seen, 0.02 at most: a first step's size is that of the rate, however small the gradient
)
ERROR = 5e-4  # of a batch's squared error, relative; 1.2e-4 seen


def made(kind: type, **values: object) -> Plenoxels:
    options = {"device": "cpu", "launch": launcher()} if kind is PlenoxelsOnCuda else {}
    chosen = QUICK | {name.replace("__", "."): value for name, value in values.items()}
    return kind(SCENE, updated(PlenoxelsConfig(), chosen), seed=1, **options)


@pytest.fixture(autouse=True)
def _harness() -> None:
    if host.compiler() is None:
        pytest.skip("needs g++ to run kernels on the CPU (Debian, Ubuntu: apt-get install g++)")


def marched(model: Plenoxels, camera: object) -> np.ndarray:
    """What the CPU sees of a model's grid, without rasterising it."""
    model.settle()
    tail = np.full(3, model.background)
    return march_view(
        model.grid, model.space, camera, model.march_options(), tail, frozenset(), model._view_room
    ).rgb


@pytest.mark.parametrize("optimiser", ["rmsprop", "adam"])
def test_twelve_steps_with_pruning_and_a_finer_grid_are_those_of_the_cpu(optimiser: str) -> None:
    cpu, device = (
        made(Plenoxels, rates__optimiser=optimiser),
        made(PlenoxelsOnCuda, rates__optimiser=optimiser),
    )
    changes = 0
    for _ in range(STEPS):
        a, b = cpu.train_step(), device.train_step()
        assert (a.step, a.view, a.adapted) == (b.step, b.view, b.adapted)
        assert abs(a.losses[0][1] - b.losses[0][1]) < ERROR * a.losses[0][1]
        changes += a.adapted is not None
    assert changes == 3 and cpu.grid.resolution == (16, 16, 16)
    assert np.array_equal(device.grid.links, cpu.grid.links) and device.grid.links.min() < 0
    camera = SCENE.test.views[0].camera
    mine = device.render(camera, WANT)
    assert np.abs(mine.rgb - marched(cpu, camera)).mean() < PICTURE
    assert all(getattr(mine, name) is not None for name in WANT) and mine.count.max() > 1
    assert device.preview_adapt() == cpu.preview_adapt()


def test_a_run_may_change_sides() -> None:
    cpu = made(Plenoxels)
    for _ in range(5):
        cpu.train_step()
    assert cpu.survey is not None, "a survey is under way"
    device, back = made(PlenoxelsOnCuda), made(Plenoxels)
    device.load_state(*cpu.state())
    tensors, header = device.state()
    before, header_before = cpu.state()
    assert header == header_before
    assert (
        all(np.array_equal(tensors[name], before[name]) for name in before)
        and tensors.keys() == before.keys()
    )
    assert abs(device.train_step().losses[0][1] - cpu.train_step().losses[0][1]) < 1e-6
    back.load_state(*device.state())
    camera = SCENE.test.views[0].camera
    assert np.abs(device.render(camera).rgb - marched(back, camera)).max() < 1e-5


def test_what_the_device_learned_is_brought_back() -> None:
    model = made(PlenoxelsOnCuda)
    first = model.grid.density.copy(), model.optimiser.squares.copy()
    model.train_step()
    assert np.array_equal(model.grid.density, first[0]), "the host knows nothing yet"
    tensors, _ = model.state()
    assert not np.array_equal(tensors["grid.density"], first[0])
    assert not np.array_equal(tensors["optimiser.squares"], first[1])


def test_who_completes_a_picture_may_do_so_on_the_host() -> None:
    model, plain = made(PlenoxelsOnCuda), made(PlenoxelsOnCuda)
    batch = model.photos.draw(np.random.default_rng(0), 0, 60, 1, crew())

    def complete(
        first: int, last: int, rgb: np.ndarray, log_trans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        trans = np.exp(log_trans)
        error = (rgb + trans[:, None] - batch.target[first:last]) * np.float32(2.0 / batch.target.size)
        return error, trans * error.sum(axis=1)

    terms = LossTerms(background=1.0)
    assert model._descend(batch.rays_o, batch.rays_d, complete, terms) == 0.0
    assert plain._descend(batch.rays_o, batch.rays_d, batch.target, terms) > 0.0
    for one, other in ((model.there.density, plain.there.density), (model.there.sh, plain.there.sh)):
        assert (one - other).abs().max() < 1e-5


def test_pruning_by_hand_carries_the_field() -> None:
    model = made(PlenoxelsOnCuda, prune__steps="", schedule__upsample_at="")
    for _ in range(3):
        model.train_step()
    before = model.structure().voxels
    report = model.prune_now()
    assert 0 < report.after < before and model.structure().voxels == report.after
    assert model.subdivide_now().after == model.there.n_voxels
    assert np.isfinite(model.train_step().psnr)


def test_a_frozen_copy_shows_the_same_however_the_model_goes_on() -> None:
    there, camera = made(PlenoxelsOnCuda), SCENE.test.views[0].camera.resized(12, 12)
    there.train_step()
    frozen, before = there.frozen(), there.render(camera).rgb
    assert frozen.bytes > 0 and np.array_equal(frozen.method.render(camera).rgb, before)
    for _ in range(7):
        there.train_step()
    assert not np.array_equal(there.render(camera).rgb, before)
    assert np.array_equal(frozen.method.render(camera).rgb, before)
