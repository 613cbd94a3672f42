# SPDX-License-Identifier: MIT
"""What tests may ask for: a CUDA device, real scenes, a display. Each skip is written once, here, with its reason."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep preferences, caches and runs of the person who runs the tests out of the tests' reach."""
    home = tmp_path_factory.mktemp("folders")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(home / name.lower()))
        yield


@pytest.fixture(scope="session")
def cuda() -> str:
    """The device "cuda", or a skip."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return "cuda"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real scenes, from NERFVIEWER_DATA, or a skip."""
    folder = Path(os.environ.get("NERFVIEWER_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real scenes are not at {folder}; set NERFVIEWER_DATA")
    return folder


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """The name of an X display of our own, always a virtual one, so that tests never open windows on somebody's desk."""
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("needs Xvfb (Debian, Ubuntu: apt-get install xvfb)")
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [server, "-displayfd", str(writing), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()  # Xvfb writes it once it is ready
        if not number:
            pytest.fail("Xvfb ended before it was ready")
        yield f":{number}"
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def on_display(display: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Like `display`, with DISPLAY set for this test and what it starts."""
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return display
