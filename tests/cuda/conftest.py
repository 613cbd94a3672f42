# SPDX-License-Identifier: MIT
"""What tests of kernels need: a C++ compiler for the harness, the packages that compile for a GPU."""

from __future__ import annotations

import pytest

from engine.cuda import build
from tests.cuda import host


@pytest.fixture(scope="session")
def host_compiler() -> str:
    """The C++ compiler that turns kernels into programs of this machine, or a skip."""
    found = host.compiler()
    if found is None:
        pytest.skip("needs g++ to run kernels on the CPU (Debian, Ubuntu: apt-get install g++)")
    return found


@pytest.fixture(scope="session")
def cubin_compiler() -> str:
    """The version of NVRTC, which compiles kernels for a GPU without having one, or a skip."""
    try:
        return build.compiler_version()
    except build.CudaMissingError as missing:
        pytest.skip(str(missing))
