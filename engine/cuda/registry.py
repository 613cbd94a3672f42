# SPDX-License-Identifier: MIT
"""Which kernels there are, in which file, and what arguments each of them takes: read from the kernel files themselves.

A kernel's parameters are pointers and numbers of the types in `LETTERS`. An argument's kind is the letter of its type, as
Python's `struct` has it, after "<" (read only) or "*" for a pointer: `const float* x` is "<f", `int n` is "i".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent

LETTERS = {
    **{
        "float": "f",
        "double": "d",
        "bool": "?",
        "char": "b",
        "int8_t": "b",
        "uint8_t": "B",
        "unsigned char": "B",
    },
    **{"short": "h", "int16_t": "h", "uint16_t": "H", "int": "i", "int32_t": "i"},
    **{"unsigned": "I", "unsigned int": "I", "uint32_t": "I"},
    **{"int64_t": "q", "long long": "q", "uint64_t": "Q", "unsigned long long": "Q"},
}
VECTORS = re.compile(r"(float|int|uint|uchar)[234]")  # known by their bytes only: the kind is "."

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_BOUNDS = r"(?:__launch_bounds__\s*\([^)]*\)\s*)?"
_KERNEL = re.compile(rf'extern\s+"C"\s+__global__\s+{_BOUNDS}void\s+{_BOUNDS}(\w+)\s*\(([^)]*)\)')


@dataclass(frozen=True)
class Kernel:
    """A kernel: its name, the file that has it, and kind and name of each of its parameters."""

    name: str
    file: str
    kinds: tuple[str, ...]
    parameters: tuple[str, ...]


def parse(file: str, source: str) -> list[Kernel]:
    """Return the kernels that the text of a kernel file defines, in its order."""
    found = []
    for name, parameters in _KERNEL.findall(_COMMENT.sub("", source)):
        pairs = [_parameter(name, text) for text in parameters.split(",") if text.strip()]
        found.append(Kernel(name, file, tuple(kind for kind, _ in pairs), tuple(word for _, word in pairs)))
    return found


def _parameter(kernel: str, text: str) -> tuple[str, str]:
    words = text.replace("*", " * ").replace("__restrict__", " ").split()
    pointer, constant = "*" in words, "const" in words
    name = words[-1]
    kind = " ".join(word for word in words[:-1] if word not in ("*", "const"))
    letter = "." if VECTORS.fullmatch(kind) else LETTERS.get(kind)
    if letter is None or (letter == "." and not pointer):
        raise ValueError(
            f"the parameter {text.strip()!r} of kernel {kernel} is neither a pointer nor a number"
        )
    return ("<" if constant else "*") * pointer + letter, name


def source_names() -> list[str]:
    """Return the names of all kernel files, "raster.cu" and so on."""
    return sorted(path.name for path in FOLDER.glob("*.cu"))


@cache
def kernels() -> dict[str, Kernel]:
    """Return every kernel by its name, which no two files share."""
    found: dict[str, Kernel] = {}
    for file in source_names():
        for kernel in parse(file, (FOLDER / file).read_text(encoding="utf-8")):
            if kernel.name in found:
                raise ValueError(f"{file} and {found[kernel.name].file} both have a kernel {kernel.name}")
            found[kernel.name] = kernel
    return found


def blocks_for(count: int, threads: int) -> int:
    """Return how many blocks of so many threads have a thread for each of `count` items."""
    return -(-count // threads)
