# SPDX-License-Identifier: MIT
"""The settings at work: read at the start, checked and kept when one is changed, and put into effect at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from app import commands, settings, shortcuts
from app.gui import colours, theme
from app.gui.restyle import Rescale, recolour
from app.session import Session
from app.settings import Settings
from engine.options import build, updated

log = logging.getLogger(__name__)

Listener = Callable[[Settings, Settings], None]  # settings before and after


class Preferences:
    """Owns `session.settings` and the shortcuts of the window. Who must act on a change listens."""

    def __init__(
        self, session: Session, path: Path, desk_scale: float, forced_scale: float | None = None
    ) -> None:
        """`desk_scale` is what the desktop asks for; `forced_scale` is what the command line does, over all settings."""
        self._session, self._path, self.desk_scale, self.forced_scale = (
            session,
            path,
            desk_scale,
            forced_scale,
        )
        self._listeners: list[Listener] = []
        self._rescale = Rescale()
        session.settings, changed = settings.load(path)
        known = {command.id for command in commands.COMMANDS}
        shortcuts.use({name: chord for name, chord in changed.items() if name in known})
        colours.choose(session.settings.appearance.theme, session.settings.appearance.safe_colours)

    @property
    def scale(self) -> float:
        """The scale that everything in the window should have."""
        look = self._session.settings.appearance
        chosen = look.interface_scale if look.interface_scale > 0.0 else self.desk_scale
        return theme.clamped_scale((self.forced_scale or chosen) * look.text_size)

    def listen(self, listener: Listener) -> None:
        """Call back after every change, and once now with the settings of the start against the defaults."""
        self._listeners.append(listener)
        listener(Settings(), self._session.settings)

    def change(self, values: Mapping[str, Any]) -> None:
        """Set settings by dotted name, keep them and put them into effect. Raises OptionError if one will not do."""
        self._become(updated(self._session.settings, dict(values)))

    def reset(self) -> None:
        """Go back to the defaults of everything, keys as well."""
        shortcuts.use({})
        self._become(build(Settings, {}))

    def change_keys(self, changed: Mapping[str, str]) -> None:
        """Let commands have other keys from now on: {command id: chord}."""
        shortcuts.use(changed)
        self._become(self._session.settings)

    def _become(self, after: Settings) -> None:
        before, self._session.settings = self._session.settings, after
        self._save()
        for listener in self._listeners:
            listener(before, after)

    def _save(self) -> None:
        settings.save(self._session.settings, shortcuts.changed(), self._path)

    # --- what the look of the window follows --------------------------------------------------------------------

    def recolour(self) -> bool:
        """Give the window the colours of the settings; return whether any is another one."""
        look = self._session.settings.appearance
        changes = colours.choose(look.theme, look.safe_colours)
        recolour(changes)
        if changes:
            dpg.set_viewport_clear_color(theme.BACKGROUND)
        return bool(changes)

    def rescale(self, look: theme.Theme) -> bool:
        """Give the window the scale of the settings; return whether it is another one."""
        ratio = self.scale / look.sizes.scale
        if abs(ratio - 1.0) < 1e-6:
            return False
        look.sizes.scale = self.scale
        fonts = look.make_fonts()
        self._rescale.apply(ratio, fonts)
        for old in fonts:
            dpg.delete_item(old)
        return True
