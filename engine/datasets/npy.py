# SPDX-License-Identifier: MIT
"""A strict reader of .npy files: plain numbers only, and no more memory than the file has bytes.

numpy's own reader evaluates the header as Python text and asks for the memory that it announces; on a damaged or
hostile file that raises whatever the tokenizer raises, or takes gigabytes.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    r"\s*\{\s*'descr'\s*:\s*'([<>|=]?[fiub][1248])'\s*,\s*'fortran_order'\s*:\s*(True|False)\s*,"
    r"\s*'shape'\s*:\s*\(([\d,\s]*)\)\s*,?\s*\}\s*"
)
_LONGEST_HEADER = 4096


def read_npy(path: Path, most_bytes: int) -> np.ndarray:
    """Return the numbers of a file of at most `most_bytes`; ValueError says what is wrong with it. OSError passes."""
    with open(path, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"it has more than {most_bytes:,} bytes")
    if content[:6] != _MAGIC or len(content) < 12:
        raise ValueError("it does not begin as a .npy file does")
    if content[6] not in (1, 2, 3):
        raise ValueError(f"version {content[6]} of the .npy format is not known")
    start, length = (10, "<H") if content[6] == 1 else (12, "<I")
    end = start + struct.unpack_from(length, content, 8)[0]
    match = _HEADER.fullmatch(content[start : min(end, start + _LONGEST_HEADER)].decode("latin-1"))
    if match is None:
        raise ValueError("its header is damaged or it holds something else than numbers")
    dtype = np.dtype(match[1].replace("b1", "?"))
    shape = tuple(int(n) for n in match[3].replace(" ", "").split(",") if n)
    count = 1
    for n in shape:
        count *= n
    if count * dtype.itemsize != len(content) - end:
        named = " x ".join(match[3].replace(",", " ").split())[:60] or "1"
        raise ValueError(f"{named} numbers are announced and {max(0, len(content) - end):,} bytes follow")
    return np.frombuffer(content, dtype, count, end).reshape(shape, order="F" if match[2] == "True" else "C")
