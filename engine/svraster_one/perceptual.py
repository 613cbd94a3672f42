# SPDX-License-Identifier: MIT
"""LPIPS, where its package and the weights of its network are on the disk; nothing is ever downloaded."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import OptionError

WEIGHTS = (
    "alexnet-owt-7be5be79.pth"  # torchvision's file name of AlexNet's weights, which LPIPS measures with
)
_URL = f"https://download.pytorch.org/models/{WEIGHTS}"


def weights_file() -> Path:
    """Return where torch keeps AlexNet's weights, whether they are there or not."""
    return Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS


class PerceptualLoss(nn.Module):
    """LPIPS (AlexNet) of two pictures. Raises OptionError, saying how to get what is missing."""

    def __init__(self) -> None:
        super().__init__()
        if importlib.util.find_spec("lpips") is None:
            raise OptionError(
                "The perceptual loss needs the package lpips: pip install 'nerfviewer[perceptual]', or use the multi-scale "
                "gradient loss, which needs nothing."
            )
        if not weights_file().is_file():
            raise OptionError(
                f"The perceptual loss needs AlexNet's weights (233 MB): download {_URL} to {weights_file()}, or use the "
                "multi-scale gradient loss, which needs none."
            )
        lpips: Any = importlib.import_module("lpips")
        self.network = lpips.LPIPS(net="alex", verbose=False).requires_grad_(False).eval()

    def forward(self, rgb: Tensor, photo: Tensor) -> Tensor:
        """Return the distance, a scalar, of two pictures [H,W,3] in [0,1]; differentiable in the first."""
        network = self.network.to(rgb.device)
        x, y = (2.0 * p.movedim(-1, 0)[None].float() - 1.0 for p in (rgb, photo))
        return network(x, y).mean()
