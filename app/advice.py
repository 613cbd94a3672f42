# SPDX-License-Identifier: MIT
"""What a person can do about an error, by what its messages say. Whole sentences of ours hold their remedy already.

The messages are those of the system and of the libraries that the engine stands on; each is provoked by a test.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# A pattern in any message of the chain -> what to do. The first that fits counts.
_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"is trained by process",
        "Choose File, Open run to follow to watch it, or end the other process and try again.",
    ),
    (
        r"No space left on device|not enough space|Disk quota exceeded",
        "Make room on the disk, then save again with Ctrl+S. Nothing is lost as long as the program runs.",
    ),
    (
        r"Permission denied|Read-only file system|Access is denied",
        "Choose a folder that you may write to, or change its rights.",
    ),
    (
        r"Too many open files",
        "Close other programs, or raise the limit with ulimit -n before starting.",
    ),
    (
        r"No such file or directory|cannot find the (file|path)",
        "The file or folder was moved, renamed or deleted. Put it back, or open the scene from where it is now.",
    ),
    (
        r"cannot identify image file|image file is truncated|broken data stream",
        "A photo is damaged or in a format that cannot be read. Replace it, or delete it together with its pose.",
    ),
    (
        r"JSONDecodeError|Expecting value|Expecting property name|Extra data: line",
        "The file is damaged or no JSON. Restore it from a copy, or write it anew with the program that made it.",
    ),
    (
        r"UnicodeDecodeError|codec can't decode",
        "The file holds something else than text. Check that it is the file you meant.",
    ),
    (
        r"No module named '(?P<module>[\w.]+)'",
        "Part of the installation is missing. Run nerfviewer doctor, which names the command that installs it.",
    ),
    (
        r"CUDA out of memory|CUDA error|CUDA driver|no kernel image",
        "Start with --device cpu, or close what else uses the graphics card.",
    ),
    (
        r"MemoryError|not enough memory|Unable to allocate|can't allocate memory",
        "Close other programs, lower the largest number of voxels, or read the photos smaller with --downscale 2.",
    ),
    (
        r"GLError|SurfaceError|OpenGL",
        "Start with --present copy, which needs the least of the graphics driver.",
    ),
    (
        r"BrokenProcessPool|process ended|was ended from outside",
        "A part of this program was ended from outside, perhaps because memory ran out.",
    ),
)
FAULT = "This looks like a fault of nerfviewer. What is trained is saved as usual; copy the details and report them."
_INTERNAL = re.compile(
    r"^(Assertion|Attribute|Index|Key|Name|NotImplemented|Runtime|Type|Value|ZeroDivision)\w*Error: "
)


def advise(chain: Sequence[str]) -> str:
    """Return what to do about an error whose messages are given outermost first, "" where they say so themselves."""
    for pattern, advice in _ADVICE:
        if any(re.search(pattern, message) for message in chain):
            return advice
    return FAULT if chain and _INTERNAL.search(chain[0]) else ""
