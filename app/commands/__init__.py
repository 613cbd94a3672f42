# SPDX-License-Identifier: MIT
"""Everything a person can do: menus, keys, tooltips, the help window and the README table read this registry.

A command is found by id, says in a sentence why it cannot run now, and acts through `AppActions`, which the
window implements. Each menu has a file of its own. `python -m app.readme` refreshes the table in README.md.
"""

from __future__ import annotations

from app import shortcuts
from app.commands import compare, edit, export, file, help, path, region, structure, train, view, window
from app.commands.base import AppActions, Command, always, in_view, with_scene

__all__ = [
    "COMMANDS",
    "MENUS",
    "AppActions",
    "Command",
    "always",
    "by_shortcut",
    "find",
    "in_view",
    "markdown_table",
    "perform",
    "tooltip",
    "with_scene",
]

_FILES = {
    "File": file,
    "Edit": edit,
    "Train": train,
    "View": view,
    "Structure": structure,
    "Region": region,
    "Compare": compare,
    "Path": path,
    "Export": export,
    "Window": window,
    "Help": help,
}
MENUS = tuple(_FILES)
COMMANDS: tuple[Command, ...] = tuple(command for menu in _FILES.values() for command in menu.COMMANDS)

_BY_ID = {command.id: command for command in COMMANDS}


def find(command_id: str) -> Command:
    """Return the command of that id; KeyError if there is none."""
    return _BY_ID[command_id]


def by_shortcut(shortcut: str) -> Command | None:
    """Return the command that has a shortcut now, spelt as in the registry, or None."""
    return shortcuts.find(shortcut, COMMANDS)


def perform(command_id: str, app: AppActions) -> str | None:
    """Run a command; return None, or the reason why it cannot run now."""
    command = find(command_id)
    reason = command.enabled_when(app.session)
    if reason is None:
        command.act(app)
    return reason


def tooltip(command: Command) -> str:
    """Return help and shortcut of a command in one line."""
    chord = shortcuts.chord_of(command)
    return f"{command.help}  ({chord})" if chord else command.help


def markdown_table() -> str:
    """Return the table of commands for the README, without the markers."""
    rows = ["| Menu | Command | Shortcut | What it does |", "| --- | --- | --- | --- |"]
    for menu in MENUS:
        for command in COMMANDS:
            if command.menu == menu:
                key = f"`{command.shortcut}`" if command.shortcut else ""
                rows.append(f"| {menu} | {command.label} | {key} | {command.help} |")
    return "\n".join(rows)
