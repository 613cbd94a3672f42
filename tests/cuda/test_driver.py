# SPDX-License-Identifier: MIT
"""What reaches the driver: the real packages, the real launch and provider, above a stand-in for libcuda.so.1 (driver.c)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.caches import cache_folder
from engine.cuda import build
from tests.cuda import host

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in is a Linux library")

SOURCE = host.HERE / "driver.c"
KINDS = "ipppppfpp"  # of total_variation
STREAM = 0x5150


@pytest.fixture(scope="module")
def driver(host_compiler: str, cubin_compiler: str) -> Path:
    """A folder with the stand-in."""
    folder = cache_folder() / f"cuda-driver-{build.digest(SOURCE.read_bytes())}"
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{os.getpid()}.part"
    compile_it = [
        "gcc",
        "-shared",
        "-fPIC",
        "-Wall",
        "-Wextra",
        "-Werror",
        str(SOURCE),
        "-o",
        str(part),
        "-ldl",
    ]
    subprocess.run(compile_it, check=True)
    part.replace(folder / "libcuda.so.1")
    build.compile_to_cubin(
        "adam.cu", "sm_90"
    )  # NVRTC itself asks the driver things that this one cannot answer
    return folder


def told(driver: Path, what: str) -> list[str]:
    """Return what the driver was asked for by a function of this file, which runs in a process of its own."""
    paths = os.pathsep.join([str(driver), os.environ.get("LD_LIBRARY_PATH", "")])
    environment = {**os.environ, "LD_LIBRARY_PATH": paths, "KINDS": KINDS}
    code = f"from tests.cuda import test_driver; test_driver.{what}()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=host.HERE.parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [line.strip() for line in done.stdout.splitlines()]


def tensor(address: int, dtype: str = "float32") -> SimpleNamespace:
    """A tensor on the card."""
    return SimpleNamespace(
        is_cuda=True, dtype=f"torch.{dtype}", device=SimpleNamespace(index=0), is_contiguous=lambda: True,
        data_ptr=lambda: address,
    )  # fmt: skip


def fake_torch(stream: int) -> None:
    """Put a torch in its place that has a card."""
    cuda = SimpleNamespace(
        current_device=lambda: 0, current_stream=lambda: SimpleNamespace(cuda_stream=stream),
        get_device_capability=lambda index: (9, 0), Stream=lambda index: SimpleNamespace(cuda_stream=STREAM),
    )  # fmt: skip
    sys.modules["torch"] = SimpleNamespace(cuda=cuda)  # type: ignore[assignment]


def launch_twice() -> None:
    """Launch a kernel on the default stream and on another, on two threads."""
    from threading import Thread

    from engine.cuda.launch import launch

    ints, floats = tensor(0x7F1234567800, "int32"), tensor(0x7FABCDEF0000)
    args = 1 << 20, ints, ints, floats, ints, floats, 0.25, None, floats
    fake_torch(0)
    launch("total_variation", (4096,), (256,), *args)
    fake_torch(STREAM)
    other = Thread(target=launch, args=("total_variation", (3,), (256,), *args))
    other.start()
    other.join()


def copy_to_a_texture() -> None:
    """Fill a texture, then let go of everything."""
    import gc

    fake_torch(0)
    from engine.cuda.interop import open_provider

    provider = open_provider("cuda", 0)
    assert provider.stream == STREAM
    link = provider.link(5)
    link.copy(0x7F0000001000, 400, 30)
    link.close()
    provider.close()
    del provider, link
    gc.collect()


def test_a_launch_reaches_the_driver_with_its_arguments_on_torchs_stream(driver: Path) -> None:
    """Handle 0 is the default stream, which torch uses unless told otherwise; every thread has the context."""
    arguments = "1048576 7f1234567800 7f1234567800 7fabcdef0000 7f1234567800 7fabcdef0000 0.25 0 7fabcdef0000"
    assert told(driver, "launch_twice") == [
        "load ELF",
        f"launch total_variation grid 4096 1 1 block 256 1 1 shared 0 stream 0 context c0: {arguments}",
        f"launch total_variation grid 3 1 1 block 256 1 1 shared 0 stream 5150 context c0: {arguments}",
    ]


def test_a_copy_reaches_the_driver_and_the_stream_outlives_the_provider(driver: Path) -> None:
    """Torch asks the stream when it gives a picture's memory back: a destroyed one would take the app with it."""
    assert told(driver, "copy_to_a_texture") == [
        "register 5 target de1 flags 2 context c0",  # GL_TEXTURE_2D, WRITE_DISCARD
        "map 1 99 stream 5150",
        "array 99 0 0",
        "copy kind 2 7f0000001000 pitch 400 to kind 3 a7 size 400 30 stream 5150",  # DEVICE to ARRAY
        "unmap 1 99 stream 5150",
        "unregister 99",
    ]
