# SPDX-License-Identifier: MIT
"""What travels in slots where the newest wins (`worker.py`): statistics, the view that is wanted, and its frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engine.cameras import Camera
from engine.messages.base import TrainState
from engine.methods.common import NodeUse, StructureStats
from engine.region import Region, Shown, Slice
from engine.tally import ViewTally

PASSING = ("photos", "buffers")  # ends of the names of parts of Stats.memory that are not of the model itself


@dataclass(frozen=True)
class BesideStats:
    """Numbers about the model beside. `trains`: it takes turns with the open one, or trains alone while that rests."""

    key: int
    step: int
    train_seconds: float
    psnr: float
    voxels: int
    trains: bool


@dataclass(frozen=True)
class Stats:
    """Numbers about training of the model `key`, newest wins. Times are of the worker thread; shares sum to at most 1."""

    state: TrainState
    step: int
    target_step: int | None
    train_seconds: float
    steps_per_s: float
    eta_s: float | None
    losses: tuple[tuple[str, float], ...]
    psnr: float
    structure: StructureStats
    memory_bytes: int
    train_ms: float
    view_ms: float
    train_share: float
    view_share: float
    fps: float
    scale: float
    views: ViewTally | None = None
    vitals: tuple[tuple[str, float], ...] = ()  # of the last record of `engine.monitor`
    beside: BesideStats | None = None
    key: int = 0
    memory: tuple[tuple[str, int], ...] = ()  # (part, bytes), see PASSING
    nodes: NodeUse | None = None  # what the last view needed, of a model of many nodes

    @property
    def model_bytes(self) -> int:
        """The bytes of the model itself, without photos and buffers."""
        return sum(count for name, count in self.memory if not name.endswith(PASSING))


@dataclass(frozen=True)
class ViewRequest:
    """The picture a viewport wants, newest wins.

    `camera` is at full viewport resolution; the worker renders it `scale` times as large. `mode` is one of VIEW_MODES,
    `view_index` the training view whose photo the error mode compares with (None: none). `serial` grows by one per request.
    """

    serial: int
    camera: Camera
    mode: str = "colour"
    colour_map: str = "turbo"
    scale: float = 1.0
    moving: bool = False
    background: tuple[float, float, float] | None = None
    view_index: int | None = None
    on_device: bool = False  # the frame may stay in a card's memory; whoever asks can show it from there
    beside: bool = False  # the model beside is wanted too, if there is one
    error_map: bool = False  # over the picture, the error map of the training view one is in or nearest to
    levels: tuple[int, ...] = ()  # only voxels of these levels are drawn; (): of all
    crop: Region | None = None  # only voxels with their centre in it are drawn
    crop_outside: bool = False  # only those around it instead
    slice: Slice | None = None
    difference: bool = False  # with `beside`: in place of its picture, how far it is from the open model's
    error_top: float | None = (
        None  # what errors and differences reach the end of the colours at; None: by the picture
    )

    @property
    def shown(self) -> Shown:
        """Which voxels are drawn."""
        return Shown(self.levels, self.crop, self.crop_outside, self.slice)


@dataclass(frozen=True)
class DeviceFrame:
    """A finished picture in a card's memory: addresses of rgba [h,w,4] uint8 and of depth_z [h,w] float32.

    `read_on` makes a CUDA stream, by its handle, wait for the picture, and keeps the memory until that stream is through;
    `wait` returns when it is there, `download` then returns both as arrays. All work on any thread.
    """

    width: int
    height: int
    rgba: int
    depth_z: int
    device: int
    read_on: Callable[[int], None]
    download: Callable[[], tuple[np.ndarray, np.ndarray]]
    wait: Callable[[], None]


@dataclass(frozen=True)
class Frame:
    """A finished picture: `rgba [h,w,4]` uint8, `depth_z [h,w]` float32 engine units (inf where nothing is).

    With `on_device` those two have the right shapes and nothing in them; `on_host` has. `beside [h,w,4]` uint8 is the same
    view of the model beside. `heat_of` is the training view whose error map lies over the picture, None without one; the legend
    is then the map's.
    """

    serial: int
    request: ViewRequest
    rgba: np.ndarray
    depth_z: np.ndarray
    step: int
    render_ms: float
    legend: tuple[float, float, str] | None = None
    on_device: DeviceFrame | None = None
    beside: np.ndarray | None = None
    heat_of: int | None = None
    beside_legend: tuple[float, float, str] | None = None  # of a difference, which `beside` is then

    def on_host(self) -> Frame:
        """Return the frame with its arrays filled, copying them from the card if that is where it is."""
        if self.on_device is None:
            return self
        rgba, depth_z = self.on_device.download()
        return replace(self, rgba=rgba, depth_z=depth_z, on_device=None)
