# SPDX-License-Identifier: MIT
"""What the command palette can find: commands, panels, options, settings, recent scenes, views."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app import commands, settings, shortcuts
from app.command_search import Entry
from app.settings import Settings
from engine.methods.common import method_class
from engine.options import describe

if TYPE_CHECKING:
    from app.gui.actions import Parts


def entries(parts: Parts, with_views: bool) -> Iterator[Entry]:
    """Yield everything that can be chosen now; views only if asked for, as there may be thousands."""
    yield from _commands(parts)
    for panel, title in parts.columns.titles.items():
        yield Entry(
            f"panel:{panel}",
            f"{title} panel",
            "Go to",
            f"Show the {title} panel.",
            act=partial(parts.do, "window.panel", panel),
        )
    folded = parts.columns.folded()
    for panel in parts.columns.folding:
        verb = "Unfold" if panel in folded else "Fold"
        act = partial(parts.do, "window.fold", panel)
        yield Entry(f"fold:{panel}", f"{verb} {parts.columns.titles[panel]}", "Panel", act=act)
    yield from _settings(parts)
    yield from _options(parts)
    for path in parts.columns.layout.recent:
        yield Entry(
            f"scene:{path}", Path(path).name, "Recent scene", path, act=partial(parts.do, "open", path)
        )
    if with_views and parts.session.scene is not None:
        for index, view in enumerate(parts.session.scene.views):
            kind = "Held-out view" if view.held_out else "Training view"
            yield Entry(f"view:{index}", view.name, kind, act=partial(parts.do, "goto_view", index))


def _commands(parts: Parts) -> Iterator[Entry]:
    session = parts.session
    for command in commands.COMMANDS:
        if command.id == "command_palette":
            continue
        label = command.label_in(session) if command.label_in else command.label
        if command.checked is not None and command.checked(session):
            label += "  (on)"
        yield Entry(
            command.id, label, command.menu, command.help, shortcuts.chord_of(command), command.enabled_when(session),
            partial(parts.run, command.id),
        )  # fmt: skip


def _settings(parts: Parts) -> Iterator[Entry]:
    groups = settings.titles()
    for info in describe(Settings):
        group = info.name.split(".")[0]
        act = partial(parts.do, "settings.show", info.name)
        yield Entry(
            f"setting:{info.name}", info.label, f"Settings, {groups[group].lower()}", info.help, act=act
        )


def _options(parts: Parts) -> Iterator[Entry]:
    scene = parts.session.scene
    if scene is None:
        return
    for info in describe(method_class(scene.method).Config):
        group = info.name.rpartition(".")[0].rpartition(".")[2].replace("_", " ").capitalize()
        label = f"{group}: {info.label.lower()}" if group else info.label
        act = partial(parts.do, "window.option", info.name)
        text = f"{info.help} {info.name}"
        yield Entry(f"option:{info.name}", label, "Option of training", text, act=act)
