# SPDX-License-Identifier: MIT
"""What the mouse does in the viewport: one table, which the input obeys and the help window prints. Knows no window."""

from __future__ import annotations

from app.view.controllers import LOOK, ORBIT, PAN

NAMES = {0: "Left drag", 1: "Right drag", 2: "Middle drag"}
BUTTONS: dict[str, dict[int, str]] = {  # preset of the settings -> button -> what its drag does
    "left orbits": {0: ORBIT, 1: LOOK, 2: PAN},
    "left looks": {0: LOOK, 1: ORBIT, 2: PAN},
    "middle orbits": {0: LOOK, 1: PAN, 2: ORBIT},
}
_MEANING = {
    ORBIT: ("Orbit", "Turn about the point in the middle."),
    LOOK: ("Look", "Turn the head where you stand."),
    PAN: ("Pan", "What is under the cursor stays under it."),
}
_OTHERS = (
    ("Shift + left drag", "Pan", "The same, whatever the buttons do."),
    ("Wheel", "Dolly", "Go towards what is under the cursor, or away."),
    ("Click", "Jump", "On a camera frustum: go into that view."),
    ("Click", "Select a key", "On a frustum of the camera path; twice: look through it."),
    ("Drag", "Move a key", "By the arrows of what is selected; the rings turn it."),
    ("Drag", "Time a key", "On the timeline. Shift: later keys move along. Ctrl: copies move."),
    ("Double click", "Split the path", "On the timeline between keys. The ruler scrubs, the wheel zooms."),
    ("W A S D", "Fly", "Forward, left, back, right; Q down, E up; Shift is faster."),
)


def drag_of(preset: str, button: int, shift: bool) -> str:
    """Return what a drag with a button does: ORBIT, LOOK or PAN."""
    return PAN if button == 0 and shift else BUTTONS[preset][button]


def rows(preset: str) -> list[tuple[str, str, str]]:
    """Return (gesture, name, what it does) of everything that the mouse and the flying keys do."""
    drags = [(NAMES[button], *_MEANING[kind]) for button, kind in BUTTONS[preset].items()]
    return [*drags, *_OTHERS]
