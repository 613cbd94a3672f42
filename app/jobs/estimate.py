# SPDX-License-Identifier: MIT
"""About how long an export takes and how large it becomes, before it begins."""

from __future__ import annotations

from app.jobs.orders import FORMATS, MEANWHILE, SHARE
from app.session import ExportSettings
from engine.export.quality import QUALITIES
from engine.messages import TrainState

NS_PER_RAY = 40.0  # where nothing was measured yet: two cores, a foreground of voxels
_GIF_BYTES, _PNG_BYTES = 0.75, 1.1  # of a pixel, of pictures of scenes
_WEBP_BITS = 0.35  # of a pixel at quality 75; others in proportion to what a video takes
_SIDES = (
    6 * 0.4**2 * 2
)  # rays of a cube's sides, of those of a picture twice as wide as high, less their borders


def frame_count(settings: ExportSettings, path_s: float | None) -> int:
    """Return the pictures of an export; `path_s` is the duration of the open camera path."""
    if settings.kind == "path":
        return 0 if path_s is None else int(path_s * settings.fps + 1e-6) + 1
    return settings.frames


def picture_size(settings: ExportSettings) -> tuple[int, int]:
    """Return the width and height of a picture as it is written."""
    width, height = settings.width, settings.height_px
    if settings.projection == "360":
        return width, width // 2
    wide, high = settings.projection == "side by side", settings.projection == "over-under"
    return width * (2 if wide else 1), height * (2 if high else 1)


def seconds(
    settings: ExportSettings,
    frames: int,
    ns_per_ray: float = NS_PER_RAY,
    state: TrainState = TrainState.PAUSED,
) -> float:
    """Return about how long rendering takes."""
    width, height = picture_size(settings)
    pixels = width * height * (_SIDES if settings.projection == "360" else 1.0)
    moments = settings.moments if settings.mode == "colour" else 1
    busy_s = frames * pixels * settings.supersample**2 * moments * ns_per_ray * 1e-9
    shared = state is TrainState.TRAINING and settings.meanwhile == MEANWHILE[0]
    return busy_s / (SHARE if shared else 1.0)


def size_bytes(settings: ExportSettings, frames: int) -> float:
    """Return about how large the colours' file or folder becomes."""
    width, height = picture_size(settings)
    pixels, bits = width * height * frames, QUALITIES[settings.quality].bits
    of_format = {
        "mp4": bits / 8.0,
        "GIF": _GIF_BYTES,
        "WebP": _WEBP_BITS / 8.0 * bits / QUALITIES["good"].bits,
        "PNG sequence": _PNG_BYTES,
    }
    assert of_format.keys() == FORMATS.keys()
    return pixels * of_format[settings.format]
