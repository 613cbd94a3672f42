# SPDX-License-Identifier: MIT
"""The Compare menu."""

from __future__ import annotations

import numpy as np

from app.commands.base import AppActions, Command, steps, with_scene
from app.session import Session
from app.views_table import psnr_of_views
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


def _toggle_difference(app: AppActions) -> None:
    view = app.session.view
    view.ground_truth = "beside" if view.ground_truth == "difference" else "difference"


def _toggle_blink(app: AppActions) -> None:
    """Show the model beside, or else the photo, in turn with the render."""
    view, shown = app.session.view, app.session.view.ground_truth
    view.blink = not view.blink
    if view.blink and shown in ("off", "difference"):
        view.ground_truth = "beside" if app.session.beside is not None else "split"


def _with_two_pictures(session: Session) -> str | None:
    if session.scene is None or session.beside is not None or session.view.view_index is not None:
        return with_scene(session)
    return "There is nothing to take turns with; put a model beside, or go into a capture view with ]."


def _with_steps(session: Session) -> str | None:
    if session.scene is not None and steps(session) == 0:
        return "Nothing is trained yet; train first."
    return with_scene(session)


def _with_psnr(session: Session) -> str | None:
    if (
        session.scene is not None
        and not session.view.frusta_psnr
        and not np.isfinite(psnr_of_views(session)).any()
    ):
        return "No view has a PSNR yet; train, or evaluate the held-out views."
    return with_scene(session)


def _toggle_psnr(app: AppActions) -> None:
    view = app.session.view
    view.frusta_psnr = not view.frusta_psnr
    view.show_frusta = view.show_frusta or view.frusta_psnr


def _trainable_beside(session: Session) -> str | None:
    if session.beside is not None and session.beside.info.moment is not None:
        return "The model beside is one moment of a run, kept to compare with; it cannot be trained."
    return with_beside(session)


COMMANDS: tuple[Command, ...] = (
    *(compare_with(name) for name in method_names()),
    Command("compare_run", "Compare with a saved run", "Compare", "",
            "Open a run of this scene beside the open model, on a split slider.",
            lambda app: app.open_dialog("beside"), with_scene),
    Command("keep_beside", "Keep this moment beside", "Compare", "Ctrl+M",
            "Keep the model as it is now beside itself, to see what further training changes.",
            lambda app: app.send(messages.KeepBeside()), _with_steps),
    Command("split_beside", "Split slider", "Compare", "Shift+G",
            "Show the model beside on the left of a line that can be moved, the open one on its right.",
            _toggle_split, with_beside, lambda session: session.view.ground_truth == "beside"),
    Command("difference_beside", "Difference of the two", "Compare", "Ctrl+G",
            "Colour each pixel by how far the two models' pictures are apart.",
            _toggle_difference, with_beside, lambda session: session.view.ground_truth == "difference"),
    Command("blink", "Blink", "Compare", "V",
            "Show the two models in turn, or photo and render, in place of a split; the Compare panel sets how fast.",
            _toggle_blink, _with_two_pictures, lambda session: session.view.blink),
    Command("frusta_psnr", "PSNR on the frusta", "Compare", "Shift+C",
            "Colour each camera frustum by the PSNR of its view, poor to good.",
            _toggle_psnr, _with_psnr, lambda session: session.view.frusta_psnr),
    Command("train_both", "Train the model beside", "Compare", "Ctrl+T",
            "Train the model beside too, or let it rest; two that train share the time equally.",
            lambda app: app.send(messages.TrainBeside(not trains_beside(app.session))), _trainable_beside,
            trains_beside),
    Command("swap_beside", "Swap sides", "Compare", "Ctrl+X",
            "Put the model beside in front, where panels and keys act on it, and the open one beside.",
            lambda app: app.send(messages.SwapBeside()), with_beside),
    Command("close_beside", "End comparison", "Compare", "",
            "Save the model beside and let it go.",
            lambda app: app.send(messages.CloseBeside()), with_beside),
)  # fmt: skip
