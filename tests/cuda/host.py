# SPDX-License-Identifier: MIT
"""Kernel files compiled with g++ and run on numpy arrays: what a test of a kernel needs on a machine without a GPU.

    kernels = host.load("raster.cu")                # checked: bounds, races, use before writing
    kernels.launch("raster_fwd", (tiles, 1, 1), (16, 16, 1), n_tiles, starts, colour, out)

Arrays are changed in place. What a launch gets wrong becomes a HostError with the line of the kernel. `checks=False`
takes the plain build, which is about ten times as fast and knows nothing of bounds and races. Where `ADDRESS` is in the
environment every build is that of address sanitizer, which has to be in the process (LD_PRELOAD): see test_address.py.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from engine.caches import cache_folder
from engine.cuda import build, registry

HERE = Path(__file__).parent
GAP_BYTES = 4096  # around every array of a checked launch; no kernel steps further in one stride
ALIGN_BYTES = 256  # what cudaMalloc gives
_WARNINGS = ("-Wall", "-Wextra", "-Wno-unknown-pragmas")
_COMMON = ("-std=c++20", "-fPIC", "-gdwarf-4", "-U_FORTIFY_SOURCE", "-ffp-contract=off")
_CHECKS = (
    "-fsanitize=thread",
    "-fsanitize=bounds,alignment,null,shift,integer-divide-by-zero,signed-integer-overflow,float-cast-overflow",
)
ADDRESS = "NERFVIEWER_TEST_ADDRESS_SANITIZER"
_ADDRESS = ("-fsanitize=address", "-fno-omit-frame-pointer")
_CODE = re.compile(r"\{\+(0x[0-9a-f]+)\}")


class HostError(Exception):
    """What a kernel did that a GPU would leave undefined, with its line."""


def compiler() -> str | None:
    """Return the C++ compiler, or None where there is none."""
    return shutil.which("g++")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostError(f"g++ could not compile:\n{done.stderr}")


def _object(source: Path, folder: Path) -> Path:
    """Return one of the harness's own files as an object, compiled once."""
    target = folder / f"{source.stem}.o"
    if not target.exists():
        part = target.with_suffix(".part.o")
        _run(compiler(), *_COMMON, "-O2", *_WARNINGS, "-Werror", "-c", str(source), "-o", str(part))
        part.replace(target)
    return target


def _adapter(source: Path, names: Sequence[str]) -> str:
    """Return C++ that includes a kernel file and lets each kernel be called by name with an array of pointers."""
    lines = [f'#include "{source}"', 'extern "C" {']
    for name in names:
        lines.append(f"void host_call_{name}(void** args) {{ host::call({name}, args); }}")
        lines.append(f"void host_describe_{name}(char* out) {{ host::describe({name}, out); }}")
    return "\n".join([*lines, "}"]) + "\n"


@cache
def load(source: str | Path, checks: bool = True) -> Kernels:
    """Return the kernels of a file of engine/cuda by name, or of any other file by path."""
    path = Path(source) if isinstance(source, Path) else registry.FOLDER / source
    address = ADDRESS in os.environ
    checks = checks and not address
    flags = _ADDRESS if address else _CHECKS if checks else ()
    harness = b"".join(file.read_bytes() for file in sorted(HERE.glob("host*")) if file.is_file())
    headers = b"".join(file.read_bytes() for file in sorted(build.INCLUDE.glob("*.cuh")))
    text = path.read_text(encoding="utf-8")
    parts = (harness, headers, text.encode(), build.constants_header().encode(), repr(flags).encode())
    common = cache_folder() / f"host-cuda-{build.digest(harness)}"
    common.mkdir(parents=True, exist_ok=True)
    library = common / f"{path.stem}-{build.digest(*parts)}.so"
    names = [kernel.name for kernel in registry.parse(path.name, text)]
    if not library.exists():
        adapter = library.with_suffix(".cpp")
        adapter.write_text(_adapter(path, names), encoding="utf-8")
        part = library.with_suffix(".part.o")
        _run(
            *(compiler(), *_COMMON, "-O1", "-w", *flags),
            *(
                "-include",
                str(HERE / "host_cuda.h"),
                "-I",
                str(build.INCLUDE),
                "-I",
                str(build.headers_folder()),
            ),
            *("-c", str(adapter), "-o", str(part)),
        )
        parts = (part, *(_object(HERE / f"{name}.cpp", common) for name in _runtime(checks)))
        _run(
            *(compiler(), "-shared", "-Wl,-z,defs", *(_ADDRESS if address else ()), *map(str, parts)),
            *("-o", str(library.with_suffix(".part.so"))),
        )
        library.with_suffix(".part.so").replace(library)
    return Kernels(library, names, checks)


def _runtime(checks: bool) -> tuple[str, str]:
    return "host_runtime", "host_checks" if checks else "host_unchecked"


class Kernels:
    """The kernels of one file."""

    def __init__(self, library: Path, names: Sequence[str], checks: bool) -> None:
        self._path = library
        self._library = ctypes.CDLL(str(library))
        self._checks = checks
        self.kinds = {name: self._kinds(name) for name in names}

    def _kinds(self, name: str) -> list[str]:
        """Return one text per argument: "i" and so on as in `struct`, after "<" (read only) or "*" for a pointer."""
        text = ctypes.create_string_buffer(256)
        self._library[f"host_describe_{name}"](text)
        return re.findall(r"[<*]?[a-zA-Z?.]", text.value.decode())

    def launch(
        self,
        name: str,
        grid: Sequence[int],
        block: Sequence[int],
        *args: np.ndarray | int | float | None,
        seed: int = 0,
    ) -> None:
        """Run a kernel on numpy arrays and numbers; None is a null pointer. Blocks and threads are shuffled by a seed."""
        kinds = self.kinds[name]
        if len(args) != len(kinds):
            raise HostError(f"{name} takes {len(kinds)} arguments, got {len(args)}")
        arrays = _Arrays(self._library, self._checks)
        values = [
            arrays.value(f"argument {i} of {name}", k, a)
            for i, (k, a) in enumerate(zip(kinds, args, strict=True))
        ]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        message = ctypes.create_string_buffer(2048)
        call = ctypes.cast(self._library[f"host_call_{name}"], ctypes.c_void_p)
        failed = self._library.host_launch(
            call,
            pointers,
            _three(grid),
            _three(block),
            ctypes.c_ulonglong(seed),
            message,
            ctypes.c_size_t(2048),
        )
        arrays.copy_back()
        if failed:
            raise HostError(f"{name}: {self._with_lines(message.value.decode())}")

    def _with_lines(self, text: str) -> str:
        """Put file and line where the text has addresses of code."""

        def line(match: re.Match[str]) -> str:
            tool = shutil.which("addr2line")
            if tool is None:
                return match[1]
            command = (tool, "-i", "-e", str(self._path), match[1])
            found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")
            places = [place.split(" (")[0] for place in found if place and "host_cuda.h" not in place]
            return Path(places[0]).name if places else match[1]

        return _CODE.sub(line, text)


def _three(size: Sequence[int]) -> ctypes.Array[ctypes.c_uint]:
    whole = (*size, 1, 1, 1)[:3]
    return (ctypes.c_uint * 3)(*whole)


_SCALARS = {
    **{"f": ctypes.c_float, "d": ctypes.c_double, "?": ctypes.c_bool},
    **{"b": ctypes.c_int8, "h": ctypes.c_int16, "i": ctypes.c_int32, "q": ctypes.c_int64},
    **{"B": ctypes.c_uint8, "H": ctypes.c_uint16, "I": ctypes.c_uint32, "Q": ctypes.c_uint64},
}


class _Arrays:
    """The memory of one launch: arrays as they are, or in the checked build copies with a gap around each."""

    def __init__(self, library: ctypes.CDLL, checks: bool) -> None:
        self._library = library
        self._checks = checks
        self._copies: dict[int, tuple[np.ndarray, np.ndarray, bytes]] = {}
        library.host_forget_regions()

    def value(self, name: str, kind: str, arg: np.ndarray | int | float | None) -> ctypes._SimpleCData:
        """Return an argument as ctypes has it, or refuse one that does not fit the kernel's parameter."""
        if kind[0] not in "<*":
            if isinstance(arg, np.ndarray) or arg is None:
                raise HostError(f"{name} is a number, got {type(arg).__name__}")
            value = _SCALARS[kind](arg)
            if kind not in "fd" and value.value != arg:
                raise HostError(f"{name} does not fit {kind!r}: {arg}")
            return value
        if arg is None:
            return ctypes.c_void_p(None)
        if not isinstance(arg, np.ndarray) or not arg.flags.c_contiguous:
            raise HostError(f"{name} is a pointer; give a contiguous array, got {type(arg).__name__}")
        if kind[1] != "." and arg.dtype != np.dtype(kind[1]):
            raise HostError(f"{name} points to {np.dtype(kind[1])}, the array has {arg.dtype}")
        return ctypes.c_void_p(self._address(name, arg))

    def _address(self, name: str, array: np.ndarray) -> int:
        if not self._checks:
            return array.ctypes.data
        key = array.ctypes.data if array.nbytes else id(array)
        if key not in self._copies:
            whole = np.full(array.nbytes + 2 * GAP_BYTES + ALIGN_BYTES, 0xA5, np.uint8)
            start = GAP_BYTES + -(whole.ctypes.data + GAP_BYTES) % ALIGN_BYTES
            copy = whole[start : start + array.nbytes]
            copy[:] = array.reshape(-1).view(np.uint8)
            label = f"{name} {list(array.shape)}".encode()
            self._copies[key] = array, copy, label
            size = ctypes.c_size_t(array.nbytes)
            item = ctypes.c_size_t(array.itemsize)
            self._library.host_add_region(ctypes.c_void_p(copy.ctypes.data), size, item, label)
        return self._copies[key][1].ctypes.data

    def copy_back(self) -> None:
        for array, copy, _ in self._copies.values():
            if array.flags.writeable:
                array.reshape(-1).view(np.uint8)[:] = copy
