# SPDX-License-Identifier: MIT
"""Where the files lie that the app ships: shaders, fonts, icon, default layout.

In a checkout `shaders/` and `assets/` are beside `app/`; in an installed wheel they are inside it.
"""

from __future__ import annotations

from pathlib import Path

_APP = Path(__file__).resolve().parent


def resource_path(name: str) -> Path:
    """Return the path of a shipped file or folder, named as in the checkout: "shaders/present.frag", "assets/icon.png".

    Raises FileNotFoundError when there is no such file, which means a broken installation.
    """
    candidates = (_APP / name, _APP.parent / name)  # in a wheel, site-packages may hold a stranger's "assets"
    for path in candidates:
        if path.exists():
            return path
    places = " and ".join(str(path) for path in candidates)
    raise FileNotFoundError(f"nerfviewer's own file {name} is neither at {places}. Install nerfviewer again.")


def shader_source(name: str) -> str:
    """Return the text of one GLSL file of `shaders/`."""
    return resource_path(f"shaders/{name}").read_text(encoding="utf-8")


def font_path(weight: str = "Regular") -> Path:
    """Return the window's font, "Regular" or "SemiBold": Inter with tabular figures, static TrueType."""
    return resource_path(f"assets/fonts/InterTabular-{weight}.ttf")


def icon_path() -> Path:
    """Return the application's icon, a square PNG with transparency."""
    return resource_path("assets/icon.png")
