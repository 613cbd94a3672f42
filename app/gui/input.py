# SPDX-License-Identifier: MIT
"""From Dear PyGui's mouse and keys to the viewport's camera and the registry's commands.

Presses, releases and wheel steps come as callbacks, so none is missed however rarely the window is drawn; places and
held keys are polled. Keys do nothing while a text field is being typed into or a dialog is open.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import dearpygui.dearpygui as dpg

from app import commands
from app.gui.keyboard import CTRL, SHIFT, WALKING, chord, down, key_names, typing, walk, walking
from app.gui.viewport import Viewport
from app.view.controllers import PAN
from app.view.gestures import drag_of

CLICK_PX = 4  # a press that moves less is a click
HOVER_S = 0.05  # between two looks for the frustum under the mouse
FLY_KEYS = "wasdqe"
BUTTONS = (0, 1, 2)
_REPEATING = frozenset({"[", "]", ".", "Left", "Right"})


class Input:
    """Listens for the whole window; `poll` once a turn."""

    def __init__(
        self,
        viewport: Viewport,
        run: Callable[[str], None],
        blocked: Callable[[], bool],
        answer: Callable[[str], bool] = lambda key: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`answer` gets Esc and Enter first and returns whether it took them."""
        self._viewport, self._run, self._blocked, self._clock = viewport, run, blocked, clock
        self._answer = answer
        self._names = key_names()
        self._fly_codes = {getattr(dpg, f"mvKey_{c.upper()}"): c for c in FLY_KEYS}
        self._mouse = (0.0, 0.0)
        self._pressed_at: tuple[float, float] | None = None
        self._button: int | None = None
        self._kind = PAN  # of the drag
        self._pulling_split = False
        self._pulling_tool = False
        self._held: set[int] = set()  # keys whose press was accepted
        self._fresh: set[int] = (
            set()
        )  # keys pressed since the last turn: a quick chord may be up again by now
        self._modifiers: set[int] = set()  # those that were down at the last turn
        self._hovered_at = 0.0
        self._happened = False

    def build(self) -> None:
        """Register the handlers."""
        with dpg.handler_registry():
            dpg.add_mouse_click_handler(callback=lambda s, button: self._press(button))
            dpg.add_mouse_release_handler(callback=lambda s, button: self._release(button))
            dpg.add_mouse_wheel_handler(callback=lambda s, notches: self._wheel(notches))
            dpg.add_key_press_handler(callback=lambda s, key: self._key(key))

    def poll(self) -> bool:
        """Move what is held; return whether there was any input since the last turn."""
        happened, self._happened = self._happened, False
        self._new_turn()
        x, y = dpg.get_mouse_pos(local=False)
        moved = (x, y) != self._mouse
        dx, dy = x - self._mouse[0], y - self._mouse[1]
        self._mouse = (x, y)
        if self._button is not None and not dpg.is_mouse_button_down(self._button):
            self._release(self._button)  # the release was missed: it happened outside the window
        if self._pulling_split:
            rect = self._viewport.rect
            self._viewport.session.view.split = min(max((x - rect.x) / max(1, rect.width), 0.0), 1.0)
        elif self._pulling_tool:
            self._viewport.pointing.drag(*self._local())
        elif self._button is not None and moved:
            self._viewport.controller.drag(*self._as_set(dx, dy))
        elif moved or happened:
            self._look_under_mouse()
        return moved or happened | self._poll_keys() | (self._button is not None)

    def _as_set(self, dx: float, dy: float) -> tuple[float, float]:
        """Return a drag as the settings want it: a pan follows the mouse, turns may be faster or the other way round."""
        mouse = self._viewport.session.settings.mouse
        if self._kind == PAN:
            return dx, dy
        across, along = (-1 if mouse.invert_horizontal else 1), (-1 if mouse.invert_vertical else 1)
        return across * mouse.turn_speed * dx, along * mouse.turn_speed * dy

    def _look_under_mouse(self) -> None:
        if not self.over_viewport():
            self._viewport.pointing.unhover()
        elif self._clock() - self._hovered_at >= HOVER_S:
            self._hovered_at = self._clock()
            self._viewport.pointing.hover(*self._local())

    def over_viewport(self) -> bool:
        """Whether the mouse is over the viewport and nothing floats above it there."""
        rect = self._viewport.rect
        inside = rect.contains(*self._mouse)
        return inside and not self._blocked() and self._viewport.under_mouse()

    # --- the mouse --------------------------------------------------------------------------------------------

    def _press(self, button: int) -> None:
        self._happened = True
        self._mouse = tuple(dpg.get_mouse_pos(local=False))
        if self._button is not None or button not in BUTTONS or not self.over_viewport():
            return
        viewport, x, y = self._viewport, *self._local()
        walk(False)
        self._button = button
        self._pressed_at = self._mouse
        if button == 0 and viewport.pointing.over_split(x):
            self._pulling_split = True
            return
        if button == 0 and not self._modifier(*SHIFT) and viewport.pointing.press(x, y):
            self._pulling_tool = True
            return
        mouse = viewport.session.settings.mouse
        self._kind = drag_of(mouse.buttons, button, self._modifier(*SHIFT))
        viewport.controller.press(self._kind, viewport.pointing.depth_at(x, y))

    def _release(self, button: int) -> None:
        self._happened = True
        if button != self._button:
            return
        pulled = self._pulling_split or self._pulling_tool
        self._pulling_split = self._pulling_tool = False
        self._viewport.pointing.release()
        self._button = None
        self._viewport.controller.release()
        start = self._pressed_at
        still = start is not None and max(abs(a - b) for a, b in zip(start, self._mouse)) < CLICK_PX
        if button == 0 and still and not pulled:
            self._click()

    def _click(self) -> None:
        """Let a tool have the click, or else look through the photo whose frustum is there."""
        pointing = self._viewport.pointing
        if pointing.click(*self._local()):
            return
        pointing.hover(*self._local())
        if pointing.view is not None:
            self._viewport.goto_view(pointing.view)
            pointing.unhover()

    def _wheel(self, notches: float) -> None:
        self._happened = True
        if self.over_viewport():
            x, y = self._local()
            self._viewport.controller.wheel(notches, (x, y), self._viewport.pointing.depth_at(x, y))

    def _local(self) -> tuple[float, float]:
        return self._mouse[0] - self._viewport.rect.x, self._mouse[1] - self._viewport.rect.y

    # --- keys -------------------------------------------------------------------------------------------------

    def _poll_keys(self) -> bool:
        self._held = {code for code in self._held if dpg.is_key_down(code)}
        keys = {self._fly_codes[code] for code in self._held if code in self._fly_codes}
        if keys and down(*SHIFT):
            keys.add("shift")
        self._viewport.controller.hold(keys)
        return bool(self._held)

    def _key(self, code: int) -> None:
        self._happened = True
        self._fresh.add(code)
        name = self._names.get(code)
        repeated = code in self._held
        if name in ("Esc", "Enter") and not repeated and self._answer(name):
            return
        if name is None or (repeated and name not in _REPEATING) or self._blocked() or typing():
            return
        if name in WALKING and not self._modifier(*CTRL):
            if walking():
                return  # it moves from widget to widget
            self._viewport.take_keyboard()
        self._held.add(code)
        ctrl, shift = self._modifier(*CTRL), self._modifier(*SHIFT)
        command = commands.by_shortcut(chord(name, ctrl, shift))
        if ctrl:
            self._held.discard(code) if code in self._fly_codes else None
        if command is None or (name == "Esc" and command.enabled_when(self._viewport.session) is not None):
            return  # Escape with nothing to leave is no mistake that wants a word
        self._run(command.id)

    def _new_turn(self) -> None:
        self._fresh.clear()
        self._modifiers = {code for code in (*CTRL, *SHIFT) if dpg.is_key_down(code)}

    def _modifier(self, *codes: int) -> bool:
        """Whether a modifier goes with a press of this turn: it may have come down before, or be up again by now."""
        return down(*codes) or not (self._fresh | self._modifiers).isdisjoint(codes)
