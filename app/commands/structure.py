# SPDX-License-Identifier: MIT
"""The Structure menu."""

from __future__ import annotations

from app.commands.base import AppActions, Command, can, own, with_scene
from app.commands.view import mode_command
from app.session import Session
from app.view.scene_box import box_in_data
from engine import messages
from engine.methods.common import VALUE_MODES


def _toggle_box_handles(app: AppActions) -> None:
    view = app.session.view
    view.edit_box = not view.edit_box
    view.show_box = view.show_box or view.edit_box


def _with_moved_box(session: Session) -> str | None:
    if session.scene is not None and session.box is None:
        return "The box is where it was; move it first, by its handles or its numbers."
    return with_scene(session)


def _move_box(app: AppActions, command: messages.MoveBox) -> None:
    step = app.session.stats.step if app.session.stats else 0
    if step == 0:
        app.send(command)
        return
    question = f"Another box needs other voxels. Throw away {step:,} steps of training and start again on it?"
    app.confirm(question, "Start again", lambda: app.send(command))


def _apply_box(app: AppActions) -> None:
    centre, edge = box_in_data(app.session.scene.data_from_engine, *app.session.box)
    _move_box(app, messages.MoveBox(centre, edge))


def refine_word(session: Session) -> str:
    """Return what the open method calls it when voxels become smaller."""
    return session.scene.refine if session.scene is not None else "Subdivide"


def _with_voxel(session: Session) -> str | None:
    return with_scene(session) if session.inspect.picked is not None else "Pick a voxel first."


def _with_levels_chosen(session: Session) -> str | None:
    return with_scene(session) if session.inspect.look.levels else "All levels are drawn already."


def _with_less_shown(session: Session) -> str | None:
    look = session.inspect.look
    return with_scene(session) if look.levels or look.crop or look.slicing else "Everything is shown already."


def _with_tools_out(session: Session) -> str | None:
    inspect = session.inspect
    out = inspect.preview or inspect.picking or inspect.handles or inspect.picked is not None
    return None if out else "No tool is out."


def _slice_across(axis: str) -> Command:
    across = "the line of sight" if axis == "view" else f"the {axis} axis"
    return Command(
        f"slice_{axis}", f"Slice across {'the view' if axis == 'view' else axis}", "Structure", "",
        f"Cut the scene open across {across}, through its middle; what is nearer is hidden.",
        lambda app: app.do("inspect.slice_axis", axis), can("slice"),
        lambda session: session.inspect.look.slicing and session.inspect.look.plane.axis == axis,
    )  # fmt: skip


COMMANDS: tuple[Command, ...] = (
    Command("edit_box", "Move the box", "Structure", "Shift+B",
            "Put handles on the box that holds the foreground: arrows move it, corners make it larger or smaller.",
            _toggle_box_handles, with_scene, lambda session: session.view.edit_box),
    Command("apply_box", "Use this box", "Structure", "Ctrl+B",
            "Start training anew on the box as it stands now, after asking if there is anything to lose.",
            _apply_box, _with_moved_box),
    Command("automatic_box", "Automatic box", "Structure", "",
            "Start training anew on the box that is found from the cameras and points, after asking.",
            lambda app: _move_box(app, messages.MoveBox(None, None)), with_scene),
    Command("preview_adapt", "Preview", "Structure", "U",
            "Count what pruning and subdividing would do now, and show it in the picture; again puts that away.",
            lambda app: app.do("inspect.preview"), with_scene, lambda session: session.inspect.preview),
    Command("prune_now", "Prune now", "Structure", "Ctrl+K",
            "Drop the voxels below the pruning threshold.",
            lambda app: app.send(messages.PruneNow()), own),
    Command("subdivide_now", "Subdivide now", "Structure", "Ctrl+U",
            "Split the voxels of highest priority; of a grid, go to the next finer one.",
            lambda app: app.send(messages.SubdivideNow()), own,
            label_in=lambda session: f"{refine_word(session)} now"),
    Command("pick_voxel", "Pick a voxel", "Structure", "I",
            "A click in the picture picks the voxel there and shows its numbers in the Inspect panel.",
            lambda app: app.do("inspect.pick"), can("pick"), lambda session: session.inspect.picking),
    Command("copy_numbers", "Copy numbers", "Structure", "",
            "Copy the numbers of the picked voxel as text.",
            lambda app: app.do("inspect.copy_numbers"), _with_voxel),
    *(mode_command(mode, "Structure") for mode in VALUE_MODES),
    Command("next_level", "Next level alone", "Structure", "Shift+L",
            "Draw the voxels of one level alone, from the coarsest to the finest, then all again.",
            lambda app: app.do("inspect.next_level"), can("levels")),
    Command("all_levels", "All levels", "Structure", "",
            "Draw the voxels of all levels again.",
            lambda app: app.do("inspect.all_levels"), _with_levels_chosen),
    Command("toggle_slice", "Slice", "Structure", "Y",
            "Cut the scene open with a plane that can be dragged, or put the plane away.",
            lambda app: app.do("inspect.slice"), can("slice"), lambda session: session.inspect.look.slicing),
    *(_slice_across(axis) for axis in ("x", "y", "z", "view")),
    Command("show_everything", "Show everything", "Structure", "Shift+Y",
            "Draw all levels, uncropped and without a slice.",
            lambda app: app.do("inspect.show_all"), _with_less_shown),
    Command("put_away", "Put tools away", "Structure", "Esc",
            "End picking, and put the preview, the region's handles and the picked voxel away.",
            lambda app: app.do("inspect.put_away"), _with_tools_out),
)  # fmt: skip
