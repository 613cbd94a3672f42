# SPDX-License-Identifier: MIT
"""Every kernel under address sanitizer, which knows what the checked build does not: the bounds of arrays on a thread's stack.

Arrays that are passed on by pointer have no bounds for the compiler, and to our own checks a stack is one piece. The sanitizer
has to be in the process from its start, so these tests start one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cuda import host

OPTIONS = "detect_leaks=0:detect_stack_use_after_return=0"
KERNELS = (
    "small_kernels",
    "raster",
    "raster_grad",
)  # all kernels, and no kernel of the CPU to be compiled first
CHOSEN = (
    "without_fields or checked_build or stays_in_bounds or out_of_bounds or few_voxels or test_small_kernels"
)


@pytest.fixture(scope="module")
def sanitizer(host_compiler: str) -> str:
    """The sanitizer's library, or a skip."""
    found = subprocess.run([host_compiler, "-print-file-name=libasan.so"], capture_output=True, text=True)
    if found.returncode or not Path(found.stdout.strip()).is_absolute():
        pytest.skip("needs g++ with address sanitizer")
    return found.stdout.strip()


def run(sanitizer: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the sanitizer, kernels built for it."""
    environment = {**os.environ, "LD_PRELOAD": sanitizer, "ASAN_OPTIONS": OPTIONS, host.ADDRESS: "1"}
    root = host.HERE.parent.parent
    return subprocess.run(
        [sys.executable, *command], env=environment, cwd=root, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("kernel", "at", "error"),
    [
        ("past_a_local_array_by_pointer", 7, ""),
        ("past_a_local_array_by_pointer", 8, "stack-buffer-overflow"),
        ("past_a_shared_array", 1, "use-after-poison"),
        ("past_the_end", 1, "heap-buffer-overflow"),
    ],
)
def test_an_access_beyond_an_array_ends_the_process(sanitizer: str, kernel: str, at: int, error: str) -> None:
    code = (
        "import numpy as np; from tests.cuda import host; out = np.zeros(64, np.float32);"
        f"host.load(host.HERE / 'broken.cu').launch('{kernel}', (1,), (64,), out, {at}); print('through')"
    )
    done = run(sanitizer, "-c", code)
    assert ("through" in done.stdout) == (not error), done.stderr
    assert error in done.stderr


def test_no_kernel_steps_beyond_an_array(sanitizer: str) -> None:
    files = [f"tests/cuda/test_{name}.py" for name in KERNELS]
    done = run(sanitizer, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", CHOSEN, *files)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout
