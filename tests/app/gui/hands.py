# SPDX-License-Identifier: MIT
"""A person at the real window: keys and mouse go through the X server (xdotool), eyes see what was drawn.

The window's loop runs in this process, so the hands turn it while they wait for the X server.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from app import commands
from app.gui.application import App

PATIENCE_S = 90.0
_KEYSYMS = {
    "[": "bracketleft",
    "]": "bracketright",
    ".": "period",
    ",": "comma",
    "?": "question",
    "/": "slash",
}


class Hands:
    """Keys, clicks and drags in one window, which stands at the screen's top left corner."""

    def __init__(self, app: App) -> None:
        self._app = app

    # --- waiting ----------------------------------------------------------------------------------------------

    def rest(self, seconds: float) -> None:
        """Do nothing for a while; the window goes on."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._app.turn()

    def wait(self, what: str, holds: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
        """Watch until something holds; AssertionError with `what` if it never does."""
        end = time.monotonic() + patience_s
        while not holds():
            assert time.monotonic() < end, f"{what}: not within {patience_s:.0f} s"
            self._app.turn()

    # --- hands ------------------------------------------------------------------------------------------------

    def _do(self, *words: str) -> None:
        process = subprocess.Popen(["xdotool", *words])
        while process.poll() is None:
            self._app.turn()
        assert process.returncode == 0, words

    def key(self, chord: str) -> None:
        """Press and let go of a chord as the registry spells it: "Ctrl+Shift+O", "[", "Space"."""
        *modifiers, name = chord.split("+")
        symbol = _KEYSYMS.get(name, name.lower() if len(name) == 1 else name)
        words = [*(modifier.lower() for modifier in modifiers), symbol.replace("Space", "space")]
        self._do("key", "--delay", "60", "+".join(words))
        self.rest(0.25)

    def command(self, command_id: str) -> None:
        """Press the keys of a command."""
        chord = commands.find(command_id).shortcut
        assert chord, f"{command_id} has no keys"
        self.key(chord)

    def write(self, field: int | str, text: str) -> None:
        """Click into a field and write, in place of what is there; look, and write again if a letter was swallowed."""
        for delay in (20, 60, 150):
            self.click(field)
            self._select_all()
            self._do("type", "--delay", str(delay), text)
            end = time.monotonic() + 8.0  # a letter a redraw, and a busy machine redraws slowly
            while dpg.get_value(field) != text and time.monotonic() < end:
                self._app.turn()
            if dpg.get_value(field) == text:
                return
        raise AssertionError(f"The field says {dpg.get_value(field)!r} in place of {text!r}.")

    def _select_all(self) -> None:
        """Ctrl+A as slowly as fingers: a field that is drawn seldom must see both keys down."""
        for word, key in (("keydown", "ctrl"), ("keydown", "a"), ("keyup", "a"), ("keyup", "ctrl")):
            self._do(word, key)
            self.rest(0.12)

    def click(self, item: int | str) -> None:
        """Click in the middle of a widget."""
        (x0, y0), (x1, y1) = dpg.get_item_rect_min(item), dpg.get_item_rect_max(item)
        self.click_at((x0 + x1) / 2, (y0 + y1) / 2)

    def click_at(self, x: float, y: float) -> None:
        """Click at a place of the window."""
        self._do("mousemove", str(round(x)), str(round(y)))
        self.rest(0.15)
        self._do("mousedown", "1")
        self.rest(0.1)
        self._do("mouseup", "1")
        self.rest(0.2)

    def drag(self, start: tuple[float, float], by: tuple[float, float], button: int = 1) -> None:
        """Drag with a button in twelve small moves."""
        x, y = start
        self._do("mousemove", str(round(x)), str(round(y)))
        self.rest(0.1)
        self._do("mousedown", str(button))
        for i in range(1, 13):
            place = round(x + by[0] * i / 12), round(y + by[1] * i / 12)
            self._do("mousemove", *map(str, place))
        self.rest(0.1)
        self._do("mouseup", str(button))
        self.rest(0.3)

    # --- eyes -------------------------------------------------------------------------------------------------

    def labelled(self, label: str) -> int:
        """Return the widget on the screen that says `label`."""
        for item in dpg.get_all_items():
            if dpg.get_item_label(item) == label and "Button" in dpg.get_item_info(item)["type"]:
                if dpg.is_item_visible(item) and _all_shown(item):
                    return item
        raise AssertionError(f"Nothing on the screen says {label!r}.")

    def field_in(self, window: int | str) -> int:
        """Return the first field for text in a window or a dialog."""
        waiting = [window]
        while waiting:
            item = waiting.pop(0)
            if dpg.get_item_info(item)["type"].endswith("mvInputText"):
                return item
            for slot in dpg.get_item_children(item).values():
                waiting.extend(slot)
        raise AssertionError("There is no field for text.")

    def viewport_middle(self) -> tuple[float, float]:
        """Return the middle of the picture."""
        rect = self._app.viewport.rect
        return rect.x + rect.width / 2, rect.y + rect.height / 2

    def look(self) -> np.ndarray:
        """Return the whole window as it was drawn last, [H,W,3] uint8."""
        taken: list[np.ndarray] = []

        def take(sender: Any, buffer: Any) -> None:
            shape = buffer.get_height(), buffer.get_width(), 4
            taken.append(np.frombuffer(buffer, np.float32).reshape(shape).copy())

        self.rest(0.5)
        dpg.output_frame_buffer(callback=take)
        while not taken:
            dpg.render_dearpygui_frame()
            for job in dpg.get_callback_queue() or ():
                dpg.run_callbacks([job])
        return np.clip(taken[0][..., :3] * 255.0 + 0.5, 0, 255).astype(np.uint8)

    def keep(self, folder: Path, name: str) -> None:
        """Write the whole window as a PNG."""
        from PIL import Image

        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.look()).save(folder / f"{name}.png")


def _all_shown(item: int) -> bool:
    """Whether neither a widget nor anything around it is put away."""
    while item:
        if not dpg.is_item_shown(item):
            return False
        item = dpg.get_item_parent(item)
    return True
