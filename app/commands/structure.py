# SPDX-License-Identifier: MIT
"""The Structure menu."""

from __future__ import annotations

from app.commands.base import AppActions, Command, own, with_scene
from app.session import Session
from app.view.scene_box import box_in_data
from engine import messages


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
            "Count what pruning and subdividing would do now.",
            lambda app: app.send(messages.PreviewAdapt()), with_scene),
    Command("prune_now", "Prune now", "Structure", "Ctrl+K",
            "Drop the voxels below the pruning threshold.",
            lambda app: app.send(messages.PruneNow()), own),
    Command("subdivide_now", "Subdivide now", "Structure", "Ctrl+U",
            "Split the voxels of highest priority; of a grid, go to the next finer one.",
            lambda app: app.send(messages.SubdivideNow()), own,
            label_in=lambda session: f"{refine_word(session)} now"),
)  # fmt: skip
