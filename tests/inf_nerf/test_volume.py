# SPDX-License-Identifier: MIT
"""Compositing, losses and the places of samples, against slow sums and finite differences."""

from __future__ import annotations

import pytest
import torch

from engine.errors import OptionError
from engine.inf_nerf import VolumeRenderer, VolumeRendererConfig
from engine.inf_nerf.sampling import cube_span, first_edges, next_edges, spacing_of
from engine.inf_nerf.volume import distortion


def batch() -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    colors = torch.rand(5, 7, 3, generator=generator, dtype=torch.float64)
    densities = 3.0 * torch.rand(5, 7, generator=generator, dtype=torch.float64)
    z_vals = torch.rand(5, 7, generator=generator, dtype=torch.float64).sort(dim=1).values + 0.5
    return colors, densities, z_vals, torch.randn(5, 3, generator=generator, dtype=torch.float64)


def test_a_ray_blends_its_samples_one_behind_the_other():
    colors, densities, z_vals, rays_d = batch()
    deltas = torch.full_like(z_vals, 0.2)
    out = VolumeRenderer().volume_render(colors, densities, z_vals, rays_d, deltas, background=0.5)
    for r in range(5):
        left, rgb, depth = 1.0, torch.zeros(3, dtype=torch.float64), 0.0
        for s in range(7):
            alpha = 1.0 - torch.exp(-densities[r, s] * 0.2 * rays_d[r].norm())
            assert float(out["weights"][r, s]) == pytest.approx(float(left * alpha))
            rgb, depth, left = (
                rgb + left * alpha * colors[r, s],
                depth + left * alpha * z_vals[r, s],
                left * (1 - alpha),
            )
        assert torch.allclose(out["rgb"][r], rgb + 0.5 * left)
        assert float(out["acc"][r]) == pytest.approx(float(1.0 - left))
        assert float(out["depth"][r]) == pytest.approx(float(depth / (1.0 - left)))


def test_without_widths_the_last_sample_hides_what_is_behind():
    colors, densities, z_vals, rays_d = batch()
    out = VolumeRenderer().volume_render(colors, densities[..., None], z_vals, rays_d)
    assert torch.allclose(out["acc"], torch.ones(5, dtype=torch.float64))


def test_gradients_of_compositing_are_those_of_finite_differences():
    colors, densities, z_vals, rays_d = batch()
    densities.requires_grad_(True)
    colors.requires_grad_(True)

    def rendered(densities: torch.Tensor, colors: torch.Tensor) -> torch.Tensor:
        out = VolumeRenderer().volume_render(colors, densities, z_vals, rays_d, 0.1 + 0.0 * z_vals, 0.3)
        return torch.cat([out["rgb"].reshape(-1), out["depth"], out["acc"]])

    assert torch.autograd.gradcheck(rendered, (densities, colors))


def test_distortion_is_the_double_sum():
    generator = torch.Generator().manual_seed(2)
    weights = torch.rand(4, 9, generator=generator, dtype=torch.float64)
    edges = torch.rand(4, 10, generator=generator, dtype=torch.float64).sort(dim=1).values
    middle, widths = 0.5 * (edges[:, 1:] + edges[:, :-1]), edges[:, 1:] - edges[:, :-1]
    pairs = weights[:, :, None] * weights[:, None] * (middle[:, :, None] - middle[:, None]).abs()
    wanted = pairs.sum(dim=(1, 2)) + (weights.square() * widths).sum(dim=1) / 3.0
    assert torch.allclose(distortion(weights, middle, widths), wanted)


def test_every_term_has_its_weight_and_the_total_is_their_sum():
    config = VolumeRendererConfig(lambda_rgb=2.0, lambda_depth=0.5, lambda_level=3.0)
    outputs = {
        "rgb": torch.full((4, 3), 0.5), "depth": torch.tensor([1.0, 2.0, 3.0, 4.0]),
        "level_loss": torch.tensor(0.1), "transparency_loss": torch.tensor(0.2),
    }  # fmt: skip
    targets = {"rgb": torch.full((4, 3), 0.25), "depth": torch.tensor([0.0, 1.0, 3.0, 6.0])}

    def brightness(outputs: dict, targets: dict) -> torch.Tensor:
        return outputs["rgb"].mean()

    losses = VolumeRenderer(config, [brightness, lambda o, t: {"two": torch.tensor(2.0)}]).compute_losses(
        outputs, targets
    )
    assert float(losses["rgb_loss"]) == pytest.approx(2.0 * 0.0625)
    assert float(losses["depth_loss"]) == pytest.approx(0.5 * 1.0)  # of the three that are known
    assert float(losses["level_loss"]) == pytest.approx(0.3)
    assert float(losses["transparency_loss"]) == pytest.approx(0.001 * 0.2)
    assert float(losses["brightness"]) == 0.5 and float(losses["two"]) == 2.0
    total = losses.pop("total_loss")
    assert float(total) == pytest.approx(sum(float(v) for v in losses.values()))
    assert "depth_loss" not in VolumeRenderer().compute_losses(outputs, {"rgb": targets["rgb"]})
    with pytest.raises(OptionError, match="needs rgb in outputs and targets"):
        VolumeRenderer().compute_losses(outputs, {})


def test_a_shape_that_does_not_fit_is_named():
    colors, densities, z_vals, rays_d = batch()
    with pytest.raises(ValueError, match="S is 7 in colors but 6 in densities"):
        VolumeRenderer().volume_render(colors, densities[:, :6], z_vals, rays_d)


# --- places ----------------------------------------------------------------------------------------------------------


def test_warped_distance_is_undone_and_even_up_to_the_cubes_end():
    near, far, leave = torch.tensor([0.5, 1.0]), torch.tensor([100.0, 2.0]), torch.tensor([2.0, 3.0])
    spacing = spacing_of(near, far, leave)
    s = torch.linspace(0.0, 1.0, 33).expand(2, -1)
    t = spacing.distance(s)
    assert torch.allclose(spacing.warped(t), s, atol=1e-5)
    assert torch.allclose(t[:, 0], near) and torch.allclose(t[:, -1], far, rtol=1e-4)
    steps = t[1].diff()
    assert torch.allclose(steps, steps[:1].expand_as(steps), rtol=1e-3)  # ends inside: even throughout
    behind = 1.0 / t[0][t[0] > 2.0]
    assert torch.allclose(behind.diff(), behind.diff()[:1].expand(len(behind) - 1), rtol=1e-3)


def test_rays_meet_a_cube_where_they_should():
    rays_o = torch.tensor([[-3.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    rays_d = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 1.0]])
    enter, leave = cube_span(rays_o, rays_d, torch.full((3,), -1.0), torch.tensor(2.0))
    assert float(enter[0]) == 2.0 and float(leave[0]) == 4.0
    assert float(enter[1]) == -0.5 and float(leave[1]) == 0.5
    assert float(enter[2]) > float(leave[2])


def test_samples_gather_where_weights_are_and_cover_the_ray():
    edges = first_edges(1, 10, torch.zeros(1))
    weights = torch.zeros(1, 10)
    weights[0, 3] = 1.0
    found = next_edges(edges, weights, 20, None)
    assert float(found[0, 0]) == 0.0 and float(found[0, -1]) == 1.0
    assert bool((found.diff() >= 0.0).all())
    inside = (found > 0.3) & (found < 0.4)
    assert int(inside.sum()) >= 15  # of 19; the rest are the padding's
    noise = torch.rand(1, 21, generator=torch.Generator().manual_seed(0))
    other = next_edges(edges, weights, 20, noise)
    assert not torch.equal(found, other) and bool((other.diff() >= 0.0).all())
