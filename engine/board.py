# SPDX-License-Identifier: MIT
"""Numbers of training for TensorBoard, of every method: what the curves of the window show, from the same messages.

`tensorboard --logdir FOLDER` shows them. The package is the extra `tensorboard`, and only looked for when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import messages as m
from engine.errors import UserError

INSTALL = "pip install 'nerfviewer[tensorboard]'"


class BoardMissingError(UserError):
    """TensorBoard is not installed."""


class Board:
    """Writes curves into a folder, which appears with the first number: `folder` may be asked for only then.

    Raises BoardMissingError at once without the package, UserError later if nothing can be written there.
    """

    def __init__(self, folder: Path | Callable[[], Path]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise BoardMissingError(
                f"Writing curves for TensorBoard needs a package that is not installed ({error}); run: {INSTALL}."
            ) from error
        self._open = SummaryWriter
        self._folder = folder
        self._writer: Any = None
        self._step = -1

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write numbers at a step, "group/name" to value; NaN and infinity are left out."""
        if self._writer is None:
            folder = self._folder if isinstance(self._folder, Path) else self._folder()
            try:
                self._writer = self._open(str(folder))
            except OSError as error:
                raise UserError(
                    f"Cannot write {folder}: {error.strerror or error}. Choose another folder."
                ) from error
        for name, value in values.items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, step)

    def see(self, stats: m.Stats | None) -> None:
        """Write what the newest statistics of the worker say; the same step twice is written once."""
        if stats is None or stats.step in (0, self._step):
            return
        self._step = stats.step
        self.scalars(
            stats.step,
            {
                **{f"losses/{name}": value for name, value in stats.losses},
                "training/psnr": stats.psnr,
                "training/steps per second": stats.steps_per_s,
                "training/seconds": stats.train_seconds,
                "structure/voxels": stats.structure.voxels,
                "structure/memory in bytes": stats.memory_bytes,
            },
        )

    def hear(self, event: m.Event) -> None:
        """Write what an event says, if it is one of the curves."""
        if isinstance(event, m.Evaluated):
            self.scalars(event.step, {"held out/psnr": event.psnr, "held out/ssim": event.ssim})

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._writer.close()
