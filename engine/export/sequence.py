# SPDX-License-Identifier: MIT
"""Where finished pictures go: a video file or a folder of PNGs. Whole at the end, or not there at all."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine import files
from engine.errors import UserError

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv")
# RGB to YUV by the matrix that players assume of an untagged HD video, and tagged all the same.
_COLOURS = ("-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709")
_COLOURS += ("-color_primaries", "bt709", "-color_trc", "bt709")


class FrameWriter(Protocol):
    """Takes pictures in order. All calls come from one thread."""

    path: Path

    def write(self, index: int, rgb: np.ndarray) -> None:
        """Take picture `index`, `rgb [H,W,3]` uint8."""

    def finish(self) -> None:
        """Make the result appear at `path`."""

    def discard(self) -> None:
        """Remove whatever was written. Harmless when there is nothing, or when it was finished."""


class VideoFile:
    """H.264 in yuv420p, which every player knows. Written beside its place, renamed when complete.

    `crf` is x264's quality, 0 (lossless) to 51; 18 looks like the source. One encoder thread, so that
    training keeps the other cores.
    """

    def __init__(self, path: Path, fps: float, crf: int = 18, threads: int = 1) -> None:
        self.path = path
        self._partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
        self._fps, self._crf, self._threads = fps, crf, threads
        self._encoder: Any = None
        self._written = 0

    def write(self, index: int, rgb: np.ndarray) -> None:
        """Encode a picture; the first one starts the encoder."""
        if self._encoder is None:
            self._encoder = self._open()
        self._encoder.append_data(rgb)
        self._written += 1

    def _open(self) -> Any:
        import imageio.v2 as imageio  # takes a while, and only exports need it

        self.path.parent.mkdir(parents=True, exist_ok=True)
        return imageio.get_writer(
            self._partial,
            format="FFMPEG",
            fps=self._fps,
            codec="libx264",
            pixelformat="yuv420p",
            macro_block_size=1,  # larger values make it rescale the picture; the sizes are even already
            quality=None,
            ffmpeg_log_level="error",
            output_params=[
                "-crf",
                str(self._crf),
                "-threads",
                str(self._threads),
                "-movflags",
                "+faststart",
                *_COLOURS,
            ],
        )

    def finish(self) -> None:
        """Close the file and give it its name."""
        if self._encoder is None:
            raise UserError(f"Nothing was written to {self.path}: no picture came.")
        encoder, self._encoder = self._encoder, None
        encoder.close()
        self._check()
        files.replace(self._partial, self.path)

    def _check(self) -> None:
        """Read the file's head: an encoder that ran out of disk space ends without saying so."""
        import imageio_ffmpeg

        try:
            frames = imageio_ffmpeg.read_frames(self._partial)
            seconds = next(frames)["duration"]
            frames.close()
        except (OSError, RuntimeError, StopIteration):
            seconds = 0.0
        wanted = self._written / self._fps
        if abs(seconds - wanted) > 1.5 / self._fps + 0.02:  # heads round to hundredths of a second
            raise UserError(
                f"The video {self.path} came out with {seconds:.2f} s instead of {wanted:.2f} s. "
                "Make room on the disk and export again."
            )

    def discard(self) -> None:
        """End the encoder and delete the partial file."""
        encoder, self._encoder = self._encoder, None
        try:
            if encoder is not None:
                encoder.close()
        except (OSError, RuntimeError):
            pass  # an encoder that died cannot say goodbye; the file goes in any case
        finally:
            self._partial.unlink(missing_ok=True)


class PngFolder:
    """`frame_00000.png` and so on in a folder, made if need be. A file with its name is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: list[Path] = []
        self._made_folder = not path.exists()

    def write(self, index: int, rgb: np.ndarray) -> None:
        """Write one picture."""
        from PIL import Image

        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / f"frame_{index:05d}.png"
        partial = file.with_suffix(".partial")
        self._written += [partial, file]
        Image.fromarray(rgb).save(partial, format="PNG", compress_level=4)
        files.replace(partial, file)

    def finish(self) -> None:
        """Nothing is left to do: every picture is in its place."""
        self._written.clear()

    def discard(self) -> None:
        """Delete the pictures of this job, and the folder if this job made it and nothing else is in it."""
        for file in self._written:
            file.unlink(missing_ok=True)
        self._written.clear()
        if self._made_folder and self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


def is_video(path: Path) -> bool:
    """Return whether a path names a video file rather than a folder of pictures."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()


def open_writer(path: Path | str, fps: float, crf: int = 18) -> FrameWriter:
    """Return the writer that a path asks for: video by its suffix, else a folder. Raises UserError."""
    path = Path(path)
    if is_video(path):
        if not 1.0 <= fps <= 240.0:
            raise UserError(f"Cannot export {path}: a video needs 1 to 240 frames per second, got {fps:g}.")
        return VideoFile(path, fps, crf)
    if path.suffix and not path.is_dir():
        raise UserError(
            f"Cannot export {path}: {path.suffix} is not a known video format. "
            f"Use {', '.join(VIDEO_SUFFIXES)}, or a name without suffix for a folder of PNG pictures."
        )
    if path.is_file():
        raise UserError(f"Cannot export into the folder {path}: a file has that name. Choose another.")
    if path.is_dir() and any(path.glob("frame_*.png")):
        raise UserError(f"Cannot export into {path}: it holds an earlier export. Choose an empty folder.")
    return PngFolder(path)
