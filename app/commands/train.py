# SPDX-License-Identifier: MIT
"""The Train menu."""

from __future__ import annotations

from app.commands.base import AppActions, Command, in_view, own, steps, with_scene
from app.session import Session
from engine import messages
from engine.messages import TrainState
from engine.methods.common import method_names, method_title

MORE_STEPS = 1000


def _while_still(session: Session) -> str | None:
    return "Pause training first." if session.state is TrainState.TRAINING else own(session)


def _with_held_out(session: Session) -> str | None:
    if session.scene is not None and len(session.scene.views) == session.scene.n_train:
        return "This scene has no held-out views."
    return with_scene(session)


def _toggle_training(app: AppActions) -> None:
    training = app.session.state is TrainState.TRAINING
    app.send(messages.Pause() if training else messages.Train())


def _with_trained(session: Session) -> str | None:
    if session.scene is not None and not session.inference and steps(session) == 0:
        return "Nothing is trained yet; train first."
    return own(session)


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


def _in_training_view(session: Session) -> str | None:
    index = session.view.view_index
    if session.scene is not None and index is not None and index >= session.scene.n_train:
        return "Held-out views are never trained on."
    return own(session) or in_view(session)


def _with_ended_trainer(session: Session) -> str | None:
    if session.scene is not None and not session.scene.followed:
        return "No run is followed; File, Open run to follow begins that."
    if session.followed is not None and session.followed.trainer:
        return f"{session.followed.trainer.capitalize()} still trains this run; end it first."
    return with_scene(session)


def _toggle_excluded(app: AppActions) -> None:
    index = app.session.view.view_index
    app.send(messages.ExcludeViews((index,), index not in app.session.excluded))


def train_with(name: str) -> Command:
    """Return the command that starts a method on the open scene."""
    title = method_title(name)

    def enabled(session: Session) -> str | None:
        if session.scene is not None and session.scene.method == name:
            return f"{title} is the open method already; Reset training starts it again."
        return with_scene(session)

    def act(app: AppActions) -> None:
        trained = steps(app.session)
        going_on = app.session.state is TrainState.TRAINING
        command = messages.SwitchMethod(name, start=trained > 0 or going_on)
        if trained == 0:
            app.send(command)
            return
        before = method_title(app.session.scene.method)
        question = (
            f"Start {title} on the same scene? The {trained:,} steps of {before} are saved in its run folder. To see both, "
            "choose Compare instead."
        )
        app.confirm(question, "Start", lambda: app.send(command))

    def checked(session: Session) -> bool:
        return session.scene is not None and session.scene.method == name

    help_text = f"Start {title} anew on the same scene; what was trained is saved."
    return Command(f"train_with_{name}", f"Train with {title}", "Train", "", help_text, act, enabled, checked)


COMMANDS: tuple[Command, ...] = (
    Command("toggle_training", "Train / pause", "Train", "T",
            "Start training, or pause it after the step in flight.",
            _toggle_training, own, lambda session: session.state is TrainState.TRAINING),
    Command("train_one_step", "One step", "Train", ".",
            "Take a single training step, then pause.",
            lambda app: app.send(messages.Train(steps=1, finish=False)), _while_still),
    Command("train_more", f"Run {MORE_STEPS:,} more steps", "Train", "Shift+T",
            f"Train {MORE_STEPS:,} steps, counted from now, then pause.",
            lambda app: app.send(messages.Train(steps=MORE_STEPS, finish=False)), own),
    Command("continue_here", "Continue here", "Train", "",
            "Train the followed run from its newest checkpoint on, once the process that trained it has ended.",
            lambda app: app.send(messages.ContinueHere()), _with_ended_trainer),
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
)  # fmt: skip
