# SPDX-License-Identifier: MIT
"""Terms have the values and gradients that their formulas give; what is missing is said in a sentence."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from engine.errors import OptionError
from engine.metrics import ssim
from engine.svraster_one import CombinedLoss, SVRasterOneConfig, SVRasterOneLoss, perceptual
from engine.svraster_one.losses import multi_scale_gradient_loss, ssim_loss
from tests.svraster_one.small import small_model

SSIM_STEP, SSIM_ERROR = 1e-2, 2e-2  # of differences in float32, of the largest gradient; 4e-3 seen


def pair(height=20, width=24):
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(height, width, 3, generator=generator) for _ in range(2))


def test_the_documents_terms_are_weighted_means():
    config = SVRasterOneConfig()
    rgb, photo = pair()
    depth = torch.full((20, 24), 2.0)
    target = {"rgb": photo, "depth_gt": torch.where(torch.arange(24) < 12, 1.5, 0.0).expand(20, 24)}
    voxels = {"opacity": torch.tensor([0.2, 0.6]), "optical_depth": torch.tensor([1.0, 0.0])}
    losses = SVRasterOneLoss(config)({"rgb": rgb, "depth": depth}, target, voxels)
    assert float(losses["rgb_loss"]) == pytest.approx(float((rgb - photo).square().mean()))
    assert float(losses["depth_loss"]) == pytest.approx(0.1 * 0.5)  # unknown depths do not count
    assert float(losses["density_reg_loss"]) == pytest.approx(0.01 * 0.4)
    assert float(losses["sparsity_loss"]) == pytest.approx(0.001 * np.log(3.0) / 2.0)
    assert float(losses.pop("total_loss")) == pytest.approx(sum(float(v) for v in losses.values()))


def test_masked_pixels_do_not_count():
    rgb, photo = pair()
    mask = torch.zeros(20, 24)
    mask[3:9, 4:8] = 1.0
    masked = SVRasterOneLoss()({"rgb": rgb}, {"image": photo, "mask": mask})["rgb_loss"]
    assert float(masked) == pytest.approx(float((rgb - photo)[3:9, 4:8].square().mean()), rel=1e-5)


def test_ssim_and_its_gradient():
    rgb, photo = pair()
    rgb.requires_grad_(True)
    loss = ssim_loss(rgb, photo)
    assert float(loss.detach()) == pytest.approx(1.0 - ssim(rgb.detach().numpy(), photo.numpy()), abs=1e-5)
    loss.backward()
    for at in ((10, 12, 0), (3, 20, 2)):
        ends = []
        for sign in (1.0, -1.0):
            moved = rgb.detach().clone()
            moved[at] += sign * SSIM_STEP
            ends.append(float(ssim_loss(moved, photo)))
        difference = (ends[0] - ends[1]) / (2.0 * SSIM_STEP)
        assert float(rgb.grad[at]) == pytest.approx(difference, abs=SSIM_ERROR * float(rgb.grad.abs().max()))


def test_the_multi_scale_loss_sees_edges_and_no_brightness():
    rgb, photo = (p.double() for p in pair())
    assert float(multi_scale_gradient_loss(photo + 0.3, photo)) < 1e-12
    assert float(multi_scale_gradient_loss(rgb, photo)) > 0.1
    small = rgb[:9, :7].clone().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: multi_scale_gradient_loss(x, photo[:9, :7]), (small,))


def test_smoothness_and_gradient_penalty_of_a_ramp():
    """Raw density 3 x inside a voxel: four of its twelve edges differ by 3, and the gradient is 3 long."""
    corners = torch.tensor([[0.0, 0, 0, 0, 3, 3, 3, 3]])
    model = small_model()
    model.config.training.spatial_weight = model.config.training.grad_penalty_weight = 1.0
    rgb, photo = pair()
    loss = CombinedLoss(model.config)
    losses = loss({"rgb": rgb}, photo, {"corners": corners, "gradients": torch.tensor([[3.0, 0, 0]])})
    assert float(losses["spatial_loss"]) == pytest.approx(9.0 / 3.0)
    assert float(losses["grad_penalty"]) == pytest.approx(3.0)
    data = model.voxel_grid.voxel_data()
    cell = data["corners"].detach().reshape(-1, 2, 2, 2)
    assert torch.allclose(data["gradients"][:, 0], (cell[:, 1] - cell[:, 0]).mean(dim=(1, 2)), atol=1e-6)


def test_the_perceptual_loss_says_what_it_needs(monkeypatch, tmp_path):
    loss = CombinedLoss()
    loss.use_perceptual = True
    rgb, photo = pair()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install 'nerfviewer\[perceptual\]'"):
        loss({"rgb": rgb}, photo)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(perceptual, "weights_file", lambda: tmp_path / "alex.pth")
    with pytest.raises(OptionError, match=r"download https://.* to .*alex\.pth"):
        loss({"rgb": rgb}, photo)


def test_the_perceptual_loss_compares_by_the_network(monkeypatch, tmp_path):
    """With the package and the weights there, pictures go through the network in [-1,1], weighted."""

    class LPIPS(torch.nn.Module):
        def __init__(self, net, verbose):
            super().__init__()
            assert (net, verbose) == ("alex", False)

        def forward(self, x, y):
            assert x.shape == (1, 3, 20, 24)
            return (x - y).abs().mean().reshape(1, 1, 1, 1)

    module = type("lpips", (), {"LPIPS": LPIPS})
    (tmp_path / "alex.pth").write_bytes(b"there")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(perceptual, "weights_file", lambda: tmp_path / "alex.pth")
    monkeypatch.setattr(perceptual.importlib, "import_module", lambda name: module)
    loss = CombinedLoss()
    loss.use_perceptual = True
    rgb, photo = pair()
    losses = loss({"rgb": rgb.requires_grad_(True)}, photo)
    assert float(losses["perceptual_loss"].detach()) == pytest.approx(
        0.1 * 2.0 * float((rgb - photo).abs().mean().detach())
    )
    losses["perceptual_loss"].backward()
    assert rgb.grad.abs().max() > 0.0


def test_a_subclass_adds_terms():
    class Grey(SVRasterOneLoss):
        def terms(self, rendered, target, voxels):
            return super().terms(rendered, target, voxels) | {"grey_loss": rendered["rgb"].mean()}

    rgb, photo = pair()
    losses = Grey()({"rgb": rgb}, photo)
    assert float(losses["total_loss"]) == pytest.approx(float(losses["rgb_loss"] + rgb.mean()))


def test_a_target_without_a_photo_is_refused():
    rgb, _ = pair()
    with pytest.raises(OptionError, match="'rgb' or 'image'"):
        SVRasterOneLoss()({"rgb": rgb}, {"picture": rgb})
