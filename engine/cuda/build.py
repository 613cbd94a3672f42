# SPDX-License-Identifier: MIT
"""From a kernel file to a cubin: NVRTC through `cuda.core`, no CUDA toolkit, no GPU; the result is kept on disk.

The name of the file in the cache is a digest of all that decides what is in it: the source, every header, the constants,
the options, the version of the compiler and the architecture.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from engine import constants
from engine.caches import cache_folder
from engine.cuda.registry import FOLDER
from engine.errors import UserError
from engine.files import whole_file

INCLUDE = FOLDER / "include"
INSTALL = "pip install 'nerfviewer[cuda]'"
ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_120")  # NVIDIA's cards from 2018 on
OLDEST = (7, 5)  # compute capability; the compiler of CUDA 13 knows nothing older
OPTIONS = {"std": "c++17", "lineinfo": True, "ptxas_options": "-v"}  # no fast math; line numbers cost nothing


class CudaMissingError(UserError):
    """CUDA cannot be used here; the sentence says what is missing."""


class KernelError(Exception):
    """A kernel file does not compile. Nothing a user can mend."""


@dataclass(frozen=True)
class Usage:
    """What a compiled kernel takes of a GPU."""

    registers: int
    spill_bytes: int
    shared_bytes: int


def constants_header() -> str:
    """Return `constants.cuh`: every number of engine/constants.py, so that none is written twice."""
    lines = ["// Made from engine/constants.py.", "#pragma once"]
    for name, value in vars(constants).items():
        if not name.isupper():
            continue
        if isinstance(value, tuple):
            numbers = ", ".join(f"{number!r}f" for number in value)
            lines.append(f"__device__ constexpr float {name}[{len(value)}] = {{{numbers}}};")
        elif isinstance(value, int):
            kind, end = ("int", "") if value < 1 << 31 else ("unsigned", "u")
            lines.append(f"constexpr {kind} {name} = {value}{end};")
        else:
            lines.append(f"constexpr float {name} = {value!r}f;")
    return "\n".join(lines) + "\n"


def headers_folder() -> Path:
    """Return the folder with the headers that are made rather than written, making them if need be."""
    text = constants_header()
    folder = cache_folder() / f"cuda-headers-{digest(text.encode())}"
    if not (folder / "constants.cuh").exists():
        _write_whole(folder / "constants.cuh", text.encode())
    return folder


def digest(*parts: bytes) -> str:
    """Return a short name for these bytes."""
    state = hashlib.sha256()
    for part in parts:
        state.update(len(part).to_bytes(8, "little") + part)
    return state.hexdigest()[:16]


def source_digest(source: Path) -> str:
    """Return a name for a kernel file together with everything that it may include."""
    headers = [path.name.encode() + path.read_bytes() for path in sorted(INCLUDE.glob("*.cuh"))]
    return digest(source.read_bytes(), constants_header().encode(), *headers)


def compile_to_cubin(source: str | Path, arch: str) -> bytes:
    """Return the machine code of a file of engine/cuda (by name, or any file by path) for "sm_90" or another.

    It comes from the disk if this very source was compiled before. Raises CudaMissingError without the packages.
    """
    return _compiled(_path(source), arch)[0]


def usage(source: str | Path, arch: str) -> dict[str, Usage]:
    """Return what each kernel of a file takes, by name: what ptxas said when it was compiled."""
    return parse_usage(_compiled(_path(source), arch)[1])


def _path(source: str | Path) -> Path:
    return source if isinstance(source, Path) else FOLDER / source


def _compiled(source: Path, arch: str) -> tuple[bytes, str]:
    key = digest(
        source_digest(source).encode(), repr(OPTIONS).encode(), compiler_version().encode(), arch.encode()
    )
    cubin = cache_folder() / "cuda" / f"{source.stem}-{arch}-{key}.cubin"
    log = cubin.with_suffix(".log")
    if not (cubin.exists() and log.exists()):
        code, text = _compile(source, arch)
        _write_whole(log, text.encode())
        _write_whole(cubin, code)
    return cubin.read_bytes(), log.read_text(encoding="utf-8")


def _compile(source: Path, arch: str) -> tuple[bytes, str]:
    core = cuda_core()
    include = [str(INCLUDE), str(headers_folder())]
    options = core.ProgramOptions(
        name=f"engine/cuda/{source.name}", arch=arch, include_path=include, **OPTIONS
    )
    log = io.StringIO()
    try:
        code = core.Program(source.read_text(encoding="utf-8"), "c++", options).compile("cubin", logs=log)
    except Exception as error:  # cuda.core has no class of its own for it
        raise KernelError(f"{source.name} does not compile for {arch}:\n{error}") from error
    return bytes(code.code), log.getvalue()


def cuda_core() -> ModuleType:
    """Return the package cuda.core; raises CudaMissingError where it is not installed."""
    try:
        from cuda import core
    except (ImportError, RuntimeError, OSError) as problem:
        raise CudaMissingError(
            f"CUDA's Python packages are not installed ({problem}). Run: {INSTALL}"
        ) from problem
    return core


def compiler_version() -> str:
    """Return the version of NVRTC, "13.0"; raises CudaMissingError where it cannot be loaded."""
    cuda_core()
    try:
        from cuda.bindings import nvrtc

        error, major, minor = nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError, OSError) as problem:
        raise CudaMissingError(f"The CUDA compiler cannot be loaded ({problem}). Run: {INSTALL}") from problem
    if int(error):
        raise CudaMissingError(
            f"The CUDA compiler does not answer (error {int(error)}). Reinstall it: {INSTALL}"
        )
    return f"{major}.{minor}"


def compiler_knows(arch: str) -> bool:
    """Return whether NVRTC can compile for an architecture: a card may be newer than it."""
    from cuda.bindings import nvrtc

    error, known = nvrtc.nvrtcGetSupportedArchs()
    return bool(int(error)) or int(arch.removeprefix("sm_")) in known


_ENTRY = re.compile(r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry function|\Z)", re.DOTALL)


def parse_usage(log: str) -> dict[str, Usage]:
    """Return what ptxas -v says about each kernel."""
    return {
        name: Usage(
            registers=_number(r"Used (\d+) registers", text),
            spill_bytes=_number(r"(\d+) bytes spill stores", text)
            + _number(r"(\d+) bytes spill loads", text),
            shared_bytes=_number(r"(\d+) bytes smem", text),
        )
        for name, text in _ENTRY.findall(log)
    }


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file of the cache such that nobody, in this process or another, ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_bytes(data)
