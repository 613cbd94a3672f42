# SPDX-License-Identifier: MIT
"""The menu bar, made from the registry, with the state of training at its right end."""

from __future__ import annotations

from collections.abc import Callable

import dearpygui.dearpygui as dpg

from app import commands, shortcuts
from app.gui import formats, theme
from app.session import Session, model_names
from engine.messages import TrainState

STATE_COLOURS = {
    TrainState.EMPTY: theme.MUTED,
    TrainState.LOADING: theme.ACCENT,
    TrainState.PAUSED: theme.WARNING,
    TrainState.TRAINING: theme.GOOD,
    TrainState.FINISHED: theme.ACCENT,
    TrainState.FAILED: theme.BAD,
}


class MenuBar:
    """`build` once; `refresh` a few times a second."""

    def __init__(self, look: theme.Theme, run: Callable[[str], None]) -> None:
        self._look, self._run = look, run
        self._items: dict[str, int | str] = {}
        self._shown: dict[int | str, tuple[str | None, bool | None, str, str]] = {}
        self._status: list[int | str] = []
        self._last: object = None
        self._gap_width = 1
        self._gap: int | str = 0
        self._last_menu: int | str = 0
        self.bar: int | str = 0
        self.window: int | str = 0
        self._placed: tuple[bool, int, int] | None = None
        self._recent: int | str = 0
        self._tips: dict[str, int | str] = {}

    def build(self) -> None:
        """Create the menus."""
        self.window = dpg.add_window(
            label="Menu bar", no_title_bar=True, no_move=True, no_resize=True, no_collapse=True, no_background=True, menubar=True,
            no_scrollbar=True, no_bring_to_front_on_focus=True, no_focus_on_appearing=True, pos=[0, 0], min_size=[1, 1],
        )  # fmt: skip
        with dpg.menu_bar(parent=self.window) as self.bar:
            for menu in commands.MENUS:
                groups: dict[str, int | str] = {}
                with dpg.menu(label=menu) as self._last_menu:
                    for command in commands.COMMANDS:
                        if command.menu == menu:
                            if command.group and command.group not in groups:
                                groups[command.group] = dpg.add_menu(label=command.group)
                            self._add(command, groups.get(command.group, 0))
                            if command.id == "open_demo":
                                self._recent = dpg.add_menu(label="Recent", show=False)
            self._gap = dpg.add_spacer(width=1)
            for _ in range(6):
                self._status.append(dpg.add_text("", color=theme.MUTED))
        self._name_font()

    def _name_font(self) -> None:
        if self._look.bold is not None:
            dpg.bind_item_font(self._status[0], self._look.bold)
        dpg.configure_item(self._status[0], color=theme.TEXT)

    def _add(self, command: commands.Command, parent: int | str) -> None:
        """Add the item of a command, inside a menu of its own (`parent`) or, at 0, of the one that is open."""
        run = self._run
        item = dpg.add_menu_item(
            parent=parent,
            label=command.label,
            shortcut=shortcuts.chord_of(command),
            check=command.checked is not None,
            callback=lambda: run(command.id),
        )
        self._items[command.id] = item
        self._tips[command.id] = theme.explain(item, command.help)

    def set_recent(self, paths: tuple[str, ...], open_path: Callable[[str], None]) -> None:
        """Fill the list of recent scenes."""
        dpg.delete_item(self._recent, children_only=True)
        dpg.configure_item(self._recent, show=bool(paths))
        for path in paths:
            dpg.add_menu_item(
                label=path, parent=self._recent, callback=lambda s, a, p: open_path(p), user_data=path
            )

    def place(self, show: bool, width: int) -> int:
        """Lie along the window's top edge, or hide; return the height in pixels."""
        height = self._look.sizes.px(theme.FONT_PX + 13)
        if self._placed != (show, width, height):
            self._placed = (show, width, height)
            dpg.configure_item(self.window, show=show, width=width, height=height)
        return height if show else 0

    def refresh(self, session: Session, width: int) -> None:
        """Bring ticks, greyed items and the status at the right up to date."""
        for command in commands.COMMANDS:
            reason = command.enabled_when(session)
            ticked = command.checked(session) if command.checked else None
            item = self._items[command.id]
            label = command.label_in(session) if command.label_in else command.label
            chord = shortcuts.chord_of(command)
            if self._shown.get(item) != (reason, ticked, label, chord):
                self._shown[item] = (reason, ticked, label, chord)
                dpg.configure_item(item, enabled=reason is None, label=label, shortcut=chord)
                dpg.set_value(self._tips[command.id], command.help if reason is None else reason)
                if ticked is not None:
                    dpg.set_value(item, ticked)
        self._refresh_status(session, width)

    def _refresh_status(self, session: Session, width: int) -> None:
        texts = [("", theme.MUTED)] * 6
        scene, stats = session.scene, session.stats
        if scene is not None:
            texts[0] = (scene.name, theme.TEXT)
            texts[1] = (_methods(session), theme.MUTED)
        texts[2] = (session.state.value, STATE_COLOURS[session.state])
        if scene is not None and scene.followed and session.state is TrainState.PAUSED:
            texts[2] = ("attached", theme.ACCENT)
        if scene is not None and stats is not None:
            texts[3] = (f"step {formats.count(stats.step)}", theme.TEXT)
            if session.state is TrainState.TRAINING and stats.steps_per_s > 0:
                texts[4] = (formats.rate(stats.steps_per_s), theme.TEXT)
                if stats.eta_s is not None:
                    texts[5] = (f"{formats.duration(stats.eta_s)} left", theme.MUTED)
        if texts != self._last:
            self._last = texts
            for item, (text, colour) in zip(self._status, texts):
                dpg.configure_item(item, color=colour, show=bool(text))
                dpg.set_value(item, text)
        self._push_right(width, [text for text, _ in texts])

    def _push_right(self, width: int, texts: list[str]) -> None:
        """Make the gap before the status so wide that the status ends at the window's edge."""
        menu, label = self._last_menu, commands.MENUS[-1]
        left = dpg.get_item_state(menu)["pos"][0]
        if left <= 0:  # not drawn yet
            return
        px, fonts = self._look.sizes.px, (self._look.bold or 0, 0, 0, 0, 0, 0)
        space, (label_width, _) = px(theme.SPACING_PX), dpg.get_text_size(label) or (0, 0)
        sizes = [dpg.get_text_size(text, font=font) or (0, 0) for text, font in zip(texts, fonts) if text]
        begin = left + label_width + 2 * space  # a menu has half a space more on either side
        gap = max(1, int(width - px(14) - begin - sum(size[0] + space for size in sizes)))
        if gap != self._gap_width:
            self._gap_width = gap
            dpg.configure_item(self._gap, width=gap)


def _methods(session: Session) -> str:
    """Return the method of the open model, and the one that it is compared with."""
    front, beside = model_names(session)
    return f"{front} against {beside}" if beside else front
