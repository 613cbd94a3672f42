# SPDX-License-Identifier: MIT
"""What `window_driver.py` does to see themes, sizes, palette, settings, keys and layouts at work in a real window."""

from __future__ import annotations

from typing import Any

import dearpygui.dearpygui as dpg

from app import commands, shortcuts
from app.gui import colours, theme
from app.gui.application import App

CONTROLS = (
    "mvButton", "mvCheckbox", "mvCombo", "mvInputText", "mvInputInt", "mvInputFloat", "mvInputDouble", "mvSliderInt",
    "mvSliderFloat", "mvDragInt", "mvDragFloat", "mvRadioButton", "mvMenuItem", "mvSelectable",
)  # fmt: skip


def settle(app: App, turns: int = 4) -> None:
    """Let the loop go round some times, panels and all."""
    for _ in range(turns):
        app._refreshed_s = -1e9
        app.turn()


def kind(item: int | str) -> str:
    """Return what an item is, without the prefix."""
    return dpg.get_item_info(item)["type"].split("::")[-1]


def tip_of(item: int | str) -> str:
    """Return the text of an item's tooltip: it stands right behind it."""
    beside = dpg.get_item_children(dpg.get_item_parent(item), 1)
    after = beside[beside.index(item) + 1 :][:1]
    if not after or kind(after[0]) != "mvTooltip":
        return ""
    return str(dpg.get_value(dpg.get_item_children(after[0], 1)[0]))


def without_reason() -> list[str]:
    """Return the controls that are disabled without a sentence in their tooltip that says why."""
    silent = []
    for item in dpg.get_all_items():
        if kind(item) not in CONTROLS:
            continue
        known = dpg.get_item_configuration(item)
        if known.get("enabled", True) or not known.get("show", True):
            continue
        why = tip_of(item).split("\n\n")[0]
        if not why.endswith(".") or len(why.split()) < 3:
            silent.append(f"{dpg.get_item_alias(item) or dpg.get_item_label(item)}: {why!r}")
    return silent


def text_colours() -> list[tuple[int, ...]]:
    """Return the colours of all texts that have one of their own."""
    found = [
        dpg.get_item_configuration(item)["color"] for item in dpg.get_all_items() if kind(item) == "mvText"
    ]
    return [
        tuple(round(255 * value) for value in colour)
        for colour in found
        if len(colour) == 4 and colour[0] >= 0
    ]


def widths() -> dict[int, int]:
    """Return the widths of all buttons and fields."""
    items = [item for item in dpg.get_all_items() if kind(item) in CONTROLS and kind(item) != "mvMenuItem"]
    return {item: dpg.get_item_configuration(item).get("width", 0) for item in items}


def comfort(app: App) -> dict[str, Any]:
    """Go through everything that makes the window one's own."""
    settle(app)
    for name in app.columns.folded():
        app.columns.fold(name, False)
    settle(app)
    seen: dict[str, Any] = {"silent": without_reason()}
    return seen | _theme(app) | _scale(app) | _palette(app) | _keys(app) | _layouts(app)


def _theme(app: App) -> dict[str, Any]:
    dark = set(colours.named("dark").values())
    before = text_colours()
    app.actions.run("light_theme")
    settle(app)
    left = [colour for colour in text_colours() if colour in dark]
    light = list(theme.TEXT)
    app.actions.run("light_theme")
    settle(app)
    return {"left_dark": left, "light_text": light, "dark_again": text_colours() == before}


def _scale(app: App) -> dict[str, Any]:
    before, font, rect = widths(), app.look.font, app.viewport.rect
    for factor in (1.3, 1.1, 1 / 1.1, 1 / 1.3):
        app.actions.do("window.text", factor)
        settle(app)
        if factor == 1.3:
            grown = sum(widths()[item] > width for item, width in before.items() if width > 20)
    after = widths()
    changed = {item: (width, after.get(item)) for item, width in before.items() if after.get(item) != width}
    return {
        "grown": grown,
        "changed": list(changed.values()),
        "other_font": app.look.font != font,
        "same_place": app.viewport.rect == rect,
    }


def _palette(app: App) -> dict[str, Any]:
    palette = next(desk for desk in app.desks if type(desk).__name__ == "Palette")
    app.actions.run("command_palette")
    settle(app)
    palette._search("depth vi")
    blocked = app.dialogs.blocking
    palette._key(dpg.mvKey_Return)
    chosen = app.session.view.mode
    app.actions.run("command_palette")
    first = palette._found[0].key
    app._answer("Esc")
    settle(app)
    return {"blocked": blocked, "chosen": chosen, "recent": first, "closed": not palette.shown}


def _keys(app: App) -> dict[str, Any]:
    app.actions.do("settings.show", "keys")
    settle(app)
    page = next(desk for desk in app.desks if type(desk).__name__ == "SettingsWindow")._keys
    page._wait(commands.find("reset"))
    waits = app.dialogs.blocking
    page._pressed(dpg.mvKey_W)
    refused = dpg.get_value(page._word)
    page._pressed(dpg.mvKey_T)
    said = dpg.get_value(page._word)
    page._swap()
    settle(app)
    item = app.menu._items["reset"]
    shown = dpg.get_item_configuration(item)["shortcut"], tip_of(dpg.get_alias_id("training/reset"))
    swapped = [shortcuts.chord_of(commands.find(name)) for name in ("reset", "toggle_training")]
    app._answer("Esc")
    return {"waits": waits, "refused": refused, "said": said, "swapped": swapped, "shown": shown}


def _layouts(app: App) -> dict[str, Any]:
    app.actions.run("layout_presentation")
    settle(app)
    bare = app.viewport.rect.width, sorted(app.session.shown_slots)
    app.actions.run("reset_layout")
    settle(app)
    return {"bare": bare, "all": sorted(app.session.shown_slots)}
