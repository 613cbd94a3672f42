# SPDX-License-Identifier: MIT
"""Arrangements of the panels for a kind of work. What a person widened or folded elsewhere is left alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from app.gui.layout import Layout

_BESIDE = "compare"  # opens and closes by itself with the second model


@dataclass(frozen=True)
class Preset:
    """Which columns are shown, which panels are open in them, which share the strip at the bottom, whether there is the
    timeline."""

    slots: tuple[str, ...]
    open: tuple[str, ...] = ()
    strip: tuple[str, ...] = ()
    timeline: bool = False


PRESETS: dict[str, Preset] = {  # named in the Window menu
    "training": Preset(
        ("left", "right", "bottom"),
        ("scene", "capture", "training", "diagnosis", "options", "view", "structure", "export"),
        ("curves", "views", "log"),
    ),
    "inspect": Preset(
        ("right", "bottom"), ("view", "structure", "inspect", "region", "nodes"), ("views", "curves")
    ),
    "path": Preset(("right",), ("view", "path", "export"), timeline=True),
    "presentation": Preset((), timeline=True),
}


def arranged(layout: Layout, name: str, columns: Collection[str], strip: Collection[str]) -> Layout:
    """Return a layout after a preset; `columns` are the panels that fold, `strip` those at the bottom."""
    preset = PRESETS[name]
    slots = {f"show_{slot}": slot in preset.slots for slot in ("left", "right", "bottom")}
    folded = [panel for panel in columns if panel not in preset.open and panel != _BESIDE]
    if _BESIDE in layout.folded:
        folded.append(_BESIDE)
    hidden = tuple(panel for panel in strip if panel not in preset.strip) if preset.strip else layout.hidden
    return replace(layout, **slots, folded=tuple(folded), hidden=hidden)
