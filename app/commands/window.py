# SPDX-License-Identifier: MIT
"""The Window menu: how the window itself is arranged and looks, and ways to everything else."""

from __future__ import annotations

from collections.abc import Callable

from app.commands.base import Command, always
from app.session import Session

LAYOUTS = {
    "training": ("Training layout", "Show what training needs: scene, options, curves, views and log."),
    "inspect": ("Inspect layout", "Show what looking into the model needs, with the table of views below."),
    "path": (
        "Camera path layout",
        "Show what a camera move needs: the timeline below, view and export at the side.",
    ),
    "presentation": ("Presentation layout", "Show only the picture and the timeline."),
}
_SLOTS = {"left": "at the left", "right": "at the right", "bottom": "at the bottom"}


def _do(
    command_id: str, label: str, shortcut: str, action: str, argument: object, explanation: str
) -> Command:
    return Command(
        command_id, label, "Window", shortcut, explanation, lambda app: app.do(action, argument), always
    )


def _slot(slot: str, place: str) -> Command:
    def shown(session: Session) -> bool:
        return slot in session.shown_slots

    return Command(
        f"toggle_{slot}", f"{slot.capitalize()} panels", "Window", "",
        f"Hide the panels {place}, or bring them back.",
        lambda app: app.do("window.toggle", slot), always, shown,
    )  # fmt: skip


def _looks(name: str, value: object) -> Callable[[Session], bool]:
    return lambda session: getattr(session.settings.appearance, name) == value


COMMANDS: tuple[Command, ...] = (
    _do("command_palette", "Command palette", "Ctrl+P", "palette.toggle", None,
        "Find any command, panel, option, view or recent scene by some letters of its name."),
    _do("settings", "Settings", "Ctrl+,", "settings.toggle", None,
        "Set what holds for all scenes: look, viewport, mouse, training, output, keys."),
    Command("light_theme", "Light theme", "Window", "",
            "Use dark letters on a light window, or light ones on a dark window.",
            lambda app: app.do("window.theme"), always, _looks("theme", "light")),
    Command("safe_colours", "Colours for any colour vision", "Window", "",
            "Use colours that colour-blind people tell apart too, in curves, frusta, levels and pictures.",
            lambda app: app.do("window.safe_colours"), always, _looks("safe_colours", True)),
    _do("larger_text", "Larger text", "Ctrl+=", "window.text", 1.1, "Make all text and what holds it larger."),
    _do("smaller_text", "Smaller text", "Ctrl+-", "window.text", 1 / 1.1, "Make all text and what holds it smaller."),
    *(_do(f"layout_{name}", label, "", "window.layout", name, explanation)
      for name, (label, explanation) in LAYOUTS.items()),
    _do("reset_layout", "Reset layout", "", "window.reset_layout", None,
        "Put all panels and columns back where they were at the first start."),
    *(_slot(slot, place) for slot, place in _SLOTS.items()),
    _do("next_panel", "Next panel", "F6", "window.focus", +1,
        "Give the keyboard to the next panel: arrow keys go on from there, Space presses, Esc returns to the scene."),
    _do("previous_panel", "Previous panel", "Shift+F6", "window.focus", -1,
        "Give the keyboard to the panel before."),
)  # fmt: skip
