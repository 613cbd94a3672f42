# SPDX-License-Identifier: MIT
"""The Help menu."""

from __future__ import annotations

from app.commands.base import Command

COMMANDS: tuple[Command, ...] = (
    Command("help", "Commands and keys", "Help", "?",
            "Show this list in a window.",
            lambda app: app.toggle_help()),
)  # fmt: skip
