# SPDX-License-Identifier: MIT
"""The Compare menu."""

from __future__ import annotations

from app.commands.base import AppActions, Command, with_scene
from app.session import Session
from engine import messages
from engine.methods.common import method_names, method_title


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


COMMANDS: tuple[Command, ...] = (
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
)  # fmt: skip
