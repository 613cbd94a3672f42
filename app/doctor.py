# SPDX-License-Identifier: MIT
"""`nerfviewer doctor`: what this machine has, what is missing, and the command that mends it.

Each check stands alone and returns findings; one that fails unexpectedly becomes a finding itself, so the report is always whole.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.caches import kernel_cache_folder

OK, NOTE, MISSING = "ok", "note", "missing"
REQUIRED = (
    "torch",
    "numba",
    "numpy",
    "imageio",
    "pillow",
    "tyro",
    "safetensors",
    "filelock",
    "psutil",
    "pyyaml",
)
FOR_THE_WINDOW = ("dearpygui", "moderngl", "glfw")
FOR_CUDA = ("cuda-core", "cuda-bindings", "nvidia-cuda-nvrtc")
LIBRARIES = {
    "GL": "libgl1",
    "EGL": "libegl1",
    "X11": "libx11-6",
}  # of the window on Linux, with their Debian packages
SIMD = ("sse4_2", "avx", "avx2", "fma", "avx512f", "neon", "asimd")
ENOUGH_MEMORY = 4 * 2**30  # bytes: a scene of a hundred photos and a million voxels in training


@dataclass(frozen=True)
class Finding:
    """One line of the report. `needed` says that without it the app cannot run at all, not even in the terminal."""

    what: str
    status: str
    detail: str
    remedy: str = ""
    needed: bool = False


def check_python() -> Iterator[Finding]:
    """Report the interpreter and the system."""
    yield Finding("Python", OK, f"{platform.python_version()} at {sys.executable}")
    yield Finding("System", OK, f"{platform.system()} {platform.release()}, {platform.machine()}")


def check_packages() -> Iterator[Finding]:
    """Report the installed version of each package, without importing any."""
    for names, needed, remedy in (
        (REQUIRED, True, "pip install nerfviewer"),
        (FOR_THE_WINDOW, False, "pip install nerfviewer"),
    ):
        for name in names:
            version = _version(name)
            if version:
                yield Finding(name, OK, version)
            else:
                yield Finding(name, MISSING, "not installed", f"Run: {remedy}", needed=needed)
    cuda = [f"{name} {version}" for name in FOR_CUDA if (version := _version(name))]
    yield Finding(
        "CUDA packages", OK if cuda else NOTE, ", ".join(cuda) or "none; only needed for an NVIDIA card"
    )


def check_processor() -> Iterator[Finding]:
    """Report cores, vector instructions and how many threads the kernels will use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("Processor", OK, f"{_processor_name()}, {cores} usable cores")
    flags = _simd_flags()
    if flags is None:
        yield Finding("Vector instructions", NOTE, "unknown on this system; the kernels use what there is")
    elif platform.machine() in ("x86_64", "AMD64") and "avx2" not in flags:
        yield Finding(
            "Vector instructions", NOTE, f"{' '.join(flags) or 'none'}; without AVX2 the kernels are slower"
        )
    else:
        yield Finding("Vector instructions", OK, " ".join(flags))
    wish = os.environ.get("NUMBA_NUM_THREADS")
    if wish is None:
        yield Finding("Threads", OK, f"{cores}; set NUMBA_NUM_THREADS to use fewer")
    elif wish.isdigit() and int(wish) >= 1:
        yield Finding("Threads", OK, f"{wish} from NUMBA_NUM_THREADS")
    else:
        yield Finding(
            "Threads",
            MISSING,
            f"NUMBA_NUM_THREADS is {wish!r}",
            "Set it to a whole number from 1 on.",
            needed=True,
        )


def check_memory() -> Iterator[Finding]:
    """Report memory, in use and in all."""
    import psutil

    memory = psutil.virtual_memory()
    text = f"{memory.available / 2**30:.1f} GB free of {memory.total / 2**30:.1f} GB"
    if memory.available >= ENOUGH_MEMORY:
        yield Finding("Memory", OK, text)
    else:
        yield Finding("Memory", NOTE, text, "For large scenes close other programs or give --downscale 2.")


def check_folders() -> Iterator[Finding]:
    """Report where compiled kernels and runs go, and whether they can be written there."""
    kernels = Path(os.environ.get("NUMBA_CACHE_DIR") or kernel_cache_folder())
    if _writable(kernels):
        yield Finding("Compiled kernels", OK, f"kept in {kernels}")
    else:
        remedy = "Set NUMBA_CACHE_DIR to a folder you may write to; until then every start compiles again."
        yield Finding("Compiled kernels", NOTE, f"cannot be kept in {kernels}", remedy)
    runs = Path.cwd() / "runs"
    if _writable(runs):
        yield Finding("Runs", OK, f"go to {runs}")
    else:
        yield Finding(
            "Runs", NOTE, f"cannot be written to {runs}", "Start elsewhere, or name a folder with --out."
        )


def check_window() -> Iterator[Finding]:
    """Report the display and the OpenGL libraries; without them nerfviewer works in the terminal."""
    if not sys.platform.startswith("linux"):
        yield Finding("Display", OK, "the desktop's own")
        return
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if display:
        yield Finding("Display", OK, display)
    else:
        text = "none, so nerfviewer trains in the terminal"
        yield Finding(
            "Display", NOTE, text, "For a window, log in graphically, use ssh -X, or start it with xvfb-run."
        )
    for name, package in LIBRARIES.items():
        if _loadable(name):
            yield Finding(f"lib{name}", OK, "loads")
        else:
            text = "cannot be loaded, so no window"
            yield Finding(f"lib{name}", MISSING, text, _install_command(package, "libgl1-mesa-dri"))


def check_video() -> Iterator[Finding]:
    """Report the ffmpeg that writes videos."""
    import imageio_ffmpeg

    try:
        yield Finding("ffmpeg", OK, imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        yield Finding(
            "ffmpeg", MISSING, "not found, so no video", "Run: pip install --force-reinstall imageio-ffmpeg"
        )


def check_device() -> Iterator[Finding]:
    """Report whether an NVIDIA card can be used, and what would be gained where it cannot yet."""
    from engine.cuda import support

    found = support.find()
    yield Finding("CUDA device", NOTE if found.remedy else OK, found.detail, found.remedy)
    if not found.usable:
        yield Finding("Computes on", OK, "the processor; nothing else is needed")
        return
    problem = _why_no_kernel()
    if problem:
        yield Finding("Kernels", MISSING, f"do not run on the card ({problem})", "Start with --device cpu.")
        return
    yield Finding("Kernels", OK, "run on the card")
    reason = _why_copied()
    if reason:
        remedy = (
            "Pictures are copied to the window instead, which costs a little time; nothing needs to be done."
        )
        yield Finding("Pictures on the card", NOTE, reason, remedy)
    else:
        yield Finding("Pictures on the card", OK, "reach OpenGL without leaving it")


def _why_no_kernel(device: str = "cuda") -> str:
    """Return why kernels do not run on the card, "" if they do: the smallest is compiled and launched."""
    import torch

    from engine.cuda.launch import launch

    values, out = torch.tensor([1.0, 2.0, 3.0], device=device), torch.zeros(3, device=device)
    index = torch.tensor([2, 0, 1], dtype=torch.int32, device=device)
    try:
        launch("gather_corners", (1,), (32,), 3, index, values, out)
        return "" if out.tolist() == [3.0, 1.0, 2.0] else "its result is wrong"
    except Exception as error:  # NVIDIA's packages have several of their own
        return f"{type(error).__name__}: {error}"


def _why_copied() -> str:
    """Return why a picture of the card cannot be drawn by OpenGL without a copy, "" if it can: one is tried."""
    import torch

    from app.gl.device_frames import probe
    from engine.worker_views import device_frame

    rgba = torch.arange(64 * 48 * 4, device="cuda").to(torch.uint8).reshape(48, 64, 4)
    frame = device_frame(rgba, torch.zeros(48, 64, device="cuda"))
    return probe(frame, rgba.cpu().numpy())


CHECKS: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
    ("Python", check_python),
    ("Packages", check_packages),
    ("Processor", check_processor),
    ("Memory", check_memory),
    ("Folders", check_folders),
    ("Window", check_window),
    ("Video", check_video),
    ("Device", check_device),
)


def findings() -> Iterator[Finding]:
    """Yield every finding; a check that breaks yields what broke it."""
    for title, check in CHECKS:
        try:
            yield from check()
        except Exception as error:  # the report must not end because a machine is unlike any we know
            yield Finding(title, NOTE, f"could not be looked at: {type(error).__name__}: {error}")


def main() -> int:
    """Print the report. Return 0 if nerfviewer can run here, with or without a window, else 1."""
    can_run, has_window = True, True
    for finding in findings():
        print(f"{finding.status:>7}  {finding.what:<20} {finding.detail}", flush=True)
        if finding.remedy:
            print(f"{'':>7}  {'':<20} -> {finding.remedy}", flush=True)
        can_run &= not (finding.needed and finding.status == MISSING)
        has_window &= finding.status != MISSING and not (finding.what == "Display" and finding.status == NOTE)
    print()
    if not can_run:
        print("nerfviewer cannot run here yet; see the lines marked missing.")
    elif has_window:
        print("nerfviewer can run here.")
    else:
        print("nerfviewer can run here in the terminal; the lines above say what a window or video lacks.")
    return 0 if can_run else 1


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor_name() -> str:
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _simd_flags() -> list[str] | None:
    for line in _cpuinfo():
        if line.startswith(("flags", "Features")):
            have = set(line.split(":", 1)[1].split())
            return [flag for flag in SIMD if flag in have]
    return None


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return []


def _writable(folder: Path) -> bool:
    """Say whether files can be made in a folder or, where it is not there yet, in what would hold it; leaves nothing behind."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _loadable(name: str) -> bool:
    for candidate in (ctypes.util.find_library(name), f"lib{name}.so.1", f"lib{name}.so.6"):
        if candidate:
            try:
                ctypes.CDLL(candidate)
                return True
            except OSError:
                continue
    return False


def _install_command(*packages: str) -> str:
    if shutil.which("apt-get"):
        return f"Run: sudo apt-get install {' '.join(packages)}"
    return (
        "Install it with your distribution's package manager (Debian calls it "
        + " and ".join(packages)
        + ")."
    )
