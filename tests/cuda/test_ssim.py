# SPDX-License-Identifier: MIT
"""SSIM of a picture on a device, value and gradient, is that of the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.cuda.ssim import ssim_term
from engine.methods.svraster import objective

WEIGHT = 0.02


def pictures(size: tuple[int, int], rays: int) -> tuple[np.ndarray, np.ndarray]:
    rng, (height, width) = np.random.default_rng(0), size
    picture = rng.random((height * rays, width * rays, 3)).astype(np.float32)
    return picture, rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_same(size: tuple[int, int], rays: int, device: str) -> None:
    picture, photo = pictures(size, rays)
    exact, loss = objective.ssim_term(picture, photo, rays, WEIGHT)
    tensors = torch.from_numpy(picture).to(device), torch.from_numpy(photo).to(device)
    with torch.no_grad():
        got, value = ssim_term(*tensors, rays, WEIGHT)
    assert got.shape == exact.shape and got.is_contiguous() and not got.requires_grad
    assert abs(float(value) - loss) < 1e-6
    assert np.abs(got.cpu().numpy() - exact).max() < 2e-5 * np.abs(exact).max()


@pytest.mark.parametrize("size", [(24, 31), (11, 40), (5, 16)])
@pytest.mark.parametrize("rays", [1, 2])
def test_value_and_gradient_are_the_cpus(size: tuple[int, int], rays: int) -> None:
    assert_same(size, rays, "cpu")


@pytest.mark.gpu
def test_value_and_gradient_on_a_card_are_the_cpus(cuda: str) -> None:
    assert_same((200, 300), 2, cuda)
