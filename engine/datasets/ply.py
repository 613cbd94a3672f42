# SPDX-License-Identifier: MIT
"""A strict reader of points from .ply files, ASCII or binary: positions and colours of the element `vertex`.

The numbers of points that a header announces are held against the size of the file before memory is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.datasets.checks import LARGEST_LENGTH, cannot_read
from engine.datasets.scene import Points

MAX_BYTES = 1 << 29  # 30 million points with colour and normal
_LONGEST_HEADER = 1 << 16
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_COLOURS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
_REMEDY = "export it again as points with x, y and z"


@dataclass(frozen=True)
class _Header:
    order: str  # "" for ASCII, else "<" or ">"
    count: int
    fields: tuple[tuple[str, str], ...]  # name and numpy type of each property of a vertex
    skip_rows: int  # rows of the elements before, and their bytes
    skip_bytes: int
    end: int  # where the data begins


def read_ply(path: Path) -> tuple[Points, int]:
    """Return the points of a file in its own units, seen by no view, and how many had no finite position."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        problem = f"the file of points cannot be opened ({error.strerror or error})"
        raise cannot_read(path, problem, "check that it exists and may be read") from error
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 20:,} MiB")
        header = _header(content)
        table = _binary(content, header) if header.order else _ascii(content, header)
    except ValueError as error:
        raise cannot_read(path, f"a .ply file of points was wanted, and {error}", _REMEDY) from error
    xyz = np.stack([table[axis].astype(np.float64) for axis in "xyz"], axis=1)
    good = (np.abs(xyz) <= LARGEST_LENGTH).all(axis=1)
    xyz, rgb = xyz[good], _colours(table)[good]
    nobody = np.zeros(len(xyz) + 1, dtype=np.int64)
    unknown = np.zeros(len(xyz), dtype=np.float32)
    return Points(xyz, rgb, unknown, nobody, np.zeros(0, dtype=np.int32)), int((~good).sum())


def _header(content: bytes) -> _Header:
    """Return what the header says; ValueError says what is wrong with it."""
    head = content[:_LONGEST_HEADER]
    if not head.startswith((b"ply\n", b"ply\r")):
        raise ValueError("it does not begin with the word ply")
    end = head.find(b"end_header")
    line_end = head.find(b"\n", end)
    if end < 0 or line_end < 0:
        raise ValueError("its header has no end")
    order, elements = None, []
    for line in head[:end].decode("latin-1").splitlines()[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) == 3 and words[1] in _ORDERS:
            order = _ORDERS[words[1]]
        elif words[0] == "element" and len(words) == 3 and words[2].isascii() and words[2].isdigit():
            elements.append((words[1], int(words[2][:18]), []))
        elif words[0] == "property" and elements and (len(words) == 3 or words[1:2] == ["list"]):
            elements[-1][2].append((words[-1], _TYPES.get(words[1], "")))
        else:
            raise ValueError(f"the line {line[:60]!r} of its header is not understood")
    if order is None:
        raise ValueError("its header names no format (ascii or binary_little_endian)")
    return _vertices(elements, order, line_end + 1)


def _vertices(elements: list[tuple[str, int, list[tuple[str, str]]]], order: str, end: int) -> _Header:
    skip_rows = skip_bytes = 0
    for name, count, fields in elements:
        if any(not kind for _, kind in fields):
            raise ValueError(f"its element {name[:40]!r} has lists or types that are not known")
        if name == "vertex":
            names = [field for field, _ in fields]
            if not {"x", "y", "z"} <= set(names) or len(set(names)) < len(names):
                raise ValueError(f"its vertices have no x, y and z but {', '.join(names)[:80] or 'nothing'}")
            return _Header(order, count, tuple(fields), skip_rows, skip_bytes, end)
        skip_rows += count
        skip_bytes += count * sum(int(kind[1]) for _, kind in fields)
    raise ValueError("it has no element vertex")


def _binary(content: bytes, header: _Header) -> np.ndarray:
    dtype = np.dtype([(name, header.order + kind) for name, kind in header.fields])
    start = header.end + header.skip_bytes
    if header.count * dtype.itemsize > len(content) - start:
        room = max(0, len(content) - start)
        raise ValueError(
            f"its {header.count:,} points need {header.count * dtype.itemsize:,} bytes and {room:,} follow"
        )
    return np.frombuffer(content, dtype, header.count, start)


def _ascii(content: bytes, header: _Header) -> np.ndarray:
    width = len(header.fields)
    least = 2 * width * (header.count + header.skip_rows)  # a digit a number, and what parts it from the next
    if least > len(content) + 1:
        raise ValueError(f"its {header.count:,} points are more than its {len(content):,} bytes can hold")
    rows = content[header.end :].split(b"\n")
    rows = [row for row in rows if row.strip()][header.skip_rows : header.skip_rows + header.count]
    if len(rows) < header.count:
        raise ValueError(f"it announces {header.count:,} points and has {len(rows):,}")
    table = np.empty(header.count, dtype=[(name, "f8") for name, _ in header.fields])
    flat = table.view("f8").reshape(header.count, width)
    for i, row in enumerate(rows):
        words = row.split()
        if len(words) != width:
            raise ValueError(f"point {i + 1:,} has {len(words):,} numbers, not {width}")
        try:
            flat[i] = [float(word) for word in words]
        except ValueError:
            raise ValueError(f"point {i + 1:,} has something else than numbers") from None
    return _typed(table, header)


def _typed(table: np.ndarray, header: _Header) -> np.ndarray:
    """Return a table of text's float64 with colours in the type that the header says, as in a binary file."""
    kinds = dict(header.fields)
    names = {name for triple in _COLOURS for name in triple} & set(kinds)
    whole = {name for name in names if kinds[name][0] in "iu"}
    for name in whole:
        table[name] = np.clip(np.nan_to_num(table[name]), 0.0, 255.0 if kinds[name][1] == "1" else 65535.0)
    dtype = [(name, kinds[name] if name in whole else "f8") for name, _ in header.fields]
    return table.astype(dtype)


def _colours(table: np.ndarray) -> np.ndarray:
    """Return uint8 [P,3]; grey where the file has no colours. Fractions are of 1, wider whole numbers of 65535."""
    for names in _COLOURS:
        if not set(names) <= set(table.dtype.names):
            continue
        channels = []
        for name in names:
            values = table[name]
            if values.dtype.kind == "f":
                values = np.nan_to_num(values.astype(np.float64)) * 255.0 + 0.5
            elif values.dtype.itemsize > 1:
                values = values.astype(np.float64) / 257.0 + 0.5
            channels.append(np.clip(values, 0, 255).astype(np.uint8))
        return np.stack(channels, axis=1)
    return np.full((len(table), 3), 128, dtype=np.uint8)
