# SPDX-License-Identifier: MIT
"""The cards of recent scenes on the start page: picture, name, how far it was trained, when; each opens with a click or Enter."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import dearpygui.dearpygui as dpg

from app.gui import theme
from app.gui.thumbnails import HEIGHT, WIDTH, Thumbnails
from app.recent import Recent, when

LEAST_WIDTH, GAP, PAD = 240, 14, 9
TEXT_HEIGHT = 84  # three lines


class RecentCards:
    """Fills a child window with cards, as many to a row as there is room for."""

    def __init__(
        self,
        look: theme.Theme,
        thumbnails: Thumbnails,
        open_path: Callable[[str], None],
        forget: Callable[[str], None],
    ) -> None:
        self._look, self._thumbnails = look, thumbnails
        self._open, self._forget = open_path, forget
        self._registry: int | str = 0
        self._textures: list[int | str] = []
        self._frame: int | str = 0  # a theme
        self._wide = LEAST_WIDTH  # a card

    def fill(self, parent: int | str, scenes: list[Recent], width: int) -> None:
        """Show cards in a space so many pixels wide; the ones of before are gone."""
        if not self._registry:
            self._registry = dpg.add_texture_registry()
            self._frame = _frame(self._look)
        dpg.delete_item(parent, children_only=True)
        for texture in self._textures:
            dpg.delete_item(texture)
        self._textures = []
        px = self._look.sizes.px
        per_row = max(1, (width + px(GAP)) // (px(LEAST_WIDTH) + px(GAP)))
        self._wide = min(px(WIDTH + 2 * PAD), (width - (per_row - 1) * px(GAP)) // per_row)
        for first in range(0, len(scenes), per_row):
            with dpg.group(horizontal=True, horizontal_spacing=px(GAP), parent=parent):
                for scene in scenes[first : first + per_row]:
                    self._card(scene)
            dpg.add_spacer(height=px(GAP) - px(4), parent=parent)

    def _card(self, scene: Recent) -> None:
        px = self._look.sizes.px
        gone = scene.gone
        with dpg.child_window(
            width=self._wide, height=self._high() + px(TEXT_HEIGHT + 2 * PAD), border=True, no_scrollbar=True,
            no_scroll_with_mouse=True,
        ) as card:  # fmt: skip
            dpg.bind_item_theme(card, self._frame)
            self._picture(scene, bool(gone))
            title = dpg.add_text(_cut(scene.title, 24), color=theme.DISABLED if gone else theme.TEXT)
            if self._look.bold is not None:
                dpg.bind_item_font(title, self._look.bold)
            dpg.add_text("This folder is gone" if gone else _cut(scene.state(), 30), color=theme.MUTED)
            with dpg.group(horizontal=True):
                moment = when(scene.opened_at, datetime.datetime.now())
                if moment:
                    dpg.add_text(moment, color=theme.MUTED)
                if scene.trained and not gone:
                    self._link(
                        "Start anew", scene.path, self._open, "Opens the photos alone and trains a new model."
                    )
                self._link(
                    "Remove", scene.path, self._forget, "Removes the card; scene and run stay where they are."
                )

    def _picture(self, scene: Recent, gone: bool) -> None:
        wide = self._wide - 2 * self._look.sizes.px(PAD)
        place = scene.run if scene.trained else scene.path
        told = scene.gone or (
            f"{scene.path}\nGoes on with the run in {scene.run}." if scene.trained else scene.path
        )
        texture = None if gone else self._thumbnails.texture(scene.path, self._registry)
        act = None if gone else (lambda: self._open(place))
        if texture is not None:
            self._textures.append(texture)
            button = dpg.add_image_button(
                texture, width=wide, height=self._high(), frame_padding=0, callback=act
            )
        else:
            label = "gone" if gone else "no picture yet"
            button = dpg.add_button(
                label=label, width=wide, height=self._high(), callback=act, enabled=not gone
            )
        theme.explain(button, told)

    def _high(self) -> int:
        """Return the height of the pictures."""
        return (self._wide - 2 * self._look.sizes.px(PAD)) * HEIGHT // WIDTH

    def _link(self, label: str, path: str, act: Callable[[str], None], tip: str) -> None:
        button = dpg.add_button(label=label, small=True, callback=lambda s, a, p: act(p), user_data=path)
        dpg.bind_item_theme(button, self._look.flat)
        theme.explain(button, tip)


def _frame(look: theme.Theme) -> int | str:
    """Return a theme of cards with a narrow edge around the picture."""
    px = look.sizes.px
    with dpg.theme() as frame, dpg.theme_component(dpg.mvChildWindow):
        dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, px(PAD), px(PAD))
        dpg.add_theme_style(dpg.mvStyleVar_ItemSpacing, px(8), px(5))
        dpg.add_theme_style(dpg.mvStyleVar_ChildRounding, px(8))
    return frame


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
