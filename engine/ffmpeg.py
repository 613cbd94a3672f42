# SPDX-License-Identifier: MIT
"""Runs the ffmpeg that comes with imageio.

Not through imageio's own functions: those run Python code between fork and exec, which in a program with threads and
OpenGL can wait forever for a lock that nobody holds any more (imageio-ffmpeg issue 58; seen in a long run of this program).
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_HEAD_S = 20.0  # the head of a file is read within that time, or not at all
_DURATION = re.compile(r"Duration: (\d+):(\d+):([\d.]+)")
_RATES = tuple(re.compile(rf"Video:.*? ([\d.]+) {unit}") for unit in ("fps", "tbr"))  # the better one first


def start(arguments: Sequence[str], apart: bool = False, **pipes: Any) -> subprocess.Popen[bytes]:
    """Start ffmpeg; `pipes` are stdin, stdout and stderr as Popen takes them.

    `apart` puts it out of reach of a Ctrl+C in the terminal: whoever started it decides how it ends. Otherwise it belongs to
    the caller's process group, and ends with that. Raises RuntimeError if imageio came without it.
    """
    import imageio_ffmpeg

    more: dict[str, Any] = {}
    if sys.platform == "win32":
        group = subprocess.CREATE_NEW_PROCESS_GROUP if apart else 0
        more = {"creationflags": subprocess.CREATE_NO_WINDOW | group}
    elif apart and sys.version_info >= (3, 11):
        more = {"process_group": 0}  # in the same session: Linux weighs nice values within a session only
    elif apart:
        more = {"start_new_session": True}
    return subprocess.Popen([imageio_ffmpeg.get_ffmpeg_exe(), *arguments], **pipes, **more)


def head(path: Path) -> tuple[float, float]:
    """Return the seconds of a video and its frames a second as its head has them, 0 for what it has not."""
    process = start(
        ["-hide_banner", "-nostdin", "-i", str(path.resolve())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        words = process.communicate(timeout=_HEAD_S)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return 0.0, 0.0
    return parse_head(words)


def parse_head(words: str) -> tuple[float, float]:
    """Return the seconds and the frames a second that ffmpeg tells of a file, 0 for what it does not tell."""
    duration = _DURATION.search(words)
    rate = next((found for pattern in _RATES if (found := pattern.search(words))), None)
    seconds = 0.0
    if duration is not None:
        hours, minutes, rest = duration.groups()
        seconds = 3600.0 * int(hours) + 60.0 * int(minutes) + float(rest)
    return seconds, float(rate.group(1)) if rate is not None else 0.0


class Encoder:
    """A process that takes pictures [H,W,3] uint8, all of one size, and writes a video file."""

    def __init__(self, path: Path, width: int, height: int, fps: float, output: Sequence[str]) -> None:
        """`output` are ffmpeg's options for the file."""
        self._process = start(
            [
                *(
                    "-y",
                    "-v",
                    "error",
                    "-nostats",
                    "-f",
                    "rawvideo",
                    "-vcodec",
                    "rawvideo",
                    "-s",
                    f"{width}x{height}",
                ),
                *("-pix_fmt", "rgb24", "-r", f"{fps:.6g}", "-i", "-", "-an", *output, str(path.resolve())),
            ],
            apart=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def write(self, rgb: Any) -> None:
        """Encode the next picture. Raises OSError if the process has ended."""
        self._process.stdin.write(rgb.data)

    def close(self) -> None:
        """Wait until the file is complete. Raises OSError if the process ended before."""
        try:
            self._process.stdin.close()
        finally:
            self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        try:
            self._process.stdin.close()
        except OSError:
            pass  # what was left in the pipe is not wanted
        self._process.wait()
