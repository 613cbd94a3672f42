# SPDX-License-Identifier: MIT
"""Strict readers of .npy and .npz files: plain numbers only, and no more memory than the file has bytes.

numpy's own reader evaluates the header as Python text and asks for the memory that it announces; on a damaged or
hostile file that raises whatever the tokenizer raises, or takes gigabytes. An archive may unpack to far more than
it holds, so its reader is told how much may come.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    r"\s*\{\s*'descr'\s*:\s*'([<>|=]?[fiub][1248])'\s*,\s*'fortran_order'\s*:\s*(True|False)\s*,"
    r"\s*'shape'\s*:\s*\(([\d,\s]*)\)\s*,?\s*\}\s*"
)
_LONGEST_HEADER = 4096
_MOST_MEMBERS = 256  # arrays in an archive
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy writes


def read_npy(path: Path, most_bytes: int) -> np.ndarray:
    """Return the numbers of a file of at most `most_bytes`; ValueError says what is wrong with it. OSError passes."""
    with open(path, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"it has more than {most_bytes:,} bytes")
    return parse_npy(content)


def read_npz(path: Path, most_bytes: int, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """Return those arrays of an archive that are `wanted` and there, which may unpack to `most_bytes` in all.

    ValueError says what is wrong; OSError passes. Other members are not looked into.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, most_bytes, wanted)
            return {name: _array(archive, name, info) for name, info in members.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, RuntimeError) as error:
        raise ValueError(f"it is no .npz file or damaged ({error or type(error).__name__})") from error


def _members(
    archive: zipfile.ZipFile, most_bytes: int, wanted: Collection[str]
) -> dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > _MOST_MEMBERS:
        raise ValueError(f"{len(entries):,} members where at most {_MOST_MEMBERS} are arrays of one thing")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in entries:
        name = info.filename.removesuffix(".npy")
        if name not in wanted:
            continue
        if name in members:
            raise ValueError(f"{name!r} is in it twice")
        if info.flag_bits & 1 or info.compress_type not in _PACKINGS:
            raise ValueError(f"{name!r} is encrypted or packed in a way that numpy does not write")
        members[name] = info
    size = sum(info.file_size for info in members.values())
    if size > most_bytes:
        raise ValueError(f"it unpacks to {size:,} bytes and {most_bytes:,} are free for it")
    return members


def _array(archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> np.ndarray:
    try:
        return parse_npy(archive.read(info))
    except ValueError as error:
        raise ValueError(f"{name!r}: {error}") from error


def parse_npy(content: bytes) -> np.ndarray:
    """Return the numbers of a .npy file's content, read-only and without a copy; ValueError says what is wrong with it."""
    if content[:6] != _MAGIC or len(content) < 12:
        raise ValueError("it does not begin as a .npy file does")
    if content[6] not in (1, 2, 3):
        raise ValueError(f"version {content[6]} of the .npy format is not known")
    start, length = (10, "<H") if content[6] == 1 else (12, "<I")
    end = start + struct.unpack_from(length, content, 8)[0]
    match = _HEADER.fullmatch(content[start : min(end, start + _LONGEST_HEADER)].decode("latin-1"))
    if match is None:
        raise ValueError("its header is damaged or it holds something else than numbers")
    try:
        dtype = np.dtype(match[1].replace("b1", "?"))
    except TypeError:
        raise ValueError(f"its numbers are of the unknown kind {match[1]!r}") from None
    shape = tuple(int(n) for n in match[3].replace(" ", "").split(",") if n)
    count = 1
    for n in shape:
        count *= n
    if count * dtype.itemsize != len(content) - end:
        named = " x ".join(match[3].replace(",", " ").split())[:60] or "1"
        raise ValueError(f"{named} numbers are announced and {max(0, len(content) - end):,} bytes follow")
    try:
        return np.frombuffer(content, dtype, count, end).reshape(
            shape, order="F" if match[2] == "True" else "C"
        )
    except OverflowError:
        raise ValueError("its shape is beyond what an array can have") from None
