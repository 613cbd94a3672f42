# SPDX-License-Identifier: MIT
"""Whether CUDA can be used on this machine; if not, what is missing and what would be gained.

The questions are asked in the order in which a person would have to answer them: a card and its driver, PyTorch, the Python
packages, the age of the card and of the driver. Nobody asks at start: without CUDA there is nothing to say.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

from engine.cuda import build
from engine.cuda.launch import arch_of

GAIN = "training and drawing would run on it instead of the processor"
TORCH = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130"
DRIVER_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
OLDEST_DRIVER = 13000  # as the driver counts: CUDA 13.0, NVIDIA's driver 580
NEWER_COMPILER = "Run: pip install --upgrade nvidia-cuda-nvrtc"
NEW_DRIVER = "Install NVIDIA's driver 580 or newer."


@dataclass(frozen=True)
class Support:
    """`usable` with a card's name, or why not. `remedy` is "" where nothing can be done, or nothing is to be done."""

    usable: bool
    detail: str
    remedy: str = ""


def find() -> Support:
    """Return whether CUDA can be used here. Imports torch, and the CUDA packages only if there is a card for them."""
    driver = driver_version()
    if driver is None:
        return Support(False, f"no NVIDIA card with its driver; with one, {GAIN}")
    import torch

    if torch.version.cuda is None:
        return Support(
            False, f"an NVIDIA driver, but PyTorch's build for processors; with the other, {GAIN}", TORCH
        )
    if not torch.cuda.is_available():
        return Support(False, "an NVIDIA driver, but PyTorch finds no card that it can use", NEW_DRIVER)
    name, capability = torch.cuda.get_device_name(0), torch.cuda.get_device_capability(0)
    if capability < build.OLDEST:
        oldest = ".".join(map(str, build.OLDEST))
        found = ".".join(map(str, capability))
        return Support(
            False, f"{name} has compute capability {found}, the kernels need {oldest} (cards from 2018 on)"
        )
    try:
        version = build.compiler_version()
    except build.CudaMissingError:
        return Support(
            False, f"{name}, but not CUDA's Python packages; with them, {GAIN}", f"Run: {build.INSTALL}"
        )
    if driver < OLDEST_DRIVER:
        return Support(False, f"{name}, but its driver knows only CUDA {version_name(driver)}", NEW_DRIVER)
    if not build.compiler_knows(arch_of(capability)):
        return Support(
            False, f"{name}, which is newer than the CUDA compiler (NVRTC {version})", NEWER_COMPILER
        )
    return Support(True, f"{name}, kernels compiled by NVRTC {version}")


def driver_version() -> int | None:
    """Return the newest CUDA that the installed driver knows, 13000 for 13.0; None without a driver."""
    try:
        library = ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return None
    version = ctypes.c_int()
    return version.value if library.cuDriverGetVersion(ctypes.byref(version)) == 0 else None


def version_name(version: int) -> str:
    """Return 12060 as "12.6"."""
    return f"{version // 1000}.{version % 1000 // 10}"
