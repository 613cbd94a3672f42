# SPDX-License-Identifier: MIT
"""Rendered pictures as files: colours, depth and opacity of one, or all of a video."""

from __future__ import annotations

import importlib.util
import io
import logging
from pathlib import Path

import numpy as np
from torch import Tensor

from engine.export.sequence import FrameWriter, PngFolder, open_writer
from engine.files import whole_file

log = logging.getLogger(__name__)


def bytes_of(rgb: Tensor) -> np.ndarray:
    """Return colours [H,W,3] in [0,1] as bytes."""
    return np.round(rgb.detach().clamp(0.0, 1.0).cpu().numpy() * 255.0).astype(np.uint8)


def save_picture(result: dict[str, Tensor], path: str | Path, depth: bool, alpha: bool) -> list[Path]:
    """Write `rgb` to `path`, PNG unless its name says otherwise, and beside it what else is wanted; return the files.

    `NAME_depth.npy` has float32 scene units, `NAME_alpha.png` 16 bits a pixel.
    """
    from PIL import Image

    path = Path(path)
    path = path if path.suffix else path.with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [path]
    with whole_file(path) as temporary:
        kind = Image.registered_extensions().get(path.suffix.lower(), "PNG")
        Image.fromarray(bytes_of(result["rgb"])).save(temporary, format=kind)
    if depth:
        written.append(path.with_name(f"{path.stem}_depth.npy"))
        data = io.BytesIO()
        np.save(data, result["depth"].detach().cpu().numpy().astype(np.float32))
        with whole_file(written[-1]) as temporary:
            temporary.write_bytes(data.getvalue())
    if alpha:
        written.append(path.with_name(f"{path.stem}_alpha.png"))
        opacity = result["alpha"].detach().clamp(0.0, 1.0).cpu().numpy()
        with whole_file(written[-1]) as temporary:
            Image.fromarray(np.round(opacity * 65_535.0).astype(np.uint16)).save(temporary, format="PNG")
    return written


def video_writer(path: str | Path, fps: float) -> FrameWriter:
    """Return what takes the pictures of a video, or of a folder where the name has no suffix.

    Without imageio a video becomes a folder of PNG files of its name, and the log says so.
    """
    path = Path(path)
    if path.suffix and importlib.util.find_spec("imageio_ffmpeg") is None:
        folder = path.with_suffix("")
        log.warning("%s becomes the folder %s: pip install 'imageio[ffmpeg]' for videos.", path, folder)
        return PngFolder(folder)
    return open_writer(path, fps)
