# SPDX-License-Identifier: MIT
"""The View menu."""

from __future__ import annotations

from collections.abc import Callable

from app.commands.base import AppActions, Command, always, can, in_view, with_scene
from app.session import Session
from engine.methods.common import VALUE_MODES, VIEW_MODES, method_title


def _with_errors(session: Session) -> str | None:
    if session.scene is not None and not session.view.show_errors:
        if session.scene.method != "svraster":
            return "Only SVRaster keeps an error map."
        if session.scene.card:
            return "On a graphics card training keeps no error map."
    return with_scene(session)


def _when_photo_can_show(session: Session) -> str | None:
    return with_scene(session) if session.view.ground_truth != "off" else in_view(session)


def _step_view(offset: int) -> Callable[[AppActions], None]:
    def act(app: AppActions) -> None:
        count, here = app.session.scene.n_train, app.session.view.view_index
        if here is None or here >= count:
            app.goto_view(0 if offset > 0 else count - 1)
        else:
            app.goto_view((here + offset) % count)

    return act


def _next_ground_truth(app: AppActions) -> None:
    after = {"off": "photo", "photo": "split", "split": "off", "beside": "off", "difference": "off"}
    view = app.session.view
    view.ground_truth = after[view.ground_truth]


def _with_points(session: Session) -> str | None:
    if session.scene is not None and session.scene.points_xyz is None:
        return "This capture has no sparse points."
    return with_scene(session)


def _toggle_wireframe(app: AppActions) -> None:
    view, stats = app.session.view, app.session.stats
    view.show_wireframe = not view.show_wireframe
    if view.show_wireframe and not view.wire_levels and stats is not None:
        # All levels at once are a solid wall of lines; the two coarsest show where there is anything.
        occupied = [level for level, count in enumerate(stats.structure.per_level) if count]
        view.wire_levels = tuple(occupied[:2])


def with_soft(session: Session) -> str | None:
    """Say why there is no soft picture, if there is none."""
    if session.scene is None or session.scene.method == "svraster":
        return with_scene(session)
    return f"{method_title(session.scene.method)} has no soft picture."


def with_nodes(session: Session) -> str | None:
    """Say why nodes cannot be told apart, if there are none."""
    if session.scene is None or session.scene.unit == "nodes":
        return with_scene(session)
    return f"{method_title(session.scene.method)} has voxels in place of nodes."


def mode_command(mode: str, menu: str = "View") -> Command:
    """Return the command that shows a view mode."""
    key = str((VIEW_MODES.index(mode) + 1) % 10) if mode in VIEW_MODES else ""
    enabled = {"error": in_view, "soft": with_soft, "node": with_nodes}.get(mode, with_scene)
    if mode in VALUE_MODES:
        enabled = can(mode)

    def act(app: AppActions) -> None:
        app.session.view.mode = mode

    def checked(session: Session) -> bool:
        return session.view.mode == mode

    label = f"{mode.capitalize()} view"
    return Command(f"mode_{mode}", label, menu, key, _MODE_HELP[mode], act, enabled, checked)


def _toggle(command_id: str, label: str, shortcut: str, field: str, explanation: str) -> Command:
    def act(app: AppActions) -> None:
        setattr(app.session.view, field, not getattr(app.session.view, field))

    def checked(session: Session) -> bool:
        return bool(getattr(session.view, field))

    return Command(command_id, label, "View", shortcut, explanation, act, always, checked)


_MODE_HELP = {
    "colour": "Show the picture.",
    "depth": "Colour each pixel by its distance along the viewing axis.",
    "normal": "Colour each pixel by the direction its surface faces.",
    "alpha": "Show how opaque each pixel is.",
    "error": "Colour each pixel by its difference from the photo of the capture view the camera is in.",
    "level": "Colour each pixel by the octree level of the voxels behind it.",
    "size": "Colour each pixel by the edge length of the voxels behind it.",
    "samples": "Colour each pixel by the number of voxels that contribute to it.",
    "soft": "Show the picture as the soft objective sees it, with its blurs of the moment (SVRaster on the processor).",
    "node": "Give the field of each octree node a colour of its own, to see who draws what (InfNeRF).",
    "density": "Colour each pixel by the density of the voxels behind it.",
    "age": "Colour each pixel by the steps since the voxels behind it came to be.",
    "weight": "Colour each pixel by the heaviest blending weight of its voxels in any view: light ones are pruned.",
    "priority": "Colour each pixel by how much its voxels would gain from a split: those of high priority are split.",
}


COMMANDS: tuple[Command, ...] = (
    *(mode_command(mode) for mode in VIEW_MODES),
    Command("previous_view", "Previous training view", "View", "[",
            "Move the camera into the training view before.",
            _step_view(-1), with_scene),
    Command("next_view", "Next training view", "View", "]",
            "Move the camera into the next training view.",
            _step_view(+1), with_scene),
    Command("ground_truth", "Photo / split / render", "View", "G",
            "In a capture view: show its photo, then photo and render side by side, then the render.",
            _next_ground_truth, _when_photo_can_show, lambda session: session.view.ground_truth != "off"),
    Command("frame_scene", "Frame scene", "View", "F",
            "Move until the whole scene is in the picture.",
            lambda app: app.frame_scene(), with_scene),
    Command("go_home", "Home view", "View", "H",
            "Return to the first view, upright.",
            lambda app: app.go_home(), with_scene),
    _toggle("toggle_frusta", "Camera frusta", "C", "show_frusta",
            "Show where the photos were taken; click one to jump there."),
    _toggle("toggle_box", "Scene box", "B", "show_box",
            "Show the cube that holds the foreground."),
    _toggle("toggle_axes", "Axes", "X", "show_axes",
            "Show the axes of the scene."),
    Command("toggle_points", "Sparse points", "View", "O",
            "Show the points that the capture's poses were found with.",
            lambda app: setattr(app.session.view, "show_points", not app.session.view.show_points), _with_points,
            lambda session: session.view.show_points),
    Command("toggle_wireframe", "Voxel wireframe", "View", "L",
            "Show the edges of the voxels of the chosen levels.",
            _toggle_wireframe, with_scene, lambda session: session.view.show_wireframe),
    Command("toggle_errors", "Error map", "View", "",
            "Lay over the picture where training still errs: blocks of the photo one is in, or of the nearest training view.",
            lambda app: setattr(app.session.view, "show_errors", not app.session.view.show_errors), _with_errors,
            lambda session: session.view.show_errors),
    _toggle("toggle_panels", "Panels", "Tab", "show_panels",
            "Hide the panels, leaving only the scene, or bring them back."),
)  # fmt: skip
