# SPDX-License-Identifier: MIT
"""The line at the bottom: how time is shared, how fast pictures come, how large the model is, how it is shown."""

from __future__ import annotations

import os
import time

import dearpygui.dearpygui as dpg
import psutil

from app.gui import formats, theme
from app.session import Session

_HELP = {
    "train": "Share of the worker's time spent on training steps.",
    "view": "Share of the worker's time spent on pictures for the viewport.",
    "fps": "New pictures per second, and their size as a share of the viewport's.",
    "voxels": "Voxels of the model.",
    "model": "Memory of the model.",
    "device": "What trains and renders, and with how many threads.",
    "memory": "Memory of the whole program.",
    "ui": "How often the window is redrawn; seldom when nothing on it changes.",
    "present": "How pictures reach the window: without leaving the card, drawn into its texture, or copied.",
    "follow": "Another process trains this run; its newest checkpoint is shown here, and nothing is written there.",
    "note": "",
}


def follow_line(session: Session, now: float) -> str:
    """Return what the bar says of a followed run at a time of day, "" of any other."""
    known = session.followed
    if session.scene is None or not session.scene.followed or known is None:
        return ""
    if known.saved_at <= 0.0:
        return "attached, no checkpoint yet" if known.trainer else "attached, nothing saved, nobody trains it"
    seconds = max(0, round(now - known.saved_at))
    age = f"{seconds} s" if seconds < 60 else formats.duration(seconds)
    ended = "" if known.trainer else ", its trainer has ended"
    return f"attached, step {known.step:,}, {age} ago{ended}"


class StatusBar:
    """`build` once; `refresh` a few times a second."""

    def __init__(self, look: theme.Theme) -> None:
        self._look = look
        self._items: dict[str, int | str] = {}
        self._shown: dict[str, tuple[str, theme.Colour]] = {}
        self._process = psutil.Process()
        self._tips: dict[str, int | str] = {}
        self.present_reason = ""
        self._interop_told = ""

    def build(self, parent: int | str) -> None:
        """Create the texts."""
        with dpg.group(horizontal=True, horizontal_spacing=self._look.sizes.px(20), parent=parent):
            for name, text in _HELP.items():
                self._items[name] = dpg.add_text("", color=theme.MUTED)
                if text:
                    self._tips[name] = theme.explain(self._items[name], text)

    def refresh(self, session: Session, note: str = "") -> None:
        """Show the newest numbers; `note` is a passing message at the end."""
        stats, texts = session.stats, dict.fromkeys(_HELP, "")
        if session.scene is not None and stats is not None:
            texts["train"] = f"train {formats.percent(stats.train_share)}"
            texts["view"] = f"view {formats.percent(stats.view_share)}"
            texts["fps"] = f"{session.frame_fps:.0f} fps @ {stats.scale:.2g}x"
            texts["voxels"] = f"{formats.count(stats.structure.voxels)} {session.scene.unit}"
            texts["model"] = formats.size(stats.structure.bytes)
        threads = int(os.environ.get("NUMBA_NUM_THREADS") or os.cpu_count() or 1)
        texts["device"] = session.card or f"CPU, {threads} thread{'s' if threads != 1 else ''}"
        texts["memory"] = f"memory {formats.size(self._process.memory_info().rss)}"
        texts["ui"] = f"window {session.ui_fps:.0f}/s"
        texts["present"] = session.present
        texts["follow"] = follow_line(session, time.time())
        texts["note"] = note
        for name, text in texts.items():
            colour = theme.TEXT if name in ("note", "follow") else theme.MUTED
            if self._shown.get(name) != (text, colour):
                self._shown[name] = (text, colour)
                dpg.configure_item(self._items[name], show=bool(text), color=colour)
                dpg.set_value(self._items[name], text)
        if session.card and session.interop_reason != self._interop_told:
            self._interop_told = session.interop_reason
            reason = (
                f" Not without leaving the card: {session.interop_reason}." if session.interop_reason else ""
            )
            dpg.set_value(self._tips["present"], _HELP["present"] + reason)
        if self.present_reason:
            reason = f"{_HELP['present']} Copied because: {self.present_reason}."
            dpg.set_value(self._tips["present"], reason)
            self.present_reason = ""
