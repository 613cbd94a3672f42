# SPDX-License-Identifier: MIT
"""From a kernel file to a cubin: NVRTC through `cuda.core`, no CUDA toolkit, no GPU; the result is kept on disk.

The name of the file in the cache is a digest of all that decides what is in it: the source, every header, the constants,
the options, the version of the compiler and the architecture.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from pathlib import Path

from engine import constants
from engine.caches import cache_folder
from engine.errors import UserError

FOLDER = Path(__file__).parent
INCLUDE = FOLDER / "include"
INSTALL = "pip install 'nerfviewer[cuda]'"
ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_120")  # every card from 2018 on
STANDARD = "c++17"

_KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(')


def source_names() -> list[str]:
    """Return the names of all kernel files, "raster.cu" and so on."""
    return sorted(path.name for path in FOLDER.glob("*.cu"))


def kernel_names(source: str) -> list[str]:
    """Return the kernels that the text of a kernel file defines, in its order."""
    return _KERNEL.findall(source)


def constants_header() -> str:
    """Return `constants.cuh`: every number of engine/constants.py, so that none is written twice."""
    lines = ["// Made from engine/constants.py.", "#pragma once"]
    for name, value in vars(constants).items():
        if isinstance(value, tuple):
            numbers = ", ".join(_literal(number) for number in value)
            lines.append(f"__device__ constexpr float {name}[{len(value)}] = {{{numbers}}};")
        elif isinstance(value, int | float) and name.isupper():
            kind = "int" if isinstance(value, int) else "float"
            lines.append(f"constexpr {kind} {name} = {_literal(value)};")
    return "\n".join(lines) + "\n"


def _literal(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value!r}f"


def headers_folder() -> Path:
    """Return the folder with the headers that are made rather than written, making them if need be."""
    text = constants_header()
    folder = cache_folder() / f"cuda-headers-{digest(text.encode())}"
    if not (folder / "constants.cuh").exists():
        write_whole(folder / "constants.cuh", text.encode())
    return folder


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of the cache such that nobody, in this process or another, ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)


def digest(*parts: bytes) -> str:
    """Return a short name for these bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:16]


def source_digest(source_name: str) -> str:
    """Return a digest of a kernel file and of everything that it may include."""
    headers = [path.name.encode() + path.read_bytes() for path in sorted(INCLUDE.glob("*.cuh"))]
    return digest((FOLDER / source_name).read_bytes(), constants_header().encode(), *headers)
