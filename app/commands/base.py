# SPDX-License-Identifier: MIT
"""What a command is, what the window can do for it, and the reasons that many commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from app.session import Session
from engine import messages
from engine.messages import TrainState


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
        """Show the file dialog for a "scene", a "run", a run to "follow" or one to put "beside"."""

    def import_photos(self) -> None:
        """Ask for photos or a video to make a scene of."""

    def confirm(self, question: str, button: str, then: Callable[[], None]) -> None:
        """Ask a question; call `then` if the person presses `button`."""

    def export(self, kind: str) -> None:
        """Start an export of a preset or of the "path", with the other settings of `session.export`."""

    def export_views(self) -> None:
        """Ask for a file and write the table of views into it."""

    def do(self, action: str, argument: Any = None) -> None:
        """Run an action of one of the window's desks, such as "path.add_key"; ValueError if there is none of that name."""

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
    group: str = ""  # the menu inside the menu that it stands in


def with_scene(session: Session) -> str | None:
    """Return why a command that needs a scene cannot run."""
    if session.state is TrainState.LOADING:
        return "The scene is still loading."
    return "Open a scene first." if session.scene is None else None


def can(
    capability: str, first: Callable[[Session], str | None] = with_scene
) -> Callable[[Session], str | None]:
    """Return what says why a command cannot run that needs a capability of the open model, after what `first` says."""

    def reason(session: Session) -> str | None:
        return first(session) or session.scene.why_not(capability) or None

    return reason


def own(session: Session) -> str | None:
    """Return why a command that trains or changes the open model cannot run."""
    if session.scene is not None and session.state is not TrainState.LOADING and session.scene.only_shown:
        return session.scene.only_shown
    return with_scene(session)


def in_view(session: Session) -> str | None:
    """Return why a command that needs the camera in a capture view cannot run."""
    if session.scene is not None and session.view.view_index is None:
        return "Jump to a capture view first, with ] or in the Views panel."
    return with_scene(session)


def steps(session: Session) -> int:
    """Return the steps that the open model was trained."""
    return session.stats.step if session.stats else 0
