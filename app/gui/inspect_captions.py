# SPDX-License-Identifier: MIT
"""What stands over the picture while less than everything is shown or trained: one line each, so that nobody wonders."""

from __future__ import annotations

from app.gui import formats, theme
from app.gui.inspect_layers import DROP, SPLIT
from app.session import Session
from engine.methods.common import PickedVoxel

Line = tuple[str, theme.Colour]


def lines(session: Session) -> list[Line]:
    """Return the lines and their colours, in the order they are written."""
    inspect, scene = session.inspect, session.scene
    if scene is None:
        return []
    shown, found = inspect.shown(scene), []
    if shown.levels:
        word = "level" if len(shown.levels) == 1 else "levels"
        found.append((f"{word} {', '.join(map(str, shown.levels))} alone", theme.TEXT))
    if shown.crop is not None:
        where = "around" if shown.crop_outside else "in"
        found.append((f"only what is {where} the region is shown", theme.TEXT))
    if shown.slice is not None:
        what = "slab" if shown.slice.thickness > 0.0 else "slice"
        found.append((f"{what} across {inspect.look.plane.axis}", theme.TEXT))
    if inspect.train_region is not None:
        found.append(("only a region is trained", theme.GOOD))
    if inspect.picking:
        found.append(("click a voxel", theme.TEXT))
    if inspect.preview:
        found += _preview(session)
    return found


def of_voxel(voxel: PickedVoxel) -> str:
    """Return what stands beside the picked voxel in the picture; all its numbers are in the Inspect panel."""
    return f"voxel {formats.count(voxel.index)}   level {voxel.level}"


def _preview(session: Session) -> list[Line]:
    """Return the legend of the boxes: how many would go and how many would be split."""
    if session.preview is None:
        return [("looking at what would change", theme.MUTED)]
    preview, unit = session.preview, session.scene.unit
    rows = []
    for word, count, boxes, colour in (
        ("drop", preview.report.pruned, preview.prune_boxes, DROP),
        ("split", preview.report.split, preview.split_boxes, SPLIT),
    ):
        drawn = 0 if boxes is None else len(boxes)
        some = f", {formats.count(drawn)} drawn" if 0 < drawn < count else ""
        where = " in the region" if preview.region is not None else ""
        rows.append((f"would {word} {formats.count(count)} {unit}{where}{some}", colour))
    return rows
