# SPDX-License-Identifier: MIT
"""Blending packed samples by the kernels against the twin, and what must hold of any picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.cpu.composite import composite, composite_backward, composite_gradients
from engine.cpu.crew import Crew
from engine.reference.composite import composite as reference

VALUE = 1e-6  # worst seen 1.5e-7 (depths up to 5), float32
GRADIENT = 3e-6  # of the largest of its kind; worst seen 4e-7
RAYS = 50


@pytest.fixture(scope="module")
def crew():
    members = Crew(2)
    yield members
    members.close()


@pytest.fixture(scope="module")
def scene():
    """Return the arguments of `composite` by name: rays of 0 to 40 samples, thin and opaque ones."""
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 41, RAYS)
    counts[[3, RAYS - 1]] = 0
    counts[:3] = 1, 16, 32
    m = int(counts.sum())
    spacing = np.concatenate([np.sort(rng.random(n)) for n in counts]).astype(np.float32)
    strength = np.repeat(10.0 ** rng.uniform(-2, 2.5, RAYS), counts)
    drawn = {
        "density": rng.random(m) * strength, "rgb": rng.random((m, 3)), "t": 5.0 * spacing, "delta": rng.random(m) * 0.05,
        "background": rng.random((RAYS, 3)), "spacing": spacing, "width": rng.random(m) * 0.02,
    }  # fmt: skip
    named = {name: a.astype(np.float32) for name, a in drawn.items()}
    return {"offsets": np.concatenate([[0], np.cumsum(counts)])} | named


def _twin(scene, leaves=()):
    tensors = {
        name: torch.tensor(
            a, dtype=None if name == "offsets" else torch.float64, requires_grad=name in leaves
        )
        for name, a in scene.items()
    }
    return reference(**tensors), tensors


def _close(mine, wanted, tolerance):
    wanted = wanted.numpy()
    assert np.abs(wanted).max() > 0.0
    assert np.abs(mine - wanted).max() < tolerance * np.abs(wanted).max()


def test_pictures_are_those_of_the_twin(scene, crew):
    out, (wanted, _) = composite(**scene, crew=crew), _twin(scene)
    for name in ("rgb", "trans", "depth", "distortion", "weights"):
        assert np.abs(getattr(out, name) - getattr(wanted, name).numpy()).max() < VALUE


def test_gradients_of_every_output_are_those_of_the_twin(scene, crew):
    rng = np.random.default_rng(6)
    out = composite(**scene, crew=crew)
    v = {
        name: rng.normal(size=getattr(out, name).shape).astype(np.float32)
        for name in ("rgb", "trans", "depth", "weights", "distortion")
    }
    mine = composite_backward(**scene, weights=out.weights, crew=crew, **{f"v_{k}": a for k, a in v.items()})
    wanted, tensors = _twin(scene, ("density", "rgb", "background"))
    sum((getattr(wanted, k) * torch.from_numpy(a)).sum() for k, a in v.items()).backward()
    for name in ("density", "rgb", "background"):
        _close(getattr(mine, name), tensors[name].grad, GRADIENT)


@pytest.mark.parametrize("distortion", [0.0, 0.7])
def test_the_fused_loss_has_the_value_and_gradients_of_the_twin(scene, crew, distortion):
    target = np.random.default_rng(7).random((RAYS, 3)).astype(np.float32)
    losses, out, v = composite_gradients(**scene, target=target, crew=crew, mse=1.3, distortion=distortion)
    wanted, tensors = _twin(scene, ("density", "rgb", "background"))
    mse, bend = (wanted.rgb - torch.from_numpy(target)).square().mean(), wanted.distortion.mean()
    (1.3 * mse + distortion * bend).backward()
    assert losses.mse == pytest.approx(mse.item(), rel=1e-6)
    assert losses.distortion == pytest.approx(bend.item(), rel=1e-6)
    assert np.array_equal(out.rgb, composite(**scene, crew=crew).rgb)
    for name in ("density", "rgb", "background"):
        _close(getattr(v, name), tensors[name].grad, GRADIENT)


def test_a_mean_over_more_rays_shrinks_losses_and_gradients_alike(scene, crew):
    target = np.zeros((RAYS, 3), np.float32)
    one = composite_gradients(**scene, target=target, crew=crew, distortion=0.1)
    two = composite_gradients(**scene, target=target, crew=crew, distortion=0.1, rays=2 * RAYS)
    assert two[0].mse == pytest.approx(0.5 * one[0].mse)
    assert two[0].distortion == pytest.approx(0.5 * one[0].distortion)
    assert np.allclose(two[2].density, 0.5 * one[2].density) and np.allclose(two[2].rgb, 0.5 * one[2].rgb)


def test_weights_and_what_is_left_add_up_to_one(scene, crew):
    out = composite(**scene, crew=crew)
    sums = np.array(
        [out.weights[a:b].sum() for a, b in zip(scene["offsets"], scene["offsets"][1:], strict=False)]
    )
    assert np.abs(sums + out.trans - 1.0).max() < VALUE
    assert out.trans.min() < 1e-3 and out.trans[scene["offsets"][:-1] < scene["offsets"][1:]].max() > 0.9


def test_a_ray_without_samples_shows_its_background(scene, crew):
    out = composite(**scene, crew=crew)
    assert np.array_equal(out.rgb[3], scene["background"][3]) and out.trans[3] == 1.0 and out.depth[3] == 0.0
    assert out.distortion[3] == 0.0


def test_one_background_is_the_same_for_all_rays(scene, crew):
    several = scene | {"background": np.tile(np.float32([0.2, 0.4, 0.6]), (RAYS, 1))}
    single = composite(**scene | {"background": np.float32([0.2, 0.4, 0.6])}, crew=crew)
    assert np.array_equal(composite(**several, crew=crew).rgb, single.rgb)


def test_without_spacing_there_is_no_distortion(scene, crew):
    plain = {name: a for name, a in scene.items() if name not in ("spacing", "width")}
    out = composite(**plain, crew=crew)
    assert not out.distortion.any() and np.array_equal(out.rgb, composite(**scene, crew=crew).rgb)


def test_any_number_of_threads_gives_the_same_bits(scene, crew):
    target, others = np.zeros((RAYS, 3), np.float32), Crew(1)
    first, second = (
        composite_gradients(**scene, target=target, crew=c, distortion=0.1) for c in (crew, others)
    )
    others.close()
    assert np.array_equal(first[2].density, second[2].density) and np.array_equal(first[1].rgb, second[1].rgb)


def test_what_does_not_fit_is_refused(scene, crew):
    with pytest.raises(ValueError, match="offsets must ascend from 0"):
        composite(**scene | {"offsets": scene["offsets"][:-2]}, crew=crew)
    with pytest.raises(ValueError, match=r"background must be one value, \[3\] or \[50, 3\], got \[2, 3\]"):
        composite(**scene | {"background": np.zeros((2, 3))}, crew=crew)
    with pytest.raises(ValueError, match="M is"):
        composite(**scene | {"t": scene["t"][:-1]}, crew=crew)
