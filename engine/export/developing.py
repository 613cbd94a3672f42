# SPDX-License-Identifier: MIT
"""A shot becomes a picture: its cameras one after the other, in bands of bounded cost, then everything put together.

Colours are averaged over moments as squares, which is about what light does: sRGB's curve is close to a square.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from engine.cameras import Camera
from engine.methods.common import Buffers
from engine.render.sphere import along_rays, sphere_of
from engine.render.visualise import Legend, picture, wanted_buffers
from engine.shots import Shot

BAND_RAYS = 4_000_000  # of one call of the renderer: what a command or a view may have to wait for
SLOW_BAND_RAYS = 60_000  # of a method whose views take seconds
BAND_ROWS = 16  # bands are whole rows of the rasteriser's tiles
COLOURS = ("colour", "soft", "node")  # modes whose pictures may be averaged; the others are maps of numbers


@dataclass(frozen=True)
class Look:
    """How the pictures of a job look. `layers` of "colour", "depth", "normal"; `finest` is the finest level there is."""

    mode: str = "colour"
    colour_map: str = "turbo"
    layers: frozenset[str] = frozenset({"colour"})
    finest: int = 16

    @property
    def want(self) -> frozenset[str]:
        """The optional fields of Buffers that are needed."""
        more = {"depth": "depth_z", "normal": "normal"}
        return wanted_buffers(self.mode) | {field for layer, field in more.items() if layer in self.layers}


@dataclass(frozen=True, eq=False)
class Developed:
    """A finished picture: `rgb [H,W,3]` uint8; `depth [H,W]` float32, 0 where nothing is, along the camera's axis, in the sphere
    along the ray; `normal [H,W,3]` float32 in the camera's axes right, up, towards the viewer.
    """

    rgb: np.ndarray
    depth: np.ndarray | None = None
    normal: np.ndarray | None = None


def bands(camera: Camera, rays: float, limit: int = BAND_RAYS) -> list[Camera]:
    """Return the cameras of horizontal bands of a picture, from the top, each of at most about `limit` rays."""
    per_row = camera.width * max(rays, 1.0) ** 2
    rows = max(BAND_ROWS, int(limit / per_row) // BAND_ROWS * BAND_ROWS)
    if rows >= camera.height:
        return [camera]
    tops = range(0, camera.height, rows)
    return [replace(camera, height=min(rows, camera.height - top), cy=camera.cy - top) for top in tops]


class Developing:
    """One shot under way: ask for `camera`, hand its buffers to `take`, until `done`; then `developed`."""

    def __init__(self, shot: Shot, look: Look, rays: float, legend: Legend | None, limit: int) -> None:
        self.shot, self.look = shot, look
        self.legend = legend  # of the pictures before, so that colours mean the same in all
        averaged = look.mode in COLOURS
        self._moments = [take if averaged else (take[len(take) // 2],) for take in shot.takes]
        self._limit, self._rays = limit, rays
        self._steps = self._plan()
        self._parts: list[tuple[np.ndarray, np.ndarray | None, np.ndarray | None]] = []
        self._light: np.ndarray | None = None  # sum of squares over the moments of a part
        self._kept: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
        self._seen: list[Buffers] = []  # bands of the camera under way
        self._next = next(self._steps, None)

    def _plan(self) -> Iterator[tuple[int, int, int, int, Camera]]:
        """Yield part, moment, band, how many bands, and the camera of the band."""
        for part, moments in enumerate(self._moments):
            for moment, camera in enumerate(moments):
                pieces = bands(camera, self._rays, self._limit)
                for band, piece in enumerate(pieces):
                    yield part, moment, band, len(pieces), piece

    @property
    def done(self) -> bool:
        """Whether everything was taken."""
        return self._next is None

    @property
    def camera(self) -> Camera:
        """The camera that is wanted next."""
        return self._next[-1]

    def take(self, buffers: Buffers) -> None:
        """Take what `camera` sees."""
        part, moment, band, n_bands, _ = self._next
        self._seen.append(_kept(buffers) if n_bands > 1 else buffers)
        if band == n_bands - 1:
            whole = self._seen[0] if n_bands == 1 else _stacked(self._seen)
            self._seen = []
            self._add(part, moment, whole)
        self._next = next(self._steps, None)

    def _add(self, part: int, moment: int, seen: Buffers) -> None:
        moments = self._moments[part]
        if moment == len(moments) // 2:
            self._kept = self._extras(part, moments[moment], seen)
        if len(moments) == 1:
            look = self.look
            rgba, legend = picture(seen, look.mode, look.colour_map, max_level=look.finest, scale=self.legend)
            self.legend = self.legend or legend
            self._parts.append((rgba[..., :3], *self._kept))
            return
        shown = {"soft": seen.soft, "node": seen.node}.get(self.look.mode)
        light = np.clip(seen.rgb if shown is None else shown, 0.0, 1.0)
        light = np.square(light, dtype=np.float32)
        self._light = light if self._light is None else np.add(self._light, light, out=self._light)
        if moment == len(moments) - 1:
            mean = np.sqrt(self._light / np.float32(len(moments)))
            self._parts.append((_bytes(mean), *self._kept))
            self._light = None

    def _extras(
        self, part: int, camera: Camera, seen: Buffers
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return the depth and the normals of a part, as far as they are wanted: copies."""
        layers, sphere = self.look.layers, self.shot.projection == "360"
        depth = normal = None
        if "depth" in layers and seen.depth_z is not None:
            depth = np.array(seen.depth_z, dtype=np.float32)
            depth = along_rays(depth, self.shot.size[0]) if sphere else depth
        if "normal" in layers and seen.normal is not None:
            base = self._moments[0][len(self._moments[0]) // 2] if sphere else camera
            axes = base.world_from_cam[:3, :3] * np.array([1.0, -1.0, -1.0])
            normal = (seen.normal @ axes).astype(np.float32)
        return depth, normal

    def developed(self) -> Developed:
        """Return the picture."""
        colours, depths, normals = zip(*self._parts, strict=True)
        depth = None if depths[0] is None else self._joined(depths, smooth=False)
        normal = None if normals[0] is None else self._joined(normals, smooth=False)
        return Developed(np.ascontiguousarray(self._joined(colours)), depth, normal)

    def _joined(self, parts: tuple[np.ndarray, ...], smooth: bool = True) -> np.ndarray:
        """Return the parts of one layer as one picture."""
        shot = self.shot
        if shot.projection == "360":
            flat = parts[0].ndim == 2
            whole = sphere_of([p[..., None] if flat else p for p in parts], *shot.size, smooth)
            whole = whole[..., 0] if flat else whole
            return np.uint8(whole + np.float32(0.5)) if parts[0].dtype == np.uint8 else whole
        if len(parts) == 1:
            return parts[0]
        columns = {"side by side": 2, "over-under": 1}.get(shot.projection, shot.columns)
        blank = [np.zeros_like(parts[0])] * (-len(parts) % columns)
        every = [*parts, *blank]
        rows = [np.concatenate(every[k : k + columns], axis=1) for k in range(0, len(every), columns)]
        return np.concatenate(rows, axis=0)


def _bytes(colours: np.ndarray) -> np.ndarray:
    return (colours * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def _kept(buffers: Buffers) -> Buffers:
    """Return buffers that the next picture does not overwrite."""
    held = {f.name: getattr(buffers, f.name) for f in fields(buffers)}
    return Buffers(**{name: None if values is None else np.array(values) for name, values in held.items()})


def _stacked(parts: list[Buffers]) -> Buffers:
    """Return bands as one picture."""
    held = {}
    for f in fields(Buffers):
        rows = [getattr(part, f.name) for part in parts]
        held[f.name] = None if rows[0] is None else np.concatenate(rows)
    return Buffers(**held)
