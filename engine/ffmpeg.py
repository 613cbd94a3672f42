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
_RATE = re.compile(r"Video:.* ([\d.]+) (?:fps|tbr)")


def start(arguments: Sequence[str], **pipes: Any) -> subprocess.Popen[bytes]:
    """Start ffmpeg; `pipes` are stdin, stdout and stderr as Popen takes them.

    It is out of reach of a Ctrl+C in the terminal: whoever started it decides how it ends. Raises RuntimeError if imageio
    came without it.
    """
    import imageio_ffmpeg

    if sys.platform == "win32":
        apart: dict[str, Any] = {
            "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        }
    else:
        apart = {"start_new_session": True}
    return subprocess.Popen([imageio_ffmpeg.get_ffmpeg_exe(), *arguments], **pipes, **apart)


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
    duration, rate = _DURATION.search(words), _RATE.search(words)
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
