# SPDX-License-Identifier: MIT
"""Small pictures of scenes for the start page: files in the cache, made beside the window's thread, shown as textures."""

from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path

import dearpygui.dearpygui as dpg
import numpy as np

from engine.caches import cache_folder
from engine.files import whole_file

log = logging.getLogger(__name__)

WIDTH, HEIGHT = 320, 188


class Thumbnails:
    """One PNG for each scene. `save` returns at once."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / f"thumbnails-{WIDTH}x{HEIGHT}"
        self._writing: threading.Thread | None = None

    def file(self, scene: str) -> Path:
        """Return where the picture of a scene is kept."""
        return self._folder / f"{hashlib.sha256(scene.encode()).hexdigest()[:24]}.png"

    def has(self, scene: str) -> bool:
        """Whether there is a picture."""
        return self.file(scene).is_file()

    def save(self, scene: str, picture: np.ndarray, wait: bool = False) -> None:
        """Keep a picture [h,w,3] uint8 of a scene; one that is still being written goes first."""
        if self._writing is not None and self._writing.is_alive() and not wait:
            return
        thread = threading.Thread(
            target=_write, args=(self.file(scene), np.array(picture[..., :3])), name="thumbnail", daemon=True
        )
        self._writing = thread
        thread.start()
        if wait:
            thread.join()

    def forget(self, scene: str) -> None:
        """Delete the picture of a scene."""
        self.file(scene).unlink(missing_ok=True)

    def texture(self, scene: str, registry: int | str) -> int | str | None:
        """Return a texture of WIDTH x HEIGHT with the picture of a scene, None if there is none that can be read."""
        from PIL import Image

        try:
            with Image.open(self.file(scene)) as image:
                rgba = np.asarray(image.convert("RGBA"), np.float32) / 255.0
        except (OSError, ValueError, SyntaxError):
            return None
        if rgba.shape != (HEIGHT, WIDTH, 4):
            return None
        return dpg.add_static_texture(WIDTH, HEIGHT, rgba.reshape(-1).tolist(), parent=registry)


def fitted(picture: np.ndarray) -> np.ndarray:
    """Return the middle of a picture [h,w,3] uint8 as [HEIGHT,WIDTH,3], filled to its edges."""
    from PIL import Image

    height, width = picture.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height)
    w, h = WIDTH / scale, HEIGHT / scale
    box = ((width - w) / 2, (height - h) / 2, (width + w) / 2, (height + h) / 2)
    small = Image.fromarray(picture).resize((WIDTH, HEIGHT), Image.Resampling.BOX, box=box)
    return np.asarray(small)


def _write(file: Path, picture: np.ndarray) -> None:
    from PIL import Image

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as temporary:
            Image.fromarray(fitted(picture)).save(temporary, "PNG")
    except (OSError, ValueError) as error:
        log.warning("thumbnail not kept file=%s reason=%s", file, error)
