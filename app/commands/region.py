# SPDX-License-Identifier: MIT
"""The Region menu: a box in the scene, and the three different things that it is for: to look, to train, to edit."""

from __future__ import annotations

from collections.abc import Callable

from app.commands.base import AppActions, Command, can, own, steps, with_scene
from app.session import Session
from engine import messages


def with_region(session: Session) -> str | None:
    """Return why a command that needs a region cannot run."""
    if session.scene is not None and session.inspect.look.region is None:
        return "There is no region yet; put one round the scene first."
    return with_scene(session)


def with_own_region(session: Session) -> str | None:
    """Return why a command that changes what is in the region cannot run."""
    return own(session) or with_region(session)


def _with_voxel(session: Session) -> str | None:
    if session.scene is not None and session.inspect.picked is None:
        return "Pick a voxel first."
    return with_scene(session)


def _cropped(session: Session) -> str | None:
    if session.scene is not None and not session.inspect.look.crop:
        return "Crop what you see first."
    return with_scene(session)


def _when_region_can_train(session: Session) -> str | None:
    if session.scene is not None and session.inspect.train_region is not None:
        return with_scene(session)  # it can always be switched off
    return can("train_region", with_own_region)(session)


def _train_here(app: AppActions) -> None:
    inspect = app.session.inspect
    if inspect.train_region is not None:
        app.do("region.train")
        return
    question = (
        "Train only what is in the region? All other voxels stay exactly as they are, and only views that see the region "
        "are used, until you switch this off."
    )
    app.confirm(question, "Train here", lambda: app.do("region.train", inspect.look.region))


def _delete(outside: bool) -> Callable[[AppActions], None]:
    where = "outside the region" if outside else "in the region"

    def act(app: AppActions) -> None:
        region = app.session.inspect.look.region
        later = " Undo brings them back, but not what is trained after it." if steps(app.session) else ""
        question = f"Delete all voxels {where} from the model?{later}"
        app.confirm(question, "Delete", lambda: app.send(messages.DeleteRegion(region, outside)))

    return act


def _preset(
    command_id: str, name: str, label: str, text: str, enabled: Callable[[Session], str | None]
) -> Command:
    return Command(command_id, label, "Region", "", text, lambda app: app.do("region.preset", name), enabled)


COMMANDS: tuple[Command, ...] = (
    Command("region_handles", "Region handles", "Region", "Z",
            "Put handles on the region: arrows move it, dots move its faces, the ring turns it.",
            lambda app: app.do("region.handles"), with_scene, lambda session: session.inspect.handles),
    _preset("region_scene", "scene", "Round the scene", "Make the region the box that holds the foreground.", with_scene),
    _preset("region_seen", "seen", "Round what I see", "Put the region round the surfaces in the picture.", with_scene),
    _preset("region_voxel", "voxel", "Round the voxel", "Put the region round the picked voxel and its neighbours.",
            _with_voxel),
    Command("region_copy", "Copy region", "Region", "",
            "Copy the region as text, in the coordinates of the scene's files.",
            lambda app: app.do("region.copy"), with_region),
    Command("region_paste", "Paste region", "Region", "",
            "Set the region from text that was copied.",
            lambda app: app.do("region.paste"), with_scene),
    Command("crop_view", "Crop what I see", "Region", "Shift+Z",
            "Look only: hide what is not in the region. The model and its training stay as they are.",
            lambda app: app.do("region.crop"), can("crop"), lambda session: session.inspect.look.crop),
    Command("crop_outside", "Hide inside instead", "Region", "",
            "While cropping: hide what is in the region, and show what is around it.",
            lambda app: app.do("region.crop_outside"), can("crop", _cropped),
            lambda session: session.inspect.look.crop_outside),
    Command("train_region", "Train only here", "Region", "",
            "Train the voxels in the region and leave all others as they are, after asking.",
            _train_here, _when_region_can_train, lambda session: session.inspect.train_region is not None),
    Command("delete_outside", "Delete outside", "Region", "",
            "Remove every voxel that is not in the region from the model, after asking.",
            _delete(True), can("delete_region", with_own_region)),
    Command("delete_inside", "Delete inside", "Region", "",
            "Remove every voxel in the region from the model, after asking.",
            _delete(False), can("delete_region", with_own_region)),
    Command("prune_region", "Prune here", "Region", "",
            "Drop the voxels in the region that are below the pruning threshold.",
            lambda app: app.send(messages.PruneRegion(app.session.inspect.look.region)),
            can("prune_region", with_own_region)),
    Command("subdivide_region", "Subdivide here", "Region", "",
            "Split every voxel in the region once.",
            lambda app: app.send(messages.SubdivideRegion(app.session.inspect.look.region)),
            can("subdivide_region", with_own_region)),
    Command("preview_region", "Preview here", "Region", "",
            "Show which voxels in the region the next change of the structure would drop, and which it would split.",
            lambda app: app.do("inspect.preview", app.session.inspect.look.region),
            can("preview_boxes", with_region)),
)  # fmt: skip
