# SPDX-License-Identifier: MIT
"""The File menu."""

from __future__ import annotations

from app.commands.base import Command, own
from engine import messages

COMMANDS: tuple[Command, ...] = (
    Command("open_scene", "Open scene", "File", "Ctrl+O",
            "Open a folder of posed photos.",
            lambda app: app.open_dialog("scene")),
    Command("open_run", "Open run", "File", "Ctrl+Shift+O",
            "Continue a saved run from its newest checkpoint.",
            lambda app: app.open_dialog("run")),
    Command("follow_run", "Open run to follow", "File", "",
            "Watch a run that another process trains: its newer checkpoints appear, nothing is written there.",
            lambda app: app.open_dialog("follow")),
    Command("import_photos", "Import photos or video", "File", "Ctrl+I",
            "Find out where plain photos or the frames of a video were taken, and open them as a scene.",
            lambda app: app.import_photos()),
    Command("open_demo", "Open demo scene", "File", "Ctrl+D",
            "Open the built-in still life and train on it.",
            lambda app: app.do("open", "demo")),
    Command("save_checkpoint", "Save checkpoint", "File", "Ctrl+S",
            "Write a checkpoint into the run folder now.",
            lambda app: app.send(messages.SaveCheckpoint()), own),
    Command("quit", "Quit", "File", "Ctrl+Q",
            "Close the window; what was trained is saved first.",
            lambda app: app.quit()),
)  # fmt: skip
