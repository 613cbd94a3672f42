# SPDX-License-Identifier: MIT
"""Everything a person can do: menus, keys, tooltips, the help window and the README table read this registry.

A command is found by id, says in a sentence why it cannot run now, and acts through `AppActions`, which the
window implements. `python -m app.readme` refreshes the table in README.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.session import Session
from app.view.scene_box import box_in_data
from engine import messages
from engine.messages import TrainState
from engine.methods.common import VIEW_MODES, method_names, method_title

MENUS = ("File", "Train", "View", "Structure", "Compare", "Export", "Help")
MORE_STEPS = 1000


class AppActions(Protocol):
    """What the window can do on behalf of a command."""

    session: Session

    def send(self, command: messages.Command) -> None:
        """Hand a command to the worker."""

    def goto_view(self, index: int) -> None:
        """Move the camera into `session.scene.views[index]` and set `session.view.view_index`."""

    def frame_scene(self) -> None:
        """Keep the viewing direction and move so that the whole scene is in the picture."""

    def go_home(self) -> None:
        """Return to the first camera of the scene, upright."""

    def open_dialog(self, kind: str) -> None:
        """Show the file dialog for a "scene", a "run", or a run to put "beside"."""

    def import_photos(self) -> None:
        """Ask for photos or a video to make a scene of."""

    def confirm(self, question: str, button: str, then: Callable[[], None]) -> None:
        """Ask a question; call `then` if the person presses `button`."""

    def export(self, kind: str) -> None:
        """Start a "spiral", "orbit" or "zoom-out" video with the other settings of `session.export`."""

    def screenshot(self) -> None:
        """Save the viewport's picture."""

    def export_views(self) -> None:
        """Ask for a file and write the table of views into it."""

    def toggle_help(self) -> None:
        """Show or hide the window of commands and keys."""

    def quit(self) -> None:
        """Leave; what was trained is saved on the way."""


def always(session: Session) -> str | None:
    """Return None: the command can run at any time."""
    return None


@dataclass(frozen=True)
class Command:
    """Something a person can do. `shortcut` is text such as "T", "Ctrl+O", "[" or "" (none)."""

    id: str
    label: str
    menu: str
    shortcut: str
    help: str
    act: Callable[[AppActions], None]
    enabled_when: Callable[[Session], str | None] = always  # None, or why it cannot run
    checked: Callable[[Session], bool] | None = None  # of a toggle or a choice: whether it is on
    label_in: Callable[[Session], str] | None = None  # the label there, where it is not always the same


def with_scene(session: Session) -> str | None:
    """Return why a command that needs a scene cannot run."""
    if session.state is TrainState.LOADING:
        return "The scene is still loading."
    return "Open a scene first." if session.scene is None else None


def in_view(session: Session) -> str | None:
    """Return why a command that needs the camera in a capture view cannot run."""
    if session.scene is not None and session.view.view_index is None:
        return "Jump to a capture view first, with ] or in the Views panel."
    return with_scene(session)


def _with_errors(session: Session) -> str | None:
    if session.scene is not None and not session.view.show_errors:
        if session.scene.method != "svraster":
            return "Only SVRaster keeps an error map."
        if session.scene.card:
            return "On a graphics card training keeps no error map."
    return with_scene(session)


def _while_still(session: Session) -> str | None:
    return "Pause training first." if session.state is TrainState.TRAINING else with_scene(session)


def _with_held_out(session: Session) -> str | None:
    if session.scene is not None and len(session.scene.views) == session.scene.n_train:
        return "This scene has no held-out views."
    return with_scene(session)


def _when_photo_can_show(session: Session) -> str | None:
    return with_scene(session) if session.view.ground_truth != "off" else in_view(session)


def _toggle_training(app: AppActions) -> None:
    training = app.session.state is TrainState.TRAINING
    app.send(messages.Pause() if training else messages.Train())


def _with_trained(session: Session) -> str | None:
    if session.scene is not None and not session.inference and _steps(session) == 0:
        return "Nothing is trained yet; train first."
    return with_scene(session)


def _toggle_inference(app: AppActions) -> None:
    app.send(messages.SetMode(not app.session.inference))


def _reset(app: AppActions) -> None:
    step = app.session.stats.step if app.session.stats else 0
    question = f"Throw away {step:,} steps of training and start again on the same scene?"
    app.confirm(question, "Reset", lambda: app.send(messages.Reset()))


def _with_staged(session: Session) -> str | None:
    if session.scene is not None and not session.staged:
        return "No option waits for a reset; change one in the Options panel first."
    return with_scene(session)


def _reset_with_options(app: AppActions) -> None:
    values = dict(app.session.staged)
    step = app.session.stats.step if app.session.stats else 0
    changes = "\n".join(
        f"{name}: {app.session.values.get(name)} becomes {value}" for name, value in values.items()
    )
    question = f"Throw away {step:,} steps of training and start again with other options?\n\n{changes}"
    app.confirm(question, "Reset", lambda: app.send(messages.Reset(values)))


def _step_view(offset: int) -> Callable[[AppActions], None]:
    def act(app: AppActions) -> None:
        count, here = app.session.scene.n_train, app.session.view.view_index
        if here is None or here >= count:
            app.goto_view(0 if offset > 0 else count - 1)
        else:
            app.goto_view((here + offset) % count)

    return act


def _next_ground_truth(app: AppActions) -> None:
    after = {"off": "photo", "photo": "split", "split": "off", "beside": "off"}
    view = app.session.view
    view.ground_truth = after[view.ground_truth]


def _in_training_view(session: Session) -> str | None:
    index = session.view.view_index
    if session.scene is not None and index is not None and index >= session.scene.n_train:
        return "Held-out views are never trained on."
    return in_view(session)


def _toggle_excluded(app: AppActions) -> None:
    index = app.session.view.view_index
    app.send(messages.ExcludeViews((index,), index not in app.session.excluded))


def _toggle_box_handles(app: AppActions) -> None:
    view = app.session.view
    view.edit_box = not view.edit_box
    view.show_box = view.show_box or view.edit_box


def _with_points(session: Session) -> str | None:
    if session.scene is not None and session.scene.points_xyz is None:
        return "This capture has no sparse points."
    return with_scene(session)


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


def _toggle_wireframe(app: AppActions) -> None:
    view, stats = app.session.view, app.session.stats
    view.show_wireframe = not view.show_wireframe
    if view.show_wireframe and not view.wire_levels and stats is not None:
        # All levels at once are a solid wall of lines; the two coarsest show where there is anything.
        occupied = [level for level, count in enumerate(stats.structure.per_level) if count]
        view.wire_levels = tuple(occupied[:2])


def _steps(session: Session) -> int:
    return session.stats.step if session.stats else 0


def train_with(name: str) -> Command:
    """Return the command that starts a method on the open scene."""
    title = method_title(name)

    def enabled(session: Session) -> str | None:
        if session.scene is not None and session.scene.method == name:
            return f"{title} is the open method already; Reset training starts it again."
        return with_scene(session)

    def act(app: AppActions) -> None:
        steps = _steps(app.session)
        going_on = app.session.state is TrainState.TRAINING
        command = messages.SwitchMethod(name, start=steps > 0 or going_on)
        if steps == 0:
            app.send(command)
            return
        before = method_title(app.session.scene.method)
        question = (
            f"Start {title} on the same scene? The {steps:,} steps of {before} are saved in its run folder. To see both, "
            "choose Compare instead."
        )
        app.confirm(question, "Start", lambda: app.send(command))

    def checked(session: Session) -> bool:
        return session.scene is not None and session.scene.method == name

    help_text = f"Start {title} anew on the same scene; what was trained is saved."
    return Command(f"train_with_{name}", f"Train with {title}", "Train", "", help_text, act, enabled, checked)


def compare_with(name: str) -> Command:
    """Return the command that starts a method beside the open model."""
    title = method_title(name)

    def act(app: AppActions) -> None:
        app.send(messages.SwitchMethod(name, beside=True, start=True))

    help_text = f"Start {title} on the same scene and keep the open model beside it, on a split slider."
    return Command(f"compare_with_{name}", f"Compare with {title}", "Compare", "", help_text, act, with_scene)


def with_beside(session: Session) -> str | None:
    """Return why a command that needs a second model cannot run."""
    if session.scene is not None and session.beside is None:
        return "There is nothing to compare with yet; start a method or open a run beside first."
    return with_scene(session)


def trains_beside(session: Session) -> bool:
    """Whether the model beside trains."""
    one = session.beside
    return one is not None and one.stats is not None and one.stats.trains


def _toggle_split(app: AppActions) -> None:
    view = app.session.view
    view.ground_truth = "off" if view.ground_truth == "beside" else "beside"


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


def refine_word(session: Session) -> str:
    """Return what the open method calls it when voxels become smaller."""
    return session.scene.refine if session.scene is not None else "Subdivide"


def _mode(mode: str) -> Command:
    number, explanation = (VIEW_MODES.index(mode) + 1) % 10, _MODE_HELP[mode]
    enabled = {"error": in_view, "soft": with_soft, "node": with_nodes}.get(mode, with_scene)

    def act(app: AppActions) -> None:
        app.session.view.mode = mode

    def checked(session: Session) -> bool:
        return session.view.mode == mode

    label = f"{mode.capitalize()} view"
    return Command(f"mode_{mode}", label, "View", str(number), explanation, act, enabled, checked)


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
}

COMMANDS: tuple[Command, ...] = (
    Command("open_scene", "Open scene", "File", "Ctrl+O",
            "Open a folder of posed photos.",
            lambda app: app.open_dialog("scene")),
    Command("open_run", "Open run", "File", "Ctrl+Shift+O",
            "Continue a saved run from its newest checkpoint.",
            lambda app: app.open_dialog("run")),
    Command("import_photos", "Import photos or video", "File", "Ctrl+I",
            "Find out where plain photos or the frames of a video were taken, and open them as a scene.",
            lambda app: app.import_photos()),
    Command("open_demo", "Open demo scene", "File", "Ctrl+D",
            "Open the built-in still life and train on it.",
            lambda app: app.send(messages.OpenScene("demo", app.session.method, start=True))),
    Command("save_checkpoint", "Save checkpoint", "File", "Ctrl+S",
            "Write a checkpoint into the run folder now.",
            lambda app: app.send(messages.SaveCheckpoint()), with_scene),
    Command("quit", "Quit", "File", "Ctrl+Q",
            "Close the window; what was trained is saved first.",
            lambda app: app.quit()),
    Command("toggle_training", "Train / pause", "Train", "T",
            "Start training, or pause it after the step in flight.",
            _toggle_training, with_scene, lambda session: session.state is TrainState.TRAINING),
    Command("train_one_step", "One step", "Train", ".",
            "Take a single training step, then pause.",
            lambda app: app.send(messages.Train(steps=1, finish=False)), _while_still),
    Command("train_more", f"Run {MORE_STEPS:,} more steps", "Train", "Shift+T",
            f"Train {MORE_STEPS:,} steps, counted from now, then pause.",
            lambda app: app.send(messages.Train(steps=MORE_STEPS, finish=False)), with_scene),
    Command("evaluate", "Evaluate now", "Train", "Ctrl+E",
            "Measure PSNR and SSIM on the held-out views.",
            lambda app: app.send(messages.Evaluate()), _with_held_out),
    Command("inference_mode", "Inference mode", "Train", "",
            "Let training rest and give back the memory that only it needs, or bring all of it back.", _toggle_inference,
            _with_trained, lambda session: session.inference),
    Command("reset", "Reset training", "Train", "Ctrl+R",
            "Throw the trained model away and start again, after asking.",
            _reset, with_scene),
    Command("reset_with_options", "Apply options with reset", "Train", "",
            "Start again with the options that wait for a reset in the Options panel, after asking.",
            _reset_with_options, _with_staged),
    *(train_with(name) for name in method_names()),
    Command("exclude_view", "Leave this view out", "Train", "Shift+X",
            "Train without the view the camera is in from now on, or with it again.",
            _toggle_excluded, _in_training_view, lambda session: session.view.view_index in session.excluded),
    *(_mode(mode) for mode in VIEW_MODES),
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
            lambda app: app.send(messages.PruneNow()), with_scene),
    Command("subdivide_now", "Subdivide now", "Structure", "Ctrl+U",
            "Split the voxels of highest priority; of a grid, go to the next finer one.",
            lambda app: app.send(messages.SubdivideNow()), with_scene,
            label_in=lambda session: f"{refine_word(session)} now"),
    *(compare_with(name) for name in method_names()),
    Command("compare_run", "Compare with a saved run", "Compare", "",
            "Open a run of this scene beside the open model, on a split slider.",
            lambda app: app.open_dialog("beside"), with_scene),
    Command("split_beside", "Split slider", "Compare", "Shift+G",
            "Show the model beside on the left of a line that can be moved, the open one on its right.",
            _toggle_split, with_beside, lambda session: session.view.ground_truth == "beside"),
    Command("train_both", "Train the model beside", "Compare", "Ctrl+T",
            "Train the model beside too, or let it rest; two that train share the time equally.",
            lambda app: app.send(messages.TrainBeside(not trains_beside(app.session))), with_beside, trains_beside),
    Command("swap_beside", "Swap sides", "Compare", "Ctrl+X",
            "Put the model beside in front, where panels and keys act on it, and the open one beside.",
            lambda app: app.send(messages.SwapBeside()), with_beside),
    Command("close_beside", "End comparison", "Compare", "",
            "Save the model beside and let it go.",
            lambda app: app.send(messages.CloseBeside()), with_beside),
    Command("export_spiral", "Spiral video", "Export", "Ctrl+Shift+S",
            "Record a video that winds around the scene, with the settings of the Export panel.",
            lambda app: app.export("spiral"), with_scene),
    Command("export_orbit", "Orbit video", "Export", "Ctrl+Shift+R",
            "Record a video on a circle around the scene, with the settings of the Export panel.",
            lambda app: app.export("orbit"), with_scene),
    Command("export_zoom_out", "Zoom-out video", "Export", "Ctrl+Shift+Z",
            "Record a video that goes back from the scene, for level of detail, with the settings of the Export panel.",
            lambda app: app.export("zoom-out"), with_scene),
    Command("export_views", "Table of views", "Export", "",
            "Write the table of views, with the quality of each, into a CSV file.",
            lambda app: app.export_views(), with_scene),
    Command("screenshot", "Screenshot", "Export", "P",
            "Save the picture in the viewport as PNG.",
            lambda app: app.screenshot(), with_scene),
    Command("help", "Commands and keys", "Help", "?",
            "Show this list in a window.",
            lambda app: app.toggle_help()),
)  # fmt: skip

_BY_ID = {command.id: command for command in COMMANDS}
_BY_SHORTCUT = {command.shortcut: command for command in COMMANDS if command.shortcut}


def find(command_id: str) -> Command:
    """Return the command of that id; KeyError if there is none."""
    return _BY_ID[command_id]


def by_shortcut(shortcut: str) -> Command | None:
    """Return the command behind a shortcut as the registry spells it, or None."""
    return _BY_SHORTCUT.get(shortcut)


def perform(command_id: str, app: AppActions) -> str | None:
    """Run a command; return None, or the reason why it cannot run now."""
    command = find(command_id)
    reason = command.enabled_when(app.session)
    if reason is None:
        command.act(app)
    return reason


def tooltip(command: Command) -> str:
    """Return help and shortcut of a command in one line."""
    return f"{command.help}  ({command.shortcut})" if command.shortcut else command.help


def markdown_table() -> str:
    """Return the table of commands for the README, without the markers."""
    rows = ["| Menu | Command | Shortcut | What it does |", "| --- | --- | --- | --- |"]
    for menu in MENUS:
        for command in COMMANDS:
            if command.menu == menu:
                key = f"`{command.shortcut}`" if command.shortcut else ""
                rows.append(f"| {menu} | {command.label} | {key} | {command.help} |")
    return "\n".join(rows)
