# SPDX-License-Identifier: MIT
"""Compiling every kernel before anybody waits for it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from engine.cuda import build, registry
from engine.cuda.launch import arch_of


def compile_all(device: torch.device, progress: Callable[[str, int, int], None] | None = None) -> None:
    """Compile every kernel file that was never compiled on this machine; nothing where the device is no GPU."""
    if device.type != "cuda":
        return
    arch, files = arch_of(torch.cuda.get_device_capability(device)), registry.source_names()
    for done, file in enumerate(files):
        if progress is not None:
            progress("CUDA kernels", done, len(files))
        build.compile_to_cubin(file, arch)
    if progress is not None:
        progress("CUDA kernels", len(files), len(files))
