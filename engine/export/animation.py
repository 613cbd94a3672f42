# SPDX-License-Identifier: MIT
"""Animated GIF and WebP, picture by picture: nothing waits in memory, and what is stopped early plays all the same.

Pillow encodes single pictures; the containers around them are written here. Both loop for ever.
"""

from __future__ import annotations

import io
import struct
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.export.partial_file import PartialFile
from engine.export.quality import QUALITIES

GIF_LIMIT_PX = 600_000_000  # of all pictures: about as many bytes
WEBP_SIDE_PX = 16_383  # the format's own limit
_GIF_TICK_S = 0.01
_GIF_LOOPS = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_ANIMATED, _OPAQUE = 0x02, 0x02  # flags of a WebP file and of its frames: is one, is not mixed with the last


class _Animation(PartialFile):
    """What both formats do alike."""

    def __init__(self, path: Path, fps: float) -> None:
        super().__init__(path)
        self._fps = fps
        self._file: Any = None

    def write(self, index: int, rgb: np.ndarray) -> None:
        """Encode a picture; the first one starts the file."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.partial.open("wb")
            self._begin(rgb.shape[1], rgb.shape[0])
        self._add(rgb)
        self.written += 1

    @abstractmethod
    def _begin(self, width: int, height: int) -> None:
        """Write what stands before the pictures."""

    @abstractmethod
    def _add(self, rgb: np.ndarray) -> None:
        """Write one picture."""

    @abstractmethod
    def _end(self) -> None:
        """Write what stands after them."""

    def finish(self) -> None:
        """Close the file and give it its name."""
        self.refuse_nothing()
        self._end()
        self._file.close()
        self._file = None
        self.publish()

    def discard(self) -> None:
        """Delete the partial file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self.partial.unlink(missing_ok=True)


class GifFile(_Animation):
    """An animated GIF: each picture has the 256 colours that suit it best, dithered."""

    def _begin(self, width: int, height: int) -> None:
        self._file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + _GIF_LOOPS)

    def _add(self, rgb: np.ndarray) -> None:
        from PIL import GifImagePlugin, Image

        image = Image.fromarray(rgb).quantize(
            256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.FLOYDSTEINBERG
        )
        # Times are hundredths of a second: round where the picture ends, not how long it lasts, so that none adds up.
        ticks = [round(n / self._fps / _GIF_TICK_S) for n in (self.written, self.written + 1)]
        duration = 10 * (ticks[1] - ticks[0])
        for piece in GifImagePlugin.getdata(image, duration=duration, include_color_table=True):
            self._file.write(piece)

    def _end(self) -> None:
        self._file.write(b";")


class WebpFile(_Animation):
    """An animated WebP: full colours, each picture encoded for itself."""

    def __init__(self, path: Path, fps: float, quality: int) -> None:
        super().__init__(path, fps)
        self._quality = quality

    def _begin(self, width: int, height: int) -> None:
        size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
        self._file.write(b"RIFF\0\0\0\0WEBP")
        self._chunk(b"VP8X", bytes([_ANIMATED, 0, 0, 0]) + size)
        self._chunk(b"ANIM", bytes(6))  # background, 0 loops: for ever

    def _add(self, rgb: np.ndarray) -> None:
        from PIL import Image

        still = io.BytesIO()
        Image.fromarray(rgb).save(still, format="WEBP", quality=self._quality, method=2)
        ends = [round(1000.0 * n / self._fps) for n in (self.written, self.written + 1)]
        numbers = (0, 0, rgb.shape[1] - 1, rgb.shape[0] - 1, ends[1] - ends[0])
        head = b"".join(struct.pack("<I", number)[:3] for number in numbers)
        self._chunk(b"ANMF", head + bytes([_OPAQUE]) + still.getvalue()[12:])  # less RIFF, size, WEBP

    def _chunk(self, name: bytes, data: bytes) -> None:
        self._file.write(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2))

    def _end(self) -> None:
        size = self._file.tell() - 8
        self._file.seek(4)
        self._file.write(struct.pack("<I", size))


def animation_of(
    path: Path, fps: float, quality: str, size: tuple[int, int] | None, pictures: int
) -> GifFile | WebpFile:
    """Return the writer of an animation; UserError where the format cannot hold it."""
    width, height = size or (1, 1)
    if path.suffix.lower() == ".gif":
        if width * height * pictures > GIF_LIMIT_PX:
            raise UserError(
                f"Cannot export {path}: a GIF of {pictures:,} pictures of {width} x {height} would be enormous; "
                "export an mp4 or a WebP, or make it smaller or shorter."
            )
        if fps > 50.0:
            raise UserError(f"Cannot export {path}: a GIF plays at most 50 frames per second, got {fps:g}.")
        return GifFile(path, fps)
    if max(width, height) > WEBP_SIDE_PX:
        raise UserError(
            f"Cannot export {path}: a WebP has at most {WEBP_SIDE_PX:,} pixels a side, got {width} x {height}."
        )
    return WebpFile(path, fps, QUALITIES[quality].webp)
