# SPDX-License-Identifier: MIT
"""Where everything lies in the window, and how that is kept between starts. Arithmetic and a file, no widgets.

menu bar
left column | viewport | right column
timeline, while there is a camera path
bottom strip
status bar
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from app.kept import config_folder, write_json

log = logging.getLogger(__name__)

VERSION = 1
MIN_COLUMN, MAX_COLUMN = 200, 560
MIN_STRIP, MAX_STRIP = 110, 520
MIN_TIMELINE, MAX_TIMELINE = 112, 320
FOLD_BELOW = 120  # dragged narrower than this, a column folds away
MIN_VIEWPORT = 160
VIEWPORT_SHARE = 0.5  # of the height between menu and status bar that the timeline leaves at least
SPLITTER = 5
MAX_RECENT = 8


@dataclass(frozen=True)
class Rect:
    """Pixels from the window's top left corner."""

    x: int
    y: int
    width: int
    height: int

    def contains(self, x: float, y: float) -> bool:
        """Whether a point lies in it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


@dataclass(frozen=True)
class Layout:
    """What is kept between starts. Lengths are at scale 1; a folded column keeps its width for later."""

    version: int = VERSION
    width: int = 1440
    height: int = 880
    left: int = 300
    right: int = 300
    bottom: int = 240
    timeline: int = 124
    show_left: bool = True
    show_right: bool = True
    show_bottom: bool = True
    show_timeline: bool = False
    # "compare" opens by itself once there is a second model
    folded: tuple[str, ...] = ("compare", "inspect", "memory", "nodes", "objective", "region")
    hidden: tuple[str, ...] = ()  # panels of the strip that a preset of the layout leaves out
    recent: tuple[str, ...] = ()
    recent_commands: tuple[str, ...] = ()  # of the command palette, newest first

    def with_recent(self, path: str) -> Layout:
        """Return this layout with a path at the head of the recent ones."""
        rest = tuple(p for p in self.recent if p != path)
        return replace(self, recent=(path, *rest)[:MAX_RECENT])

    def with_command(self, key: str) -> Layout:
        """Return this layout with something that was chosen in the palette at the head of the recent ones."""
        rest = tuple(k for k in self.recent_commands if k != key)
        return replace(self, recent_commands=(key, *rest)[:MAX_RECENT])


@dataclass(frozen=True)
class Places:
    """The rectangles of one window. Empty (no width or height) is: not shown."""

    viewport: Rect
    left: Rect
    right: Rect
    timeline: Rect
    bottom: Rect
    status: Rect
    splitters: dict[str, Rect]


def arrange(
    layout: Layout,
    width: int,
    height: int,
    scale: float,
    menu: int,
    status: int,
    panels: bool,
    timeline: bool = False,
) -> Places:
    """Return the rectangles for a window of `width x height` pixels with a menu bar and a status bar of these heights.

    `panels` False leaves only the viewport. The viewport keeps at least MIN_VIEWPORT pixels, the columns give way. Where
    timeline and bottom strip together would leave it less than half the height, the strip gives way to the timeline.
    """
    if not panels:
        none = Rect(0, 0, 0, 0)
        return Places(Rect(0, 0, max(1, width), max(1, height)), none, none, none, none, none, {})
    bar = round(SPLITTER * scale)
    least = round(MIN_VIEWPORT * scale)
    left = round(layout.left * scale) if layout.show_left else 0
    right = round(layout.right * scale) if layout.show_right else 0
    spare = width - least - 2 * bar
    if left + right > spare:
        share = max(0.0, spare / (left + right))
        left, right = int(left * share), int(right * share)
    inner = height - menu - status
    bottom = round(layout.bottom * scale) if layout.show_bottom else 0
    strip = round(layout.timeline * scale) if timeline else 0
    strip = max(0, min(strip, inner - least - 2 * bar))
    taken = strip + bar if strip else 0
    crowded = strip > 0 and bottom > 0 and inner - bottom - bar - taken < VIEWPORT_SHARE * inner
    bottom = 0 if crowded else max(0, min(bottom, inner - taken - least - bar))
    middle = max(1, inner - bottom - taken - bar)
    below = menu + middle + taken + bar
    places = Places(
        viewport=Rect(left + bar, menu, max(1, width - left - right - 2 * bar), middle),
        left=Rect(0, menu, left, middle),
        right=Rect(width - right, menu, right, middle),
        timeline=Rect(0, menu + middle + bar, width, strip),
        bottom=Rect(0, below, width, bottom),
        status=Rect(0, height - status, width, status),
        splitters={
            "left": Rect(left, menu, bar, middle),
            "right": Rect(width - right - bar, menu, bar, middle),
            "bottom": Rect(0, below - bar, width, bar),
        },
    )
    if strip:
        places.splitters["timeline"] = Rect(0, menu + middle, width, bar)
    if crowded:
        del places.splitters["bottom"]
    return places


def dragged(
    layout: Layout, splitter: str, x: float, y: float, width: int, height: int, status: int, menu: float = 0
) -> Layout:
    """Return the layout after a splitter was pulled to (x, y); all lengths at scale 1.

    `menu` is the menu bar's height while the timeline is shown: it and the strip then leave the viewport its share.
    """
    if splitter == "timeline":
        below = layout.bottom + SPLITTER if layout.show_bottom else SPLITTER
        room = (1.0 - VIEWPORT_SHARE) * (height - menu - status) - SPLITTER
        if room - below < MIN_TIMELINE:  # the strip has given way already
            below = SPLITTER
        wanted = min(height - status - y - below - SPLITTER, room - below, MAX_TIMELINE)
        return replace(layout, timeline=int(max(wanted, MIN_TIMELINE)))
    if splitter == "bottom":
        strip = height - status - y
        if strip < 0.5 * FOLD_BELOW:
            return replace(layout, show_bottom=False)
        if menu:
            room = (1.0 - VIEWPORT_SHARE) * (height - menu - status) - layout.timeline - 2 * SPLITTER
            strip = min(strip, room)
        return replace(layout, show_bottom=True, bottom=int(min(max(strip, MIN_STRIP), MAX_STRIP)))
    column = x if splitter == "left" else width - x
    if column < FOLD_BELOW:
        return replace(layout, **{f"show_{splitter}": False})
    wanted = round(min(max(column, MIN_COLUMN), MAX_COLUMN))
    return replace(layout, **{f"show_{splitter}": True, splitter: wanted})


def layout_file() -> Path:
    """Return where the layout is kept."""
    return config_folder() / "layout.json"


def load(path: Path) -> Layout:
    """Return the layout in a file; the default one, and a line in the log, if the file does not serve."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return _checked(data)
    except FileNotFoundError:
        return Layout()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("layout ignored file=%s reason=%s", path, error)
        return Layout()


def _checked(data: dict[str, Any]) -> Layout:
    if data.get("version") != VERSION:
        raise ValueError(f"version {data.get('version')} instead of {VERSION}")
    default = Layout()
    values: dict[str, Any] = {}
    for item in fields(Layout):
        value = data.get(item.name, getattr(default, item.name))
        kind = type(getattr(default, item.name))
        if kind is tuple:
            if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
                raise ValueError(f"{item.name} is not a list of texts")
            value = tuple(value)
        if type(value) is not kind:
            raise ValueError(f"{item.name} is {value!r}")
        values[item.name] = value
    layout = Layout(**values)
    return replace(
        layout,
        width=min(max(layout.width, 640), 8192),
        height=min(max(layout.height, 420), 8192),
        left=min(max(layout.left, MIN_COLUMN), MAX_COLUMN),
        right=min(max(layout.right, MIN_COLUMN), MAX_COLUMN),
        bottom=min(max(layout.bottom, MIN_STRIP), MAX_STRIP),
        timeline=min(max(layout.timeline, MIN_TIMELINE), MAX_TIMELINE),
    )


def save(layout: Layout, path: Path) -> None:
    """Write the layout; a full or read-only disk costs a line in the log, nothing else."""
    write_json(asdict(layout), path, "layout")
