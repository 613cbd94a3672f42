# SPDX-License-Identifier: MIT
"""How the structure is looked into: which voxels are drawn, the region, the slice, what was picked. Plain data.

What an edit changes is one immutable `Look`, so an edit keeps the look of before. The rest follows the worker's events.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from engine.messages import (
    Event,
    SceneOpened,
    StructureChanged,
    StructureDetails,
    StructureUndone,
    TrainRegionChanged,
    UndoChanged,
    VoxelPicked,
)
from engine.methods.common import PickedVoxel
from engine.region import Region, Shown, Slice, Vector

MOST_BOXES, MOST_BOXES_SOFTWARE = (
    20_000,
    2000,
)  # of a kind in a preview; of more, a processor that draws would be slow
AXES: dict[str, Vector] = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


@dataclass(frozen=True)
class SlicePlane:
    """A plane across `along` (unit), `offset` from the middle of the scene's box; voxels on one side of it are hidden.

    `axis` is "x", "y", "z" or "view"; with `other_side` it hides those below the offset. Engine units.
    """

    axis: str = "x"
    along: Vector = AXES["x"]
    offset: float = 0.0
    thickness: float = 0.0  # 0: all of the other half is shown
    other_side: bool = False

    @property
    def point(self) -> Vector:
        """The point of the plane nearest to the middle of the scene's box."""
        x, y, z = self.along
        return self.offset * x, self.offset * y, self.offset * z

    @property
    def slice(self) -> Slice:
        """The plane as the engine cuts with it."""
        sign = -1.0 if self.other_side else 1.0
        x, y, z = self.along
        return Slice(self.point, (sign * x, sign * y, sign * z), self.thickness)


@dataclass(frozen=True)
class Look:
    """Which voxels are drawn, and the region that edits of the structure go by."""

    levels: tuple[int, ...] = ()  # those alone; (): all
    region: Region | None = None
    crop: bool = False  # only what is in the region is drawn
    crop_outside: bool = False  # only what is around it instead
    plane: SlicePlane = field(default_factory=SlicePlane)
    slicing: bool = False

    @property
    def shown(self) -> Shown:
        """Which voxels are drawn, as the engine has it."""
        crop = self.region if self.crop else None
        cut = self.plane.slice if self.slicing else None
        return Shown(self.levels, crop, crop is not None and self.crop_outside, cut)


@dataclass
class Inspection:
    """What the window knows of looking into the structure of the open model."""

    look: Look = field(default_factory=Look)
    handles: bool = False  # the region can be taken hold of
    picking: bool = False  # a click in the picture picks a voxel
    preview: bool = False  # boxes of what the next change would touch are drawn, once they are there
    most_boxes: int = MOST_BOXES_SOFTWARE  # of a kind that are asked for
    picked: PickedVoxel | None = None
    missed: bool = False  # the last click met nothing
    details: StructureDetails | None = None  # how the numbers of voxels are distributed
    train_region: Region | None = None  # only this is trained
    undo_bytes: int = 0  # what the worker keeps to take edits of the structure back

    def shown(self, scene: SceneOpened | None) -> Shown:
        """Return which voxels are drawn: of what is wanted, that which the open model can do."""
        look = self.look if scene is not None else Look()
        if scene is not None and scene.why_not("levels"):
            look = replace(look, levels=())
        if scene is not None and scene.why_not("crop"):
            look = replace(look, crop=False)
        if scene is not None and scene.why_not("slice"):
            look = replace(look, slicing=False)
        return look.shown

    def hear(self, event: Event) -> None:
        """Follow an event of the worker."""
        if isinstance(event, SceneOpened):
            self._open(event)
        elif isinstance(event, StructureChanged | StructureUndone):
            self.picked, self.missed, self.preview = (
                None,
                False,
                False,
            )  # they spoke of voxels that are no more
        elif isinstance(event, VoxelPicked):
            self.picked, self.missed = event.voxel, event.voxel is None
        elif isinstance(event, StructureDetails):
            self.details = event
        elif isinstance(event, TrainRegionChanged):
            self.train_region = event.region
        elif isinstance(event, UndoChanged):
            self.undo_bytes = event.bytes

    def _open(self, scene: SceneOpened) -> None:
        self.picked, self.missed, self.preview, self.picking = None, False, False, False
        self.train_region, self.details = scene.train_region, None
        self.undo_bytes = 0
        # Which levels there are is the model's; where the region and the plane lie is the scene's.
        self.look = replace(self.look, levels=())

    def forget_places(self) -> None:
        """Another scene, or the same on another box: what was marked lies elsewhere."""
        self.look, self.handles = Look(), False


def levels_after(chosen: tuple[int, ...], level: int, add: bool) -> tuple[int, ...]:
    """Return which levels are drawn after a click on one: that alone, all again, or with `add` that as well or no longer."""
    if not add:
        return () if chosen == (level,) else (level,)
    return tuple(sorted(set(chosen) ^ {level}))


@dataclass(frozen=True)
class Numbers:
    """What is said of a picked voxel, by name; lengths in the units of the scene's own files."""

    rows: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, voxel: PickedVoxel, data_from_engine: np.ndarray) -> Numbers:
        """Return the numbers of a voxel; those that the method does not know are left out."""
        scale = float(np.cbrt(np.linalg.det(data_from_engine[:3, :3])))
        centre = data_from_engine[:3, :3] @ np.array(voxel.centre) + data_from_engine[:3, 3]
        rows = [
            ("Voxel", f"{voxel.index:,}"),
            ("Level", str(voxel.level)),
            ("Edge", f"{scale * voxel.edge:.5g}"),
            ("Centre", "  ".join(f"{x:.3f}" for x in centre)),
            ("Density", f"{voxel.density / scale:.4g} per unit"),
            ("Opacity", f"{100.0 * voxel.alpha:.1f} % on this ray"),
            ("Share", f"{100.0 * voxel.contribution:.1f} % of the pixel"),
            ("Depth", f"{scale * voxel.depth:.4g}"),
        ]
        known = (
            ("Weight", voxel.weight, "{:.4f}"),
            ("Priority", voxel.priority, "{:.3g}"),
            ("Age", voxel.age, "{:,} steps"),
        )
        rows += [(name, form.format(value)) for name, value, form in known if value is not None]
        return cls(tuple(rows))

    def text(self) -> str:
        """Return the numbers as lines to paste elsewhere."""
        return "\n".join(f"{name}\t{value}" for name, value in self.rows)


def along_in_data(plane: SlicePlane, data_from_engine: np.ndarray) -> tuple[float, float]:
    """Return where the plane at offset 0 stands along its normal in the data's units, and how long an engine unit is there."""
    scale = float(np.cbrt(np.linalg.det(data_from_engine[:3, :3])))
    along = data_from_engine[:3, :3] @ np.array(plane.along) / scale
    return float(along @ data_from_engine[:3, 3]), scale
