# SPDX-License-Identifier: MIT
"""What tests may ask for: a CUDA device, real scenes, a display. Each skip is written once, here, with its reason."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.worker_bench import Bench

# The longest files first: of two processes none is left alone with one of them at the end.
LONGEST = (
    "tests/methods/test_warm_up.py",
    "tests/app/test_processes.py",
    "tests/cuda/test_address.py",
    "tests/methods/infnerf/test_model.py",
    "tests/render/test_soft_rasterize.py",
    "tests/render/test_rasterize.py",
    "tests/methods/infnerf/test_team.py",
    "tests/inf_nerf/test_parallel.py",
    "tests/methods/svraster/test_ray_objective.py",
)
ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files in front."""
    place = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(place)))


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep preferences, caches and runs of the person who runs the tests out of the tests' reach.

    The processes of one run share a cache: what one has compiled the other need not.
    """
    home, cache = tmp_path_factory.mktemp("folders"), tmp_path_factory.getbasetemp() / "cache"
    if "PYTEST_XDIST_WORKER" in os.environ:
        cache = tmp_path_factory.getbasetemp().parent / "cache"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(home / name.lower()))
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A worker without a thread, with the fake scene open and nothing trained."""
    from tests.worker_bench import Bench

    return Bench(tmp_path).open()


@pytest.fixture(scope="session")
def cuda() -> str:
    """The device "cuda", or a skip."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return "cuda"


@pytest.fixture
def real_scene() -> Callable[[str], Path]:
    """The function that finds the folder of a real scene by name below NERFVIEWER_DATA, or skips."""

    def find(name: str) -> Path:
        folder = Path(os.environ.get("NERFVIEWER_DATA", ROOT.parent / "shared" / "data")) / name
        if not folder.is_dir():
            pytest.skip(f"the scene {name} is not in {folder.parent}; set NERFVIEWER_DATA")
        return folder

    return find


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
