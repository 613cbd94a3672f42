# SPDX-License-Identifier: MIT
"""What settings mean for how the open scene is looked at: they are where it begins, and a change is seen at once."""

from __future__ import annotations

from app.session import Session
from app.settings import BACKGROUNDS, SAFE_MAP, Settings


def on_view(session: Session, before: Settings, after: Settings) -> None:
    """Bring the session's view to the settings that are others than before."""
    view, old, new = session.view, before.viewport, after.viewport
    safe = after.appearance.safe_colours
    if safe != before.appearance.safe_colours:
        view.colour_map = SAFE_MAP if safe else new.colour_map
    if new.colour_map != old.colour_map:
        view.colour_map = new.colour_map
    if new.background != old.background:
        view.background = BACKGROUNDS[new.background]
    if new.fly_speed != old.fly_speed:
        view.fly_speed = new.fly_speed
    if after.training.method != before.training.method:
        session.method = after.training.method
