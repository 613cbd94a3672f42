# SPDX-License-Identifier: MIT
"""Ways to spoil a file. Each takes a random generator and the bytes of a whole file, and returns other bytes."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

Random = np.random.Generator
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
NAME = re.compile(rb"[\w./-]*[\w-]+\.(?:png|jpg|npy|ply)|\./\w+/\d+")
NUMBERS = (
    b"nan", b"NaN", b"inf", b"-Infinity", b"1e999", b"-1e308", b"0", b"-1", b"1e-320", b"4294967296", b"99999999999999999999",
    b"18446744073709551615", b"0x10", b"1_0", b"", b"true", b"null", b"[]", b'"7"', b"1e18", b"2147483647", b"-0.0", b"65536",
)  # fmt: skip
NAMES = (
    b"../../../../etc/passwd", b"/etc/passwd", b"../outside.png", b"images/../../outside.png", b"loop/a.png", b"loop", b".",
    b"..", b"", b" ", b"/", b"images", b"images/loop/0.png", b"\\\\host\\share\\a.png", b"..\\\\outside.png", b"/dev/zero",
    b"/dev/stdin", b"/proc/self/mem", b"C:\\\\a.png", b"x" * 300, b"a/" * 3000, b"~/a.png", b"file:///etc/passwd",
    b"images/0.png", b"fifo", b"fifo.png", b"a\\nb\\u2028.png", b"\\u0000", b"\\ud800.png",
)  # fmt: skip
WORDS = (
    struct.pack("<Q", 2**64 - 1), struct.pack("<Q", 2**40), struct.pack("<Q", 2**63), struct.pack("<I", 2**31 - 1),
    struct.pack("<d", float("nan")), struct.pack("<d", float("inf")), struct.pack("<d", -1e308), struct.pack("<d", 0.0),
    struct.pack("<i", -1), struct.pack("<i", 0), struct.pack("<Q", 0), struct.pack("<f", float("nan")), struct.pack(">I", 60000),
    struct.pack("<Q", 2**32), struct.pack("<H", 65535), struct.pack(">I", 2**31 - 1), struct.pack(">I", 12000),
)  # fmt: skip


def truncate(random: Random, content: bytes) -> bytes:
    """Cut the end off."""
    return content[: random.integers(0, max(1, len(content)))]


def flip_bits(random: Random, content: bytes) -> bytes:
    """Turn over one to eight bits."""
    spoiled = bytearray(content)
    for _ in range(random.integers(1, 9) if spoiled else 0):
        spoiled[random.integers(len(spoiled))] ^= 1 << random.integers(8)
    return bytes(spoiled)


def overwrite_word(random: Random, content: bytes) -> bytes:
    """Put a huge, negative or undefined number somewhere: counts and lengths among others."""
    word = _pick(random, WORDS)
    at = int(random.integers(0, max(1, len(content))))
    if random.random() < 0.5:
        at -= at % 4
    return content[:at] + word + content[at + len(word) :]


def overwrite_head(random: Random, content: bytes) -> bytes:
    """Put such a number among the first bytes, where counts, sizes and lengths are."""
    word, at = _pick(random, WORDS), int(random.integers(0, 40))
    return content[:at] + word + content[at + len(word) :]


def repeat_or_drop(random: Random, content: bytes) -> bytes:
    """Double a stretch of bytes or leave it out."""
    start, end = sorted(random.integers(0, max(1, len(content)), 2))
    return content[:end] + content[start:] if random.random() < 0.5 else content[:start] + content[end:]


def insert_noise(random: Random, content: bytes) -> bytes:
    """Put random bytes somewhere."""
    at = int(random.integers(0, max(1, len(content))))
    return content[:at] + random.bytes(int(random.integers(1, 64))) + content[at:]


def replace_number(random: Random, content: bytes) -> bytes:
    """Replace up to three written numbers."""
    for _ in range(random.integers(1, 4)):
        content = _replace(random, content, NUMBER, _pick(random, NUMBERS))
    return content


def replace_name(random: Random, content: bytes) -> bytes:
    """Replace a written file name by one that leads out, in circles, to a folder or to a device."""
    return _replace(random, content, NAME, _pick(random, NAMES))


def replace_line(random: Random, content: bytes) -> bytes:
    """Drop, double or swap lines."""
    lines = content.split(b"\n")
    a, b = random.integers(0, len(lines), 2)
    choice = random.integers(3)
    if choice == 0:
        del lines[a]
    elif choice == 1:
        lines.insert(a, lines[b])
    else:
        lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def replace_node(random: Random, content: bytes) -> bytes:
    """Replace a value of a JSON file by one of another kind, or remove it, or double it."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return flip_bits(random, content)
    places = list(_places(data))
    holder, key = places[random.integers(len(places))]
    values: tuple[Any, ...] = (
        None, True, -1, 0, 1e300, 10**30, float("nan"), float("inf"), "", "x", [], {}, [[]], [[1.0] * 4] * 4, {"frames": []},
        "../x.png", [None], [1, "a"], "1" * 400, 1e-300, [[[[]]]],
    )  # fmt: skip
    if random.random() < 0.2:
        del holder[key]
    elif random.random() < 0.1 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = values[random.integers(len(values))]
    return json.dumps(data).encode()


def nest_deeply(random: Random, content: bytes) -> bytes:
    """Put ten thousand open brackets somewhere."""
    at = int(random.integers(0, max(1, len(content))))
    return content[:at] + _pick(random, (b"[", b'{"a":')) * 10_000 + content[at:]


BINARY = (truncate, flip_bits, overwrite_word, overwrite_head, repeat_or_drop, insert_noise, replace_name)
TEXT = (
    truncate,
    flip_bits,
    repeat_or_drop,
    insert_noise,
    replace_number,
    replace_number,
    replace_name,
    replace_line,
)
JSON = (*TEXT, replace_node, replace_node, replace_node, nest_deeply)


def spoil(random: Random, name: str, content: bytes) -> tuple[str, bytes]:
    """Return which ways were taken, and the bytes; about one in four is spoiled twice."""
    ways: tuple[Callable[[Random, bytes], bytes], ...] = BINARY
    if name.endswith(".json"):
        ways = JSON
    elif name.endswith(".txt") or content.startswith(b"ply\nformat ascii"):
        ways = TEXT
    taken = []
    for _ in range(2 if random.random() < 0.25 else 1):
        way = ways[random.integers(len(ways))]
        content = way(random, content)
        taken.append(way.__name__)
    return "+".join(taken), content


def _pick(random: Random, choices: tuple[bytes, ...]) -> bytes:
    return choices[random.integers(len(choices))]


def _replace(random: Random, content: bytes, pattern: re.Pattern[bytes], by: bytes) -> bytes:
    found = list(pattern.finditer(content))
    if not found:
        return flip_bits(random, content)
    match = found[random.integers(len(found))]
    return content[: match.start()] + by + content[match.end() :]


def _places(data: Any) -> Any:
    """Yield (holder, key) of every value below `data`."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield data, key
        yield from _places(value)
