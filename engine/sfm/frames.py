# SPDX-License-Identifier: MIT
"""Picks frames from a video: of equal parts of it the sharpest frame each, written as photos.

Two passes through the ffmpeg that comes with imageio: the first sees every frame small and grey and measures its
sharpness, the second writes the chosen ones at full size. ffmpeg turns the frames upright in both.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from engine import ffmpeg
from engine.errors import SceneError

SIDE_PX = 512  # frames are judged at this size: blur of a few pixels of an HD frame is still seen
MIN_FRAMES = 3

Progress = Callable[[int, int], None]


def sharpness(grey: np.ndarray) -> float:
    """Return the variance of the Laplacian of grey [H,W] uint8: blur takes it away."""
    g = grey.astype(np.int16)
    centre = g[1:-1, 1:-1] * np.int16(4)
    laplacian = centre - g[:-2, 1:-1] - g[2:, 1:-1] - g[1:-1, :-2] - g[1:-1, 2:]
    return float(laplacian.astype(np.float32).var())


def choose(values: Sequence[float], count: int) -> list[int]:
    """Return the index of the sharpest frame in each of `count` equal parts; all frames where there are fewer."""
    total = len(values)
    if total <= count:
        return list(range(total))
    borders = [round(i * total / count) for i in range(count + 1)]
    return [max(range(a, b), key=lambda i: values[i]) for a, b in pairwise(borders)]


def measure(video: Path, progress: Progress) -> list[float]:
    """Return the sharpness of every frame of a video."""
    expected = _expected_frames(video)
    values: list[float] = []
    for grey in _small_frames(video):
        values.append(sharpness(grey))
        progress(len(values), max(expected, len(values)))
    if len(values) < MIN_FRAMES:
        raise SceneError(
            f"Cannot read {video}: a video with at least {MIN_FRAMES} frames was wanted, got {len(values)}. "
            "Choose another file or convert it to MP4."
        )
    return values


def extract(
    video: Path, chosen: Sequence[int], folder: Path, downscale: int, progress: Progress
) -> list[Path]:
    """Write the chosen frames of a video as frame_00001.jpg, ... into a folder; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("frame_*.jpg"):
        old.unlink()
    wanted = "+".join(rf"eq(n\,{index})" for index in chosen)
    scaled = f",scale=iw/{downscale}:ih/{downscale}:flags=area" if downscale > 1 else ""
    arguments = [
        "-vf", f"select='{wanted}'{scaled},scale=out_range=full,format=yuvj420p",
        "-fps_mode", "passthrough", "-q:v", "1", "-qmin", "1", "-progress", "pipe:1", str(folder / "frame_%05d.jpg"),
    ]  # fmt: skip
    process = _ffmpeg(video, arguments)
    try:
        for line in process.stdout:
            if line.startswith(b"frame="):
                progress(min(int(line[6:]), len(chosen)), len(chosen))
        _ended(process, video)
    finally:
        process.kill()
        process.wait()
    files = sorted(folder.glob("frame_*.jpg"))
    if len(files) < MIN_FRAMES:
        raise SceneError(
            f"Cannot read {video}: only {len(files)} of {len(chosen)} frames could be decoded. Convert it to MP4."
        )
    return files


def _small_frames(video: Path) -> Iterator[np.ndarray]:
    """Yield every frame as grey [SIDE_PX,SIDE_PX], squeezed to a square, which is the same for all of them."""
    scale = f"scale={SIDE_PX}:{SIDE_PX}:flags=area,format=gray"
    process = _ffmpeg(video, ["-vf", scale, "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"])
    size = SIDE_PX * SIDE_PX
    try:
        while len(data := process.stdout.read(size)) == size:
            yield np.frombuffer(data, np.uint8).reshape(SIDE_PX, SIDE_PX)
        _ended(process, video)
    finally:
        process.kill()
        process.wait()


def _ffmpeg(video: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    # What ffmpeg has to say is little with "-v error", so the pipe cannot fill up before the end.
    return ffmpeg.start(
        ["-v", "error", "-nostdin", "-i", str(video.resolve()), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _ended(process: subprocess.Popen[bytes], video: Path) -> None:
    """Wait for ffmpeg; raise with its last words if it failed. A damaged end of a video is no failure."""
    words = process.stderr.read().decode(errors="replace").strip().splitlines()
    if process.wait() != 0:
        last = words[-1].strip().rstrip(".") if words else "no reason was given"
        raise SceneError(
            f"Cannot read {video}: a video was wanted and ffmpeg says: {last}. "
            "Convert it to MP4 or choose another file."
        )


def _expected_frames(video: Path) -> int:
    """Return about how many frames a video has, 0 where its head does not say."""
    seconds, fps = ffmpeg.head(video)
    return round(seconds * fps)
