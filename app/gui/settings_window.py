# SPDX-License-Identifier: MIT
"""The settings window: a page for each group of `app.settings`, made from the declarations, and one for the keys.

A change takes effect at once and is kept; what is wrong is said in a sentence and the old value stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from app import settings
from app.gui import theme
from app.gui.edit_handlers import EditHandlers
from app.gui.settings_keys import KeysPage
from app.settings import Settings
from engine.errors import OptionError
from engine.messages import Event
from engine.methods.common import method_title
from engine.options import OptionInfo, describe, flatten

if TYPE_CHECKING:
    from app.gui.actions import Parts

WIDTH, HEIGHT = 720, 560
KEYS, SCALE = "keys", "appearance.interface_scale"


class SettingsWindow:
    """One window; it is made anew each time it opens."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._look = parts, parts.look
        self._window: int | str | None = None
        self._infos: dict[str, OptionInfo] = {info.name: info for info in describe(Settings)}
        self._controls: dict[str, int | str] = {}
        self._tabs: dict[str, int | str] = {}
        self._handlers = EditHandlers()
        self._shown: Settings | None = None
        self._page, self._made_for = "appearance", 0.0  # what is shown, the scale it was made for
        self._keys = KeysPage(parts, lambda: self.shown)
        parts.dialogs.escapes.append(self._escape)

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return what it can do."""
        return {
            "settings.toggle": lambda _: self._close() if self.shown else self._open(),
            "settings.show": self._show_setting,
        }

    def on_event(self, event: Event) -> None:
        """Settings are of the window, not of the model."""

    def close(self) -> None:
        """Nothing to let go of."""

    def update(self, dt: float) -> bool:
        """Show the values in force: commands change some of them too."""
        if not self.shown:
            return False
        if self._made_for != self._look.sizes.scale:
            self._open(self._page)
        self._keys.update()
        now = self._parts.session.settings
        if now is self._shown:
            return False
        self._shown = now
        for name, value in flatten(now).items():
            if not dpg.is_item_active(self._controls[name]):
                dpg.set_value(self._controls[name], _said(name, value))
        dpg.configure_item(self._controls[SCALE], format=self._scale_format(now.appearance.interface_scale))
        return True

    def _scale_format(self, chosen: float) -> str:
        preferences = self._parts.preferences
        if preferences.forced_scale is not None:
            return f"{preferences.forced_scale:g} x, by the command line"
        return "%.2f x" if chosen else f"as the desktop ({preferences.desk_scale:g} x)"

    @property
    def shown(self) -> bool:
        """Whether it is on the screen."""
        return (
            self._window is not None and dpg.does_item_exist(self._window) and dpg.is_item_shown(self._window)
        )

    # --- building ---------------------------------------------------------------------------------------------

    def _open(self, page: str = "appearance") -> None:
        self._close()
        self._made_for = self._look.sizes.scale
        px = self._look.sizes.px
        width, height = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        wide, high = min(px(WIDTH), width - px(40)), min(px(HEIGHT), height - px(70))
        self._window = dpg.add_window(
            label="Settings", width=wide, height=high, no_collapse=True, on_close=self._close,
            pos=[(width - wide) // 2, (height - high) // 2],
        )  # fmt: skip
        dpg.bind_item_theme(self._window, self._look.floating)
        with dpg.group(parent=self._window):
            with (
                dpg.child_window(height=-px(74), border=False),
                dpg.tab_bar(callback=lambda s, tab: self._turned(tab)) as self._bar,
            ):
                for group, title in settings.titles().items():
                    with dpg.tab(label=title) as self._tabs[group]:
                        self._fill(group)
                with dpg.tab(label="Keys") as self._tabs[KEYS]:
                    self._keys.build()
            self._word = dpg.add_text("", color=theme.WARNING, wrap=wide - px(40))
            with dpg.group(horizontal=True):
                close = dpg.add_button(label="Close", width=px(110), callback=self._close)
                dpg.bind_item_theme(close, self._look.primary)
                reset = dpg.add_button(label="Reset all settings", callback=self._reset)
                theme.explain(
                    reset, "Every setting and every key back to what it was at the first start, after asking."
                )
        self._turn_to(page)
        self._shown = None
        self.update(0.0)

    def _fill(self, group: str) -> None:
        dpg.add_spacer(height=self._look.sizes.px(4))
        with dpg.table(header_row=False, policy=dpg.mvTable_SizingStretchProp, pad_outerX=False):
            dpg.add_table_column(init_width_or_weight=0.3)
            dpg.add_table_column(init_width_or_weight=0.7)
            for name, info in self._infos.items():
                if name.split(".")[0] == group:
                    with dpg.table_row():
                        dpg.add_text(info.label)
                        with dpg.group():
                            self._controls[name] = self._control(info)
                            dpg.add_text(info.help, color=theme.MUTED, wrap=0)
                            dpg.add_spacer(height=self._look.sizes.px(5))

    def _turn_to(self, page: str) -> None:
        self._page = page
        dpg.set_value(self._bar, self._tabs[page])

    def _turned(self, tab: int | str) -> None:
        self._page = next(name for name, item in self._tabs.items() if item == tab)

    def _control(self, info: OptionInfo) -> int | str:
        forced = info.name == SCALE and self._parts.preferences.forced_scale is not None
        common: dict[str, Any] = {"enabled": not forced}
        if info.type is bool:
            item = dpg.add_checkbox(callback=lambda s, value: self._set(info.name, value), **common)
        elif info.choices:
            items = [_said(info.name, choice) for choice in info.choices]
            item = dpg.add_combo(
                items, width=-1, callback=lambda s, said: self._set(info.name, _meant(info, said)), **common
            )
        else:
            item = self._field(info, common)
        if forced:
            theme.explain(
                item,
                "The command line says how large the interface is (--ui-scale); leave that out to choose here.",
            )
        return item

    def _field(self, info: OptionInfo, common: dict[str, Any]) -> int | str:
        """Return a field for a number or a text; it counts once the person has finished with it."""
        if info.type is str:
            item = dpg.add_input_text(width=-1, hint="Folder", **common)
        else:
            make = dpg.add_slider_int if info.type is int else dpg.add_slider_float
            form = ("%d" if info.type is int else "%.2f") + (f" {info.unit}" if info.unit else "")
            item = make(
                width=-1, min_value=info.type(info.minimum), max_value=info.type(info.maximum), format=form, clamped=True,
                **common,
            )  # fmt: skip
        self._handlers.add(item, lambda value: self._set(info.name, value))
        return item

    # --- what a person does -----------------------------------------------------------------------------------

    def _set(self, name: str, value: Any) -> None:
        try:
            if name == SCALE and 0.0 < value < settings.MIN_SCALE:
                value = 0.0
            self._parts.preferences.change({name: round(value, 3) if isinstance(value, float) else value})
            dpg.set_value(self._word, "")
        except OptionError as error:
            dpg.set_value(self._word, str(error))
        self._shown = None

    def _show_setting(self, name: str) -> None:
        """Open the page of a setting and give it the keyboard."""
        if not self.shown:
            self._open()
        self._turn_to(name.split(".")[0])
        if name in self._controls:
            dpg.focus_item(self._controls[name])

    def _reset(self) -> None:
        question = "Put every setting and every key back to what it was at the first start?"
        self._parts.dialogs.confirm(question, "Reset", self._parts.preferences.reset)

    def _escape(self) -> bool:
        shown = self.shown
        if not self._keys.stop():
            self._close()
        return shown

    def _close(self) -> None:
        self._keys.stop()
        if self._window is not None and dpg.does_item_exist(self._window):
            dpg.delete_item(self._window)
        self._handlers.sweep()
        self._window = None


def _said(name: str, value: Any) -> Any:
    """Return how a value is shown."""
    return method_title(value) if name == "training.method" else value


def _meant(info: OptionInfo, said: str) -> str:
    return next(choice for choice in info.choices if _said(info.name, choice) == said)
