# SPDX-License-Identifier: MIT
"""Where finished pictures go: a video, an animation or a folder of PNGs. Whole at the end, or not there at all.

Who stops early keeps what there is: a shorter video that plays, or the pictures so far.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine import ffmpeg, files
from engine.errors import UserError
from engine.export.animation import animation_of
from engine.export.partial_file import PartialFile
from engine.export.quality import DEFAULT_QUALITY, QUALITIES
from engine.ffmpeg import Encoder

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv")
ANIMATION_SUFFIXES = (".gif", ".webp")
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

    def stop(self) -> bool:
        """Make what was written so far appear, at `path` or beside an older file; return whether there is anything."""

    def discard(self) -> None:
        """Remove whatever was written. Harmless when there is nothing, or when it was finished."""


class VideoFile(PartialFile):
    """H.264 in yuv420p, which every player knows. One encoder thread, so that training keeps the other cores."""

    def __init__(self, path: Path, fps: float, quality: str = DEFAULT_QUALITY, threads: int = 1) -> None:
        super().__init__(path)
        self._fps, self._quality, self._threads = fps, QUALITIES[quality], threads
        self._encoder: Encoder | None = None

    def write(self, index: int, rgb: np.ndarray) -> None:
        """Encode a picture; the first one starts the encoder, and all have its size."""
        if self._encoder is None:
            self._encoder = self._open(rgb.shape[1], rgb.shape[0])
        try:
            self._encoder.write(np.ascontiguousarray(rgb))
        except OSError as error:
            raise UserError(
                f"The video encoder ended unexpectedly while it wrote {self.path}. "
                "Make room on the disk or choose another place, and export again."
            ) from error
        self.written += 1

    def _open(self, width: int, height: int) -> Encoder:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        chosen = {
            "-vcodec": "libx264",
            "-pix_fmt": "yuv420p",
            "-crf": self._quality.crf,
            "-preset": self._quality.preset,
            "-threads": self._threads,
            "-movflags": "+faststart",
        }
        output = [*(str(part) for option in chosen.items() for part in option), *_COLOURS]
        return Encoder(self.partial, width, height, self._fps, output)

    def finish(self) -> None:
        """Close the file and give it its name."""
        self.refuse_nothing()
        encoder, self._encoder = self._encoder, None
        with contextlib.suppress(OSError):  # the check says what there is
            encoder.close()
        self._check()
        self.publish()

    def _check(self) -> None:
        """Read the file's head: an encoder that ran out of disk space ends without saying so."""
        seconds, _ = ffmpeg.head(self.partial)
        wanted = self.written / self._fps
        if abs(seconds - wanted) > 1.5 / self._fps + 0.02:  # heads round to hundredths of a second
            raise UserError(
                f"The video {self.path} came out with {seconds:.2f} s instead of {wanted:.2f} s. "
                "Make room on the disk and export again."
            )

    def discard(self) -> None:
        """End the encoder and delete the partial file."""
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            encoder.kill()
        self.partial.unlink(missing_ok=True)


class PngFolder:
    """`frame_00000.png` and so on in a folder, made if need be. A file with its name is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: list[Path] = []
        self._made_folder = not path.exists()

    def write(self, index: int, rgb: np.ndarray) -> None:
        """Write one picture."""
        from PIL import Image

        self.write_image(index, Image.fromarray(rgb))

    def write_image(self, index: int, image: Any, **more: Any) -> None:
        """Write a Pillow image; `more` goes to its `save`."""
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / frame_name(index)
        partial = file.with_suffix(".partial")
        self._written += [partial, file]
        image.save(partial, format="PNG", compress_level=3, **more)
        files.replace(partial, file)

    def note(self, name: str, text: str) -> None:
        """Write a small text beside the pictures."""
        self.path.mkdir(parents=True, exist_ok=True)
        partial = self.path / f".{name}.partial"
        self._written += [partial, self.path / name]
        partial.write_text(text, encoding="utf-8")
        files.replace(partial, self.path / name)

    def finish(self) -> None:
        """Nothing is left to do: every picture is in its place."""
        self._written.clear()

    def stop(self) -> bool:
        """Keep the pictures so far."""
        kept = bool(self._written)
        for partial in (file for file in self._written if file.suffix == ".partial"):
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        self._written.clear()
        return kept

    def discard(self) -> None:
        """Delete the pictures of this job, and the folder if this job made it and nothing else is in it."""
        for file in self._written:
            file.unlink(missing_ok=True)
        self._written.clear()
        if self._made_folder and self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


def frame_name(index: int) -> str:
    """Return the file name of a picture of a sequence."""
    return f"frame_{index:05d}.png"


def is_video(path: Path) -> bool:
    """Return whether a path names a video file rather than a folder of pictures."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()


def is_animation(path: Path) -> bool:
    """Return whether a path names an animated picture."""
    return path.suffix.lower() in ANIMATION_SUFFIXES and not path.is_dir()


def open_writer(
    path: Path | str,
    fps: float,
    quality: str = DEFAULT_QUALITY,
    size: tuple[int, int] | None = None,
    pictures: int = 0,
    resumes: bool = False,
) -> FrameWriter:
    """Return the writer that a path asks for: video or animation by its suffix, else a folder. Raises UserError.

    `size` and the number of `pictures`, where they are known, are checked too. A folder that `resumes` may hold pictures.
    """
    path = Path(path)
    if quality not in QUALITIES:
        raise UserError(f"The quality must be one of {', '.join(QUALITIES)}, got {quality!r}.")
    if (is_video(path) or is_animation(path)) and not 1.0 <= fps <= 240.0:
        raise UserError(f"Cannot export {path}: a video needs 1 to 240 frames per second, got {fps:g}.")
    if is_video(path):
        return VideoFile(path, fps, quality)
    if is_animation(path):
        return animation_of(path, fps, quality, size, pictures)
    if path.suffix and not path.is_dir():
        raise UserError(
            f"Cannot export {path}: {path.suffix} is not a known video format. "
            f"Use {', '.join((*VIDEO_SUFFIXES, *ANIMATION_SUFFIXES))}, or a name without suffix for a folder of PNG pictures."
        )
    if path.is_file():
        raise UserError(f"Cannot export into the folder {path}: a file has that name. Choose another.")
    if not resumes and path.is_dir() and any(path.glob("frame_*.png")):
        raise UserError(f"Cannot export into {path}: it holds an earlier export. Choose an empty folder.")
    return PngFolder(path)
