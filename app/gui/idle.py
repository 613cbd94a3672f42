# SPDX-License-Identifier: MIT
"""When to draw the window again: 60 times a second while somebody uses it, seldom while nothing happens.

Dear PyGui only hears of the mouse while it draws a frame, and a frame costs a CPU without a graphics card about as much as
a small training step. So on X11 we ask the server ourselves whether the mouse moved or a key is down (some 30
microseconds), and can sleep deeply until then. Elsewhere a frame is drawn 15 times a second to listen.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

ACTIVE_S = 1 / 60
AFTERGLOW_S = 0.35  # hover colours, easing and scrolling end within this time of the last input
LISTEN_S = 1 / 15
SLEEP_S = (
    1 / 2
)  # between frames of an untouched window, when something else watches for input; new pictures are drawn at once
NUMBERS_S = 1 / 3  # what newer numbers wait for a picture in an untouched window
WORKER_NICE = 10
NAP_S = 1 / 100  # between two looks for input or a new picture


class X11Watch:
    """Sees changes of the pointer and of the keyboard without a window. Closed with the process's display."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("X11") or "libX11.so.6"
        self._x = ctypes.CDLL(name)
        self._x.XOpenDisplay.restype = ctypes.c_void_p
        self._x.XDefaultRootWindow.restype = ctypes.c_ulong
        display = self._x.XOpenDisplay(None)
        if not display:
            raise OSError("the X server does not answer")
        self._display = ctypes.c_void_p(display)
        self._root = ctypes.c_ulong(self._x.XDefaultRootWindow(self._display))
        self._out = [ctypes.c_ulong(), ctypes.c_ulong(), *(ctypes.c_int() for _ in range(4)), ctypes.c_uint()]
        self._keys = ctypes.create_string_buffer(32)
        self._last: tuple[Any, ...] = self._state()

    def _state(self) -> tuple[Any, ...]:
        self._x.XQueryPointer(self._display, self._root, *(ctypes.byref(value) for value in self._out))
        self._x.XQueryKeymap(self._display, self._keys)
        return (self._out[2].value, self._out[3].value, self._out[6].value, self._keys.raw)

    def changed(self) -> bool:
        """Whether pointer, buttons or keys differ from the last look."""
        state = self._state()
        before, self._last = self._last, state
        return state != before

    def close(self) -> None:
        """Hang up."""
        self._x.XCloseDisplay(self._display)


class Pacer:
    """Decides when the loop draws. `tick` sleeps until something may have happened and says whether to draw."""

    def __init__(
        self,
        watch: X11Watch | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._watch, self._clock, self._sleep = watch, clock, sleep
        self.active_s = ACTIVE_S  # between two redraws while somebody uses the window
        self._drawn_s = -1e9
        self._touched_s = clock()

    def touch(self) -> None:
        """Somebody uses the window: stay awake for a moment."""
        self._touched_s = self._clock()

    @property
    def awake(self) -> bool:
        """Whether the window is in use."""
        return self._clock() - self._touched_s < AFTERGLOW_S

    def wait(self) -> None:
        """Sleep until the next look: to the next frame while awake, a nap otherwise."""
        if self._watch is not None and self._watch.changed():
            self.touch()
        if self.awake:
            left = self._drawn_s + self.active_s - self._clock()
        else:
            left = NAP_S
        if left > 0.0:
            self._sleep(left)

    def due(self, changed: bool, numbers: bool = False) -> bool:
        """Whether to draw now; `changed` says that there is something new to show, `numbers` that panels have newer numbers.

        While nobody uses the window, numbers wait for the next picture, which comes some four times a second.
        """
        since = self._clock() - self._drawn_s
        if self.awake or changed:
            return since >= 0.9 * self.active_s
        if numbers and since >= NUMBERS_S:
            return True
        return since >= (SLEEP_S if self._watch is not None else LISTEN_S)

    def drew(self) -> None:
        """A frame begins. One that is a little late does not put off those after it: they keep the beat."""
        now, beat = self._clock(), self._drawn_s + self.active_s
        self._drawn_s = beat if 0.0 <= now - beat < 0.5 * self.active_s else now

    def close(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None


def yield_to_window(thread: threading.Thread | None) -> None:
    """Let a thread, and those it starts from now on, give way to the window where a system knows threads' priorities.

    Training computes without a pause on every core. When the window has something to draw, some 10 ms every now and then,
    it should not have to wait for its turn.
    """
    if thread is None or thread.native_id is None or not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread.native_id, WORKER_NICE)


def unreachable_display() -> str | None:
    """Return why the X server named by DISPLAY cannot be used, as a clause, or None. Dear PyGui would end the process."""
    if not sys.platform.startswith("linux") or not os.environ.get("DISPLAY"):
        return None
    try:
        X11Watch().close()
    except (OSError, AttributeError) as error:
        return f"the display {os.environ['DISPLAY']} cannot be opened ({error})"
    return None


def make_watch() -> X11Watch | None:
    """Return what sees input beside Dear PyGui, None where there is no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError, AttributeError):
        return X11Watch()
    log.info("idle input is polled through the window")
    return None
