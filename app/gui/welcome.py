# SPDX-License-Identifier: MIT
"""What stands in the middle while no scene is open: ways to begin, recent scenes; or how far loading is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dearpygui.dearpygui as dpg

from app.gui import formats, theme
from app.gui.layout import Rect
from app.session import Session
from engine.datasets.recognise import BUILT_IN
from engine.messages import TrainState

WIDTH, HEIGHT, ROW = 440, 262, 31


class Welcome:
    """A card over the viewport."""

    def __init__(
        self, look: theme.Theme, run: Callable[[str], None], open_path: Callable[[str], None]
    ) -> None:
        self._look, self._run, self._open = look, run, open_path
        self._window: int | str = 0
        self._recent: tuple[str, ...] = ()
        self._shown: object = None

    def build(self) -> None:
        """Create the card, hidden."""
        px = self._look.sizes.px
        self._window = dpg.add_window(
            no_title_bar=True, no_move=True, no_resize=True, no_collapse=True, no_scrollbar=True, show=False,
            no_background=True, no_focus_on_appearing=True,
        )  # fmt: skip
        dpg.bind_item_theme(self._window, self._look.bare)
        self._card = dpg.add_child_window(
            parent=self._window, width=-1, height=-1, border=True, no_scrollbar=True
        )
        dpg.bind_item_theme(self._card, self._look.card)
        with dpg.group(parent=self._card) as self._begin:
            title = dpg.add_text("See a scene come into focus")
            if self._look.bold is not None:
                dpg.bind_item_font(title, self._look.bold)
            dpg.add_text(
                "Open a folder of posed photos and fly through it while it trains.",
                color=theme.MUTED,
                wrap=px(380),
            )
            dpg.add_spacer(height=px(6))
            with dpg.group(horizontal=True):
                demo = dpg.add_button(label="Try the demo", width=px(150), height=px(34))
                dpg.bind_item_theme(demo, self._look.primary)
                dpg.configure_item(demo, callback=lambda: self._run("open_demo"))
                dpg.add_button(
                    label="Open scene", width=px(116), height=px(34), callback=lambda: self._run("open_scene")
                )
                dpg.add_button(
                    label="Open run", width=px(100), height=px(34), callback=lambda: self._run("open_run")
                )
            dpg.add_spacer(height=px(6))
            self._recent_title = dpg.add_text("Recent", color=theme.MUTED, show=False)
            self._list = dpg.add_group()
            self._hint = dpg.add_text("Press ? for all keys.", color=theme.DISABLED)
        with dpg.group(parent=self._card, show=False) as self._loading:
            self._stage = dpg.add_text("")
            if self._look.bold is not None:
                dpg.bind_item_font(self._stage, self._look.bold)
            self._bar = dpg.add_progress_bar(width=-1, height=px(8))
            self._detail = dpg.add_text("", color=theme.MUTED)

    def set_recent(self, paths: tuple[str, ...]) -> None:
        """List recent scenes and runs."""
        self._recent = paths[:5]
        dpg.delete_item(self._list, children_only=True)
        dpg.configure_item(self._recent_title, show=bool(self._recent))
        dpg.configure_item(self._hint, show=not self._recent)
        for path in self._recent:
            label = path if path in BUILT_IN else f"{Path(path).name}   {_short(str(Path(path).parent))}"
            button = dpg.add_button(
                label=label, parent=self._list, callback=lambda s, a, p: self._open(p), user_data=path
            )
            dpg.bind_item_theme(button, self._look.flat)
            theme.explain(button, path)
        self._shown = None

    def refresh(self, session: Session, rect: Rect) -> None:
        """Show, hide, place and fill the card."""
        progress = session.progress
        loading = session.state is TrainState.LOADING
        show = session.scene is None or (loading and progress is not None)
        key = (show, loading, rect, progress, session.state_reason)
        if key == self._shown:
            return
        self._shown = key
        dpg.configure_item(self._window, show=show)
        if not show:
            return
        px = self._look.sizes.px
        width = min(px(WIDTH), rect.width - px(16))
        height = px(122) if loading else px(HEIGHT + ROW * len(self._recent) - (0 if self._recent else 40))
        height = min(height, rect.height - px(16))
        place = [rect.x + (rect.width - width) // 2, rect.y + (rect.height - height) // 2]
        dpg.configure_item(self._window, pos=place, width=width, height=height)
        dpg.configure_item(self._begin, show=not loading)
        dpg.configure_item(self._loading, show=loading)
        if loading:
            total, done = (progress.total, progress.done) if progress else (0, 0)
            stage = progress.stage if progress else "loading"
            dpg.set_value(self._stage, f"{stage[:1].upper()}{stage[1:]}")
            dpg.configure_item(self._bar, show=total > 0)
            dpg.set_value(self._bar, done / total if total else 0.0)
            counted = f"{formats.count(done)} of {formats.count(total)}" if total else _patience(stage)
            dpg.set_value(self._detail, session.state_reason or counted)


def _patience(stage: str) -> str:
    return (
        "Only at the first start; it takes about a minute" if stage.startswith("compiling") else "One moment"
    )


def _short(folder: str, length: int = 42) -> str:
    return folder if len(folder) <= length else "…" + folder[-length + 1 :]
