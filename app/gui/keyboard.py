# SPDX-License-Identifier: MIT
"""Dear PyGui's keys by the registry's names, chords, and whether somebody is typing."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

CTRL, SHIFT = (dpg.mvKey_LControl, dpg.mvKey_RControl), (dpg.mvKey_LShift, dpg.mvKey_RShift)
WALKING = frozenset({"Tab", "Space", "Left", "Right", "Up", "Down", "Home", "End", "Enter", "Delete"})
_SHIFTED = {"/": "?", ",": "<", ".": ">"}
_walks = [False]  # of the one window of this process
_TYPING = (
    "mvInputText",
    "mvInputInt",
    "mvInputFloat",
    "mvInputDouble",
    "mvInputFloatMulti",
    "mvInputIntMulti",
    "mvDragFloat",
    "mvDragInt",
    "mvSliderFloat",
    "mvSliderInt",
)


def key_names() -> dict[int, str]:
    """Return {Dear PyGui key: the registry's name of it}."""
    names = {getattr(dpg, f"mvKey_{c}"): c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"}
    names |= {getattr(dpg, f"mvKey_NumPad{c}"): c for c in "0123456789"}
    names |= {getattr(dpg, f"mvKey_F{number}"): f"F{number}" for number in range(2, 13)}
    names |= {
        getattr(dpg, f"mvKey_{name}"): name
        for name in ("Tab", "Delete", "Insert", "Home", "End", "Left", "Right", "Up", "Down")
    }
    return names | {
        dpg.mvKey_Open_Brace: "[",
        dpg.mvKey_Close_Brace: "]",
        dpg.mvKey_Prior: "[",  # page up and down: for keyboards on which brackets need two hands
        dpg.mvKey_Next: "]",
        dpg.mvKey_Period: ".",
        dpg.mvKey_Decimal: ".",
        dpg.mvKey_Slash: "/",
        dpg.mvKey_Comma: ",",
        dpg.mvKey_Minus: "-",
        # Dear PyGui hands these on without a name for them; they stand in one row with the comma.
        dpg.mvKey_Comma - 1: "'",
        dpg.mvKey_Comma + 4: ";",
        dpg.mvKey_Comma + 5: "=",
        dpg.mvKey_Comma + 9: "`",
        dpg.mvKey_Add: "=",
        dpg.mvKey_Subtract: "-",
        dpg.mvKey_Backslash: "\\",
        dpg.mvKey_Spacebar: "Space",
        dpg.mvKey_Return: "Enter",
        dpg.mvKey_NumPadEnter: "Enter",
        dpg.mvKey_Escape: "Esc",
        dpg.mvKey_F1: "?",
    }


def chord(name: str, ctrl: bool, shift: bool) -> str:
    """Return a shortcut as the registry spells it."""
    if shift and name in _SHIFTED:
        name, shift = _SHIFTED[name], False
    return ("Ctrl+" if ctrl else "") + ("Shift+" if shift else "") + name


def chord_pressed(code: int) -> str | None:
    """Return the shortcut that a key makes with the modifiers that are down, None for a key without a name."""
    name = key_names().get(code)
    return None if name is None else chord(name, down(*CTRL), down(*SHIFT))


def down(*codes: int) -> bool:
    """Whether any of some keys is down."""
    return any(dpg.is_key_down(code) for code in codes)


def walking() -> bool:
    """Whether the keyboard goes from widget to widget, in place of the scene."""
    return _walks[0]


def walk(on: bool) -> None:
    """Let the keyboard go from widget to widget, or give it back to the scene.

    Dear PyGui can do so from its start only, so it always may; who gives it back takes the focus away from the widgets.
    """
    _walks[0] = on


def typing() -> bool:
    """Whether a field has the keyboard. Looks at every item: call it when a key was pressed, not every frame."""
    for item in dpg.get_all_items():
        if dpg.get_item_info(item)["type"].split("::")[-1] in _TYPING and dpg.is_item_active(item):
            return True
    return False
