# SPDX-License-Identifier: MIT
"""The start page, over the whole window while no scene is open: ways to begin, recent scenes; or how far loading is."""

from __future__ import annotations

from collections.abc import Callable

import dearpygui.dearpygui as dpg

from app import commands
from app.gui import formats, theme
from app.gui.keyboard import walk
from app.gui.layout import Rect
from app.gui.recent_cards import RecentCards
from app.recent import Recent
from app.session import Session
from engine.messages import TrainState

SIDE, MARGIN, BUTTON = 250, 44, 36
ALONE = SIDE + 3 * MARGIN, 460  # the page without recent scenes
LOADING = 440, 122
WAYS = ("open_demo", "open_scene", "import_photos", "open_run", "follow_run")
_FRAMELESS = dict(
    no_title_bar=True, no_move=True, no_resize=True, no_collapse=True, no_bring_to_front_on_focus=True, show=False
)  # fmt: skip


class Welcome:
    """Two windows, of which at most one is shown."""

    def __init__(self, look: theme.Theme, run: Callable[[str], None], cards: RecentCards) -> None:
        self._look, self._run, self._cards = look, run, cards
        self._recent: list[Recent] = []
        self._shown: object = None
        self._begins = False  # the start page has the keyboard

    def build(self) -> None:
        """Create both, hidden."""
        px = self._look.sizes.px
        self._page = dpg.add_window(
            no_scrollbar=True, no_scroll_with_mouse=True, no_background=True, **_FRAMELESS
        )
        with dpg.theme() as plain, dpg.theme_component(dpg.mvWindowAppItem):
            dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, px(MARGIN), px(MARGIN - 8))
        dpg.bind_item_theme(self._page, plain)
        with dpg.group(horizontal=True, horizontal_spacing=px(MARGIN), parent=self._page):
            with dpg.group():
                self._ways()
            with dpg.group() as self._later:
                self._bold("Recent")
                dpg.add_spacer(height=px(4))
                self._list = dpg.add_child_window(border=False)
        self._window = dpg.add_window(no_scrollbar=True, no_background=True, **_FRAMELESS)
        dpg.bind_item_theme(self._window, self._look.bare)
        card = dpg.add_child_window(parent=self._window, width=-1, height=-1, border=True, no_scrollbar=True)
        dpg.bind_item_theme(card, self._look.card)
        with dpg.group(parent=card):
            self._stage = self._bold("")
            self._bar = dpg.add_progress_bar(width=-1, height=px(8))
            self._detail = dpg.add_text("", color=theme.MUTED)

    def _bold(self, text: str) -> int | str:
        item = dpg.add_text(text)
        if self._look.bold is not None:
            dpg.bind_item_font(item, self._look.bold)
        return item

    def _ways(self) -> None:
        """The commands that one can begin with."""
        px = self._look.sizes.px
        with dpg.theme() as tip, dpg.theme_component(dpg.mvTooltip):  # else they have the page's wide margin
            dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, px(12), px(10))
        self._bold("See a scene come into focus")
        text = "Open a folder of posed photos and fly through it while it trains."
        dpg.add_text(text, color=theme.MUTED, wrap=px(SIDE + MARGIN))
        dpg.add_spacer(height=px(10))
        for number, command_id in enumerate(WAYS):
            command = commands.find(command_id)
            button = dpg.add_button(
                label="Try the demo" if number == 0 else command.label, width=px(SIDE), height=px(BUTTON),
                callback=lambda s, a, name: self._run(name), user_data=command_id,
            )  # fmt: skip
            told = theme.explain(button, commands.tooltip(command))
            dpg.bind_item_theme(dpg.get_item_parent(told), tip)
            if number == 0:
                self._first = button
                dpg.bind_item_theme(button, self._look.primary)
        dpg.add_spacer(height=px(10))
        hint = "Or drop a folder, a run, photos or a video on this window.\n\nArrow keys and Enter choose; ? lists all keys."
        dpg.add_text(hint, color=theme.MUTED, wrap=px(SIDE + MARGIN))

    def set_recent(self, scenes: list[Recent]) -> None:
        """List recent scenes."""
        self._recent, self._shown = scenes, None

    def refresh(self, session: Session, area: Rect, middle: Rect) -> bool:
        """Show, hide, place and fill them: the page over `area`, progress over `middle`; return whether anything changed."""
        progress = session.progress
        loading = session.state is TrainState.LOADING
        begins = session.scene is None and not loading
        waits = loading and (session.scene is None or progress is not None)
        key = (begins, waits, area if begins else middle, progress if waits else None, session.state_reason)
        if key == self._shown:
            return False
        self._shown = key
        dpg.configure_item(self._page, show=begins)
        dpg.configure_item(self._window, show=waits)
        if begins:
            self._fill(area)
        elif waits:
            self._tell(session, middle)
        if begins != self._begins:
            self._begins = begins
            walk(begins)
            if begins:
                dpg.focus_item(self._first)
        return True

    def _fill(self, area: Rect) -> None:
        px = self._look.sizes.px
        dpg.configure_item(self._later, show=bool(self._recent))
        if not self._recent:
            area = centred(area, px(ALONE[0]), px(ALONE[1]))
        dpg.configure_item(self._page, pos=[area.x, area.y], width=area.width, height=area.height)
        width = area.width - px(SIDE + 3 * MARGIN) - px(12)
        height = max(px(80), area.height - 2 * px(MARGIN) - px(16))
        dpg.configure_item(self._list, width=max(px(80), width), height=height)
        self._cards.fill(self._list, self._recent, width - px(14))

    def _tell(self, session: Session, middle: Rect) -> None:
        px, progress = self._look.sizes.px, session.progress
        inner = centred(middle, middle.width - px(16), middle.height - px(16))
        card = centred(inner, px(LOADING[0]), px(LOADING[1]))
        dpg.configure_item(self._window, pos=[card.x, card.y], width=card.width, height=card.height)
        total, done = (progress.total, progress.done) if progress else (0, 0)
        stage = progress.stage if progress else "loading"
        dpg.set_value(self._stage, f"{stage[:1].upper()}{stage[1:]}")
        dpg.configure_item(self._bar, show=total > 0)
        dpg.set_value(self._bar, done / total if total else 0.0)
        counted = f"{formats.count(done)} of {formats.count(total)}" if total else _patience(stage)
        dpg.set_value(self._detail, session.state_reason or counted)


def centred(area: Rect, width: int, height: int) -> Rect:
    """Return a rectangle of a size in the middle of an area, no larger than it."""
    width, height = min(width, area.width), min(height, area.height)
    return Rect(area.x + (area.width - width) // 2, area.y + (area.height - height) // 2, width, height)


def _patience(stage: str) -> str:
    return (
        "Only at the first start; it takes about a minute" if stage.startswith("compiling") else "One moment"
    )
