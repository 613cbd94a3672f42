# SPDX-License-Identifier: MIT
"""The Path menu: composing a camera path, playing it, keeping it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from app.commands.base import AppActions, Command, always, with_scene
from app.session import Session
from app.view import path_edit
from app.view.path import CameraPath
from app.view.path_change import PathChange
from app.view.presets import LABELS

SCALE_STEP = 1.1
CHANGE = "Change the path"


def with_path(session: Session) -> str | None:
    """Return why a command that needs a camera path cannot run."""
    if session.scene is not None and session.path is None:
        return "There is no camera path yet; add a key first."
    return with_scene(session)


def with_keys(session: Session) -> str | None:
    """Return why a command that needs selected keys cannot run."""
    if session.path is not None and not session.timeline.selected:
        return "Select a key of the path first, in the timeline or in the scene."
    return with_path(session)


def _with_one_key(session: Session) -> str | None:
    if session.path is not None and len(session.timeline.selected) != 1:
        return "Select one key of the path first, in the timeline or in the scene."
    return with_path(session)


def with_motion(session: Session) -> str | None:
    """Return why a command that needs a path with a way to go cannot run."""
    if session.path is not None and len(session.path.keys) < 2:
        return "A path of one key goes nowhere; add another one."
    return with_path(session)


def _with_three(session: Session) -> str | None:
    if session.path is not None and len(session.path.keys) < 3:
        return "Smoothing needs three keys or more."
    return with_path(session)


def _between_keys(session: Session) -> str | None:
    path, now = session.path, session.playhead_s
    if path is not None and not path.start_s < now < path.end_s:
        return "Put the playhead between two keys first."
    return with_path(session)


def _do(action: str, argument: object = None) -> Callable[[AppActions], None]:
    return lambda app: app.do(f"path.{action}", argument)


def _edit(label: str, function: Callable[[CameraPath], CameraPath | None]) -> Callable[[AppActions], None]:
    return _do("edit", PathChange(label, function))


def _style(label: str, name: str) -> Callable[[AppActions], None]:
    def turned(path: CameraPath) -> CameraPath:
        return path_edit.set_style(path, **{name: not getattr(path.style, name)})

    return _edit(label, turned)


def _smoothed(app: AppActions) -> None:
    chosen = app.session.timeline.selected or None
    app.do("path.edit", PathChange("Smooth path", lambda path: path_edit.smoothed(path, indices=chosen)))


def _select_all(app: AppActions) -> None:
    app.do("path.select", (range(len(app.session.path.keys)), "only"))


def _preset(name: str, explanation: str) -> Command:
    label, help_text = (
        f"{name.replace('-', ' ').capitalize()} path",
        f"Begin with a ready-made path. {explanation}",
    )
    return Command(
        f"path_{name}", label, "Path", "", help_text, _do("preset", name), with_scene, group="Presets"
    )


COMMANDS: tuple[Command, ...] = (
    Command("toggle_timeline", "Timeline", "Path", "J",
            "Show the timeline of the camera path and the path in the scene, or hide both.",
            _do("toggle"), always, lambda session: session.timeline.shown),
    Command("path_add_key", "Add key", "Path", "K",
            "Make what you see now a key of the camera path: at the playhead if that stands between keys, "
            "else behind the last key.",
            _do("add_key"), with_scene),
    Command("path_overwrite", "Overwrite key", "Path", "Shift+K",
            "Let the selected key see what you see now.",
            _do("overwrite"), _with_one_key),
    Command("path_split", "Split at playhead", "Path", "Shift+N",
            "Put a key in where the path stands at the playhead; the motion stays what it was, nearly.",
            _do("split"), _between_keys),
    Command("path_delete", "Delete keys", "Path", "Delete",
            "Remove the selected keys from the path.",
            _do("delete"), with_keys),
    Command("path_select_all", "Select all keys", "Path", "Ctrl+A",
            "Select every key, to move, turn or delete them together.",
            _select_all, with_path),
    Command("path_copy", "Copy keys", "Path", "Ctrl+C",
            "Put the selected keys on the clipboard, as text that other windows understand.",
            _do("copy"), with_keys),
    Command("path_paste", "Paste keys", "Path", "Ctrl+V",
            "Put the keys on the clipboard in at the playhead; later keys make room.",
            _do("paste"), with_scene),
    Command("path_duplicate", "Duplicate keys", "Path", "Ctrl+Shift+D",
            "Put copies of the selected keys behind them.",
            _do("duplicate"), with_keys),
    Command("path_play", "Play / pause", "Path", "Space",
            "Fly along the path in real time; any drag or fly key ends it.",
            _do("play"), with_motion, lambda session: session.timeline.playing),
    Command("path_preview", "Preview the frame", "Path", "M",
            "Leave only what an export would show: the picture in the aspect of the Export panel, between bars.",
            _do("preview"), with_scene, lambda session: session.timeline.preview),
    Command("path_record", "Record while flying", "Path", "R",
            "Write down how you fly and make a path of it: press once to begin, once more to end.",
            _do("record"), with_scene, lambda session: session.timeline.recording),
    Command("path_previous_frame", "Previous frame", "Path", "Left",
            "Move the playhead one frame of the export back.",
            _do("step", -1), with_path, group="Go to"),
    Command("path_next_frame", "Next frame", "Path", "Right",
            "Move the playhead one frame of the export on.",
            _do("step", 1), with_path, group="Go to"),
    Command("path_previous_key", "Previous key", "Path", "<",
            "Go to the key before the playhead and look through it.",
            _do("jump", "previous"), with_path, group="Go to"),
    Command("path_next_key", "Next key", "Path", ">",
            "Go to the key behind the playhead and look through it.",
            _do("jump", "next"), with_path, group="Go to"),
    Command("path_first_key", "First key", "Path", "Home",
            "Go to the beginning of the path.",
            _do("jump", "first"), with_path, group="Go to"),
    Command("path_last_key", "Last key", "Path", "End",
            "Go to the last key of the path.",
            _do("jump", "last"), with_path, group="Go to"),
    *(_preset(name, explanation) for name, explanation in LABELS.items()),
    Command("path_loop", "Loop", "Path", "",
            "Let the path lead from its last key back to its first.",
            _style("Loop", "loop"), with_motion,
            lambda session: session.path is not None and session.path.style.loop, group=CHANGE),
    Command("path_even_speed", "Even speed", "Path", "",
            "Fly at one speed from end to end; the keys in between are then passed when it is their turn.",
            _style("Even speed", "constant_speed"), with_motion,
            lambda session: session.path is not None and session.path.style.constant_speed, group=CHANGE),
    Command("path_reverse", "Reverse", "Path", "",
            "Let the path run backward.",
            _edit("Reverse path", path_edit.reverse), with_motion, group=CHANGE),
    Command("path_smooth", "Smooth", "Path", "",
            "Move the selected keys, or all, towards where their neighbours would put them.",
            _smoothed, _with_three, group=CHANGE),
    Command("path_larger", "Larger path", "Path", "",
            "Scale the whole path up by a tenth, about its middle.",
            _edit("Scale path", partial(path_edit.scaled, factor=SCALE_STEP)), with_motion, group=CHANGE),
    Command("path_smaller", "Smaller path", "Path", "",
            "Scale the whole path down by a tenth, about its middle.",
            _edit("Scale path", partial(path_edit.scaled, factor=1.0 / SCALE_STEP)), with_motion, group=CHANGE),
    Command("path_open", "Open camera path", "Path", "Ctrl+Shift+L",
            "Read a path of this program, of instant-ngp or of nerfstudio, or the views of a COLMAP model as keys.",
            _do("open"), with_scene),
    Command("path_save", "Save camera path", "Path", "Ctrl+Shift+K",
            "Write the path into its file, in the coordinates of the dataset.",
            _do("save"), with_path),
    Command("path_save_as", "Save camera path as", "Path", "",
            "Write the path into another file, as this program, instant-ngp or nerfstudio reads it.",
            _do("save_as"), with_path),
    Command("export_path", "Export this path", "Path", "Ctrl+Shift+E",
            "Render a video along the camera path, with the settings of the Export panel.",
            lambda app: app.export("path"), with_motion),
    Command("path_close", "Close camera path", "Path", "",
            "Put the path away and begin with none; undo brings it back.",
            _do("close"), with_path),
)  # fmt: skip
