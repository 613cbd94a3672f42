# SPDX-License-Identifier: MIT
"""Held-out quality, one view at a time, so that whoever evaluates can do other things in between."""

from __future__ import annotations

import numpy as np

from engine.datasets.scene import Scene
from engine.methods.common import Method
from engine.metrics import psnr, ssim


class Evaluation:
    """Renders the held-out views of a scene and compares them with their photos.

    PSNR and SSIM are means over images of the per-image values, of images clamped to [0,1], as papers report
    them; pixels that a photo's mask leaves out do not count. The model must not change between the first and the last `advance`.
    """

    def __init__(self, scene: Scene, method: Method) -> None:
        self._scene = scene
        self._method = method
        self.per_view: list[tuple[str, float, float]] = []

    @property
    def total(self) -> int:
        """How many views there are."""
        return len(self._scene.test)

    @property
    def done(self) -> bool:
        """Whether every view was compared."""
        return len(self.per_view) >= self.total

    def advance(self) -> None:
        """Compare one more view."""
        index = len(self.per_view)
        view = self._scene.test.views[index]
        image = self._method.render(view.camera).rgb
        photo = self._scene.test.images.load(index)
        mask = self._scene.test.images.load_mask(index)
        if mask is not None and not mask.any():
            mask = None  # a photo that is masked altogether is compared as it is
        self.per_view.append((view.name, psnr(image, photo, mask), ssim(image, photo, mask)))

    @property
    def psnr(self) -> float:
        """Mean PSNR in dB; NaN without held-out views."""
        return float(np.mean([p for _, p, _ in self.per_view])) if self.per_view else float("nan")

    @property
    def ssim(self) -> float:
        """Mean SSIM; NaN without held-out views."""
        return float(np.mean([s for _, _, s in self.per_view])) if self.per_view else float("nan")
